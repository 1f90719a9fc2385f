//! Which images may be published beside what is published already.
//!
//! Pure: values in, a verdict out. A device never goes back to a lower version, so one that is
//! published by mistake cannot be taken back, only overtaken.

use semver::Version;
use sha2::{Digest, Sha256};

use super::custom::{Caps, Custom, WHOLE_FLEET, is_plain_name};
use crate::chip::Chip;
use crate::error::{Exit, Explained};
use crate::hex;

/// An image that is, or is to be, listed in the targets metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// What the metadata says about it.
    pub custom: Custom,
    /// SHA-256 of the image, lower-case hex.
    pub sha256: String,
    /// Bytes of the image.
    pub length: u64,
}

impl Release {
    /// The SHA-256 of an image as a release states it.
    pub fn sha256_of(image: &[u8]) -> String {
        hex::lower(&Sha256::digest(image))
    }

    /// Where its image is in a store.
    pub fn image_path(&self) -> String {
        format!("targets/{}.{}", self.sha256, self.custom.file_name())
    }
}

/// What to do with an image that may be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not listed yet: list it.
    New,
    /// These very bytes are listed with this version in all its channels: nothing to do.
    Published,
}

/// Why an image is not published.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Refused {
    #[error("`{version}` is not a semantic version ({reason})")]
    NoVersion { version: String, reason: String },
    #[error("`{version}` carries build metadata (`+{build}`), which does not order versions")]
    Build { version: String, build: String },
    #[error("`{0}` is what `git describe` calls a commit between releases, not a version")]
    Describe(String),
    #[error("`{0}` cannot stand in release metadata")]
    Name(String),
    #[error("the release is in no channel")]
    NoChannel,
    #[error("a rollout to {0} percent of the devices")]
    Percent(u8),
    #[error(
        "`{version}` is not newer than `{newest}`, the newest release for {chip} in `{channel}`"
    )]
    NotNewer { version: String, newest: String, chip: String, channel: String },
    #[error(
        "`{file}` is published with other bytes (SHA-256 `{published}`, this image `{offered}`)"
    )]
    OtherBytes { file: String, published: String, offered: String },
    #[error("`{file}` is published in {} only", channels.join(", "))]
    OtherChannel { file: String, channels: Vec<String> },
    #[error(
        "`{metadata}` would be {length} bytes, and the agent of `{release}` accepts no more than \
         {cap}"
    )]
    OverCap { metadata: &'static str, length: usize, cap: u32, release: String },
}

/// Reads a version as users write it: semantic, with or without a leading `v`.
pub fn version(text: &str) -> Result<Version, Refused> {
    let plain = text.strip_prefix('v').unwrap_or(text);
    let version = Version::parse(plain).map_err(|error| Refused::NoVersion {
        version: text.to_owned(),
        reason: error.to_string(),
    })?;
    if !version.build.is_empty() {
        return Err(Refused::Build {
            version: text.to_owned(),
            build: version.build.as_str().to_owned(),
        });
    }
    if is_describe(version.pre.as_str()) {
        return Err(Refused::Describe(text.to_owned()));
    }
    Ok(version)
}

/// Whether a pre-release part is `git describe`'s `<commits>-g<hash>`, or the mark of uncommitted
/// changes. As a semantic version it would sort *below* the release that it follows.
fn is_describe(pre: &str) -> bool {
    if pre == "dirty" || pre.ends_with("-dirty") {
        return true;
    }
    let Some((before, hash)) = pre.rsplit_once("-g") else { return false };
    let commits = before.rsplit(['-', '.']).next().unwrap_or(before);
    // git abbreviates a hash to no fewer than four digits (git-config(1), core.abbrev).
    let is_hash = hash.len() >= 4 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash && !commits.is_empty() && commits.bytes().all(|b| b.is_ascii_digit())
}

/// Decides about one image, given everything that is listed.
pub fn judge(published: &[Release], offered: &Release) -> Result<Verdict, Refused> {
    let custom = &offered.custom;
    let version = version(&custom.version)?;
    for name in custom.channels.iter().chain([&custom.product]) {
        if !is_plain_name(name) {
            return Err(Refused::Name(name.clone()));
        }
    }
    if !custom.rollout.seed.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err(Refused::Name(custom.rollout.seed.clone()));
    }
    if custom.channels.is_empty() {
        return Err(Refused::NoChannel);
    }
    if custom.rollout.percent > WHOLE_FLEET {
        return Err(Refused::Percent(custom.rollout.percent));
    }

    let siblings = || {
        published.iter().filter(|release| {
            release.custom.product == custom.product && release.custom.chip == custom.chip
        })
    };
    if let Some(same) = siblings().find(|release| release.custom.version == version.to_string()) {
        return judge_same_version(same, offered);
    }
    for channel in &custom.channels {
        let newest = siblings()
            .filter(|release| release.custom.channels.contains(channel))
            .filter_map(|release| Version::parse(&release.custom.version).ok())
            .max();
        if let Some(newest) = newest.filter(|newest| *newest >= version) {
            return Err(Refused::NotNewer {
                version: version.to_string(),
                newest: newest.to_string(),
                chip: custom.chip.to_string(),
                channel: channel.clone(),
            });
        }
    }
    Ok(Verdict::New)
}

