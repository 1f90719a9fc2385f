//! `ca check`: certificates of a live host, and whether each release still reaches it.

use std::fs;

use rcgen::{CustomExtension, KeyPair, PKCS_ED25519, SanType};

use crate::authority::{Authority, HOST, Host, Identity, Nobody, fingerprint, pinning, valid};
use crate::harness::{Project, Ran};
use crate::material;
use crate::releases::Release;
use crate::scripted::Scripted;
use crate::shape::{CaCheck, HostCheck};

const URL: &str = "https://updates.test/t";

/// Publishes a version whose firmware pins these roots, to where the host serves it.
fn publish(project: &Project, version: &str, roots: &[&Authority]) {
    let roots = roots.iter().map(|root| fingerprint(root)).collect();
    Release::new(version, material::image(version))
        .with(|custom| custom.roots = roots)
        .publish(project);
}

/// Serves the project's store below `/t`.
fn served(project: &Project, identity: Identity) -> Host {
    let site = project.around("site");
    let _ = fs::remove_dir_all(&site);
    crate::harness::copy(&project.path("dist"), &site.join("t"));
    Host::start(identity, &site)
}

#[track_caller]
fn check(project: &Project, address: &str, more: &[&str]) -> Ran {
    let all = ["ca", "check", "-q", "--connect", address];
    project.run(all.into_iter().chain(more.iter().copied()))
}

/// The codes of everything found, with the check that found it.
fn codes(report: &CaCheck) -> Vec<(String, String)> {
    let all = report.checks.iter();
    all.flat_map(|check| check.findings.iter().map(|it| (check.check.clone(), it.code.clone())))
        .collect()
}

fn outcome<'a>(report: &'a CaCheck, name: &str) -> &'a HostCheck {
    report.checks.iter().find(|check| check.check == name).unwrap()
}

/// Checks with these arguments; gives the report.
#[track_caller]
fn report(project: &Project, address: &str, more: &[&str], code: i32) -> CaCheck {
    let mut found = None;
    let more: Vec<&str> = more.iter().copied().chain(["--format", "json"]).collect();
    check(project, address, &more)
        .exits(code)
        .json(|report: CaCheck| found = Some(report))
        .stderr("")
        .wrote_nothing();
    found.unwrap()
}

#[test]
fn a_host_that_is_all_right_passes_every_check() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let between = new.intermediate("Intermediate");
    let project = pinning(&[&new, &old]);
    publish(&project, "1.0.0", &[&old]);
    publish(&project, "1.1.0", &[&old, &new]);
    let host = served(&project, between.leaf(&[between.der(), old.cross_sign(&new)]));
    check(&project, &host.address, &[])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(
                "https://updates.test/t at 127.0.0.1:[PORT]\n\
                 trust: ok: anchored by `CN=New Root` and `CN=Old Root`\n\
                 name: ok: its certificate is for `updates.test`\n\
                 spare: ok: if ",
            ) && text.contains("\ntls: ok: TLS 1.2 and 1.3\nredirects: ok: none from `/t/targets/")
                && text.contains("\nrange: ok: 206 and 416\netag: ok: ")
                && text.ends_with("\nreleases: ok: 2 published releases, each reaches the host\n")
        })
        .stderr("")
        .wrote_nothing();
    let report = report(&project, &host.address, &[], 0);
    assert_eq!(
        (report.url.as_str(), report.tls.as_slice()),
        (URL, &["1.2".into(), "1.3".into()][..])
    );
    assert_eq!(report.address.as_deref(), Some(host.address.as_str()));
    assert!(report.checks.iter().all(|check| check.outcome == "ok"), "{:?}", report.checks);
    let chain: Vec<(&str, &str)> =
        report.chain.iter().map(|it| (it.subject.as_str(), it.issuer.as_str())).collect();
    assert_eq!(
        chain,
        [
            ("CN=leaf", "CN=Intermediate"),
            ("CN=Intermediate", "CN=New Root"),
            ("CN=New Root", "CN=Old Root")
        ]
    );
    assert!(report.chain.iter().all(|link| link.days_left == 3650 && link.size > 300));
    assert!(report.roots.iter().all(|root| root.anchors && root.reason.is_none()));
    let releases = report.releases.unwrap();
    assert_eq!(releases.read_from, URL);
    let reached: Vec<(&str, &str)> =
        releases.list.iter().map(|it| (it.version.as_str(), it.reaches.as_str())).collect();
    assert_eq!(reached, [("1.0.0", "yes"), ("1.1.0", "yes")]);
    assert_eq!(releases.list[0].by.as_deref(), Some(&["CN=Old Root".to_owned()][..]));
    assert_eq!(releases.list[1].chip, "esp32c3");
    assert_eq!(
        (&releases.list[1].channels[..], releases.list[1].rollout_percent),
        (&["stable".to_owned()][..], 100)
    );
}

