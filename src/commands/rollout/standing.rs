//! What devices make of each listed release.

use std::fmt;

use serde::Serialize;

use crate::release::custom::WHOLE_FLEET;
use crate::release::rules::Release;

/// Whether devices take a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Standing {
    /// It is the newest that any device takes.
    Newest,
    /// Devices take it that no newer rollout includes.
    Remaining,
    /// A newer one is for every device.
    Overtaken,
    /// It is at 0 percent.
    Halted,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newest => "newest",
            Self::Remaining => "for the devices that no newer rollout includes",
            Self::Overtaken => "overtaken: no device takes it any more",
            Self::Halted => "halted: no device takes it",
        })
    }
}

/// The standing of each of `releases`, which are those of one kind of device, oldest first.
pub(super) fn standings(releases: &[Release]) -> Vec<Standing> {
    let mut newer = 0;
    let mut found: Vec<Standing> = Vec::new();
    for release in releases.iter().rev() {
        let percent = release.custom.rollout.percent;
        found.push(match (percent, newer) {
            (0, _) => Standing::Halted,
            (_, 0) => Standing::Newest,
            (_, WHOLE_FLEET..) => Standing::Overtaken,
            (_, _) => Standing::Remaining,
        });
        newer = newer.max(percent);
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::custom::tests::listed as release;

    #[test]
    fn a_release_stands_by_what_is_newer() {
        use Standing::{Halted, Newest, Overtaken, Remaining};
        for (percents, expected) in [
            (&[][..], &[][..]),
            (&[0], &[Halted]),
            (&[1], &[Newest]),
            (&[100, 100], &[Overtaken, Newest]),
            (&[100, 99], &[Remaining, Newest]),
            (&[100, 0], &[Newest, Halted]),
            (&[50, 0, 100, 50, 0], &[Overtaken, Halted, Remaining, Newest, Halted]),
        ] {
            let releases: Vec<_> = percents.iter().map(|it| release("1.0.0", *it)).collect();
            assert_eq!(standings(&releases), expected, "{percents:?}");
        }
    }
}
