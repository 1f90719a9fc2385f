//! `partitions check` with images and with what a project allows.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::harness::Project;
use crate::material;
use crate::shape::{Failed, Partitions};

const SOUND: &str = "nvs, data, nvs, 0x9000, 0x5000\n\
                     otadata, data, ota, 0xe000, 0x2000\n\
                     app0, app, ota_0, 0x10000, 0x140000\n\
                     app1, app, ota_1, 0x150000, 0x140000\n";

const ACCEPTED: &str =
    "accepted by: ESP-IDF yes, espflash yes, esp-bootloader-esp-idf yes, OTA yes\n";

/// A table and an image that fits it.
fn project() -> Project {
    Project::new().file("t.csv", SOUND).file("a.bin", material::image("1.0.0"))
}

fn slots_of(size: &str) -> String {
    SOUND
        .replace("0x140000\n", &format!("{size}\n"))
        .replace("app1, app, ota_1, 0x150000", "app1, app, ota_1, ")
}

#[test]
fn an_image_is_measured_against_every_slot() {
    let size = material::image("1.0.0").len();
    let free = 0x14_0000 - size;
    let percent = free * 1000 / 0x14_0000;
    let room = format!("{free} of 1310720 bytes free ({}.{}%)", percent / 10, percent % 10);
    project()
        .run(["partitions", "check", "t.csv", "--image", "a.bin"])
        .exits(0)
        .stdout(&format!(
            "image a.bin: {size} bytes\n  app0: {room}\n  app1: {room}\n{ACCEPTED}\
             partition table is sound\n"
        ))
        .stderr("")
        .wrote_nothing();
    project()
        .run(["partitions", "check", "t.csv", "--image", "a.bin", "--format", "json"])
        .exits(0)
        .json(|report: Partitions| {
            let [image] = report.images.as_slice() else { panic!("{report:?}") };
            assert_eq!((image.file.as_str(), image.size), ("a.bin", size));
            let slot = &image.slots[1];
            assert_eq!((slot.name.as_str(), slot.size), ("app1", 0x14_0000));
            assert_eq!(slot.free, i64::try_from(free).unwrap());
            assert!((slot.free_percent - 92.4).abs() < 0.11, "{slot:?}");
        })
        .stderr("");
}

/// The codes that a check finds, and its exit code.
#[track_caller]
fn found(project: &Project, arguments: &[&str], code: i32) -> Vec<String> {
    let mut codes = Vec::new();
    let all = ["partitions", "check"].into_iter().chain(arguments.iter().copied());
    project
        .run(all.chain(["--format", "json"]))
        .exits(code)
        .json(|report: Partitions| codes.extend(report.findings.into_iter().map(|it| it.code)))
        .stderr("")
        .wrote_nothing();
    codes
}

#[test]
fn an_image_that_is_too_large_is_rejected_at_the_row_of_the_slot() {
    let project = project().file("small.csv", slots_of("0x10000"));
    let size = material::image("1.0.0").len();
    project
        .run(["partitions", "check", "small.csv", "--image", "a.bin"])
        .exits(1)
        .stdout_is(|text| {
            text.starts_with(&format!(
                "error[image-too-large]: `a.bin` has {size} bytes, but `app0`, `app1` have 65536: \
                 {} too many\n  at: small.csv:3:28\n",
                size - 65536
            )) && text.contains(&format!("  app0: {} bytes too many for its 65536\n", size - 65536))
                && text.contains("OTA yes")
        })
        .stderr("")
        .wrote_nothing();
    // One of several is enough.
    let both = ["small.csv", "--image", "a.bin", "--image", "a.bin"];
    assert_eq!(found(&project, &both, 1), ["image-too-large", "image-too-large"]);
}

#[test]
fn what_has_to_stay_free_is_for_the_user_to_say() {
    let project = project().file("tight.csv", slots_of("0x20000"));
    let with = |amount| {
        found(
            &project,
            &["tight.csv", "--image", "a.bin", "--min-free", amount],
            if amount == "10%" { 0 } else { 1 },
        )
    };
    assert_eq!(with("10%"), [""; 0]);
    assert_eq!(with("50%"), ["image-low-headroom"]);
    assert_eq!(with("64K"), ["image-low-headroom"]);
    // Hardly anything free is a warning by itself.
    let full = material::image("1.0.0").len().next_multiple_of(0x1000);
    let project = project.file("full.csv", slots_of(&format!("{full:#x}")));
    assert_eq!(found(&project, &["full.csv", "--image", "a.bin"], 0), ["image-nearly-full"]);
    let denied = ["full.csv", "--image", "a.bin", "--deny", "warnings"];
    assert_eq!(found(&project, &denied, 1), ["image-nearly-full"]);
    project
        .run(["partitions", "check", "t.csv", "--min-free", "lots"])
        .exits(2)
        .stdout("")
        .stderr_is(|text| text.contains("write a percentage from 0% to 99%, or a size such as 64K"))
        .wrote_nothing();
}

