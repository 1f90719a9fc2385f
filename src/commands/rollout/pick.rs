//! Which of the listed releases a command is about.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::RolloutError;
use crate::chip::Chip;
use crate::release::rules::Release;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands) struct Wanted<'a> {
    pub(in crate::commands) product: &'a str,
    pub(in crate::commands) channel: &'a str,
    /// `None`: every chip.
    pub(in crate::commands) chip: Option<Chip>,
    /// `None`: the newest.
    pub(in crate::commands) version: Option<&'a Version>,
    /// The store, for words.
    pub(in crate::commands) store: &'a str,
}

/// The releases of one version, one for each chip.
///
/// # Errors
///
/// Where there is none, and where chips have different newest versions: nothing is guessed.
pub(in crate::commands) fn pick<'a>(
    listed: &'a [Release],
    wanted: &Wanted<'_>,
) -> Result<Vec<&'a Release>, RolloutError> {
    let candidates: Vec<(Version, &Release)> = listed
        .iter()
        .filter(|release| {
            let custom = &release.custom;
            custom.product == wanted.product
                && wanted.chip.is_none_or(|chip| custom.chip == chip)
                && custom.channels.iter().any(|name| name == wanted.channel)
        })
        // `publish` writes no other versions, and no agent reads others.
        .filter_map(|release| Some((Version::parse(&release.custom.version).ok()?, release)))
        .collect();
    let versions: BTreeSet<&Version> = candidates.iter().map(|(version, _)| version).collect();
    let Some(newest) = versions.last() else {
        return Err(RolloutError::Nothing {
            store: wanted.store.to_owned(),
            product: wanted.product.to_owned(),
            chip: wanted.chip.map_or("any chip".to_owned(), |chip| chip.to_string()),
            channel: wanted.channel.to_owned(),
        });
    };
    let version = match wanted.version {
        Some(version) if versions.contains(version) => version,
        Some(version) => {
            return Err(RolloutError::NotListed {
                version: version.to_string(),
                channel: wanted.channel.to_owned(),
                listed: versions.iter().map(ToString::to_string).collect(),
            });
        }
        None => {
            let newest_of_chips = newest_of_chips(&candidates);
            if newest_of_chips.values().any(|version| version != newest) {
                return Err(RolloutError::Several {
                    channel: wanted.channel.to_owned(),
                    newest: newest_of_chips
                        .iter()
                        .map(|(chip, version)| format!("`{version}` for {chip}"))
                        .collect(),
                });
            }
            newest
        }
    };
    let is_wanted = |(found, _): &&(Version, &Release)| found == version;
    Ok(candidates.iter().filter(is_wanted).map(|(_, release)| *release).collect())
}

/// Reads a version from the command line.
pub(in crate::commands) fn version(text: &str) -> Result<Version, String> {
    let version = Version::parse(text.strip_prefix('v').unwrap_or(text));
    version.map_err(|error| error.to_string())
}

fn newest_of_chips<'a>(candidates: &'a [(Version, &Release)]) -> BTreeMap<Chip, &'a Version> {
    let mut newest: BTreeMap<Chip, &Version> = BTreeMap::new();
    for (version, release) in candidates {
        let known = newest.entry(release.custom.chip).or_insert(version);
        *known = version.max(*known);
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::custom::tests::listed as release;

    fn picked(
        listed: &[Release],
        chip: Option<Chip>,
        version: Option<&str>,
    ) -> Result<Vec<String>, RolloutError> {
        let version = version.map(|text| Version::parse(text).unwrap());
        let version = version.as_ref();
        let (product, channel, store) = ("thermostat", "stable", "dir:dist");
        let wanted = Wanted { product, channel, chip, version, store };
        let found = pick(listed, &wanted)?;
        Ok(found.iter().map(|it| format!("{} {}", it.custom.version, it.custom.chip)).collect())
    }

    fn on(chip: Chip, version: &str) -> Release {
        let mut release = release(version, 100);
        release.custom.chip = chip;
        release
    }

    #[test]
    fn the_newest_is_meant_for_all_its_chips_and_versions_are_no_text() {
        let (c3, s3) = (Chip::Esp32c3, Chip::Esp32s3);
        let listed = [on(c3, "1.9.0"), on(c3, "1.10.0"), on(s3, "1.9.0"), on(s3, "1.10.0")];
        assert_eq!(picked(&listed, None, None).unwrap(), ["1.10.0 esp32c3", "1.10.0 esp32s3"]);
        assert_eq!(picked(&listed, Some(s3), None).unwrap(), ["1.10.0 esp32s3"]);
        let older = picked(&listed, None, Some("1.9.0")).unwrap();
        assert_eq!(older, ["1.9.0 esp32c3", "1.9.0 esp32s3"]);
    }

    #[test]
    fn where_chips_differ_nothing_is_guessed() {
        let (c3, s3) = (Chip::Esp32c3, Chip::Esp32s3);
        let listed = [on(c3, "1.3.0"), on(s3, "1.2.0")];
        let newest = vec!["`1.2.0` for esp32s3".to_owned(), "`1.3.0` for esp32c3".to_owned()];
        let error = RolloutError::Several { channel: "stable".into(), newest };
        assert_eq!(picked(&listed, None, None), Err(error));
        assert_eq!(picked(&listed, Some(s3), None).unwrap(), ["1.2.0 esp32s3"]);
        assert_eq!(picked(&listed, None, Some("1.3.0")).unwrap(), ["1.3.0 esp32c3"]);
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let listed = [release("1.0.0", 100)];
        let none = picked(&listed, Some(Chip::Esp32s3), None);
        assert!(matches!(none, Err(RolloutError::Nothing { .. })), "{none:?}");
        let other = picked(&listed, None, Some("2.0.0")).unwrap_err();
        assert_eq!(other.to_string(), "`2.0.0` is not listed in `stable`, which has `1.0.0`");
    }
}
