//! The second-stage bootloader that is written, and what to think of the one that is there.

use super::rollback::{OF_ESPFLASH, Rollback, rollback};
use super::signature::{BadSignature, Signed, signature};
use crate::chip::Chip;
use crate::error::{Exit, Explained};
use crate::flash_size::FlashSize;
use crate::image::inspect::{self, Expected, Inspection, Kind, Unfit};
use crate::image::{self, Board, BuildError};

/// Words for the bootloader that comes with this tool.
const ESPFLASH: &str = "espflash 4.7";

/// A bootloader, ready to be written to [`Chip::bootloader_offset`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootloader {
    /// Its bytes: image, and signature where it has one.
    pub bytes: Vec<u8>,
    /// Where it is from: `espflash 4.7 (ESP-IDF v5.5.1)`, or a file.
    pub description: String,
    /// Whether it takes back what was never confirmed.
    pub rollback: Rollback,
    /// The flash size that its header stated, where it was another than it states now.
    pub restated: Option<&'static str>,
}

/// What a bootloader has to be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The chip.
    pub chip: Chip,
    /// Its flash.
    pub flash: FlashSize,
    /// Where the partition table is: the bootloader has to end before it.
    pub table_offset: u32,
}

impl Destination {
    /// Bytes that a bootloader can have.
    fn room(&self) -> u32 {
        self.table_offset.saturating_sub(self.chip.bootloader_offset())
    }
}

/// Why there is no bootloader to write.
#[derive(Debug, thiserror::Error)]
pub enum BootloaderError {
    /// espflash has none.
    #[error("espflash brings no bootloader for {0} with {1} of flash")]
    None(Chip, FlashSize, #[source] BuildError),
    /// The file is something else.
    #[error("`{file}` is {kind}, not a bootloader")]
    OtherKind {
        /// The file.
        file: String,
        /// What it is.
        kind: Kind,
    },
    /// The file is a bootloader that no chip starts, or not this one.
    #[error("`{file}` is a bootloader that this chip would not start: {problem}")]
    Unsound {
        /// The file.
        file: String,
        /// What is wrong.
        problem: Unfit,
    },
    /// There is something behind it that is no signature.
    #[error("what follows the bootloader in `{file}` is no good: {why}")]
    Signature {
        /// The file.
        file: String,
        /// What is wrong.
        why: BadSignature,
    },
    /// The table would lie in it.
    #[error(
        "`{file}` has {size} bytes, but there are {room} before the partition table at {table:#x}"
    )]
    TooLong {
        /// The file, or espflash's.
        file: String,
        /// Its bytes.
        size: usize,
        /// The bytes that there are.
        room: u32,
        /// Where the table is.
        table: u32,
    },
    /// A signature keeps the header as it is.
    #[error("`{file}` is signed for {} of flash, but the chip has {flash}", stated.unwrap_or("an unknown size"))]
    SignedForOther {
        /// The file.
        file: String,
        /// What its header states.
        stated: Option<&'static str>,
        /// What there is.
        flash: FlashSize,
    },
}

impl Explained for BootloaderError {
    fn exit(&self) -> Exit {
        match self {
            Self::None(_, _, error) => error.exit(),
            Self::Unsound { problem, .. } => problem.exit(),
            Self::Signature { why, .. } => why.exit(),
            Self::OtherKind { .. } | Self::TooLong { .. } | Self::SignedForOther { .. } => {
                Exit::Rejected
            }
        }
    }

    fn help(&self) -> Option<String> {
        let text = match self {
            Self::None(..) => "build one with ESP-IDF, and pass it as `--bootloader`",
            Self::OtherKind { kind: Kind::MergedFlash, .. } => {
                "pass the bootloader alone: ESP-IDF writes it to `build/bootloader/bootloader.bin`"
            }
            Self::OtherKind { .. } => {
                "pass what ESP-IDF writes to `build/bootloader/bootloader.bin`, or leave \
                 `--bootloader` away for espflash's"
            }
            Self::Unsound { .. } => {
                "build it for this chip with ESP-IDF, or leave `--bootloader` away for espflash's"
            }
            Self::Signature { .. } => "build it again, and sign it with `espsecure sign-data`",
            Self::TooLong { .. } => {
                "build it smaller, with fewer words in its log, or move the partition table"
            }
            Self::SignedForOther { .. } => {
                "build it with `CONFIG_ESPTOOLPY_FLASHSIZE` as the chip has it, and sign it again"
            }
        };
        Some(text.to_owned())
    }
}

/// The bootloader that comes with espflash.
///
/// # Errors
///
/// Where there is none for this chip, or the table is too early for it.
pub fn bundled(target: &Destination, board: Board) -> Result<Bootloader, BootloaderError> {
    let Destination { chip, flash, table_offset } = *target;
    let bytes = image::bootloader_for(chip, flash, board)
        .map_err(|error| BootloaderError::None(chip, flash, error))?;
    if fits(&bytes, target) {
        let description = described(ESPFLASH, &bytes);
        Ok(Bootloader { bytes, description, rollback: OF_ESPFLASH, restated: None })
    } else {
        let (size, room) = (bytes.len(), target.room());
        let file = "the bootloader of espflash".to_owned();
        Err(BootloaderError::TooLong { file, size, room, table: table_offset })
    }
}

