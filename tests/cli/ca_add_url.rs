//! `ca add URL`: the root of a live host, found among candidates.

use std::fs;

use rcgen::{KeyPair, PKCS_ED25519};

use crate::authority::{Authority, HOST, Host, Identity, Nobody, valid};
use crate::harness::{Project, Ran};
use crate::shape::{CaAdd, Failed};

const URL: &str = "https://updates.test/thermostat";

/// A project, and a host that shows this.
fn scene(identity: Identity, candidates: &str) -> (Project, Host) {
    let project = Project::made().file("candidates.pem", candidates);
    let host = Host::start(identity, &project.around("scratch"));
    (project, host)
}

#[track_caller]
fn add(project: &Project, host: &Host, more: &[&str]) -> Ran {
    let all = ["ca", "add", URL, "--candidates", "candidates.pem", "--connect", &host.address];
    project.run(all.into_iter().chain(more.iter().copied()))
}

/// `ca add URL --yes` exits 6 with these causes and this help, and the same in JSON.
#[track_caller]
fn refused(identity: Identity, candidates: &str, stderr: &str) {
    let (project, host) = scene(identity, candidates);
    let stderr = stderr.replace("[HOST]", &format!("{HOST} at {}", host.address));
    let stderr = crate::redact::redact(&stderr, &project.around(""));
    add(&project, &host, &["--yes", "-q"]).exits(6).stdout("").stderr(&stderr).wrote_nothing();
    add(&project, &host, &["--yes", "-q", "--format", "json"])
        .exits(6)
        .json(|failed: Failed| assert!(failed.error.help.is_some()))
        .stderr(&stderr)
        .wrote_nothing();
}

