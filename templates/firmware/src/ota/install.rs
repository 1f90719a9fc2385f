//! Installing a release: settle, stream into the other slot, prove what was written, switch once.
//!
//! Nothing here touches the running slot or the entry that selects it. Until the single `otadata`
//! write at the end the device boots what it booted before, wherever the power goes away.

use alloc::boxed::Box;
use alloc::string::String;

use embedded_storage::nor_flash::NorFlash;

use super::image::{self, ImageError};
use super::layout::{Layout, Region, Running};
use super::otadata::{self, Entry, Label, State};
use super::ports::{Transport, TransportError};
use super::slot_writer::{Sector, SlotWriter};
use super::trial::{self, FlashError};

/// How often one install picks a broken download up again before it gives up until the next poll.
const MOST_RESUMES: u32 = 5;

/// What to install: the facts that signed metadata states.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Path below the repository URL.
    pub path: &'a str,
    /// Bytes.
    pub len: u32,
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// `esp_chip_id_t` of this chip.
    pub chip_id: u16,
    /// Revision of this chip: major times 100 plus minor.
    pub chip_revision: u16,
    /// Lowest revision the release runs on, as its metadata states it.
    pub min_chip_revision: u16,
}

/// Why a release was not installed. The device keeps running and booting what it ran before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallError {
    /// There is no other slot to write to.
    NoOtherSlot,
    /// The image is larger than the slot.
    TooLarge {
        /// Bytes of the image.
        image: u32,
        /// Bytes of the slot.
        slot: u32,
    },
    /// The sequence numbers of `otadata` are used up.
    SequenceExhausted,
    /// Flash could not be read, erased or written.
    Flash,
    /// The connection failed and did not come back.
    Transport(TransportError),
    /// The server answered with this status instead of the file.
    Status(u16),
    /// The server announced or sent another number of bytes than the metadata states.
    Length,
    /// The server resumed somewhere else than asked.
    Range,
    /// The downloaded bytes are not the signed ones.
    Digest,
    /// The bytes read back from flash are not the ones written.
    FlashDigest,
    /// The bootloader would refuse the image.
    Image(ImageError),
}

impl InstallError {
    /// Kebab-case name for reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoOtherSlot => "no-other-slot",
            Self::TooLarge { .. } => "image-too-large",
            Self::SequenceExhausted => "sequence-exhausted",
            Self::Flash => "flash",
            Self::Transport(TransportError::Unreachable) => "unreachable",
            Self::Transport(TransportError::Untrusted) => "untrusted-tls",
            Self::Status(_) => "status",
            Self::Length => "length-mismatch-target",
            Self::Range => "range-ignored",
            Self::Digest => "hash-mismatch-target",
            Self::FlashDigest => "flash-readback",
            Self::Image(error) => error.code(),
        }
    }
}

impl InstallError {
    /// Whether the server said something that cannot be believed, as against bad weather.
    pub fn is_trust(&self) -> bool {
        match self {
            Self::Transport(TransportError::Untrusted) | Self::Length | Self::Digest => true,
            // Signed, but not for this chip or not an image: a mistake, not a forgery.
            Self::Image(_) => false,
            Self::NoOtherSlot
            | Self::TooLarge { .. }
            | Self::SequenceExhausted
            | Self::Flash
            | Self::FlashDigest
            | Self::Transport(TransportError::Unreachable)
            | Self::Status(_)
            | Self::Range => false,
        }
    }
}

impl core::fmt::Display for InstallError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoOtherSlot => write!(f, "there is no other slot to write to"),
            Self::TooLarge { image, slot } => {
                write!(f, "the image has {image} bytes, the slot {slot}")
            }
            Self::SequenceExhausted => write!(f, "the sequence numbers of otadata are used up"),
            Self::Flash => write!(f, "flash could not be read or written"),
            Self::Transport(TransportError::Unreachable) => write!(f, "the server went away"),
            Self::Transport(TransportError::Untrusted) => {
                write!(f, "the server is not who it claims to be")
            }
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Length => write!(f, "the server sent another length than was signed"),
            Self::Range => write!(f, "the server resumed at another byte than asked"),
            Self::Digest => write!(f, "the downloaded bytes are not the signed ones"),
            Self::FlashDigest => write!(f, "the bytes in flash are not the ones written"),
            Self::Image(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for InstallError {}

impl From<FlashError> for InstallError {
    fn from(FlashError: FlashError) -> Self {
        Self::Flash
    }
}

impl From<TransportError> for InstallError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

/// A release that stands in its slot, proven, and waits for [`switch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The slot it stands in.
    pub slot: u32,
    sequence: u32,
}

