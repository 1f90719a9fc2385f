//! `ca add` and `ca embed`.

use crate::certificates;
use crate::harness::Project;
use crate::material;
use crate::shape::{CaAdd, CaEmbed, Failed};

/// A vector of `tests/vectors/roots`.
fn vector(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/roots");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn a_root_is_pinned_in_the_project_and_in_the_generated_source() {
    let project = Project::made().file("new/second.pem", certificates::root("Second Root"));
    project
        .run(["ca", "add", "new/second.pem", "--yes"])
        .exits(0)
        .stdout(
            "pinned CN=Second Root\n  SHA-256 [SHA-256]\n  ECDSA P-256, ends [TIME]\n\
             2 pinned in all, in `src/roots.rs`\n",
        )
        .stderr("")
        .changed(&["certs/second.pem", "esp-ota.toml", "src/roots.rs"]);
    let text = project.read("esp-ota.toml");
    assert!(text.contains("roots = [\"certs/root.pem\", \"certs/second.pem\"]\n"), "{text}");
    assert!(project.read("src/roots.rs").contains("// Subject: \"CN=Second Root\"\n"));
    project
        .run(["ca", "embed", "--check"])
        .exits(0)
        .stdout("2 pinned roots in `src/roots.rs`: up to date\n")
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_fingerprint_picks_the_root_it_belongs_to() {
    let both = certificates::root("First") + &certificates::root("Second");
    let project = Project::made().file("both.pem", both);
    project
        .run(["ca", "add", "both.pem", "--sha256", &"0".repeat(64)])
        .exits(6)
        .stdout("")
        .stderr(
            "error: no certificate in `both.pem` has the fingerprint `[SHA-256]`: [SHA-256], \
             [SHA-256]\n  \
             help: get the certificate from the authority again, and trust neither\n",
        )
        .wrote_nothing();
    let (mut fingerprint, mut pinned) = (String::new(), 0);
    Project::made()
        .file("both.pem", project.read("both.pem"))
        .run(["ca", "add", "both.pem", "--yes", "--format", "json"])
        .exits(0)
        .json(|report: CaAdd| {
            assert_eq!(report.added[1].subject, "CN=Second");
            fingerprint = report.added[1].sha256.to_uppercase();
            pinned = report.pinned;
        })
        .stderr("");
    assert_eq!(pinned, 3);
    // As browsers and authorities print it.
    let pairs: Vec<&str> = (0..32).map(|at| &fingerprint[2 * at..2 * at + 2]).collect();
    project
        .run(["ca", "add", "both.pem", "--sha256", &pairs.join(":"), "--format", "json"])
        .exits(0)
        .json(|report: CaAdd| {
            assert_eq!((report.added.len(), report.pinned), (1, 2));
            assert_eq!(report.added[0].subject, "CN=Second");
        })
        .stderr("")
        .changed(&["certs/both.pem", "esp-ota.toml", "src/roots.rs"]);
}

#[test]
fn without_a_terminal_nobody_can_confirm() {
    Project::made()
        .file("new.pem", certificates::root("New"))
        .input("y\n")
        .run(["ca", "add", "new.pem"])
        .exits(2)
        .stdout("")
        .stderr(
            "error: `CN=New` (SHA-256 [SHA-256]) has to be confirmed, and there is no terminal to ask \
             on\n  help: compare the fingerprint with the authority's own page, then pass `--sha256 \
             HEX`\n",
        )
        .wrote_nothing();
}

/// Adds the file in both formats and expects the same refusal, and an untouched project.
#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, code: i32, stderr: &str) {
    let project = Project::made().file("bad.pem", bytes);
    project
        .run(["ca", "add", "bad.pem", "--yes"])
        .exits(code)
        .stdout("")
        .stderr(stderr)
        .wrote_nothing();
    project
        .run(["ca", "add", "bad.pem", "--yes", "--format", "json"])
        .exits(code)
        .json(|failed: Failed| {
            assert_eq!(failed.error.location.unwrap().file, "bad.pem");
            assert!(failed.error.help.is_some());
        })
        .stderr(stderr)
        .wrote_nothing();
}

