//! Each line that the firmware can print, made by its own text where it has one on the host.

use std::collections::BTreeSet;
use std::path::Path;

use super::event;
use crate::agent::agent::Event as Told;
use crate::agent::clock::Source;
use crate::agent::layout::{Layout, Region, Running};
use crate::agent::otadata::{Entry, Label, State};
use crate::agent::reports::Trouble;
use crate::agent::settings::Problem;
use crate::agent::trial::{self, Boot};
use crate::agent::url::UrlError;
use crate::monitor::Event;
use crate::virtual_device::flash::VirtualFlash;
use crate::virtual_device::tests::errors::errors;

#[track_caller]
fn reads(line: &str, expected: Event) {
    assert_eq!(event(line), Some(expected), "{line}");
}

/// Every event of the agent, as `updates::narrator` prints it. A new one has to be added here.
#[test]
fn every_event_of_the_agent_is_read() {
    let own = |text: &str| text.to_owned();
    let version = || own("1.2.0-rc.1");
    let all = [
        Told::FellBack { version: version() },
        Told::Verified { root: 3, clock: Source::Floor },
        Told::Verified { root: 3, clock: Source::Date },
        Told::Verified { root: 3, clock: Source::Sntp },
        Told::Found { version: version(), len: 655_504 },
        Told::Progress { received: 131_072 },
        Told::Installed { version: version(), slot: 1 },
    ];
    for told in all {
        let expected = match &told {
            Told::FellBack { version } => Event::FellBack { version: version.clone() },
            Told::Verified { root, clock } => {
                Event::Verified { root: *root, clock: clock.to_string() }
            }
            Told::Found { version, len } => Event::Found { version: version.clone(), size: *len },
            Told::Progress { received } => Event::Progress { received: *received, size: None },
            Told::Installed { version, slot } => {
                Event::Installed { version: version.clone(), slot: format!("ota_{slot}") }
            }
        };
        reads(&format!("updates: {told}"), expected);
    }
}

/// What a boot can be, as `updates::device` prints it.
#[test]
fn every_kind_of_boot_is_read() {
    for boot in
        [Boot::Settled, Boot::LastResort, on_trial(State::New), on_trial(State::PendingVerify)]
    {
        let expected = match boot {
            Boot::Settled => Event::Settled,
            Boot::LastResort => Event::LastResort,
            Boot::Trial(trial) => Event::OnTrial { bootloader_rollback: trial.bootloader_rollback },
        };
        reads(&format!("updates: this image is {boot}"), expected);
    }
}

/// A trial can only be had by a boot.
fn on_trial(state: State) -> Boot {
    let mut flash = VirtualFlash::new(0x40_0000);
    let slot = |start| Some(Region { start, len: 0x10_0000 });
    let mut layout = Layout { otadata: 0xd000, ..Layout::default() };
    layout.slots[0] = slot(0x1_0000);
    layout.slots[1] = slot(0x11_0000);
    let entry = Entry::new(1, state, Label::Install);
    trial::write(&mut flash, &layout, 0, &entry).unwrap();
    let boot = trial::start(&mut flash, &layout, Running::Slot(0)).unwrap();
    let Boot::Trial(trial) = boot else { panic!("{boot:?}") };
    assert_eq!(trial.bootloader_rollback, state == State::PendingVerify);
    boot
}

/// Why an update can come to nothing. No text of an error may read like an event.
#[test]
fn every_error_of_the_agent_is_trouble_and_nothing_else() {
    for error in errors() {
        let text = error.to_string();
        let reason = text.clone();
        reads(&format!("updates: {text}"), Event::Trouble { reason: reason.clone() });
        let expected = Event::NotConfirmed { reason: reason.clone() };
        reads(&format!("updates: not confirmed yet: {text}"), expected);
        reads(&format!("updates: not settled yet: {text}"), Event::NotSettled { reason });
    }
}

