//! Which releases are old enough to go: `[release] keep`.
//!
//! Pure. What any device may still take never goes, however small the number is.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use semver::Version;

use super::custom::WHOLE_FLEET;
use super::rules::Release;
use crate::chip::Chip;

/// Devices that see the same releases: product, chip and channel.
type Kind<'a> = (&'a str, Chip, &'a str);

/// The file names of the listed releases beyond the newest `keep` of every chip and channel.
///
/// A release that is in several channels stays as long as one of them keeps it. What stays anyway is
/// all that devices take: from the newest down to the newest that is for every device.
pub fn beyond(listed: &[Release], keep: NonZeroU32) -> BTreeSet<String> {
    let mut kinds: BTreeMap<Kind<'_>, Vec<(Version, &Release)>> = BTreeMap::new();
    for release in listed {
        let custom = &release.custom;
        // What this version cannot order is not its to judge.
        let Ok(version) = Version::parse(&custom.version) else { continue };
        for channel in &custom.channels {
            let kind = (custom.product.as_str(), custom.chip, channel.as_str());
            kinds.entry(kind).or_default().push((version.clone(), release));
        }
    }
    let (mut old, mut kept) = (BTreeSet::new(), BTreeSet::new());
    let keep = usize::try_from(keep.get()).unwrap_or(usize::MAX);
    for releases in kinds.values_mut() {
        releases.sort_by(|(one, _), (other, _)| other.cmp(one));
        let mut is_overtaken = false;
        for (place, (_, release)) in releases.iter().enumerate() {
            let percent = release.custom.rollout.percent;
            let is_taken = !is_overtaken && percent > 0;
            let names = if place < keep || is_taken { &mut kept } else { &mut old };
            names.insert(release.custom.file_name());
            is_overtaken |= percent >= WHOLE_FLEET;
        }
    }
    old.difference(&kept).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::custom::tests::listed as release;

    /// The versions that go.
    fn gone(listed: &[Release], keep: u32) -> Vec<String> {
        let names = beyond(listed, NonZeroU32::new(keep).unwrap());
        let version = |name: &String| {
            let release = listed.iter().find(|it| it.custom.file_name() == *name).unwrap();
            release.custom.version.clone()
        };
        names.iter().map(version).collect()
    }

    #[test]
    fn the_newest_stay_and_the_rest_goes() {
        let listed = ["1.0.0", "1.9.0", "1.10.0", "1.11.0"].map(|version| release(version, 100));
        assert_eq!(gone(&listed, 1), ["1.0.0", "1.10.0", "1.9.0"]);
        assert_eq!(gone(&listed, 2), ["1.0.0", "1.9.0"]);
        assert_eq!(gone(&listed, 3), ["1.0.0"]);
        assert_eq!(gone(&listed, 4), [""; 0]);
        assert_eq!(gone(&[], 1), [""; 0]);
    }

    #[test]
    fn what_devices_take_stays_whatever_its_age() {
        let listed = [
            release("1.0.0", 100),
            release("1.1.0", 100),
            release("1.2.0", 0),
            release("1.3.0", 50),
            release("1.4.0", 10),
            release("1.5.0", 0),
        ];
        // 1.5.0 is the newest; 1.4.0, 1.3.0 and 1.1.0 are taken by one device or another.
        assert_eq!(gone(&listed, 1), ["1.0.0", "1.2.0"]);
        assert_eq!(gone(&listed, 4), ["1.0.0"]);
    }

    #[test]
    fn where_all_is_halted_only_the_number_counts() {
        let listed = ["1.0.0", "1.1.0", "1.2.0"].map(|version| release(version, 0));
        assert_eq!(gone(&listed, 2), ["1.0.0"]);
    }

    #[test]
    fn chips_channels_and_products_are_counted_apart() {
        let mut chip = release("1.0.0", 100);
        chip.custom.chip = Chip::Esp32s3;
        let mut product = release("1.0.0", 100);
        product.custom.product = "kettle".into();
        let mut both = release("1.1.0", 100);
        both.custom.channels = vec!["beta".into(), "stable".into()];
        let listed = [chip, product, both, release("1.2.0", 100)];
        // In `stable` it is beyond the first, in `beta` it is the newest.
        assert_eq!(gone(&listed, 1), [""; 0]);
    }
}
