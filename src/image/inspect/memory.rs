//! Which memory of a chip an address belongs to.
//!
//! Ranges from ESP-IDF's `soc.h` (`SOC_DROM_LOW` and its neighbours); where memory can be reached
//! by two buses, both ranges are listed.

use serde::Serialize;

use crate::chip::Chip;

/// What a segment is loaded into, or mapped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// Flash, mapped as data.
    FlashData,
    /// Flash, mapped as code.
    FlashCode,
    /// Flash, mapped for both.
    Flash,
    /// RAM on the data bus.
    DataRam,
    /// RAM on the instruction bus.
    CodeRam,
    /// RAM on both.
    Ram,
    /// RAM that keeps its content in deep sleep.
    RtcRam,
    /// External RAM.
    Psram,
    /// Loaded nowhere: it fills a gap, so that the next segment is where it can be mapped.
    Padding,
    /// No memory of this chip.
    Unknown,
}

/// The bootloader loads nothing that begins below this (`should_load`).
const FIRST_LOADED: u32 = 0x1000_0000;

impl Memory {
    /// Where an address is. Without a chip nothing but padding is known.
    pub fn of(chip: Option<Chip>, address: u32) -> Self {
        if address < FIRST_LOADED {
            return Self::Padding;
        }
        let Some(chip) = chip else { return Self::Unknown };
        let found = ranges(chip).iter().find(|(from, to, _)| (*from..*to).contains(&address));
        found.map_or(Self::Unknown, |(_, _, memory)| *memory)
    }

    /// Whether the bootloader maps it and copies nothing.
    pub const fn is_flash(self) -> bool {
        matches!(self, Self::FlashData | Self::FlashCode | Self::Flash)
    }

    /// Words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::FlashData => "flash, mapped as data",
            Self::FlashCode => "flash, mapped as code",
            Self::Flash => "flash, mapped",
            Self::DataRam => "RAM, data",
            Self::CodeRam => "RAM, code",
            Self::Ram => "RAM",
            Self::RtcRam => "RTC RAM",
            Self::Psram => "external RAM",
            Self::Padding => "padding",
            Self::Unknown => "no memory that is known here",
        }
    }
}

type Range = (u32, u32, Memory);

const ESP32: &[Range] = &[
    (0x3f40_0000, 0x3f80_0000, Memory::FlashData),
    (0x3f80_0000, 0x3fc0_0000, Memory::Psram),
    (0x3ff8_0000, 0x3ff8_2000, Memory::RtcRam),
    (0x3ffa_e000, 0x4000_0000, Memory::DataRam),
    (0x4007_0000, 0x400c_0000, Memory::CodeRam),
    (0x400c_0000, 0x400c_2000, Memory::RtcRam),
    (0x400d_0000, 0x4040_0000, Memory::FlashCode),
    (0x5000_0000, 0x5000_2000, Memory::RtcRam),
];
const ESP32S2: &[Range] = &[
    (0x3f00_0000, 0x3ff8_0000, Memory::FlashData),
    (0x3ff9_e000, 0x3ffa_0000, Memory::RtcRam),
    (0x3ffb_0000, 0x4000_0000, Memory::DataRam),
    (0x4002_0000, 0x4007_0000, Memory::CodeRam),
    (0x4007_0000, 0x4007_2000, Memory::RtcRam),
    (0x4008_0000, 0x4080_0000, Memory::FlashCode),
    (0x5000_0000, 0x5000_2000, Memory::RtcRam),
];
const ESP32S3: &[Range] = &[
    (0x3c00_0000, 0x3e00_0000, Memory::FlashData),
    (0x3fc8_8000, 0x3fd0_0000, Memory::DataRam),
    (0x4037_0000, 0x403e_0000, Memory::CodeRam),
    (0x4200_0000, 0x4400_0000, Memory::FlashCode),
    (0x5000_0000, 0x5000_2000, Memory::RtcRam),
    (0x600f_e000, 0x6010_0000, Memory::RtcRam),
];
const ESP32C2: &[Range] = &[
    (0x3c00_0000, 0x3c40_0000, Memory::FlashData),
    (0x3fca_0000, 0x3fce_0000, Memory::DataRam),
    (0x4037_c000, 0x403c_0000, Memory::CodeRam),
    (0x4200_0000, 0x4240_0000, Memory::FlashCode),
];
const ESP32C3: &[Range] = &[
    (0x3c00_0000, 0x3c80_0000, Memory::FlashData),
    (0x3fc8_0000, 0x3fce_0000, Memory::DataRam),
    (0x4037_c000, 0x403e_0000, Memory::CodeRam),
    (0x4200_0000, 0x4280_0000, Memory::FlashCode),
    (0x5000_0000, 0x5000_2000, Memory::RtcRam),
];
const ESP32C5: &[Range] = &[
    (0x4080_0000, 0x4086_0000, Memory::Ram),
    (0x4200_0000, 0x4400_0000, Memory::Flash),
    (0x5000_0000, 0x5000_4000, Memory::RtcRam),
];
const ESP32C6: &[Range] = &[
    (0x4080_0000, 0x4088_0000, Memory::Ram),
    (0x4200_0000, 0x4300_0000, Memory::Flash),
    (0x5000_0000, 0x5000_4000, Memory::RtcRam),
];
const ESP32C61: &[Range] =
    &[(0x4080_0000, 0x4086_0000, Memory::Ram), (0x4200_0000, 0x4400_0000, Memory::Flash)];
