//! Numbers of bytes, as people type and read them: `0x140000`, `1280K`, `2M`.

use std::fmt;
use std::str::FromStr;

use super::number;

const KIBIBYTE: u64 = 1024;
const MEBIBYTE: u64 = 1024 * 1024;

/// A number of bytes. It is shown exactly, in the largest unit that leaves no fraction, so that
/// what is printed can be typed: `20K`, `4M`, `1500`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// The text is no size of anything in flash.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a size: write bytes such as `0x180000` or `1572864`, or `1536K`, or `2M`")]
pub struct NotASize(String);

impl FromStr for Size {
    type Err = NotASize;

    /// Reads what a table takes as a size, and `KB`, `KiB`, `MB`, `MiB` besides. No more than 32
    /// bits hold: the size of a partition in flash.
    fn from_str(text: &str) -> Result<Self, NotASize> {
        let lower = text.to_ascii_lowercase();
        let plain = ["ib", "b"]
            .iter()
            .filter_map(|unit| lower.strip_suffix(unit))
            .find(|number| number.ends_with(['k', 'm']))
            .unwrap_or(&lower);
        number::parse(plain, &[])
            .ok()
            .and_then(|bytes| u32::try_from(bytes).ok())
            .map(|bytes| Self(bytes.into()))
            .ok_or_else(|| NotASize(super::text::quote(text).into_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |unit: u64| self.0.checked_div(unit).filter(|_| self.0.is_multiple_of(unit));
        let text = match (whole(MEBIBYTE), whole(KIBIBYTE)) {
            _ if self.0 == 0 => "0".to_owned(),
            (Some(count), _) => format!("{count}M"),
            (None, Some(count)) => format!("{count}K"),
            (None, None) => self.0.to_string(),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_tables_and_data_sheets_write_them() {
        for (text, bytes) in [
            ("24K", 0x6000),
            ("24k", 0x6000),
            ("24KB", 0x6000),
            ("24KiB", 0x6000),
            ("0x6000", 0x6000),
            ("2MB", 0x20_0000),
            ("0x1b", 0x1b),
            ("0", 0),
            ("4294967295", 0xffff_ffff),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_no_partition_can_have_is_no_size() {
        for text in ["", "K", "1.5M", "-4K", "4G", "4294967296", "4096M", "B", "nvs", "1 KBB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_exact_and_can_be_typed() {
        for (bytes, text) in [(0, "0"), (1500, "1500"), (0x5000, "20K"), (0x40_0000, "4M")] {
            assert_eq!(Size(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(Size(bytes)));
        }
        assert_eq!(format!("{:>6}", Size(0x14_0000)), " 1280K");
    }
}