#[test]
fn what_is_no_certificate_in_pem_is_a_broken_file() {
    refused(
        "no certificate\n",
        3,
        "error: `bad.pem` is not PEM (no `-----BEGIN` line)\n  \
         help: convert a DER file with `openssl x509 -inform der -in FILE -out root.pem`, then run \
         `cargo esp-ota ca add root.pem`\n",
    );
    refused(
        certificates::private_key(),
        3,
        "error: `bad.pem` holds a private key\n  \
         help: keep the key out of the project and pass a file with the certificate alone to \
         `cargo esp-ota ca add`\n",
    );
    refused(
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n",
        3,
        "error: `bad.pem` holds no certificate\n  \
         help: download the root certificate again as PEM, then run `cargo esp-ota ca add FILE`\n",
    );
    refused(
        certificates::root("Root").repeat(17),
        3,
        "error: `bad.pem` holds more than 16 certificates\n  \
         help: pin only the roots your server uses: `cargo esp-ota ca add FILE`\n",
    );
    refused(
        vec![b'\n'; 64 * 1024 + 1],
        3,
        "error: `bad.pem` is larger than 65536 bytes\n  \
         help: pin only the roots your server uses: `cargo esp-ota ca add FILE`\n",
    );
}

#[test]
fn a_certificate_beside_a_private_key_is_not_taken() {
    let both = certificates::root("Root") + &certificates::private_key();
    let project = Project::made().file("both.pem", both);
    project
        .run(["ca", "add", "both.pem", "--yes"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `both.pem` holds a private key\n"))
        .wrote_nothing();
}

#[test]
fn what_must_not_be_trusted_exits_6() {
    let root = "  help: take the self-signed root at the end of the server's chain and run `cargo \
                esp-ota ca add FILE`\n";
    let refuse = |pem: String, cause: &str, help: &str| {
        let error = "error: `CN=Bad` in `bad.pem` cannot be a pinned root\n";
        refused(pem, 6, &format!("{error}  caused by: {cause}\n{help}"));
    };
    refuse(
        certificates::leaf("Bad"),
        "it is not a CA certificate (its basic constraints do not say `CA:TRUE`)",
        root,
    );
    refuse(
        certificates::intermediate("Bad"),
        "it is not a root: `CN=Issuing Root` issued it",
        root,
    );
    refuse(
        certificates::expired("Bad"),
        "it ended on [TIME], and it is [TIME]",
        "  help: pin the root that replaces it with `cargo esp-ota ca add FILE`, and publish a \
         release that carries it\n",
    );
    refuse(
        certificates::not_yet_valid("Bad"),
        "it starts on [TIME], and it is [TIME]",
        "  help: check this computer's clock, or pin a root that is valid today with `cargo \
         esp-ota ca add FILE`\n",
    );
    refuse(
        certificates::ed25519("Bad"),
        "its key type `Ed25519` cannot be verified by the device, only RSA and ECDSA P-256 or \
         P-384 can",
        "  help: let the server use a chain under a root with RSA 2048 or ECDSA P-256 and SHA-256, \
         and pin that one with `cargo esp-ota ca add FILE`\n",
    );
}

#[test]
fn roots_that_no_tool_makes_any_more_are_refused_too() {
    for name in [
        "critical-extension.pem",
        "ecdsa-sha1.pem",
        "md5.pem",
        "no-cert-sign.pem",
        "rsa-1024.pem",
        "rsa-2047.pem",
        "secp256k1.pem",
        "sha1.pem",
        "version-1.pem",
    ] {
        Project::made()
            .file("bad.pem", vector(name))
            .run(["ca", "add", "bad.pem", "--yes"])
            .exits(6)
            .stdout("")
            .stderr_is(|text| {
                text.contains("cannot be a pinned root\n  caused by: ")
                    && text.contains("\n  help: ")
            })
            .wrote_nothing();
    }
    for name in ["rsa-2048.pem", "no-end.pem"] {
        Project::made()
            .file("good.pem", vector(name))
            .run(["ca", "add", "good.pem", "--yes"])
            .exits(0)
            .stdout_is(|text| text.ends_with("2 pinned in all, in `src/roots.rs`\n"))
            .stderr("")
            .changed(&["certs/good.pem", "esp-ota.toml", "src/roots.rs"]);
    }
}

#[test]
fn a_good_root_beside_a_bad_one_is_not_pinned_either() {
    let both = certificates::root("Good") + &certificates::leaf("Bad");
    Project::made()
        .file("both.pem", both)
        .run(["ca", "add", "both.pem", "--yes"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `CN=Bad` in `both.pem`"))
        .wrote_nothing();
}

#[test]
fn a_root_that_is_pinned_needs_nothing_and_nobody_is_asked() {
    let project = Project::made().file("again.pem", material::bench_root());
    let text = "pinned already, nothing to do: CN=Test Root\n  SHA-256 [SHA-256]\n1 pinned in all, \
                in `src/roots.rs`\n";
    for yes in [&[][..], &["--yes"]] {
        project
            .run(["ca", "add", "again.pem"].into_iter().chain(yes.iter().copied()))
            .exits(0)
            .stdout(text)
            .stderr("")
            .wrote_nothing();
    }
    // By its fingerprint as well.
    let mut sha256 = String::new();
    project
        .run(["ca", "add", "again.pem", "--format", "json"])
        .exits(0)
        .json(|report: CaAdd| {
            assert!(report.added.is_empty() && report.files.is_empty());
            sha256 = report.already[0].sha256.clone();
        })
        .stderr("")
        .wrote_nothing();
    project
        .run(["ca", "add", "again.pem", "--sha256", &sha256])
        .exits(0)
        .stdout(text)
        .stderr("")
        .wrote_nothing();
    // What is new beside it is pinned, and alone.
    let both = material::bench_root() + &certificates::root("New");
    let project = project.file("both.pem", both);
    project
        .run(["ca", "add", "both.pem", "--yes", "--format", "json"])
        .exits(0)
        .json(|report: CaAdd| {
            assert_eq!(report.already[0].subject, "CN=Test Root");
            assert_eq!((report.added.len(), report.pinned), (1, 2));
        })
        .stderr("")
        .changed(&["certs/both.pem", "esp-ota.toml", "src/roots.rs"]);
    assert_eq!(project.read("certs/both.pem").matches("BEGIN CERTIFICATE").count(), 1);
}

#[test]
fn a_root_that_is_there_twice_is_a_mistake_in_a_file() {
    let twin = certificates::root("Bad");
    refused(
        format!("{twin}{twin}"),
        3,
        "error: `CN=Bad` in `bad.pem` is there twice (SHA-256 [SHA-256])\n  help: keep it once: in \
         one file, which `[trust] roots` in `esp-ota.toml` names once\n",
    );
}

#[test]
fn what_is_no_fingerprint_is_a_mistake_on_the_command_line() {
    let project = Project::made().file("new.pem", certificates::root("New"));
    for sha256 in ["", "ab:cd", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
        project
            .run(["ca", "add", "new.pem", "--sha256", sha256])
            .exits(2)
            .stdout("")
            .stderr_is(|text| {
                sha256.is_empty()
                    || text.contains(
                        "a SHA-256 has 64 hexadecimal digits, with or without colons between them",
                    )
            })
            .wrote_nothing();
    }
}

#[test]
fn a_file_of_the_same_name_is_not_overwritten() {
    let project = Project::made().file("other/root.pem", certificates::root("Other"));
    let before = project.read("certs/root.pem");
    let mut files = Vec::new();
    project
        .run(["ca", "add", "other/root.pem", "--yes", "--format", "json"])
        .exits(0)
        .json(|report: CaAdd| files = report.files)
        .stderr("");
    assert!(files[0].starts_with("certs/other-") && files[0].ends_with(".pem"), "{files:?}");
    assert_eq!(project.read("certs/root.pem"), before);
    // Somebody took that name, too.
    let project = Project::made()
        .file("other/root.pem", project.read("other/root.pem"))
        .file(&files[0], "something else\n");
    project
        .run(["ca", "add", "other/root.pem", "--yes"])
        .exits(1)
        .stdout("")
        .stderr(&format!(
            "error: `{}` exists already and holds something else\n  help: rename or remove that \
             file\n",
            files[0]
        ))
        .wrote_nothing();
}

/// A bundle that the user keeps in the project's own folder.
#[test]
fn a_file_that_the_user_gave_is_never_written_over() {
    let bundle =
        format!("# mine\n{}# spare\n{}", certificates::root("First"), certificates::root("Second"));
    let fingerprints = || {
        let mut found = Vec::new();
        Project::made()
            .file("bundle.pem", &bundle)
            .run(["ca", "add", "bundle.pem", "--yes", "--format", "json"])
            .exits(0)
            .json(|report: CaAdd| found = report.added.into_iter().map(|it| it.sha256).collect())
            .stderr("");
        found
    };
    let fingerprints: Vec<String> = fingerprints();
    // One of them: in a file of its own.
    let project = Project::made().file("certs/bundle.pem", &bundle);
    let second = format!("certs/second-{}.pem", &fingerprints[1][..8]);
    project
        .run(["ca", "add", "certs/bundle.pem", "--sha256", &fingerprints[1]])
        .exits(0)
        .stdout_is(|text| text.starts_with("pinned CN=Second\n"))
        .stderr("")
        .changed(&[&second, "esp-ota.toml", "src/roots.rs"]);
    assert!(project.read("esp-ota.toml").contains(&format!("[\"certs/root.pem\", \"{second}\"]")));
    // Then the other one: the bundle is not all new any more.
    let first = format!("certs/first-{}.pem", &fingerprints[0][..8]);
    project
        .run(["ca", "add", "certs/bundle.pem", "--yes"])
        .exits(0)
        .stdout_is(|text| text.contains("pinned already, nothing to do: CN=Second\n"))
        .stderr("")
        .changed(&[&first, "esp-ota.toml", "src/roots.rs"]);
    // All of it: the bundle itself.
    let project = Project::made().file("certs/bundle.pem", &bundle);
    project
        .run(["ca", "add", "certs/bundle.pem", "--yes"])
        .exits(0)
        .stdout_is(|text| text.ends_with("3 pinned in all, in `src/roots.rs`\n"))
        .stderr("")
        .changed(&["esp-ota.toml", "src/roots.rs"]);
    assert!(project.read("esp-ota.toml").contains("[\"certs/root.pem\", \"certs/bundle.pem\"]"));
    project.run(["ca", "embed", "--check"]).exits(0).stdout_is(|_| true).stderr("");
}

#[test]
fn a_project_file_that_cannot_take_another_root_leaves_nothing_behind() {
    let project = Project::made().file("new.pem", certificates::root("New"));
    let text = project
        .read("esp-ota.toml")
        .replace("roots = [\"certs/root.pem\"]", "embed = [\"src/roots.txt\"]");
    let text = text.replace("embed = [\"src/roots.rs\"]\n", "");
    project
        .file("esp-ota.toml", text)
        .run(["ca", "add", "new.pem", "--yes"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: `src/roots.txt` in `trust.embed` is neither `.rs` nor `.h`\n  \
             help: name it `….rs` for Rust or `….h` for C and Arduino\n",
        )
        .wrote_nothing();
}

#[test]
fn a_folder_that_cannot_be_written_leaves_nothing_behind() {
    // A file where the folder should be: even root cannot write into that.
    let project = Project::made().file("new.pem", certificates::root("New"));
    let project = project.edit("esp-ota.toml", "certs/root.pem", "root.pem");
    std::fs::rename(project.path("certs/root.pem"), project.path("root.pem")).unwrap();
    std::fs::remove_dir(project.path("certs")).unwrap();
    project
        .file("certs", "in the way\n")
        .run(["ca", "add", "new.pem", "--yes"])
        .exits(5)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: `certs/new.pem` could not be written\n  caused by: ")
        })
        .wrote_nothing();
}

#[test]
fn stale_source_is_found_and_made_again() {
    let project = Project::made().file("src/roots.rs", "pub const ROOTS: &[&[u8]] = &[];\n");
    project
        .run(["ca", "embed", "--check"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: `src/roots.rs` does not hold the roots that are pinned now\n  \
             help: run `cargo esp-ota ca embed`\n",
        )
        .wrote_nothing();
    project
        .run(["ca", "embed", "--check", "--format", "github"])
        .exits(1)
        .stdout(
            "::error file=src/roots.rs,title=rejected::`src/roots.rs` does not hold the roots that \
             are pinned now%0Ahelp: run `cargo esp-ota ca embed`\n",
        )
        .stderr_is(|text| text.starts_with("error: "));
    project
        .run(["ca", "embed", "--format", "json"])
        .exits(0)
        .json(|report: CaEmbed| {
            assert!(report.changed);
            assert_eq!((report.pinned, report.generated), (1, vec!["src/roots.rs".to_owned()]));
        })
        .stderr("")
        .changed(&["src/roots.rs"]);
    project.run(["ca", "embed", "--check"]).exits(0).stderr("").wrote_nothing();
}

#[test]
fn a_c_header_is_generated_where_it_is_asked_for() {
    let project = Project::made().edit("esp-ota.toml", "src/roots.rs", "sketch/roots.h");
    project
        .run(["ca", "embed"])
        .exits(0)
        .stdout("1 pinned root in `sketch/roots.h`: written\n")
        .stderr("")
        .changed(&["sketch/roots.h"]);
    assert!(project.read("sketch/roots.h").contains("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn a_pinned_root_that_went_bad_is_seen_by_every_command_that_uses_it() {
    let project = Project::made().file("certs/root.pem", certificates::expired("Old"));
    let project =
        project.file("a.elf", material::elf("1.0.0")).file("a.bin", material::image("1.0.0"));
    for arguments in [
        &["ca", "embed"][..],
        &["ca", "embed", "--check"],
        &["build", "--elf", "a.elf"],
        &["publish", "a.bin"],
    ] {
        project
            .run(arguments.iter().copied())
            .exits(6)
            .stdout("")
            .stderr(
                "error: `CN=Old` in `certs/root.pem` cannot be a pinned root\n  \
                 caused by: it ended on [TIME], and it is [TIME]\n  \
                 help: pin the root that replaces it with `cargo esp-ota ca add FILE`, and publish \
                 a release that carries it\n",
            )
            .wrote_nothing();
    }
}
