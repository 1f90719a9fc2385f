//! Repositories that somebody attacked, and keys that are not the right ones: what `check`,
//! `rehearse` and `publish` exit with. 6 for each lie, and for nothing else.

use std::fs;
use std::path::PathBuf;

use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value as Json, json};

use crate::harness::Project;
use crate::material;
use crate::releases::Release;

/// A project with two releases.
fn project() -> Project {
    let mut project = Project::made();
    for version in ["1.0.0", "1.1.0"] {
        project = project.file("a.bin", material::image(version));
        project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    }
    project
}

fn metadata(name: &str) -> String {
    format!("dist/metadata/{name}.json")
}

fn document(project: &Project, name: &str) -> Json {
    serde_json::from_str(&project.read(&metadata(name))).unwrap()
}

/// Changes a document and leaves its signatures as they are.
fn twist(project: Project, name: &str, twist: impl FnOnce(&mut Json)) -> Project {
    let mut document = document(&project, name);
    twist(&mut document);
    project.file(&metadata(name), document.to_string())
}

/// Changes what is signed, and signs it with the project's own key of a role. All of it is ASCII
/// and serde_json sorts, so that its compact form is canonical.
fn forge(project: Project, name: &str, role: &str, change: impl FnOnce(&mut Json)) -> Project {
    let key = project.around(&format!("configuration/esp-ota/keys/thermostat/{role}.pem"));
    let key = SigningKey::from_pkcs8_pem(&fs::read_to_string(key).unwrap()).unwrap();
    twist(project, name, |document| {
        change(&mut document["signed"]);
        let signature = key.sign(document["signed"].to_string().as_bytes()).to_bytes();
        let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        document["signatures"][0]["sig"] = json!(digits);
    })
}

/// The outcome and the exit code of `check` for the repository alone.
#[track_caller]
fn repository_is(project: &Project, outcome: &str, code: i32) {
    project
        .run(["check", "--format", "json"])
        .exits(code)
        .json(|report: crate::shape::Check| {
            let line = report.checks.iter().find(|line| line.check == "repository").unwrap();
            assert_eq!(line.outcome, outcome);
        })
        .stderr("")
        .wrote_nothing();
}

/// `check` and `rehearse` refuse it alike.
#[track_caller]
fn is_a_breach_of_trust(project: &Project) {
    repository_is(project, "failed", 6);
    project
        .run(["rehearse", "-q"])
        .exits(6)
        .stdout_is(|_| true)
        .stderr_is(|_| true)
        .wrote_nothing();
}

#[test]
fn what_the_owner_signs_anew_is_accepted() {
    repository_is(&project(), "ok", 0);
    let resigned = forge(project(), "timestamp", "timestamp", |signed| {
        signed["x-later"] = json!(true);
    });
    repository_is(&resigned, "ok", 0);
}

#[test]
fn metadata_without_signatures_exits_6() {
    for name in ["timestamp", "2.snapshot", "2.targets"] {
        let project = twist(project(), name, |document| document["signatures"] = json!([]));
        repository_is(&project, "failed", 6);
    }
}

#[test]
fn metadata_signed_by_the_key_of_another_role_exits_6() {
    for (name, role) in [("timestamp", "snapshot"), ("2.snapshot", "targets")] {
        repository_is(&forge(project(), name, role, |_| ()), "failed", 6);
    }
}

#[test]
fn expired_metadata_exits_6() {
    let expired = forge(project(), "timestamp", "timestamp", |signed| {
        signed["expires"] = json!("2020-01-01T00:00:00Z");
    });
    repository_is(&expired, "failed", 6);
}

#[test]
fn files_of_different_releases_exit_6() {
    for role in ["snapshot", "targets"] {
        let project = project();
        let old = project.read(&metadata(&format!("1.{role}")));
        let project = project.file(&metadata(&format!("2.{role}")), old);
        repository_is(&project, "failed", 6);
    }
}