#[test]
fn a_host_can_be_checked_without_a_project_by_roots_from_a_file() {
    let root = Authority::root("Root");
    let project = Project::new().file("roots.pem", root.pem()).file("site/t/a.bin", [7; 100]);
    let host = Host::start(root.leaf(&[]), &project.path("site"));
    let url = ["--url", URL, "--roots", "roots.pem"];
    check(&project, &host.address, &[&url[..], &["--file", "a.bin"]].concat())
        .exits(0)
        .stdout_is(|text| text.ends_with("\nreleases: skipped: no project was asked about\n"))
        .stderr("");
    let found = report(&project, &host.address, &[&url[..], &["--file", "a.bin"]].concat(), 0);
    assert_eq!(codes(&found), [("spare".to_owned(), "no-spare".to_owned())]);
    // A check that cannot be made is never ok.
    let found = report(&project, &host.address, &url, 1);
    for name in ["range", "etag"] {
        let check = outcome(&found, name);
        assert_eq!(check.outcome, "not-made");
        assert_eq!(
            check.message,
            "`/t/metadata/timestamp.json` answered 404: name a file with `--file`"
        );
    }
    check(&project, &host.address, &["--url", URL]).exits(2).stdout("").stderr(
        "error: there is no project here, and so there are no pinned roots to judge a host by\n  \
             help: pass the roots with `--roots FILE`\n",
    );
    check(&project, &host.address, &[&url[..], &["--file", "../a.bin"]].concat())
        .exits(2)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `../a.bin` is no path below"));
}

#[test]
fn without_a_spare_a_host_passes_with_a_warning_that_can_be_denied() {
    let (root, other) = (Authority::root("Root"), Authority::root("Other Root"));
    for pinned in [&[&root][..], &[&root, &other]] {
        let project = pinning(pinned);
        publish(&project, "1.0.0", &[&root]);
        let host = served(&project, root.leaf(&[]));
        let found = report(&project, &host.address, &[], 0);
        assert_eq!(codes(&found), [("spare".to_owned(), "no-spare".to_owned())]);
        assert_eq!(outcome(&found, "spare").outcome, "warning");
        report(&project, &host.address, &["--deny", "warnings"], 1);
        let found =
            report(&project, &host.address, &["--deny", "warnings", "--allow", "no-spare"], 0);
        assert!(outcome(&found, "spare").findings[0].allowed);
    }
}

#[test]
fn what_ends_soon_is_named_with_the_days_it_has_left() {
    let root =
        Authority::root_with("Root", KeyPair::generate().unwrap(), |root| valid(root, -10, 200));
    let between = root.intermediate_with("Intermediate", |it| valid(it, -10, 40));
    let project = pinning(&[&root]);
    publish(&project, "1.0.0", &[&root]);
    let identity = between.leaf_with(&[between.der()], |leaf| valid(leaf, -10, 10));
    let host = served(&project, identity);
    let found = report(&project, &host.address, &[], 1);
    let days = outcome(&found, "days");
    assert_eq!(days.message, "the first to end is `CN=leaf`, in 10 days");
    let messages: Vec<&str> = days.findings.iter().map(|it| it.message.as_str()).collect();
    assert!(messages[0].starts_with("`CN=leaf` has 10 days left, and 30 are the least ("));
    assert_eq!(messages[1], "the root `CN=Root` has 200 days left");
    assert_eq!(days.findings[0].code, "ends-soon");
    assert_eq!(days.findings[1].code, "root-ends");
    let found = report(&project, &host.address, &["--min-days", "60"], 1);
    assert_eq!(outcome(&found, "days").findings.len(), 3);
    report(&project, &host.address, &["--min-days", "10"], 0);
    report(&project, &host.address, &["--min-days", "11"], 1);
}

