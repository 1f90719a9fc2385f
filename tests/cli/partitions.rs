//! `partitions check`. What the rules say is tested where they are; this is about the command.

use crate::harness::Project;
use crate::shape::Partitions;

const SOUND: &str = "nvs, data, nvs, 0x9000, 0x5000\n\
                     otadata, data, ota, 0xe000, 0x2000\n\
                     app0, app, ota_0, 0x10000, 0x140000\n\
                     app1, app, ota_1, 0x150000, 0x140000\n";

/// Its fourth row begins inside the third.
const OVERLAP: &str = "nvs, data, nvs, 0x9000, 0x5000\n\
                       otadata, data, ota, 0xe000, 0x2000\n\
                       app0, app, ota_0, 0x10000, 0x140000\n\
                       app1, app, ota_1, 0x140000, 0x140000\n";

const ACCEPTED: &str = "accepted by: ESP-IDF yes, espflash yes, esp-bootloader-esp-idf yes, OTA yes\n\
     partition table is sound\n";

#[test]
fn a_sound_table_needs_no_project() {
    Project::new()
        .file("t.csv", SOUND)
        .run(["partitions", "check", "t.csv"])
        .exits(0)
        .stdout(ACCEPTED)
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_table_comes_from_standard_input_too() {
    Project::new()
        .input(SOUND)
        .run(["partitions", "check", "-"])
        .exits(0)
        .stdout(ACCEPTED)
        .stderr("")
        .wrote_nothing();
}

#[test]
fn the_project_s_own_table_is_checked_with_the_project_s_flash_size() {
    let project = Project::made();
    project.run(["partitions", "check"]).exits(0).stdout(ACCEPTED).stderr("").wrote_nothing();
    project
        .run(["partitions", "check", "--flash-size", "2MB", "--format", "json"])
        .exits(1)
        .json(|report: Partitions| assert!(!report.accepted_by.ota))
        .stderr("");
}

#[test]
fn an_overlap_is_rejected_with_its_place_in_every_format() {
    let project = Project::new().file("t.csv", OVERLAP);
    project
        .run(["partitions", "check", "t.csv"])
        .exits(1)
        .stdout_is(|text| {
            text.starts_with("error[")
                && text.contains("\n  at: t.csv:4:")
                && text.contains("OTA no")
        })
        .stderr("")
        .wrote_nothing();
    project
        .run(["partitions", "check", "t.csv", "--format", "json"])
        .exits(1)
        .json(|report: Partitions| {
            assert_eq!(report.command, "partitions check");
            assert_eq!(report.outcome, "rejected");
            assert!(!report.accepted_by.esp_idf && !report.accepted_by.ota);
            let first = &report.findings[0];
            assert_eq!((first.severity.as_str(), first.line), ("error", Some(4)));
            assert!(first.help.is_some(), "{first:?}");
        })
        .stderr("")
        .wrote_nothing();
    project
        .run(["partitions", "check", "t.csv", "--format", "github"])
        .exits(1)
        .stdout_is(|text| {
            text.lines().any(|line| line.starts_with("::error file=t.csv,line=4,col="))
        })
        .stderr("");
}

#[test]
fn a_file_that_is_no_table_is_rejected_and_not_taken_for_an_empty_one() {
    let project = Project::new().file("noise", [0xfe_u8; 100]).file("empty", "");
    for file in ["noise", "empty"] {
        project
            .run(["partitions", "check", file, "--format", "json"])
            .exits(1)
            .json(|report: Partitions| {
                let accepted = report.accepted_by;
                assert!(!accepted.ota && !report.findings.is_empty());
            })
            .stderr("")
            .wrote_nothing();
    }
}

#[test]
fn a_file_far_too_large_for_a_table_is_not_read() {
    Project::new()
        .file("large.csv", vec![b'#'; 1024 * 1024 + 1])
        .run(["partitions", "check", "large.csv"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.contains("caused by: larger than 1048576 bytes\n"))
        .wrote_nothing();
    Project::new()
        .input(vec![b'#'; 1024 * 1024 + 1])
        .run(["partitions", "check", "-"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.contains("caused by: larger than 1048576 bytes\n"))
        .wrote_nothing();
}

#[test]
fn warnings_can_be_denied() {
    // Without NVS the agent has no memory: it works, but not well.
    let table = SOUND.replace("nvs, data, nvs, 0x9000, 0x5000\n", "");
    let project = Project::new().file("t.csv", table);
    let mut severities = Vec::new();
    project
        .run(["partitions", "check", "t.csv", "--format", "json"])
        .exits(0)
        .json(|report: Partitions| {
            severities.extend(report.findings.into_iter().map(|finding| finding.severity));
        })
        .stderr("");
    assert!(
        !severities.is_empty() && severities.iter().all(|it| it == "warning"),
        "{severities:?}"
    );
    project
        .run(["partitions", "check", "t.csv", "--deny", "warnings"])
        .exits(1)
        .stdout_is(|text| text.contains("\nwarning[") || text.starts_with("warning["))
        .stderr("");
}
