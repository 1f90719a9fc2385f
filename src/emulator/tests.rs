//! Real processes in the emulator's place: shell scripts that say what a chip would say, leave in
//! flash what it would leave, hang, crash, or never stop talking.

#![cfg(unix)]
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::timeout;

use super::boot;
use super::fault::{Fault, Verdict};
use super::kind::Network;
use super::machine::{Cut, End, Machine, SERIAL_LOG, Until};
use super::serial::{Word, loaded};
use super::{Emulator, EmulatorError, FlashImage, Narrator, Program};
use crate::agent::otadata::{ENTRY, Entry, Label, State};
use crate::chip::Chip;
use crate::error::{Exit, Explained};
use crate::flash_size::FlashSize;
use crate::partition::standard;
use crate::virtual_device::bootloader::Target;
use crate::virtual_device::stand_in;

/// Where the app partitions of the usual table begin, and the second entry of its `otadata`.
const OTA_0: u32 = 0x1_0000;
const OTA_1: u32 = 0x15_0000;
const SECOND_ENTRY: u32 = 0xf000;

/// A folder with an executable script.
pub(super) struct Script {
    pub(super) folder: TempDir,
}

impl Script {
    /// Writes the script through a shell: a file that this process has open for writing could not
    /// be executed while another test starts a process.
    pub(super) fn new(name: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", "cat > \"$1\" && chmod +x \"$1\"", "sh", name])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let text = format!("#!/bin/sh\n{text}\n");
        shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A chip that behaves as the script says. The script runs beside the flash.
struct Bench {
    script: Script,
    machine: Machine,
}

fn flash() -> FlashImage {
    let table = standard(FlashSize::DEFAULT.bytes()).unwrap();
    let mut flash = FlashImage::new(Chip::Esp32c3, FlashSize::DEFAULT, &table).unwrap();
    flash.install(0, &stand_in::image(Chip::Esp32c3)).unwrap();
    flash.install(1, &stand_in::image(Chip::Esp32c3)).unwrap();
    flash.offer().unwrap();
    flash
}

fn bench(emulator: Emulator, deadline: Duration, script: &str) -> Bench {
    let script = Script::new("emulator", script);
    let program = Program { emulator, path: script.path("emulator"), version: String::new() };
    let place = (script.folder.path(), boot::FLASH);
    let program = (program, Chip::Esp32c3);
    let machine = Machine::new(program, place, &flash(), Network::None, deadline).unwrap();
    Bench { script, machine }
}

fn qemu(deadline_ms: u64, script: &str) -> Bench {
    bench(Emulator::Qemu, Duration::from_millis(deadline_ms), script)
}

/// A line of a script that writes an entry to flash.
fn writes(entry: &Entry) -> String {
    let octal: String = entry.encode().iter().map(|byte| format!("\\{byte:03o}")).collect();
    let flash = boot::FLASH;
    format!("printf '{octal}' | dd of={flash} bs=1 seek={SECOND_ENTRY} conv=notrunc 2>/dev/null")
}

fn armed() -> String {
    writes(&Entry::new(2, State::Aborted, Label::Trial))
}

/// Whether the process of which the script noted the number is there.
fn is_alive(bench: &Bench) -> bool {
    let pid = fs::read_to_string(bench.script.path("pid")).unwrap();
    let probe = Command::new("kill").args(["-0", pid.trim()]).stderr(Stdio::null()).status();
    probe.unwrap().success()
}

