//! `ca list`, `ca remove`, and `ca embed --check` with more than one generated file.

use crate::certificates;
use crate::harness::Project;
use crate::shape::{CaList, CaRemove, Failed};

/// A project with a second root in `certs/second.pem`.
fn two_roots() -> Project {
    let project = Project::made().file("second.pem", certificates::root("Second Root"));
    project.run(["ca", "add", "second.pem", "--yes"]).exits(0).stderr("");
    project.without("second.pem")
}

/// The fingerprint of the root with this subject.
fn fingerprint(project: &Project, subject: &str) -> String {
    let mut found = String::new();
    project
        .run(["ca", "list", "--format", "json"])
        .exits(0)
        .json(|report: CaList| {
            let root = report.roots.into_iter().find(|root| root.subject == subject);
            found = root.unwrap().sha256;
        })
        .stderr("");
    found
}

#[test]
fn the_pinned_roots_are_listed_with_the_days_they_have_left() {
    let project = two_roots();
    project
        .run(["ca", "list"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with("CN=Test Root\n  SHA-256 [SHA-256]\n  ECDSA P-256, ends [TIME], ")
                && text.contains(" days left, in `certs/root.pem`\nCN=Second Root\n")
                && text.ends_with(" days left, in `certs/second.pem`\n2 roots\n")
        })
        .stderr("")
        .wrote_nothing();
    project
        .run(["ca", "list", "--format", "json"])
        .exits(0)
        .json(|report: CaList| {
            let second = &report.roots[1];
            assert_eq!(second.file, "certs/second.pem");
            // Made for 3650 days, and a second may have gone by since.
            assert!(matches!(second.days_left, 3649 | 3650), "{}", second.days_left);
            assert_eq!((second.key.as_deref(), &second.refused), (Some("ECDSA P-256"), &None));
            assert!(second.not_after.ends_with('Z'));
        })
        .stderr("");
    Project::made()
        .run(["ca", "list"])
        .exits(0)
        .stdout_is(|text| {
            text.ends_with("\n1 root, and no spare: `cargo esp-ota ca add URL|FILE` pins another\n")
        })
        .stderr("");
}

#[test]
fn a_bad_root_is_listed_with_its_reason_and_one_that_is_there_twice() {
    let project = two_roots().file("certs/second.pem", certificates::expired("Second Root"));
    project
        .run(["ca", "list"])
        .exits(6)
        .stdout_is(|text| {
            text.contains(" -365 days left, in `certs/second.pem`\n  refused: it ended on [TIME], ")
                || text.contains(" -366 days left, in `certs/second.pem`\n  refused: it ended on ")
        })
        .stderr("")
        .wrote_nothing();
    let twice = project.read("certs/root.pem");
    project
        .file("certs/second.pem", twice)
        .run(["ca", "list", "--format", "json"])
        .exits(3)
        .json(|report: CaList| {
            assert_eq!(report.roots[0].refused, None);
            assert_eq!(report.roots[1].refused.as_deref(), Some("it is pinned twice"));
        })
        .stderr("");
}

#[test]
fn a_root_is_unpinned_by_fingerprint_or_by_file_everywhere_at_once() {
    for by_file in [false, true] {
        let project = two_roots();
        let before = Project::made();
        let target = match by_file {
            true => "certs/second.pem".to_owned(),
            false => fingerprint(&project, "CN=Second Root").to_uppercase(),
        };
        project
            .run(["ca", "remove", &target])
            .exits(0)
            .stdout(
                "unpinned CN=Second Root\n  SHA-256 [SHA-256]\n1 pinned in all, in `src/roots.rs`\n\
                 whether the server still leads to one of them: `cargo esp-ota ca check`\n",
            )
            .stderr("")
            .changed(&["certs/second.pem", "esp-ota.toml", "src/roots.rs"]);
        assert!(!project.path("certs/second.pem").exists());
        for file in ["esp-ota.toml", "src/roots.rs"] {
            assert_eq!(project.read(file), before.read(file), "{file}");
        }
        project.run(["ca", "embed", "--check"]).exits(0).stdout_is(|_| true).stderr("");
    }
}