#[test]
fn a_file_that_is_no_image_is_rejected_with_the_reason() {
    let image = material::image("1.0.0");
    let project = project()
        .file("a.elf", material::elf("1.0.0"))
        .file("cut.bin", &image[..image.len() - 16])
        .file("short.bin", &image[..4096])
        .file("empty.bin", "");
    for (file, chip, why) in [
        ("a.elf", "esp32c3", "first byte is 0x7f, not 0xe9\n  at: a.elf\n  help: make an image"),
        ("cut.bin", "esp32c3", "but the file ends after"),
        ("short.bin", "esp32c3", ""),
        ("empty.bin", "esp32c3", ""),
        ("t.csv", "esp32c3", "first byte is 0x6e, not 0xe9"),
        ("a.bin", "esp32c6", "it is for esp32c3, not for esp32c6"),
    ] {
        project
            .run(["partitions", "check", "t.csv", "--chip", chip, "--image", file])
            .exits(1)
            .stdout_is(|text| {
                text.starts_with(&format!(
                    "error[image-invalid]: `{file}` is no app image that boots: "
                )) && text.contains(why)
                    && text.contains(&format!("\n  at: {file}\n"))
            })
            .stderr("")
            .wrote_nothing();
    }
    project
        .run(["partitions", "check", "t.csv", "--image", "none.bin"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `none.bin` could not be read\n"))
        .wrote_nothing();
}

#[test]
fn in_a_project_the_newest_build_is_measured_and_named() {
    let old = "target/esp-ota/thermostat-esp32c3-1.10.0.bin";
    let new = "target/esp-ota/thermostat-esp32c3-1.9.0.bin";
    let project = Project::made()
        .file(old, "not an image")
        .file(new, material::image("1.0.0"))
        .file("target/esp-ota/thermostat-esp32c6-2.0.0.bin", "for another chip")
        .file("target/esp-ota/other-esp32c3-2.0.0.bin", "of another product");
    let past = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(project.path(old)).unwrap().set_modified(past).unwrap();
    project
        .run(["partitions", "check"])
        .exits(0)
        .stdout_is(|text| text.starts_with(&format!("image {new}: ")))
        .stderr("")
        .wrote_nothing();
    // Who names an image means that one.
    assert_eq!(found(&project, &["--image", old], 1), ["image-invalid"]);
    // A table that is named is judged by itself.
    project
        .run(["partitions", "check", "partitions.csv"])
        .exits(0)
        .stdout(&format!("{ACCEPTED}partition table is sound\n"))
        .stderr("");
}

/// A project whose table has no NVS and a gap between its slots.
fn gap(allow: &str) -> Project {
    let table = SOUND.replace("nvs, data, nvs", "phy, data, phy").replace("ota_1", "ota_2");
    Project::made().file("partitions.csv", table).edit(
        "esp-ota.toml",
        "partitions = \"partitions.csv\"\n",
        &format!("partitions = {{ allow = [{allow}] }}\n"),
    )
}

#[test]
fn what_is_allowed_is_shown_and_does_not_reject() {
    assert_eq!(found(&gap(""), &[], 1).len(), 2);
    let project = gap("\"slot-gap\"");
    project
        .run(["partitions", "check"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("allowed error[slot-gap]: ")
                && text.contains("\nwarning[nvs-missing]: ")
                && text.contains("OTA no\n")
                && text.ends_with("2 findings, 1 of them allowed\n")
        })
        .stderr("")
        .wrote_nothing();
    project
        .run(["partitions", "check", "--format", "github"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("\n::notice file=partitions.csv,line=4,col=12,title=slot-gap (allowed)::")
                && text.contains("\n::warning file=partitions.csv,title=nvs-missing::")
        })
        .stderr("");
    project
        .run(["partitions", "check", "--format", "json"])
        .exits(0)
        .json(|report: Partitions| {
            let allowed: Vec<bool> = report.findings.iter().map(|it| it.allowed).collect();
            assert_eq!(allowed, [true, false]);
            assert!(!report.accepted_by.ota, "facts stay facts");
        })
        .stderr("");
    found(&project, &["--deny", "warnings"], 1);
    found(&project, &["--deny", "warnings", "--allow", "nvs-missing"], 0);
    project
        .run(["check"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with("partitions: warning: 2 slots, 1 finding below an error\n")
        })
        .stderr("");
}

#[test]
fn a_list_that_cannot_be_meant_is_refused_with_its_place() {
    for (allow, words) in [
        (
            "\"slot-gap\", \"slot-gpa\"",
            "error: `esp-ota.toml:5:37` is wrong: `slot-gpa` is not the code of a finding\n  \
             help: did you mean `slot-gap`?\n",
        ),
        (
            "\"weather\"",
            "error: `esp-ota.toml:5:25` is wrong: `weather` is not the code of a finding\n  \
             help: `cargo esp-ota partitions explain` lists the codes\n",
        ),
        (
            "\"overlap\"",
            "error: `esp-ota.toml:5:25` is wrong: `overlap` cannot be allowed, because ESP-IDF \
             refuses such a table\n  \
             help: correct the table; `cargo esp-ota partitions explain overlap` says how\n",
        ),
    ] {
        gap(allow).run(["partitions", "check"]).exits(3).stdout("").stderr(words).wrote_nothing();
    }
    let project = project();
    project
        .run(["partitions", "check", "t.csv", "--allow", "overlap", "--format", "json"])
        .exits(2)
        .json(|failed: Failed| assert!(failed.error.help.unwrap().contains("explain overlap")))
        .stderr_is(|text| text.starts_with("error: `--allow overlap` cannot be"))
        .wrote_nothing();
    project
        .run(["partitions", "check", "t.csv", "--allow", "slot-gpa"])
        .exits(2)
        .stdout("")
        .stderr_is(|text| text.contains("did you mean `slot-gap`?"))
        .wrote_nothing();
}
