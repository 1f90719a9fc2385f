//! `rehearse --emulator`: what is said without an emulator, with the wrong one, and of images, by a
//! script in the emulator's place. With `ESP_OTA_TEST_QEMU=PATH`, the real one boots real images.

#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::Project;
use crate::material::{self, SLOTS};
use crate::rehearse::published;
use crate::releases::Release;
use crate::shape::{EmulatedPart, RehearseEmulator};

const QEMU: [&str; 4] = ["rehearse", "--emulator", "qemu", "--boot-only"];

/// A project with an image in `target/esp-ota`, as `build` leaves it.
fn built(version: &str) -> Project {
    let file = format!("target/esp-ota/thermostat-esp32c3-{version}.bin");
    Project::made().file(&file, material::image(version))
}

/// Puts a program on the path of `project`, besides what is there. A shell writes it: a file that
/// this process has open for writing could not be executed while another test starts a process.
pub(crate) fn with_program(project: Project, name: &str, script: &str) -> Project {
    let bin = project.around("bin");
    fs::create_dir_all(&bin).unwrap();
    let mut shell = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod +x \"$1\"", "sh", name])
        .current_dir(&bin)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let script = format!("#!/bin/sh\n{script}\n");
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
    let path = std::env::join_paths([bin, "/usr/bin".into(), "/bin".into()]).unwrap();
    project.env("PATH", path)
}

/// A QEMU with this machine, which does as `run` says when it is to run something.
fn with_qemu(project: Project, machine: &str, run: &str) -> Project {
    let script = format!(
        "case \"$*\" in
         --version) echo 'QEMU emulator version 9.2.2';;
         '-M help') echo 'Supported machines are:'; echo '{machine}      a machine';;
         *) {run};;
         esac"
    );
    with_program(project, "qemu-system-riscv32", &script)
}

fn loaded(slot: usize) -> String {
    format!("echo 'I (1) boot: Loaded app from partition at offset {:#x}'", SLOTS[slot])
}

#[test]
fn without_an_emulator_it_says_what_to_install() {
    let nowhere = built("1.0.0").env("PATH", "/nowhere");
    nowhere.run(QEMU).exits(3).stdout("").stderr(
        "error: there is no `qemu-system-riscv32` on `PATH`\n  \
         help: install Espressif's fork of QEMU: https://docs.espressif.com/projects/esp-idf/en/\
         stable/esp32c3/api-guides/tools/qemu.html; or name it with `--emulator-binary`\n",
    );
    nowhere.run(["rehearse", "--emulator", "esp-emu", "--boot-only"]).exits(3).stdout("").stderr(
        "error: there is no `esp-emu` on `PATH`\n  \
         help: install esp-emu: https://github.com/espressif/esp-emulator; or name it with \
         `--emulator-binary`\n",
    );
    nowhere
        .run(QEMU.into_iter().chain(["--emulator-binary", "tools/qemu"]))
        .exits(3)
        .stdout("")
        .stderr(
            "error: there is no program `tools/qemu`\n  \
             help: check the path after `--emulator-binary`\n",
        );
}

#[test]
fn the_qemu_of_a_distribution_is_not_the_one() {
    with_qemu(built("1.0.0"), "virt", "exit 1")
        .run(QEMU)
        .exits(3)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with(
                "error: `[ROOT]/bin/qemu-system-riscv32` has no machine `esp32c3`: it is not \
                 Espressif's fork of QEMU\n  help: install Espressif's fork of QEMU: https://docs.",
            )
        })
        .wrote_nothing();
}

#[test]
fn a_chip_or_a_flash_that_it_does_not_emulate_is_refused() {
    let project = with_qemu(built("1.0.0"), "esp32c3", "exit 1");
    project
        .run(QEMU.into_iter().chain(["--chip", "esp32s3"]))
        .exits(3)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: qemu does not emulate `esp32s3`, only `esp32c3`\n  help: ")
        })
        .wrote_nothing();
    project
        .run(QEMU.into_iter().chain(["--flash-size", "32MB"]))
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.contains("2MB, 4MB, 8MB and 16MB, but the project has 32MB"))
        .wrote_nothing();
}