#[test]
fn of_a_file_with_several_roots_the_others_stay() {
    let both = certificates::root("First") + &certificates::root("Other");
    let project = Project::made().file("both.pem", both);
    project.run(["ca", "add", "both.pem", "--yes"]).exits(0).stderr("");
    project
        .run(["ca", "remove", &fingerprint(&project, "CN=First"), "--format", "json"])
        .exits(0)
        .json(|report: CaRemove| {
            assert_eq!((report.pinned, report.files), (2, vec!["certs/both.pem".to_owned()]));
            assert_eq!(report.removed[0].subject, "CN=First");
            assert_eq!(report.generated, ["src/roots.rs"]);
        })
        .stderr("")
        .changed(&["certs/both.pem", "src/roots.rs"]);
    assert_eq!(project.read("certs/both.pem").matches("BEGIN CERTIFICATE").count(), 1);
}

/// A file with somebody's words in it is not ours to change.
#[test]
fn what_is_left_of_a_file_of_somebody_s_own_gets_a_file_and_theirs_stays() {
    let own =
        format!("ours\n{}theirs\n{}", certificates::root("First"), certificates::root("Other"));
    let project = Project::made().file("certs/both.pem", &own);
    project.run(["ca", "add", "certs/both.pem", "--yes"]).exits(0).stderr("");
    assert_eq!(project.read("certs/both.pem"), own);
    let other = format!("certs/other-{}.pem", &fingerprint(&project, "CN=Other")[..8]);
    project
        .run(["ca", "remove", &fingerprint(&project, "CN=First")])
        .exits(0)
        .stdout_is(|text| text.starts_with("unpinned CN=First\n"))
        .stderr("")
        .changed(&[&other, "esp-ota.toml", "src/roots.rs"]);
    assert!(project.read("esp-ota.toml").contains(&format!("[\"certs/root.pem\", \"{other}\"]")));
    project.run(["ca", "embed", "--check"]).exits(0).stdout_is(|_| true).stderr("");
}

#[test]
fn a_root_that_ended_can_be_taken_out() {
    let project = two_roots().file("certs/second.pem", certificates::expired("Second Root"));
    project
        .run(["ca", "remove", "certs/second.pem"])
        .exits(0)
        .stdout_is(|text| text.starts_with("unpinned CN=Second Root\n"))
        .stderr("");
    project.run(["ca", "list"]).exits(0).stdout_is(|_| true).stderr("");
}

#[test]
fn the_last_root_cannot_be_removed_and_what_is_not_pinned_neither() {
    let project = two_roots();
    project
        .run(["ca", "remove", "certs/root.pem", "certs/second.pem"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: no root would be left: the firmware could not reach any server\n  help: pin its \
             successor first with `cargo esp-ota ca add URL|FILE`\n",
        )
        .wrote_nothing();
    project
        .run(["ca", "remove", "certs/root.pem", "certs/third.pem"])
        .exits(2)
        .stdout("")
        .stderr(
            "error: `certs/third.pem` is neither the fingerprint nor a file of a pinned root\n  \
             help: take one from `cargo esp-ota ca list`\n",
        )
        .wrote_nothing();
    project
        .run(["ca", "remove", &"0".repeat(64), "--format", "json"])
        .exits(2)
        .json(|failed: Failed| assert!(failed.error.message.ends_with("of a pinned root")))
        .stderr_is(|text| text.starts_with("error: `[SHA-256]` is neither"))
        .wrote_nothing();
}

#[test]
fn a_bad_root_that_would_stay_keeps_the_others_in_place() {
    let project = two_roots().file("certs/second.pem", certificates::leaf("Leaf"));
    project
        .run(["ca", "remove", "certs/root.pem"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `CN=Leaf` in `certs/second.pem` cannot be"))
        .wrote_nothing();
}

#[test]
fn every_stale_file_is_named() {
    let project = Project::made().edit(
        "esp-ota.toml",
        "embed = [\"src/roots.rs\"]",
        "embed = [\"src/roots.rs\", \"sketch/roots.h\", \"other.rs\"]",
    );
    let current = project.read("src/roots.rs");
    let project = project.file("other.rs", current).file("src/roots.rs", "");
    project
        .run(["ca", "embed", "--check"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: `src/roots.rs`, `sketch/roots.h` do not hold the roots that are pinned now\n  \
             help: run `cargo esp-ota ca embed`\n",
        )
        .wrote_nothing();
    project.run(["ca", "embed"]).exits(0).stdout_is(|_| true).stderr("");
    let header = project.read("sketch/roots.h");
    assert!(header.contains("const char rootCACertificate[] =\n"), "{header}");
    let ends = header.lines().find(|line| line.starts_with("// Ends:    ")).unwrap();
    assert_eq!(ends.len(), "// Ends:    2027-01-01".len());
    project
        .run(["ca", "embed"])
        .exits(0)
        .stdout_is(|text| text.ends_with("up to date\n"))
        .stderr("");
}
