//! The header of an app image: what it says of the chip and of its flash.
//!
//! `esp_image_header_t` of ESP-IDF's `esp_app_format.h`, 24 bytes. The agent reads of it what
//! decides whether an image boots; here is the rest, for people.

use serde::Serialize;

use crate::agent::image::MAGIC;
use crate::chip::Chip;

/// Bytes of the header.
pub(super) const SIZE: usize = 24;

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Header {
    /// `esp_chip_id_t`.
    pub chip_id: u16,
    /// Number of segments.
    pub segment_count: u8,
    /// Address of the first instruction.
    pub entry: u32,
    /// As esptool writes it: `dio`; `null` for a number without a name.
    pub flash_mode: Option<&'static str>,
    /// As esptool writes it: `4MB`.
    pub flash_size: Option<&'static str>,
    /// As esptool writes it: `80m`. The numbers differ from chip to chip.
    pub flash_frequency: Option<&'static str>,
    /// Lowest chip revision, major times 100 plus minor.
    pub min_chip_revision: u16,
    /// Highest chip revision; 0 and 65535 are none.
    pub max_chip_revision: u16,
    /// Whether a SHA-256 follows the image.
    pub hash_appended: bool,
}

impl Header {
    /// The chip it is for, where this tool knows it.
    pub fn chip(&self) -> Option<Chip> {
        Chip::from_image_id(self.chip_id)
    }
}

/// Reads the header of a file that begins with 0xE9; `None` where the file ends in it.
pub(super) fn decode(bytes: &[u8]) -> Option<Header> {
    let [
        MAGIC,
        segment_count,
        mode,
        size_and_frequency,
        e0,
        e1,
        e2,
        e3,
        _,
        _,
        _,
        _,
        c0,
        c1,
        _,
        lo0,
        lo1,
        hi0,
        hi1,
        _,
        _,
        _,
        _,
        appended,
    ] = *bytes.first_chunk::<SIZE>()?
    else {
        return None;
    };
    let chip_id = u16::from_le_bytes([c0, c1]);
    Some(Header {
        chip_id,
        segment_count,
        entry: u32::from_le_bytes([e0, e1, e2, e3]),
        flash_mode: mode_name(mode),
        flash_size: size_name(size_and_frequency >> 4),
        flash_frequency: frequency_name(Chip::from_image_id(chip_id), size_and_frequency & 0x0f),
        min_chip_revision: u16::from_le_bytes([lo0, lo1]),
        max_chip_revision: u16::from_le_bytes([hi0, hi1]),
        hash_appended: appended == 1,
    })
}

/// `esp_image_spi_mode_t`.
const fn mode_name(mode: u8) -> Option<&'static str> {
    match mode {
        0 => Some("qio"),
        1 => Some("qout"),
        2 => Some("dio"),
        3 => Some("dout"),
        4 => Some("fast-read"),
        5 => Some("slow-read"),
        _ => None,
    }
}

/// `esp_image_flash_size_t`.
const fn size_name(size: u8) -> Option<&'static str> {
    match size {
        0 => Some("1MB"),
        1 => Some("2MB"),
        2 => Some("4MB"),
        3 => Some("8MB"),
        4 => Some("16MB"),
        5 => Some("32MB"),
        6 => Some("64MB"),
        7 => Some("128MB"),
        _ => None,
    }
}

/// `esp_image_spi_freq_t` counts in divisors of a clock that differs from chip to chip; names as
/// esptool's `--flash-freq` has them. The ESP32-C6 boots at 80 MHz with the number for 40.
const fn frequency_name(chip: Option<Chip>, frequency: u8) -> Option<&'static str> {
    match (chip, frequency) {
        (Some(Chip::Esp32h2), 0xf) => Some("48m"),
        (Some(Chip::Esp32h2), 0x0) => Some("24m"),
        (Some(Chip::Esp32h2), 0x1) => Some("16m"),
        (Some(Chip::Esp32h2), 0x2) => Some("12m"),
        (Some(Chip::Esp32c2), 0xf) => Some("60m"),
        (Some(Chip::Esp32c2), 0x0) => Some("30m"),
        (Some(Chip::Esp32c2), 0x1) => Some("20m"),
        (Some(Chip::Esp32c2), 0x2) => Some("15m"),
        (Some(Chip::Esp32c6), 0x0) | (Some(_), 0xf) => Some("80m"),
        (Some(_), 0x0) => Some("40m"),
        (Some(_), 0x1) => Some("26m"),
        (Some(_), 0x2) => Some("20m"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_that_means_something_is_read() {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&[0xe9, 5, 2, 0x2f, 0x78, 0x56, 0x34, 0x12]);
        bytes[12] = 5;
        bytes[15..19].copy_from_slice(&[3, 0, 0xc7, 0]);
        bytes[23] = 1;
        let header = decode(&bytes).unwrap();
        let expected = Header {
            chip_id: 5,
            segment_count: 5,
            entry: 0x1234_5678,
            flash_mode: Some("dio"),
            flash_size: Some("4MB"),
            flash_frequency: Some("80m"),
            min_chip_revision: 3,
            max_chip_revision: 199,
            hash_appended: true,
        };
        assert_eq!(header, expected);
        assert_eq!(decode(&bytes[..23]), None);
        bytes[0] = 0xea;
        assert_eq!(decode(&bytes), None);
    }

    #[test]
    fn a_frequency_is_that_of_the_chip() {
        assert_eq!(frequency_name(Some(Chip::Esp32c2), 0xf), Some("60m"));
        assert_eq!(frequency_name(Some(Chip::Esp32h2), 0x0), Some("24m"));
        assert_eq!(frequency_name(Some(Chip::Esp32c6), 0x0), Some("80m"));
        assert_eq!(frequency_name(Some(Chip::Esp32), 0x1), Some("26m"));
        assert_eq!(frequency_name(Some(Chip::Esp32), 0x3), None);
        assert_eq!(frequency_name(None, 0x0), None);
    }
}
