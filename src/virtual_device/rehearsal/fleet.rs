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
