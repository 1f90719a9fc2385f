//! Which of the targets is the next release for this device, and whether there is one at all.

use alloc::string::{String, ToString};
use semver::Version;

use super::json::Value;
use super::rollout;
use super::tuf::{Target, Targets};

/// What a device knows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The product it is.
    pub product: String,
    /// The channel it follows.
    pub channel: String,
    /// The chip, as in `esp32c3`.
    pub chip: String,
    /// The eFuse MAC as 12 lower-case hexadecimal digits.
    pub device_id: String,
    /// The version that runs, as it was compiled; what the image states goes before it.
    pub version: Version,
}

/// A release this device should install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where the image is, relative to the repository's URL.
    pub path: String,
    /// The name of the target.
    pub name: String,
    /// SHA-256 of the image.
    pub sha256: [u8; 32],
    /// Bytes of the image.
    pub length: u32,
    /// The version it brings.
    pub version: Version,
    /// `secure_version` of its app descriptor.
    pub secure_version: u32,
    /// Least chip revision it runs on, as ESP-IDF counts: major times 100 plus minor.
    pub min_chip_revision: u16,
}

/// The answer of [`select`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What to install, if anything.
    pub candidate: Option<Candidate>,
    /// Set where nothing is chosen because there are releases, and none of them is meant for this
    /// device's product or chip: then the device asks the wrong place.
    pub foreign: Option<Foreign>,
    /// Targets that claim to be releases and cannot be read as such, or have a name that must not
    /// become a path. They are passed over: one bad entry must not stop all updates.
    pub skipped: usize,
}

/// In what respect all releases of a repository are somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// None is of this product.
    Product,
    /// Some are of this product, and none of them for this chip.
    Chip,
}

impl Foreign {
    /// Kebab-case name for reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Product => "foreign-product",
            Self::Chip => "foreign-chip",
        }
    }
}

impl core::fmt::Display for Foreign {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Product => "all releases of the repository are of other products",
            Self::Chip => "all releases of this product are for other chips",
        })
    }
}

/// Finds the highest version for this product, channel and chip that is newer than what runs, was
/// not rejected here, and whose rollout includes this device.
///
/// Of two targets with the same version the first that is written wins; `publish` never makes any.
pub fn select(
    targets: &Targets,
    consistent_snapshot: bool,
    identity: &Identity,
    rejected: impl Fn(&[u8; 32]) -> bool,
) -> Selection {
    let mut selection = Selection::default();
    let (mut any, mut of_product, mut for_chip) = (false, false, false);
    for target in targets.iter() {
        // A target without `custom` is some other file, not a release.
        let Some(custom) = target.custom() else { continue };
        let Some(release) = Release::read(&target, custom, consistent_snapshot) else {
            selection.skipped = selection.skipped.saturating_add(1);
            continue;
        };
        any = true;
        of_product |= release.product == identity.product;
        for_chip |= release.product == identity.product && release.chip == identity.chip;
        let best = selection.candidate.as_ref().map_or(&identity.version, |best| &best.version);
        if release.is_for(identity)
            && release.candidate.version.cmp_precedence(best).is_gt()
            && !rejected(&release.candidate.sha256)
        {
            selection.candidate = Some(release.candidate);
        }
    }
    selection.foreign = match (any, of_product, for_chip) {
        (true, false, _) => Some(Foreign::Product),
        (true, true, false) => Some(Foreign::Chip),
        _ => None,
    };
    selection
}

/// A target read as a release. Fields of `custom` that are not read here are for other readers.
struct Release<'a> {
    candidate: Candidate,
    product: String,
    chip: String,
    channels: Value<'a>,
    percent: u8,
    seed: String,
}

impl<'a> Release<'a> {
    fn read(target: &Target<'a>, custom: Value<'a>, consistent_snapshot: bool) -> Option<Self> {
        let text = |name| Some(custom.member(name)?.text()?.to_string());
        let rollout = custom.member("rollout")?;
        let channels = custom.member("channels")?;
        if !channels.elements()?.all(|channel| channel.text().is_some()) {
            return None;
        }
        let candidate = Candidate {
            path: target.path(consistent_snapshot)?,
            name: target.name().to_string(),
            sha256: target.sha256()?,
            length: u32::try_from(target.length()).ok()?,
            // `+build` has no order, so it must not tell two releases apart.
            version: Version::parse(&text("version")?)
                .ok()
                .filter(|version| version.build.is_empty())?,
            secure_version: number(custom, "secure-version")?,
            min_chip_revision: number(custom, "min-chip-revision")?,
        };
        Some(Self {
            candidate,
            product: text("product")?,
            chip: text("chip")?,
            channels,
            percent: number(rollout, "percent").filter(|percent| *percent <= 100)?,
            seed: rollout.member("seed")?.text()?.to_string(),
        })
    }

