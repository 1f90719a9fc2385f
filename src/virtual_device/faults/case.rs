//! One case: where a device stands, what its new image is like, and what goes wrong.
//!
//! A case is written as text, its *seed*: `later/no-rollback/factory/hangs/power:137:words:90`.
//! The same text and the same project replay the same case, flash operation by flash operation.

use std::fmt;
use std::str::FromStr;

use super::network::NetworkFault;
use crate::virtual_device::bootloader::Rollback;
use crate::virtual_device::flash::{Cut, Moment};
use crate::virtual_device::tear::Tear;

/// Where the device stands before the update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scenario {
    /// As the cable left it.
    First,
    /// It took an update before, and runs from another slot.
    Later,
    /// It tried a release that rejected itself, and fell back.
    AfterFallback,
    /// The selected image is broken: the bootloader started another one by itself.
    LastResort,
    /// Both entries of `otadata` are given up.
    GivenUp,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::First, Self::Later, Self::AfterFallback, Self::LastResort, Self::GivenUp];

    /// The word in seeds and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Later => "later",
            Self::AfterFallback => "after-fallback",
            Self::LastResort => "last-resort",
            Self::GivenUp => "given-up",
        }
    }
}

/// What the new image does once it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum App {
    /// Its self-test passes.
    Good,
    /// Its self-test fails, and it says so.
    Rejects,
    /// It dies when the radio starts, every time, and never confirms.
    Hangs,
}

impl App {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Good, Self::Rejects, Self::Hangs];

    /// The word in seeds and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Rejects => "rejects",
            Self::Hangs => "hangs",
        }
    }
}

/// A place to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Where the device stands.
    pub scenario: Scenario,
    /// Whether its bootloader has rollback.
    pub has_rollback: bool,
    /// Whether its table has a `factory` partition.
    pub has_factory: bool,
}

impl Place {
    /// Every combination.
    pub fn all() -> impl Iterator<Item = Self> {
        Scenario::ALL.into_iter().flat_map(|scenario| {
            [(false, false), (false, true), (true, false), (true, true)]
                .map(|(has_rollback, has_factory)| Self { scenario, has_rollback, has_factory })
        })
    }

    /// The bootloader's part of it.
    pub fn rollback(self) -> Rollback {
        if self.has_rollback { Rollback::On } else { Rollback::Off }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing.
    None,
    /// The power goes away, and perhaps once more while the device recovers. The operation of the
    /// second cut counts from the first.
    Power(Cut, Option<Cut>),
    /// The server or somebody on the way to it lies or fails, until the device polled twice.
    Network(NetworkFault),
    /// A flash cell in the slot of the new image, at this byte of the image, only reads 0.
    Worn(u32),
}

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Case {
    /// Where it starts.
    pub place: Place,
    /// What the new image is like.
    pub app: App,
    /// What goes wrong.
    pub fault: Fault,
}

/// A text that is no seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the seed of a case: copy one that `rehearse --faults` has named")]
pub struct SeedError(pub String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let no = |has| if has { "" } else { "no-" };
        let Self { scenario, has_rollback, has_factory } = *self;
        write!(f, "{}/{}rollback/{}factory", scenario.name(), no(has_rollback), no(has_factory))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.place, self.app.name())?;
        match self.fault {
            Fault::None => f.write_str("none"),
            Fault::Power(first, None) => write!(f, "power:{}", CutText(first)),
            Fault::Power(first, Some(second)) => {
                write!(f, "power:{}+{}", CutText(first), CutText(second))
            }
            Fault::Network(fault) => write!(f, "network:{fault}"),
            Fault::Worn(at) => write!(f, "worn:{at}"),
        }
    }
}

struct CutText(Cut);

impl fmt::Display for CutText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut { operation, moment, seed } = self.0;
        write!(f, "{operation}:")?;
        match moment {
            Moment::Before => f.write_str("before"),
            Moment::After => f.write_str("after"),
            Moment::Inside => write!(f, "inside:{seed}"),
            Moment::Torn(Tear::Bits(seed)) => write!(f, "bits:{seed}"),
            Moment::Torn(Tear::Words(mask)) => write!(f, "words:{mask}"),
            Moment::Torn(Tear::First(count)) => write!(f, "first:{count}"),
            Moment::Torn(Tear::Last(count)) => write!(f, "last:{count}"),
            Moment::Torn(Tear::Only(nth)) => write!(f, "only:{nth}"),
            Moment::Torn(Tear::AllBut(nth)) => write!(f, "all-but:{nth}"),
        }
    }
}

