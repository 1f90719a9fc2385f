//! The ESP32 chips, and the numbers in which they differ.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A chip that boots ESP-IDF app images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Chip {
    Esp32,
    Esp32s2,
    Esp32s3,
    Esp32c2,
    Esp32c3,
    Esp32c5,
    Esp32c6,
    Esp32c61,
    Esp32h2,
    Esp32p4,
}

impl Chip {
    /// Every chip, in the order in which help texts list them.
    pub const ALL: [Self; 10] = [
        Self::Esp32,
        Self::Esp32s2,
        Self::Esp32s3,
        Self::Esp32c2,
        Self::Esp32c3,
        Self::Esp32c5,
        Self::Esp32c6,
        Self::Esp32c61,
        Self::Esp32h2,
        Self::Esp32p4,
    ];

    /// The name in `esp-ota.toml`, in release metadata and in esp-hal's features.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Esp32 => "esp32",
            Self::Esp32s2 => "esp32s2",
            Self::Esp32s3 => "esp32s3",
            Self::Esp32c2 => "esp32c2",
            Self::Esp32c3 => "esp32c3",
            Self::Esp32c5 => "esp32c5",
            Self::Esp32c6 => "esp32c6",
            Self::Esp32c61 => "esp32c61",
            Self::Esp32h2 => "esp32h2",
            Self::Esp32p4 => "esp32p4",
        }
    }

    /// `chip_id` of the app image header (`esp_chip_id_t` in ESP-IDF's `esp_app_format.h`).
    pub const fn image_id(self) -> u16 {
        match self {
            Self::Esp32 => 0x0000,
            Self::Esp32s2 => 0x0002,
            Self::Esp32s3 => 0x0009,
            Self::Esp32c2 => 0x000c,
            Self::Esp32c3 => 0x0005,
            Self::Esp32c5 => 0x0017,
            Self::Esp32c6 => 0x000d,
            Self::Esp32c61 => 0x0014,
            Self::Esp32h2 => 0x0010,
            Self::Esp32p4 => 0x0012,
        }
    }

    /// The chip with this `chip_id`, if this tool knows it.
    pub fn from_image_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|chip| chip.image_id() == id)
    }

    /// The compiler target of bare-metal programs for this chip.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Esp32 => "xtensa-esp32-none-elf",
            Self::Esp32s2 => "xtensa-esp32s2-none-elf",
            Self::Esp32s3 => "xtensa-esp32s3-none-elf",
            Self::Esp32c2 | Self::Esp32c3 => "riscv32imc-unknown-none-elf",
            Self::Esp32c5 | Self::Esp32c6 | Self::Esp32c61 | Self::Esp32h2 => {
                "riscv32imac-unknown-none-elf"
            }
            Self::Esp32p4 => "riscv32imafc-unknown-none-elf",
        }
    }

    /// Whether it has Wi-Fi, which the firmware that `init` writes updates over.
    pub const fn has_wifi(self) -> bool {
        !matches!(self, Self::Esp32h2 | Self::Esp32p4)
    }

    /// Where the ROM looks for the second-stage bootloader
    /// (`CONFIG_BOOTLOADER_OFFSET_IN_FLASH` in ESP-IDF).
    pub const fn bootloader_offset(self) -> u32 {
        match self {
            Self::Esp32 | Self::Esp32s2 => 0x1000,
            Self::Esp32c5 | Self::Esp32p4 => 0x2000,
            Self::Esp32s3
            | Self::Esp32c2
            | Self::Esp32c3
            | Self::Esp32c6
            | Self::Esp32c61
            | Self::Esp32h2 => 0x0,
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text names no chip that this tool knows.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a known chip")]
pub struct UnknownChip(String);

impl FromStr for Chip {
    type Err = UnknownChip;

    fn from_str(text: &str) -> Result<Self, UnknownChip> {
        // `ESP32-C3` is how data sheets and esptool spell it.
        let plain = text.to_ascii_lowercase().replace('-', "");
        Self::ALL
            .into_iter()
            .find(|chip| chip.name() == plain)
            .ok_or_else(|| UnknownChip(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_image_ids_lead_back_to_the_chip() {
        for chip in Chip::ALL {
            assert_eq!(chip.name().parse(), Ok(chip));
            assert_eq!(Chip::from_image_id(chip.image_id()), Some(chip));
        }
        assert_eq!("ESP32-C3".parse(), Ok(Chip::Esp32c3));
        assert_eq!("esp8266".parse::<Chip>(), Err(UnknownChip("esp8266".into())));
    }
}
