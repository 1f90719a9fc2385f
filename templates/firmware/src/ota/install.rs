//! Installing a release: settle, stream into the other slot, prove what was written, switch once.
//!
//! Nothing here touches the running slot or the entry that selects it. Until the single `otadata`
//! write at the end the device boots what it booted before, wherever the power goes away.

use alloc::string::String;

use embedded_storage::nor_flash::NorFlash;

use super::download::{Bookmark, Download};
use super::image::{self, ImageError};
use super::layout::{Layout, Region, Running};
use super::otadata::{self, Entry, Label, State};
use super::ports::{Store, Transport, TransportError};
use super::trial::{self, FlashError};

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
    /// The server announced another number of bytes than the metadata states.
    Length,
    /// The server sent more bytes than the metadata states.
    Endless,
    /// The server ended the file before the length that the metadata states.
    Short,
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
    pub fn code(&self) -> String {
        let code = match self {
            Self::NoOtherSlot => "no-other-slot",
            Self::TooLarge { .. } => "image-too-large",
            Self::SequenceExhausted => "sequence-exhausted",
            Self::Flash => "flash",
            Self::Transport(error) => error.code(),
            Self::Status(status) => return alloc::format!("status-{status}"),
            Self::Length => "length-mismatch-target",
            Self::Endless => "endless-target",
            Self::Short => "short-target",
            Self::Range => "range-ignored",
            Self::Digest => "hash-mismatch-target",
            Self::FlashDigest => "flash-readback",
            Self::Image(error) => error.code(),
        };
        code.into()
    }

    /// Whether the server said something that cannot be believed, as against bad weather.
    pub fn is_trust(&self) -> bool {
        match self {
            Self::Transport(TransportError::Untrusted)
            | Self::Length
            | Self::Endless
            | Self::Short
            | Self::Digest => true,
            // Signed, but not for this chip or not an image: a mistake, not a forgery.
            Self::Image(_) | Self::TooLarge { .. } => false,
            Self::NoOtherSlot
            | Self::SequenceExhausted
            | Self::Flash
            | Self::FlashDigest
            | Self::Transport(
                TransportError::Unreachable
                | TransportError::Truncated
                | TransportError::TooSlow
                | TransportError::HeadTooLarge,
            )
            | Self::Status(_)
            | Self::Range => false,
        }
    }

    /// Whether the device judged the release and said no; everything else is a failure on the way.
    pub fn is_refusal(&self) -> bool {
        self.is_trust() || matches!(self, Self::Image(_) | Self::TooLarge { .. })
    }

    /// Whether the same download is worth going on with: it stopped, and nothing in it was wrong.
    fn leaves_a_good_part(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Status(500..=599))
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
            Self::Transport(error) => error.fmt(f),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Length => write!(f, "the server announced another length than was signed"),
            Self::Endless => write!(f, "the server sent more bytes than were signed"),
            Self::Short => write!(f, "the server sent fewer bytes than were signed"),
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
    /// Sequence number of the entry that will select it.
    pub sequence: u32,
}

/// Downloads `wanted` into the slot after the running one and proves it there. Nothing is selected
/// yet. `store` remembers how far it got; `progress` hears the number of bytes in so far.
pub async fn fetch<F: NorFlash, S: Store, T: Transport>(
    flash: &mut F,
    store: &mut S,
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

    let bookmark = Bookmark { store, sha256: wanted.sha256, slot };
    let proven = match Download::begin(flash, bookmark, region, wanted.len) {
        Ok(mut download) => {
            let arrived = download.run(flash, wanted, transport, progress).await;
            arrived.and_then(|()| prove(flash, region, wanted)).inspect_err(|error| {
                if !error.leaves_a_good_part() {
                    download.bookmark.forget();
                }
            })
        }
        Err(error) => Err(error),
    };
    proven.map(|()| Installed { slot, sequence })
}

/// Checks what stands in the slot, once more and from flash: the hash, then as the bootloader does.
fn prove<F: NorFlash>(
    flash: &mut F,
    region: Region,
    wanted: &Wanted<'_>,
) -> Result<(), InstallError> {
    if image::digest(flash, region, wanted.len).map_err(InstallError::Image)? != wanted.sha256 {
        return Err(InstallError::FlashDigest);
    }
    let filled = Region { start: region.start, len: wanted.len };
    image::verify(flash, filled, Some(wanted.chip_id))
        .and_then(|info| info.check_revision(wanted.chip_revision))
        .map_err(InstallError::Image)
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

/// The slot that the next release goes to: the one after the running one.
pub(super) fn other_slot(layout: &Layout, running: Running) -> Result<u32, InstallError> {
    let count = layout.slot_count();
    match running {
        Running::Factory if count > 0 => Ok(0),
        Running::Slot(slot) if count > 1 => {
            slot.wrapping_add(1).checked_rem(count).ok_or(InstallError::NoOtherSlot)
        }
        Running::Factory | Running::Slot(_) => Err(InstallError::NoOtherSlot),
    }
}
