//! `rehearse`, reading the store.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Project;
use crate::material;
use crate::releases::{Release, target};
use crate::shape::{Failed, Rehearse, Start};

/// A project with these versions published.
pub(crate) fn published(versions: &[&str]) -> Project {
    let project = Project::made();
    for version in versions {
        let project = publish(&project, version);
        project.exits(0).stderr("");
    }
    project
}

#[must_use]
fn publish(project: &Project, version: &str) -> crate::harness::Ran {
    fs::write(project.path("a.bin"), material::image(version)).unwrap();
    project.run(["publish", "a.bin", "-q"])
}

/// The rehearsal from one version; `none` is a device that has no release.
pub(crate) fn start<'a>(report: &'a Rehearse, from: &str) -> &'a Start {
    let wanted = Some(from).filter(|from| *from != "none");
    let mut starts = report.starts.iter();
    starts.find(|start| start.from.as_deref() == wanted).expect("this start was rehearsed")
}

/// Exit code and message of a start that failed.
#[track_caller]
pub(crate) fn failure(start: &Start) -> (u8, String) {
    assert_eq!(start.outcome, "failed", "{start:?}");
    let error = start.error.as_ref().unwrap();
    (error.exit_code, error.message.clone())
}

/// Every number that depends on the agent's habits becomes `#`.
fn masked(text: &str) -> String {
    let mask = |line: &str| {
        let is_measured = ["  wire: ", "  flash: ", "  a real device: "]
            .iter()
            .any(|begin| line.starts_with(begin));
        if !is_measured {
            return line.to_owned();
        }
        let mut masked = String::new();
        for c in line.chars() {
            match c {
                '0'..='9' if masked.ends_with('#') => {}
                '0'..='9' => masked.push('#'),
                c => masked.push(c),
            }
        }
        masked
    };
    text.split_inclusive('\n').map(mask).collect()
}

#[test]
fn every_release_in_the_field_is_taken_to_the_newest() {
    let project = published(&["1.0.0", "1.1.0"]);
    let size = material::image("1.1.0").len();
    project
        .run(["rehearse"])
        .exits(0)
        .stdout_is(|text| {
            let update = |from: &str, version: &str, flash: &str| {
                format!(
                    "from {from}: ok: runs 1.1.0 from ota_1\n  \
                     the update:\n    \
                     ota_0 starts, {version}, confirmed\n    \
                     metadata verified, root 1\n    \
                     1.1.0 is newer, {size} bytes\n    \
                     1.1.0 is in ota_1, read back and verified; otadata selects it\n  \
                     after the reset, with either bootloader:\n    \
                     ota_1 starts, 1.1.0, on trial\n    \
                     had it not confirmed: ota_0 starts, {version}\n    \
                     the repository is reached, without TLS\n    \
                     confirmed\n    \
                     ota_1 starts, 1.1.0, confirmed\n    \
                     metadata verified, root 1\n    \
                     nothing newer for this device\n  \
                     wire: # bytes in # requests (image #, targets #, snapshot #, timestamp #, \
                     root #)\n  \
                     {flash}  \
                     a real device: #.# s of flash; #.# s in all with a fast network, #.# s with a \
                     slow one\n"
                )
            };
            let blank = "flash: # programs, # erases (# sector # times)\n";
            let used = "flash: # programs, # erases (# sectors once, # sector # times)\n";
            let expected = format!(
                "thermostat 1.1.0 for esp32c3 in `stable`, read from dir:dist\n  \
                 {size} bytes, SHA-256 [SHA-256]\n  \
                 rollout to 100% of the devices; rehearsed as 240ac4000000, which takes part\n\
                 {}{}\
                 from 1.1.0: ok: there is nothing newer for it\n  \
                 the update:\n    \
                 ota_0 starts, 1.1.0, confirmed\n    \
                 metadata verified, root 1\n    \
                 nothing newer for this device\n  \
                 wire: # bytes in # requests (image #, targets #, snapshot #, timestamp #, root \
                 #)\n  \
                 flash: # programs, no erase\n  \
                 a real device: #.# s of flash; #.# s in all with a fast network, #.# s with a \
                 slow one\n",
                update("no release", "0.0.0-0", blank),
                update("1.0.0", "1.0.0", used)
            );
            let found = masked(text);
            assert_eq!(found, expected);
            true
        })
        .stderr("rehearsing from no release\nrehearsing from 1.0.0\nrehearsing from 1.1.0\n")
        .wrote_nothing();
}