const ESP32H2: &[Range] = &[
    (0x4080_0000, 0x4085_0000, Memory::Ram),
    (0x4200_0000, 0x4300_0000, Memory::Flash),
    (0x5000_0000, 0x5000_1000, Memory::RtcRam),
];
const ESP32P4: &[Range] = &[
    (0x3010_0000, 0x3010_2000, Memory::Ram),
    (0x4000_0000, 0x4400_0000, Memory::Flash),
    (0x4800_0000, 0x4c00_0000, Memory::Psram),
    (0x4ff0_0000, 0x4ffc_0000, Memory::Ram),
    (0x5010_8000, 0x5011_0000, Memory::RtcRam),
];

const fn ranges(chip: Chip) -> &'static [Range] {
    match chip {
        Chip::Esp32 => ESP32,
        Chip::Esp32s2 => ESP32S2,
        Chip::Esp32s3 => ESP32S3,
        Chip::Esp32c2 => ESP32C2,
        Chip::Esp32c3 => ESP32C3,
        Chip::Esp32c5 => ESP32C5,
        Chip::Esp32c6 => ESP32C6,
        Chip::Esp32c61 => ESP32C61,
        Chip::Esp32h2 => ESP32H2,
        Chip::Esp32p4 => ESP32P4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_in_order_and_do_not_overlap() {
        for chip in Chip::ALL {
            let mut end = FIRST_LOADED;
            for (from, to, _) in ranges(chip) {
                assert!(end <= *from && from < to, "{chip} {from:#x}");
                end = *to;
            }
        }
    }

    /// Both ends of every range, and what lies just outside.
    #[test]
    fn flash_is_where_espflash_has_it() {
        for chip in Chip::ALL {
            let espflash: espflash::target::Chip = chip.name().parse().unwrap();
            for (from, to, _) in ranges(chip).iter().filter(|it| it.2.is_flash()) {
                assert!(espflash.addr_is_flash(*from), "{chip} {from:#x}");
                // espflash leaves out what the ESP32-S2 shares with external RAM; the bootloader
                // takes all of it for flash (`SOC_DROM_HIGH`).
                let has_more = chip == Chip::Esp32s2 && *to == 0x3ff8_0000;
                assert_ne!(espflash.addr_is_flash(to - 1), has_more, "{chip} {to:#x}");
                assert!(!espflash.addr_is_flash(from - 1), "{chip} {from:#x}");
            }
        }
    }

    #[test]
    fn an_address_is_where_its_chip_has_it() {
        assert_eq!(Memory::of(Some(Chip::Esp32c3), 0x3c00_0020), Memory::FlashData);
        assert_eq!(Memory::of(Some(Chip::Esp32c3), 0x4038_0000), Memory::CodeRam);
        assert_eq!(Memory::of(Some(Chip::Esp32), 0x4038_0000), Memory::FlashCode);
        assert_eq!(Memory::of(Some(Chip::Esp32c6), 0x4200_0020), Memory::Flash);
        assert_eq!(Memory::of(Some(Chip::Esp32c6), 0x3c00_0020), Memory::Unknown);
        assert_eq!(Memory::of(None, 0x3c00_0020), Memory::Unknown);
        assert_eq!(Memory::of(None, 0), Memory::Padding);
    }
}
