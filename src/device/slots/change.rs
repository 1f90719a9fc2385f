//! Another slot for the next boot: what to write, and writing it so that no moment is without a
//! bootable choice.

use super::{Proof, Survey};
use crate::agent::otadata::{self, ENTRY, Entry, Label, State};
use crate::device::DeviceError;
use crate::device::flash::{FlashWriter, SECTOR};
use crate::error::{Exit, Explained};
use crate::hex;
use crate::virtual_device::bootloader::{Rollback, Target};

/// One entry that is replaced whole: its sector is erased, then its bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which of the two entries.
    pub index: usize,
    /// Its place in flash.
    pub offset: u32,
    /// What is there now.
    pub before: Entry,
    /// What will be there; a blank entry is an erased sector.
    pub after: Entry,
}

impl Change {
    /// The 32 bytes before and after, in hexadecimal.
    pub fn hex(&self) -> [String; 2] {
        [self.before, self.after].map(|entry| hex::lower(&entry.encode()))
    }
}

/// Why nothing is written.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is nothing to write to.
    #[error("the table has no `otadata` partition, so nothing can be chosen")]
    NoOtadata,
    /// The table has no such slot.
    #[error("the table has no `{wanted}`: there is {}", list(there))]
    NoSuchSlot {
        /// What was asked for.
        wanted: Target,
        /// What there is.
        there: Vec<Target>,
    },
    /// What is in the slot would not start.
    #[error("`{slot}` would not boot: {reason}")]
    NotBootable {
        /// The slot.
        slot: Target,
        /// Why.
        reason: String,
    },
    /// No sequence number is left above those in use.
    #[error("the sequence numbers in `otadata` are used up")]
    UsedUp,
    /// The bootloader would choose another slot all the same.
    #[error("with that entry a bootloader {} rollback would start `{found}`, not `{wanted}`", with(*.rollback))]
    Another {
        /// What was asked for.
        wanted: Target,
        /// What would start.
        found: Target,
        /// Which bootloader.
        rollback: bool,
    },
    /// What boots depends on a bootloader that nothing is known of.
    #[error("a bootloader without rollback starts `{without}`, one with it `{with}`")]
    Undecided {
        /// Without rollback.
        without: Target,
        /// With it.
        with: Target,
    },
    /// There is nothing that could be chosen.
    #[error("nothing on this device boots")]
    Nothing,
    /// What was written is not what was read back.
    #[error("entry {index} reads back as other bytes than were written")]
    ReadBack {
        /// Which of the two.
        index: usize,
    },
    /// The flash failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

fn list(targets: &[Target]) -> String {
    targets.iter().map(|target| format!("`{target}`")).collect::<Vec<_>>().join(", ")
}

fn with(rollback: bool) -> &'static str {
    if rollback { "with" } else { "without" }
}

impl Explained for ChangeError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoOtadata
            | Self::NoSuchSlot { .. }
            | Self::NotBootable { .. }
            | Self::UsedUp
            | Self::Another { .. }
            | Self::Undecided { .. }
            | Self::Nothing => Exit::Rejected,
            Self::ReadBack { .. } => Exit::Device,
            Self::Device(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoOtadata => {
                Some("flash a table with `otadata`: `cargo esp-ota partitions generate`".into())
            }
            Self::NoSuchSlot { .. } => Some("see `cargo esp-ota slots`".into()),
            Self::NotBootable { .. } => {
                Some("write an image into it first, or choose another slot".into())
            }
            Self::UsedUp => Some("renumber them: `cargo esp-ota slots repair`".into()),
            Self::Another { .. } | Self::Undecided { .. } => {
                Some("see why with `cargo esp-ota slots`, then choose: `slots switch`".into())
            }
            Self::Nothing => Some("flash the device anew".into()),
            Self::ReadBack { .. } => {
                Some("read the slots again; the flash may be worn or write-protected".into())
            }
            Self::Device(error) => error.help(),
        }
    }
}

/// What to write so that `to` boots next, whichever bootloader it is. One entry, the one that does
/// not decide now: until its last byte is there, the device boots what it booted before.
///
/// # Errors
///
/// Where that slot would not boot, or a bootloader would choose another.
pub fn switch(survey: &Survey, to: Target) -> Result<Vec<Change>, ChangeError> {
    if !survey.boot.has_otadata {
        return Err(ChangeError::NoOtadata);
    }
    bootable(survey, to)?;
    let is_next = |entries| {
        [Rollback::Off, Rollback::On].into_iter().all(|it| survey.start(entries, it).target == to)
    };
    // On trial it would boot next, and fall back after that.
    if is_next(&survey.entries) && survey.report().trial == "settled" {
        return Ok(Vec::new());
    }
    let changes = match to {
        Target::Slot(slot) => vec![choice(survey, slot)?],
        // Nothing selects factory; it boots where no entry selects anything.
        Target::Factory => {
            let first = spare(survey, to);
            [first, usize::from(first == 0)]
                .into_iter()
                .map(|index| change(survey, index, blank()))
                .filter(|change| !change.before.is_blank())
                .collect()
        }
        Target::Test | Target::None => {
            return Err(ChangeError::NoSuchSlot { wanted: to, there: targets(survey) });
        }
    };
    verify(survey, &changes, to)?;
    Ok(changes)
}

