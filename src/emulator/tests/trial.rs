//! An image in its first minute, judged.

use super::{Bench, Notes, OTA_0, OTA_1, armed, qemu, writes};
use crate::agent::otadata::{Entry, Label, State};
use crate::emulator::boot;
use crate::emulator::serial::loaded;
use crate::emulator::{Fault, Verdict};
use crate::virtual_device::bootloader::Target;

/// A chip that boots what its script says at the first power-on and at the next.
fn two_boots(first: &str, second: &str) -> Bench {
    qemu(1500, &format!("if test -e booted; then {second}; else : > booted; {first}; fi"))
}

async fn verdict(bench: &Bench) -> (Verdict, Vec<String>) {
    let mut notes = Notes::default();
    (boot::rehearse(&bench.machine, &mut notes).await.unwrap(), notes.0)
}

#[tokio::test]
async fn an_image_that_arms_its_trial_passes_even_if_it_prints_nothing() {
    let old = format!("echo '{}'; exec sleep 600", loaded(OTA_0));
    for printed in [format!("echo '{}'", loaded(OTA_1)), ":".to_owned()] {
        let bench = two_boots(&format!("{printed}; {}; exec sleep 600", armed()), &old);
        let (verdict, seen) = verdict(&bench).await;
        assert_eq!(verdict, Verdict::default());
        assert_eq!(seen.len(), 2, "{seen:?}");
    }
}

#[tokio::test]
async fn an_image_that_never_reaches_its_agent_is_found_out() {
    let new = format!("echo '{}'; echo 'panic: at the disco'", loaded(OTA_1));
    let bench = two_boots(&format!("{new}; exec sleep 600"), ":");
    let (verdict, seen) = verdict(&bench).await;
    let fault = Fault::NotArmed { seconds: 1, state: "NEW".into(), label: "install".into() };
    assert_eq!(verdict.fault, Some(fault));
    assert_eq!(verdict.serial.last().unwrap(), "panic: at the disco");
    assert_eq!(seen, [""; 0]);

    let bench = two_boots(&new, ":");
    let (verdict, _) = self::verdict(&bench).await;
    let fault = Fault::ResetEarly { state: "NEW".into(), label: "install".into() };
    assert_eq!(verdict.fault, Some(fault));
}

#[tokio::test]
async fn an_image_that_says_it_is_on_trial_and_is_not_is_found_out() {
    let new = format!("echo '{}'; echo 'updates: this image is on trial'", loaded(OTA_1));
    let bench = two_boots(&format!("{new}; exec sleep 600"), ":");
    let (verdict, _) = verdict(&bench).await;
    assert!(matches!(verdict.fault, Some(Fault::NotArmed { .. })), "{:?}", verdict.fault);
}

#[tokio::test]
async fn an_image_that_confirms_itself_at_once_is_found_out() {
    let valid = writes(&Entry::new(2, State::Valid, Label::Ok));
    let new = format!("echo '{}'; {valid}; exec sleep 600", loaded(OTA_1));
    let (verdict, _) = verdict(&two_boots(&new, ":")).await;
    assert!(matches!(verdict.fault, Some(Fault::NotArmed { .. })), "{:?}", verdict.fault);
}

#[tokio::test]
async fn an_image_that_the_bootloader_passes_over_is_found_out() {
    let old = format!("echo '{}'; echo 'updates: this image is settled'", loaded(OTA_0));
    let (verdict, _) = verdict(&two_boots(&format!("{old}; exec sleep 600"), ":")).await;
    let (expected, found) = (Target::Slot(1), Target::Slot(0));
    assert_eq!(verdict.fault, Some(Fault::OtherStarted { expected, found }));
    let (verdict, _) = self::verdict(&two_boots("exec sleep 600", ":")).await;
    assert_eq!(verdict.fault, Some(Fault::NothingStarted));
}

#[tokio::test]
async fn a_bootloader_that_does_not_fall_back_is_found_out() {
    let new = format!("echo '{}'; {}; exec sleep 600", loaded(OTA_1), armed());
    let bench = two_boots(&new, &format!("echo '{}'; exec sleep 600", loaded(OTA_1)));
    let (verdict, seen) = verdict(&bench).await;
    let (expected, found) = (Target::Slot(0), Target::Slot(1));
    assert_eq!(verdict.fault, Some(Fault::OtherStarted { expected, found }));
    assert_eq!(seen.len(), 1, "{seen:?}");
}
