//! Certificates as they go wrong in the field, each shown by a real server, with the exit code and
//! the words of `ca check` and `ca add URL`.

use std::net::Ipv4Addr;

use rcgen::{BasicConstraints, GeneralSubtree, IsCa, KeyPair, NameConstraints, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::authority::{Authority, Host, Identity, valid};
use crate::certificates;
use crate::harness::Project;
use crate::scripted::Scripted;
use crate::shape::CaCheck;

const URL: &str = "https://updates.test/t";

/// Roots in PEM, and a server that shows this.
struct Case {
    project: Project,
    host: Host,
    url: String,
}

impl Case {
    fn new(identity: Identity, pinned: &str) -> Self {
        let project = Project::made()
            .file("roots.pem", pinned)
            .file("site/t/a.bin", [1; 100])
            .file("site/a.bin", [1; 100]);
        let host = Host::start(identity, &project.path("site"));
        Self { project, host, url: URL.to_owned() }
    }

    /// Called by its address instead of its name.
    fn by_address(self) -> Self {
        Self { url: format!("https://{}", self.host.address), ..self }
    }

    fn arguments<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let mut all = words.to_vec();
        if self.url == URL {
            all.extend(["--connect", &self.host.address]);
        }
        all
    }

    /// `ca check` exits with 6 and this finding, and `ca add` with 6 and these words.
    #[track_caller]
    fn fails(&self, code: &str, message: &str, words: &str) {
        let check = ["ca", "check", "-q", "--url", &self.url, "--roots", "roots.pem"];
        let json = self.arguments(&[&check[..], &["--file", "a.bin", "--format", "json"]].concat());
        self.project
            .run(json)
            .exits(6)
            .json(|report: CaCheck| {
                let all: Vec<_> = report.checks.iter().flat_map(|check| &check.findings).collect();
                let found = all.iter().find(|finding| finding.code == code);
                let found = found.unwrap_or_else(|| panic!("no `{code}` in {all:?}"));
                let found = crate::redact::redact(&found.message, &self.project.around(""));
                assert_eq!(found, message);
            })
            .stderr("");
        let human = self.arguments(&[&check[..], &["--file", "a.bin"]].concat());
        let line = format!("error: {message} ({code})\n    help: ");
        self.project.run(human).exits(6).stdout_is(|text| text.contains(&line)).stderr("");
        self.not_added(words);
    }

    /// `ca add` exits with 6 and these words.
    #[track_caller]
    fn not_added(&self, words: &str) {
        let add = ["ca", "add", "-q", "--yes", &self.url, "--candidates", "roots.pem"];
        self.project
            .run(self.arguments(&add))
            .exits(6)
            .stdout("")
            .stderr_is(|text| text.contains(words) && text.contains("\n  help: "))
            .wrote_nothing();
    }

    /// Both are content; gives the report of `ca check`.
    #[track_caller]
    fn passes(&self, added: &str) -> CaCheck {
        let check = ["ca", "check", "-q", "--url", &self.url, "--roots", "roots.pem"];
        let json = self.arguments(&[&check[..], &["--file", "a.bin", "--format", "json"]].concat());
        let mut found = None;
        self.project.run(json).exits(0).json(|report: CaCheck| found = Some(report)).stderr("");
        let add = ["ca", "add", "-q", "--yes", &self.url, "--candidates", "roots.pem"];
        self.project
            .run(self.arguments(&add))
            .exits(0)
            .stdout_is(|text| text.contains(&format!("\npinned {added}\n")))
            .stderr("");
        found.unwrap()
    }
}

#[test]
fn an_expired_certificate() {
    let root = Authority::root("Root");
    let between = root.intermediate("Intermediate");
    let ended = root.intermediate_with("Intermediate", |it| valid(it, -20, -10));
    for identity in [
        between.leaf_with(&[between.der()], |leaf| valid(leaf, -20, -10)),
        ended.leaf(&[ended.der()]),
    ] {
        Case::new(identity, &root.pem()).fails(
            "chain-ended",
            "a certificate of its chain ended on [TIME], and it is [TIME]",
            "are not good\n  caused by: a certificate of its chain ended on ",
        );
    }
}

