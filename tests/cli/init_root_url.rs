//! `init --root-ca URL`: the root of a live host.

use std::net::Ipv4Addr;

use rcgen::SanType;

use crate::authority::{Authority, Host, valid};
use crate::harness::{Project, Ran};
use crate::shape::{Failed, Init};

const ADDRESS: SanType = SanType::IpAddress(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST));

/// A folder with candidates, and a host whose chain a root of theirs anchors.
pub(crate) fn scene() -> (Project, Host) {
    let root = Authority::root("Live Root");
    let identity = root.leaf_with(&[], |leaf| leaf.subject_alt_names = vec![ADDRESS]);
    let project = Project::new().file("candidates.pem", root.pem());
    let host = Host::start(identity, &project.around("scratch"));
    (project, host)
}

#[track_caller]
fn init(project: &Project, host: &Host, more: &[&str]) -> Ran {
    let url = format!("https://{}/kettle", host.address);
    let all = ["init", "a", "--root-ca", &url, "--candidates", "candidates.pem"];
    project.run(all.into_iter().chain(more.iter().copied()))
}

#[test]
fn the_root_of_a_live_host_is_found_and_pinned() {
    let (project, host) = scene();
    init(&project, &host, &["--yes", "--no-keys"])
        .exits(0)
        .stdout_is(|text| text.contains("\n  certs/root.pem\n") && !text.contains("ca add"))
        .stderr("asking 127.0.0.1:[PORT] for its certificates\n");
    assert!(project.read("a/src/roots.rs").contains("// Subject: \"CN=Live Root\"\n"));
    assert_eq!(project.read("a/certs/root.pem"), project.read("candidates.pem"));
    init(&project, &host, &["--yes", "--no-keys", "-q", "--product", "a", "--format", "json"])
        .exits(0)
        .json(|report: Init| assert!(report.files.is_empty() && report.pinned == 1))
        .stderr("")
        .wrote_nothing();
}

#[test]
fn without_a_terminal_nobody_can_confirm_a_live_root() {
    let (project, host) = scene();
    let stderr = "error: `CN=Live Root` (SHA-256 [SHA-256]) has to be confirmed, and there is no \
                  terminal to ask on\n  \
                  help: compare the fingerprint with the authority's own page, then pass `--yes`\n";
    init(&project, &host, &["-q"]).exits(2).stdout("").stderr(stderr).wrote_nothing();
    init(&project, &host, &["-q", "--format", "json"])
        .exits(2)
        .json(|failed: Failed| assert_eq!(failed.command, "init"))
        .stderr(stderr)
        .wrote_nothing();
}

#[test]
fn a_host_that_no_candidate_anchors_or_that_has_another_name_breaks_trust() {
    let (project, host) = scene();
    let project = project.file("candidates.pem", Authority::root("Other Root").pem());
    init(&project, &host, &["-q", "--yes"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: no root in `candidates.pem` anchors `127.0.0.1:")
        })
        .wrote_nothing();
    let root = Authority::root("Live Root");
    for identity in [
        root.leaf(&[]), // for `updates.test` alone
        root.leaf_with(&[], |leaf| {
            leaf.subject_alt_names = vec![ADDRESS];
            valid(leaf, -20, -10);
        }),
    ] {
        let project = Project::new().file("candidates.pem", root.pem());
        let host = Host::start(identity, &project.around("scratch"));
        init(&project, &host, &["-q", "--yes"])
            .exits(6)
            .stdout("")
            .stderr_is(|text| text.starts_with("error: the certificates of `127.0.0.1:"))
            .wrote_nothing();
    }
}

#[test]
fn a_host_that_is_not_there_is_no_breach_of_trust() {
    let (project, host) = scene();
    let gone = host.address.clone();
    drop(host);
    let url = format!("https://{gone}");
    project
        .run(["init", "a", "--root-ca", &url, "--yes", "-q"])
        .exits(7)
        .stdout("")
        .stderr_is(|text| text.contains("127.0.0.1:"))
        .wrote_nothing();
}

#[test]
fn what_is_no_https_url_is_refused_as_such() {
    let project = Project::new().file("candidates.pem", Authority::root("A Root").pem());
    project
        .run(["init", "a", "--root-ca", "http://updates.test"])
        .exits(2)
        .stdout("")
        .stderr(
            "error: `http://updates.test` is not an https URL\n  \
             help: write `https://host/path`, without user or password\n",
        )
        .wrote_nothing();
    for arguments in [
        &["init", "a", "--candidates", "candidates.pem"][..],
        &["init", "a", "--candidates", "candidates.pem", "--root-ca", "candidates.pem"],
    ] {
        project
            .run(arguments.iter().copied())
            .exits(2)
            .stdout("")
            .stderr_is(|text| text.starts_with("error: `--candidates` is for a URL"))
            .wrote_nothing();
    }
}
