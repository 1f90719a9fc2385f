//! `keys rotate` and the keys themselves: where new ones go, how they are kept, which of several
//! go, and how many have to sign.

use std::fs;

use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signer, SigningKey};
use rexpect::process::WaitStatus;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::harness::Project;
use crate::init_dialogue::Terminal;
use crate::keys_rotate::{KEYS, hosted, id, listed, published, refused, rotate};
use crate::material;
use crate::serve::Server;

const WORDS: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n";

fn key(project: &Project, role: &str) -> String {
    fs::read_to_string(project.around(&format!("{KEYS}/{role}.pem"))).unwrap()
}

#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A CI run: root and online keys come by the environment, and no folder outlives it.
fn in_ci() -> (Project, Server) {
    let (project, server) = published();
    let root = key(&project, "root");
    let [targets, snapshot, timestamp] =
        ["targets", "snapshot", "timestamp"].map(|role| key(&project, role));
    fs::remove_dir_all(project.around(KEYS)).unwrap();
    let project = project
        .env("ESP_OTA_KEY_ROOT", root)
        .env("ESP_OTA_KEY_TARGETS", targets)
        .env("ESP_OTA_KEY_SNAPSHOT", snapshot)
        .env("ESP_OTA_KEY_TIMESTAMP", timestamp);
    (project, server)
}

