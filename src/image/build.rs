//! From an ELF file to an app image, by espflash's library.
//!
//! espflash assumes an app descriptor in flash and a sensible chip; where these are missing it
//! guesses or panics. They are looked at first, so that each problem has its own words.

use espflash::flasher::{FlashData, FlashSettings};
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target;
use object::read::elf::ElfFile32;
use object::{Architecture, Object, ObjectSection};

use crate::chip::Chip;
use crate::error::{Exit, Explained};
use crate::flash_size::FlashSize;

/// Section of the app descriptor, in ESP-IDF and in esp-hal's `esp_app_desc!`.
const DESCRIPTOR_SECTION: &str = ".flash.appdesc";
/// Bytes of `esp_app_desc_t`.
const DESCRIPTOR: u64 = 256;

/// Why no image could be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Not a 32-bit ELF file.
    #[error("not a 32-bit ELF file")]
    NotElf(#[source] object::Error),
    /// Compiled for another processor.
    #[error("the program is compiled for {found:?}, but `{chip}` has {expected:?}")]
    Architecture {
        /// The configured chip.
        chip: Chip,
        /// What it needs.
        expected: Architecture,
        /// What the file holds.
        found: Architecture,
    },
    /// There is no app descriptor, so the image has no version.
    #[error("the program has no app descriptor (section `{DESCRIPTOR_SECTION}`)")]
    NoDescriptor,
    /// The app descriptor is not in mapped flash.
    #[error("the app descriptor is at {address:#x}, which is not mapped flash on `{chip}`")]
    DescriptorPlace {
        /// The configured chip.
        chip: Chip,
        /// Where the section is.
        address: u64,
    },
    /// espflash does not know the chip or the flash size.
    #[error("espflash does not support `{0}`")]
    Unsupported(String),
    /// The program does not fit the flash chip, let alone a slot.
    #[error("the image has {image} bytes; a flash chip of {flash} has {room} for it at most")]
    TooLarge {
        /// Bytes of the image.
        image: u32,
        /// Size of the chip.
        flash: FlashSize,
        /// Bytes that an app can have there.
        room: u32,
    },
    /// espflash refused for another reason.
    #[error("espflash could not make an image")]
    Espflash(#[source] espflash::Error),
}

impl Explained for BuildError {
    fn exit(&self) -> Exit {
        match self {
            Self::TooLarge { .. } => Exit::Rejected,
            Self::NotElf(_)
            | Self::Architecture { .. }
            | Self::NoDescriptor
            | Self::DescriptorPlace { .. }
            | Self::Unsupported(_)
            | Self::Espflash(_) => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotElf(_) => Some("pass the file that the linker wrote, not an image".into()),
            Self::Architecture { .. } => {
                Some("correct `chip` in `esp-ota.toml`, or build for its target".into())
            }
            Self::NoDescriptor => {
                Some("put `esp_bootloader_esp_idf::esp_app_desc!();` into `main.rs`".into())
            }
            Self::DescriptorPlace { .. } => {
                Some("link with esp-hal's `linkall.x` for this chip".into())
            }
            Self::TooLarge { .. } => Some("make the program smaller or the flash larger".into()),
            Self::Unsupported(_) | Self::Espflash(_) => None,
        }
    }
}

/// Chip and flash in espflash's words.
pub(super) fn flash_data(
    chip: Chip,
    flash: FlashSize,
) -> Result<(target::Chip, FlashData), BuildError> {
    let espflash_chip: target::Chip =
        chip.name().parse().map_err(|_| BuildError::Unsupported(chip.to_string()))?;
    let size = flash.to_string().parse().map_err(|_| BuildError::Unsupported(flash.to_string()))?;
    let settings = FlashSettings::new(None, Some(size), None);
    let crystal = espflash_chip.default_xtal_frequency();
    Ok((espflash_chip, FlashData::new(settings, 0, None, espflash_chip, crystal)))
}

/// Makes the app image that goes into a slot and into a release.
pub fn from_elf(elf: &[u8], chip: Chip, flash: FlashSize) -> Result<Vec<u8>, BuildError> {
    let (espflash_chip, data) = flash_data(chip, flash)?;
    check_elf(elf, chip, espflash_chip)?;
    // Without a table of ours espflash takes one app partition over the whole chip: whether the
    // image fits the slots is decided elsewhere, for all of them and with their names.
    let format =
        IdfBootloaderFormat::new(elf, &data, None, None, None, None).map_err(
            |error| match error {
                espflash::Error::ElfTooBig(image, room) => {
                    BuildError::TooLarge { image, flash, room }
                }
                other => BuildError::Espflash(other),
            },
        )?;
    let mut image = Vec::new();
    for segment in format.ota_segments() {
        image.extend_from_slice(segment.data());
    }
    Ok(image)
}

fn check_elf(elf: &[u8], chip: Chip, espflash_chip: target::Chip) -> Result<(), BuildError> {
    let file: ElfFile32<'_> = ElfFile32::parse(elf).map_err(BuildError::NotElf)?;
    let expected = match chip {
        Chip::Esp32 | Chip::Esp32s2 | Chip::Esp32s3 => Architecture::Xtensa,
        Chip::Esp32c2
        | Chip::Esp32c3
        | Chip::Esp32c5
        | Chip::Esp32c6
        | Chip::Esp32c61
        | Chip::Esp32h2
        | Chip::Esp32p4 => Architecture::Riscv32,
    };
    let found = file.architecture();
    if found != expected {
        return Err(BuildError::Architecture { chip, expected, found });
    }
    let section = file
        .section_by_name(DESCRIPTOR_SECTION)
        .filter(|section| section.size() >= DESCRIPTOR && section.data().is_ok())
        .ok_or(BuildError::NoDescriptor)?;
    let address = section.address();
    let mapped = u32::try_from(address).is_ok_and(|at| espflash_chip.addr_is_flash(at));
    if mapped { Ok(()) } else { Err(BuildError::DescriptorPlace { chip, address }) }
}