fn waits_until_gone(bench: &Bench) {
    let since = Instant::now();
    while is_alive(bench) {
        assert!(since.elapsed() < Duration::from_secs(10), "the emulator is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn a_chip_that_hangs_is_switched_off_at_the_deadline() {
    let bench = qemu(300, "echo $$ > pid; echo hello; exec sleep 600");
    let session = bench.machine.power_on("hangs", Until::Loaded, Cut::Later).await.unwrap();
    assert_eq!((session.end, session.started), (End::Deadline, None));
    assert_eq!(session.last, ["hello"]);
    waits_until_gone(&bench);
}

#[tokio::test]
async fn whoever_stops_waiting_leaves_no_emulator_behind() {
    let bench = qemu(60_000, "echo $$ > pid; exec sleep 600");
    let waiting = bench.machine.power_on("interrupted", Until::Loaded, Cut::Later);
    assert!(timeout(Duration::from_millis(500), waiting).await.is_err());
    waits_until_gone(&bench);
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
    let bench = super::tests::bench(Emulator::EspEmu, Duration::from_secs(60), "echo hello");
    let session = bench.machine.power_on("times out", Until::Settled, Cut::Now).await.unwrap();
    assert_eq!(session.end, End::Deadline);
}

/// Keeps what it is told.
#[derive(Default)]
struct Notes(Vec<String>);

impl Narrator for Notes {
    fn begins(&mut self, _: &str) {}

    fn seen(&mut self, what: String) {
        self.0.push(what);
    }
}

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
    let (verdict, _) = super::tests::verdict(&bench).await;
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
    let (verdict, _) = super::tests::verdict(&two_boots("exec sleep 600", ":")).await;
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

async fn find(emulator: Emulator, folder: &Path, chip: Chip) -> Result<Program, EmulatorError> {
    Program::find(emulator, None, Some(folder.as_os_str()), chip).await
}

/// What the QEMU of Debian prints, in part.
const DEBIAN: &str = "case \"$*\" in
--version) echo 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)';;
*) printf 'Supported machines are:\\nnone                 empty machine\\nvirt                 RISC-V VirtIO board\\n';;
esac";

#[tokio::test]
async fn espressif_s_qemu_is_told_from_debian_s_by_its_machines() {
    let debian = Script::new("qemu-system-riscv32", DEBIAN);
    let error = find(Emulator::Qemu, debian.folder.path(), Chip::Esp32c3).await.unwrap_err();
    assert!(matches!(error, EmulatorError::OtherQemu { .. }), "{error}");
    assert_eq!(error.exit(), Exit::Project);
    assert!(error.help().unwrap().contains("docs.espressif.com"));

    // Another machine whose name begins alike is not enough.
    let alike = DEBIAN.replace("virt  ", "esp32c3-like");
    let alike = Script::new("qemu-system-riscv32", &alike);
    assert!(find(Emulator::Qemu, alike.folder.path(), Chip::Esp32c3).await.is_err());

    let fork = DEBIAN.replace("virt   ", "esp32c3");
    let fork = Script::new("qemu-system-riscv32", &fork);
    let program = find(Emulator::Qemu, fork.folder.path(), Chip::Esp32c3).await.unwrap();
    assert_eq!(program.path, fork.path("qemu-system-riscv32"));
    assert!(program.version.starts_with("QEMU emulator version 7.2.22"));
}

#[tokio::test]
async fn a_missing_emulator_and_a_missing_program_are_two_answers() {
    let empty = tempfile::tempdir().unwrap();
    for emulator in [Emulator::Qemu, Emulator::EspEmu] {
        let error = find(emulator, empty.path(), Chip::Esp32c3).await.unwrap_err();
        assert!(matches!(error, EmulatorError::Missing(_)), "{error}");
        assert_eq!(error.exit(), Exit::Project);
        let named = empty.path().join("nothing");
        let error = Program::find(emulator, Some(&named), None, Chip::Esp32c3).await.unwrap_err();
        assert!(matches!(error, EmulatorError::NoProgram(_)), "{error}");
    }
}

#[tokio::test]
async fn a_chip_that_an_emulator_does_not_have_is_refused_before_it_is_looked_for() {
    let empty = tempfile::tempdir().unwrap();
    for (emulator, chip) in [
        (Emulator::Qemu, Chip::Esp32c6),
        (Emulator::Qemu, Chip::Esp32),
        (Emulator::EspEmu, Chip::Esp32c2),
    ] {
        let error = find(emulator, empty.path(), chip).await.unwrap_err();
        assert!(matches!(error, EmulatorError::Chip { .. }), "{error}");
    }
    let both = EmulatorError::Chip { emulator: Emulator::EspEmu, chip: Chip::Esp32 };
    assert_eq!(both.to_string(), "esp-emu does not emulate `esp32`, only `esp32c3` and `esp32c6`");
}

#[test]
fn an_entry_in_a_script_is_the_entry() {
    let script = Script::new("write", &armed());
    let flash = script.path(boot::FLASH);
    fs::write(&flash, vec![0xff; 0x1_0000]).unwrap();
    let status = Command::new(script.path("write")).current_dir(script.folder.path()).status();
    assert!(status.unwrap().success());
    let bytes = fs::read(flash).unwrap();
    let at = usize::try_from(SECOND_ENTRY).unwrap();
    let entry = Entry::decode(bytes[at..at + ENTRY].try_into().unwrap());
    assert_eq!(entry, Entry::new(2, State::Aborted, Label::Trial));
}
