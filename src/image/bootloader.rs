//! The second-stage bootloader that espflash flashes: the one that most devices have.

use espflash::image_format::idf::IdfBootloaderFormat;

use super::build::{BuildError, flash_data};
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

/// The bootloader for a chip, with the flash size in its header and its hash made good. It goes to
/// [`Chip::bootloader_offset`].
///
/// # Errors
///
/// Where espflash has none for this chip and size.
pub fn bootloader(chip: Chip, flash: FlashSize) -> Result<Vec<u8>, BuildError> {
    let (_, data) = flash_data(chip, flash)?;
    let format = IdfBootloaderFormat::new(&NO_PROGRAM, &data, None, None, None, None)
        .map_err(BuildError::Espflash)?;
    let segment = format.flash_segments().find(|it| it.addr == chip.bootloader_offset());
    let segment = segment.ok_or_else(|| BuildError::Unsupported(chip.to_string()))?;
    Ok(segment.data().to_vec())
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
}