#[test]
fn a_host_under_another_root_has_lost_its_devices_and_the_store_says_which() {
    let (root, other) = (Authority::root("Pinned Root"), Authority::root("Other Root"));
    let project = pinning(&[&root]);
    publish(&project, "1.0.0", &[&root]);
    let host = served(&project, other.leaf(&[]));
    check(&project, &host.address, &[])
        .exits(6)
        .stdout_is(|text| {
            text.contains(
                "\ntrust: failed: devices do not trust `updates.test at 127.0.0.1:[PORT]`\n  error: \
                 its chain ends below `CN=Other Root`, and pinned are `CN=Pinned Root` \
                 (chain-unanchored)\n    help: ",
            ) && text.contains("\nspare: not made: no pinned root anchors the chain\n")
                && text.contains("\nrange: not made: devices do not talk to the host\n")
                && text.contains("  error: devices with 1.0.0 for esp32c3 do not trust the host: it pins CN=Pinned Root (release-stranded)\n")
        })
        .stderr("")
        .wrote_nothing();
    let found = report(&project, &host.address, &[], 6);
    assert_eq!(found.releases.unwrap().read_from, "dir:dist");
    check(&project, &host.address, &["--format", "github"])
        .exits(6)
        .stdout_is(|text| {
            text.contains("\n::error title=chain-unanchored::")
                && text.contains("::error title=not-made::")
        })
        .stderr("");
}

#[test]
fn a_release_that_lacks_the_root_is_named_although_the_newest_has_it() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old, &new]);
    publish(&project, "1.0.0", &[&old]);
    publish(&project, "1.1.0", &[&old, &new]);
    let host = served(&project, new.leaf(&[]));
    let found = report(&project, &host.address, &[], 6);
    let releases = found.releases.as_ref().unwrap();
    assert_eq!(releases.read_from, URL);
    assert_eq!(releases.list[0].reaches, "no");
    assert_eq!(releases.list[0].pinned.as_deref(), Some(&["CN=Old Root".to_owned()][..]));
    assert_eq!(releases.list[1].reaches, "yes");
    let codes = codes(&found);
    assert!(codes.contains(&("releases".to_owned(), "release-stranded".to_owned())), "{codes:?}");
    assert_eq!(codes.len(), 2, "{codes:?}");
    // Once no device runs it, its roots do not matter any more.
    let found = report(&project, &host.address, &["--retired", "1.0.0"], 0);
    assert_eq!(
        outcome(&found, "releases").message,
        "2 published releases, 1 of them retired, each other one reaches the host"
    );
    let releases = found.releases.unwrap().list;
    assert!(releases[0].retired && releases[0].reaches == "no" && !releases[1].retired);
    for version in ["1.1.0", "1.0.1"] {
        check(&project, &host.address, &["--retired", version])
            .exits(2)
            .stdout("")
            .stderr_is(|text| text.starts_with(&format!("error: `--retired {version}`: ")));
    }
}

#[test]
fn a_version_is_not_retired_by_one_of_another_channel() {
    let (old, new) = (Authority::root("Old Root"), Authority::root("New Root"));
    let project = pinning(&[&old, &new]);
    publish(&project, "1.2.0", &[&old]);
    let roots = vec![fingerprint(&old), fingerprint(&new)];
    Release::new("1.3.0", material::image("1.3.0"))
        .with(|custom| (custom.roots, custom.channels) = (roots, vec!["beta".into()]))
        .publish(&project);
    let host = served(&project, new.leaf(&[]));
    report(&project, &host.address, &[], 6);
    check(&project, &host.address, &["--retired", "1.2.0"]).exits(2).stdout("").stderr(
        "error: `--retired 1.2.0`: in `stable`, no newer release for esp32c3 is for every device\n  \
         help: publish a newer one in `stable`, and let its rollout reach 100 percent\n",
    );
}