fn judge_same_version(same: &Release, offered: &Release) -> Result<Verdict, Refused> {
    let file = same.custom.file_name();
    if same.sha256 != offered.sha256 {
        return Err(Refused::OtherBytes {
            file,
            published: same.sha256.clone(),
            offered: offered.sha256.clone(),
        });
    }
    let offers = |channel| same.custom.channels.contains(channel);
    if offered.custom.channels.iter().all(offers) {
        Ok(Verdict::Published)
    } else {
        Err(Refused::OtherChannel { file, channels: same.custom.channels.clone() })
    }
}

/// The release that a plain client of `channel` gets for a product and chip: the newest that every
/// device may take.
pub fn newest_for_everyone<'a>(
    published: &'a [Release],
    (product, chip): (&str, Chip),
    channel: &str,
) -> Option<&'a Release> {
    published
        .iter()
        .filter(|release| {
            release.custom.product == product
                && release.custom.chip == chip
                && release.custom.is_fully_rolled_out(channel)
        })
        .filter_map(|release| Some((Version::parse(&release.custom.version).ok()?, release)))
        .max_by(|(one, _), (other, _)| one.cmp(other))
        .map(|(_, release)| release)
}

/// Bytes of the metadata files that are about to be written; 0 for those that stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetadataSizes {
    /// The root in force.
    pub root: usize,
    /// `timestamp.json`.
    pub timestamp: usize,
    /// `N.snapshot.json`.
    pub snapshot: usize,
    /// `N.targets.json`.
    pub targets: usize,
}

/// Refuses metadata that the agent of a listed release would not accept: its devices could never
/// update again.
pub fn within_caps(releases: &[Release], sizes: MetadataSizes) -> Result<(), Refused> {
    for Release { custom, .. } in releases {
        let Caps { root, timestamp, snapshot, targets } = custom.caps;
        for (metadata, length, cap) in [
            ("root.json", sizes.root, root),
            ("timestamp.json", sizes.timestamp, timestamp),
            ("snapshot.json", sizes.snapshot, snapshot),
            ("targets.json", sizes.targets, targets),
        ] {
            if u32::try_from(length).map_or(true, |length| length > cap) {
                let release = custom.file_name();
                return Err(Refused::OverCap { metadata, length, cap, release });
            }
        }
    }
    Ok(())
}

impl Explained for Refused {
    fn exit(&self) -> Exit {
        match self {
            Self::NoVersion { .. }
            | Self::Build { .. }
            | Self::Describe(_)
            | Self::Name(_)
            | Self::NoChannel
            | Self::Percent(_)
            | Self::NotNewer { .. }
            | Self::OtherBytes { .. }
            | Self::OtherChannel { .. }
            | Self::OverCap { .. } => Exit::Rejected,
        }
    }

