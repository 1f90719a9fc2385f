//! `demo`.

use crate::harness::Project;
#[cfg(unix)]
use crate::rehearse_emulator::with_program;
use crate::shape::{Demo, Failed};

#[test]
fn the_story_in_json_is_one_object_in_which_every_step_passed() {
    let project = Project::new();
    project
        .run(["demo", "--format", "json"])
        .exits(0)
        .json(|report: Demo| {
            assert_eq!(report.command, "demo");
            assert!(report.passed && report.kept.is_none());
            assert!(report.steps.len() > 20, "{}", report.steps.len());
            for step in &report.steps {
                assert!(step.passed, "{step:?}");
                assert_eq!(step.exit_code, step.expected_exit_code, "{step:?}");
                assert!(!step.result.is_empty() && !step.output.is_empty(), "{step:?}");
            }
            let refused = report.steps.iter().filter(|step| step.exit_code == 6).count();
            assert_eq!(refused, 4, "two by the tool, two by the device");
            assert!(report.steps.iter().all(|step| [0, 6].contains(&step.exit_code)));
        })
        .stderr("")
        // Neither in the working folder nor in the temporary one.
        .wrote_nothing();
}

#[test]
fn the_story_for_people_ends_with_a_summary() {
    Project::new()
        .run(["demo"])
        .exits(0)
        .stdout_is(|text| {
            let summary = text.split("\nSummary\n").nth(1).unwrap_or_default();
            text.contains("$ cargo esp-ota init thermostat")
                && summary.lines().filter(|line| line.starts_with("  ok ")).count() > 20
                && !summary.contains("FAILED")
                && text.ends_with("\nNothing was left behind; `--keep DIR` leaves it to look at.\n")
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn what_is_kept_is_what_it_says_and_a_second_demo_leaves_it_alone() {
    let project = Project::new();
    project
        .run(["demo", "--keep", "kept"])
        .exits(0)
        .stdout_is(|text| text.ends_with("\nEverything is in `kept`.\n"))
        .stderr("");
    for file in [
        "kept/bench-root.pem",
        "kept/flash-1-installed.bin",
        "kept/flash-4-healthy.bin",
        "kept/thermostat-1.0.0.elf",
        "kept/thermostat/esp-ota.toml",
        "kept/thermostat/dist/metadata/timestamp.json",
        "kept/thermostat/dist/esp32c3/firmware.bin",
    ] {
        assert!(project.path(file).is_file(), "{file}");
    }
    // Keys are not for keeping in a demo.
    assert!(!project.around("configuration/esp-ota").exists());
    assert_eq!(std::fs::read_dir(project.around("scratch")).unwrap().count(), 0);
    let stderr = "error: `kept` is not empty\n  help: name a folder that does not exist yet\n";
    project.run(["demo", "--keep", "kept"]).exits(5).stdout("").stderr(stderr).wrote_nothing();
    project
        .run(["demo", "--keep", "kept", "--format", "json"])
        .exits(5)
        .json(|failed: Failed| assert_eq!(failed.error.message, "`kept` is not empty"))
        .stderr(stderr)
        .wrote_nothing();
}

#[test]
fn the_kept_project_is_a_project() {
    let project = Project::new();
    project.run(["demo", "--keep", "kept", "-q"]).exits(0).stderr("");
    project
        .run(["--config", "kept/thermostat/esp-ota.toml", "check"])
        .exits(0)
        .stdout_is(|text| text.lines().all(|line| line.contains(": ok: ")))
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_place_that_cannot_be_written_is_refused() {
    Project::new()
        .file("file", "in the way\n")
        .run(["demo", "--keep", "file/kept"])
        .exits(5)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: `file/kept` could not be written\n  caused by: ")
        })
        .wrote_nothing();
}

#[test]
fn settings_of_whoever_runs_it_do_not_change_the_story() {
    Project::new()
        .env("ESP_OTA_CHIP", "esp32s3")
        .env("ESP_OTA_STORE", "dir:/nowhere")
        .env("SOURCE_DATE_EPOCH", "315532800")
        .env("CARGO_TERM_COLOR", "always")
        .run(["demo", "--format", "json"])
        .exits(0)
        .json(|report: Demo| assert!(report.passed))
        .stderr("");
}

/// A cargo that cannot compile for the chip, as it is without the target.
#[cfg(unix)]
#[test]
fn without_a_compiler_for_the_chip_the_firmware_s_story_ends_with_what_is_missing() {
    let cargo = "echo 'error[E0463]: can'\"'\"'t find crate for `core`' >&2; exit 101";
    let project = with_program(Project::new(), "cargo", cargo);
    project
        .run(["demo", "--firmware", "-q"])
        .exits(3)
        .stdout_is(|text| {
            text.contains("1.0.0 is built\n$ cargo esp-ota build\n")
                && text.contains("error[E0463]: can't find crate for `core`\n")
                && text.ends_with("  exit 3\n")
        })
        .stderr(
            "error: the firmware could not be built\n  \
             help: see above what is missing; `demo` without `--firmware` needs no compiler for \
             the chip\n",
        )
        .wrote_nothing();
}
