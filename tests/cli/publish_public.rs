//! `publish` through the public URL: nothing is promoted that devices could not see there.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;

use crate::crooked::{Crooked, HOST, Manner};
use crate::harness::{Project, Ran};
use crate::material;
use crate::rehearse_public::{URL, online, pin, served};
use crate::serve::Server;
use crate::shape::{Failed, Publish};

/// Publishes an image of this version and verifies it from `address`.
#[must_use]
fn publish(project: &Project, version: &str, address: &str, more: &[&str]) -> Ran {
    fs::write(project.path("b.bin"), material::image(version)).unwrap();
    let all = ["publish", "b.bin", "-q", "--url", URL, "--connect", address];
    project.run(all.into_iter().chain(more.iter().copied()))
}

/// What devices see: the live timestamp, and everything that is not staged.
fn live(project: &Project) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut files = project.everything();
    files.retain(|name, _| {
        name == "work/dist/metadata/timestamp.json" || name.ends_with("firmware.bin")
    });
    files
}

/// The publish is refused with this code and these words, and devices see nothing of it.
#[track_caller]
fn refused(project: &Project, address: &str, code: i32, stderr: &str) {
    let before = live(project);
    publish(project, "1.1.0", address, &[]).exits(code).stdout("").stderr(stderr);
    publish(project, "1.1.0", address, &["--format", "json"])
        .exits(code)
        .json(|failed: Failed| assert_eq!(failed.command, "publish"))
        .stderr(stderr);
    assert_eq!(live(project), before);
}

/// A project that pins the crooked server's root, with one release.
fn crooked(manner: Manner) -> (Project, Crooked, String) {
    let project = Project::made();
    fs::create_dir_all(project.path("dist")).unwrap();
    let server = Crooked::start(&project.path("dist"), manner);
    pin(&project, "crooked.pem", &server.root);
    let address = server.address.to_string();
    publish(&project, "1.0.0", &address, &[]).exits(0).stderr("");
    (project, server, address)
}

#[test]
fn a_release_is_seen_and_rehearsed_from_where_devices_read() {
    let (project, _server, address) = online(&["1.0.0"]);
    publish(&project, "1.1.0", &address, &["--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            assert_eq!(report.verified_from.as_deref(), Some(URL));
            assert_eq!(report.live_at_url, Some(true));
            let from: Vec<Option<&str>> =
                report.rehearsed.iter().map(|it| it.from.as_deref()).collect();
            assert_eq!(from, [None, Some("1.0.0")]);
            assert!(report.not_rehearsed.is_empty() && report.rehearsed_with_own_agent);
        })
        .stderr("");
    let project = project.edit("esp-ota.toml", "https://updates.test/t", URL);
    fs::write(project.path("b.bin"), material::image("1.2.0")).unwrap();
    project
        .run(["publish", "b.bin", "-q", "--connect", &address])
        .exits(0)
        .stdout_is(|text| {
            text.ends_with("  verified from https://updates.test with the pinned roots alone\n")
        })
        .stderr("");
}

#[test]
fn a_cache_that_serves_an_older_staged_timestamp_stops_it() {
    let (project, _server, address) = crooked(Manner::Caches("metadata/staged/timestamp.json"));
    refused(
        &project,
        &address,
        1,
        "error: `https://updates.test` serves other bytes than the staged timestamp that was \
         written to `dir:dist`\n  \
         help: let the URL serve what the store holds, and keep `metadata/timestamp.json` and \
         `metadata/staged/` out of caches; nothing was promoted\n",
    );
}

#[test]
fn a_url_that_serves_something_else_stops_it() {
    let (project, _server, _) = online(&["1.0.0"]);
    let other = project.around("scratch/empty");
    fs::create_dir(&other).unwrap();
    let folder = other.to_string_lossy();
    let server =
        Server::start(&project, &["-q", "--dir", &folder, "--host", HOST, "--bind", "127.0.0.1"]);
    refused(
        &project,
        &server.report.address,
        1,
        "error: `https://updates.test` answers 404 instead of giving the staged timestamp that was \
         written to `dir:dist`\n  \
         help: let the URL serve what the store holds, and keep `metadata/timestamp.json` and \
         `metadata/staged/` out of caches; nothing was promoted\n",
    );
}

#[test]
fn a_server_under_another_root_stops_it() {
    let project = Project::made();
    let (_server, address) = served(&project);
    refused(
        &project,
        &address,
        6,
        "error: `https://updates.test` cannot be read as devices read it\n  \
         caused by: the device's agent does not take the release (`untrusted-tls`)\n  \
         caused by: the server could not prove who it is: the server's certificate does not \
         lead to a pinned root\n  \
         help: serve it under a root that these devices pin: a new root reaches them with a \
         release, and no release without a root they have; nothing was promoted: devices see what \
         they saw before\n",
    );
}

#[test]
fn nobody_there_stops_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let project = Project::made();
    let before = live(&project);
    publish(&project, "1.0.0", &address, &["--format", "json"])
        .exits(7)
        .json(|failed: Failed| assert_eq!(failed.outcome, "network"))
        .stderr_is(|text| {
            text.starts_with("error: `https://updates.test` cannot be read as devices read it\n")
                && text.contains("`unreachable`")
        });
    assert_eq!(live(&project), before);
}

#[test]
fn images_that_the_url_does_not_serve_stop_it() {
    let (project, _server, _) = online(&["1.0.0"]);
    let server = Crooked::start(&project.path("dist"), Manner::Status(404));
    pin(&project, "crooked.pem", &server.root);
    let before = live(&project);
    publish(&project, "1.1.0", &server.address.to_string(), &[]).exits(1).stdout("").stderr(
        "error: esp32c3 devices without a release would not end up with the release\n  \
             caused by: the device's agent does not take the release (`status-404`)\n  \
             caused by: the server answered 404\n  \
             help: nothing was promoted: devices see what they saw before\n",
    );
    assert_eq!(live(&project), before);
}

#[test]
fn a_url_that_is_late_after_promotion_is_a_warning() {
    let (project, _server, address) = crooked(Manner::Caches("metadata/timestamp.json"));
    publish(&project, "1.1.0", &address, &["--format", "json"])
        .exits(0)
        .json(|report: Publish| assert_eq!(report.live_at_url, Some(false)))
        .stderr(
            "warning: it is published, but `https://updates.test` still serves another timestamp: \
             devices take the release once the new `metadata/timestamp.json` is there\n",
        );
    project
        .run(["rehearse", "-q", "--from", "1.0.0"])
        .exits(0)
        .stdout_is(|text| text.contains("1.1.0"))
        .stderr("");
}

#[test]
fn without_a_url_nothing_can_be_seen_from_outside() {
    let project = Project::made().file("a.bin", material::image("1.0.0")).edit(
        "esp-ota.toml",
        "url = \"https://updates.test/t\"\n",
        "",
    );
    project
        .run(["publish", "a.bin", "--public"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: `esp-ota.toml` names no URL to verify the release from\n  \
             help: set `url` under `[release]` in `esp-ota.toml`, or pass `--url`\n",
        )
        .wrote_nothing();
}