#[test]
fn a_release_whose_roots_nobody_knows_is_not_called_good() {
    let (gone, root) = (Authority::root("Gone Root"), Authority::root("Root"));
    let project = pinning(&[&root]);
    publish(&project, "1.0.0", &[&gone]);
    publish(&project, "1.1.0", &[&gone, &root]);
    let host = served(&project, root.leaf(&[]));
    let found = report(&project, &host.address, &[], 1);
    let releases = found.releases.as_ref().unwrap();
    assert_eq!(releases.list[0].reaches, "unknown");
    assert_eq!(releases.list[0].unknown.as_deref(), Some(&[fingerprint(&gone)][..]));
    assert_eq!(releases.list[1].reaches, "yes");
    assert_eq!(outcome(&found, "releases").findings[0].code, "release-unknown-roots");
    // With its certificate the answer is known, and bad.
    let project = project.file("gone.pem", gone.pem());
    let found = report(&project, &host.address, &["--candidates", "gone.pem"], 6);
    assert_eq!(found.releases.unwrap().list[0].reaches, "no");
}

#[test]
fn a_host_that_is_not_there_was_not_judged() {
    let root = Authority::root("Root");
    let project = pinning(&[&root]);
    let nobody = Nobody::new();
    check(&project, &nobody.address, &[]).exits(7).stdout("").stderr_is(|text| {
        text.starts_with("error: `updates.test at 127.0.0.1:")
            && text.contains("caused by: [SYSTEM]")
    });
    // Something that answers, and speaks no TLS.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::Write;
        for mut socket in listener.incoming().flatten() {
            let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    check(&project, &address, &[])
        .exits(7)
        .stdout("")
        .stderr_is(|text| text.contains("did not complete a TLS handshake\n  caused by: "));
}

#[test]
fn metadata_that_does_not_verify_is_a_breach_of_trust_and_no_list_of_releases() {
    let root = Authority::root("Root");
    let project = pinning(&[&root]);
    publish(&project, "1.0.0", &[&root]);
    let host = served(&project, root.leaf(&[]));
    let timestamp = project.around("site/t/metadata/timestamp.json");
    let text = fs::read_to_string(&timestamp).unwrap().replace("\"version\":1", "\"version\":2");
    fs::write(timestamp, text).unwrap();
    let found = report(&project, &host.address, &[], 6);
    let releases = outcome(&found, "releases");
    assert_eq!(releases.outcome, "not-made");
    assert!(releases.message.contains("could not be read as a device reads it"), "{releases:?}");
    assert!(found.releases.is_none());
}

/// Nobody knows whether nothing was ever published, or all of it is lost.
#[test]
fn a_host_without_a_release_is_only_good_where_somebody_says_so() {
    let root = Authority::root("Root");
    let project = pinning(&[&root]).file("dist/probe", [1; 64]);
    let host = served(&project, root.leaf(&[]));
    let found = report(&project, &host.address, &["--file", "probe"], 1);
    let releases = outcome(&found, "releases");
    assert_eq!((releases.outcome.as_str(), releases.findings.len()), ("failed", 1));
    assert_eq!(releases.findings[0].code, "nothing-published");
    assert_eq!(
        releases.findings[0].message,
        "nothing is published in dir:dist, and `https://updates.test/t` serves none (404)"
    );
    let allow = ["--file", "probe", "--allow", "nothing-published"];
    let found = report(&project, &host.address, &allow, 0);
    assert!(outcome(&found, "releases").findings[0].allowed);
    // The store has releases, and the URL leads elsewhere.
    publish(&project, "1.0.0", &[&root]);
    let found = report(&project, &host.address, &["--file", "probe"], 1);
    let releases = outcome(&found, "releases");
    assert_eq!(releases.outcome, "not-made");
    assert_eq!(releases.message, "dir:dist has 1, and `https://updates.test/t` serves none (404)");
}

#[test]
fn a_chain_is_judged_as_the_device_would() {
    let root = Authority::root("Root");
    let project = pinning(&[&root]);
    publish(&project, "1.0.0", &[&root]);
    // Critical name constraints: webpki heeds them, mbedtls takes no such certificate.
    let constrained = root.intermediate_with("Constrained", |it| {
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], permitted(HOST));
        extension.set_criticality(true);
        it.custom_extensions = vec![extension];
    });
    let host = served(&project, constrained.leaf(&[constrained.der()]));
    let found = report(&project, &host.address, &[], 6);
    assert_eq!(outcome(&found, "trust").outcome, "ok");
    let device = outcome(&found, "device");
    assert_eq!(device.findings[0].code, "chain-unsupported");
    assert_eq!(
        device.findings[0].message,
        "devices cannot verify `CN=Constrained`: its critical extension `2.5.29.30` is unknown to the \
         device's TLS library"
    );
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let host = served(&project, root.leaf_of(key, &[], |_| {}));
    let found = report(&project, &host.address, &[], 6);
    assert!(outcome(&found, "device").findings[0].message.contains("key type `Ed25519`"));
}