#[test]
fn a_certificate_that_is_not_valid_yet() {
    let root = Authority::root("Root");
    Case::new(root.leaf_with(&[], |leaf| valid(leaf, 10, 20)), &root.pem()).fails(
        "chain-not-yet-valid",
        "a certificate of its chain starts on [TIME], and it is [TIME]",
        "are not good\n  caused by: a certificate of its chain starts on ",
    );
}

#[test]
fn a_leaf_as_root() {
    let root = Authority::root("Root");
    let leaf = root.leaf(&[]);
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", leaf.chain[0].to_vec()));
    let case = Case::new(leaf, &pem);
    case.project
        .run(["ca", "check", "--url", URL, "--roots", "roots.pem", "--connect", &case.host.address])
        .exits(6)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with(
                "error: `CN=leaf` in `roots.pem` cannot be a pinned root\n  caused by: it is not a CA \
                 certificate (its basic constraints do not say `CA:TRUE`)\n  help: ",
            )
        });
    // As a candidate it anchors nothing.
    case.not_added("its chain ends below `CN=Root`");
    // Not even its own self.
    let key = KeyPair::generate().unwrap();
    let own = Authority::root_with("Alone", key, |it| {
        it.is_ca = IsCa::ExplicitNoCa;
        it.subject_alt_names = vec![SanType::DnsName("updates.test".try_into().unwrap())];
        it.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    });
    let case = Case::new(own.itself(), &own.pem());
    case.not_added(
        "`CN=Alone` anchors `updates.test at 127.0.0.1:[PORT]`, and cannot be a pinned root\n  \
         caused by: it is not a CA certificate",
    );
}

#[test]
fn a_chain_with_an_issuer_that_is_no_ca() {
    let root = Authority::root("Root");
    let leaf = root.intermediate_with("Leaf As CA", |it| it.is_ca = IsCa::ExplicitNoCa);
    Case::new(leaf.leaf(&[leaf.der()]), &root.pem()).fails(
        "wrong-purpose",
        "a certificate that issued another one in its chain is no CA certificate",
        "caused by: a certificate that issued another one in its chain is no CA certificate\n",
    );
}

#[test]
fn a_certificate_for_another_host() {
    let root = Authority::root("Root");
    let other = SanType::DnsName("other.test".try_into().unwrap());
    let case = |names: Vec<SanType>| {
        Case::new(root.leaf_with(&[], |leaf| leaf.subject_alt_names = names), &root.pem())
    };
    case(vec![other]).fails(
        "wrong-name",
        "its certificate is not for `updates.test`, but for `other.test`",
        "caused by: its certificate is not for `updates.test`, but for `other.test`\n",
    );
    case(Vec::new()).fails(
        "wrong-name",
        "its certificate is not for `updates.test`, but for nobody that a TLS client looks for (no \
         subject alternative name)",
        "caused by: its certificate is not for `updates.test`, but for nobody",
    );
}

#[test]
fn an_address_has_to_be_an_address_in_the_certificate() {
    let root = Authority::root("Root");
    let case = |name: SanType| {
        let identity = root.leaf_with(&[], |leaf| leaf.subject_alt_names = vec![name]);
        Case::new(identity, &root.pem()).by_address()
    };
    let report = case(SanType::IpAddress(Ipv4Addr::LOCALHOST.into())).passes("CN=Root");
    assert_eq!(report.checks[1].message, "its certificate is for `127.0.0.1`");
    // The usual mistake: the address as a name.
    case(SanType::DnsName("127.0.0.1".try_into().unwrap())).fails(
        "wrong-name",
        "its certificate is not for `127.0.0.1`, but for `127.0.0.1`, which stands there as a DNS name",
        "caused by: its certificate is not for `127.0.0.1`, but for `127.0.0.1`, which stands there \
         as a DNS name\n",
    );
    case(SanType::IpAddress(Ipv4Addr::new(192, 168, 1, 7).into())).fails(
        "wrong-name",
        "its certificate is not for `127.0.0.1`, but for `192.168.1.7`",
        "caused by: its certificate is not for `127.0.0.1`, but for `192.168.1.7`\n",
    );
}