/// What to write so that the slot that boots now is chosen by a sound entry. Nothing, where it is.
///
/// # Errors
///
/// Where nothing boots, or what boots depends on the bootloader.
pub fn repair(survey: &Survey) -> Result<Vec<Change>, ChangeError> {
    if !survey.boot.has_otadata {
        return Err(ChangeError::NoOtadata);
    }
    let next = survey.start(&survey.entries, Rollback::Off).target;
    let with = survey.start(&survey.entries, Rollback::On).target;
    if next != with {
        return Err(ChangeError::Undecided { without: next, with });
    }
    let Target::Slot(slot) = next else {
        // Factory boots because nothing else is chosen: that is how it is meant.
        return if next == Target::None { Err(ChangeError::Nothing) } else { Ok(Vec::new()) };
    };
    let count = survey.boot.slot_rows;
    let deciding = otadata::active(&survey.entries);
    let is_chosen = deciding
        .and_then(|index| survey.entries.get(index))
        .is_some_and(|entry| entry.slot(count) == Some(slot));
    let is_used_up = otadata::next_sequence(&survey.entries, slot, count).is_none();
    let changes = match (is_chosen, is_used_up) {
        (true, false) => return Ok(Vec::new()),
        (false, false) => vec![choice(survey, slot)?],
        // A low number in the other entry first, and then away with the high one: until that moment
        // it decides, and a torn one decides nothing.
        (_, true) => {
            let first = spare(survey, next);
            let number = slot.saturating_add(1);
            let sound = Entry::new(number, State::Valid, Label::Ok);
            vec![change(survey, first, sound), change(survey, usize::from(first == 0), blank())]
        }
    };
    verify(survey, &changes, next)?;
    Ok(changes)
}

/// Writes, in order, and reads each entry back.
///
/// # Errors
///
/// What was not written is as it was.
pub fn apply(flash: &mut dyn FlashWriter, changes: &[Change]) -> Result<(), ChangeError> {
    for change in changes {
        let bytes = change.after.encode();
        if change.after.is_blank() {
            flash.erase(change.offset, SECTOR)?;
        } else {
            flash.write(change.offset, &bytes, &mut |_| {})?;
        }
        let found = flash.read(change.offset, u32::try_from(ENTRY).unwrap_or(u32::MAX))?;
        if found[..] != bytes[..] {
            return Err(ChangeError::ReadBack { index: change.index });
        }
    }
    Ok(())
}

fn blank() -> Entry {
    Entry::decode(&[0xff; ENTRY])
}

fn targets(survey: &Survey) -> Vec<Target> {
    survey.slots.iter().map(|(target, ..)| *target).collect()
}

fn bootable(survey: &Survey, slot: Target) -> Result<(), ChangeError> {
    let found = survey.slots.iter().find(|(name, ..)| *name == slot);
    let Some((_, _, found)) = found else {
        return Err(ChangeError::NoSuchSlot { wanted: slot, there: targets(survey) });
    };
    let reason = match (found.proof, &found.reason) {
        (Proof::Intact, _) => return Ok(()),
        (Proof::Unproven, _) => "its image was not proven".to_owned(),
        (Proof::Blank, _) => "it is blank".to_owned(),
        (Proof::Broken, Some(error)) => error.to_string(),
        (Proof::Broken, None) => "its image is broken".to_owned(),
    };
    Err(ChangeError::NotBootable { slot, reason })
}

/// The entry to write: the one without which a device boots what it boots now, or `wanted`, so that
/// a cut in the middle does no harm. That is the one that does not decide; where the decision hangs
/// on the bootloader's rollback, the one that is right for more of them.
fn spare(survey: &Survey, wanted: Target) -> usize {
    let harmless = |index: usize| {
        let mut entries = survey.entries;
        if let Some(entry) = entries.get_mut(index) {
            *entry = blank();
        }
        let is_harmless = |rollback: &Rollback| {
            let found = survey.start(&entries, *rollback).target;
            found == wanted || found == survey.start(&survey.entries, *rollback).target
        };
        [Rollback::Off, Rollback::On].iter().filter(|it| is_harmless(it)).count()
    };
    let idle = match otadata::active(&survey.entries) {
        Some(active) => usize::from(active == 0),
        None => usize::from(survey.entries.first().is_some_and(Entry::is_sound)),
    };
    let other = usize::from(idle == 0);
    if harmless(other) > harmless(idle) { other } else { idle }
}

fn choice(survey: &Survey, slot: u32) -> Result<Change, ChangeError> {
    let count = survey.boot.slot_rows;
    let number = otadata::next_sequence(&survey.entries, slot, count).ok_or(ChangeError::UsedUp)?;
    let index = spare(survey, Target::Slot(slot));
    Ok(change(survey, index, Entry::new(number, State::Valid, Label::Ok)))
}

fn change(survey: &Survey, index: usize, after: Entry) -> Change {
    let sector = if index == 0 { 0 } else { SECTOR };
    let offset = survey.boot.layout.otadata.saturating_add(sector);
    let before = survey.entries.get(index).copied().unwrap_or_else(blank);
    Change { index, offset, before, after }
}

/// Asks the bootloader's model, before a byte is written.
fn verify(survey: &Survey, changes: &[Change], wanted: Target) -> Result<(), ChangeError> {
    let mut entries = survey.entries;
    for change in changes {
        if let Some(entry) = entries.get_mut(change.index) {
            *entry = change.after;
        }
    }
    for (rollback, is_on) in [(Rollback::Off, false), (Rollback::On, true)] {
        let found = survey.start(&entries, rollback).target;
        if found != wanted {
            return Err(ChangeError::Another { wanted, found, rollback: is_on });
        }
    }
    Ok(())
}
