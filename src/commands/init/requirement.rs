//! Version requirements: whether all that one allows is allowed by another.

use semver::{BuildMetadata, Comparator, Op, Version, VersionReq};

/// The versions from a lowest one up to an end.
#[derive(Debug)]
struct Range {
    low: Version,
    /// The end, and whether it belongs to the range; `None` where there is none.
    end: Option<(Version, bool)>,
}

/// Whether every version that `theirs` allows is one that `ours` allows. What is no requirement
/// allows nothing that could be told.
pub(super) fn is_within(theirs: &str, ours: &str) -> bool {
    let (Some(theirs), Some(ours)) = (range(theirs), range(ours)) else { return false };
    let ends_within = match (theirs.end, ours.end) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(theirs), Some(ours)) => theirs <= ours,
    };
    theirs.low >= ours.low && ends_within
}

fn range(text: &str) -> Option<Range> {
    let requirement: VersionReq = text.trim().parse().ok()?;
    let mut all = Range { low: Version::new(0, 0, 0), end: None };
    for one in requirement.comparators.iter().map(of_one) {
        all.low = all.low.max(one.low);
        all.end = match (all.end, one.end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    Some(all)
}

/// See "Specifying dependencies" in the Cargo book. Numbers that are not written count as zero at
/// the start of a range, and end it where the next written one would change.
fn of_one(comparator: &Comparator) -> Range {
    let (major, minor, patch) = (comparator.major, comparator.minor, comparator.patch);
    let named = Version {
        major,
        minor: minor.unwrap_or(0),
        patch: patch.unwrap_or(0),
        pre: comparator.pre.clone(),
        build: BuildMetadata::EMPTY,
    };
    let next_major = Version::new(major.saturating_add(1), 0, 0);
    let next_minor = Version::new(major, named.minor.saturating_add(1), 0);
    let next_patch = Version::new(major, named.minor, named.patch.saturating_add(1));
    let behind_all_so_named = match (minor, patch) {
        (Some(_), Some(_)) => next_patch.clone(),
        (Some(_), None) => next_minor.clone(),
        (None, _) => next_major.clone(),
    };
    let zero = Version::new(0, 0, 0);
    let until = |low, end| Range { low, end: Some((end, false)) };
    match comparator.op {
        Op::Exact if patch.is_some() => Range { end: Some((named.clone(), true)), low: named },
        Op::LessEq if patch.is_some() => Range { low: zero, end: Some((named, true)) },
        Op::Exact | Op::Wildcard => until(named, behind_all_so_named),
        Op::LessEq => until(zero, behind_all_so_named),
        Op::Less => until(zero, named),
        Op::Greater => Range { low: behind_all_so_named, end: None },
        Op::GreaterEq => Range { low: named, end: None },
        Op::Tilde if minor.is_some() => until(named, next_minor),
        Op::Tilde => until(named, next_major),
        // A caret, and whatever may come later.
        _ => match (major, minor, patch) {
            (0, Some(0), Some(_)) => until(named, next_patch),
            (0, Some(_), _) => until(named, next_minor),
            _ => until(named, next_major),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_users_write_is_judged_as_cargo_would_resolve_it() {
        for (theirs, ours, expected) in [
            ("1.2", "1.2", true),
            ("1.2.3", "1.2", true),
            ("~1.2.0", "1.2", true),
            ("=1.2.2", "1.2", true),
            ("1.9", "1.2", true),
            (">=1.2, <1.5", "1.2", true),
            ("1.1", "1.2", false),
            ("~1.1.0", "1.2", false),
            ("1", "1.2", false),
            ("*", "1.2", false),
            (">=1.2", "1.2", false),
            ("2.0", "1.2", false),
            ("0.9.1", "0.9", true),
            ("0.8", "0.9", false),
            ("0.10", "0.9", false),
            ("0.0.3", "0.0.3", true),
            ("0.0.4", "0.0.3", false),
            ("=1.0.0-beta.1", "=1.0.0-beta.1", true),
            ("1.0.0-beta.1", "=1.0.0-beta.1", false),
            ("=1.0.0-beta.0", "=1.0.0-beta.1", false),
            ("0.18", "=1.0.0-beta.1", false),
            ("newest", "1.2", false),
        ] {
            assert_eq!(is_within(theirs, ours), expected, "`{theirs}` within `{ours}`");
        }
    }

    fn requirement() -> impl Strategy<Value = String> {
        let sign = prop::sample::select(vec!["", "^", "~", "=", "<", "<=", ">", ">="]);
        let numbers = prop::collection::vec(0_u64..4, 1..4);
        let one = (sign, numbers).prop_map(|(sign, numbers)| {
            let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
            format!("{sign}{}", numbers.join("."))
        });
        prop::collection::vec(one, 1..3).prop_map(|all| all.join(", "))
    }

    proptest! {
        #[test]
        fn no_version_is_in_the_inner_one_alone(theirs in requirement(), ours in requirement()) {
            let (inner, outer): (VersionReq, VersionReq) =
                (theirs.parse().unwrap(), ours.parse().unwrap());
            let holds = is_within(&theirs, &ours);
            for (major, minor, patch) in versions(6) {
                let version = Version::new(major, minor, patch);
                if holds && inner.matches(&version) {
                    prop_assert!(outer.matches(&version), "{} of `{}` in `{}`", version, theirs, ours);
                }
                // And the range is the one that semver means.
                let range = range(&theirs).unwrap();
                let is_in = version >= range.low && range.end.is_none_or(|(end, belongs)| {
                    version < end || (belongs && version == end)
                });
                prop_assert_eq!(is_in, inner.matches(&version), "{} in `{}`", version, theirs);
            }
        }
    }

    fn versions(below: u64) -> impl Iterator<Item = (u64, u64, u64)> {
        (0..below)
            .flat_map(move |a| (0..below).flat_map(move |b| (0..below).map(move |c| (a, b, c))))
    }
}
