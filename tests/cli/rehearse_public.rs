//! `rehearse` through the public URL: real HTTPS on loopback, honest servers and others.

use std::fs;
use std::net::SocketAddr;

use crate::authority::Nobody;
use crate::certificates;
use crate::crooked::{Crooked, HOST, Manner};
use crate::harness::Project;
use crate::material;
use crate::rehearse::{failure, published, start};
use crate::releases::{Release, target};
use crate::serve::Server;
use crate::shape::Rehearse;

pub(crate) const URL: &str = "https://updates.test";

/// The store of `project`, served by the program itself as [`HOST`].
pub(crate) fn served(project: &Project) -> (Server, String) {
    fs::create_dir_all(project.path("dist")).unwrap();
    let server =
        Server::start(project, &["-q", "--dir", "dist", "--host", HOST, "--bind", "127.0.0.1"]);
    let address = server.report.address.clone();
    (server, address)
}

/// Pins one more root.
pub(crate) fn pin(project: &Project, name: &str, root: &str) {
    fs::write(project.path(name), root).unwrap();
    project.run(["ca", "add", name, "--yes"]).exits(0).stderr("");
}

/// A project whose releases are served, with a root that devices trust.
pub(crate) fn online(versions: &[&str]) -> (Project, Server, String) {
    let project = Project::made();
    let (server, address) = served(&project);
    pin(&project, "bench.pem", &fs::read_to_string(&server.report.root_ca).unwrap());
    for version in versions {
        fs::write(project.path("a.bin"), material::image(version)).unwrap();
        project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    }
    (project, server, address)
}

/// The arguments of every rehearsal here.
fn arguments<'a>(address: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all = ["rehearse", "-q", "--format", "json", "--url", URL, "--connect", address];
    all.into_iter().chain(more.iter().copied()).collect()
}

