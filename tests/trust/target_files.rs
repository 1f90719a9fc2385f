//! Good metadata over bad files: a whole device that polls, and must still boot what it booted.

use cargo_esp_ota::agent::agent::Outcome;
use cargo_esp_ota::virtual_device::VirtualDevice;
use cargo_esp_ota::virtual_device::tls_transport::TlsTransport;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::device::{Accepted, BUILT, Verdict, failed, refused};
use crate::flashed::device;
use crate::image::image;
use crate::key::hex;
use crate::repository::Repository;
use crate::rude_server::{Answer, RudeServer, Script, ok, status};

/// The path of the only file that a release made by [`repository`] has.
fn path(repository: &Repository) -> String {
    let found = repository.files.keys().find(|path| path.starts_with("targets/"));
    found.unwrap().clone()
}

/// Release 1.1.0 and nothing else.
fn repository() -> Repository {
    let mut repository = Repository::new();
    repository.files.retain(|path, _| !path.starts_with("targets/"));
    repository["targets"]["targets"] = json!({});
    add_release(&mut repository, "1.1.0", "thermostat-esp32c3-1.1.0.bin");
    repository
}

/// Lists a release for every device and publishes it.
fn add_release(repository: &mut Repository, version: &str, name: &str) {
    repository.add_target(name, &image(version));
    repository["targets"]["targets"][name]["custom"] = json!({
        "product": "thermostat",
        "channels": ["stable"],
        "chip": "esp32c3",
        "version": version,
        "secure-version": 0,
        "min-chip-revision": 0,
        "rollout": { "percent": 100, "seed": version },
    });
    repository.publish();
}

/// Lets the device poll, with what it says of it and the version that boots afterwards.
async fn poll(device: &VirtualDevice, server: &RudeServer) -> (Verdict, String) {
    let now = BUILT.parse().unwrap();
    let door = &server.door;
    let mut transport = TlsTransport::new(&door.url, &door.roots, now, door.options).unwrap();
    let mut started = device.start().unwrap();
    let verdict = match started.agent.poll(&mut transport, None, &mut drop).await {
        Ok(Outcome::Installed) => Accepted,
        Ok(_) => failed("nothing-to-install"),
        Err(error) if error.is_trust() => refused(error.code()),
        Err(error) => failed(error.code()),
    };
    drop(started);
    (verdict, device.start().unwrap().agent.version().to_string())
}

/// What a new device says of this repository where its file is answered in this way.
async fn told(repository: &Repository, answer: Option<Answer>) -> Verdict {
    let mut script = Script { files: repository.files.clone(), ..Script::default() };
    if let Some(answer) = answer {
        script.answers.insert(path(repository), answer);
    }
    let server = RudeServer::start(script).await;
    let device = device(repository);
    let (verdict, boots) = poll(&device, &server).await;
    assert_eq!(boots, if verdict == Accepted { "1.1.0" } else { "1.0.0" });
    if verdict != Accepted {
        // Nothing of the lie stays: the honest file is taken.
        server.tell(|script| script.answers.clear());
        assert_eq!(poll(&device, &server).await, (Accepted, "1.1.0".into()));
    }
    verdict
}

/// A body with its length, or without.
fn body(is_announced: bool, bytes: &[u8]) -> Option<Answer> {
    Some(Answer::Bytes(ok(is_announced.then_some(bytes.len()), bytes)))
}

#[tokio::test]
async fn the_signed_file_is_installed() {
    let repository = repository();
    assert_eq!(told(&repository, None).await, Accepted);
    assert_eq!(told(&repository, body(false, &image("1.1.0"))).await, Accepted);
}

#[tokio::test]
async fn another_file_of_the_same_length_is_refused() {
    let repository = repository();
    let mut tampered = image("1.1.0");
    tampered[3000] ^= 1;
    // The second is a good image by itself.
    for other in [tampered, image("9.9.9"), vec![0; image("1.1.0").len()]] {
        for is_announced in [true, false] {
            let verdict = told(&repository, body(is_announced, &other)).await;
            assert_eq!(verdict, refused("hash-mismatch-target"));
        }
    }
}

#[tokio::test]
async fn a_file_of_another_length_is_refused() {
    let repository = repository();
    let file = image("1.1.0");
    let longer = [&file[..], &[0xff]].concat();
    for (other, unannounced) in [
        (&longer[..], "endless-target"),
        (&file[..file.len() - 1], "short-target"),
        (b"", "short-target"),
    ] {
        let verdict = told(&repository, body(true, other)).await;
        assert_eq!(verdict, refused("length-mismatch-target"), "{}", other.len());
        let verdict = told(&repository, body(false, other)).await;
        assert_eq!(verdict, refused(unannounced));
    }
}

