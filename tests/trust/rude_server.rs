//! An HTTPS server without manners: it says and sends what a test tells it to.
//!
//! The tool's own server cannot be made to break the rules of HTTP, so this one writes raw answers
//! behind the same TLS. One connection, one answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::door::{self, Door};
use crate::repository::Files;

/// What is sent for a path instead of its file.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// These bytes, head included, and a proper end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, and no proper end: the connection is torn.
    Torn(Vec<u8>),
    /// These bytes, and then spaces for as long as the client listens.
    Endless(Vec<u8>),
    /// These bytes, and then silence for as long as the client waits.
    Silent(Vec<u8>),
}

/// Status 200 with a body, announced as `length` bytes, or not announced.
pub(crate) fn ok(length: Option<usize>, body: &[u8]) -> Vec<u8> {
    let length = length.map_or_else(String::new, |length| format!("content-length: {length}\r\n"));
    [format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{length}\r\n").as_bytes(), body].concat()
}

/// A status without a body, and a place to go instead.
pub(crate) fn status(status: u16) -> Answer {
    let head = format!(
        "HTTP/1.1 {status} So\r\nlocation: /metadata/elsewhere.json\r\nconnection: close\r\n\
         content-length: 0\r\n\r\n"
    );
    Answer::Bytes(head.into())
}

/// What the server does.
#[derive(Clone, Default)]
pub(crate) struct Script {
    /// What it has.
    pub(crate) files: Files,
    /// Where it does something else.
    pub(crate) answers: BTreeMap<String, Answer>,
    /// The `Date` of its answers, in order; the last one stays.
    pub(crate) dates: Vec<&'static str>,
}

/// A running server; it ends with the runtime of its test.
pub(crate) struct RudeServer {
    /// The way to it.
    pub(crate) door: Door,
    script: Arc<Mutex<Script>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl RudeServer {
    /// A server under the root that devices pin.
    pub(crate) async fn start(script: Script) -> Self {
        Self::with(door::certificate(), script).await
    }

    /// A server under a root that no device knows.
    pub(crate) async fn imposter(script: Script) -> Self {
        Self::with(door::foreign_certificate(), script).await
    }

    async fn with(leaf: cargo_esp_ota::trust::Leaf, script: Script) -> Self {
        let tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(leaf.chain, leaf.key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Door::to(listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(script));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (told, heard) = (Arc::clone(&script), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, told, heard) = (tls.clone(), Arc::clone(&told), Arc::clone(&heard));
                tokio::spawn(async move {
                    // A client that hangs up is what some tests want.
                    let _ = converse(stream, &tls, &told, &heard).await;
                });
            }
        });
        Self { door, script, asked }
    }

    /// Tells it to do something else from now on.
    pub(crate) fn tell(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    /// The paths that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn converse(
    stream: TcpStream,
    tls: &TlsAcceptor,
    script: &Mutex<Script>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut stream = tls.accept(stream).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8(request).unwrap();
    let path = request.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let answer = script.lock().unwrap().answer(&path);
    asked.lock().unwrap().push(path);
    send(&mut stream, answer).await
}

async fn send(stream: &mut TlsStream<TcpStream>, answer: Answer) -> std::io::Result<()> {
    match answer {
        Answer::Bytes(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        }
        Answer::Torn(bytes) => {
            stream.write_all(&bytes).await?;
            stream.flush().await
        }
        Answer::Endless(bytes) => {
            stream.write_all(&bytes).await?;
            loop {
                stream.write_all(&[b' '; 4096]).await?;
            }
        }
        Answer::Silent(bytes) => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            // Ends when the client does.
            stream.read_u8().await.map(drop)
        }
    }
}

impl Script {
    /// What a test wants for this path, or the file with the date that comes next.
    fn answer(&mut self, path: &str) -> Answer {
        if let Some(answer) = self.answers.get(path) {
            return answer.clone();
        }
        let date = match self.dates.as_slice() {
            [] => String::new(),
            [last] => format!("date: {last}\r\n"),
            [..] => format!("date: {}\r\n", self.dates.remove(0)),
        };
        let file = self.files.get(path);
        let status = if file.is_some() { "200 OK" } else { "404 Not Found" };
        let file = file.map_or(&[][..], Vec::as_slice);
        let head = format!(
            "HTTP/1.1 {status}\r\n{date}content-length: {}\r\nconnection: close\r\n\r\n",
            file.len()
        );
        Answer::Bytes([head.as_bytes(), file].concat())
    }
}
