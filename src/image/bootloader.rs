//! The second-stage bootloader that espflash flashes: the one that most devices have.

use espflash::flasher::FlashData;
use espflash::image_format::idf::IdfBootloaderFormat;
use espflash::target::XtalFrequency;
use sha2::{Digest, Sha256};

use super::build::{BuildError, flash_data};
use super::read::read;
use crate::chip::Chip;
use crate::flash_size::FlashSize;

/// The smallest 32-bit ELF file: a header of 52 bytes, and nothing it could announce. espflash
/// gives no bootloader without a program.
const NO_PROGRAM: [u8; 52] = {
    let mut header = [0; 52];
    // Magic; 32 bits, little-endian, version 1.
    [header[0], header[1], header[2], header[3]] = *b"\x7fELF";
    [header[4], header[5], header[6]] = [1, 1, 1];
    header[16] = 2; // e_type: executable
    header[18] = 243; // e_machine: RISC-V
    header[20] = 1; // e_version
    header[40] = 52; // e_ehsize
    header[42] = 32; // e_phentsize
    header[46] = 40; // e_shentsize
    header
};

/// What espflash writes into a bootloader's header, and so into its hash.
const FLASH_SIZES: [&str; 8] = ["1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB"];

/// Bytes of the SHA-256 at the end of an image.
const DIGEST: usize = 32;

/// What of a chip decides which bootloader it gets, beside its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// Megahertz of its crystal; the usual ones of the chip where nobody asked.
    pub crystal: Option<u32>,
    /// Its revision, major times 100 plus minor.
    pub revision: Option<u16>,
}

/// The bootloader for a chip, with the flash size in its header and its hash made good. It goes to
/// [`Chip::bootloader_offset`].
///
/// # Errors
///
/// Where espflash has none for this chip and size.
pub fn bootloader(chip: Chip, flash: FlashSize) -> Result<Vec<u8>, BuildError> {
    bootloader_for(chip, flash, Board::default())
}

/// The bootloader for a chip of which more is known: espflash has another one for a crystal of
/// 26 MHz, and for a late ESP32-P4.
///
/// # Errors
///
/// Where espflash has none for this chip, size and crystal.
pub fn bootloader_for(chip: Chip, flash: FlashSize, board: Board) -> Result<Vec<u8>, BuildError> {
    let (target, usual) = flash_data(chip, flash)?;
    let unsupported = |crystal| BuildError::Unsupported(format!("{chip} at {crystal} MHz"));
    let crystal = match board.crystal {
        None => usual.xtal_freq,
        Some(26) => XtalFrequency::_26Mhz,
        Some(32) => XtalFrequency::_32Mhz,
        Some(40) => XtalFrequency::_40Mhz,
        Some(48) => XtalFrequency::_48Mhz,
        Some(other) => return Err(unsupported(other)),
    };
    let revision = board.revision.unwrap_or(usual.min_chip_rev);
    let data = FlashData::new(usual.flash_settings, revision, None, target, crystal);
    let format = IdfBootloaderFormat::new(&NO_PROGRAM, &data, None, None, None, None)
        .map_err(BuildError::Espflash)?;
    let segment = format.flash_segments().find(|it| it.addr == chip.bootloader_offset());
    let segment = segment.ok_or_else(|| BuildError::Unsupported(chip.to_string()))?;
    Ok(segment.data().to_vec())
}

/// The bootloader of espflash that ends in this SHA-256: nothing behind the image.
pub fn of_espflash(chip: Chip, digest: &[u8; DIGEST]) -> Option<Vec<u8>> {
    const P4: u16 = 300;
    let boards = [
        Board::default(),
        Board { crystal: Some(26), ..Board::default() },
        Board { revision: Some(P4), ..Board::default() },
    ];
    let sizes = FLASH_SIZES.iter().filter_map(|size| size.parse::<FlashSize>().ok());
    let mut made = sizes.flat_map(|size| {
        boards.into_iter().filter_map(move |board| bootloader_for(chip, size, board).ok())
    });
    made.find_map(|mut bytes| {
        let info = read(&bytes, None).ok().filter(|info| info.digest == *digest)?;
        bytes.truncate(usize::try_from(info.len).ok()?);
        Some(bytes)
    })
}

