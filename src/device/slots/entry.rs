//! What an entry of `otadata` says, and what it says about a trial.

use super::Survey;
use super::report::EntryReport;
use crate::agent::otadata::{self, Entry, Label, State};
use crate::hex;
use crate::virtual_device::bootloader::Target;

pub(super) fn report(entry: &Entry, count: u32) -> EntryReport {
    let crc = match (entry.is_blank(), entry.is_sound()) {
        (true, _) => "blank",
        (false, true) => "good",
        (false, false) => "bad",
    };
    EntryReport {
        seq: (entry.sequence != u32::MAX).then_some(entry.sequence),
        state: entry.state.name(),
        label: match entry.label.name() {
            Some(name) => name.to_owned(),
            None => hex::lower(&entry.label.bytes()),
        },
        crc,
        selects: if entry.is_sound() { entry.slot(count).map(Target::Slot) } else { None },
        raw: hex::lower(&entry.encode()),
    }
}

/// Whether the image that boots next has to confirm itself.
///
/// The agent's rule of `ota/trial.rs`: our own confirmation is VALID with the label `ok`; another
/// tool's blank label is settled, unless the bootloader waits for a confirmation.
pub(super) fn trial(survey: &Survey, next: Target) -> &'static str {
    let Target::Slot(slot) = next else { return "settled" };
    let entry = otadata::active(&survey.entries).and_then(|active| survey.entries.get(active));
    let Some(entry) = entry.filter(|it| it.slot(survey.boot.slot_rows) == Some(slot)) else {
        // Another entry, or none, selects it: the last resort.
        return "unknown";
    };
    let is_settled = match entry.label {
        Label::Ok => entry.state == State::Valid,
        Label::Blank => matches!(entry.state, State::Valid | State::Undefined),
        Label::Install | Label::Trial | Label::Foreign(_) => false,
    };
    if is_settled { "settled" } else { "trial" }
}
