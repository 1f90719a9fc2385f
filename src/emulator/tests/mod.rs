//! Real processes in the emulator's place: shell scripts that say what a chip would say, leave in
//! flash what it would leave, hang, crash, or never stop talking.

#![cfg(unix)]
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod finding;
mod power;
mod trial;
mod whole_update;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::boot;
use super::kind::{Emulator, Network};
use super::machine::Machine;
use super::{FlashImage, Narrator, Program};
use crate::agent::otadata::{ENTRY, Entry, Label, State};
use crate::chip::Chip;
use crate::flash_size::FlashSize;
use crate::partition::standard;
use crate::virtual_device::stand_in;

/// Where the app partitions of the usual table begin, and the second entry of its `otadata`.
const OTA_0: u32 = 0x1_0000;
const OTA_1: u32 = 0x15_0000;
const SECOND_ENTRY: u32 = 0xf000;

/// A folder with an executable script.
struct Script {
    folder: TempDir,
}

impl Script {
    /// Writes the script through a shell: a file that this process has open for writing could not
    /// be executed while another test starts a process.
    fn new(name: &str, text: &str) -> Self {
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
    flash.settle().unwrap();
    flash
}

/// A chip whose flash says that `ota_1` is next and has not run yet.
fn bench(emulator: Emulator, deadline: Duration, script: &str) -> Bench {
    let mut flash = flash();
    flash.offer().unwrap();
    with_flash(emulator, deadline, script, &flash)
}

fn with_flash(emulator: Emulator, deadline: Duration, script: &str, flash: &FlashImage) -> Bench {
    let script = Script::new("emulator", script);
    let program = Program { emulator, path: script.path("emulator"), version: String::new() };
    let place = (script.folder.path(), boot::FLASH);
    let program = (program, Chip::Esp32c3);
    let machine = Machine::new(program, place, flash, Network::None, deadline).unwrap();
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

/// Keeps what it is told.
#[derive(Default)]
struct Notes(Vec<String>);

impl Narrator for Notes {
    fn begins(&mut self, _: &str) {}

    fn seen(&mut self, what: String) {
        self.0.push(what);
    }
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
