//! `esp-ota.toml` as it is written. Unknown keys are errors, with the key that was likely meant.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ConfigError, Name};
use crate::chip::Chip;
use crate::error::Location;
use crate::flash_size::FlashSize;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Raw {
    pub(super) product: Option<Name>,
    #[serde(default, deserialize_with = "chip")]
    pub(super) chip: Option<Chip>,
    pub(super) flash_size: Option<FlashSize>,
    pub(super) partitions: Option<PathBuf>,
    #[serde(default)]
    pub(super) trust: Trust,
    #[serde(default)]
    pub(super) release: Release,
    #[serde(default)]
    pub(super) report: Report,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Trust {
    pub(super) roots: Option<Vec<PathBuf>>,
    pub(super) embed: Option<Vec<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Release {
    pub(super) url: Option<String>,
    pub(super) store: Option<String>,
    pub(super) channel: Option<Name>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Report {
    pub(super) url: Option<String>,
}

/// Every key of the file, for suggestions.
const KEYS: [&str; 13] = [
    "product",
    "chip",
    "flash-size",
    "partitions",
    "trust",
    "roots",
    "embed",
    "release",
    "url",
    "store",
    "channel",
    "report",
    "url",
];
/// Jaro-Winkler similarity from which a known key counts as what was meant.
const ALIKE: f64 = 0.8;

fn chip<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Chip>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

pub(super) fn parse(file: &Path, text: &str) -> Result<Raw, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let before = text.get(..span.start).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        let in_line = before.rsplit('\n').next().unwrap_or_default();
        let column = in_line.chars().count().saturating_add(1);
        let word = text.get(span).unwrap_or_default();
        ConfigError::Malformed {
            location: Location { file: file.to_owned(), line: Some(line), column: Some(column) },
            message: error.message().to_owned(),
            meant: if error.message().starts_with("unknown field") { meant(word) } else { None },
        }
    })
}

fn meant(word: &str) -> Option<&'static str> {
    KEYS.into_iter()
        .map(|key| (strsim::jaro_winkler(word, key), key))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_refused_with_its_place_and_what_was_meant() {
        let error = parse(Path::new("esp-ota.toml"), "product = \"a\"\nflash-sise = \"4MB\"\n");
        let Err(ConfigError::Malformed { location, message, meant }) = error else { panic!() };
        assert_eq!((location.line, location.column), (Some(2), Some(1)));
        assert!(message.contains("flash-sise"), "{message}");
        assert_eq!(meant, Some("flash-size"));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_place() {
        let error = parse(Path::new("esp-ota.toml"), "chip = \"esp8266\"\n");
        let Err(ConfigError::Malformed { location, message, .. }) = error else { panic!() };
        assert_eq!((location.line, location.column), (Some(1), Some(8)));
        assert_eq!(message, "`esp8266` is not a known chip");
    }
}
