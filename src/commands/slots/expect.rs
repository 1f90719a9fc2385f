//! What a device is expected to boot next.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::show;
use super::source::Source;
use crate::commands::Context;
use crate::device::SlotReport;
use crate::error::{Exit, Explained, Failure};

/// Succeed only if the device is as expected
#[derive(Debug, clap::Args)]
pub(super) struct Expect {
    /// Such as `version=1.2.0,slot=ota_1,state=valid`
    #[arg(value_name = "WHAT")]
    what: Expectation,
    #[command(flatten)]
    source: Source,
    /// Read every byte of every image; over a cable that takes minutes
    #[arg(long)]
    verify: bool,
    /// Look again and again until it is as expected, at most so long, such as `120s`; each look
    /// resets a device
    #[arg(long, value_name = "TIME", value_parser = show::seconds)]
    wait: Option<Duration>,
}

impl Expect {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        show::look(context, &self.source, self.verify, Some(&self.what), self.wait)
    }
}

/// What can be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// Version of the image that boots next.
    Version,
    /// Slot that boots next, whichever bootloader it is.
    Slot,
    /// State of the entry that selects it.
    State,
    /// Label of that entry.
    Label,
    /// How well the image is proven.
    Proof,
    /// Whether it has to confirm itself: `settled` or `trial`.
    Trial,
}

impl Key {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Version, "version"),
        (Self::Slot, "slot"),
        (Self::State, "state"),
        (Self::Label, "label"),
        (Self::Proof, "proof"),
        (Self::Trial, "trial"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(key, _)| *key == self).map_or("", |(_, name)| name)
    }
}

/// Keys with the values they have to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expectation(Vec<(Key, String)>);

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Key::ALL.map(|(_, name)| format!("`{name}`")).join(", ");
        let pairs = text.split(',').map(|pair| {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| format!("`{pair}` is no `key=value`"))?;
            let key = Key::ALL.into_iter().find(|(_, known)| *known == name);
            let (key, _) = key.ok_or_else(|| format!("`{name}` is none of {}", known()))?;
            Ok((key, value.to_owned()))
        });
        pairs.collect::<Result<_, String>>().map(Self)
    }
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Difference {
    key: Key,
    expected: String,
    found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is `{}`, not `{}`", self.key.name(), self.found, self.expected)
    }
}

/// The device is not as expected.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct ExpectError(pub(super) Vec<String>);

impl Explained for ExpectError {
    fn exit(&self) -> Exit {
        Exit::Rejected
    }

    fn help(&self) -> Option<String> {
        Some("see above what the device boots next, and why".into())
    }
}

impl Expectation {
    /// Everything that is not so.
    pub(super) fn compare(&self, report: &SlotReport) -> Vec<String> {
        let differences = self.0.iter().filter_map(|(key, expected)| {
            let found = found(*key, report);
            let is_same = match key {
                Key::Version => found == expected.strip_prefix('v').unwrap_or(expected),
                Key::State | Key::Proof | Key::Trial => found.eq_ignore_ascii_case(expected),
                Key::Slot | Key::Label => found == *expected,
            };
            (!is_same)
                .then(|| Difference { key: *key, expected: expected.clone(), found }.to_string())
        });
        differences.collect()
    }
}

fn found(key: Key, report: &SlotReport) -> String {
    let next = &report.next_boot;
    let slot = report.slots.iter().find(|slot| slot.name == next.without_rollback);
    let entry = report
        .entries
        .iter()
        .filter(|entry| entry.selects == Some(next.without_rollback))
        .max_by_key(|entry| entry.seq);
    let nothing = || "nothing".to_owned();
    match key {
        Key::Version => {
            let image = slot.and_then(|slot| slot.image.as_ref());
            image.map_or_else(nothing, |image| {
                let version = image.version.as_str();
                version.strip_prefix('v').unwrap_or(version).to_owned()
            })
        }
        Key::Slot if next.without_rollback == next.with_rollback => {
            next.without_rollback.to_string()
        }
        Key::Slot => format!("{} or {}", next.without_rollback, next.with_rollback),
        Key::State => entry.map_or_else(nothing, |entry| entry.state.to_ascii_lowercase()),
        Key::Label => entry.map_or_else(nothing, |entry| entry.label.clone()),
        Key::Proof => slot.map_or_else(nothing, |slot| slot.proof.name().to_owned()),
        Key::Trial => report.trial.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expectation_is_pairs_of_known_keys() {
        let read: Expectation = "version=1.2.0,slot=ota_1".parse().unwrap();
        assert_eq!(read.0, [(Key::Version, "1.2.0".into()), (Key::Slot, "ota_1".into())]);
        for (bad, words) in [
            ("", "`` is no `key=value`"),
            ("version", "`version` is no `key=value`"),
            ("version=1,colour=red", "`colour` is none of `version`, `slot`"),
        ] {
            let error = bad.parse::<Expectation>().unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
