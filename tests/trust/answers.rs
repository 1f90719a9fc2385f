//! Servers that are not who they claim to be, send elsewhere, fail, or say nothing at all.

use std::time::Duration;

use cargo_esp_ota::virtual_device::tls_transport::Options;

use crate::device::{Accepted, Device, failed, refused};
use crate::repository::Repository;
use crate::rude_server::{Answer, RudeServer, Script, ok, status};

const PATHS: [&str; 4] = [
    "metadata/2.root.json",
    "metadata/timestamp.json",
    "metadata/1.snapshot.json",
    "metadata/1.targets.json",
];

fn script(repository: &Repository) -> Script {
    Script { files: repository.files.clone(), ..Script::default() }
}

#[tokio::test]
async fn a_server_under_a_root_that_is_not_pinned_is_not_heard() {
    let repository = Repository::new();
    let server = RudeServer::imposter(script(&repository)).await;
    let mut device = Device::of(&repository);
    assert_eq!(device.refresh(&server.door).await, refused("untrusted-tls"));
    assert_eq!(server.asked(), [""; 0], "and learns nothing");
}

#[tokio::test]
async fn a_server_that_speaks_for_another_name_is_not_heard() {
    let repository = Repository::new();
    let mut server = RudeServer::start(script(&repository)).await;
    // The certificate is for 127.0.0.1.
    server.door.url = server.door.url.replace("127.0.0.1", "localhost");
    let mut device = Device::of(&repository);
    assert_eq!(device.refresh(&server.door).await, refused("untrusted-tls"));
}

#[tokio::test]
async fn a_device_that_pins_nothing_hears_nobody() {
    let repository = Repository::new();
    let mut server = RudeServer::start(script(&repository)).await;
    server.door.roots.clear();
    let mut device = Device::of(&repository);
    assert_eq!(device.refresh(&server.door).await, refused("untrusted-tls"));
}

/// Wherever it points, the answer is an answer. Nothing is fetched from there.
#[tokio::test]
async fn no_redirect_is_followed() {
    let mut repository = Repository::new();
    repository.next_root();
    for path in PATHS {
        for code in [301, 302, 303, 307, 308] {
            let mut script = script(&repository);
            let file = script.files[path].clone();
            script.files.insert("metadata/elsewhere.json".into(), file);
            script.answers.insert(path.into(), status(code));
            let server = RudeServer::start(script).await;
            let verdict = Device::of(&repository).refresh(&server.door).await;
            assert_eq!(verdict, failed(format!("status-{code}")), "{path}");
            assert_eq!(server.asked().last().unwrap(), path);
        }
    }
}

#[tokio::test]
async fn an_error_of_the_server_is_no_lie_and_no_metadata() {
    let repository = Repository::new();
    for path in &PATHS[1..] {
        for code in [400, 401, 403, 404, 410, 416, 429, 500, 502, 503, 504] {
            let server = RudeServer::start(script(&repository)).await;
            server.tell(|script| {
                script.answers.insert((*path).into(), status(code));
            });
            let mut device = Device::of(&repository);
            let verdict = device.refresh(&server.door).await;
            assert_eq!(verdict, failed(format!("status-{code}")), "{path}");
            // The server recovers, and so does the device.
            server.tell(|script| script.answers.clear());
            assert_eq!(device.refresh(&server.door).await, Accepted);
        }
    }
}

/// A good body under a status that is not 200 is not taken.
#[tokio::test]
async fn a_body_under_another_status_is_not_read() {
    let repository = Repository::new();
    let file = &repository.files["metadata/timestamp.json"];
    for code in [203, 206, 404, 500] {
        let text = String::from_utf8(ok(Some(file.len()), file)).unwrap();
        let range = format!("{code} OK\r\ncontent-range: bytes 0-1/2");
        let answer = Answer::Bytes(text.replacen("200 OK", &range, 1).into());
        let server = RudeServer::start(script(&repository)).await;
        server.tell(|script| {
            script.answers.insert("metadata/timestamp.json".into(), answer);
        });
        let verdict = Device::of(&repository).refresh(&server.door).await;
        assert_eq!(verdict, failed(format!("status-{code}")));
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_and_met_again() {
    let mut repository = Repository::new();
    repository.next_root();
    for path in PATHS {
        let file = &repository.files[path];
        for said in [Vec::new(), b"HTTP/1.1 200 O".to_vec(), ok(Some(file.len()), &file[..9])] {
            let mut server = RudeServer::start(script(&repository)).await;
            server.door.options =
                Options { read_timeout: Duration::from_millis(100), ..server.door.options };
            server.tell(|script| {
                script.answers.insert(path.into(), Answer::Silent(said));
            });
            let mut device = Device::of(&repository);
            assert_eq!(device.refresh(&server.door).await, failed("too-slow"), "{path}");
            server.tell(|script| script.answers.clear());
            server.door.options = Options::default();
            assert_eq!(device.refresh(&server.door).await, Accepted);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_no_answer() {
    let repository = Repository::new();
    for noise in
        [&b"\xff\x00\xff"[..], b"SSH-2.0-OpenSSH\r\n", b"{}", b"", b"HTTP/9.9 200 OK\r\n\r\n"]
    {
        for answer in [Answer::Bytes(noise.to_vec()), Answer::Torn(noise.to_vec())] {
            let server = RudeServer::start(script(&repository)).await;
            server.tell(|script| {
                script.answers.insert("metadata/timestamp.json".into(), answer);
            });
            let verdict = Device::of(&repository).refresh(&server.door).await;
            assert_eq!(verdict, failed("unreachable"), "{noise:?}");
        }
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused_by_its_own_reason() {
    let repository = Repository::new();
    let server = RudeServer::start(script(&repository)).await;
    server.tell(|script| {
        let head = Answer::Endless(b"HTTP/1.1 200 OK\r\nx-filler: ".to_vec());
        script.answers.insert("metadata/timestamp.json".into(), head);
    });
    assert_eq!(Device::of(&repository).refresh(&server.door).await, failed("head-too-large"));
}

#[tokio::test]
async fn a_portal_that_answers_everything_with_its_own_page_is_refused() {
    let repository = Repository::new();
    let page = Answer::Bytes(ok(None, b"<html>Welcome to our hotel</html>"));
    let server = RudeServer::start(Script::default()).await;
    server.tell(|script| {
        for path in PATHS {
            script.answers.insert(path.into(), page.clone());
        }
    });
    let verdict = Device::of(&repository).refresh(&server.door).await;
    assert_eq!(verdict, refused("malformed-root"));
}