#[test]
fn in_json_everything_is_counted() {
    let size = u64::try_from(material::image("1.1.0").len()).unwrap();
    let project = published(&["1.0.0", "1.1.0"]);
    let all = ["rehearse", "--from", "v1.0.0", "--format", "json", "-q"];
    let judge = |report: Rehearse| {
        assert_eq!((report.read_from.as_str(), report.staged), ("dir:dist", false));
        let aimed = report.release.as_ref().unwrap();
        assert_eq!((aimed.version.as_str(), aimed.agent.as_str()), ("1.1.0", "same"));
        let [start] = report.starts.as_slice() else { panic!("{report:?}") };
        assert_eq!((start.outcome.as_str(), start.to.as_deref()), ("updated", Some("1.1.0")));
        assert!(start.rehearsed_with_own_agent && start.unknown_roots == 0);
        let steps: Vec<&str> = start.steps.iter().map(|it| it["step"].as_str().unwrap()).collect();
        let trial =
            ["booted", "fell-back", "reached", "confirmed", "booted", "verified", "up-to-date"];
        let update = ["booted", "verified", "found", "installed"];
        let all = [&update[..], &["bootloader"], &trial, &["bootloader"], &trial].concat();
        assert_eq!(steps, all);
        let booted: Value =
            json!({"step": "booted", "target": "ota_1", "version": "1.1.0", "boot": "trial"});
        assert_eq!(start.steps[5], booted);

        let files = &start.wire.files;
        assert_eq!((files.image.requests, files.image.bytes), (1, size));
        // Twice a root that is not there, three timestamps, and the rest once for each poll.
        assert_eq!((files.root.requests, files.root.bytes), (2, 0));
        assert_eq!((files.timestamp.requests, files.targets.requests), (3, 2));
        let sum = [&files.root, &files.timestamp, &files.snapshot, &files.targets, &files.image]
            .iter()
            .map(|file| file.bytes)
            .sum::<u64>();
        assert_eq!(start.wire.bytes, sum);

        let flash = &start.flash;
        assert_eq!(flash.operations, flash.erases + flash.programs);
        assert!(flash.programs >= size.div_ceil(256), "{flash:?}");
        let worn: u64 = flash.worn.iter().map(|it| it.sectors * u64::from(it.erases)).sum();
        assert_eq!(worn, flash.erases);
        // The other slot held an older image, so its sectors were erased, once each.
        let slot = flash.worn.iter().find(|worn| worn.offset == 0x15_0000).unwrap();
        assert_eq!(slot.erases, 1);
        assert!(slot.sectors >= size.div_ceil(4096) && slot.sectors <= size.div_ceil(65536) * 16);
        assert_eq!(flash.blocks, size.div_ceil(65536));
        let flash_us = flash.blocks * report.model.block_erase_us
            + (flash.erases - 16 * flash.blocks) * report.model.sector_erase_us
            + flash.programs * report.model.page_program_us;
        assert_eq!(start.device_time.flash_ms, flash_us / 1000);
    };
    project.run(all).exits(0).json(judge).stderr("").wrote_nothing();
}