/// Let's Encrypt's chain from 2021 to 2024: its last certificate is the root that devices pin,
/// cross-signed by one that nobody trusts any more.
#[test]
fn a_chain_that_ends_in_a_cross_signed_certificate_of_the_pinned_root() {
    let key = KeyPair::generate().unwrap();
    let old = Authority::root_with("DST Root CA X3", key, |it| valid(it, -4000, -100));
    let pinned = Authority::root("ISRG Root X1");
    let between = pinned.intermediate("R3");
    let crossed = old.cross_sign(&pinned);
    let identity = || between.leaf(&[between.der(), crossed.clone()]);
    let report = Case::new(identity(), &pinned.pem()).passes("CN=ISRG Root X1");
    assert_eq!(report.checks[0].message, "anchored by `CN=ISRG Root X1`");
    let surplus = &report.checks.iter().find(|it| it.check == "chain-size").unwrap().findings[0];
    assert_eq!(surplus.code, "chain-surplus");
    // Who pins the old one only is lost, as devices were in September 2021.
    let case = Case::new(identity(), &old.pem());
    case.not_added("`CN=DST Root CA X3` anchors `updates.test at 127.0.0.1:[PORT]`, and cannot be");
}

#[test]
fn a_missing_intermediate() {
    let root = Authority::root("Root");
    let between = root.intermediate("Intermediate");
    Case::new(between.leaf(&[]), &root.pem()).fails(
        "chain-unanchored",
        "its chain ends below `CN=Intermediate`, and pinned are `CN=Root`",
        "no root in `roots.pem` anchors `updates.test at 127.0.0.1:[PORT]`: its chain ends below \
         `CN=Intermediate`\n",
    );
}

/// A chain of `tests/vectors/chains`, whose leaf has the key there.
fn vector(name: &str) -> (Identity, String) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/chains");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let sections = |name: &str| pem::parse_many(read(name)).unwrap().into_iter();
    let chain = sections(name).map(|it| CertificateDer::from(it.into_contents())).collect();
    let key = sections("leaf-key.pem").next().unwrap().into_contents();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
    (Identity { chain, key }, read("root.pem"))
}

#[test]
fn a_sha_1_signature() {
    let (identity, root) = vector("sha1.pem");
    Case::new(identity, &root).fails(
        "chain-unsupported",
        "devices cannot verify `CN=leaf`: it is signed with `sha1WithRSAEncryption`, which is broken",
        "devices cannot verify `CN=leaf`, a certificate that `updates.test at 127.0.0.1:[PORT]` \
         shows\n  caused by: it is signed with `sha1WithRSAEncryption`, which is broken\n",
    );
}

#[test]
fn an_rsa_key_of_1024_bits() {
    let (identity, root) = vector("rsa-1024.pem");
    Case::new(identity, &root).fails(
        "chain-unsupported",
        "devices cannot verify `CN=RSA 1024`: its RSA key has 1024 bits, and 2048 are the least",
        "devices cannot verify `CN=RSA 1024`, a certificate that `updates.test at 127.0.0.1:[PORT]` \
         shows\n  caused by: its RSA key has 1024 bits, and 2048 are the least\n",
    );
}

#[test]
fn name_constraints_that_leave_the_host_out() {
    let root = Authority::root("Root");
    let dns = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    for constraints in [
        NameConstraints {
            permitted_subtrees: vec![dns("other.test")],
            excluded_subtrees: Vec::new(),
        },
        NameConstraints {
            permitted_subtrees: Vec::new(),
            excluded_subtrees: vec![dns("updates.test")],
        },
    ] {
        let between = root.intermediate_with("Constrained", |it| {
            it.name_constraints = Some(constraints);
        });
        let case = Case::new(between.leaf(&[between.der()]), &root.pem());
        case.fails(
            "name-constraint",
            "a CA of its chain may not issue for this name (name constraints)",
            "devices cannot verify `CN=Constrained`, a certificate that ",
        );
    }
}