#[tokio::test]
async fn an_endless_file_is_left_at_the_signed_length() {
    let repository = repository();
    let endless = Answer::Endless(ok(None, &image("1.1.0")));
    assert_eq!(told(&repository, Some(endless)).await, refused("endless-target"));
}

#[tokio::test]
async fn a_file_that_is_missing_or_elsewhere_is_no_lie() {
    let repository = repository();
    for code in [301, 302, 307, 403, 404, 500, 503] {
        assert_eq!(
            told(&repository, Some(status(code))).await,
            failed(format!("status-{code}")),
            "{code}"
        );
    }
}

/// Both are signed; one is served for the other.
#[tokio::test]
async fn the_file_of_another_release_is_refused() {
    let mut repository = repository();
    let old = path(&repository);
    add_release(&mut repository, "1.2.0", "thermostat-esp32c3-1.2.0.bin");
    let mut script = Script { files: repository.files.clone(), ..Script::default() };
    let new = script.files.keys().find(|path| path.ends_with("-1.2.0.bin")).unwrap().clone();
    script.files.insert(new, repository.files[&old].clone());
    let server = RudeServer::start(script).await;
    let device = device(&repository);
    let expected = (refused("hash-mismatch-target"), "1.0.0".into());
    assert_eq!(poll(&device, &server).await, expected);
}

#[tokio::test]
async fn nothing_is_downloaded_under_metadata_that_is_refused() {
    let mut repository = repository();
    repository.twist("targets", |document| document["signatures"] = json!([]));
    let script = Script { files: repository.files.clone(), ..Script::default() };
    let server = RudeServer::start(script).await;
    let (verdict, boots) = poll(&device(&repository), &server).await;
    assert_eq!((verdict, &*boots), (refused("length-mismatch-targets"), "1.0.0"));
    assert!(!server.asked().iter().any(|path| path.starts_with("targets/")));
}

/// Names come from outside, and become paths on a server.
#[tokio::test]
async fn a_name_that_leads_elsewhere_is_passed_over() {
    for name in [
        "../thermostat-9.bin",
        "/thermostat-9.bin",
        "a//thermostat-9.bin",
        ".hidden/thermostat-9.bin",
        "thermostat 9.bin",
        "thermostat-9.bin?x",
        "thermostat-9.bin#x",
        "thermostat%2f9.bin",
        "https://evil.example/9.bin",
        "größe-9.bin",
        "",
    ] {
        let mut repository = repository();
        let release = &repository["targets"]["targets"]["thermostat-esp32c3-1.1.0.bin"];
        let mut evil = release.clone();
        evil["custom"]["version"] = json!("9.9.9");
        repository["targets"]["targets"][name] = evil;
        repository.publish();
        assert_eq!(told(&repository, None).await, Accepted, "`{name}`");
    }
}

#[tokio::test]
async fn a_file_in_a_folder_is_fetched_from_there() {
    let mut repository = repository();
    let release = repository["targets"]["targets"]["thermostat-esp32c3-1.1.0.bin"].take();
    repository["targets"]["targets"] = json!({ "esp32c3/1.1/firmware.bin": release });
    repository.publish();
    let file = repository.files.remove(&path(&repository)).unwrap();
    let sha256 = hex(&Sha256::digest(&file));
    repository.files.insert(format!("targets/esp32c3/1.1/{sha256}.firmware.bin"), file);
    assert_eq!(told(&repository, None).await, Accepted);
}

#[tokio::test]
async fn a_file_without_a_hash_that_the_device_computes_is_never_fetched() {
    for hashes in [json!({}), json!({ "blake9": "00" }), json!({ "sha512": "00".repeat(64) })] {
        let mut repository = repository();
        let name = "thermostat-esp32c3-1.1.0.bin";
        repository["targets"]["targets"][name]["hashes"] = hashes.clone();
        repository.publish();
        let script = Script { files: repository.files.clone(), ..Script::default() };
        let server = RudeServer::start(script).await;
        let (verdict, boots) = poll(&device(&repository), &server).await;
        assert_eq!((verdict, &*boots), (failed("nothing-to-install"), "1.0.0"), "{hashes}");
        assert!(!server.asked().iter().any(|path| path.starts_with("targets/")));
    }
}