#[test]
fn the_root_of_a_live_host_is_found_and_pinned() {
    let root = Authority::root("Live Root");
    let between = root.intermediate("Live Intermediate");
    let others = Authority::root("Other Root").pem() + &root.pem() + "\n";
    let (project, host) = scene(between.leaf(&[between.der()]), &others);
    add(&project, &host, &["--yes"])
        .exits(0)
        .stdout_is(|text| {
            text.ends_with(
                " shows CN=leaf < CN=Live Intermediate\n\
                 pinned CN=Live Root\n  SHA-256 [SHA-256]\n  ECDSA P-256, ends [TIME]\n\
                 2 pinned in all, in `src/roots.rs`\n",
            )
        })
        .stderr_is(|text| text.starts_with("asking updates.test at ") && text.lines().count() == 1);
    let names: Vec<String> = fs::read_dir(project.path("certs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("live-root-") && name.ends_with(".pem"))
        .collect();
    assert_eq!(names.len(), 1);
    let text = project.read("esp-ota.toml");
    assert!(text.contains(&format!("\"certs/root.pem\", \"certs/{}\"]", names[0])), "{text}");
    assert!(project.read("src/roots.rs").contains("// Subject: \"CN=Live Root\"\n"));
    add(&project, &host, &["--yes", "-q"])
        .exits(0)
        .stdout_is(|text| {
            text.ends_with(
                "\npinned already, nothing to do: CN=Live Root\n  SHA-256 [SHA-256]\n2 pinned in \
                 all, in `src/roots.rs`\n",
            )
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_fingerprint_has_to_be_that_of_a_root_that_anchors_the_chain() {
    let root = Authority::root("Live Root");
    let other = Authority::root("Other Root");
    let both = root.pem() + &other.pem();
    let (project, host) = scene(root.leaf(&[]), &both);
    let fingerprint = |pem: &str| {
        let project = Project::made().file("a.pem", pem);
        let mut found = String::new();
        project
            .run(["ca", "add", "a.pem", "--yes", "--format", "json"])
            .exits(0)
            .json(|report: CaAdd| found = report.added[0].sha256.clone())
            .stderr("");
        found
    };
    add(&project, &host, &["-q", "--sha256", &fingerprint(&other.pem())])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: no certificate in `https://updates.test/therm"))
        .wrote_nothing();
    add(&project, &host, &["-q", "--sha256", &fingerprint(&root.pem()), "--format", "json"])
        .exits(0)
        .json(|report: CaAdd| {
            assert_eq!(report.added[0].subject, "CN=Live Root");
            let server = report.server.unwrap();
            assert_eq!(server.chain, ["CN=leaf"]);
            assert!(server.spares.is_empty());
        })
        .stderr("");
}

#[test]
fn without_a_terminal_nobody_can_confirm_a_live_root_either() {
    let root = Authority::root("Live Root");
    let (project, host) = scene(root.leaf(&[]), &root.pem());
    add(&project, &host, &["-q"])
        .exits(2)
        .stdout("")
        .stderr(
            "error: `CN=Live Root` (SHA-256 [SHA-256]) has to be confirmed, and there is no terminal \
             to ask on\n  help: compare the fingerprint with the authority's own page, then pass \
             `--sha256 HEX`\n",
        )
        .wrote_nothing();
}

#[test]
fn of_a_cross_signed_chain_the_nearer_root_is_pinned_and_the_other_one_is_a_spare() {
    let old = Authority::root("Old Root");
    let new = Authority::root("New Root");
    let between = new.intermediate("Intermediate");
    let chain = [between.der(), old.cross_sign(&new)];
    let both = old.pem() + &new.pem();
    let (project, host) = scene(between.leaf(&chain), &both);
    add(&project, &host, &["--yes", "-q"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("pinned CN=New Root\n")
                && text.contains("a spare that anchors the same chain: CN=Old Root\n")
                && text.contains("  cargo esp-ota ca add https://updates.test/thermostat --sha256 ")
        })
        .stderr("");
    let (project, host) = scene(between.leaf(&chain), &both);
    add(&project, &host, &["--yes", "--spare", "-q", "--format", "json"])
        .exits(0)
        .json(|report: CaAdd| {
            let subjects: Vec<&str> = report.added.iter().map(|it| it.subject.as_str()).collect();
            assert_eq!(subjects, ["CN=New Root", "CN=Old Root"]);
            assert_eq!((report.files.len(), report.pinned), (2, 3));
            assert!(report.server.unwrap().spares.is_empty());
        })
        .stderr("");
    project.run(["ca", "embed", "--check"]).exits(0).stdout_is(|_| true).stderr("");
}

#[test]
fn a_chain_without_its_intermediate_names_who_is_missing() {
    let root = Authority::root("Live Root");
    let between = root.intermediate("Live Intermediate");
    refused(
        between.leaf(&[]),
        &root.pem(),
        "error: no root in `candidates.pem` anchors `[HOST]`: its chain ends below `CN=Live \
         Intermediate`\n  help: let the server send its whole chain, or add the right root to the \
         file\n",
    );
}

#[test]
fn a_chain_that_is_not_good_is_not_anchored() {
    let root = Authority::root("Live Root");
    let not_good = "error: the certificates of `[HOST]` are not good\n  caused by: ";
    let renew = "  help: check this computer's clock, and renew the server's certificates\n";
    refused(
        root.leaf_with(&[], |leaf| valid(leaf, -10, -1)),
        &root.pem(),
        &format!("{not_good}a certificate of its chain ended on [TIME], and it is [TIME]\n{renew}"),
    );
    refused(
        root.leaf_with(&[], |leaf| valid(leaf, 1, 10)),
        &root.pem(),
        &format!(
            "{not_good}a certificate of its chain starts on [TIME], and it is [TIME]\n{renew}"
        ),
    );
    let other = rcgen::SanType::DnsName("elsewhere.test".try_into().unwrap());
    refused(
        root.leaf_with(&[], |leaf| leaf.subject_alt_names = vec![other]),
        &root.pem(),
        &format!(
            "{not_good}its certificate is not for `updates.test`, but for `elsewhere.test`\n  help: \
             use a name that the certificate is for, or get a certificate with this name or address \
             as a subject alternative name\n"
        ),
    );
}

#[test]
fn a_root_that_must_not_be_pinned_is_not_proposed() {
    let expired = Authority::root_with("Old Root", KeyPair::generate().unwrap(), |root| {
        valid(root, -100, -1);
    });
    refused(
        expired.leaf(&[]),
        &expired.pem(),
        "error: `CN=Old Root` anchors `[HOST]`, and cannot be a pinned root\n  caused by: it ended \
         on [TIME], and it is [TIME]\n  help: pin the root that replaces it with `cargo esp-ota ca \
         add FILE`, and publish a release that carries it\n",
    );
    let root = Authority::root("Live Root");
    let between = root.intermediate("Live Intermediate");
    refused(
        between.leaf(&[]),
        &between.pem(),
        "error: `CN=Live Intermediate` anchors `[HOST]`, and cannot be a pinned root\n  caused by: \
         it is not a root: `CN=Live Root` issued it\n  help: take the self-signed root at the end of \
         the server's chain and run `cargo esp-ota ca add FILE`\n",
    );
}

#[test]
fn a_chain_that_devices_cannot_verify_is_said_and_not_anchored() {
    let root = Authority::root("Live Root");
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    refused(
        root.leaf_of(key, &[], |_| {}),
        &root.pem(),
        "error: devices cannot verify `CN=leaf`, a certificate that `[HOST]` shows\n  caused by: its \
         key type `Ed25519` cannot be verified by the device, only RSA and ECDSA P-256 or P-384 \
         can\n  help: let the server use a chain under a root with RSA 2048 or ECDSA P-256 and \
         SHA-256, and pin that one with `cargo esp-ota ca add FILE`\n",
    );
}

#[test]
fn a_host_that_is_not_there_was_not_judged() {
    let project = Project::made();
    let nobody = Nobody::new();
    project
        .run(["ca", "add", URL, "--yes", "-q", "--connect", &nobody.address])
        .exits(7)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `updates.test at 127.0.0.1:"))
        .wrote_nothing();
}

#[test]
fn what_is_for_a_url_is_refused_for_a_file_and_a_url_has_to_be_https() {
    let project = Project::made();
    for flags in [&["--spare"][..], &["--candidates", "a.pem"], &["--connect", "127.0.0.1:1"]] {
        project
            .run(["ca", "add", "a.pem"].into_iter().chain(flags.iter().copied()))
            .exits(2)
            .stdout("")
            .stderr(&format!(
                "error: `{}` is for a URL, and this is a file\n  help: leave it out, or name a \
                 server: `https://…`\n",
                flags[0]
            ))
            .wrote_nothing();
    }
    project
        .run(["ca", "add", "http://updates.test", "--yes"])
        .exits(2)
        .stdout("")
        .stderr(
            "error: `http://updates.test` is not an https URL\n  help: write `https://host/path`, \
             without user or password\n",
        )
        .wrote_nothing();
}