#[test]
fn every_problem_of_a_setting_is_read() {
    for problem in [
        Problem::Unreadable("url"),
        Problem::Kind("url"),
        Problem::Kind("poll_s"),
        Problem::Ssid,
        Problem::Psk,
        Problem::PskAlone,
        Problem::PskLost,
        Problem::Url(UrlError::Scheme),
        Problem::Channel,
        Problem::Poll(1),
    ] {
        let text = problem.to_string();
        reads(&format!("settings: {text}"), Event::Setting { problem: text });
    }
}

/// What the firmware prints besides: the text between quotes in its `println!`, the same filled in by
/// hand, and what is read from it.
fn printed() -> Vec<(&'static str, &'static str, Event)> {
    let own = |text: &str| text.to_owned();
    let connection = |reason| Event::Connection { reason: own(reason) };
    let network = |state| Event::Network { state: own(state) };
    let trouble = |reason| Event::Trouble { reason: own(reason) };
    let no_updates = |reason| Event::NoUpdates { reason: own(reason) };
    let restarts = |reason| Event::Restarts { reason: own(reason) };
    let no_network = "this device was given no network: README.md says how to write one into `nvs`";
    let no_server = "there is no update server: set `url` in `esp-ota.toml`";
    let no_time = "no time, and without one no certificate is valid";
    let out_of_dates = "a certificate is out of its dates by this device's clock";
    let reason = || "Some(Status(503))".to_owned();
    let reason_text = "Some(Status(503))";
    assert_eq!(format!("{:?}", Some(Trouble::Status(503))), reason_text);
    let runs = Event::Runs { product: own("pump"), version: own("1.0.0"), slot: own("ota_1") };
    let channel = Event::Channel { channel: own("stable"), url: own("https://u.test/x") };
    let lost = "the partition table has no `otadata`";
    vec![
        (
            "updates: {fault}: none until that is mended",
            "updates: the partition table has no `otadata`: none until that is mended",
            no_updates(lost),
        ),
        ("settings: {problem}", "settings: x", Event::Setting { problem: own("x") }),
        ("{} {version} runs from {slot}", "pump 1.0.0 runs from ota_1", runs),
        ("updates: {error}", "updates: flash encryption is on", trouble("flash encryption is on")),
        ("updates: this image is {}", "updates: this image is settled", Event::Settled),
        ("updates: {fault}", "updates: no memory", trouble("no memory")),
        (
            "updates: there is no update server: set `url` in `esp-ota.toml`",
            "updates: there is no update server: set `url` in `esp-ota.toml`",
            no_updates(no_server),
        ),
        ("updates: network `{}`", "updates: network `attic`", network("`attic`")),
        ("updates: channel {} of {url}", "updates: channel stable of https://u.test/x", channel),
        (
            "updates: not confirmed yet: {error}",
            "updates: not confirmed yet: x",
            Event::NotConfirmed { reason: own("x") },
        ),
        (
            "updates: the first look for a release is in {} s",
            "updates: the first look for a release is in 90 s",
            Event::FirstLook { seconds: 90 },
        ),
        (
            "updates: not settled yet: {error}",
            "updates: not settled yet: x",
            Event::NotSettled { reason: own("x") },
        ),
        ("updates: confirmed", "updates: confirmed", Event::Confirmed),
        (
            "updates: the self-test failed, and there is nothing to fall back to",
            "updates: the self-test failed, and there is nothing to fall back to",
            Event::SelfTestFailed,
        ),
        (
            "updates: {} reports wait: {:?}",
            "updates: 2 reports wait: Some(Status(503))",
            Event::ReportsWait { count: 2, reason: reason() },
        ),
        ("updates: up to date", "updates: up to date", Event::UpToDate),
        (
            "updates: a pause before the next try",
            "updates: a pause before the next try",
            Event::Waiting,
        ),
        ("updates: {event}", "updates: 7 bytes", Event::Progress { received: 7, size: None }),
        (
            "{fault}; restarting",
            "`otadata` cannot be read or written; restarting",
            restarts("`otadata` cannot be read or written"),
        ),
        (
            "{reason}; restarting",
            "a new release is installed; restarting",
            restarts("a new release is installed"),
        ),
        (
            "wifi: this device was given no network: README.md says how to write one into `nvs`",
            "wifi: this device was given no network: README.md says how to write one into `nvs`",
            network(no_network),
        ),
        ("wifi: {error:?}", "wifi: Disconnected", network("Disconnected")),
        ("wifi: connected", "wifi: connected", network("connected")),
        (
            "wifi: no word from the network",
            "wifi: no word from the network",
            network("no word from the network"),
        ),
        ("wifi: not connected", "wifi: not connected", network("not connected")),
        (
            "tls: a certificate is out of its dates by this device's clock",
            "tls: a certificate is out of its dates by this device's clock",
            connection(out_of_dates),
        ),
        ("tls: {error}", "tls: MbedTLS error", connection("MbedTLS error")),
        (
            "sntp: no time, and without one no certificate is valid",
            "sntp: no time, and without one no certificate is valid",
            connection(no_time),
        ),
    ]
}