    fn help(&self) -> Option<String> {
        Some(
            match self {
                Self::NoVersion { .. } | Self::Build { .. } | Self::Describe(_) => {
                    "give it a version like `1.4.0`, in `Cargo.toml` or with \
                     `cargo esp-ota publish --release-version`"
                }
                Self::Name(_) => {
                    "use lower-case letters, digits, `-`, `_` and `.` in `esp-ota.toml`"
                }
                Self::NoChannel => "set `[release] channel` in `esp-ota.toml`",
                Self::Percent(_) => "choose a share from 0 to 100",
                Self::NotNewer { .. } | Self::OtherBytes { .. } | Self::OtherChannel { .. } => {
                    "raise the version and run `cargo esp-ota publish` again"
                }
                Self::OverCap { .. } => "publish fewer releases in this repository",
            }
            .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::custom::tests::example;

    fn release(version: &str, content: &str) -> Release {
        Release { custom: example(version), sha256: content.into(), length: 1 }
    }

    #[test]
    fn a_leading_v_is_dropped() {
        assert_eq!(version("v1.2.3").unwrap().to_string(), "1.2.3");
        assert_eq!(version("1.2.3-rc.1").unwrap().to_string(), "1.2.3-rc.1");
    }

    #[test]
    fn what_does_not_order_is_no_version() {
        for bad in ["", "v", "1.2", "01.2.3", "vv1.2.3", "abc", "1.2.3.4", "V1.2.3"] {
            assert!(matches!(version(bad), Err(Refused::NoVersion { .. })), "{bad}");
        }
        assert!(matches!(version("1.2.3+42"), Err(Refused::Build { .. })));
        for bad in ["1.2.3-4-gabcdef0", "v1.2.3-4-gabcd-dirty", "1.2.3-dirty", "1.2.3-rc.1-4-gabcd"]
        {
            assert_eq!(version(bad), Err(Refused::Describe(bad.into())));
        }
        for good in ["1.2.3-g", "1.2.3-x-gabcd", "1.2.3-4-gabc", "1.2.3-4-gabcx", "1.2.3-beta-2"] {
            assert!(version(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn only_a_newer_version_is_published() {
        let published = [release("1.2.0", "a"), release("1.10.0", "b")];
        assert_eq!(judge(&published, &release("1.10.1", "c")), Ok(Verdict::New));
        for older in ["1.9.0", "1.10.0-rc.1", "0.1.0"] {
            let refused = judge(&published, &release(older, "c")).unwrap_err();
            assert!(matches!(refused, Refused::NotNewer { .. }), "{older}");
            assert_eq!(refused.exit(), Exit::Rejected);
        }
    }

    #[test]
    fn a_version_keeps_its_bytes() {
        let published = [release("1.2.0", "a"), release("1.3.0", "b")];
        for same in [release("1.3.0", "b"), release("1.2.0", "a"), release("v1.3.0", "b")] {
            assert_eq!(judge(&published, &same), Ok(Verdict::Published));
        }
        for other in [release("1.3.0", "c"), release("1.2.0", "c"), release("1.2.0", "b")] {
            let refused = judge(&published, &other).unwrap_err();
            assert!(matches!(refused, Refused::OtherBytes { .. }));
            assert_eq!(refused.exit(), Exit::Rejected);
        }
    }

    #[test]
    fn products_chips_and_channels_do_not_hinder_each_other() {
        let published = [release("2.0.0", "a")];
        let mut product = release("1.0.0", "b");
        product.custom.product = "kettle".into();
        let mut chip = release("1.0.0", "b");
        chip.custom.chip = Chip::Esp32s3;
        let mut channel = release("1.0.0", "b");
        channel.custom.channels = vec!["beta".into()];
        for other in [product, chip, channel] {
            assert_eq!(judge(&published, &other), Ok(Verdict::New));
        }
        let mut both = release("1.0.0", "b");
        both.custom.channels = vec!["beta".into(), "stable".into()];
        assert!(matches!(judge(&published, &both), Err(Refused::NotNewer { .. })));
        let mut elsewhere = release("2.0.0", "a");
        elsewhere.custom.channels = vec!["beta".into()];
        assert!(matches!(judge(&published, &elsewhere), Err(Refused::OtherChannel { .. })));
    }

    #[test]
    fn what_would_break_the_metadata_is_refused() {
        let broken = |change: fn(&mut Custom)| {
            let mut release = release("1.0.0", "a");
            change(&mut release.custom);
            judge(&[], &release)
        };
        assert!(matches!(broken(|c| c.product = "../x".into()), Err(Refused::Name(_))));
        assert!(matches!(broken(|c| c.channels = vec!["ä".into()]), Err(Refused::Name(_))));
        assert!(matches!(broken(|c| c.rollout.seed = "\n".into()), Err(Refused::Name(_))));
        assert_eq!(broken(|c| c.channels.clear()), Err(Refused::NoChannel));
        assert_eq!(broken(|c| c.rollout.percent = 101), Err(Refused::Percent(101)));
        assert_eq!(broken(|c| c.rollout.percent = 100), Ok(Verdict::New));
    }

    #[test]
    fn plain_clients_get_the_newest_release_that_everyone_may_take() {
        let mut trying = release("1.3.0", "c");
        trying.custom.rollout.percent = 99;
        let mut beta = release("1.4.0", "d");
        beta.custom.channels = vec!["beta".into()];
        let published = [release("1.2.0", "b"), release("1.1.0", "a"), trying, beta];
        let plain = |channel| {
            newest_for_everyone(&published, ("thermostat", Chip::Esp32c3), channel)
                .map(|r| r.sha256.as_str())
        };
        assert_eq!(plain("stable"), Some("b"));
        assert_eq!(plain("beta"), Some("d"));
        assert_eq!(plain("nightly"), None);
    }

    #[test]
    fn metadata_that_fills_a_cap_is_fine_and_one_byte_more_is_not() {
        let releases = [release("1.0.0", "a")];
        let full = MetadataSizes { root: 8192, timestamp: 4096, snapshot: 8192, targets: 65536 };
        assert_eq!(within_caps(&releases, full), Ok(()));
        for over in [
            MetadataSizes { root: 8193, ..full },
            MetadataSizes { timestamp: 4097, ..full },
            MetadataSizes { snapshot: 8193, ..full },
            MetadataSizes { targets: 65537, ..full },
        ] {
            assert!(matches!(within_caps(&releases, over), Err(Refused::OverCap { .. })));
        }
    }
}