#[test]
fn a_chain_that_is_longer_than_its_ca_permits() {
    let root = Authority::root_with("Root", KeyPair::generate().unwrap(), |it| {
        it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let between = root.intermediate_with("Short", |it| {
        it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let below = between.intermediate("Too Deep");
    Case::new(below.leaf(&[below.der(), between.der()]), &root.pem()).fails(
        "chain-malformed",
        "its chain is longer than one of its CAs permits",
        "caused by: its chain is longer than one of its CAs permits\n",
    );
}

#[test]
fn an_unrelated_root_in_the_set_neither_helps_nor_hurts() {
    let (root, other) = (Authority::root("Root"), Authority::root("Unrelated"));
    let both = other.pem() + &root.pem();
    let report = Case::new(root.leaf(&[]), &both).passes("CN=Root");
    let anchors: Vec<(&str, bool, Option<&str>)> = report
        .roots
        .iter()
        .map(|it| (it.subject.as_str(), it.anchors, it.reason.as_deref()))
        .collect();
    assert_eq!(
        anchors,
        [
            ("CN=Unrelated", false, Some("its chain does not lead to that root")),
            ("CN=Root", true, None)
        ]
    );
    Case::new(root.leaf(&[]), &other.pem()).fails(
        "chain-unanchored",
        "its chain ends below `CN=Root`, and pinned are `CN=Unrelated`",
        "its chain ends below `CN=Root`\n",
    );
    // The same name and another key: a namesake is no root.
    Case::new(root.leaf(&[]), &certificates::root("Root")).fails(
        "chain-forged",
        "a signature in its chain does not hold",
        "caused by: a signature in its chain does not hold\n",
    );
}

/// A server that shows these certificates without being able to.
#[track_caller]
fn unproven(identity: Identity, root: &Authority, code: &str, message: &str, words: &str) {
    let project = Project::made().file("roots.pem", root.pem());
    let host = Scripted::start(identity, |_| Vec::new());
    let check = ["ca", "check", "-q", "--url", URL, "--roots", "roots.pem"];
    project
        .run(check.into_iter().chain(["--connect", &host.address, "--format", "json"]))
        .exits(6)
        .json(|report: CaCheck| {
            let trust = &report.checks[0];
            assert_eq!((trust.check.as_str(), trust.outcome.as_str()), ("trust", "failed"));
            let found = &trust.findings[0];
            assert!(found.code == code && found.message.starts_with(message), "{found:?}");
        })
        .stderr("");
    let add = ["ca", "add", "-q", "--yes", URL, "--candidates", "roots.pem"];
    project
        .run(add.into_iter().chain(["--connect", &host.address]))
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.contains(words) && text.contains("\n  help: "))
        .wrote_nothing();
}

#[test]
fn a_certificate_that_was_copied_from_its_owner() {
    let root = Authority::root("Root");
    let copied = Identity { key: root.leaf(&[]).key, ..root.leaf(&[]) };
    unproven(
        copied,
        &root,
        "key-mismatch",
        "the server does not hold the key of the certificate that it shows",
        "does not prove that its certificate is its own\n  caused by: invalid peer certificate: \
         BadSignature\n  help: look at the server: it has another key than its certificate\n",
    );
}

#[test]
fn a_certificate_that_is_none() {
    let root = Authority::root("Root");
    let nonsense = CertificateDer::from(b"\x30\x03\x02\x01\x01".to_vec());
    let identity = Identity { chain: vec![nonsense], ..root.leaf(&[]) };
    unproven(
        identity,
        &root,
        "chain-malformed",
        "its chain is malformed (",
        "are not good\n  caused by: its chain is malformed (",
    );
}

#[test]
fn a_server_without_a_certificate() {
    let root = Authority::root("Root");
    let project = Project::made().file("roots.pem", root.pem());
    let identity = Identity { chain: Vec::new(), ..root.leaf(&[]) };
    let host = Scripted::start(identity, |_| Vec::new());
    for command in [
        &["ca", "check", "-q", "--url", URL, "--roots", "roots.pem"][..],
        &["ca", "add", "-q", "--yes", URL, "--candidates", "roots.pem"],
    ] {
        project
            .run(command.iter().copied().chain(["--connect", &host.address]))
            .exits(6)
            .stdout("")
            .stderr_is(|text| {
                text.contains(
                    "did not complete a TLS handshake\n  caused by: peer sent no certificates\n  \
                     help: ",
                )
            })
            .wrote_nothing();
    }
}
