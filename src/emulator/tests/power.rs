//! A power-on, and how it ends.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::{Bench, OTA_0, OTA_1, bench, qemu};
use crate::emulator::machine::{Cut, End, SERIAL_LOG, Until};
use crate::emulator::serial::{Word, loaded};
use crate::emulator::{Emulator, EmulatorError};
use crate::error::{Exit, Explained};
use crate::virtual_device::bootloader::Target;

/// Whether the process of which the script noted the number is there.
fn is_alive(bench: &Bench) -> bool {
    let pid = fs::read_to_string(bench.script.path("pid")).unwrap();
    let probe = Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status();
    probe.unwrap().success()
}

/// The runtime has to run meanwhile: it is what takes leave of a child that was killed.
async fn waits_until_gone(bench: &Bench) {
    let since = Instant::now();
    while is_alive(bench) {
        assert!(since.elapsed() < Duration::from_secs(10), "the emulator is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_chip_that_hangs_is_switched_off_at_the_deadline() {
    let bench = qemu(300, "echo $$ > pid; echo hello; exec sleep 600");
    let session = bench.machine.power_on("hangs", Until::Loaded, Cut::Later).await.unwrap();
    assert_eq!((session.end, session.started), (End::Deadline, None));
    assert_eq!(session.last, ["hello"]);
    waits_until_gone(&bench).await;
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_no_emulator_behind() {
    let bench = qemu(60_000, "echo $$ > pid; exec sleep 600");
    let waiting = bench.machine.power_on("interrupted", Until::Loaded, Cut::Later);
    assert!(timeout(Duration::from_millis(500), waiting).await.is_err());
    waits_until_gone(&bench).await;
}

#[tokio::test]
async fn an_emulator_that_fails_says_nothing_about_the_image() {
    let bench = qemu(60_000, "echo a line; echo 'unsupported machine type' >&2; exit 3");
    let error = bench.machine.power_on("fails", Until::Loaded, Cut::Later).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Device);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "unsupported machine type");
    assert!(error.to_string().contains("exit status: 3"), "{error}");
}

#[tokio::test]
async fn an_emulator_that_is_not_there_is_named() {
    let bench = qemu(1000, "exit 0");
    fs::remove_file(bench.script.path("emulator")).unwrap();
    let error = bench.machine.power_on("gone", Until::Loaded, Cut::Later).await.unwrap_err();
    assert!(matches!(error, EmulatorError::Start { .. }), "{error}");
    assert_eq!(error.exit(), Exit::Project);
}

#[tokio::test]
async fn a_reset_is_told_from_a_deadline() {
    let bench = qemu(60_000, &format!("echo '{}'; echo dying", loaded(OTA_1)));
    let session = bench.machine.power_on("resets", Until::Armed, Cut::Later).await.unwrap();
    assert_eq!((session.end, session.started), (End::Reset, Some(Target::Slot(1))));
    assert_eq!(session.last[1], "dying");
}

#[tokio::test]
async fn a_chip_that_talks_for_ever_fills_neither_memory_nor_disk() {
    let bench = qemu(1500, "exec yes 'updates: x'");
    let session = bench.machine.power_on("talks", Until::Loaded, Cut::Later).await.unwrap();
    assert_eq!(session.end, End::Deadline);
    assert!(session.words.len() <= 1000 && session.last.len() <= 12);
    let log = fs::metadata(bench.script.path(SERIAL_LOG)).unwrap().len();
    assert!((1_000_000..1_100_000).contains(&log), "{log}");
}

#[tokio::test]
async fn what_is_waited_for_ends_it_long_before_the_deadline() {
    let script = format!("echo '{}'; echo 'updates: confirmed'; exec sleep 600", loaded(OTA_0));
    for until in [Until::Loaded, Until::Confirmed] {
        let bench = qemu(60_000, &script);
        let since = Instant::now();
        let session = bench.machine.power_on("quick", until, Cut::Later).await.unwrap();
        assert_eq!((session.end, session.started), (End::Reached, Some(Target::Slot(0))));
        assert!(since.elapsed() < Duration::from_secs(30));
        // What comes a moment later is heard.
        assert!(session.words.contains(&Word::Confirmed));
    }
}

#[tokio::test]
async fn an_install_ends_with_the_reset_and_not_with_its_line() {
    let line = "echo 'updates: installed 1.0.1 in ota_1'";
    let bench = qemu(60_000, &format!("{line}; sleep 0.3; echo last"));
    let session = bench.machine.power_on("installs", Until::Installed, Cut::Now).await.unwrap();
    assert_eq!(session.end, End::Reached);
    assert_eq!(session.last.last().unwrap(), "last");
    let bench = qemu(500, &format!("{line}; exec sleep 600"));
    let session = bench.machine.power_on("stays", Until::Installed, Cut::Now).await.unwrap();
    assert_eq!(session.end, End::Deadline);
    let bench = qemu(60_000, "echo 'updates: up to date'");
    let session = bench.machine.power_on("resets", Until::Installed, Cut::Now).await.unwrap();
    assert_eq!(session.end, End::Reset);
}

#[tokio::test]
async fn esp_emu_is_left_to_end_by_itself() {
    let script = "echo \"$@\" > arguments; echo 'updates: installed 1.0.1 in ota_1'; sleep 0.3; \
                  echo saved > saved";
    let bench = bench(Emulator::EspEmu, Duration::from_secs(60), script);
    let session = bench.machine.power_on("installs", Until::Installed, Cut::Now).await.unwrap();
    assert_eq!(session.end, End::Reached);
    assert!(bench.script.path("saved").exists(), "it had no time to save its flash");
    let arguments = fs::read_to_string(bench.script.path("arguments")).unwrap();
    assert!(arguments.ends_with(" --exit-on updates: installed \n"), "{arguments}");

    // It ends well at its own timeout, too.
    let bench = super::bench(Emulator::EspEmu, Duration::from_secs(60), "echo hello");
    let session = bench.machine.power_on("times out", Until::Settled, Cut::Now).await.unwrap();
    assert_eq!(session.end, End::Deadline);
}
