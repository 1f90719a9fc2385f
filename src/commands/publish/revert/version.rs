//! The version of a release that brings an older one back.

use semver::{Prerelease, Version};

/// The next version above `highest` that takes no name from anybody: the next patch, and after a
/// pre-release one more part, so that the release it leads to keeps its version.
pub(super) fn above(highest: &Version) -> Version {
    let mut next = highest.clone();
    if highest.pre.is_empty() {
        next.patch = highest.patch.saturating_add(1);
    } else {
        // A part more sorts behind all that begins alike (semver.org, item 11.4.4).
        next.pre = Prerelease::new(&format!("{}.1", highest.pre)).unwrap_or_default();
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_version_is_above_and_takes_nobody_s_name() {
        for (highest, next) in
            [("1.2.0", "1.2.1"), ("1.2.9", "1.2.10"), ("2.0.0-rc.1", "2.0.0-rc.1.1")]
        {
            let highest = Version::parse(highest).unwrap();
            let found = above(&highest);
            assert_eq!(found.to_string(), next);
            assert!(found > highest);
        }
    }
}