#[test]
fn in_ci_a_new_key_needs_a_place_that_lasts() {
    let (project, _server) = in_ci();
    refused(
        &project,
        &["--role", "targets"],
        2,
        "error: the targets key came in `ESP_OTA_KEY_TARGETS`, and it is not said where the new one \
         goes\n  \
         help: name a folder that outlives this machine: `--keys-out FOLDER`; or rotate at a desk\n",
    );
    refused(
        &project,
        &["--role", "root", "--keys-out", "out"],
        1,
        "error: the root key came in `ESP_OTA_KEY_ROOT`: it is not replaced where keys come by the \
         environment\n  \
         help: replace it at a desk, with the key in a file or on a stick: `--root-key FILE`\n",
    );
    let out = project.around("home/out");
    let project = project.env("ESP_OTA_KEY_PASSPHRASE", "correct horse");
    let report = rotate(&project, &["--role", "targets", "--keys-out", out.to_str().unwrap()]);
    assert_eq!((report.roots, report.finished), (vec![2, 3], true));
    let [change] = &report.changed[..] else { panic!("one key") };
    assert_eq!(change.variable.as_deref(), Some("ESP_OTA_KEY_TARGETS"));
    assert_eq!(change.file, out.join("targets.pem").to_str().unwrap());
    let text = fs::read_to_string(out.join("targets.pem")).unwrap();
    assert!(text.starts_with(WORDS));
    #[cfg(unix)]
    assert_eq!((mode(&out), mode(&out.join("targets.pem"))), (0o700, 0o600));
    assert!(!project.around(KEYS).exists(), "nothing is left on the runner");
    // The secret is set anew, and life goes on.
    project
        .run(["publish", "b.bin", "-q"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.contains("may not sign for the targets role"));
    let project = project.env("ESP_OTA_KEY_TARGETS", text);
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
}

#[test]
fn a_key_inside_the_project_is_refused_where_git_would_take_it() {
    let (project, _server) = in_ci();
    fs::create_dir(project.path(".git")).unwrap();
    project
        .run(["keys", "rotate", "--role", "targets", "--keys-out", "out", "--yes"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.contains("lies in the git work tree"))
        .wrote_nothing();
}

#[test]
fn an_encrypted_key_is_never_followed_by_a_plain_one() {
    let (project, _server) = published();
    let encrypted = encrypted(&key(&project, "targets"), "correct horse");
    let file = project.around(&format!("{KEYS}/targets.pem"));
    fs::write(&file, &encrypted).unwrap();
    project
        .run(["keys", "rotate", "--role", "targets", "--yes"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("warning: the targets key is replaced unread: ")
                && text.contains(
                    "error: the targets key in `[ROOT]/configuration/esp-ota/keys/thermostat/\
                     targets.pem` is encrypted, and the new one would not be: there is no \
                     passphrase\n  help: set `ESP_OTA_KEY_PASSPHRASE`: ",
                )
        })
        .wrote_nothing();
    // Its passphrase is lost; the new one has another.
    let old = id(&project, "targets");
    let project = project.env("ESP_OTA_KEY_PASSPHRASE", "battery staple");
    project
        .run(["keys", "rotate", "--role", "targets", "--yes"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(&format!("targets: {} replaced by ", &old[..16]))
                && text.contains("/targets.unreadable-1.pem\n")
        })
        .stderr_is(|text| {
            text.starts_with(
                "warning: the targets key is replaced unread: cannot use the signing key",
            )
        });
    let kept = project.around(&format!("{KEYS}/targets.unreadable-1.pem"));
    assert_eq!(fs::read_to_string(kept).unwrap(), encrypted);
    assert!(fs::read_to_string(file).unwrap().starts_with(WORDS));
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
}

/// The same key, as openssl encrypts it.
fn encrypted(plain: &str, passphrase: &str) -> String {
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    let key = SigningKey::from_pkcs8_pem(plain).unwrap();
    let der = key.to_pkcs8_der().unwrap();
    let info = pkcs8::PrivateKeyInfoRef::try_from(der.as_bytes()).unwrap();
    let document = info.encrypt_with_rng(&mut getrandom::SysRng, passphrase).unwrap();
    let text = document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap();
    (*text).clone()
}

#[test]
fn a_damaged_online_key_is_replaced_all_the_same_and_a_damaged_root_key_is_not() {
    let (project, _server) = published();
    for role in ["targets", "root"] {
        fs::write(project.around(&format!("{KEYS}/{role}.pem")), "no key\n").unwrap();
        if role == "targets" {
            let run = project.run(["keys", "rotate", "--role", role, "--yes"]).exits(0);
            run.stdout_is(|text| text.contains("targets.unreadable-1.pem"))
                .stderr_is(|text| text.contains("the targets key is replaced unread"));
        } else {
            project
                .run(["keys", "rotate", "--yes"])
                .exits(3)
                .stdout("")
                .stderr_is(|text| text.contains("it holds no Ed25519 key in PKCS#8 PEM"))
                .wrote_nothing();
        }
    }
}

/// A person at a terminal sees what would be signed again, and may say no.
#[cfg(unix)]
#[test]
fn on_a_terminal_the_releases_are_shown_before_they_are_signed_again() {
    let (project, _server) = published();
    Terminal::open(&project, &["keys", "rotate", "--role", "targets"])
        .says("A stolen key may have released something. What is published:\n  1.1.0 for esp32c3, ")
        .says("Sign all 1 again? [y/N] ")
        .types("n")
        .gives_up(
            1,
            "error: the releases were not confirmed\n  \
             help: nothing was written; take a release away that is not yours by \
             `cargo esp-ota rollout`, or pass `--yes`\n",
        );
    let (rest, status) = Terminal::open(&project, &["keys", "rotate", "--role", "targets"])
        .says("Sign all 1 again? [y/N] ")
        .types("y")
        .ends();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{rest}");
    assert!(rest.contains("roots 2 and 3 made"), "{rest}");
    // Without a new key for the list of images there is nothing to ask.
    let (rest, status) =
        Terminal::open(&project, &["keys", "rotate", "--role", "timestamp"]).ends();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{rest}");
}

#[test]
fn without_a_terminal_the_releases_are_pointed_at() {
    let (project, _server) = published();
    project
        .run(["keys", "rotate", "--role", "targets"])
        .exits(0)
        .stdout_is(|text| {
            text.contains(
                "what is published signed again:\n  1.1.0 for esp32c3, SHA-256 [SHA-256]\n",
            )
        })
        .stderr(
            "warning: what is published is signed again (releases: 1): compare it with what you \
             released\n",
        );
}

/// A key made of a seed, as a file.
fn seeded(project: &Project, seed: u8) -> (SigningKey, String) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let mut bytes = ed25519_dalek::pkcs8::KeypairBytes::from(&key);
    bytes.public_key = None;
    let text = bytes.to_pkcs8_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF).unwrap();
    let file = project.around(&format!("home/{seed}.pem"));
    fs::write(&file, text.as_bytes()).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    (key, file.to_str().unwrap().to_owned())
}

