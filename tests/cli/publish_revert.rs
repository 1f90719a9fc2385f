//! `publish --revert`: the content of an older release under a newer version.

use std::fs;

use serde_json::Value;

use crate::certificates;
use crate::harness::Project;
use crate::material;
use crate::rehearse_public::{URL, online, pin};
use crate::releases::{self, Release};

/// A project with these releases, each for all devices.
fn published(versions: &[&str]) -> Project {
    let project = Project::made();
    for version in versions {
        Release::new(version, material::image(version)).publish(&project);
    }
    project
}

/// Publishes the content of 1.1.0 with these arguments, and hands out the report.
#[track_caller]
fn reverted(project: &Project, more: &[&str]) -> Value {
    let mut found = Value::Null;
    let all = ["publish", "--revert", "1.1.0", "-q", "--format", "json"];
    project
        .run(all.into_iter().chain(more.iter().copied()))
        .exits(0)
        .json(|report: Value| found = report)
        .stderr("");
    found
}

/// What a device does that runs `from`.
#[track_caller]
fn rehearsed(project: &Project, from: &str) -> (String, Option<String>) {
    let mut found = (String::new(), None);
    project
        .run(["rehearse", "--from", from, "--format", "json", "-q"])
        .exits(0)
        .json(|report: Value| {
            let start = &report["starts"][0];
            let outcome = start["outcome"].as_str().unwrap().to_owned();
            found = (outcome, start["to"].as_str().map(str::to_owned));
        })
        .stderr("");
    found
}

/// Nothing is published, for this reason, in both formats.
#[track_caller]
fn refused(project: &Project, arguments: &[&str], code: i32, stderr: &str) {
    let all = ["publish", "--revert"].into_iter().chain(arguments.iter().copied());
    project.refuses("publish", all, (code, stderr));
}

#[test]
fn a_device_that_runs_the_bad_release_goes_on_to_the_old_content_and_later_to_the_next() {
    let project = published(&["1.1.0", "1.2.0"]);
    let old = material::image("1.1.0");
    project
        .run(["publish", "--revert", "1.1.0"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(&format!(
                "1.2.1 is 1.1.0 under a newer version\n\
                 published thermostat 1.2.1 for esp32c3 to `stable` in dir:dist\n  \
                 esp32c3: {} bytes, SHA-256 [SHA-256]\n  \
                 esp32c3: plain copy at `esp32c3/firmware.bin`\n  \
                 esp32c3: rehearsed from no release: the agent installed 1.2.1 into ota_1 with ",
                old.len()
            )) && text.contains("  esp32c3: rehearsed from 1.2.0: the agent installed 1.2.1 into ")
        })
        .stderr("rehearsing esp32c3 with the device's own agent\n");

    // The same program: only version, checksum and digest are others.
    let new = fs::read(project.path("dist/esp32c3/firmware.bin")).unwrap();
    assert_eq!(new.len(), old.len());
    let differ: Vec<usize> = (0..old.len()).filter(|at| old[*at] != new[*at]).collect();
    let is_stated = |at: &usize| (0x30..0x50).contains(at) || *at >= old.len() - 33;
    assert!(differ.iter().all(is_stated), "{differ:?}");
    assert_eq!(&new[0x30..0x36], b"1.2.1\0");
    project
        .run(["inspect", "dist/esp32c3/firmware.bin", "--format", "json"])
        .exits(0)
        .json(|report: Value| {
            assert_eq!(report["publishable"], true);
            assert_eq!(report["image"]["descriptor"]["version"], "1.2.1");
        })
        .stderr("");
    let targets = project.read("dist/metadata/3.targets.json");
    let targets: Value = serde_json::from_str(&targets).unwrap();
    let custom = |version: &str| {
        let name = format!("thermostat-esp32c3-{version}.bin");
        targets["signed"]["targets"][name]["custom"].clone()
    };
    let mut expected = custom("1.1.0");
    expected["version"] = "1.2.1".into();
    expected["rollout"]["seed"] = "1.2.1".into();
    assert_eq!(custom("1.2.1"), expected);

    let to = |version: &str| ("updated".to_owned(), Some(version.to_owned()));
    assert_eq!(rehearsed(&project, "1.2.0"), to("1.2.1"));
    assert_eq!(rehearsed(&project, "1.1.0"), to("1.2.1"));
    assert_eq!(rehearsed(&project, "1.2.1"), ("up-to-date".to_owned(), None));
    Release::new("1.3.0", material::image("1.3.0")).publish(&project);
    assert_eq!(rehearsed(&project, "1.2.1"), to("1.3.0"));
}