#[test]
fn an_image_that_never_arms_its_trial_is_rejected_with_its_last_words() {
    let run = format!("{}; echo 'panicked at main.rs'; exec sleep 60", loaded(1));
    let project = with_qemu(built("1.0.0"), "esp32c3", &run);
    project.run(QEMU.into_iter().chain(["--deadline", "1", "-q"])).exits(1).stderr("").stdout_is(
        |text| {
            text.contains(
                "boot of 1.0.0: failed: the image did not arm its trial within 1 s: its entry of \
                 `otadata` says NEW, label `install`\n",
            ) && text.contains("    panicked at main.rs\n")
                && text.ends_with("serial log: target/esp-ota/emulator/serial.log\n")
        },
    );
    project.run(QEMU.into_iter().chain(["--deadline", "1", "--format", "json"])).exits(1).json(
        |report: RehearseEmulator| {
            assert_eq!((report.command.as_str(), report.emulator.as_str()), ("rehearse", "qemu"));
            let EmulatedPart { image, version, passed, steps, fault, .. } = report.boot;
            let image = image.unwrap();
            assert_eq!(image, "target/esp-ota/thermostat-esp32c3-1.0.0.bin");
            assert_eq!((version.as_str(), passed, steps.len()), ("1.0.0", false, 0));
            let fault = fault.unwrap();
            assert_eq!(fault.code, "not-armed");
            assert_eq!(fault.serial.last().unwrap(), "panicked at main.rs");
            assert!(report.update.is_none());
        },
    );
    // What is left of it can be looked at, and begins anew with each run.
    project
        .run(["slots", "--image", "target/esp-ota/emulator/flash-boot.bin"])
        .exits(0)
        .stderr("")
        .stdout_is(|text| text.contains("next boot: ota_1 (proven)"));
    let log = project.read("target/esp-ota/emulator/serial.log");
    assert_eq!(log.matches("panicked at main.rs").count(), 1, "{log}");
}

#[test]
fn an_image_that_the_bootloader_passes_over_is_rejected() {
    let run = format!("{}; exec sleep 60", loaded(0));
    let project = with_qemu(built("1.0.0"), "esp32c3", &run);
    project.run(QEMU.into_iter().chain(["--deadline", "1", "--format", "github", "-q"])).exits(1)
        .stderr("")
        .stdout_is(|text| {
            text.contains("::error title=rehearse-emulator-other-started::boot of 1.0.0: the bootloader started ota_0, not ota_1")
        });
}

#[test]
fn an_emulator_that_gives_up_judges_no_image() {
    let run = "echo 'could not open flash' >&2; exit 1";
    with_qemu(built("1.0.0"), "esp32c3", run).run(QEMU).exits(4).stdout("").stderr(
        "emulated chip: booting the image in ota_1\n\
         error: `[ROOT]/bin/qemu-system-riscv32` ended with exit status: 1\n  \
         caused by: could not open flash\n  \
         help: look into the serial log; another version of the emulator may help\n",
    );
}

#[test]
fn the_newest_build_is_taken_and_any_other_can_be_named() {
    let run = format!("{}; exec sleep 60", loaded(0));
    let project = with_qemu(built("1.1.0"), "esp32c3", &run);
    let older = "target/esp-ota/thermostat-esp32c3-1.2.0.bin";
    let project = project.file(older, material::image("1.2.0"));
    let file = fs::File::options().write(true).open(project.path(older)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let booted = |arguments: &[&str]| {
        let mut version = String::new();
        let all =
            QEMU.iter().chain(arguments).chain(&["--deadline", "1", "--format", "json", "-q"]);
        let ran = project.run(all.copied()).exits(1).stderr("");
        let _ = ran.json(|report: RehearseEmulator| version = report.boot.version);
        version
    };
    assert_eq!(booted(&[]), "1.1.0");
    assert_eq!(booted(&[older]), "1.2.0");
}

#[test]
fn what_would_not_boot_is_refused_before_anything_is_emulated() {
    let image = material::tampered(material::image("1.0.0"));
    let project = with_qemu(Project::made().file("a.bin", image), "esp32c3", "exit 1");
    project
        .run(QEMU.into_iter().chain(["a.bin"]))
        .exits(1)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: `a.bin` would not boot\n  caused by: ")
                && text.ends_with("help: make the image with `cargo esp-ota build`\n")
        })
        .wrote_nothing();
    let without = with_qemu(Project::made(), "esp32c3", "exit 1");
    without
        .run(QEMU)
        .exits(1)
        .stdout("")
        .stderr(
            "error: there is no image of `thermostat` for esp32c3: none is built, and none \
             published\n  help: build one first: `cargo esp-ota build`\n",
        )
        .wrote_nothing();
}

#[test]
fn a_firmware_that_cannot_be_built_for_an_emulated_chip_is_told_the_way_out() {
    let whole = ["rehearse", "--emulator", "qemu"];
    let project = with_qemu(built("1.0.0"), "esp32c3", "exit 1");
    let project = project.edit("Cargo.toml", "\nemulator = ", "\nother = ");
    project.run(whole).exits(3).stdout("").stderr(
        "error: the firmware has no feature `emulator` in `Cargo.toml`\n  \
         help: pass `--boot-only` to boot the image without a whole update\n",
    );
    let project = project.edit("Cargo.toml", "version = \"0.1.0\"", "version.workspace = true");
    project.run(whole).exits(3).stdout("").stderr(
        "error: `Cargo.toml` takes `version` from its workspace, and a copy of it has none\n  \
         help: pass `--boot-only` to boot the image without a whole update\n",
    );
    project.without("Cargo.toml").run(whole).exits(3).stdout("").stderr(
        "error: there is no firmware: `Cargo.toml` is missing\n  \
         help: pass `--boot-only` to boot the image without a whole update\n",
    );
}