#[test]
fn a_start_that_is_not_published_is_named() {
    published(&["1.0.0"])
        .run(["rehearse", "--from", "0.9.0"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: `0.9.0` is not among the published releases: 1.0.0\n  \
             help: name one of these, or `none`\n",
        )
        .wrote_nothing();
}

#[test]
fn nothing_published_is_nothing_rehearsed() {
    let project = Project::made();
    project
        .run(["rehearse"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: dir:dist has no release of `thermostat` for esp32c3 in `stable`\n  \
             help: publish a release: `cargo esp-ota publish` rehearses it on its way\n",
        )
        .wrote_nothing();
    published(&["1.0.0"])
        .run(["rehearse", "--channel", "beta", "--format", "json"])
        .exits(1)
        .json(|failed: Failed| assert!(failed.error.message.ends_with("in `beta`")))
        .stderr_is(|text| text.starts_with("error: dir:dist has no release"))
        .wrote_nothing();
}

#[test]
fn what_is_staged_is_rehearsed_before_any_device_sees_it() {
    let project = published(&["1.0.0"]);
    project
        .run(["rehearse", "--staged"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: nothing is staged in dir:dist\n  \
             help: leave `--staged` out to rehearse what devices see now\n",
        )
        .wrote_nothing();
    Release::new("1.1.0", material::image("1.1.0")).stage(&project);
    let newest = |arguments: &[&'static str]| {
        let all = ["rehearse", "--from", "1.0.0", "-q", "--format", "json"];
        let mut newest = String::new();
        project
            .run(all.into_iter().chain(arguments.iter().copied()))
            .exits(0)
            .json(|report: Rehearse| {
                assert_eq!(report.staged, !arguments.is_empty());
                newest = start(&report, "1.0.0").to.clone().unwrap_or_default();
            })
            .stderr("");
        newest
    };
    assert_eq!(newest(&[]), "");
    assert_eq!(newest(&["--staged"]), "1.1.0");
}

/// Runs in JSON and gives exit codes and messages of one start.
#[track_caller]
fn fails(project: &Project, from: &str, code: u8, message: &str, cause: Option<&str>) {
    project
        .run(["rehearse", "-q", "--from", from, "--format", "json"])
        .exits(i32::from(code))
        .json(|report: Rehearse| {
            let start = start(&report, from);
            assert_eq!(failure(start), (code, message.to_owned()));
            let causes = &start.error.as_ref().unwrap().caused_by;
            assert_eq!(causes.first().map(String::as_str), cause);
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn an_image_that_was_changed_is_a_matter_of_trust() {
    let project = published(&["1.0.0", "1.1.0"]);
    let file = target(&project, "1.1.0");
    fs::write(&file, material::tampered(fs::read(&file).unwrap())).unwrap();
    let refused = "the device's agent does not take the release (`hash-mismatch-target`)";
    let cause = "the downloaded bytes are not the signed ones";
    fails(&project, "1.0.0", 6, refused, Some(cause));
    project
        .run(["rehearse", "-q", "--from", "none"])
        .exits(6)
        .stdout_is(|text| {
            text.contains(
                "from no release: failed: the device's agent does not take the release \
                 (`hash-mismatch-target`)\n  \
                 caused by: the downloaded bytes are not the signed ones\n  \
                 help: every device refuses this too; ",
            )
        })
        .stderr("");
    project
        .run(["rehearse", "-q", "--from", "1.0.0", "--format", "github"])
        .exits(6)
        .stdout_is(|text| text.contains("\n::error title=rehearse::from 1.0.0: failed: "))
        .stderr("");
    // The device that starts with it cannot even be made.
    project
        .run(["rehearse", "-q", "--from", "1.1.0", "--format", "json"])
        .exits(6)
        .json(|report: Rehearse| {
            let (code, message) = failure(start(&report, "1.1.0"));
            assert!(code == 6 && message.contains("is not the file that was signed"), "{message}");
        })
        .stderr("");
}

#[test]
fn one_bad_start_does_not_hide_the_others() {
    let project = published(&["1.0.0", "1.1.0", "1.2.0"]);
    fs::remove_file(target(&project, "1.0.0")).unwrap();
    project
        .run(["rehearse", "-q", "--format", "json"])
        .exits(1)
        .json(|report: Rehearse| {
            let outcome = |from| start(&report, from).outcome.as_str();
            let outcomes = ["none", "1.0.0", "1.1.0", "1.2.0"].map(outcome);
            assert_eq!(outcomes, ["updated", "failed", "updated", "up-to-date"]);
            let (code, message) = failure(start(&report, "1.0.0"));
            assert!(code == 1 && message.ends_with("the answer to a request for it is 404"));
        })
        .stderr("");
    // A breach of trust outweighs what is only missing.
    let file = target(&project, "1.1.0");
    fs::write(&file, material::tampered(fs::read(&file).unwrap())).unwrap();
    project.run(["rehearse", "-q"]).exits(6).stderr("");
}

#[test]
fn a_release_whose_file_is_gone_cannot_be_installed() {
    let project = published(&["1.0.0", "1.1.0"]);
    fs::remove_file(target(&project, "1.1.0")).unwrap();
    let message = "the device's agent does not take the release (`status-404`)";
    fails(&project, "1.0.0", 1, message, Some("the server answered 404"));
}

#[test]
fn metadata_that_was_changed_or_is_not_ours_is_a_matter_of_trust() {
    let project = published(&["1.0.0"]);
    let metadata = "dist/metadata/1.targets.json";
    let text = project.read(metadata).replace("1.0.0", "9.9.9");
    let untrusted = |text: &str| {
        text.starts_with("error: the release repository does not verify against the TUF root\n")
    };
    project
        .file(metadata, text)
        .run(["rehearse"])
        .exits(6)
        .stdout("")
        .stderr_is(untrusted)
        .wrote_nothing();
    // Another project of the same name has other keys.
    let (ours, theirs) = (published(&["1.0.0"]), Project::new());
    theirs.run(["init", "--product", "thermostat"]).exits(0).stderr("");
    let foreign = theirs.read("trust/root.json");
    ours.file("trust/root.json", foreign)
        .run(["rehearse"])
        .exits(6)
        .stdout("")
        .stderr_is(untrusted)
        .wrote_nothing();
}

#[test]
fn metadata_that_expired_is_refused_as_devices_refuse_it() {
    let project = Project::made();
    Release::new("1.0.0", material::image("1.0.0")).signed_days_ago(91).publish(&project);
    project
        .run(["rehearse"])
        .exits(6)
        .stdout("")
        .stderr(
            "error: the timestamp metadata of the release repository has expired\n  \
             help: sign it again with `cargo esp-ota publish --refresh`, or publish a release\n",
        )
        .wrote_nothing();
    let project = Project::made();
    Release::new("1.0.0", material::image("1.0.0")).signed_days_ago(89).publish(&project);
    project.run(["rehearse", "-q"]).exits(0).stderr("").wrote_nothing();
}

#[test]
fn another_agent_is_said_and_never_ok() {
    let project = published(&["1.0.0"]);
    let agent = |custom: &mut cargo_esp_ota::release::custom::Custom| {
        custom.agent = Some("ab".repeat(32));
    };
    Release::new("1.1.0", material::image("1.1.0")).with(agent).publish(&project);
    let said = "from 1.1.0: not rehearsed with its own agent: there is nothing newer for it\n";
    project
        .run(["rehearse", "-q"])
        .exits(1)
        .stdout_is(|text| {
            let updated = "from 1.0.0: not rehearsed with its own agent: runs 1.1.0 from ota_1\n";
            text.contains(updated) && text.contains(said) && !text.contains(": ok: ")
        })
        .stderr("")
        .wrote_nothing();
    project
        .run(["rehearse", "-q", "--accept-agent-drift"])
        .exits(0)
        .stdout_is(|text| text.contains(said) && !text.contains(": ok: "))
        .stderr("")
        .wrote_nothing();
    project
        .run(["rehearse", "-q", "--from", "1.1.0", "--format", "github"])
        .exits(1)
        .stdout_is(|text| text.contains("\n::warning title=rehearse::from 1.1.0: not rehearsed"))
        .stderr("");
    let agent = project.read("src/ota/agent.rs");
    project
        .file("src/ota/agent.rs", agent + "// mine\n")
        .run(["rehearse", "-q", "--accept-agent-drift"])
        .exits(0)
        .stderr(
            "warning: `src/ota` differs from this tool's agent: the next release would not be \
             rehearsed with its own agent\n",
        );
}

#[test]
fn an_image_without_an_agent_is_started_and_no_more() {
    let project = published(&["1.0.0"]);
    let none = |custom: &mut cargo_esp_ota::release::custom::Custom| custom.agent = None;
    Release::new("1.1.0", material::image("1.1.0")).with(none).publish(&project);
    project
        .run(["rehearse", "-q", "--format", "json"])
        .exits(1)
        .json(|report: Rehearse| {
            assert_eq!(report.release.as_ref().unwrap().agent, "none");
            let updated = start(&report, "1.0.0");
            assert_eq!((updated.outcome.as_str(), updated.slot), ("updated", Some(1)));
            assert!(!updated.rehearsed_with_own_agent);
            let started = json!({"step": "started", "target": "ota_1"});
            assert_eq!(updated.steps.iter().filter(|step| **step == started).count(), 2);
            let itself = start(&report, "1.1.0");
            assert_eq!(itself.outcome, "not-rehearsed");
            assert!(itself.reason.as_ref().unwrap().starts_with("it has no update agent"));
        })
        .stderr("");
}

#[test]
fn a_halted_rollout_is_a_fact_and_no_failure() {
    let project = published(&["1.0.0"]);
    let halted = |custom: &mut cargo_esp_ota::release::custom::Custom| custom.rollout.percent = 0;
    Release::new("1.1.0", material::image("1.1.0")).with(halted).publish(&project);
    project
        .run(["rehearse", "-q"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with("thermostat 1.0.0 for esp32c3 in `stable`, read from dir:dist\n")
                && text.contains("\n  1.1.0 is halted: its rollout is at 0%\n")
                && text.contains("\nfrom no release: ok: runs 1.0.0 from ota_1\n")
                && text.contains("\nfrom 1.0.0: ok: there is nothing newer for it\n")
        })
        .stderr("");
    let project = Project::made();
    Release::new("1.1.0", material::image("1.1.0")).with(halted).publish(&project);
    project
        .run(["rehearse", "-q", "--from", "none"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(
                "thermostat for esp32c3 in `stable`, read from dir:dist: no release is given to \
                 any device\n  1.1.0 is halted: its rollout is at 0%\n\
                 from no release: ok: there is nothing newer for it\n",
            )
        })
        .stderr("");
}

#[test]
fn the_device_is_one_that_the_rollout_includes() {
    let project = published(&["1.0.0"]);
    let few = |custom: &mut cargo_esp_ota::release::custom::Custom| custom.rollout.percent = 1;
    Release::new("1.1.0", material::image("1.1.0")).with(few).publish(&project);
    project
        .run(["rehearse", "-q", "--from", "1.0.0", "--format", "json"])
        .exits(0)
        .json(|report: Rehearse| {
            assert_ne!(report.device, "240ac4000000", "one in a hundred");
            assert_eq!(report.release.as_ref().unwrap().rollout_percent, 1);
            assert_eq!(start(&report, "1.0.0").to.as_deref(), Some("1.1.0"));
        })
        .stderr("");
}

#[test]
fn a_release_that_would_install_itself_again_and_again_is_found() {
    let project = published(&["1.0.0"]);
    Release::new("1.2.0", material::image("1.1.0")).publish(&project);
    let message = "`1.2.0` is confirmed, and the device installs `1.2.0` again and again";
    fails(&project, "1.0.0", 1, message, None);
}

#[test]
fn a_release_for_newer_chips_is_rehearsed_on_one() {
    let project = published(&["1.0.0"]);
    let newer = |custom: &mut cargo_esp_ota::release::custom::Custom| custom.min_chip_revision = 4;
    Release::new("1.1.0", material::image("1.1.0")).with(newer).publish(&project);
    project
        .run(["rehearse", "-q", "--from", "1.0.0", "--format", "json"])
        .exits(0)
        .json(|report: Rehearse| assert_eq!(start(&report, "1.0.0").chip_revision, 4))
        .stderr("");
}

#[test]
fn what_the_project_lacks_is_named() {
    let project = || published(&["1.0.0"]);
    project()
        .without("trust/root.json")
        .run(["rehearse"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: there is no `trust/root.json`"))
        .wrote_nothing();
    let table = "otadata, data, ota, 0xe000, 0x2000\n\
                 app0, app, ota_0, 0x10000, 0x100000\n\
                 app1, app, ota_1, 0x110000, 0x100000\n";
    project()
        .file("partitions.csv", table)
        .run(["rehearse"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: the partition table has no writable `nvs` partition for the agent\n  \
             help: add one of 0x5000 bytes or more\n",
        )
        .wrote_nothing();
    let small = "nvs, data, nvs, 0x9000, 0x5000\n\
                 otadata, data, ota, 0xe000, 0x2000\n\
                 app0, app, ota_0, 0x10000, 0x10000\n\
                 app1, app, ota_1, 0x20000, 0x10000\n";
    let project = project().file("partitions.csv", small);
    let message = "`1.0.0` cannot be flashed into the first slot of the project's table";
    fails(&project, "1.0.0", 3, message, Some("access beyond the end of flash"));
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    for arguments in [
        &["rehearse", "--public", "--store", "dir:x"][..],
        &["rehearse", "--connect", "127.0.0.1:1", "--store", "dir:x"],
        &["rehearse", "--connect", "localhost"],
        &["rehearse", "--from", "latest"],
    ] {
        Project::made()
            .run(arguments.iter().copied())
            .exits(2)
            .stdout("")
            .stderr_is(|text| text.starts_with("error: "))
            .wrote_nothing();
    }
}
