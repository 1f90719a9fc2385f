//! An update, judged: the course that is right, and each way in which it can be wrong.

use std::time::Duration;

use jiff::Timestamp;

use super::{Notes, OTA_0, OTA_1, armed, flash, with_flash, writes};
use crate::agent::otadata::{Entry, Label, State};
use crate::emulator::bench::Bench;
use crate::emulator::serial::loaded;
use crate::emulator::update::{self, Plan};
use crate::emulator::{Emulator, Fault, Verdict};
use crate::virtual_device::bootloader::Target;
use crate::virtual_device::stand_in::VERSION;

/// What the device starts with. The images of these tests all state [`VERSION`], which is the newer.
const OLD: &str = "0.0.1";

/// What the chip does at each of the seven power-ons of an update that is right.
struct Course([String; 7]);

fn started(offset: u32, version: &str, slot: &str) -> String {
    format!("echo '{}'; echo 'thermostat {version} runs from {slot}'", loaded(offset))
}

fn old() -> String {
    started(OTA_0, OLD, "ota_0")
}

fn new() -> String {
    started(OTA_1, VERSION, "ota_1")
}

const ON: &str = "exec sleep 600";

fn right() -> Course {
    let offered = writes(&Entry::new(2, State::New, Label::Install));
    let installs = format!("{}; {offered}; echo 'updates: installed {VERSION} in ota_1'", old());
    let trial = format!("{}; {}; echo 'updates: this image is on trial'; {ON}", new(), armed());
    let valid = writes(&Entry::new(2, State::Valid, Label::Ok));
    let confirms = format!("{}; {}; {valid}; echo 'updates: confirmed'; {ON}", new(), armed());
    let settled = format!("{}; echo 'updates: this image is settled'; {ON}", new());
    Course([installs.clone(), trial.clone(), installs.clone(), trial, installs, confirms, settled])
}

impl Course {
    /// The same, but for one power-on, counted from 1.
    fn but(mut self, power_on: usize, script: String) -> Self {
        self.0[power_on - 1] = script;
        self
    }

    async fn verdict(self) -> (Verdict, Vec<String>) {
        let Self(scripts) = self;
        let mut script = "n=$(cat n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > n\n".to_owned();
        for (n, power_on) in (1..).zip(scripts) {
            script.push_str(&format!("if test $n = {n}; then {power_on}; exit 0; fi\n"));
        }
        let chip = with_flash(Emulator::Qemu, Duration::from_secs(3), &script, &flash());
        let folder = chip.script.path("dist");
        let bench = Bench::new(Emulator::Qemu, &folder, Timestamp::now()).await.unwrap();
        let server = bench.serve(None).await.unwrap();
        let plan = Plan { from: OLD, to: VERSION, outage: Duration::from_secs(1) };
        let mut notes = Notes::default();
        let verdict = update::rehearse(&chip.machine, &bench, server, plan, &mut notes).await;
        (verdict.unwrap(), notes.0)
    }

    /// The fault that is found, and how much was right before it.
    async fn fault(self) -> (Fault, usize) {
        let (verdict, seen) = self.verdict().await;
        (verdict.fault.expect("a fault"), seen.len())
    }
}

#[tokio::test]
async fn the_course_that_is_right_passes() {
    let (verdict, seen) = right().verdict().await;
    assert_eq!(verdict, Verdict::default());
    assert_eq!(seen.len(), 7, "{seen:?}");
}

#[tokio::test]
async fn a_device_that_does_not_update_itself_is_found_out() {
    let what = format!("{OLD} did not install {VERSION}");
    let idle = format!("{}; echo 'updates: up to date'; {ON}", old());
    let late = Fault::TooLate { what: what.clone(), seconds: 3 };
    assert_eq!(right().but(1, idle).fault().await, (late, 0));
    assert_eq!(right().but(5, old()).fault().await, (Fault::Reset(what), 4));
    let pretends = format!("{}; echo 'updates: installed {VERSION} in ota_1'", old());
    let (fault, seen) = right().but(1, pretends).fault().await;
    assert!(matches!(fault, Fault::Flash(_)), "{fault}");
    assert_eq!(seen, 0);
}

#[tokio::test]
async fn a_trial_that_is_not_armed_is_found_out_at_either_cut() {
    let unarmed = format!("{}; echo 'updates: this image is on trial'; {ON}", new());
    let (expected, found) = (Target::Slot(0), Target::Slot(1));
    let fault = Fault::WrongChoice { expected, found };
    assert_eq!(right().but(2, unarmed.clone()).fault().await, (fault, 1));
    let (fault, seen) = right().but(4, unarmed).fault().await;
    assert!(matches!(fault, Fault::NotArmed { .. }), "{fault}");
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn an_image_that_confirms_itself_without_its_server_is_found_out() {
    let valid = writes(&Entry::new(2, State::Valid, Label::Ok));
    let alone = format!("{}; {}; {valid}; echo 'updates: confirmed'; {ON}", new(), armed());
    let fault = Fault::ConfirmedAlone { version: VERSION.into() };
    assert_eq!(right().but(4, alone).fault().await, (fault, 3));
    // Without a word, too.
    let secretly = format!("{}; {valid}; {ON}", new());
    let (fault, _) = right().but(4, secretly).fault().await;
    assert!(matches!(fault, Fault::NotArmed { .. }), "{fault}");
}

#[tokio::test]
async fn an_image_that_never_stays_is_found_out() {
    let never = format!("{}; {}; {ON}", new(), armed());
    let what = format!("{VERSION} did not confirm itself");
    let late = Fault::TooLate { what, seconds: 3 };
    assert_eq!(right().but(6, never).fault().await, (late, 5));
    let pretends = format!("{}; {}; echo 'updates: confirmed'; {ON}", new(), armed());
    let (fault, _) = right().but(6, pretends).fault().await;
    assert!(matches!(fault, Fault::Flash(_)), "{fault}");
    let gone = format!("{}; echo 'updates: this image is settled'; {ON}", old());
    let (expected, found) = (Target::Slot(1), Target::Slot(0));
    let fault = Fault::OtherStarted { expected, found };
    assert_eq!(right().but(7, gone).fault().await, (fault, 6));
}

#[tokio::test]
async fn a_device_that_does_not_fall_back_is_found_out() {
    let (expected, found) = (Target::Slot(0), Target::Slot(1));
    let fault = Fault::OtherStarted { expected, found };
    assert_eq!(right().but(3, format!("{}; {ON}", new())).fault().await, (fault, 2));
    let another = started(OTA_0, "7.7.7", "ota_0");
    let fault = Fault::OtherRuns { expected: OLD.into(), found: "7.7.7".into() };
    assert_eq!(right().but(3, another).fault().await, (fault, 2));
}
