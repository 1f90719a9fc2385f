//! The size of a flash chip, as `esp-ota.toml` and data sheets write it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MEGABYTE: u32 = 1024 * 1024;
/// `ESP_IMAGE_FLASH_SIZE_128MB`.
const LARGEST_CODE: u8 = 7;

/// Size of the flash chip: a power of two from 1 MB to 128 MB, the sizes that ESP-IDF's image
/// header can state and `gen_esp32part.py` accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlashSize(u32);

impl FlashSize {
    /// The size most modules have.
    pub const DEFAULT: Self = Self(4 * MEGABYTE);

    /// The size of so many bytes; `None` where no header could state it.
    pub fn of(bytes: u32) -> Option<Self> {
        (0..=LARGEST_CODE).filter_map(Self::from_image_code).find(|size| size.0 == bytes)
    }

    /// Bytes.
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// The number for it in an image's header (`esp_image_flash_size_t`).
    pub fn image_code(self) -> u8 {
        u8::try_from(self.0.trailing_zeros().saturating_sub(MEGABYTE.trailing_zeros())).unwrap_or(0)
    }

    /// The size that a number in an image's header stands for.
    pub fn from_image_code(code: u8) -> Option<Self> {
        (code <= LARGEST_CODE).then(|| MEGABYTE.checked_shl(code.into()).map(Self)).flatten()
    }
}

impl fmt::Display for FlashSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}MB", self.0 / MEGABYTE))
    }
}

/// The text is no flash size.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a flash size: 1MB, 2MB, 4MB, 8MB, 16MB, 32MB, 64MB or 128MB")]
pub struct UnknownFlashSize(String);

impl FromStr for FlashSize {
    type Err = UnknownFlashSize;

    fn from_str(text: &str) -> Result<Self, UnknownFlashSize> {
        let upper = text.to_ascii_uppercase();
        let number = upper.strip_suffix("MB").or_else(|| upper.strip_suffix('M'));
        number
            .and_then(|number| number.parse::<u32>().ok())
            .filter(|megabytes| megabytes.is_power_of_two() && *megabytes <= 128)
            .and_then(|megabytes| megabytes.checked_mul(MEGABYTE))
            .map(Self)
            .ok_or_else(|| UnknownFlashSize(text.to_owned()))
    }
}

impl Serialize for FlashSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FlashSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_users_write_them() {
        assert_eq!("4MB".parse(), Ok(FlashSize::DEFAULT));
        assert_eq!("16m".parse::<FlashSize>().unwrap().bytes(), 0x100_0000);
        assert_eq!("8MB".parse::<FlashSize>().unwrap().to_string(), "8MB");
    }

    #[test]
    fn each_size_has_a_number_in_image_headers() {
        for (code, text) in (0..).zip(["1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB"])
        {
            let size: FlashSize = text.parse().unwrap();
            assert_eq!((size.image_code(), FlashSize::from_image_code(code)), (code, Some(size)));
            assert_eq!(FlashSize::of(size.bytes()), Some(size));
        }
        assert_eq!(FlashSize::from_image_code(8), None);
        assert_eq!(FlashSize::of(3 * MEGABYTE), None);
        assert_eq!(FlashSize::of(0), None);
    }

    #[test]
    fn sizes_no_chip_has_are_refused() {
        for text in ["", "MB", "3MB", "0MB", "256MB", "4096", "-4MB", "99999999999MB"] {
            assert!(text.parse::<FlashSize>().is_err(), "{text}");
        }
    }
}
