//! What came of all cases.

use std::collections::BTreeMap;

use serde::Serialize;

use super::case::{Case, Fault};
use super::family::Family;
use super::invariant::Invariant;
use super::plan::Sampled;
use crate::virtual_device::flash::Moment;

/// Lost cases that are kept with their seeds; more would only repeat themselves.
const MOST_KEPT: usize = 100;

/// Cases and how many of them were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Count {
    /// Cases run.
    pub cases: u64,
    /// Cases in which a rule was broken.
    pub lost: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.cases = self.cases.saturating_add(other.cases);
        self.lost = self.lost.saturating_add(other.lost);
    }
}

/// A lost case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// Replays it.
    pub seed: String,
    /// The rule that was broken.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}

/// All cases, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Cases and losses.
    #[serde(flatten)]
    pub total: Count,
    /// The same, along each axis.
    pub axes: BTreeMap<&'static str, BTreeMap<&'static str, Count>>,
    /// How much of what is possible was run.
    pub sampled: Vec<Sampled>,
    /// The first lost cases, in the order of the plan.
    pub failures: Vec<Failure>,
}

impl Summary {
    /// Counts one case.
    pub(super) fn count(&mut self, case: &Case, family: Family, failure: Option<Failure>) {
        let one = Count { cases: 1, lost: u64::from(failure.is_some()) };
        self.total.add(one);
        for (axis, value) in axes(case, family) {
            self.axes.entry(axis).or_default().entry(value).or_default().add(one);
        }
        self.keep(failure);
    }

    /// Takes in what was counted of the cases that come next.
    pub(super) fn merge(&mut self, next: Self) {
        self.total.add(next.total);
        for (axis, values) in next.axes {
            for (value, count) in values {
                self.axes.entry(axis).or_default().entry(value).or_default().add(count);
            }
        }
        self.keep(next.failures);
    }

    fn keep(&mut self, failures: impl IntoIterator<Item = Failure>) {
        let room = MOST_KEPT.saturating_sub(self.failures.len());
        self.failures.extend(failures.into_iter().take(room));
    }

    /// Whether every device lived on.
    pub fn is_clean(&self) -> bool {
        self.total.lost == 0
    }
}

/// Where a case stands along each axis.
fn axes(case: &Case, family: Family) -> impl Iterator<Item = (&'static str, &'static str)> {
    let place = case.place;
    let moment = match case.fault {
        Fault::Power(cut, _) => Some(match cut.moment {
            Moment::Before => "before",
            Moment::Inside | Moment::Torn(_) => "inside",
            Moment::After => "after",
        }),
        Fault::None | Fault::Network(_) | Fault::Worn(_) => None,
    };
    let network = match case.fault {
        Fault::Network(fault) => Some(fault.lie.name()),
        Fault::None | Fault::Power(..) | Fault::Worn(_) => None,
    };
    [
        ("scenario", place.scenario.name()),
        ("bootloader", if place.has_rollback { "with-rollback" } else { "without-rollback" }),
        ("factory", if place.has_factory { "with-factory" } else { "without-factory" }),
        ("image", case.app.name()),
        ("fault", family.name()),
    ]
    .into_iter()
    .chain(moment.map(|moment| ("moment", moment)))
    .chain(network.map(|lie| ("network", lie)))
}
