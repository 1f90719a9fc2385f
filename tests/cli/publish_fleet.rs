//! `publish` for devices that run a release already: each way to the new one is rehearsed, and what
//! could not be is said.

use std::fs;

use crate::harness::Project;
use crate::material;
use crate::rehearse_public::{URL, pin, served};
use crate::releases::{Release, target};
use crate::shape::{Failed, Publish};

/// Publishes an image of this version.
#[must_use]
fn publish(project: &Project, version: &str, more: &[&str]) -> crate::harness::Ran {
    fs::write(project.path("b.bin"), material::image(version)).unwrap();
    project.run(["publish", "b.bin", "-q"].into_iter().chain(more.iter().copied()))
}

/// Where each rehearsal began.
fn starts(report: &Publish) -> Vec<&str> {
    report.rehearsed.iter().map(|it| it.from.as_deref().unwrap_or("none")).collect()
}

#[test]
fn every_release_that_devices_may_run_by_now_is_a_start() {
    let project = Project::made();
    publish(&project, "1.0.0", &[]).exits(0).stderr("");
    publish(&project, "1.1.0", &["--rollout", "10"]).exits(0).stderr("");
    publish(&project, "1.2.0", &["--rollout", "0"]).exits(0).stderr("");
    publish(&project, "1.3.0", &["--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            assert_eq!(starts(&report), ["none", "1.1.0", "1.0.0"]);
            assert!(report.rehearsed.iter().all(|it| it.version == "1.3.0" && it.slot == Some(1)));
            assert!(report.not_rehearsed.is_empty() && report.rehearsed_with_own_agent);
        })
        .stderr("");
}

#[test]
fn what_no_device_may_take_needs_no_rehearsal() {
    let project = Project::made();
    publish(&project, "1.0.0", &["--rollout", "0", "--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            assert!(report.published && report.rehearsed.is_empty());
            assert_eq!(report.images[0].plain, None);
        })
        .stderr("");
    assert!(!project.path("dist/esp32c3").exists());
}

#[test]
fn a_share_that_is_said_again_changes_nothing_and_is_not_passed_over() {
    let project = Project::made();
    publish(&project, "1.0.0", &["--rollout", "10"])
        .exits(0)
        .stdout_is(|text| text.contains("\n  esp32c3: for 10 % of the devices\n"))
        .stderr("");
    publish(&project, "1.0.0", &["--rollout", "50"])
        .exits(0)
        .stdout(
            "thermostat 1.0.0 for esp32c3 is published already in dir:dist\n  \
             esp32c3: for 10 % of the devices; change it with `cargo esp-ota rollout set`\n",
        )
        .stderr("");
}

#[test]
fn an_older_release_with_another_agent_is_not_rehearsed_with_its_own() {
    let project = Project::made();
    let other = |custom: &mut cargo_esp_ota::release::custom::Custom| {
        custom.agent = Some("0".repeat(64));
    };
    Release::new("1.0.0", material::image("1.0.0")).with(other).publish(&project);
    publish(&project, "1.1.0", &["--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            assert_eq!(starts(&report), ["none", "1.0.0"]);
            let own: Vec<bool> =
                report.rehearsed.iter().map(|it| it.rehearsed_with_own_agent).collect();
            assert_eq!(own, [true, false]);
            assert!(!report.rehearsed_with_own_agent);
        })
        .stderr(
            "warning: esp32c3: rehearsed from 1.0.0 with this tool's agent, which is not its own\n",
        );
}

#[test]
fn an_older_release_without_an_agent_is_not_rehearsed() {
    let project = Project::made();
    let none = |custom: &mut cargo_esp_ota::release::custom::Custom| custom.agent = None;
    Release::new("1.0.0", material::image("1.0.0")).with(none).publish(&project);
    publish(&project, "1.1.0", &["--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            assert_eq!(starts(&report), ["none"]);
            let [open] = &report.not_rehearsed[..] else { panic!("{report:?}") };
            assert_eq!(open.from.as_deref(), Some("1.0.0"));
            assert!(open.reason.starts_with("it has no update agent"), "{}", open.reason);
        })
        .stderr(
            "warning: esp32c3: not rehearsed from 1.0.0: it has no update agent, so nothing is \
             known of how it updates\n",
        );
}

#[test]
fn an_older_image_that_is_gone_is_said_and_one_that_was_changed_stops_it() {
    let project = Project::made();
    publish(&project, "1.0.0", &[]).exits(0).stderr("");
    let file = target(&project, "1.0.0");
    let good = fs::read(&file).unwrap();
    fs::write(&file, material::tampered(good)).unwrap();
    publish(&project, "1.1.0", &["--format", "json"])
        .exits(6)
        .json(|failed: Failed| {
            let message = "esp32c3 devices that run `1.0.0` would not end up with the release";
            assert_eq!(failed.error.message, message);
        })
        .stderr_is(|text| text.contains("is not the file that was signed"));
    fs::remove_file(&file).unwrap();
    publish(&project, "1.1.0", &["--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            let [open] = &report.not_rehearsed[..] else { panic!("{report:?}") };
            assert!(open.reason.contains("is not there any more"), "{}", open.reason);
        })
        .stderr_is(|text| {
            text.starts_with("warning: esp32c3: not rehearsed from 1.0.0: its image")
        });
}

#[test]
fn devices_that_the_server_would_strand_stop_it_as_long_as_the_project_knows_their_roots() {
    let project = Project::made();
    publish(&project, "1.0.0", &[]).exits(0).stderr("");
    let (server, address) = served(&project);
    pin(&project, "bench.pem", &fs::read_to_string(&server.report.root_ca).unwrap());
    let public = ["--url", URL, "--connect", &address, "--format", "json"];
    let live = project.read("dist/metadata/timestamp.json");
    publish(&project, "1.1.0", &public)
        .exits(6)
        .json(|failed: Failed| {
            let message = "esp32c3 devices that run `1.0.0` would not end up with the release";
            assert_eq!(failed.error.message, message);
        })
        .stderr_is(|text| text.contains("`untrusted-tls`"));
    assert_eq!(project.read("dist/metadata/timestamp.json"), live);
    // Whoever takes the root out of the project gives these devices up.
    project.run(["ca", "remove", "certs/root.pem", "-q"]).exits(0).stderr("");
    publish(&project, "1.1.0", &public)
        .exits(0)
        .json(|report: Publish| {
            assert_eq!(starts(&report), ["none"]);
            let [open] = &report.not_rehearsed[..] else { panic!("{report:?}") };
            assert!(open.reason.starts_with("it pins roots that the project"), "{}", open.reason);
        })
        .stderr_is(|text| text.starts_with("warning: esp32c3: not rehearsed from 1.0.0: it pins"));
}
