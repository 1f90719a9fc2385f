//! `publish --reproduce`: what two builds do not agree on is not published.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::harness::Project;
use crate::material;
use crate::shape::{Failed, Publish};

/// A project whose cargo gives `first.elf`, and `second.elf` for another target folder. It says what
/// cargo says, and notes how it was called.
fn project(first: Vec<u8>, second: Vec<u8>) -> Project {
    let project = Project::made()
        .without("rust-toolchain.toml")
        .file("first.elf", first)
        .file("second.elf", second)
        .env("SOURCE_DATE_EPOCH", stamp().to_string());
    let script = format!(
        "#!/bin/sh\n\
         case \"$*\" in metadata*) exit 1 ;; esac\n\
         echo \"$SOURCE_DATE_EPOCH $*\" >>'{log}'\n\
         case \"$*\" in *--target-dir*) elf=second mkdir=target/esp-ota/reproduce ;; *) elf=first mkdir=target ;; esac\n\
         mkdir -p \"$mkdir\" && : >\"$mkdir/built\"\n\
         printf '{{\"reason\":\"compiler-artifact\",\"package_id\":\"path+file:///x#thermostat@0.1.0\",\
         \"manifest_path\":\"%s/Cargo.toml\",\"target\":{{\"kind\":[\"bin\"],\"crate_types\":[\"bin\"],\
         \"name\":\"thermostat\",\"src_path\":\"%s/src/main.rs\",\"edition\":\"2024\",\"doc\":true,\
         \"doctest\":false,\"test\":true}},\"profile\":{{\"opt_level\":\"s\",\"debuginfo\":0,\
         \"debug_assertions\":false,\"overflow_checks\":false,\"test\":false}},\"features\":[],\
         \"filenames\":[],\"executable\":\"%s/%s.elf\",\"fresh\":false}}\\n' \"$PWD\" \"$PWD\" \"$PWD\" $elf\n",
        log = project.around("calls").display(),
    );
    let cargo = project.around("cargo");
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    project.env("CARGO", cargo)
}

/// A time that is over, and not long ago: metadata that is signed with it must not have ended.
fn stamp() -> i64 {
    static STAMP: OnceLock<i64> = OnceLock::new();
    *STAMP.get_or_init(|| jiff::Timestamp::now().as_second() - 3600)
}

fn calls(project: &Project) -> Vec<String> {
    let text = fs::read_to_string(project.around("calls")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_two_builds_agree_on_is_published() {
    let project = project(material::elf("1.0.0"), material::elf("1.0.0"))
        .file("target/esp-ota/reproduce/stale", "of an earlier run");
    project
        .run(["publish", "--reproduce"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("\n  reproduced: a second build from nothing has the same bytes\n")
        })
        .stderr_is(|text| {
            text.contains("\nonce more, from nothing, in `target/esp-ota/reproduce`\n")
        });
    assert!(!project.path("target/esp-ota/reproduce/stale").exists());
    let calls = calls(&project);
    assert_eq!(calls.len(), 2, "{calls:?}");
    let begin = format!("{} build --release ", stamp());
    assert!(calls.iter().all(|call| call.starts_with(&begin)), "{calls:?}");
    assert!(calls[1].ends_with(" --target-dir target/esp-ota/reproduce"), "{calls:?}");
    project
        .run(["publish", "--reproduce", "-q", "--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            assert_eq!((report.reproduced, report.published), (Some(true), false))
        })
        .stderr_is(|_| true);
    project
        .run(["publish", "-q", "--format", "json"])
        .exits(0)
        .json(|report: Publish| assert_eq!(report.reproduced, None))
        .stderr_is(|_| true);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "the shape is the expectation, whoever reads a field")]
struct Differs {
    schema: u32,
    command: String,
    outcome: String,
    exit_code: u8,
    product: String,
    chip: String,
    version: String,
    reproduced: bool,
    first: Image,
    second: Image,
    differences: Vec<Difference>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "the shape is the expectation, whoever reads a field")]
struct Image {
    file: String,
    size: u64,
    sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(dead_code, reason = "the shape is the expectation, whoever reads a field")]
struct Difference {
    offset: u64,
    length: u64,
    place: String,
    address: Option<u32>,
}

#[test]
fn what_they_do_not_agree_on_is_told_and_not_published() {
    // The descriptor is in the program as it is in the image: its magic word leads to it.
    let first = material::elf("1.0.0");
    let mut second = first.clone();
    let magic = 0xabcd_5432_u32.to_le_bytes();
    let descriptor = second.windows(4).position(|bytes| bytes == magic).unwrap();
    second[descriptor + 80] ^= 1;
    let project = project(first, second);
    project
        .run(["publish", "--reproduce", "-q"])
        .exits(1)
        .stdout_is(|text| {
            text.starts_with(
                "thermostat 1.0.0 for esp32c3: two builds of the same source are not the same; \
                 nothing was published\n  \
                 target/esp-ota/thermostat-esp32c3-1.0.0.bin: ",
            ) && text.contains(
                "\n  0x000070: 1 bytes in app descriptor: time of the build, 0x3c000070 on the device\n",
            ) && text.contains(" bytes in checksum\n")
        })
        .stderr_is(|_| true);
    project
        .run(["publish", "--reproduce", "-q", "--format", "json"])
        .exits(1)
        .json(|report: Differs| {
            assert_eq!(report.command, "publish");
            assert!(!report.reproduced);
            assert_ne!(report.first.sha256, report.second.sha256);
            let first = &report.differences[0];
            let place = "app descriptor: time of the build";
            assert_eq!((first.offset, first.length, first.place.as_str()), (0x70, 1, place));
        })
        .stderr_is(|_| true);
    assert!(!project.path("dist").exists());
}

#[test]
fn without_a_time_that_others_can_know_nothing_is_built() {
    let project = project(material::elf("1.0.0"), material::elf("1.0.0"));
    let words = "error: `SOURCE_DATE_EPOCH` is not set, so two builds would state two times\n  \
                 help: set it to a time that others can know: `export \
                 SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`\n";
    let mut command = project.command(["publish", "--reproduce"]);
    let done = command.env_remove("SOURCE_DATE_EPOCH").output().unwrap();
    assert_eq!(done.status.code(), Some(3));
    assert_eq!(String::from_utf8(done.stderr).unwrap(), words);
    assert!(!project.around("calls").exists());
    let json = Project::made().run(["publish", "--reproduce", "--format", "json"]).exits(3);
    json.json(|failed: Failed| assert_eq!(failed.command, "publish")).stderr(words);
}

#[test]
fn images_that_are_there_cannot_be_built_twice() {
    for more in [&["a.bin"][..], &["--revert", "1.0.0"], &["--refresh"]] {
        Project::made()
            .run(["publish", "--reproduce"].into_iter().chain(more.iter().copied()))
            .exits(2)
            .stdout("")
            .stderr_is(|text| text.contains("cannot be used with"))
            .wrote_nothing();
    }
}
