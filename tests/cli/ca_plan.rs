//! `ca plan`: from the old root to the new one, and never too early.

use crate::authority::{Authority, Host, Identity, Nobody, fingerprint, pinning};
use crate::harness::{Project, Ran};
use crate::material;
use crate::releases::Release;
use crate::shape::CaPlan;

/// Publishes a version whose firmware pins these roots.
fn publish(project: &Project, version: &str, roots: &[&Authority]) {
    let roots = roots.iter().map(|root| fingerprint(root)).collect();
    Release::new(version, material::image(version))
        .with(|custom| custom.roots = roots)
        .publish(project);
}

#[track_caller]
fn plan(project: &Project, more: &[&str]) -> Ran {
    let all = ["ca", "plan", "-q", "--new", "new.pem"];
    project.run(all.into_iter().chain(more.iter().copied()))
}

#[track_caller]
fn report(project: &Project, more: &[&str], code: i32) -> CaPlan {
    let more: Vec<&str> = more.iter().copied().chain(["--format", "json"]).collect();
    let mut found = None;
    plan(project, &more)
        .exits(code)
        .json(|report: CaPlan| found = Some(report))
        .stderr("")
        .wrote_nothing();
    found.unwrap()
}

/// `pin: done`, and so on.
fn progress(report: &CaPlan) -> Vec<String> {
    report.steps.iter().map(|step| format!("{}: {}", step.step, step.progress)).collect()
}

fn staged(project: &Project, identity: Identity) -> Host {
    Host::start(identity, &project.around("scratch"))
}

#[test]
fn a_change_of_root_is_planned_step_by_step_and_called_safe_at_its_end() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old]).file("new.pem", new.pem());
    publish(&project, "1.0.0", &[&old]);
    plan(&project, &[])
        .exits(1)
        .stdout(
            "new root CN=New Root\n  SHA-256 [SHA-256]\n  ECDSA P-256, ends [TIME]\n\
             1. pin: next: pin the new root beside the old one\n   cargo esp-ota ca add new.pem\n\
             2. release: later: publish a release with both roots; the newest is 1.0.0 for esp32c3 in \
             `stable`\n\
             3. wait: later: devices with 1.0.0 for esp32c3 would lose the server; once no device \
             runs it any more, say so with `--retired VERSION`\n\
             4. rehearse: next: start a server with the new certificate where no device comes, and \
             try it\n   cargo esp-ota ca plan --new new.pem --connect ADDRESS:PORT\n\
             5. switch: later: the server keeps its certificate until every step before is done\n\
             6. verify: later: see that every release reaches the host; the old root may go with a \
             later release\n\
             it is too early to switch the server's certificate\n",
        )
        .stderr("")
        .wrote_nothing();

    project.run(["ca", "add", "new.pem", "--yes"]).exits(0).stderr("");
    let found = report(&project, &[], 1);
    assert_eq!(progress(&found)[..2], ["pin: done", "release: next"]);
    assert_eq!(found.read_from, "dir:dist");

    publish(&project, "1.1.0", &[&old, &new]);
    let host = staged(&project, new.leaf(&[]));
    let connect = ["--connect", &host.address];
    let found = report(&project, &connect, 1);
    assert_eq!(
        progress(&found)[..5],
        ["pin: done", "release: done", "wait: next", "rehearse: done", "switch: later"]
    );
    assert!(
        found.steps[2].message.starts_with("devices with 1.0.0 for esp32c3 would lose the server")
    );
    let releases: Vec<(&str, bool, &str)> = found
        .releases
        .iter()
        .map(|it| (it.version.as_str(), it.has_new, it.staged.as_ref().unwrap().reaches.as_str()))
        .collect();
    assert_eq!(releases, [("1.0.0", false, "no"), ("1.1.0", true, "yes")]);
    assert!(!found.safe);

    let retired = ["--connect", &host.address, "--retired", "1.0.0"];
    let found = report(&project, &retired, 0);
    assert!(found.safe);
    assert_eq!(progress(&found)[2..5], ["wait: done", "rehearse: done", "switch: next"]);
    plan(&project, &retired)
        .exits(0)
        .stdout_is(|text| text.ends_with("\nthe server's certificate may be switched now\n"))
        .stderr("");
    // Without the new certificate nobody can say so.
    let found = report(&project, &retired[2..], 1);
    assert_eq!(progress(&found)[3..5], ["rehearse: next", "switch: later"]);
    assert!(found.rehearsal.is_none());
}

#[test]
fn a_cross_signed_certificate_loses_no_device_of_the_old_root() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old, &new]).file("new.pem", new.pem());
    publish(&project, "1.0.0", &[&old]);
    publish(&project, "1.1.0", &[&old, &new]);
    let host = staged(&project, new.leaf(&[old.cross_sign(&new)]));
    let found = report(&project, &["--connect", &host.address], 0);
    assert!(found.safe);
    assert_eq!(found.releases[0].staged.as_ref().unwrap().by, Some(vec!["CN=Old Root".to_owned()]));
}

#[test]
fn a_new_certificate_that_devices_would_not_take_fails_the_rehearsal() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old, &new]).file("new.pem", new.pem());
    publish(&project, "1.1.0", &[&old, &new]);
    // Under the old root still, and for another name.
    let other = rcgen::SanType::DnsName("other.test".try_into().unwrap());
    for (identity, code) in [
        (old.leaf(&[]), "chain-unanchored"),
        (new.leaf_with(&[], |leaf| leaf.subject_alt_names = vec![other]), "wrong-name"),
    ] {
        let host = staged(&project, identity);
        let found = report(&project, &["--connect", &host.address], 6);
        assert!(!found.safe);
        assert_eq!(progress(&found)[3], "rehearse: failed");
        let rehearsal = found.rehearsal.unwrap();
        let codes = rehearsal.iter().flat_map(|check| &check.findings);
        assert!(codes.into_iter().any(|finding| finding.code == code), "{rehearsal:?}");
        plan(&project, &["--connect", &host.address])
            .exits(6)
            .stdout_is(|text| text.contains(&format!(" ({code})\n     help: ")))
            .stderr("");
    }
}

