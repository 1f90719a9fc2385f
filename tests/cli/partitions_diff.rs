//! `partitions diff`: what changed between two tables, and who can follow.

use crate::harness::Project;
use crate::shape::Diff;

const OLD: &str = "nvs, data, nvs, 0x9000, 0x5000\n\
                   otadata, data, ota, 0xe000, 0x2000\n\
                   app0, app, ota_0, 0x10000, 0x140000\n\
                   app1, app, ota_1, 0x150000, 0x140000\n\
                   spiffs, data, spiffs, 0x290000, 0x160000\n";

/// The slots grow at the cost of the file system.
fn grown() -> String {
    OLD.replace("0x140000\n", "0x180000\n")
        .replace("0x150000", "0x190000")
        .replace("0x290000, 0x160000", "0x310000, 0xe0000")
}

fn project(new: &str) -> Project {
    Project::new().file("old.csv", OLD).file("new.csv", new)
}

const DIFF: [&str; 4] = ["partitions", "diff", "old.csv", "new.csv"];

#[test]
fn the_same_table_in_another_form_is_the_same() {
    let project = project(&format!("# the same\n{}", OLD.replace("0x5000", "20K")));
    project
        .run(["partitions", "convert", "new.csv", "-o", "new.bin"])
        .exits(0)
        .stdout_is(|_| true)
        .stderr("");
    for new in ["new.csv", "new.bin"] {
        project
            .run(["partitions", "diff", "old.csv", new])
            .exits(0)
            .stdout("the tables are the same: there is nothing to deliver\n")
            .stderr("")
            .wrote_nothing();
    }
}

#[test]
fn larger_slots_cannot_be_delivered_and_say_what_a_cable_loses() {
    let project = project(&grown());
    project
        .run(DIFF)
        .exits(1)
        .stdout(
            "\
app0 (app/ota_0): grew 1280K -> 1536K
  over the air: no, `app0` keeps 1280K (0x140000) on devices: a larger image does not fit
app1 (app/ota_1): moved 0x150000 -> 0x190000, grew 1280K -> 1536K
  over the air: no, `app1` stays at 0x150000 on devices: an update cannot move it to 0x190000; \
`app1` keeps 1280K (0x140000) on devices: a larger image does not fit
spiffs (data/spiffs): moved 0x290000 -> 0x310000, shrank 1408K -> 896K
  over the air: no, `spiffs` stays at 0x290000 on devices: an update cannot move it to 0x310000
  by cable: the files in `spiffs` stay at 0x290000, where nothing looks for them
2 rows are the same
over the air: no, the new table needs a cable, and flashing it loses what is in `spiffs`
images for devices with either table: at most 1280K (0x140000)
  help: build for `old.csv` as long as devices have it
",
        )
        .stderr("")
        .wrote_nothing();
    project
        .run(DIFF.into_iter().chain(["--format", "json"]))
        .exits(1)
        .json(|report: Diff| {
            assert_eq!(report.command, "partitions diff");
            assert_eq!((report.verdict.as_str(), report.over_the_air), ("cable-loses-data", false));
            assert_eq!(report.loses, ["spiffs"]);
            assert_eq!(report.largest_image, Some(0x14_0000));
            assert_eq!(report.rows.len(), 5);
            let spiffs = &report.rows[4];
            assert_eq!(spiffs.changes, ["moved", "shrank"]);
            assert_eq!(spiffs.old.as_ref().unwrap().offset, 0x29_0000);
            assert_eq!(spiffs.new.as_ref().unwrap().offset, 0x31_0000);
            assert!(!spiffs.over_the_air && spiffs.loss.is_some());
            assert!(report.rows[0].over_the_air && report.rows[0].changes.is_empty());
        })
        .stderr("");
}

#[test]
fn what_firmware_no_longer_needs_is_no_obstacle() {
    let smaller = OLD.replace("0x290000, 0x160000", "0x290000, 0x100000");
    for (new, lines) in [
        (smaller.as_str(), "spiffs (data/spiffs): shrank 1408K -> 1M\n  over the air: yes\n"),
        (OLD.split("spiffs").next().unwrap(), "spiffs (data/spiffs): went (1408K at 0x290000)\n"),
    ] {
        project(new)
            .run(DIFF)
            .exits(0)
            .stdout_is(|text| text.starts_with(lines) && text.contains("\nover the air: yes, "))
            .stderr("");
    }
}

#[test]
fn a_new_partition_needs_a_cable_and_loses_nothing() {
    project(&format!("{OLD}coredump, data, coredump, 0x3f0000, 0x10000\n"))
        .run(DIFF.into_iter().chain(["--format", "json"]))
        .exits(1)
        .json(|report: Diff| {
            assert_eq!(report.verdict, "cable");
            assert!(report.loses.is_empty() && report.obstacles.is_empty());
            assert_eq!(report.rows[5].changes, ["appeared"]);
            assert!(report.rows[5].old.is_none());
        })
        .stderr("");
}

#[test]
fn one_table_may_come_from_input_and_the_new_one_from_the_project() {
    let project = Project::made();
    let own = std::fs::read(project.path("partitions.csv")).unwrap();
    project
        .input(own)
        .run(["partitions", "diff", "-"])
        .exits(0)
        .stdout("the tables are the same: there is nothing to deliver\n")
        .stderr("");
    Project::new().run(["partitions", "diff", "-", "-"]).exits(2).stdout("").stderr(
        "error: both tables are `-`, but there is one standard input\n  \
             help: name a file for one of them\n",
    );
}

#[test]
fn a_moved_table_and_a_table_without_second_slot_reach_nobody() {
    let moved = OLD.replace("0x9000, 0x5000", "0xa000, 0x4000");
    project(&moved)
        .run(DIFF.into_iter().chain(["--old-table-offset", "0x7000"]))
        .exits(1)
        .stdout_is(|text| text.contains("table: the table is at 0x7000 on devices"))
        .stderr_is(|_| true);
    let single = "nvs, data, nvs, 0x9000, 0x5000\nfactory, app, factory, 0x10000, 1M\n";
    Project::new()
        .file("old.csv", single)
        .file("new.csv", OLD)
        .run(DIFF)
        .exits(1)
        .stdout_is(|text| {
            text.contains(
                "table: devices with the old table have 0 OTA slots and no otadata: nothing \
                 reaches them over the air\n",
            )
        })
        .stderr("");
    project(single)
        .run(DIFF)
        .exits(1)
        .stdout_is(|text| text.contains("factory (app/factory): appeared (1M at 0x10000)"))
        .stderr_is(|text| text.starts_with("warning: `new.csv` cannot carry updates"));
}

#[test]
fn what_is_no_table_is_not_compared() {
    let project = Project::new().file("old.csv", OLD).file("noise", [0xfe_u8; 100]);
    for pair in [["old.csv", "noise"], ["noise", "old.csv"], ["old.csv", "none"]] {
        project
            .run(["partitions", "diff"].into_iter().chain(pair))
            .exits(3)
            .stdout("")
            .stderr_is(|text| text.starts_with("error: "))
            .wrote_nothing();
    }
}