/// DER of name constraints that permit one DNS name.
fn permitted(name: &str) -> Vec<u8> {
    let wrap = |tag: u8, inside: Vec<u8>| {
        let length = u8::try_from(inside.len()).unwrap();
        [vec![tag, length], inside].concat()
    };
    let name = wrap(0x82, name.as_bytes().to_vec());
    wrap(0x30, wrap(0xa0, wrap(0x30, name)))
}

#[test]
fn a_certificate_for_somebody_else_is_one_finding_and_not_two() {
    let root = Authority::root("Root");
    let project = pinning(&[&root]);
    publish(&project, "1.0.0", &[&root]);
    let other = SanType::DnsName("other.test".try_into().unwrap());
    let host = served(&project, root.leaf_with(&[], |leaf| leaf.subject_alt_names = vec![other]));
    let found = report(&project, &host.address, &[], 6);
    assert_eq!(outcome(&found, "trust").outcome, "ok");
    let name = outcome(&found, "name");
    assert_eq!(name.findings[0].code, "wrong-name");
    assert_eq!(
        name.findings[0].message,
        "its certificate is not for `updates.test`, but for `other.test`"
    );
    assert_eq!(outcome(&found, "range").outcome, "not-made");
}

/// Not every server says by an alert that it does not speak a version.
#[test]
fn a_host_that_hangs_up_on_a_version_of_tls_speaks_the_other_one() {
    let root = Authority::root("Root");
    let project = Project::new().file("roots.pem", root.pem());
    // The extension `supported_versions` (RFC 8446, section 4.2.1) of a client with one of them.
    for (only, spoken, code) in [
        (b"\x00\x2b\x00\x03\x02\x03\x03", "1.3", Some("no-tls12")),
        (b"\x00\x2b\x00\x03\x02\x03\x04", "1.2", None),
    ] {
        let answer = |_: &str| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
        let host =
            Scripted::hanging_up(rustls::DEFAULT_VERSIONS, Some(only), root.leaf(&[]), answer);
        let arguments = ["--url", URL, "--roots", "roots.pem"];
        let found = report(&project, &host.address, &arguments, 1);
        assert_eq!(found.tls, [spoken]);
        let tls = outcome(&found, "tls");
        assert_eq!(tls.findings.first().map(|it| it.code.as_str()), code);
    }
}

#[test]
fn what_a_chain_has_too_much_of_and_old_tls_that_is_missing_are_said() {
    let (root, stranger) = (Authority::root("Root"), Authority::root("Stranger"));
    let project = Project::new().file("roots.pem", root.pem());
    let body = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let identity = root.leaf(&[stranger.der(), root.der()]);
    let host =
        Scripted::speaking(&[&rustls::version::TLS13], identity, move |_| body.as_bytes().to_vec());
    let arguments = ["--url", URL, "--roots", "roots.pem"];
    let found = report(&project, &host.address, &arguments, 1);
    assert_eq!(found.tls, ["1.3"]);
    let tls = outcome(&found, "tls");
    assert_eq!((tls.outcome.as_str(), tls.findings[0].code.as_str()), ("warning", "no-tls12"));
    let size = outcome(&found, "chain-size");
    assert_eq!((size.outcome.as_str(), size.findings[0].code.as_str()), ("ok", "chain-surplus"));
    assert!(
        size.findings[0].message.starts_with("`CN=Stranger`, `CN=Root` lead to no pinned root: ")
    );
    let many: Vec<_> = std::iter::repeat_n(stranger.der(), 60).collect();
    let host = Host::start(root.leaf(&many), &project.around("scratch"));
    let found = report(&project, &host.address, &arguments, 1);
    assert_eq!(outcome(&found, "chain-size").findings[0].code, "chain-too-large");
}

#[test]
fn a_breach_of_trust_cannot_be_accepted() {
    let project = Project::new();
    for (code, words) in [
        ("wrong-name", "`wrong-name` is a breach of trust, which cannot be accepted"),
        ("nonsense", "no finding is called `nonsense`"),
    ] {
        project
            .run(["ca", "check", "--allow", code])
            .exits(2)
            .stdout("")
            .stderr_is(|text| text.contains(words));
    }
}
