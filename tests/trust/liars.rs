//! A whole poll against servers that lie about a release: each lie has a reason of its own in the
//! report that the device keeps, and the device goes on booting what it booted before.

use std::time::Duration;

use cargo_esp_ota::agent::agent::Outcome;
use cargo_esp_ota::agent::reports::What;
use cargo_esp_ota::chip::Chip;
use cargo_esp_ota::virtual_device::VirtualDevice;
use cargo_esp_ota::virtual_device::bootloader::Target;
use cargo_esp_ota::virtual_device::stand_in;
use cargo_esp_ota::virtual_device::tls_transport::{Options, TlsTransport};
use serde_json::{Value as Json, json};

use crate::device::BUILT;
use crate::door::Door;
use crate::flashed::device;
use crate::image::image;
use crate::repository::{Repository, TARGET};
use crate::rude_server::{Answer, RudeServer, Script, ok, status};

/// The release that everybody lies about.
fn release() -> Vec<u8> {
    image("1.1.0")
}

/// A repository whose only target is this image, described in this way.
fn repository(image: &[u8], change: impl FnOnce(&mut Json)) -> Repository {
    let mut repository = Repository::new();
    repository.add_target(TARGET, image);
    let custom = &mut repository["targets"]["targets"][TARGET]["custom"];
    *custom = json!({
        "product": "thermostat", "channels": ["stable"], "chip": "esp32c3", "version": "1.1.0",
        "version-source": "descriptor", "secure-version": 0, "min-chip-revision": 0,
        "rollout": { "percent": 100, "seed": "s" },
    });
    change(custom);
    repository.publish_next();
    repository
}

fn honest() -> Repository {
    repository(&release(), |_| {})
}

/// Where the server has the release.
fn path(repository: &Repository) -> String {
    let listed = &repository["targets"]["targets"][TARGET]["hashes"]["sha256"];
    format!("targets/{}.{TARGET}", listed.as_str().unwrap())
}

async fn poll(device: &VirtualDevice, door: &Door) -> Option<Outcome> {
    let mut agent = device.start().unwrap().agent;
    let now = BUILT.parse().unwrap();
    let mut transport = TlsTransport::new(&door.url, &door.roots, now, door.options).unwrap();
    agent.poll(&mut transport, None, &mut |_| {}).await.ok()
}

/// What waits to be told, after a restart.
fn reports(device: &VirtualDevice) -> Vec<(What, Option<String>)> {
    let mut agent = device.start().unwrap().agent;
    let reports = agent.reports().unwrap();
    reports.waiting().iter().map(|report| (report.what, report.reason.clone())).collect()
}

/// Lets a device poll a server that answers as `script` says, and gives what it has to tell.
async fn told(repository: &Repository, script: Script) -> (What, String) {
    told_by(repository, RudeServer::start(script).await).await
}

async fn told_by(repository: &Repository, server: RudeServer) -> (What, String) {
    let device = device(repository);
    assert_eq!(poll(&device, &server.door).await, None);
    assert_eq!(device.start().unwrap().target, Target::Slot(0), "it boots what it booted before");
    let told = reports(&device);
    let [(what, Some(reason))] = &told[..] else { panic!("one report with a reason: {told:?}") };
    (*what, reason.clone())
}

fn script(repository: &Repository) -> Script {
    Script { files: repository.files.clone(), ..Script::default() }
}

/// Answers for the image.
fn with(repository: &Repository, answer: Answer) -> Script {
    let mut script = script(repository);
    script.answers.insert(path(repository), answer);
    script
}

#[tokio::test]
async fn an_honest_server_is_believed() {
    let repository = honest();
    let server = RudeServer::start(script(&repository)).await;
    let device = device(&repository);
    assert_eq!(poll(&device, &server.door).await, Some(Outcome::Installed));
    assert_eq!(device.start().unwrap().target, Target::Slot(1));
    assert_eq!(reports(&device), [(What::Installed, None)]);
}

