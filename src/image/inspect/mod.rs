//! What a file is, and whether it may be published: bytes in, an answer out.
//!
//! Every file gets an answer. Whether an app image boots is decided by the agent's own verifier, so
//! that the device never says no to what was called good here; everything else is for the words.
//! Work and memory are linear in the size of the file, which the caller limits to [`MOST_BYTES`].

mod data;
pub mod descriptor;
mod elf;
mod esp8266;
mod flash;
mod foreign;
mod header;
mod judge;
mod kind;
mod memory;
mod search;
mod unfit;
mod walk;

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use descriptor::{App, Bootloader};
pub use elf::Elf;
pub use flash::{AppPartition, Content, Flash};
pub use header::Header;
pub use kind::Kind;
pub use memory::Memory;
pub use unfit::Unfit;
pub use walk::{Check, Segment};

use crate::agent::image::{ImageInfo, MAGIC};
use crate::chip::Chip;
use crate::hex;

/// Most bytes of a file that is looked at: no flash chip beside an ESP32 is larger, and hardly an
/// ELF file with all debug information.
pub const MOST_BYTES: u64 = 256 * 1024 * 1024;
/// How many of the first bytes are shown of a file that is nothing known.
const SHOWN: usize = 8;

/// What an image has to be for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The chip, where one is known.
    pub chip: Option<Chip>,
    /// Every slot that it has to fit.
    pub slots: Vec<Slot>,
}

/// A slot of a project's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// `ota_0`.
    pub name: String,
    /// Bytes.
    pub size: u32,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What the file is.
    pub kind: Kind,
    /// What tells that.
    pub evidence: Vec<String>,
    /// What an image says of itself, be it of an app or of a bootloader.
    pub image: Option<Image>,
    /// What an ELF file says of itself.
    pub elf: Option<Elf>,
    /// What a file of whole flash holds.
    pub flash: Option<Flash>,
    /// Why it must not be published, the first reason first; empty for a good app image.
    pub problems: Vec<Unfit>,
    /// What is worth knowing of a good one.
    pub notes: Vec<Note>,
    verified: Option<ImageInfo>,
}

/// An image, as far as the file holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Image {
    /// Bytes of the image by its own headers; `null` where they are not all there.
    pub length: Option<u64>,
    /// Its header.
    pub header: Header,
    /// Its segments, as far as they are there.
    pub segments: Vec<Segment>,
    /// The XOR of all segments; `null` where the file ends before it.
    pub checksum: Option<Check<u8>>,
    /// The appended SHA-256; `null` where there is none.
    pub digest: Option<Check<String>>,
    /// What the firmware says of itself.
    pub descriptor: Option<App>,
    /// What the bootloader says of itself.
    pub bootloader: Option<Bootloader>,
}

/// Something that is no reason not to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Note {
    /// Kebab-case name.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

impl Inspection {
    fn of(kind: Kind) -> Self {
        Self {
            kind,
            evidence: Vec::new(),
            image: None,
            elf: None,
            flash: None,
            problems: Vec::new(),
            notes: Vec::new(),
            verified: None,
        }
    }

    fn because(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    fn rejected(mut self, problem: Unfit) -> Self {
        self.problems.push(problem);
        self
    }

    /// The chip that it is for, where that is known.
    pub fn chip(&self) -> Option<Chip> {
        match (&self.image, &self.elf) {
            (Some(image), _) => image.header.chip(),
            (None, Some(elf)) => match elf.chips[..] {
                [only] => Some(only),
                _ => None,
            },
            (None, None) => None,
        }
    }

    /// Whether it is a good app image of the expected chip.
    pub fn is_publishable(&self) -> bool {
        self.kind == Kind::App && self.verified.is_some() && self.problems.is_empty()
    }
}

/// Says what a file is. Total: every file is something.
pub fn inspect(bytes: &[u8], expected: &Expected) -> Inspection {
    match bytes.first() {
        None => other(Kind::Empty),
        Some(&MAGIC) => judge::inspect(bytes, expected),
        Some(_) => no_image(bytes),
    }
}

/// SHA-256 of the whole file, as people compare it.
pub fn digest(bytes: &[u8]) -> String {
    hex::lower(&Sha256::digest(bytes))
}

/// Lowest revision of the chip that an image runs on, major times 100 plus minor; 0 where it says
/// none, or is no image.
pub fn min_chip_revision(bytes: &[u8]) -> u16 {
    header::decode(bytes).map_or(0, |header| header.min_chip_revision)
}

/// The image of an app that may be published.
///
/// # Errors
///
/// The first reason not to.
pub fn app_image(bytes: &[u8], expected: &Expected) -> Result<ImageInfo, Unfit> {
    let found = inspect(bytes, expected);
    match (found.problems.into_iter().next(), found.verified) {
        (Some(problem), _) => Err(problem),
        (None, Some(info)) if found.kind == Kind::App => Ok(info),
        (None, _) => Err(Unfit::OtherKind { kind: found.kind }),
    }
}

/// A file that begins with something else than an image does.
fn no_image(bytes: &[u8]) -> Inspection {
    if bytes.starts_with(elf::MAGIC) {
        let elf = elf::read(bytes);
        let (architecture, firmware) = (elf.architecture.clone(), elf.firmware);
        let problem = Unfit::Elf { architecture, firmware };
        let mut found =
            Inspection::of(Kind::Elf).because("begins with 7F 45 4C 46").rejected(problem);
        found.elf = Some(elf);
        return found;
    }
    if let Some(flash) = flash::find(bytes, 0) {
        return whole_flash(flash);
    }
    if let Some(kind) = foreign::by_magic(bytes) {
        return other(kind).because(format!("begins with {}", begin(bytes)));
    }
    if let Some((kind, evidence)) = data::kind(bytes) {
        return other(kind).because(evidence);
    }
    if let Some(kind) = foreign::text(bytes) {
        return other(kind).because(format!("begins with `{}`", foreign::first_words(bytes)));
    }
    match search::shift(bytes) {
        Some(search::Shift::Before(before)) => {
            return Inspection::of(Kind::ShiftedImage)
                .because(format!("a sound image begins at {before:#x}"))
                .rejected(Unfit::BytesBefore { before });
        }
        Some(search::Shift::Lost(lost)) => {
            return Inspection::of(Kind::ShiftedImage)
                .because("an app descriptor near the beginning, in the wrong place")
                .rejected(Unfit::BeginningMissing { lost });
        }
        None => {}
    }
    match search::randomness(bytes) {
        Some((bits, sample)) => Inspection::of(Kind::LooksEncrypted)
            .because(format!("{bits:.2} of 8 bits of entropy in each of {sample} bytes"))
            .rejected(Unfit::LooksEncrypted),
        None => Inspection::of(Kind::Unknown).rejected(Unfit::Unknown { begin: begin(bytes) }),
    }
}

fn whole_flash(flash: Flash) -> Inspection {
    let (table, app) = (flash.table, flash.first_app());
    let mut found = Inspection::of(Kind::MergedFlash).rejected(Unfit::MergedFlash { table, app });
    if let Some(bootloader) = flash.bootloader {
        found = found.because(format!("an image at {bootloader:#x}, as of a bootloader"));
    }
    found.evidence.push(format!("a sound partition table at {table:#x}"));
    found.flash = Some(flash);
    found
}

fn other(kind: Kind) -> Inspection {
    Inspection::of(kind).rejected(Unfit::OtherKind { kind })
}

/// The first bytes, as people compare them.
fn begin(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(SHOWN).map(|byte| hex::lower(&[*byte]).to_uppercase());
    shown.collect::<Vec<_>>().join(" ")
}