#[test]
fn a_release_is_installed_from_its_public_url_with_the_pinned_roots_alone() {
    let (project, _server, address) = online(&["1.0.0", "1.1.0"]);
    project
        .run(arguments(&address, &[]))
        .exits(0)
        .json(|report: Rehearse| {
            assert_eq!(report.read_from, URL);
            let outcomes: Vec<&str> = report.starts.iter().map(|it| it.outcome.as_str()).collect();
            assert_eq!(outcomes, ["updated", "updated", "up-to-date"]);
            let updated = start(&report, "1.0.0");
            let reached = serde_json::json!({"step": "reached", "tls": true});
            assert_eq!(updated.steps.iter().filter(|step| **step == reached).count(), 2);
            let size = u64::try_from(material::image("1.1.0").len()).unwrap();
            assert_eq!(updated.wire.files.image.bytes, size);
            assert_eq!(updated.unknown_roots, 0);
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn what_is_staged_is_rehearsed_from_outside() {
    let (project, _server, address) = online(&["1.0.0"]);
    let roots = project.path("certs");
    assert!(roots.is_dir());
    let named = fingerprints(&project);
    let pinning = |custom: &mut cargo_esp_ota::release::custom::Custom| custom.roots = named;
    Release::new("1.1.0", material::image("1.1.0")).with(pinning).stage(&project);
    project
        .run(arguments(&address, &["--staged", "--from", "1.0.0"]))
        .exits(0)
        .json(|report: Rehearse| {
            assert!(report.staged);
            assert_eq!(start(&report, "1.0.0").to.as_deref(), Some("1.1.0"));
        })
        .stderr("");
}

/// The fingerprints of the pinned roots, as `publish` lists them.
fn fingerprints(project: &Project) -> Vec<String> {
    let now = jiff::Timestamp::now();
    let files = fs::read_dir(project.path("certs")).unwrap();
    let read = |path: &std::path::Path| cargo_esp_ota::trust::root::read(path, now).unwrap();
    files.flat_map(|file| read(&file.unwrap().path())).map(|root| root.fingerprint_hex()).collect()
}

#[test]
fn a_server_under_another_root_is_refused() {
    let project = published(&["1.0.0"]);
    let (_server, address) = served(&project);
    project
        .run(["rehearse", "--url", URL, "--connect", &address])
        .exits(6)
        .stdout("")
        .stderr(
            "error: the published releases cannot be read\n  \
             caused by: the device's agent does not take the release (`untrusted-tls`)\n  \
             caused by: the server could not prove who it is: the server's certificate does not \
             lead to a pinned root\n  \
             help: serve it under a root that these devices pin: a new root reaches them with a \
             release, and no release without a root they have\n",
        )
        .wrote_nothing();
}

#[test]
fn a_server_of_another_name_is_refused() {
    let (project, _server, address) = online(&["1.0.0"]);
    project
        .run(["rehearse", "--url", "https://other.test", "--connect", &address])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.contains("`untrusted-tls`") && text.contains("not valid for name"))
        .wrote_nothing();
}

#[test]
fn nobody_there_is_the_network_s_fault() {
    let nobody = Nobody::new();
    published(&["1.0.0"])
        .run(arguments(&nobody.address, &[]))
        .exits(7)
        .json(|failed: crate::shape::Failed| assert_eq!(failed.outcome, "network"))
        .stderr_is(|text| text.contains("`unreachable`"))
        .wrote_nothing();
}

#[test]
fn lies_on_the_wire_are_a_matter_of_trust() {
    let (project, _server, address) = online(&["1.0.0", "1.1.0"]);
    let file = target(&project, "1.1.0");
    let good = fs::read(&file).unwrap();
    fs::write(&file, material::tampered(good.clone())).unwrap();
    project
        .run(arguments(&address, &["--from", "1.0.0"]))
        .exits(6)
        .json(|report: Rehearse| {
            let (code, message) = failure(start(&report, "1.0.0"));
            assert!(code == 6 && message.contains("hash-mismatch-target"), "{message}");
        })
        .stderr("");
    fs::write(&file, good).unwrap();
    let metadata = "dist/metadata/2.targets.json";
    let text = project.read(metadata).replace("1.0.0", "9.9.9");
    project
        .file(metadata, text)
        .run(arguments(&address, &[]))
        .exits(6)
        .stderr_is(|text| text.contains("`hash-mismatch-targets`"));
}

#[test]
fn expired_metadata_is_a_matter_of_trust() {
    let (project, _server, address) = online(&[]);
    Release::new("1.0.0", material::image("1.0.0")).signed_days_ago(91).publish(&project);
    project
        .run(arguments(&address, &[]))
        .exits(6)
        .stderr_is(|text| text.contains("`expired-timestamp`"))
        .wrote_nothing();
}

#[test]
fn a_replayed_timestamp_of_another_root_is_refused() {
    let (project, _server, address) = online(&["1.0.0"]);
    let theirs = Project::new();
    theirs.run(["init", "--product", "thermostat"]).exits(0).stderr("");
    project
        .file("trust/root.json", theirs.read("trust/root.json"))
        .run(arguments(&address, &[]))
        .exits(6)
        .stderr_is(|text| text.contains("`threshold-timestamp`"))
        .wrote_nothing();
}

/// A project that pins the crooked server's root, with two releases.
fn crooked(manner: Manner) -> (Project, Crooked, String) {
    let project = Project::made();
    fs::create_dir_all(project.path("dist")).unwrap();
    let server = Crooked::start(&project.path("dist"), manner);
    pin(&project, "crooked.pem", &server.root);
    for version in ["1.0.0", "1.1.0"] {
        fs::write(project.path("a.bin"), material::image(version)).unwrap();
        project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    }
    let address = server.address.to_string();
    (project, server, address)
}

/// From no release, so that no image but the new one is asked for.
#[track_caller]
fn ends(manner: Manner, code: i32, words: &str) -> Option<u64> {
    let (project, _server, address) = crooked(manner);
    let mut received = None;
    project
        .run(arguments(&address, &["--from", "none"]))
        .exits(code)
        .json(|report: Rehearse| {
            let start = start(&report, "none");
            received = Some(start.wire.files.image.bytes);
            if code == 0 {
                assert_eq!(start.outcome, "updated");
            } else {
                let (_, message) = failure(start);
                assert!(message.contains(words), "{message}");
            }
        })
        .stderr("")
        .wrote_nothing();
    received
}

#[test]
fn a_server_that_can_neither_finish_nor_resume_is_the_network_s_fault() {
    ends(Manner::HangsUp(usize::MAX), 7, "`truncated`");
}

#[test]
fn a_download_that_breaks_once_begins_again_where_the_server_cannot_resume() {
    let size = u64::try_from(material::image("1.1.0").len()).unwrap();
    assert_eq!(ends(Manner::Honest, 0, ""), Some(size));
    let received = ends(Manner::HangsUp(1), 0, "").unwrap();
    assert!(received > size && received <= 2 * size, "{received} of {size}");
}

#[test]
fn a_server_that_resumes_elsewhere_is_rejected() {
    ends(Manner::ResumesElsewhere, 1, "`range-ignored`");
}

#[test]
fn a_server_in_trouble_has_judged_nothing_and_one_that_says_no_has() {
    ends(Manner::Status(503), 7, "`status-503`");
    ends(Manner::Status(404), 1, "`status-404`");
    ends(Manner::Status(302), 1, "`status-302`");
}

#[test]
fn headers_as_github_sends_them_fit_a_device() {
    ends(Manner::Headers(4 * 1024), 0, "");
}

#[test]
fn a_host_with_more_headers_than_a_device_reads_is_told_from_one_that_is_not_there() {
    let (project, _server, address) = crooked(Manner::Headers(8 * 1024));
    project
        .run(arguments(&address, &["--from", "none"]))
        .exits(7)
        .json(|report: Rehearse| {
            let start = start(&report, "none");
            let (_, message) = failure(start);
            assert!(message.contains("`head-too-large`"), "{message}");
            let error = start.error.as_ref().unwrap();
            assert_eq!(
                error.caused_by,
                ["the head of the server's answer is too large: the head of the answer is longer than \
                  8192 bytes or has more than 64 headers"]
            );
            assert_eq!(
                error.help.as_deref(),
                Some("serve the files from a host that sends fewer headers, or let it send fewer")
            );
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_redirect_is_met_with_where_to_publish() {
    let (project, _server, address) = crooked(Manner::Status(302));
    project
        .run(arguments(&address, &["--from", "none"]))
        .exits(1)
        .json(|report: Rehearse| {
            let error = start(&report, "none").error.as_ref().unwrap();
            assert_eq!(
                error.help.as_deref(),
                Some("set `url` to where the files themselves are: devices follow no redirect")
            );
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_release_that_pins_no_root_of_the_server_is_stranded() {
    let project = published(&["1.0.0"]);
    let (_server, address) = served(&project);
    let server_root = fs::read_to_string(&_server.report.root_ca).unwrap();
    pin(&project, "bench.pem", &server_root);
    fs::write(project.path("a.bin"), material::image("1.1.0")).unwrap();
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    project
        .run(arguments(&address, &[]))
        .exits(6)
        .json(|report: Rehearse| {
            let (code, message) = failure(start(&report, "1.0.0"));
            assert!(code == 6 && message.contains("`untrusted-tls`"), "{message}");
            assert_eq!(start(&report, "none").outcome, "updated");
        })
        .stderr("");
    // The project forgets the root that 1.0.0 pins: then nobody can tell.
    let text = project.read("esp-ota.toml").replace("\"certs/root.pem\", ", "");
    project
        .file("esp-ota.toml", text)
        .run(arguments(&address, &["--from", "1.0.0", "--from", "none"]))
        .exits(1)
        .json(|report: Rehearse| {
            let unknown = start(&report, "1.0.0");
            assert_eq!(unknown.outcome, "not-rehearsed");
            assert!(unknown.reason.as_ref().unwrap().contains("cannot be told"));
            assert_eq!(start(&report, "none").outcome, "updated");
        })
        .stderr("");
}

#[test]
fn a_url_with_an_address_says_itself_where_to_connect() {
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    published(&["1.0.0"])
        .run(["rehearse", "--url", "https://127.0.0.1", "--connect", &address.to_string()])
        .exits(2)
        .stdout("")
        .stderr_is(|text| text.contains("cannot be reached at `127.0.0.1:"))
        .wrote_nothing();
}

#[test]
fn without_a_url_nothing_is_public() {
    published(&["1.0.0"])
        .edit("esp-ota.toml", "url = \"https://updates.test/t\"\n", "")
        .run(["rehearse", "--public"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: the project says no URL that devices read\n  \
             help: set `url = \"https://…\"` under `[release]` in `esp-ota.toml`\n",
        )
        .wrote_nothing();
}

#[test]
fn an_expired_pinned_root_is_refused_before_anything_is_asked() {
    published(&["1.0.0"])
        .file("certs/root.pem", certificates::expired("Old"))
        .run(["rehearse", "--public"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: "))
        .wrote_nothing();
}
