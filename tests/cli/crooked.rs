//! An HTTPS server that tells the truth about metadata and misbehaves with images, or has a cache.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// What devices call it.
pub(crate) const HOST: &str = "updates.test";

/// What it does with images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Serves them, and resumes.
    Honest,
    /// Hangs up in the middle, so many times; what is asked for again comes from its beginning.
    HangsUp(usize),
    /// Hangs up once, and resumes at another byte than asked.
    ResumesElsewhere,
    /// Answers with this status.
    Status(u16),
    /// Sends so many bytes of headers that nobody needs.
    Headers(usize),
    /// Answers for this path what it answered first.
    Caches(&'static str),
    /// Has no such file.
    Hides(&'static str),
}

/// A running server. It ends with its runtime.
pub(crate) struct Crooked {
    pub(crate) address: SocketAddr,
    /// The root to pin.
    pub(crate) root: String,
    _runtime: tokio::runtime::Runtime,
}

impl Crooked {
    /// Serves `folder` as [`HOST`] under a root of its own.
    pub(crate) fn start(folder: &Path, manner: Manner) -> Self {
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name.push(DnType::CommonName, "Crooked Root");
        issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        issuer.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(issuer, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key.into())
            .unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let host = Arc::new(Host {
            folder: folder.to_owned(),
            manner,
            tls: TlsAcceptor::from(Arc::new(config)),
            hung_up: AtomicUsize::new(0),
            cached: OnceLock::new(),
        });
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let host = Arc::clone(&host);
                tokio::spawn(async move {
                    // A client that hangs up or does not trust us is what some tests are about.
                    let _ = host.answer(stream).await;
                });
            }
        });
        Self { address, root: issuer.pem(), _runtime: runtime }
    }
}

struct Host {
    folder: PathBuf,
    manner: Manner,
    tls: TlsAcceptor,
    hung_up: AtomicUsize,
    cached: OnceLock<(String, Vec<u8>)>,
}

impl Host {
    /// One request on one connection.
    async fn answer(&self, stream: tokio::net::TcpStream) -> std::io::Result<()> {
        let mut stream = self.tls.accept(stream).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let path = head.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
        let range = head.split("\r\nrange: bytes=").nth(1).and_then(|rest| rest.split('-').next());
        let from: usize = range.map_or(0, |from| from.parse().unwrap());
        let (head, body) = match self.manner {
            Manner::Caches(cached) if cached == path => {
                self.cached.get_or_init(|| self.file(&path, from)).clone()
            }
            Manner::Hides(hidden) if hidden == path => status(404),
            _ => self.file(&path, from),
        };
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.shutdown().await
    }

    fn file(&self, path: &str, from: usize) -> (String, Vec<u8>) {
        let Ok(file) = std::fs::read(self.folder.join(path)) else { return status(404) };
        if !path.starts_with("targets/") {
            return whole(file);
        }
        let half = file.len() / 2;
        match self.manner {
            Manner::Honest | Manner::Caches(_) | Manner::Hides(_) if from > 0 => {
                partial(&file, from)
            }
            Manner::Honest | Manner::Caches(_) | Manner::Hides(_) => whole(file),
            Manner::Status(code) => status(code),
            Manner::Headers(size) => {
                let (head, body) = whole(file);
                let policy = format!("Content-Security-Policy: {}\r\n\r\n", "x".repeat(size));
                (head.replace("\r\n\r\n", &format!("\r\n{policy}")), body)
            }
            Manner::ResumesElsewhere if from > 0 => partial(&file, from + 1),
            Manner::HangsUp(times) if self.hung_up.fetch_add(1, Ordering::Relaxed) >= times => {
                whole(file)
            }
            Manner::ResumesElsewhere | Manner::HangsUp(_) => {
                let (head, mut body) = whole(file);
                body.truncate(half);
                (head, body)
            }
        }
    }
}

fn status(code: u16) -> (String, Vec<u8>) {
    (format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), Vec::new())
}

fn whole(file: Vec<u8>) -> (String, Vec<u8>) {
    let length = file.len();
    let head = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nConnection: close\r\n";
    (format!("{head}Content-Length: {length}\r\n\r\n"), file)
}

fn partial(file: &[u8], from: usize) -> (String, Vec<u8>) {
    let (length, last) = (file.len(), file.len() - 1);
    let head = "HTTP/1.1 206 Partial Content\r\nETag: \"a\"\r\nConnection: close\r\n";
    let range = format!("Content-Range: bytes {from}-{last}/{length}\r\n");
    let rest = file[from..].to_vec();
    (format!("{head}{range}Content-Length: {}\r\n\r\n", rest.len()), rest)
}
