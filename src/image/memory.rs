//! Which kind of memory an address of a chip is.
//!
//! Flash windows are asked of espflash, which pads segments by them. The rest is from esp-hal's
//! `memory.x` of each chip.

use serde::Serialize;

use crate::chip::Chip;

/// Where bytes of an app image end up on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Mapped flash that instructions are fetched from (IROM).
    FlashCode,
    /// Mapped flash that is read as data (DROM).
    FlashData,
    /// RAM on the instruction bus (IRAM).
    RamCode,
    /// RAM on the data bus (DRAM).
    RamData,
    /// RAM of a chip whose buses have one address for it: code and data.
    Ram,
    /// RAM that keeps its contents in deep sleep.
    Rtc,
    /// Nowhere: headers, padding, checksum and digest.
    Format,
}

impl Place {
    /// The word for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::FlashCode => "flash code",
            Self::FlashData => "flash read-only data",
            Self::RamCode => "RAM code",
            Self::RamData => "RAM data",
            Self::Ram => "RAM code and data",
            Self::Rtc => "RTC memory",
            Self::Format => "headers and padding",
        }
    }

    /// Of RAM at an address.
    pub(super) fn of_ram(chip: Chip, address: u32) -> Self {
        if is_rtc(chip, address) {
            Self::Rtc
        } else if !has_two_buses(chip) {
            Self::Ram
        } else if address < INSTRUCTION_BUS {
            Self::RamData
        } else {
            Self::RamCode
        }
    }

    /// Of mapped flash at an address. Where both buses share one window, the segment with the app
    /// descriptor holds the data: the bootloader wants code and data in segments of their own.
    pub(super) fn of_flash(chip: Chip, address: u32, has_descriptor: bool) -> Self {
        let is_data = if has_two_buses(chip) { address < INSTRUCTION_BUS } else { has_descriptor };
        if is_data { Self::FlashData } else { Self::FlashCode }
    }
}

/// Where the instruction bus begins on chips that have two: the data bus ends below it.
const INSTRUCTION_BUS: u32 = 0x4000_0000;

/// Whether code and data have addresses of their own.
fn has_two_buses(chip: Chip) -> bool {
    match chip {
        Chip::Esp32 | Chip::Esp32s2 | Chip::Esp32s3 | Chip::Esp32c2 | Chip::Esp32c3 => true,
        Chip::Esp32c5 | Chip::Esp32c6 | Chip::Esp32c61 | Chip::Esp32h2 | Chip::Esp32p4 => false,
    }
}

/// Fast RTC memory (with an address on each bus of the ESP32 and ESP32-S2), then the slow one.
fn is_rtc(chip: Chip, address: u32) -> bool {
    let windows: &[(u32, u32)] = match chip {
        Chip::Esp32 => {
            &[(0x400c_0000, 0x400c_2000), (0x3ff8_0000, 0x3ff8_2000), (0x5000_0000, 0x5000_2000)]
        }
        Chip::Esp32s2 => {
            &[(0x4007_0000, 0x4007_2000), (0x3ff9_e000, 0x3ffa_0000), (0x5000_0000, 0x5000_2000)]
        }
        Chip::Esp32s3 => &[(0x600f_e000, 0x6010_0000), (0x5000_0000, 0x5000_2000)],
        Chip::Esp32c3 => &[(0x5000_0000, 0x5000_2000)],
        Chip::Esp32c5 | Chip::Esp32c6 | Chip::Esp32h2 => &[(0x5000_0000, 0x5000_4000)],
        Chip::Esp32p4 => &[(0x5010_8000, 0x5011_0000)],
        Chip::Esp32c2 | Chip::Esp32c61 => &[],
    };
    windows.iter().any(|(start, end)| (*start..*end).contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_each_family_are_told_apart() {
        use Chip::{Esp32, Esp32c3, Esp32c6, Esp32p4, Esp32s2, Esp32s3};
        for (chip, address, expected) in [
            (Esp32, 0x3ffb_0000, Place::RamData),
            (Esp32, 0x4008_0000, Place::RamCode),
            (Esp32, 0x400c_0000, Place::Rtc),
            (Esp32, 0x400c_2000, Place::RamCode),
            (Esp32s2, 0x3ff9_e000, Place::Rtc),
            (Esp32s3, 0x600f_e000, Place::Rtc),
            (Esp32s3, 0x4037_8000, Place::RamCode),
            (Esp32c3, 0x3fc8_0000, Place::RamData),
            (Esp32c3, 0x4038_0000, Place::RamCode),
            (Esp32c3, 0x5000_1fff, Place::Rtc),
            (Esp32c6, 0x4080_0000, Place::Ram),
            (Esp32c6, 0x5000_3fff, Place::Rtc),
            (Esp32p4, 0x4ff4_0000, Place::Ram),
        ] {
            assert_eq!(Place::of_ram(chip, address), expected, "{chip} {address:#x}");
        }
        assert_eq!(Place::of_flash(Esp32c3, 0x3c00_0020, false), Place::FlashData);
        assert_eq!(Place::of_flash(Esp32c3, 0x4200_0020, true), Place::FlashCode);
        assert_eq!(Place::of_flash(Esp32c6, 0x4200_0020, true), Place::FlashData);
        assert_eq!(Place::of_flash(Esp32c6, 0x4201_0020, false), Place::FlashCode);
    }
}