#[test]
fn a_release_with_the_new_root_alone_came_too_early() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old, &new]).file("new.pem", new.pem());
    publish(&project, "1.1.0", &[&new]);
    let found = report(&project, &[], 1);
    assert_eq!(progress(&found)[1], "release: failed");
    assert_eq!(
        found.steps[1].message,
        "1.1.0 for esp32c3 pins the new root alone: its devices reach no server before the change"
    );
}

#[test]
fn nothing_published_proves_nothing() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old, &new]).file("new.pem", new.pem());
    let host = staged(&project, new.leaf(&[]));
    let found = report(&project, &["--connect", &host.address], 1);
    assert!(!found.safe && found.releases.is_empty());
    assert_eq!(progress(&found)[1], "release: next");
}

/// That version cannot be retired: exit code 2, and these words.
#[track_caller]
fn not_retired(project: &Project, more: &[&str], version: &str, words: &str) {
    plan(project, &[more, &["--retired", version]].concat())
        .exits(2)
        .stdout("")
        .stderr(&format!("error: `--retired {version}`: {words}\n"))
        .wrote_nothing();
}

const NOTHING_NEWER: &str = "in `stable`, no newer release for esp32c3 is for every device\n  \
                             help: publish a newer one in `stable`, and let its rollout reach 100 \
                             percent";

#[test]
fn a_version_that_cannot_be_retired_is_a_mistake_and_not_a_pass() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old, &new]).file("new.pem", new.pem());
    publish(&project, "1.0.0", &[&old]);
    not_retired(
        &project,
        &[],
        "1.0.1",
        "no such version is published\n  help: name one of `releases` in `cargo esp-ota ca plan \
         --new FILE --format json`",
    );
    not_retired(&project, &[], "1.0.0", NOTHING_NEWER);
}

#[test]
fn what_another_channel_offers_reaches_no_device_of_this_one() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old, &new]).file("new.pem", new.pem());
    publish(&project, "1.2.0", &[&old]);
    let roots = || vec![fingerprint(&old), fingerprint(&new)];
    Release::new("1.3.0", material::image("1.3.0"))
        .with(|custom| (custom.roots, custom.channels) = (roots(), vec!["beta".into()]))
        .publish(&project);
    let host = staged(&project, new.leaf(&[]));
    let connect = ["--connect", &host.address];
    let found = report(&project, &connect, 1);
    assert!(!found.safe);
    assert_eq!(
        progress(&found)[..5],
        ["pin: done", "release: next", "wait: later", "rehearse: done", "switch: later"]
    );
    assert_eq!(
        found.steps[1].message,
        "publish a release with both roots; the newest is 1.2.0 for esp32c3 in `stable`"
    );
    let current: Vec<_> = found.releases.iter().map(|it| it.current_in.join(" ")).collect();
    assert_eq!(current, ["stable", "beta"]);
    not_retired(&project, &connect, "1.2.0", NOTHING_NEWER);
    // Once it is in that channel, too, devices can leave 1.2.0.
    Release::new("1.4.0", material::image("1.1.0"))
        .with(|custom| {
            custom.roots = roots();
            custom.channels = vec!["beta".into(), "stable".into()];
        })
        .publish(&project);
    report(&project, &connect, 1);
    assert!(report(&project, &[&connect[..], &["--retired", "1.2.0"]].concat(), 0).safe);
}

#[test]
fn a_release_for_a_quarter_of_the_devices_leaves_the_others_where_they_are() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old, &new]).file("new.pem", new.pem());
    publish(&project, "1.0.0", &[&old]);
    let roots = vec![fingerprint(&old), fingerprint(&new)];
    Release::new("1.1.0", material::image("1.1.0"))
        .with(|custom| (custom.roots, custom.rollout.percent) = (roots, 25))
        .publish(&project);
    let host = staged(&project, new.leaf(&[]));
    let connect = ["--connect", &host.address];
    let found = report(&project, &connect, 1);
    assert!(!found.safe);
    assert_eq!(
        found.steps[1].message,
        "let the rollout of 1.1.0 for esp32c3 in `stable` (25 percent) reach 100 percent"
    );
    assert_eq!((found.steps[1].progress.as_str(), found.steps[1].command.as_ref()), ("next", None));
    assert_eq!(found.releases[1].rollout_percent, 25);
    not_retired(&project, &connect, "1.0.0", NOTHING_NEWER);
    publish(&project, "1.2.0", &[&old, &new]);
    let retired = ["--connect", &host.address, "--retired", "1.0.0"];
    assert!(report(&project, &retired, 0).safe);
}

#[test]
fn a_server_that_is_not_there_and_a_root_that_is_none_stop_the_plan() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old]).file("new.pem", new.pem());
    publish(&project, "1.0.0", &[&old]);
    let nobody = Nobody::new();
    plan(&project, &["--connect", &nobody.address])
        .exits(7)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `updates.test at 127.0.0.1:"))
        .wrote_nothing();
    project
        .file("new.pem", crate::certificates::leaf("Leaf"))
        .run(["ca", "plan", "--new", "new.pem"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: `CN=Leaf` in `new.pem` cannot be a pinned root\n")
        })
        .wrote_nothing();
}
