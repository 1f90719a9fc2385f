//! `[release] keep`: old releases are withdrawn, and their images archived.

use std::fs;

use crate::harness::{Project, Ran};
use crate::material;
use crate::releases::target;
use crate::shape::{Failed, Publish};

/// A project that keeps so many releases.
fn keeping(keep: &str) -> Project {
    Project::made().edit("esp-ota.toml", "[release]\n", &format!("[release]\nkeep = {keep}\n"))
}

#[must_use]
fn publish(project: &Project, version: &str, more: &[&str]) -> Ran {
    fs::write(project.path("a.bin"), material::image(version)).unwrap();
    project.run(["publish", "a.bin", "-q"].into_iter().chain(more.iter().copied()))
}

/// Publishes and says what was withdrawn and what was archived, by version.
#[track_caller]
fn told(project: &Project, version: &str) -> (Vec<String>, Vec<String>) {
    let mut found = (Vec::new(), Vec::new());
    publish(project, version, &["--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            let of = |path: String| path.rsplit('-').next().unwrap().replace(".bin", "");
            found.0 = report.withdrawn.into_iter().map(|it| it.version).collect();
            found.1 = report.archived.into_iter().map(of).collect();
        })
        .stderr("");
    found
}

/// Versions of the images in a folder of the store.
fn images(project: &Project, folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(project.path("dist").join(folder)) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut versions: Vec<String> = names
        .map(|name| name.rsplit('-').next().unwrap().strip_suffix(".bin").unwrap().to_owned())
        .collect();
    versions.sort();
    versions
}

fn listed(project: &Project) -> Vec<String> {
    let mut versions = Vec::new();
    project
        .run(["rollout", "show", "--format", "json"])
        .exits(0)
        .json(|report: serde_json::Value| {
            let releases = report["kinds"][0]["releases"].as_array().unwrap();
            versions =
                releases.iter().map(|it| it["version"].as_str().unwrap().to_owned()).collect();
        })
        .stderr("");
    versions
}

const NONE: [&str; 0] = [];

#[test]
fn a_release_goes_from_the_list_first_and_its_image_with_the_next_publish() {
    let project = keeping("2");
    for version in ["1.0.0", "1.1.0"] {
        assert_eq!(told(&project, version), (Vec::new(), Vec::new()));
    }
    let oldest = fs::read(target(&project, "1.0.0")).unwrap();
    publish(&project, "1.2.0", &[])
        .exits(0)
        .stdout_is(|text| text.contains("\n  esp32c3: 1.0.0 is listed no longer\n"))
        .stderr("");
    assert_eq!(listed(&project), ["1.1.0", "1.2.0"]);
    // A device that read the old metadata a second ago still gets it.
    assert_eq!(images(&project, "targets"), ["1.0.0", "1.1.0", "1.2.0"]);
    assert_eq!(images(&project, "archive"), NONE);

    assert_eq!(told(&project, "1.3.0"), (vec!["1.1.0".into()], vec!["1.0.0".into()]));
    assert_eq!(listed(&project), ["1.2.0", "1.3.0"]);
    assert_eq!(images(&project, "targets"), ["1.1.0", "1.2.0", "1.3.0"]);
    assert_eq!(images(&project, "archive"), ["1.0.0"]);
    let archived = fs::read_dir(project.path("dist/archive")).unwrap().next().unwrap().unwrap();
    assert!(fs::read(archived.path()).unwrap() == oldest);
    // No metadata goes, and devices go on with what is listed.
    for number in 1..=4 {
        for role in ["targets", "snapshot"] {
            assert!(project.path(&format!("dist/metadata/{number}.{role}.json")).exists());
        }
    }
    assert!(project.path("dist/metadata/1.root.json").exists());
    project
        .run(["rehearse", "--from", "none", "--from", "1.2.0", "-q"])
        .exits(0)
        .stdout_is(|text| text.contains("1.3.0"))
        .stderr("");
}

#[test]
fn a_dry_run_says_what_would_go() {
    let project = keeping("2");
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        publish(&project, version, &[]).exits(0).stderr("");
    }
    publish(&project, "1.3.0", &["--dry-run"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("\n  archive  targets/[SHA-256].thermostat-esp32c3-1.0.0.bin, ")
                && text.contains("\n  esp32c3: 1.1.0 is listed no longer\n")
        })
        .stderr("");
    assert_eq!(listed(&project), ["1.1.0", "1.2.0"]);
    assert_eq!(images(&project, "archive"), NONE);
}