#[test]
fn the_same_revert_again_changes_nothing() {
    let project = published(&["1.1.0", "1.2.0"]);
    let report = reverted(&project, &[]);
    assert_eq!(report["content-of"], "1.1.0");
    assert_eq!(report["version"], "1.2.1");
    assert_eq!(report["published"], true);
    let live = project.everything();
    let report = reverted(&project, &[]);
    assert_eq!((&report["version"], &report["published"]), (&"1.2.1".into(), &false.into()));
    assert!(project.everything() == live);
}

#[test]
fn share_channel_and_version_can_be_said() {
    let project = published(&["1.1.0", "1.2.0"]);
    let report = reverted(&project, &["--rollout", "10", "--release-version", "v2.0.0"]);
    assert_eq!(report["version"], "2.0.0");
    let targets = project.read("dist/metadata/3.targets.json");
    assert!(targets.contains(r#""rollout":{"percent":10,"seed":"2.0.0"}"#), "{targets}");
    // Not for everyone, so no plain copy.
    let plain = fs::read(project.path("dist/esp32c3/firmware.bin")).unwrap();
    assert!(plain == material::image("1.2.0"));
}

#[test]
fn all_chips_of_the_version_come_back_together() {
    let project = published(&["1.1.0", "1.2.0"]);
    for version in ["1.1.0", "1.2.0"] {
        let image = material::for_chip(material::image(version), 9);
        Release::new(version, image)
            .with(|custom| custom.chip = "esp32s3".parse().unwrap())
            .publish(&project);
    }
    let report = reverted(&project, &[]);
    let chips: Vec<&str> = report["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["chip"].as_str().unwrap())
        .collect();
    assert_eq!(chips, ["esp32c3", "esp32s3"]);
    let one = published(&["1.1.0", "1.2.0"]);
    assert_eq!(reverted(&one, &["--chip", "esp32c3"])["images"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_not_there_or_newest_is_no_way_back() {
    let project = published(&["1.1.0", "1.2.0"]);
    refused(
        &project,
        &["1.0.0"],
        1,
        "error: `1.0.0` is not listed in `stable`, which has `1.1.0`, `1.2.0`\n  \
         help: name one of these with `--release-version`\n",
    );
    refused(
        &project,
        &["1.2.0"],
        1,
        "error: `1.2.0` is the newest release for esp32c3 in `stable`: there is nothing to revert\n  \
         help: name an older one: `cargo esp-ota rollout show`\n",
    );
    refused(
        &project,
        &["1.1.0", "--release-version", "1.1.5"],
        1,
        "error: `1.1.5` is not newer than `1.2.0`, the newest release for esp32c3 in `stable`\n  \
         help: raise the version and run `cargo esp-ota publish` again\n",
    );
    let long = format!("9.0.0-{}", "x".repeat(26));
    refused(
        &project,
        &["1.1.0", "--release-version", &long],
        1,
        &format!(
            "error: the image of `1.1.0` for esp32c3 cannot be made `{long}`\n  \
             caused by: `{long}` has more than the 31 bytes that an app descriptor has room for\n  \
             help: choose a shorter one with `--release-version`\n"
        ),
    );
    for arguments in [&["publish", "a.bin", "--revert", "1.1.0"][..], &["publish", "--revert", "x"]]
    {
        project.run(arguments.iter().copied()).exits(2).stdout("").stderr_is(|it| !it.is_empty());
    }
}

/// 1.1.0 with something changed in its metadata, and 1.2.0.
fn with(change: impl FnOnce(&mut cargo_esp_ota::release::custom::Custom)) -> Project {
    let project = Project::made();
    Release::new("1.1.0", material::image("1.1.0")).with(change).publish(&project);
    Release::new("1.2.0", material::image("1.2.0")).publish(&project);
    project
}

#[test]
fn an_agent_that_is_not_known_might_install_it_for_ever() {
    let project = with(|custom| custom.agent = Some("ab".repeat(32)));
    refused(
        &project,
        &["1.1.0"],
        1,
        "error: `1.1.0` for esp32c3 has another agent than this tool, so nobody knows whether it \
         takes its version from its image\n  \
         help: build its source again with this tool's agent and a newer version; or try it on a \
         device, then pass `--accept-agent-drift`\n",
    );
    project
        .run(["publish", "--revert", "1.1.0", "--accept-agent-drift", "--format", "json", "-q"])
        .exits(0)
        .json(|report: Value| assert_eq!(report["rehearsed-with-own-agent"], false))
        .stderr_is(|text| text.contains("with this tool's agent, which is not its own\n"));
}

#[test]
fn a_release_that_never_stated_its_version_cannot_state_another() {
    let source = cargo_esp_ota::release::custom::VersionSource::CommandLine;
    refused(
        &with(|custom| custom.version_source = source),
        &["1.1.0"],
        1,
        "error: `1.1.0` for esp32c3 does not state its version, so an agent in it knows no other\n  \
         help: build its source again under a newer version, and publish that\n",
    );
}

#[test]
fn what_anti_rollback_would_not_start_is_not_brought_back() {
    let project = Project::made();
    Release::new("1.1.0", material::image("1.1.0")).publish(&project);
    Release::new("1.2.0", material::image("1.2.0"))
        .with(|custom| custom.secure_version = 3)
        .publish(&project);
    refused(
        &project,
        &["1.1.0"],
        1,
        "error: `1.1.0` for esp32c3 has secure version 0, and `1.2.0` raised it to 3: a bootloader \
         with anti-rollback starts nothing below that any more\n  \
         help: build its source again with secure version 3 and a newer version\n",
    );
}

#[test]
fn roots_of_then_must_be_roots_of_now() {
    refused(
        &with(|custom| custom.roots = vec!["cd".repeat(32)]),
        &["1.1.0"],
        1,
        "error: `1.1.0` for esp32c3 pins none of the roots that the project pins now\n  \
         help: devices that take it could never update again: build its source again with the \
         roots of now and a newer version\n",
    );
    // It was published before the second root was pinned: which of them serves, a folder cannot tell.
    let project = Project::made();
    for version in ["1.1.0", "1.2.0"] {
        fs::write(project.path("a.bin"), material::image(version)).unwrap();
        project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
        pin(&project, &format!("{version}.pem"), &certificates::root(version));
    }
    refused(
        &project,
        &["1.1.0"],
        1,
        "error: `1.1.0` for esp32c3 does not pin `CN=1.1.0`, `CN=1.2.0`\n  \
         help: let its own roots be tried on the public URL: pass `--public`\n",
    );
}

#[test]
fn roots_of_then_have_to_lead_to_the_host_of_now() {
    let (project, _server, address) = online(&["1.2.0"]);
    let public = ["1.2.0", "--url", URL, "--connect", &address];
    // Both pin the root that the server has.
    fs::write(project.path("a.bin"), material::image("1.3.0")).unwrap();
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    let all = ["publish", "-q", "--format", "json", "--revert"];
    project
        .run(all.into_iter().chain(public))
        .exits(0)
        .json(|report: Value| {
            assert_eq!(
                (&report["version"], &report["verified-from"]),
                (&"1.3.1".into(), &URL.into())
            );
        })
        .stderr("");

    // 1.2.0 with the first root alone, which is another one.
    let (project, _server, address) = online(&[]);
    let first = project.read("dist/../certs/root.pem");
    let first = fingerprint(&first);
    Release::new("1.2.0", material::image("1.2.0"))
        .with(|custom| custom.roots = vec![first])
        .publish(&project);
    Release::new("1.3.0", material::image("1.3.0")).publish(&project);
    let public = ["1.2.0", "--url", URL, "--connect", &address];
    refused(
        &project,
        &public,
        6,
        "error: the roots that `1.2.0` for esp32c3 pins do not lead to `https://updates.test`\n  \
         caused by: the device's agent does not take the release (`untrusted-tls`)\n  \
         caused by: the server could not prove who it is: the server's certificate does not \
         lead to a pinned root\n  \
         help: devices that take it could never update again: build its source again with the \
         roots of now and a newer version\n",
    );
}

fn fingerprint(pem: &str) -> String {
    use sha2::{Digest, Sha256};
    let item = rustls_pemfile::certs(&mut pem.as_bytes()).next().unwrap().unwrap();
    Sha256::digest(&item).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_image_that_is_not_what_was_signed_comes_back_under_no_version() {
    let project = published(&["1.1.0", "1.2.0"]);
    let target = releases::target(&project, "1.1.0");
    fs::write(&target, material::tampered(material::image("1.1.0"))).unwrap();
    refused(
        &project,
        &["1.1.0"],
        6,
        "error: `targets/[SHA-256].thermostat-esp32c3-1.1.0.bin` is not the file that was signed: \
         its SHA-256 is [SHA-256]\n  \
         help: put the file back: `cargo esp-ota publish` with the same image repairs it\n",
    );
    fs::remove_file(target).unwrap();
    refused(
        &project,
        &["1.1.0"],
        1,
        "error: `targets/[SHA-256].thermostat-esp32c3-1.1.0.bin` is listed by the metadata and \
         missing in the store\n  \
         help: put the file back: `cargo esp-ota publish` with the same image repairs it\n",
    );
}

#[test]
fn each_online_key_is_needed() {
    let project = published(&["1.1.0", "1.2.0"]);
    let key = "configuration/esp-ota/keys/thermostat/targets.pem";
    fs::remove_file(project.around(key)).unwrap();
    refused(
        &project,
        &["1.1.0"],
        3,
        &format!(
            "error: no signing key for the targets role: `[ROOT]/{key}` does not exist\n  \
             help: bring it back from your copy, or pass it in `ESP_OTA_KEY_TARGETS`: devices in \
             the field trust no other\n"
        ),
    );
}