/// A bootloader from a file, with the chip's flash size in its header. One that is signed is left
/// as it is.
///
/// # Errors
///
/// Where it is none, not for this chip, not whole, too long, or signed with another flash size.
pub fn from_file(
    file: &str,
    bytes: &[u8],
    target: &Destination,
) -> Result<Bootloader, BootloaderError> {
    let file = file.to_owned();
    let found = inspected(bytes, target.chip);
    if found.kind != Kind::Bootloader {
        return Err(BootloaderError::OtherKind { file, kind: found.kind });
    }
    if let Some(problem) = defect(&found) {
        return Err(BootloaderError::Unsound { file, problem: problem.clone() });
    }
    let signed = match signature(bytes) {
        Ok(signed) => signed != Signed::No,
        Err(why) => return Err(BootloaderError::Signature { file, why }),
    };
    let header = found.image.as_ref().map(|image| &image.header);
    let stated = header.and_then(|header| header.flash_size);
    let is_right = stated == Some(target.flash.to_string().as_str());
    let bytes = match (signed, is_right) {
        (true, true) => bytes.to_vec(),
        (true, false) => {
            return Err(BootloaderError::SignedForOther { file, stated, flash: target.flash });
        }
        (false, _) => {
            let alone = bytes.get(..length(&found)).unwrap_or(bytes);
            image::with_flash_size(alone, target.flash).unwrap_or_else(|| alone.to_vec())
        }
    };
    if !fits(&bytes, target) {
        let (size, room, table) = (bytes.len(), target.room(), target.table_offset);
        return Err(BootloaderError::TooLong { file, size, room, table });
    }
    let restated = if is_right { None } else { Some(stated.unwrap_or("an unknown size")) };
    let description = described(&format!("`{file}`"), &bytes);
    let rollback = judged(target.chip, &bytes);
    Ok(Bootloader { bytes, description, rollback, restated })
}

/// What is at the bootloader's place on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnDevice {
    /// Nothing: erased flash.
    Blank,
    /// Something that this chip does not start; why, in words.
    Unusable(String),
    /// A bootloader.
    Sound(Sound),
}

/// A whole bootloader for the chip it is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Bytes of the image, without a signature.
    pub length: usize,
    /// The flash size in its header; `None` for a number without a meaning. It refuses partitions
    /// beyond it.
    pub flash: Option<FlashSize>,
    /// What it says of itself.
    pub description: String,
    /// Whether it takes back what was never confirmed.
    pub rollback: Rollback,
    /// Whether something that looks like a signature of Secure Boot v2 follows.
    pub is_signed: bool,
}

/// Judges what was read from [`Chip::bootloader_offset`] up to the partition table.
pub fn on_device(region: &[u8], chip: Chip) -> OnDevice {
    if region.iter().all(|byte| *byte == 0xff) {
        return OnDevice::Blank;
    }
    let found = inspected(region, chip);
    if found.kind != Kind::Bootloader {
        return OnDevice::Unusable(format!("it is {}, not a bootloader", found.kind));
    }
    // What is behind it is no part of it, and of no interest to the ROM.
    let is_behind = |problem: &Unfit| {
        matches!(problem, Unfit::Signed { .. } | Unfit::Trailing { .. } | Unfit::Padded { .. })
    };
    if let Some(problem) = found.problems.iter().find(|it| is_defect(it) && !is_behind(it)) {
        return OnDevice::Unusable(problem.to_string());
    }
    let length = length(&found);
    let alone = region.get(..length).unwrap_or(region);
    let code = alone.get(3).map(|byte| byte >> 4);
    let rollback = judged(chip, alone);
    let is_espflash = is_of_espflash(chip, alone);
    OnDevice::Sound(Sound {
        length,
        flash: code.and_then(FlashSize::from_image_code),
        description: described(if is_espflash { ESPFLASH } else { "another build" }, alone),
        rollback,
        is_signed: found.problems.iter().any(|it| matches!(it, Unfit::Signed { .. })),
    })
}

fn inspected(bytes: &[u8], chip: Chip) -> Inspection {
    inspect::inspect(bytes, &Expected { chip: Some(chip), slots: Vec::new() })
}

/// Why an image that is a bootloader is no good as one. Signatures have a judge of their own.
fn defect(found: &Inspection) -> Option<&Unfit> {
    found.problems.iter().find(|problem| {
        is_defect(problem) && !matches!(problem, Unfit::Signed { .. } | Unfit::Trailing { .. })
    })
}

/// That a bootloader is no app, and that blank bytes follow it, is how bootloaders are.
fn is_defect(problem: &Unfit) -> bool {
    !matches!(problem, Unfit::OtherKind { kind: Kind::Bootloader } | Unfit::Padded { .. })
}

fn length(found: &Inspection) -> usize {
    let length = found.image.as_ref().and_then(|image| image.length);
    length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX)
}

fn fits(bytes: &[u8], target: &Destination) -> bool {
    u32::try_from(bytes.len()).is_ok_and(|size| size <= target.room())
}

fn described(from: &str, bytes: &[u8]) -> String {
    match inspect::descriptor::bootloader(bytes) {
        Some(it) => format!("{from} (ESP-IDF {})", it.idf_version),
        None => from.to_owned(),
    }
}

fn is_of_espflash(chip: Chip, image: &[u8]) -> bool {
    let digest = image.last_chunk().and_then(|digest| image::of_espflash(chip, digest));
    digest.is_some_and(|bytes| image == bytes)
}

fn judged(chip: Chip, bytes: &[u8]) -> Rollback {
    if is_of_espflash(chip, bytes) { OF_ESPFLASH } else { rollback(bytes) }
}

#[cfg(test)]
mod tests;
