//! `serve`: a real server in a child process, and a client that trusts only the bench root.

use std::fs;
use std::process::Child;

use reqwest::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH, RANGE};
use reqwest::{Certificate, Client, Response, StatusCode};

use crate::harness::{Project, said};
use crate::shape::{Failed, Serve};

const BYTES: &[u8] = b"0123456789abcdef";

/// A running server. Dropping it stops it the hard way, where a test failed.
pub(crate) struct Server {
    child: Child,
    pub(crate) report: Serve,
}

impl Server {
    pub(crate) fn start(project: &Project, arguments: &[&str]) -> Self {
        let all = ["serve", "--port", "0", "--format", "json"];
        let (child, line) = project.start(all.into_iter().chain(arguments.iter().copied()));
        Self { child, report: serde_json::from_str(&line).unwrap() }
    }

    /// Ctrl-C, as a terminal sends it. Gives the exit code and what was said meanwhile.
    #[cfg(unix)]
    fn stop(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(sent.success());
        let code = self.child.wait().unwrap().code();
        (code, said(&mut self.child))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that trusts the certificates of a PEM file and nothing else.
pub(crate) fn client(pem: &[u8]) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let roots = Certificate::from_pem_bundle(pem).unwrap();
    Client::builder().tls_certs_only(roots).no_proxy().build().unwrap()
}

async fn get(client: &Client, url: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = client.get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn header(answer: &Response, name: reqwest::header::HeaderName) -> String {
    answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_served_reaches_a_client_that_trusts_the_bench_root_alone() {
    let project = Project::new().file("files/a.bin", BYTES);
    let server = Server::start(&project, &["--dir", "files"]);
    let report = &server.report;
    assert_eq!((report.command.as_str(), report.outcome.as_str()), ("serve", "success"));
    assert!(report.url.starts_with("https://127.0.0.1:"), "{}", report.url);
    assert_eq!(report.url, format!("https://{}", report.address));
    assert!(!report.url.ends_with(":0"));
    assert_eq!(
        report.init,
        format!("cargo esp-ota init --url {} --root-ca {}", report.url, report.root_ca)
    );

    let root = fs::read(&report.root_ca).unwrap();
    let url = format!("{}/a.bin", report.url);
    let trusting = client(&root);
    let whole = get(&trusting, &url, &[]).await;
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(header(&whole, CONTENT_LENGTH), "16");
    assert_eq!(header(&whole, ACCEPT_RANGES), "bytes");
    let tag = header(&whole, ETAG);
    assert!(tag.starts_with('"') && tag.len() > 8, "{tag}");
    assert_eq!(whole.bytes().await.unwrap(), BYTES);

    let rest = get(&trusting, &url, &[(RANGE.as_str(), "bytes=10-"), ("if-range", &tag)]).await;
    assert_eq!(rest.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&rest, CONTENT_RANGE), "bytes 10-15/16");
    assert_eq!(rest.bytes().await.unwrap(), &BYTES[10..]);

    let same = get(&trusting, &url, &[(IF_NONE_MATCH.as_str(), &tag)]).await;
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    let none = get(&trusting, &format!("{}/none", server.report.url), &[]).await;
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
    let named = server.report.url.replace("127.0.0.1", "localhost");
    assert_eq!(get(&trusting, &format!("{named}/a.bin"), &[]).await.status(), StatusCode::OK);

    // Another root is no root.
    let stranger = client(crate::material::bench_root().as_bytes());
    let refused = stranger.get(&url).send().await.unwrap_err();
    assert!(refused.is_connect(), "{refused:?}");

    drop((trusting, stranger));
    let (code, log) = server.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains(" GET /a.bin 200 16\n"), "{log}");
    assert!(log.contains(" GET /a.bin 206 6 bytes 10-15\n"), "{log}");
    assert!(log.contains(" GET /none 404 "), "{log}");
    assert!(log.contains("TLS handshake failed: "), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_project_s_store_is_served_and_the_root_stays_the_same() {
    let project = Project::made().file("dist/a.bin", BYTES);
    let first = Server::start(&project, &["-q"]);
    let root = fs::read(&first.report.root_ca).unwrap();
    let answer = get(&client(&root), &format!("{}/a.bin", first.report.url), &[]).await;
    assert_eq!(answer.bytes().await.unwrap(), BYTES);
    let fingerprint = first.report.root_sha256.clone();
    let (code, log) = first.stop();
    assert_eq!((code, log.as_str()), (Some(0), ""));

    let second = Server::start(&project, &["-q", "--host", "127.0.0.1", "--host", "bench.test"]);
    assert_eq!(second.report.root_sha256, fingerprint);
    assert_eq!(second.stop().0, Some(0));
}

#[test]
fn what_cannot_be_served_is_refused_with_a_remedy() {
    let project = Project::new().file("file", "no folder\n").folder("files");
    project
        .run(["serve", "--port", "0", "--dir", "none"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: `none` is not a folder of this machine\n  \
             help: publish something with `cargo esp-ota publish`, or pass `--dir DIR`\n",
        )
        .wrote_nothing();
    project
        .run(["serve", "--port", "0", "--dir", "none", "--format", "json"])
        .exits(3)
        .json(|failed: Failed| assert_eq!(failed.command, "serve"))
        .stderr_is(|text| text.starts_with("error: `none` is not a folder of this machine\n"))
        .wrote_nothing();
    project
        .run(["serve", "--port", "0", "--dir", "file"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `file` is not a folder of this machine\n"))
        .wrote_nothing();
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let project = Project::new().folder("files");
    project.run(["serve", "--dir", "files", "--port", &port]).exits(7).stdout("").stderr_is(
        |text| {
            text.starts_with("error: ")
                && text.contains("127.0.0.1:[PORT]")
                && text.contains("\n  help: ")
        },
    );
}
