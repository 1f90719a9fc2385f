//! Which cases are run: all that are possible, or as many as asked for.
//!
//! Where there are more cases than asked for, each family is thinned out evenly, and the plan says
//! so. What is cut most densely is what decides over a device: the entries of `otadata`.

use std::num::NonZeroUsize;

use serde::Serialize;

use super::board::{AsShipped, Board};
use super::candidates::{Candidates, SECOND_CUTS};
use super::case::{Case, Place};
use super::error::FaultsError;
use super::family::Family;
use super::start::Start;
use super::subject::Subject;
use crate::virtual_device::parallel;
use crate::virtual_device::tear::Noise;

/// Cases that a run has at most, unless it is told otherwise: enough to meet every operation of a
/// small image, and minutes on a laptop.
pub const MOST_CASES: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// First cuts that get a second one, for each place and app.
const MOST_FIRST_CUTS: usize = 24;
/// Apps whose first cuts get a second one.
const APPS: usize = 2;

/// How many of the possible cases of a family are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sampled {
    /// The family.
    pub family: Family,
    /// Cases there are.
    pub possible: usize,
    /// Cases that are run, evenly spread over them.
    pub cases: usize,
}

/// What will be run.
#[derive(Debug)]
pub struct Plan {
    pub(super) starts: Vec<Start>,
    /// Each case, with its start's place in `starts`; cases of one start stand together.
    pub(super) cases: Vec<(Case, usize, Family)>,
    /// How much of what is possible that is.
    pub sampled: Vec<Sampled>,
}

impl Plan {
    /// Makes a plan of at most about `most` cases, on this many threads.
    ///
    /// # Errors
    ///
    /// [`FaultsError::Start`] where a device cannot be brought to one of the places.
    pub fn make(subject: &Subject, most: usize, workers: usize) -> Result<Self, FaultsError> {
        let places: Vec<Place> = Place::all().collect();
        Self::on(subject, &AsShipped, &places, &Family::ALL, most, workers)
    }

    /// As [`Plan::make`], on this board, from these places and with these families.
    pub(super) fn on(
        subject: &Subject,
        board: &impl Board,
        places: &[Place],
        families: &[Family],
        most: usize,
        workers: usize,
    ) -> Result<Self, FaultsError> {
        let has = |family| families.contains(&family);
        let firsts = Family::Double.quota(most).div_ceil(SECOND_CUTS);
        let firsts = firsts.div_ceil(places.len().saturating_mul(APPS).max(1));
        let firsts = if has(Family::Double) { firsts.min(MOST_FIRST_CUTS) } else { 0 };
        let possible = parallel::map(places, workers, |_, place| {
            let start = Start::prepare(subject, *place)?;
            let candidates = Candidates::of(subject, &start, *place, board, firsts);
            Ok::<_, FaultsError>((start, candidates.cases))
        });
        let mut starts = Vec::new();
        let mut all = Vec::new();
        for (index, possible) in possible.into_iter().enumerate() {
            let (start, candidates) = possible?;
            starts.push(start);
            all.extend(candidates.into_iter().map(|(family, case)| (case, index, family)));
        }
        let mut cases = Vec::new();
        let mut sampled = Vec::new();
        for family in Family::ALL.into_iter().filter(|family| has(*family)) {
            let of_family: Vec<_> = all.iter().filter(|case| case.2 == family).collect();
            let quota = family.quota(most).min(of_family.len());
            cases.extend(evenly(&of_family, quota).map(|case| **case));
            sampled.push(Sampled { family, possible: of_family.len(), cases: quota });
        }
        cases.sort_by_key(|(case, index, _)| (*index, *case));
        Ok(Self { starts, cases, sampled })
    }

    /// Number of cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }
}

/// At most `count` of the items: one from each of as many equal stretches, by a fixed draw, so that
/// items that come in a rhythm are all met.
pub(super) fn evenly<T>(items: &[T], count: usize) -> impl Iterator<Item = &T> {
    let take = count.min(items.len());
    let at = move |index: usize| index.saturating_mul(items.len()).checked_div(take).unwrap_or(0);
    let mut noise = Noise(0);
    (0..take).filter_map(move |index| {
        let (from, to) = (at(index), at(index.saturating_add(1)));
        let draw = usize::try_from(noise.word() >> 33).unwrap_or(0);
        let drawn = draw.checked_rem(to.saturating_sub(from)).unwrap_or(0);
        items.get(from.saturating_add(drawn))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_evenly_and_has_nothing_twice() {
        let items: Vec<u32> = (0..1000).collect();
        for count in [0, 1, 7, 999, 1000, 5000] {
            let taken: Vec<u32> = evenly(&items, count).copied().collect();
            assert_eq!(taken.len(), count.min(1000));
            assert!(taken.windows(2).all(|pair| pair[0] < pair[1]), "{count}");
        }
        let ten: Vec<u32> = evenly(&items, 10).map(|item| item / 100).collect();
        assert_eq!(ten, (0..10).collect::<Vec<_>>(), "one from each hundred");
        let rhythm: std::collections::BTreeSet<u32> =
            evenly(&items, 100).map(|item| item % 10).collect();
        assert_eq!(rhythm.len(), 10, "every beat of a rhythm of ten is met");
    }
}