/// Downloads `wanted` into the slot after the running one and proves it there. Nothing is selected
/// yet. `progress` hears the number of bytes taken in so far.
pub async fn fetch<F: NorFlash, T: Transport>(
    flash: &mut F,
    layout: &Layout,
    running: Running,
    wanted: &Wanted<'_>,
    transport: &mut T,
    progress: &mut impl FnMut(u32),
) -> Result<Installed, InstallError> {
    let slot = other_slot(layout, running)?;
    let region = layout.slot(slot).ok_or(InstallError::NoOtherSlot)?;
    if wanted.len > region.len {
        return Err(InstallError::TooLarge { image: wanted.len, slot: region.len });
    }
    if !wanted.len.is_multiple_of(16) {
        return Err(InstallError::Image(ImageError::Size(wanted.len)));
    }
    if wanted.min_chip_revision > wanted.chip_revision {
        return Err(InstallError::Image(ImageError::Revision {
            needed: wanted.min_chip_revision,
            found: wanted.chip_revision,
        }));
    }
    settle(flash, layout, running)?;
    let sequence = otadata::next_sequence(&trial::read(flash, layout)?, slot, layout.slot_count())
        .ok_or(InstallError::SequenceExhausted)?;

    let mut writer = SlotWriter::new(region);
    download(flash, &mut writer, wanted, transport, progress).await?;
    if image::digest(flash, region, wanted.len).map_err(InstallError::Image)? != wanted.sha256 {
        return Err(InstallError::FlashDigest);
    }
    let filled = Region { start: region.start, len: wanted.len };
    image::verify(flash, filled, Some(wanted.chip_id))
        .and_then(|info| info.check_revision(wanted.chip_revision))
        .map_err(InstallError::Image)?;
    Ok(Installed { slot, sequence })
}

/// Selects an installed release with one write: the next reset starts it, on trial.
pub fn switch<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    installed: Installed,
) -> Result<(), InstallError> {
    let index = sacrifice(&trial::read(flash, layout)?);
    let entry = Entry::new(installed.sequence, State::New, Label::Install);
    Ok(trial::write(flash, layout, index, &entry)?)
}

/// Makes `otadata` say what is running, so that there is something to fall back to.
///
/// After a fallback by the bootloader, or on a last resort, no entry selects the running slot. The
/// sector that is rewritten selects nothing that boots; a cut leaves the state as it was found.
pub fn settle<F: NorFlash>(
    flash: &mut F,
    layout: &Layout,
    running: Running,
) -> Result<(), InstallError> {
    let Running::Slot(slot) = running else { return Ok(()) };
    let count = layout.slot_count();
    let entries = trial::read(flash, layout)?;
    let selected = otadata::active(&entries)
        .and_then(|index| entries.get(index))
        .and_then(|entry| entry.slot(count));
    if selected == Some(slot) {
        return Ok(());
    }
    let sequence =
        otadata::next_sequence(&entries, slot, count).ok_or(InstallError::SequenceExhausted)?;
    let settled = Entry::new(sequence, State::Valid, Label::Ok);
    Ok(trial::write(flash, layout, sacrifice(&entries), &settled)?)
}

/// The entry to overwrite: never the one the bootloader follows; without one, a damaged entry
/// before a sound one, and the older of two sound ones.
fn sacrifice(entries: &[Entry; 2]) -> usize {
    let [first, second] = entries;
    match otadata::active(entries) {
        Some(0) => 1,
        Some(_) => 0,
        None => match (first.is_sound(), second.is_sound()) {
            (true, false) => 1,
            (true, true) => usize::from(second.sequence < first.sequence),
            (false, _) => 0,
        },
    }
}

fn other_slot(layout: &Layout, running: Running) -> Result<u32, InstallError> {
    let count = layout.slot_count();
    match running {
        Running::Factory if count > 0 => Ok(0),
        Running::Slot(slot) if count > 1 => {
            slot.wrapping_add(1).checked_rem(count).ok_or(InstallError::NoOtherSlot)
        }
        Running::Factory | Running::Slot(_) => Err(InstallError::NoOtherSlot),
    }
}

/// Downloads into the slot, picking up where a broken connection left off.
async fn download<F: NorFlash, T: Transport>(
    flash: &mut F,
    writer: &mut SlotWriter,
    wanted: &Wanted<'_>,
    transport: &mut T,
    progress: &mut impl FnMut(u32),
) -> Result<(), InstallError> {
    let mut etag = None;
    let mut resumes = 0u32;
    loop {
        match stream(flash, writer, wanted, transport, &mut etag, progress).await {
            Err(InstallError::Transport(TransportError::Unreachable))
                if resumes < MOST_RESUMES && writer.received > 0 =>
            {
                resumes = resumes.saturating_add(1);
            }
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    writer.flush(flash)?;
    if writer.digest() == wanted.sha256 { Ok(()) } else { Err(InstallError::Digest) }
}

async fn stream<F: NorFlash, T: Transport>(
    flash: &mut F,
    writer: &mut SlotWriter,
    wanted: &Wanted<'_>,
    transport: &mut T,
    etag: &mut Option<String>,
    progress: &mut impl FnMut(u32),
) -> Result<(), InstallError> {
    let response = transport.get(wanted.path, writer.received, etag.as_deref()).await?;
    match response.status {
        // The file changed or the server cannot resume: start again.
        200 if writer.received > 0 => *writer = SlotWriter::new(writer.region),
        206 if response.start != writer.received => return Err(InstallError::Range),
        200 | 206 => {}
        other => return Err(InstallError::Status(other)),
    }
    let expected = wanted.len.checked_sub(writer.received).ok_or(InstallError::Length)?;
    if response.length.is_some_and(|length| length != expected) {
        return Err(InstallError::Length);
    }
    *etag = response.etag;

    let mut buf = Box::new(Sector([0; 4096]));
    loop {
        let count = transport.read(&mut buf.0).await?;
        let Some(bytes) = buf.0.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        let len = u32::try_from(count).map_err(|_| InstallError::Length)?;
        let received = writer.received.checked_add(len).ok_or(InstallError::Length)?;
        if received > wanted.len {
            return Err(InstallError::Length);
        }
        writer.push(flash, bytes)?;
        progress(received);
    }
    if writer.received == wanted.len { Ok(()) } else { Err(InstallError::Length) }
}
