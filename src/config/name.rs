//! Names of products and channels: they end up in file names, URLs and metadata.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// Longest name. It is part of every target's file name and of each device's metadata.
const LONGEST: usize = 32;

/// Lower-case letters, digits, `-` and `_`, beginning with a letter or digit; 32 bytes at most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Name(String);

/// The text is no name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a name: use lower-case letters, digits, `-` and `_`, {LONGEST} at most, beginning \
     with a letter or digit"
)]
pub struct NameError(String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The channel a project has unless it says otherwise.
    pub(super) fn stable() -> Self {
        Self("stable".into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_name = text.bytes().next().is_some_and(is_plain)
            && text.len() <= LONGEST
            && text.bytes().all(|byte| is_plain(byte) || byte == b'-' || byte == b'_');
        if is_name { Ok(Self(text.to_owned())) } else { Err(NameError(text.to_owned())) }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for text in ["", "../x", "a/b", "a b", ".hidden", "-flag", "Thermostat", "ü"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        assert!("a".repeat(33).parse::<Name>().is_err());
        assert!("a".repeat(32).parse::<Name>().is_ok());
        assert_eq!("thermo-stat_2".parse::<Name>().unwrap().as_str(), "thermo-stat_2");
    }
}