#[test]
fn a_published_release_is_booted_where_nothing_was_built() {
    let run = format!("{}; exec sleep 60", loaded(0));
    let project = with_qemu(published(&["1.0.0", "1.1.0"]), "esp32c3", &run);
    project
        .run(QEMU.into_iter().chain(["--deadline", "1", "--format", "json", "-q"]))
        .exits(1)
        .stderr("")
        .json(|report: RehearseEmulator| {
            assert_eq!(report.boot.image.as_deref(), Some("dir:dist"));
            assert_eq!(report.boot.version, "1.1.0");
        });
    // Also where something was built, if the published one is asked for.
    let built = "target/esp-ota/thermostat-esp32c3-1.2.0.bin";
    let project = project.file(built, material::image("1.2.0"));
    project
        .run(QEMU.into_iter().chain(["--staged"]))
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: nothing is staged in dir:dist\n"));
}

#[test]
fn a_release_without_an_agent_has_no_trial_to_arm() {
    let project = with_qemu(published(&["1.0.0"]), "esp32c3", "exit 1");
    let image = material::image("1.1.0");
    Release::new("1.1.0", image).with(|custom| custom.agent = None).publish(&project);
    project.run(QEMU).exits(1).stdout("").stderr(
        "error: 1.1.0 has no update agent, so it has no trial to arm\n  help: try it on a board\n",
    );
}

#[test]
fn after_ctrl_c_nothing_runs_on() {
    let project = with_qemu(built("1.0.0"), "esp32c3", "echo $$ > pid; exec sleep 600");
    let mut child =
        project.command(QEMU).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let file = project.path("target/esp-ota/emulator/pid");
    let signal = |name: &str, pid: &str| {
        Command::new("kill").args([name, pid]).stderr(Stdio::null()).status().unwrap().success()
    };
    let wait = |what: &str, mut is_so: Box<dyn FnMut() -> bool + '_>| {
        let since = Instant::now();
        while !is_so() {
            assert!(since.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait(
        "the emulator does not start",
        Box::new(|| fs::read_to_string(&file).is_ok_and(|pid| pid.ends_with('\n'))),
    );
    let emulator = fs::read_to_string(&file).unwrap();
    assert!(signal("-0", emulator.trim()));
    assert!(signal("-INT", &child.id().to_string()));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    wait("the emulator is still there", Box::new(|| !signal("-0", emulator.trim())));
}

#[test]
fn a_chip_without_emulated_ethernet_can_only_be_booted() {
    let project = with_program(Project::made(), "esp-emu", "echo 'esp-emu 0.30.0'");
    project
        .run(["rehearse", "--emulator", "esp-emu", "--chip", "esp32c6"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: the feature `emulator` is for `esp32c3`, not for `esp32c6`\n  \
             help: pass `--boot-only` to boot the image without a whole update\n",
        )
        .wrote_nothing();
    let mute = with_program(Project::made(), "esp-emu", ":");
    mute.run(["rehearse", "--emulator", "esp-emu"]).exits(3).stdout("").stderr_is(|text| {
        text.starts_with(
            "error: `[ROOT]/bin/esp-emu` does not answer like esp-emu: `--version` says nothing\n",
        )
    });
}

#[test]
fn what_belongs_to_the_emulator_needs_it() {
    for arguments in [
        &["rehearse", "a.bin"][..],
        &["rehearse", "--boot-only"],
        &["rehearse", "--emulator-binary", "qemu"],
        &["rehearse", "--emulator", "bochs"],
        &["rehearse", "--emulator", "qemu", "--faults"],
        &["rehearse", "--emulator", "qemu", "--from", "none"],
        &["rehearse", "--emulator", "qemu", "--deadline", "0"],
    ] {
        let ran = Project::made().run(arguments.iter().copied()).exits(2).stdout("");
        ran.stderr_is(|text| text.contains("--emulator") || text.contains("--deadline"));
    }
}

/// The real emulator, where somebody says where it is.
fn real_qemu() -> Option<String> {
    std::env::var("ESP_OTA_TEST_QEMU").ok().filter(|path| !path.is_empty())
}

#[test]
fn the_real_qemu_boots_an_image_without_an_agent_and_it_is_rejected() {
    let Some(qemu) = real_qemu() else { return };
    let project = built("1.0.0");
    project
        .run(QEMU.into_iter().chain(["--emulator-binary", &qemu, "--deadline", "5", "-q"]))
        .exits(1)
        .stderr("")
        .stdout_is(|text| text.contains("did not arm its trial within 5 s"));
    let log = project.read("target/esp-ota/emulator/serial.log");
    assert!(log.contains("Loaded app from partition at offset 0x150000"), "{log}");
}