#[test]
fn metadata_of_another_role_exits_6() {
    let project = project();
    let snapshot = project.read(&metadata("2.snapshot"));
    repository_is(&project.file(&metadata("timestamp"), snapshot), "failed", 6);
}

#[test]
fn a_listed_hash_or_length_that_is_another_exits_6() {
    for (key, value) in [("hashes", json!({ "sha256": "00".repeat(32) })), ("length", json!(9))] {
        let project = forge(project(), "timestamp", "timestamp", |signed| {
            signed["meta"]["snapshot.json"][key] = value.clone();
        });
        repository_is(&project, "failed", 6);
    }
}

#[test]
fn a_new_root_that_the_old_one_did_not_sign_exits_6() {
    let project = project();
    let stranger = Project::new();
    stranger
        .run(["init", "--product", "thermostat", "--url", "https://updates.test/t"])
        .exits(0)
        .stderr("");
    let root = stranger.read("trust/root.json");
    let mut root: Json = serde_json::from_str(&root).unwrap();
    root["signed"]["version"] = json!(2);
    repository_is(&project.file(&metadata("2.root"), root.to_string()), "failed", 6);
}

#[test]
fn a_new_root_of_the_wrong_version_exits_6() {
    let project = project();
    let first = project.read("trust/root.json");
    repository_is(&project.file(&metadata("2.root"), first), "failed", 6);
}

#[test]
fn text_that_is_no_metadata_exits_6() {
    let changes: [fn(String) -> String; 4] = [
        |_| "{\"signed\":".to_owned(),
        |_| "<html>Welcome to our hotel</html>".to_owned(),
        |text| text.replacen("\"version\":2", "\"version\":2,\"version\":2", 1),
        |text| format!("{}{text}", " ".repeat(2 << 20)),
    ];
    for change in changes {
        let project = project();
        let text = change(project.read(&metadata("timestamp")));
        repository_is(&project.file(&metadata("timestamp"), text), "failed", 6);
    }
}

#[test]
fn a_signature_that_is_there_twice_exits_6() {
    let project = twist(project(), "timestamp", |document| {
        let signatures = document["signatures"].as_array_mut().unwrap();
        signatures.push(signatures[0].clone());
    });
    repository_is(&project, "failed", 6);
}

/// The path of an image in the store.
fn image(project: &Project, version: &str) -> String {
    let name = format!("thermostat-esp32c3-{version}.bin");
    let targets = document(project, "2.targets");
    let sha256 = targets["signed"]["targets"][&name]["hashes"]["sha256"].as_str().unwrap();
    format!("dist/targets/{sha256}.{name}")
}

#[test]
fn an_image_that_was_changed_in_the_store_exits_6() {
    let project = project();
    let image = image(&project, "1.0.0");
    let bytes = fs::read(project.path(&image)).unwrap();
    repository_is(&project.file(&image, material::tampered(bytes)), "failed", 6);
}

#[test]
fn an_image_that_is_gone_exits_1() {
    let project = project();
    let path = image(&project, "1.1.0");
    repository_is(&project.without(&path), "failed", 1);
}

#[test]
fn metadata_that_is_gone_is_no_lie_and_exits_3() {
    for name in ["2.snapshot", "2.targets"] {
        repository_is(&project().without(&metadata(name)), "failed", 3);
    }
}

/// Within its time, and under keys that still count, an old timestamp is told from the present by a
/// device's memory alone: `tests/trust/rollback.rs`.
#[test]
fn a_timestamp_from_before_the_keys_were_changed_is_a_breach_of_trust() {
    let project = project();
    let old = project.read(&metadata("timestamp"));
    for _ in 0..2 {
        let rotate = ["keys", "rotate", "--offline", "--yes", "-qq"];
        project.run(rotate).exits(0).stderr("");
    }
    repository_is(&project, "ok", 0);
    is_a_breach_of_trust(&project.file(&metadata("timestamp"), old));
}