#[test]
fn every_other_line_of_the_firmware_is_read() {
    for (text, line, expected) in printed() {
        assert!(is_filled_in(text, line), "`{line}` is not `{text}`");
        reads(line, expected);
    }
}

/// Whether a line has the fixed parts of a text, all in order, and something where it has braces.
fn is_filled_in(text: &str, line: &str) -> bool {
    let Some((fixed, rest)) = text.split_once('{') else { return text == line };
    let Some(line) = line.strip_prefix(fixed) else { return false };
    let (_, rest) = rest.split_once('}').unwrap();
    let ends = (1..=line.len()).filter(|end| line.is_char_boundary(*end));
    ends.into_iter().any(|end| is_filled_in(rest, &line[end..]))
}

#[test]
fn a_line_is_tied_to_its_text() {
    assert!(is_filled_in("updates: {} of {url}", "updates: a of b"));
    for line in ["updates: a", "updates: a of ", "updates:  of b", "x updates: a of b"] {
        assert!(!is_filled_in("updates: {} of {url}", line), "{line}");
    }
    assert!(!is_filled_in("updates: {}.", "updates: a"));
}

/// A line that the firmware prints and nobody here has heard of, or a wording that has changed.
#[test]
fn the_lines_of_the_firmware_are_the_ones_that_are_known() {
    let mut found = BTreeSet::new();
    for file in ["main.rs", "tls.rs", "updates", "net", "platform"] {
        literals(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/firmware/src").join(file),
            &mut found,
        );
    }
    let known: BTreeSet<String> = printed().into_iter().map(|(text, ..)| text.to_owned()).collect();
    assert_eq!(found, known);
}

fn literals(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            literals(&entry.unwrap().path(), found);
        }
        return;
    }
    let text = std::fs::read_to_string(path).unwrap();
    for call in text.split("println!(").skip(1) {
        let (_, literal) = call.split_once('"').unwrap();
        found.insert(literal.split('"').next().unwrap().to_owned());
    }
}

#[test]
fn text_that_only_resembles_the_firmware_is_no_event() {
    for line in [
        "",
        "updates:",
        "it runs from here to there",
        "a b c runs from ota_1",
        "pump 1.0.0 runs from ota_x",
        "runs from",
        "; restarted",
    ] {
        assert_eq!(event(line), None, "{line}");
    }
    for (text, reason) in [
        ("confirmed by nobody", "confirmed by nobody"),
        ("found x, many bytes", "found x, many bytes"),
        ("99999999999 bytes", "99999999999 bytes"),
        ("metadata verified (root x, time by date)", "metadata verified (root x, time by date)"),
    ] {
        reads(&format!("updates: {text}"), Event::Trouble { reason: reason.into() });
    }
}