fn cut(text: &str) -> Option<Cut> {
    let (operation, moment) = text.split_once(':')?;
    let (word, number) = moment.split_once(':').unwrap_or((moment, ""));
    let mut seed = 0;
    let moment = match (word, number) {
        ("before", "") => Moment::Before,
        ("after", "") => Moment::After,
        ("inside", number) => {
            seed = number.parse().ok()?;
            Moment::Inside
        }
        ("bits", number) => Moment::Torn(Tear::Bits(number.parse().ok()?)),
        ("words", number) => Moment::Torn(Tear::Words(number.parse().ok()?)),
        ("first", number) => Moment::Torn(Tear::First(number.parse().ok()?)),
        ("last", number) => Moment::Torn(Tear::Last(number.parse().ok()?)),
        ("only", number) => Moment::Torn(Tear::Only(number.parse().ok()?)),
        ("all-but", number) => Moment::Torn(Tear::AllBut(number.parse().ok()?)),
        _ => return None,
    };
    Some(Cut { operation: operation.parse().ok()?, moment, seed })
}

fn fault(text: &str) -> Option<Fault> {
    match text.split_once(':') {
        None => (text == "none").then_some(Fault::None),
        Some(("power", cuts)) => Some(match cuts.split_once('+') {
            Some((first, second)) => Fault::Power(cut(first)?, Some(cut(second)?)),
            None => Fault::Power(cut(cuts)?, None),
        }),
        Some(("network", fault)) => fault.parse().ok().map(Fault::Network),
        Some(("worn", at)) => at.parse().ok().map(Fault::Worn),
        Some(_) => None,
    }
}

fn case(text: &str) -> Option<Case> {
    let mut words = text.split('/');
    let mut next = || words.next();
    let scenario = next()?;
    let flag = |text: &str, word: &str| match text.strip_prefix("no-") {
        Some(rest) => (rest == word).then_some(false),
        None => (text == word).then_some(true),
    };
    let case = Case {
        place: Place {
            scenario: Scenario::ALL.into_iter().find(|it| it.name() == scenario)?,
            has_rollback: flag(next()?, "rollback")?,
            has_factory: flag(next()?, "factory")?,
        },
        app: next().and_then(|app| App::ALL.into_iter().find(|it| it.name() == app))?,
        fault: fault(next()?)?,
    };
    next().is_none().then_some(case)
}

impl FromStr for Case {
    type Err = SeedError;

    fn from_str(text: &str) -> Result<Self, SeedError> {
        case(text).ok_or_else(|| SeedError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_seed_reads_as_what_it_replays() {
        let text = "later/no-rollback/factory/hangs/power:137:words:90+12:before";
        let case: Case = text.parse().unwrap();
        assert_eq!(case.place.scenario, Scenario::Later);
        assert!(case.place.has_factory && !case.place.has_rollback);
        let words = Moment::Torn(Tear::Words(90));
        let first = Cut { operation: 137, moment: words, seed: 0 };
        let second = Cut { operation: 12, moment: Moment::Before, seed: 0 };
        assert_eq!(case.fault, Fault::Power(first, Some(second)));
        assert_eq!(case.to_string(), text);
    }

    #[test]
    fn every_kind_of_case_is_its_seed_and_back() {
        for fault in [
            "none",
            "power:0:before",
            "power:1:after",
            "power:2:inside:77",
            "power:3:bits:5",
            "power:4:first:12",
            "power:5:last:12+0:inside:3",
            "power:6:only:7",
            "power:7:all-but:255",
            "network:image:corrupted:5000",
            "network:timestamp:status:302",
            "network:targets:swapped",
            "worn:4096",
        ] {
            for place in Place::all() {
                for app in App::ALL {
                    let text = format!("{place}/{}/{fault}", app.name());
                    assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in "\\PC{0,40}",
            near in "first/no-rollback/factory/good/(power|network|worn|none):[a-z0-9:+]{0,20}",
        ) {
            prop_assert!(text.parse::<Case>().is_err());
            if let Ok(case) = near.parse::<Case>() {
                prop_assert_eq!(case.to_string().parse(), Ok(case));
            }
        }
    }
}