    fn is_for(&self, identity: &Identity) -> bool {
        let mut channels = self.channels.elements().into_iter().flatten();
        self.product == identity.product
            && self.chip == identity.chip
            && channels.any(|name| name.text().is_some_and(|name| name == *identity.channel))
            && rollout::includes(self.percent, &self.seed, &identity.device_id)
    }
}

fn number<N: TryFrom<u64>>(value: Value<'_>, name: &str) -> Option<N> {
    N::try_from(value.member(name)?.unsigned()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use serde_json::{Value as Json, json};

    fn identity() -> Identity {
        Identity {
            product: "thermostat".into(),
            channel: "stable".into(),
            chip: "esp32c3".into(),
            device_id: "240ac4123456".into(),
            version: Version::new(1, 0, 0),
        }
    }

    fn release(version: &str) -> Json {
        json!({
            "length": 1000,
            "hashes": { "sha256": "ab".repeat(32) },
            "custom": {
                "product": "thermostat", "channels": ["beta", "stable"], "chip": "esp32c3",
                "version": version, "version-source": "descriptor", "secure-version": 3,
                "min-chip-revision": 101, "rollout": { "percent": 100, "seed": "s" },
            },
        })
    }

    /// A release with one field of its `custom` set to something else, or removed.
    fn with(field: &str, value: Option<Json>) -> Json {
        let mut release = release("1.1.0");
        let custom = release["custom"].as_object_mut().unwrap();
        match value {
            Some(value) => custom.insert(field.into(), value),
            None => custom.remove(field),
        };
        release
    }

    fn chosen(targets: &[(&str, Json)]) -> Selection {
        chosen_unless(targets, |_| false)
    }

    fn chosen_unless(targets: &[(&str, Json)], rejected: impl Fn(&[u8; 32]) -> bool) -> Selection {
        let listed: serde_json::Map<String, Json> =
            targets.iter().map(|(name, target)| ((*name).into(), target.clone())).collect();
        let signed = json!({ "signed": { "targets": listed } });
        let targets = Targets::for_tests(serde_json::to_vec(&signed).unwrap());
        select(&targets, true, &identity(), rejected)
    }

    #[test]
    fn the_highest_newer_version_is_chosen_with_its_consistent_path() {
        let selection = chosen(&[
            ("t-1.2.0.bin", release("1.2.0")),
            ("t-1.10.0.bin", release("1.10.0")),
            ("t-1.9.0.bin", release("1.9.0")),
        ]);
        let candidate = selection.candidate.unwrap();
        assert_eq!(candidate.version, Version::new(1, 10, 0));
        assert_eq!(candidate.path, alloc::format!("targets/{}.t-1.10.0.bin", "ab".repeat(32)));
        assert_eq!((candidate.length, candidate.secure_version), (1000, 3));
        assert_eq!((candidate.min_chip_revision, selection.skipped), (101, 0));
    }

    #[test]
    fn the_running_version_and_older_ones_are_no_news() {
        for version in ["1.0.0", "0.9.9", "1.0.0-rc.1"] {
            let selection = chosen(&[("t.bin", release(version))]);
            assert_eq!(selection, Selection::default(), "{version}");
        }
        assert!(chosen(&[("t.bin", release("1.0.1-rc.1"))]).candidate.is_some());
    }

    #[test]
    fn a_repository_of_another_product_or_for_other_chips_is_foreign() {
        let kettle = || with("product", Some(json!("kettle")));
        let other_chip = || with("chip", Some(json!("esp32c6")));
        let foreign = |targets: &[(&str, Json)]| {
            let selection = chosen(targets);
            assert_eq!((selection.candidate, selection.skipped), (None, 0));
            selection.foreign
        };
        assert_eq!(foreign(&[("k.bin", kettle())]), Some(Foreign::Product));
        assert_eq!(foreign(&[("c.bin", other_chip())]), Some(Foreign::Chip));
        assert_eq!(foreign(&[("k.bin", kettle()), ("c.bin", other_chip())]), Some(Foreign::Chip));
        // An older release of our own shows that the place is right.
        assert_eq!(foreign(&[("k.bin", kettle()), ("o.bin", release("0.9.0"))]), None);
        assert_eq!(foreign(&[]), None, "an empty repository is nobody's");
    }

    #[test]
    fn another_channel_or_rollout_is_passed_over_and_not_skipped() {
        for (field, value) in [
            ("channels", json!(["beta"])),
            ("channels", json!([])),
            ("rollout", json!({ "percent": 0, "seed": "s" })),
            ("rollout", json!({ "percent": 16, "seed": "seed" })),
        ] {
            let selection = chosen(&[("t.bin", with(field, Some(value.clone())))]);
            assert_eq!(selection, Selection::default(), "{field} {value}");
        }
        let included = with("rollout", Some(json!({ "percent": 17, "seed": "seed" })));
        assert!(chosen(&[("t.bin", included)]).candidate.is_some());
    }

    #[test]
    fn a_malformed_release_is_skipped_and_counted_and_stops_no_other() {
        let bad: Vec<Json> = ["product", "channels", "chip", "version", "secure-version"]
            .into_iter()
            .chain(["min-chip-revision", "rollout"])
            .map(|field| with(field, None))
            .chain([
                with("version", Some(json!("1.1"))),
                with("version", Some(json!("v1.1.0"))),
                with("version", Some(json!("1.1.0+build"))),
                with("channels", Some(json!("stable"))),
                with("channels", Some(json!([1]))),
                with("secure-version", Some(json!(-1))),
                with("secure-version", Some(json!(4_294_967_296_u64))),
                with("min-chip-revision", Some(json!(65_536))),
                with("rollout", Some(json!({ "percent": 101, "seed": "s" }))),
                with("rollout", Some(json!({ "percent": 50 }))),
                json!({ "length": 1, "hashes": { "sha256": "ab".repeat(32) }, "custom": [] }),
                json!({ "length": 1, "hashes": { "sha512": "ab".repeat(64) }, "custom": release("1.1.0")["custom"] }),
                json!({ "length": 4_294_967_296_u64, "hashes": { "sha256": "ab".repeat(32) }, "custom": release("1.1.0")["custom"] }),
            ])
            .collect();
        for broken in bad {
            let selection = chosen(&[("bad.bin", broken.clone()), ("t.bin", release("1.1.0"))]);
            assert_eq!(selection.skipped, 1, "{broken}");
            assert!(selection.candidate.is_some(), "{broken}");
        }
    }

    #[test]
    fn a_name_that_could_lead_elsewhere_is_never_a_path() {
        for name in [
            "../t.bin",
            "a/../t.bin",
            "/t.bin",
            "a//t.bin",
            "t.bin/",
            ".t.bin",
            "a/.t",
            "t\\.bin",
            "t bin",
            "t?x",
            "t#x",
            "t%2e",
            "t\u{e9}",
            "",
            "http:t",
            &"t".repeat(129),
        ] {
            let selection = chosen(&[(name, release("1.1.0"))]);
            assert_eq!((selection.candidate, selection.skipped), (None, 1), "{name:?}");
        }
        let selection = chosen(&[("a/b/t-1.1.0.bin", release("1.1.0"))]);
        let path = alloc::format!("targets/a/b/{}.t-1.1.0.bin", "ab".repeat(32));
        assert_eq!(selection.candidate.unwrap().path, path);
    }

    #[test]
    fn a_rejected_image_gives_way_to_the_next_best() {
        let mut other = release("1.1.0");
        other["hashes"]["sha256"] = json!("cd".repeat(32));
        let targets = [("new.bin", release("1.2.0")), ("old.bin", other)];
        let selection = chosen_unless(&targets, |sha256| *sha256 == [0xab; 32]);
        assert_eq!(selection.candidate.unwrap().version, Version::new(1, 1, 0));
        assert_eq!(chosen_unless(&targets, |_| true), Selection::default());
    }

    #[test]
    fn a_file_without_custom_is_not_a_release() {
        let plain = json!({ "length": 1, "hashes": { "sha256": "ab".repeat(32) } });
        assert_eq!(chosen(&[("readme.txt", plain)]), Selection::default());
    }
}