#[test]
fn a_timestamp_whose_time_is_over_is_a_breach_of_trust() {
    let project = Project::made();
    Release::new("1.0.0", material::image("1.0.0")).signed_days_ago(91).publish(&project);
    is_a_breach_of_trust(&project);
}

#[test]
fn an_older_snapshot_in_place_of_the_listed_one_is_a_breach_of_trust() {
    for role in ["snapshot", "targets"] {
        let project = project();
        let old = project.read(&metadata(&format!("1.{role}")));
        is_a_breach_of_trust(&project.file(&metadata(&format!("2.{role}")), old));
    }
}

#[test]
fn an_image_in_place_of_another_is_a_breach_of_trust() {
    let project = project();
    let [old, new] = ["1.0.0", "1.1.0"].map(|version| image(&project, version));
    let bytes = fs::read(project.path(&old)).unwrap();
    is_a_breach_of_trust(&project.file(&new, bytes));
}

/// A project with an image that is not published yet.
fn unpublished() -> Project {
    Project::made().file("a.bin", material::image("1.0.0"))
}

fn key(project: &Project, role: &str) -> PathBuf {
    project.around(&format!("configuration/esp-ota/keys/thermostat/{role}.pem"))
}

const ONLINE: [&str; 3] = ["targets", "snapshot", "timestamp"];

#[test]
fn a_missing_signing_key_exits_3() {
    for role in ONLINE {
        let project = unpublished();
        fs::remove_file(key(&project, role)).unwrap();
        project
            .run(["publish", "a.bin", "-q"])
            .exits(3)
            .stdout("")
            .stderr_is(|text| {
                text.starts_with(&format!("error: no signing key for the {role} role: "))
            })
            .wrote_nothing();
    }
}

#[test]
fn a_wrong_signing_key_exits_6() {
    for role in ONLINE {
        let project = unpublished();
        fs::copy(key(&project, "root"), key(&project, role)).unwrap();
        project
            .run(["publish", "a.bin", "-q"])
            .exits(6)
            .stdout("")
            .stderr_is(|text| text.contains(&format!("may not sign for the {role} role")))
            .wrote_nothing();
    }
}

#[test]
fn a_signing_key_that_was_taken_out_of_use_exits_6() {
    for role in ONLINE {
        let project = unpublished();
        let old = fs::read(key(&project, role)).unwrap();
        let rotate = ["keys", "rotate", "--offline", "--yes", "-qq", "--role", role];
        project.run(rotate).exits(0).stderr("");
        fs::write(key(&project, role), old).unwrap();
        project
            .run(["publish", "a.bin", "-q"])
            .exits(6)
            .stdout("")
            .stderr_is(|text| text.contains(&format!("may not sign for the {role} role")))
            .wrote_nothing();
    }
}

#[test]
fn fewer_signatures_than_the_root_asks_for_exit_6() {
    for role in ONLINE {
        let project = unpublished();
        let root = fs::read_to_string(key(&project, "root")).unwrap();
        let root = SigningKey::from_pkcs8_pem(&root).unwrap();
        let mut document: Json = serde_json::from_str(&project.read("trust/root.json")).unwrap();
        let second = document["signed"]["roles"]["root"]["keyids"][0].clone();
        document["signed"]["roles"][role]["keyids"].as_array_mut().unwrap().push(second);
        document["signed"]["roles"][role]["threshold"] = json!(2);
        let signature = root.sign(document["signed"].to_string().as_bytes()).to_bytes();
        document["signatures"][0]["sig"] = json!(cargo_esp_ota::hex::lower(&signature));
        project
            .file("trust/root.json", document.to_string())
            .run(["publish", "a.bin", "-q"])
            .exits(6)
            .stdout("")
            .stderr_is(|text| {
                text.contains(&format!(
                    "1 of 2 signatures that the TUF root asks for the {role} role"
                ))
            })
            .wrote_nothing();
    }
}
