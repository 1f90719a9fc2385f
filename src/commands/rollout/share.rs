//! A share of the devices, as users write it.

use std::fmt;
use std::str::FromStr;

use crate::release::custom::WHOLE_FLEET;

/// 0 to 100 percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Share(u8);

impl Share {
    /// No device.
    pub(super) const NONE: Self = Self(0);

    pub(super) fn percent(self) -> u8 {
        self.0
    }
}

/// Neither `25` nor `25%`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a whole number from 0 to 100, with or without `%`")]
pub(super) struct NoShare;

impl FromStr for Share {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Self, NoShare> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        // `u8` would take a sign as well.
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|number| is_number && *number <= WHOLE_FLEET);
        number.map(Self).ok_or(NoShare)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_whole_number_with_or_without_a_sign() {
        for (text, percent) in [("0", 0), ("25", 25), ("25%", 25), ("100%", 100), ("007", 7)] {
            assert_eq!(text.parse(), Ok(Share(percent)), "{text}");
        }
        for text in ["", "%", "101", "-1", "+5", "2.5", "25 %", "25%%", "300%"] {
            assert_eq!(text.parse::<Share>(), Err(NoShare), "{text}");
        }
    }
}