#[tokio::test]
async fn every_lie_about_the_image_has_its_own_reason() {
    let repository = honest();
    let image = release();
    let half = &image[..image.len() / 2];
    let mut other = image.clone();
    other[100] ^= 1;
    let length = Some(image.len());
    let lies = [
        ("endless", Answer::Endless(ok(None, &image)), What::Refused, "endless-target"),
        ("ends early", Answer::Bytes(ok(None, half)), What::Refused, "short-target"),
        ("torn", Answer::Torn(ok(length, half)), What::Failed, "truncated"),
        ("redirecting", status(302), What::Failed, "status-302"),
        (
            "another length",
            Answer::Bytes(ok(Some(image.len() + 1), &image)),
            What::Refused,
            "length-mismatch-target",
        ),
        ("other bytes", Answer::Bytes(ok(length, &other)), What::Refused, "hash-mismatch-target"),
        ("broken", status(500), What::Failed, "status-500"),
        ("gone", status(404), What::Failed, "status-404"),
    ];
    for (name, answer, what, reason) in lies {
        let told = told(&repository, with(&repository, answer)).await;
        assert_eq!(told, (what, reason.into()), "{name}");
    }
}

/// The only lie that takes time, and whichever answer that time ends, the reason is the same.
#[tokio::test]
async fn a_server_that_falls_silent_is_too_slow() {
    let repository = honest();
    let image = release();
    let half = ok(Some(image.len()), &image[..image.len() / 2]);
    let mut server = RudeServer::start(with(&repository, Answer::Silent(half))).await;
    server.door.options =
        Options { read_timeout: Duration::from_millis(300), ..server.door.options };
    assert_eq!(told_by(&repository, server).await, (What::Failed, "too-slow".into()));
}

#[tokio::test]
async fn an_imposter_and_a_host_that_is_not_there_are_told_apart() {
    let repository = honest();
    let imposter = RudeServer::imposter(script(&repository)).await;
    assert_eq!(told_by(&repository, imposter).await, (What::Refused, "untrusted-tls".into()));

    let mut nobody = RudeServer::start(script(&repository)).await;
    // Bound and not listening, until the end: nobody else gets the port.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    nobody.door = Door::to(closed.local_addr().unwrap());
    assert_eq!(told_by(&repository, nobody).await, (What::Failed, "unreachable".into()));
}

#[tokio::test]
async fn a_signed_release_for_others_is_refused_by_name() {
    let foreign_chip = repository(&release(), |custom| custom["chip"] = json!("esp32s3"));
    let foreign_product = repository(&release(), |custom| custom["product"] = json!("kettle"));
    // Signed for this chip by mistake.
    let wrong_image = repository(&stand_in::image(Chip::Esp32s3), |_| {});
    let too_new = repository(&release(), |custom| custom["min-chip-revision"] = json!(100));
    let not_an_image = repository(&[0; 48], |_| {});
    for (repository, reason) in [
        (foreign_chip, "foreign-chip"),
        (foreign_product, "foreign-product"),
        (wrong_image, "image-chip"),
        (too_new, "image-chip-revision"),
        (not_an_image, "image-magic"),
    ] {
        let told = told(&repository, script(&repository)).await;
        assert_eq!(told, (What::Refused, reason.into()));
    }
}

#[tokio::test]
async fn replayed_older_and_expired_metadata_are_told_apart() {
    // Seen by the device: the second publication. Told afterwards: something else.
    let mut repository = repository(&release(), |custom| custom["version"] = json!("1.0.0"));
    let old = repository.files.clone();
    repository.publish_next();
    let seen = repository.files.clone();

    let mut older_snapshot = repository.clone();
    older_snapshot["timestamp"]["version"] = json!(9);
    older_snapshot["snapshot"]["version"] = json!(1);
    older_snapshot["targets"]["version"] = json!(1);
    older_snapshot.publish();

    let mut older_targets = repository.clone();
    older_targets["timestamp"]["version"] = json!(9);
    older_targets["snapshot"]["version"] = json!(9);
    older_targets["targets"]["version"] = json!(1);
    older_targets.publish();

    let mut expired = repository.clone();
    expired["timestamp"]["expires"] = json!("2089-12-31T00:00:00Z");
    expired.publish_next();

    for (files, reason) in [
        (old, "rollback-timestamp"),
        (older_snapshot.files, "rollback-snapshot"),
        (older_targets.files, "rollback-targets"),
        (expired.files, "expired-timestamp"),
    ] {
        let server = RudeServer::start(Script { files: seen.clone(), ..Script::default() }).await;
        let device = device(&repository);
        assert_eq!(poll(&device, &server.door).await, Some(Outcome::UpToDate), "{reason}");
        assert_eq!(reports(&device), [], "nothing happened");
        server.tell(|script| script.files = files);
        assert_eq!(poll(&device, &server.door).await, None);
        assert_eq!(reports(&device), [(What::Refused, Some(reason.into()))]);
    }
}
