//! The trial boot: what makes a bad image fall back without any help from itself.
//!
//! [`start`] is the first thing a new image does, before radio, heap and TLS; it needs `core`
//! only. An unconfirmed image marks its own entry ABORTED *before* it does anything else. Every
//! ESP-IDF bootloader, with rollback or without, skips ABORTED entries, so from then on any reset,
//! for whatever reason, starts the previous image. [`confirm`] turns the entry into VALID.
//!
//! Each write replaces one whole sector that holds nothing but the entry of the image on trial. A
//! power cut in the middle leaves that entry blank or torn: the previous image boots, and the
//! release is tried again later.

use core::time::Duration;

use embedded_storage::nor_flash::NorFlash;

use super::layout::{Layout, Running};
use super::otadata::{self, ENTRY, Entry, Label, SECTOR, State};

/// Longest time from the start of an image on trial to its [`confirm`]. The platform's watchdog
/// keeps it, one that nothing feeds and that goes on when the code hangs: joining a network and
/// one TLS handshake take seconds, and a network that is away gets minutes to come back.
pub const DEADLINE: Duration = Duration::from_secs(5 * 60);

/// What this boot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// The running image is confirmed, or was put there by another tool.
    Settled,
    /// The running image is on trial: it has to [`confirm`], or the next reset falls back.
    Trial(Trial),
    /// The bootloader started this image although no valid entry selects it. There may be nothing
    /// else to boot, so it keeps running, never resets itself, and settles before the next install.
    LastResort,
}

impl core::fmt::Display for Boot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Settled => "settled",
            Self::Trial(trial) if trial.bootloader_rollback => "on trial, by the bootloader too",
            Self::Trial(_) => "on trial",
            Self::LastResort => "the last resort: otadata does not select it",
        })
    }
}

/// A trial that is armed. Proof that [`start`] wrote the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which of the two entries belongs to the running image.
    entry: usize,
    /// Its sequence number.
    sequence: u32,
    /// The bootloader had turned NEW into PENDING_VERIFY: it has rollback itself.
    pub bootloader_rollback: bool,
}

impl Trial {
    /// The number by which the memory of the install knows this trial.
    pub(super) fn sequence(self) -> u32 {
        self.sequence
    }
}

/// The flash refused a read or a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashError;

/// Finds out what this boot is and arms the trial of an unconfirmed image.
pub fn start<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    running: Running,
) -> Result<Boot, FlashError> {
    if running == Running::Factory {
        return Ok(Boot::Settled);
    }
    let Some((index, entry)) = own(&read(flash, layout)?, layout, running) else {
        return Ok(Boot::LastResort);
    };
    if is_confirmed(&entry) {
        return Ok(Boot::Settled);
    }
    arm(flash, layout, index, &entry).map(Boot::Trial)
}

/// Arms a trial that [`start`] could not see: the entry of the running image has a blank label, as
/// other tools leave it, but the image is the one of *our* last install. So a write of ours was
/// torn: a program after its number and CRC and before its label and state, or an erase that took
/// label and state of an entry that was given up, and left its number and CRC.
///
/// Only the agent's memory knows what was installed, and it needs a heap: the caller asks it a
/// little later than [`start`], but before the radio.
pub fn start_torn<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    running: Running,
) -> Result<Option<Trial>, FlashError> {
    match own(&read(flash, layout)?, layout, running) {
        Some((index, entry)) if entry.label == Label::Blank => {
            arm(flash, layout, index, &entry).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// The entry that the bootloader follows, if it selects the running slot, and its index.
pub(super) fn own(
    entries: &[Entry; 2],
    layout: &Layout,
    running: Running,
) -> Option<(usize, Entry)> {
    let Running::Slot(slot) = running else { return None };
    let index = otadata::active(entries)?;
    let entry = *entries.get(index)?;
    (entry.slot(layout.slot_count()) == Some(slot)).then_some((index, entry))
}

fn arm<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    index: usize,
    entry: &Entry,
) -> Result<Trial, FlashError> {
    write(flash, layout, index, &Entry::new(entry.sequence, State::Aborted, Label::Trial))?;
    Ok(Trial {
        entry: index,
        sequence: entry.sequence,
        bootloader_rollback: entry.state == State::PendingVerify,
    })
}

/// Ends a trial well: the running image stays.
pub fn confirm<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    trial: Trial,
) -> Result<(), FlashError> {
    write(flash, layout, trial.entry, &Entry::new(trial.sequence, State::Valid, Label::Ok))
}

/// Whether an entry that selects the running image leaves nothing to confirm.
///
/// Our own confirmation is VALID *with* the label `ok`, since the CRC covers neither. A blank
/// label is another tool's: settled, unless the bootloader itself waits for a confirmation.
/// Everything else is unconfirmed, a torn label included.
fn is_confirmed(entry: &Entry) -> bool {
    match entry.label {
        Label::Ok => entry.state == State::Valid,
        Label::Blank => matches!(entry.state, State::Valid | State::Undefined | State::New),
        Label::Install | Label::Trial | Label::Foreign(_) => false,
    }
}

/// Reads both entries.
pub fn read<F: NorFlash>(flash: &mut F, layout: &Layout) -> Result<[Entry; 2], FlashError> {
    let mut entries = [Entry::decode(&[0xff; ENTRY]); 2];
    for (index, entry) in entries.iter_mut().enumerate() {
        let mut bytes = Aligned([0xff; ENTRY]);
        flash.read(sector(layout, index)?, &mut bytes.0).map_err(|_| FlashError)?;
        *entry = Entry::decode(&bytes.0);
    }
    Ok(entries)
}

/// Replaces one entry: one erase, then all 32 bytes in one program operation, then a look at what
/// was written.
pub fn write<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    index: usize,
    entry: &Entry,
) -> Result<(), FlashError> {
    let start = sector(layout, index)?;
    let end = start.checked_add(SECTOR).ok_or(FlashError)?;
    let bytes = Aligned(entry.encode());
    flash.erase(start, end).map_err(|_| FlashError)?;
    flash.write(start, &bytes.0).map_err(|_| FlashError)?;
    let mut found = Aligned([0; ENTRY]);
    flash.read(start, &mut found.0).map_err(|_| FlashError)?;
    if found.0 == bytes.0 { Ok(()) } else { Err(FlashError) }
}

fn sector(layout: &Layout, index: usize) -> Result<u32, FlashError> {
    let second = layout.otadata.checked_add(SECTOR).ok_or(FlashError)?;
    match index {
        0 => Ok(layout.otadata),
        1 => Ok(second),
        _ => Err(FlashError),
    }
}

/// Word-aligned, so that esp-storage needs no bounce buffer.
#[repr(C, align(4))]
struct Aligned([u8; ENTRY]);
