//! Which updates devices make once the list of releases changes: from nothing, and from whatever
//! they may run by now.

use std::collections::BTreeSet;

use semver::Version;

use crate::chip::Chip;
use crate::release::custom::WHOLE_FLEET;
use crate::release::rules::Release;
use crate::virtual_device::rehearsal::{Aim, aim};

/// What one kind of device does once the change is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) chip: Chip,
    pub(super) channel: String,
    /// What it runs; `None` for a device that has no release yet.
    pub(super) from: Option<Release>,
    /// What it has to run then; `None` where it keeps what it has.
    pub(super) goal: Option<Release>,
    /// A device that takes part in the rollout.
    pub(super) device_id: String,
}

/// The updates between two lists of releases. Nothing for a kind of device whose newest release
/// stays the same, and nothing where no device may take any.
pub(super) fn updates(before: &[Release], after: &[Release], product: &str) -> Vec<Update> {
    let mut found = Vec::new();
    for (chip, channel) in kinds(after, product) {
        let (old, new) =
            (aim(before, product, chip, &channel), aim(after, product, chip, &channel));
        let is_offered = |goal: &Release| old.goal.as_ref().is_none_or(|old| is_more(goal, old));
        let Some(newest) = new.goal.filter(is_offered) else { continue };
        let starts = in_the_field(&old).into_iter().map(Some);
        for from in std::iter::once(None).chain(starts) {
            let is_newer = from.as_ref().is_none_or(|from| is_newer(&newest, from));
            found.push(Update {
                chip,
                channel: channel.clone(),
                from,
                goal: is_newer.then(|| newest.clone()),
                device_id: new.device_id.clone(),
            });
        }
    }
    found
}

/// The kinds of devices that releases are listed for.
fn kinds(releases: &[Release], product: &str) -> BTreeSet<(Chip, String)> {
    releases
        .iter()
        .filter(|release| release.custom.product == product)
        .flat_map(|release| {
            let channels = release.custom.channels.iter();
            channels.map(|channel| (release.custom.chip, channel.clone()))
        })
        .collect()
}

/// What devices that polled lately may run, newest first: down to the newest release that every
/// one of them was given.
fn in_the_field(aim: &Aim) -> Vec<Release> {
    let mut found = Vec::new();
    for release in aim.releases.iter().rev() {
        let percent = release.custom.rollout.percent;
        if percent > 0 {
            found.push(release.clone());
        }
        if percent >= WHOLE_FLEET {
            break;
        }
    }
    found
}

/// Whether devices are offered more than before. What is left after a halt was rehearsed when it was
/// new itself, and an emergency stop must not wait for another proof of it.
fn is_more(goal: &Release, old: &Release) -> bool {
    let is_same = goal.custom.version == old.custom.version;
    let is_raised = goal.custom.rollout.percent > old.custom.rollout.percent;
    is_newer(goal, old) || is_same && is_raised
}

fn is_newer(one: &Release, other: &Release) -> bool {
    let version = |release: &Release| Version::parse(&release.custom.version).ok();
    version(one) > version(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::custom::tests::listed as release;

    /// From where to where, oldest first in both lists.
    fn told(before: &[(&str, u8)], after: &[(&str, u8)]) -> Vec<(String, String)> {
        let list = |releases: &[(&str, u8)]| -> Vec<Release> {
            releases.iter().map(|(version, percent)| release(version, *percent)).collect()
        };
        let version = |release: Option<Release>| {
            release.map_or("-".to_owned(), |release| release.custom.version)
        };
        updates(&list(before), &list(after), "thermostat")
            .into_iter()
            .map(|update| (version(update.from), version(update.goal)))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    #[test]
    fn the_first_release_reaches_devices_without_any() {
        assert_eq!(told(&[], &[("1.0.0", 100)]), pairs(&[("-", "1.0.0")]));
    }

    #[test]
    fn a_later_one_reaches_those_of_the_release_before_it_too() {
        let before = [("1.0.0", 100), ("1.1.0", 100)];
        let after = [("1.0.0", 100), ("1.1.0", 100), ("1.10.0", 100)];
        assert_eq!(told(&before, &after), pairs(&[("-", "1.10.0"), ("1.1.0", "1.10.0")]));
    }

    #[test]
    fn a_rollout_leaves_devices_on_either_side() {
        let before = [("1.0.0", 100), ("1.1.0", 100), ("1.2.0", 10), ("1.3.0", 0), ("1.4.0", 1)];
        let mut after = before.to_vec();
        after.push(("1.5.0", 50));
        let expected = [("-", "1.5.0"), ("1.4.0", "1.5.0"), ("1.2.0", "1.5.0"), ("1.1.0", "1.5.0")];
        assert_eq!(told(&before, &after), pairs(&expected));
    }

    #[test]
    fn an_emergency_stop_waits_for_no_rehearsal() {
        let before = [("1.0.0", 100), ("1.1.0", 10)];
        for percent in [0, 1, 10] {
            assert_eq!(told(&before, &[("1.0.0", 100), ("1.1.0", percent)]), [], "{percent}");
        }
        assert_eq!(told(&before, &[("1.0.0", 0), ("1.1.0", 0)]), []);
    }

    #[test]
    fn a_share_that_is_raised_is_rehearsed_again() {
        let before = [("1.0.0", 100), ("1.1.0", 10), ("1.2.0", 0)];
        let raised = [("1.0.0", 100), ("1.1.0", 11), ("1.2.0", 0)];
        let expected = [("-", "1.1.0"), ("1.1.0", "-"), ("1.0.0", "1.1.0")];
        assert_eq!(told(&before, &raised), pairs(&expected));
        let first = [("1.0.0", 100), ("1.1.0", 10), ("1.2.0", 1)];
        let expected = [("-", "1.2.0"), ("1.1.0", "1.2.0"), ("1.0.0", "1.2.0")];
        assert_eq!(told(&before, &first), pairs(&expected));
    }

    #[test]
    fn what_changes_nothing_for_devices_is_no_update() {
        let listed = [("1.0.0", 100), ("1.1.0", 100)];
        assert_eq!(told(&listed, &listed), []);
        assert_eq!(told(&listed, &[("1.1.0", 100)]), []);
        assert_eq!(told(&[], &[("1.0.0", 0)]), []);
    }

    #[test]
    fn other_products_are_not_ours_to_rehearse() {
        let mut other = release("1.0.0", 100);
        other.custom.product = "kettle".into();
        assert_eq!(updates(&[], &[other], "thermostat"), []);
    }
}