/// Its id and its entry in a root. Compact JSON of sorted ASCII is canonical.
fn public(key: &SigningKey) -> (String, Json) {
    let digits: String =
        key.verifying_key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let entry =
        json!({ "keytype": "ed25519", "keyval": { "public": digits }, "scheme": "ed25519" });
    let id = Sha256::digest(entry.to_string());
    (cargo_esp_ota::hex::lower(&id), entry)
}

/// Lets the project's first root list more keys for a role, and ask for so many signatures.
fn with_keys(project: Project, role: &str, more: &[&SigningKey], threshold: u64) -> Project {
    let mut root: Json = serde_json::from_str(&project.read("trust/root.json")).unwrap();
    for key in more {
        let (id, entry) = public(key);
        root["signed"]["keys"][&id] = entry;
        root["signed"]["roles"][role]["keyids"].as_array_mut().unwrap().push(id.into());
    }
    root["signed"]["roles"][role]["threshold"] = json!(threshold);
    let own = SigningKey::from_pkcs8_pem(&key(&project, "root")).unwrap();
    let signers: Vec<&SigningKey> = if role == "root" {
        [&own].into_iter().chain(more.iter().copied()).collect()
    } else {
        vec![&own]
    };
    let message = root["signed"].to_string();
    let signatures = signers.into_iter().map(|key| {
        let signature = key.sign(message.as_bytes()).to_bytes();
        json!({ "keyid": public(key).0, "sig": cargo_esp_ota::hex::lower(&signature) })
    });
    root["signatures"] = signatures.collect();
    project.file("trust/root.json", root.to_string())
}

#[test]
fn of_three_root_keys_two_sign_and_any_one_is_replaced() {
    let (project, _server) = hosted();
    let (second, second_file) = seeded(&project, 2);
    let (third, third_file) = seeded(&project, 3);
    let project = with_keys(project, "root", &[&second, &third], 2);
    let project = project.file("a.bin", material::image("1.1.0"));
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    let own = id_of(&project, 0);
    refused(
        &project,
        &["--role", "targets", "--yes"],
        6,
        "error: 1 of 2 signatures that the TUF root asks for the root role\n  \
         help: sign with the root key that was made together with `trust/root.json`\n",
    );
    let report = rotate(&project, &["--role", "targets", "--root-key", &second_file]);
    assert_eq!((report.roots, report.finished), (vec![2, 3], true));
    // The own key goes, where nothing else is said.
    let report = rotate(&project, &["--role", "root", "--root-key", &second_file]);
    assert_eq!((report.roots, &report.changed[0].old), (vec![4], &vec![own]));
    // The third is lost; the own key keeps its place.
    let root_file = key(&project, "root");
    let third_id = public(&third).0;
    let report =
        rotate(&project, &["--role", "root", "--key", &third_id[..8], "--root-key", &second_file]);
    assert_eq!((report.roots, &report.changed[0].old), (vec![5], &vec![third_id]));
    assert_eq!(key(&project, "root"), root_file);
    let added = report.changed[0].new.clone().unwrap();
    assert!(report.changed[0].file.ends_with(&format!("root.{}.pem", &added[..16])));
    // The new one signs with the second; the lost one does not.
    fs::remove_file(project.around(&format!("{KEYS}/root.pem"))).unwrap();
    let added = report.changed[0].file.clone();
    let both = ["--renew", "--root-key", &added, "--root-key", &second_file];
    assert_eq!(rotate(&project, &both).roots, [6]);
    project
        .run(["keys", "rotate", "--renew", "--root-key", &third_file, "--root-key", &second_file])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.contains("1 of 2 signatures"));
    project.run(["rehearse", "--public", "-q"]).exits(0).stderr("");
}

