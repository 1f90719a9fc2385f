//! `esp-ota.toml` as it is written. Unknown keys are errors, with the key that was likely meant.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use toml::Spanned;

use super::{ConfigError, Name};
use crate::chip::Chip;
use crate::error::Location;
use crate::flash_size::FlashSize;
use crate::partition::Code;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Raw {
    pub(super) product: Option<Name>,
    #[serde(default, deserialize_with = "chip")]
    pub(super) chip: Option<Chip>,
    pub(super) flash_size: Option<FlashSize>,
    #[serde(default)]
    pub(super) partitions: Partitions,
    #[serde(default)]
    pub(super) trust: Trust,
    #[serde(default)]
    pub(super) release: Release,
    #[serde(default)]
    report: Report,
    /// `release.url` and `report.url`, with their places.
    #[serde(skip)]
    pub(super) release_url: Option<Placed>,
    #[serde(skip)]
    pub(super) report_url: Option<Placed>,
}

/// `partitions = "FILE"`, or a table where there is more to say.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    pub(super) file: Option<PathBuf>,
    /// Codes of findings that the project accepts.
    pub(super) allow: Option<Vec<Code>>,
    /// The same as they are written; [`parse`] turns them into codes.
    written: Vec<Spanned<String>>,
}

impl<'de> Deserialize<'de> for Partitions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FileOrTable)
    }
}

/// Not an untagged enum: that would lose the place of an error.
struct FileOrTable;

impl<'de> serde::de::Visitor<'de> for FileOrTable {
    type Value = Partitions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file name, or a table of `file` and `allow`")
    }

    fn visit_str<E>(self, file: &str) -> Result<Partitions, E> {
        Ok(Partitions { file: Some(file.into()), ..Partitions::default() })
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Partitions, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct Table {
            file: Option<PathBuf>,
            allow: Option<Vec<Spanned<String>>>,
        }
        let Table { file, allow } = Table::deserialize(MapAccessDeserializer::new(map))?;
        let is_said = allow.is_some();
        Ok(Partitions { file, allow: is_said.then(Vec::new), written: allow.unwrap_or_default() })
    }
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
    url: Option<Spanned<String>>,
    pub(super) store: Option<String>,
    pub(super) channel: Option<Name>,
    pub(super) keep: Option<NonZeroU32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Report {
    url: Option<Spanned<String>>,
}

/// A value whose place matters, because it is judged later than it is read.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) text: String,
    pub(super) place: Location,
}

impl Placed {
    /// The value at its place in `text`, the contents of `file`.
    pub(super) fn new(file: &Path, text: &str, value: Spanned<String>) -> Self {
        Self { place: location(file, text, value.span()), text: value.into_inner() }
    }
}

/// Every key of the file, for suggestions.
const KEYS: [&str; 16] = [
    "product",
    "chip",
    "flash-size",
    "partitions",
    "file",
    "allow",
    "trust",
    "roots",
    "embed",
    "release",
    "url",
    "store",
    "channel",
    "keep",
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
    let mut raw: Raw = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let word = text.get(span.clone()).unwrap_or_default();
        ConfigError::Malformed {
            location: location(file, text, span),
            message: error.message().to_owned(),
            meant: if error.message().starts_with("unknown field") {
                meant(word, &KEYS)
            } else {
                None
            },
        }
    })?;
    for written in &raw.partitions.written {
        let location = || location(file, text, written.span());
        let code: Code = written
            .get_ref()
            .parse()
            .map_err(|unknown| ConfigError::UnknownCode { location: location(), unknown })?;
        if code.refused_by_esp_idf() {
            return Err(ConfigError::NotAllowable { location: location(), code });
        }
        raw.partitions.allow.get_or_insert_default().push(code);
    }
    let placed = |value| Placed::new(file, text, value);
    raw.release_url = raw.release.url.take().map(placed);
    raw.report_url = raw.report.url.take().map(placed);
    Ok(raw)
}

fn location(file: &Path, text: &str, span: Range<usize>) -> Location {
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(1);
    let in_line = before.rsplit('\n').next().unwrap_or_default();
    let column = in_line.chars().count().saturating_add(1);
    Location { file: file.to_owned(), line: Some(line), column: Some(column) }
}

/// The key that is most like a word, where one is like it.
pub fn meant(word: &str, keys: &[&'static str]) -> Option<&'static str> {
    keys.iter()
        .map(|key| (strsim::jaro_winkler(word, key), *key))
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

    fn partitions(text: &str) -> Result<Partitions, ConfigError> {
        parse(Path::new("esp-ota.toml"), text).map(|raw| raw.partitions)
    }

    #[test]
    fn partitions_is_a_file_or_a_table() {
        let plain = partitions("partitions = \"a.csv\"\n").unwrap();
        assert_eq!((plain.file, plain.allow), (Some("a.csv".into()), None));
        for text in [
            "[partitions]\nfile = \"a.csv\"\nallow = [\"nvs-missing\"]\n",
            "partitions = { file = \"a.csv\", allow = [\"nvs-missing\"] }\n",
            "partitions.file = \"a.csv\"\npartitions.allow = [\"nvs-missing\"]\n",
        ] {
            let table = partitions(text).unwrap();
            assert_eq!(
                (table.file, table.allow),
                (Some("a.csv".into()), Some(vec![Code::NvsMissing]))
            );
        }
        let allow = partitions("[partitions]\nallow = [\"slot-gap\"]\n").unwrap();
        assert_eq!((allow.file, allow.allow), (None, Some(vec![Code::SlotGap])));
        assert_eq!(partitions("").unwrap().allow, None);
    }

    #[test]
    fn what_is_wrong_in_the_table_has_its_place() {
        let wrong = |text: &str| partitions(text).unwrap_err();
        let at = |error: &ConfigError| {
            let location = crate::error::Explained::location(error).unwrap();
            (location.line, location.column)
        };
        let key = wrong("[partitions]\nalow = []\n");
        assert_eq!(at(&key), (Some(2), Some(1)));
        assert!(matches!(key, ConfigError::Malformed { meant: Some("allow"), .. }), "{key}");
        let kind = wrong("product = \"a\"\npartitions = 5\n");
        assert_eq!(at(&kind), (Some(2), Some(14)));
        assert!(kind.to_string().contains("expected a file name, or a table"), "{kind}");
        let unknown = wrong("[partitions]\nallow = [\n  \"nvs-missing\",\n  \"slot-gpa\",\n]\n");
        assert_eq!(at(&unknown), (Some(4), Some(3)));
        assert!(matches!(unknown, ConfigError::UnknownCode { .. }), "{unknown}");
        let refused = wrong("[partitions]\nallow = [\"slot-gap\", \"overlap\"]\n");
        assert_eq!(at(&refused), (Some(2), Some(22)));
        assert!(matches!(refused, ConfigError::NotAllowable { code: Code::Overlap, .. }));
    }
}