#[test]
fn a_change_of_the_rollout_tidies_up_as_well_and_the_list_of_gone_files_ends() {
    let project = keeping("1");
    for version in ["1.0.0", "1.1.0"] {
        publish(&project, version, &[]).exits(0).stderr("");
    }
    let metadata = |number: u32| project.read(&format!("dist/metadata/{number}.targets.json"));
    assert!(metadata(2).contains("x-withdrawn"));
    project
        .run(["rollout", "set", "50", "-q"])
        .exits(0)
        .stdout_is(|text| {
            text.contains(
                "  `archive/[SHA-256].thermostat-esp32c3-1.0.0.bin` is an image that was listed before\n",
            )
        })
        .stderr("");
    assert_eq!(images(&project, "targets"), ["1.1.0"]);
    project.run(["rollout", "set", "60", "-q"]).exits(0).stderr("");
    assert!(!metadata(4).contains("x-withdrawn"), "{}", metadata(4));
}

#[test]
fn what_cannot_be_archived_waits_for_the_next_publish() {
    let project = keeping("1").file("dist/archive", "in the way");
    for version in ["1.0.0", "1.1.0"] {
        publish(&project, version, &[]).exits(0).stderr("");
    }
    publish(&project, "1.2.0", &[])
        .exits(0)
        .stdout_is(|text| text.starts_with("published thermostat 1.2.0 for esp32c3"))
        .stderr(
            "warning: it is published, but `targets/[SHA-256].thermostat-esp32c3-1.0.0.bin`, which \
             is listed no longer, could not be moved to `archive/` (cannot read \
             `dist/archive/[SHA-256].thermostat-esp32c3-1.0.0.bin`): the next publish tries again\n",
        );
    assert_eq!(images(&project, "targets"), ["1.0.0", "1.1.0", "1.2.0"]);
    let project = project.without("dist/archive");
    let archived = vec!["1.0.0".into(), "1.1.0".into()];
    let (withdrawn, mut found) = told(&project, "1.3.0");
    found.sort();
    assert_eq!((withdrawn, found), (vec!["1.2.0".into()], archived));
    assert_eq!(images(&project, "targets"), ["1.2.0", "1.3.0"]);
}

#[test]
fn damaged_bytes_are_not_archived() {
    let project = keeping("1");
    for version in ["1.0.0", "1.1.0"] {
        publish(&project, version, &[]).exits(0).stderr("");
    }
    fs::write(target(&project, "1.0.0"), "no image").unwrap();
    publish(&project, "1.2.0", &[]).exits(0).stdout_is(|text| !text.contains("archive/")).stderr(
        "warning: `targets/[SHA-256].thermostat-esp32c3-1.0.0.bin`, which is listed no longer, is \
         not the image that was signed: it goes, and is not archived\n",
    );
    assert_eq!(images(&project, "targets"), ["1.1.0", "1.2.0"]);
    assert_eq!(images(&project, "archive"), NONE);
}

#[test]
fn what_devices_take_stays_however_little_is_kept() {
    let project = keeping("1");
    publish(&project, "1.0.0", &[]).exits(0).stderr("");
    publish(&project, "1.1.0", &["--rollout", "50"]).exits(0).stderr("");
    publish(&project, "1.2.0", &["--rollout", "0"]).exits(0).stderr("");
    assert_eq!(listed(&project), ["1.0.0", "1.1.0", "1.2.0"]);
    assert!(
        fs::read(project.path("dist/esp32c3/firmware.bin")).unwrap() == material::image("1.0.0")
    );
}

#[test]
fn without_a_number_and_without_a_new_release_everything_stays() {
    let project = Project::made();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        assert_eq!(told(&project, version), (Vec::new(), Vec::new()));
    }
    let project = project.edit("esp-ota.toml", "[release]\n", "[release]\nkeep = 1\n");
    publish(&project, "1.2.0", &[]).exits(0).stderr("").changed(&[]);
    assert_eq!(listed(&project), ["1.0.0", "1.1.0", "1.2.0"]);
}

#[test]
fn a_number_is_a_number_and_at_least_one() {
    for (keep, words) in [
        ("0", "invalid value: integer `0`, expected a nonzero u32"),
        ("\"two\"", "invalid type: string \"two\", expected a nonzero u32"),
    ] {
        keeping(keep)
            .run(["check", "--format", "json"])
            .exits(3)
            .json(|failed: Failed| {
                assert!(failed.error.message.contains(words), "{}", failed.error.message);
                assert!(failed.error.location.unwrap().line.is_some());
            })
            .stderr_is(|text| text.starts_with("error: `esp-ota.toml:"));
    }
    Project::made()
        .edit("esp-ota.toml", "[release]\n", "[release]\nkeeep = 1\n")
        .run(["check"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.ends_with("  help: did you mean `keep`?\n"));
}