/// The first id of the root role.
fn id_of(project: &Project, place: usize) -> String {
    listed(project).roles.remove(0).keys.remove(place).id
}

#[test]
fn which_of_several_keys_goes_has_to_be_said_where_it_cannot_be_told() {
    let (project, _server) = hosted();
    let (second, _) = seeded(&project, 2);
    let project = with_keys(project, "targets", &[&second], 1);
    let project = project.file("a.bin", material::image("1.1.0"));
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    let own = fs::read(project.around(&format!("{KEYS}/targets.pem"))).unwrap();
    fs::remove_file(project.around(&format!("{KEYS}/targets.pem"))).unwrap();
    refused(
        &project,
        &["--role", "targets", "--yes"],
        3,
        "error: the targets role has 2 keys, and it is not said which of them goes\n  \
         help: name the key that goes: `--role targets --key ID`, with an id of \
         `cargo esp-ota keys list`\n",
    );
    let second = public(&second).0;
    for wrong in ["", "1234567", "0123456789abcdef", &format!("{second}0")] {
        project
            .run(["keys", "rotate", "--role", "targets", "--key", wrong])
            .exits(2)
            .stdout("")
            .stderr_is(|text| text.contains("is the id of 0 keys of targets"))
            .wrote_nothing();
    }
    // The key at hand stays where it is, and goes on publishing.
    fs::write(project.around(&format!("{KEYS}/targets.pem")), &own).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = project.around(&format!("{KEYS}/targets.pem"));
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let report = rotate(&project, &["--role", "targets", "--key", &second.to_uppercase()]);
    assert_eq!(report.dropped[0].key, second);
    assert_eq!(fs::read(project.around(&format!("{KEYS}/targets.pem"))).unwrap(), own);
    let project = project.file("b.bin", material::image("1.2.0"));
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
    project.run(["rehearse", "--public", "-q"]).exits(0).stderr("");
}

#[test]
fn a_role_that_asks_for_two_signatures_is_not_rotated_here() {
    let (project, _server) = published();
    let (second, _) = seeded(&project, 2);
    let project = with_keys(project, "snapshot", &[&second], 2);
    // What is published under it, somebody else has to sign.
    let root = project.read("trust/root.json");
    let own = SigningKey::from_pkcs8_pem(&key(&project, "snapshot")).unwrap();
    let timestamp = SigningKey::from_pkcs8_pem(&key(&project, "timestamp")).unwrap();
    let mut snapshot: Json =
        serde_json::from_str(&project.read("dist/metadata/1.snapshot.json")).unwrap();
    let message = snapshot["signed"].to_string();
    let sign = |key: &SigningKey, message: &str| {
        let signature = key.sign(message.as_bytes()).to_bytes();
        json!({ "keyid": public(key).0, "sig": cargo_esp_ota::hex::lower(&signature) })
    };
    snapshot["signatures"] = json!([sign(&own, &message), sign(&second, &message)]);
    let snapshot = snapshot.to_string();
    let mut live: Json =
        serde_json::from_str(&project.read("dist/metadata/timestamp.json")).unwrap();
    let entry = &mut live["signed"]["meta"]["snapshot.json"];
    entry["length"] = json!(snapshot.len());
    entry["hashes"]["sha256"] = json!(cargo_esp_ota::hex::lower(&Sha256::digest(&snapshot)));
    let message = live["signed"].to_string();
    live["signatures"] = json!([sign(&timestamp, &message)]);
    let project = project
        .file("dist/metadata/1.root.json", root)
        .file("dist/metadata/1.snapshot.json", snapshot)
        .file("dist/metadata/timestamp.json", live.to_string());
    project.run(["check"]).exits(0).stderr("");
    refused(
        &project,
        &["--role", "timestamp"],
        1,
        "error: the snapshot role asks for 2 signatures, and this tool makes one\n  \
         help: lower the threshold with the tool that raised it; only the root role may ask for \
         several signatures\n",
    );
}