/// A sound image, alone in its bytes, with another flash size in its header. The SHA-256 covers the
/// header; the checksum does not.
pub fn with_flash_size(image: &[u8], flash: FlashSize) -> Option<Vec<u8>> {
    let mut image = image.to_vec();
    let stated = image.get_mut(3)?;
    *stated = (*stated & 0x0f) | flash.image_code().checked_shl(4)?;
    let digest = image.len().checked_sub(DIGEST)?;
    let sha = Sha256::digest(image.get(..digest)?);
    image.get_mut(digest..)?.copy_from_slice(&sha);
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image;

    #[test]
    fn each_emulated_chip_has_a_bootloader_that_verifies() {
        for chip in [Chip::Esp32c3, Chip::Esp32c6] {
            for (size, code) in [("2MB", 1), ("4MB", 2), ("16MB", 4)] {
                let bytes = bootloader(chip, size.parse().unwrap()).unwrap();
                let info = image::read(&bytes, Some(chip)).unwrap();
                assert!(u32::try_from(bytes.len()).unwrap() >= info.len);
                // `esp_image_flash_size_t` stands in the upper half of the fourth byte.
                assert_eq!(bytes[3] >> 4, code, "{chip} {size}");
            }
        }
    }

    #[test]
    fn the_bootloader_leaves_room_for_the_table() {
        let bytes = bootloader(Chip::Esp32c3, FlashSize::DEFAULT).unwrap();
        assert!(bytes.len() < 0x8000, "{}", bytes.len());
    }

    #[test]
    fn a_flash_size_is_stated_as_espflash_states_it() {
        for chip in Chip::ALL {
            let two = bootloader(chip, "2MB".parse().unwrap()).unwrap();
            let length = image::read(&two, Some(chip)).unwrap().len.try_into().unwrap();
            let eight = bootloader(chip, "8MB".parse().unwrap()).unwrap();
            let stated = with_flash_size(&two[..length], "8MB".parse().unwrap()).unwrap();
            assert_eq!(stated, eight[..length], "{chip}");
        }
        assert_eq!(with_flash_size(&[0xe9; 31], FlashSize::DEFAULT), None);
        assert_eq!(with_flash_size(&[], FlashSize::DEFAULT), None);
    }

    #[test]
    fn the_boards_crystal_and_revision_choose_the_bootloader() {
        let of = |chip, crystal, revision| {
            bootloader_for(chip, FlashSize::DEFAULT, Board { crystal, revision })
        };
        let slow = of(Chip::Esp32c2, Some(26), None).unwrap();
        assert_ne!(slow, of(Chip::Esp32c2, Some(40), None).unwrap());
        assert_eq!(
            of(Chip::Esp32c2, Some(40), None).unwrap(),
            of(Chip::Esp32c2, None, None).unwrap()
        );
        let late = of(Chip::Esp32p4, None, Some(300)).unwrap();
        assert_ne!(late, of(Chip::Esp32p4, None, None).unwrap());
        assert!(of(Chip::Esp32c3, Some(26), None).is_err());
        assert!(of(Chip::Esp32c3, Some(39), None).is_err());
        for (chip, bytes) in [(Chip::Esp32c2, slow), (Chip::Esp32p4, late)] {
            let info = image::read(&bytes, Some(chip)).unwrap();
            let found = of_espflash(chip, &info.digest).unwrap();
            assert_eq!(found, bytes[..usize::try_from(info.len).unwrap()]);
        }
        assert_eq!(of_espflash(Chip::Esp32c3, &[0; 32]), None);
    }
}
