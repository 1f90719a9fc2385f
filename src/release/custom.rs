//! What the metadata says about one image: the `custom` object of its TUF target.
//!
//! Devices choose their release by it, so its fields are part of the contract with every agent in
//! the field: fields may be added, none may change its meaning.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chip::Chip;

/// The largest share of devices a rollout can have.
pub const WHOLE_FLEET: u8 = 100;

/// The description of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Custom {
    /// The product it updates.
    pub product: String,
    /// The channels that offer it, at least one.
    pub channels: Vec<String>,
    /// The chip it runs on.
    pub chip: Chip,
    /// Semantic version, without `v` and without `+build`.
    pub version: String,
    /// Where the version was found.
    pub version_source: VersionSource,
    /// Anti-rollback counter of the app descriptor.
    pub secure_version: u32,
    /// Lowest chip revision of the image header: major times 100 plus minor.
    pub min_chip_revision: u16,
    /// Which share of the devices may take it.
    pub rollout: Rollout,
    /// SHA-256 of each certificate that the image pins, lower-case hex.
    pub roots: Vec<String>,
    /// SHA-256 over the agent's source files, lower-case hex; `None` for an image without the
    /// agent.
    pub agent: Option<String>,
    /// The largest metadata its agent accepts.
    pub caps: Caps,
}

/// Where a version was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionSource {
    /// In the image's app descriptor.
    AppDescriptor,
    /// On the command line, because the descriptor holds none.
    CommandLine,
    /// Somewhere this version of the tool has no name for.
    #[serde(other)]
    Unknown,
}

/// Which devices may take a release: those whose number, hashed with the seed, is below a percent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rollout {
    /// Share of the devices, 0 to 100.
    pub percent: u8,
    /// Text that decides which devices come first.
    pub seed: String,
}

/// The largest metadata files an agent accepts, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Caps {
    /// Each `N.root.json`.
    pub root: u32,
    /// `timestamp.json`.
    pub timestamp: u32,
    /// `N.snapshot.json`.
    pub snapshot: u32,
    /// `N.targets.json`.
    pub targets: u32,
}

impl Custom {
    /// The TUF target path: `<product>-<chip>-<version>.bin`.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}.bin", self.product, self.chip, self.version)
    }

    /// Whether every device of a channel may take it.
    pub fn is_fully_rolled_out(&self, channel: &str) -> bool {
        self.rollout.percent >= WHOLE_FLEET && self.channels.iter().any(|name| name == channel)
    }

    /// Reads the object of a target. Fields this version does not know stay unread.
    pub(super) fn from_target(custom: &HashMap<String, Value>) -> serde_json::Result<Self> {
        serde_json::from_value(Value::Object(custom.clone().into_iter().collect()))
    }

    /// The object as a target holds it.
    pub(super) fn to_target(&self) -> serde_json::Result<HashMap<String, Value>> {
        serde_json::from_value(serde_json::to_value(self)?)
    }
}

/// Whether a name can stand in a path and in canonical JSON: lower-case ASCII letters, digits,
/// `-`, `_` and `.`, starting with a letter or digit, at most 64 bytes.
pub fn is_plain_name(name: &str) -> bool {
    const LONGEST: usize = 64; // with chip, version and hash still below the 255 of file systems
    name.len() <= LONGEST
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::release::rules::Release;

    /// A listed release of the same product, with its version for a hash and a seed.
    pub(crate) fn listed(version: &str, percent: u8) -> Release {
        let mut custom = example(version);
        custom.rollout.percent = percent;
        Release { custom, sha256: version.into(), length: 1 }
    }

    pub(in crate::release) fn example(version: &str) -> Custom {
        Custom {
            product: "thermostat".into(),
            channels: vec!["stable".into()],
            chip: Chip::Esp32c3,
            version: version.into(),
            version_source: VersionSource::AppDescriptor,
            secure_version: 0,
            min_chip_revision: 3,
            rollout: Rollout { percent: 100, seed: version.into() },
            roots: vec!["ab".repeat(32)],
            agent: None,
            caps: Caps { root: 8192, timestamp: 4096, snapshot: 8192, targets: 65536 },
        }
    }

    #[test]
    fn the_json_shape_is_a_promise_to_every_agent() {
        let text = serde_json::to_string(&example("1.2.0")).unwrap();
        assert_eq!(
            text,
            format!(
                "{{\"product\":\"thermostat\",\"channels\":[\"stable\"],\"chip\":\"esp32c3\",\
                 \"version\":\"1.2.0\",\"version-source\":\"app-descriptor\",\"secure-version\":0,\
                 \"min-chip-revision\":3,\"rollout\":{{\"percent\":100,\"seed\":\"1.2.0\"}},\
                 \"roots\":[\"{}\"],\"agent\":null,\"caps\":{{\"root\":8192,\"timestamp\":4096,\
                 \"snapshot\":8192,\"targets\":65536}}}}",
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn what_a_later_version_adds_does_not_hinder_reading() {
        let mut target = example("1.2.0").to_target().unwrap();
        target.insert("patches".into(), Value::Array(Vec::new()));
        target.insert("version-source".into(), "dice".into());
        let read = Custom::from_target(&target).unwrap();
        assert_eq!(read.version_source, VersionSource::Unknown);
        target.remove("chip");
        assert!(Custom::from_target(&target).is_err());
    }

    #[test]
    fn a_name_that_could_leave_its_folder_is_not_plain() {
        for good in ["thermostat", "t-1000", "a.b_c", "0"] {
            assert!(is_plain_name(good), "{good}");
        }
        for bad in ["", "..", ".a", "-a", "a/b", "a\\b", "Ä", "A", "a b", "a%2e"] {
            assert!(!is_plain_name(bad), "{bad}");
        }
        assert!(is_plain_name(&"a".repeat(64)));
        assert!(!is_plain_name(&"a".repeat(65)));
    }
}
