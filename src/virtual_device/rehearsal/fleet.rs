//! What the fleet would do with what is published: which release devices take, and which device
//! takes part.

use semver::Version;

use crate::agent::rollout;
use crate::chip::Chip;
use crate::release::rules::Release;

/// First number of the made-up devices, under a vendor prefix of Espressif.
const FIRST_DEVICE: u64 = 0x240a_c400_0000;

/// Devices that are tried: one in a hundred takes part in the smallest rollout, so the chance to
/// miss it is below 10⁻⁴³.
const MOST_DEVICES: u64 = 10_000;

/// What is published for a product, chip and channel, and what devices make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Every release for this kind of device, oldest first.
    pub releases: Vec<Release>,
    /// The newest release that is given to any device.
    pub goal: Option<Release>,
    /// Newer releases whose rollout is at 0 percent.
    pub halted: Vec<Release>,
    /// A device that the rollout of the goal includes.
    pub device_id: String,
}

/// Finds out what devices of this kind would take.
pub fn aim(listed: &[Release], product: &str, chip: Chip, channel: &str) -> Aim {
    let is_ours = |release: &&Release| {
        let custom = &release.custom;
        custom.product == product
            && custom.chip == chip
            && custom.channels.iter().any(|name| name == channel)
    };
    let mut releases: Vec<(Version, Release)> = listed
        .iter()
        .filter(is_ours)
        // `publish` writes no other versions, and no agent reads others.
        .filter_map(|release| {
            Some((Version::parse(&release.custom.version).ok()?, release.clone()))
        })
        .collect();
    releases.sort_by(|(one, _), (other, _)| one.cmp_precedence(other));
    let releases: Vec<Release> = releases.into_iter().map(|(_, release)| release).collect();
    let taken = releases.iter().rposition(|release| release.custom.rollout.percent > 0);
    let halted = releases.iter().skip(taken.map_or(0, |at| at.saturating_add(1)));
    let goal = taken.and_then(|at| releases.get(at)).cloned();
    let device_id = goal.as_ref().and_then(included).unwrap_or_else(|| device(0));
    Aim { halted: halted.cloned().collect(), goal, device_id, releases: releases.clone() }
}

/// The first device that a rollout includes.
fn included(release: &Release) -> Option<String> {
    let rollout = &release.custom.rollout;
    let takes_part = |id: &String| rollout::includes(rollout.percent, &rollout.seed, id);
    (0..MOST_DEVICES).map(device).find(takes_part)
}

fn device(number: u64) -> String {
    format!("{:012x}", FIRST_DEVICE.saturating_add(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::custom::tests::listed;

    fn release(version: &str, percent: u8) -> Release {
        let mut release = listed(version, percent);
        release.custom.channels.push("beta".into());
        release
    }

    fn versions(releases: &[Release]) -> Vec<&str> {
        releases.iter().map(|release| release.custom.version.as_str()).collect()
    }

    fn aim_at(listed: &[Release]) -> Aim {
        aim(listed, "thermostat", Chip::Esp32c3, "stable")
    }

    #[test]
    fn releases_are_ordered_as_versions_and_not_as_text() {
        let listed = ["1.10.0", "1.9.0", "1.10.0-rc.2", "1.10.0-rc.10"];
        let fleet = aim_at(&listed.map(|version| release(version, 100)));
        let sorted = ["1.9.0", "1.10.0-rc.2", "1.10.0-rc.10", "1.10.0"];
        assert_eq!(versions(&fleet.releases), sorted);
        assert_eq!(fleet.goal.unwrap().custom.version, "1.10.0");
    }

    #[test]
    fn what_is_for_other_devices_does_not_count() {
        let listed = [release("1.0.0", 100)];
        for (product, chip, channel) in [
            ("kettle", Chip::Esp32c3, "stable"),
            ("thermostat", Chip::Esp32c6, "stable"),
            ("thermostat", Chip::Esp32c3, "nightly"),
        ] {
            let fleet = aim(&listed, product, chip, channel);
            assert_eq!((fleet.releases, fleet.goal), (Vec::new(), None));
        }
        assert_eq!(aim(&listed, "thermostat", Chip::Esp32c3, "beta").releases, listed);
    }

    #[test]
    fn a_halted_release_is_no_goal_and_only_newer_ones_are_named() {
        let listed = [release("1.0.0", 0), release("1.1.0", 1), release("1.2.0", 0)];
        let fleet = aim_at(&listed);
        assert_eq!(fleet.goal.unwrap().custom.version, "1.1.0");
        assert_eq!(versions(&fleet.halted), ["1.2.0"]);
        let fleet = aim_at(&[release("1.0.0", 0)]);
        assert_eq!((fleet.goal, versions(&fleet.halted)), (None, vec!["1.0.0"]));
    }

    #[test]
    fn the_device_takes_part_in_every_rollout_that_has_any_device() {
        for percent in 1..=100 {
            for seed in ["1.0.0", "1.1.0", "2.0.0-rc.1"] {
                let fleet = aim_at(&[release(seed, percent)]);
                assert!(rollout::includes(percent, seed, &fleet.device_id), "{percent} {seed}");
                assert_eq!(fleet.device_id.len(), 12);
            }
        }
        assert_eq!(aim_at(&[release("1.0.0", 100)]).device_id, "240ac4000000");
    }
}
