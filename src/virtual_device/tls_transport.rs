//! The virtual device's way to a server: the agent's own HTTP over real TLS that trusts the pinned
//! roots and nothing else.
//!
//! What a firmware adds to the agent is here done by tokio and rustls: TCP, TLS and a clock. No root
//! of the operating system, no proxy from the environment, no redirect and no compression comes
//! between the agent and the server. Time is a parameter: the device's clock, not the host's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::ServerName;

use super::tls_connection::{Note, Way};
use super::tls_setup::{anchors, tls};
use crate::agent::http::patience::{GRACE_MS, SLOWEST_RATE};
use crate::agent::http::{Client, Fault};
use crate::agent::ports::{ReportSink, Response, Transport, TransportError};
use crate::agent::url::{Url, UrlError};
use crate::trust::PinnedRoot;

pub use super::tls_setup::TransportSetupError;

/// Longest wait for a connection, TLS handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// How to reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connect here, whatever the URL's host name resolves to. The server still has to prove the
    /// name in the URL.
    pub connect_to: Option<SocketAddr>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest silence within an answer, and the time that an answer may take beyond its bytes at
    /// the slowest rate.
    pub read_timeout: Duration,
    /// Fewest bytes in a second.
    pub slowest_rate: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_to: None,
            connect_timeout: CONNECT_TIMEOUT,
            read_timeout: Duration::from_millis(GRACE_MS),
            slowest_rate: SLOWEST_RATE,
        }
    }
}

/// HTTPS for the agent. Needs a tokio runtime around it.
#[derive(Debug)]
pub struct TlsTransport {
    client: Client<Way>,
    note: Note,
    received: u64,
    last_error: Option<String>,
    left_out: Vec<String>,
}

impl TlsTransport {
    /// A client for the repository at `base` (https), on a device whose clock says `now` and whose
    /// firmware pins `roots`.
    ///
    /// A root outside its dates is left out: what the TLS library keeps of a root has no dates, so
    /// nobody would look later. A server under such a root is [`TransportError::Untrusted`].
    pub fn new(
        base: &str,
        roots: &[PinnedRoot],
        now: Timestamp,
        options: Options,
    ) -> Result<Self, TransportSetupError> {
        let unusable = |source| TransportSetupError::Url { url: base.to_owned(), source };
        let url = Url::parse(base).map_err(unusable)?;
        let name = ServerName::try_from(url.host().to_owned());
        let name = name.map_err(|_| unusable(UrlError::Host))?;
        if let (Some(connect_to), ServerName::IpAddress(_)) = (options.connect_to, &name) {
            return Err(TransportSetupError::AddressTwice { url: base.to_owned(), connect_to });
        }
        let (anchors, left_out) = anchors(roots, now)?;
        let note = Note::default();
        let way = Way {
            tls: Arc::new(tls(anchors, now)?),
            host: url.host().to_owned(),
            port: url.port(),
            name,
            connect_to: options.connect_to,
            connect_timeout: options.connect_timeout,
            read_timeout: options.read_timeout,
            slowest_rate: options.slowest_rate,
            note: note.clone(),
        };
        let client = Client::new(way, url);
        Ok(Self { client, note, received: 0, last_error: None, left_out })
    }

    /// Why the last request or read failed, for the report. `None` while all is well.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Bytes of bodies handed to the agent so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Remembers why, where something failed, and passes on what the agent needs to know.
    fn judged<T>(&mut self, result: Result<T, TransportError>) -> Result<T, TransportError> {
        // Of a connection that was replaced, too: then nobody wants to know.
        let note = self.note.take();
        match &result {
            Ok(_) => self.last_error = None,
            // What broke stays broken, for the reason that is known.
            Err(_) if note.is_none() && self.last_error.is_some() => {}
            Err(kind) => self.last_error = Some(self.words(*kind, note)),
        }
        result
    }

    fn words(&self, kind: TransportError, note: Option<String>) -> String {
        let fault = self.client.fault();
        let mut words = match (fault, note) {
            // The connection knows more about its end.
            (None | Some(Fault::Slow), Some(note)) => note,
            (Some(fault), Some(note)) => format!("{fault}: {note}"),
            (Some(fault), None) => fault.to_string(),
            (None, None) => kind.to_string(),
        };
        if kind == TransportError::Untrusted {
            for root in &self.left_out {
                words.push_str("; ");
                words.push_str(root);
            }
        }
        words
    }
}

impl Transport for TlsTransport {
    async fn get(
        &mut self,
        path: &str,
        from: u32,
        if_range: Option<&str>,
    ) -> Result<Response, TransportError> {
        self.last_error = None;
        let got = self.client.get(path, from, if_range).await;
        self.judged(got)
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        let read = self.client.read(buf).await;
        let count = self.judged(read)?;
        self.received = self.received.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

/// Reports go to the very URL the client was made for.
impl ReportSink for TlsTransport {
    async fn post(&mut self, body: &[u8]) -> Result<u16, TransportError> {
        self.last_error = None;
        let posted = self.client.post(body).await;
        self.judged(posted)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
    };
    use rustls::ServerConfig;
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::error::{Exit, Explained};
    use crate::trust::root;

    const HOST_NAME: &str = "updates.example.com";

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn now() -> Timestamp {
        "2027-06-01T00:00:00Z".parse().unwrap()
    }

    fn key() -> KeyPair {
        KeyPair::generate().unwrap()
    }

    fn parameters(name: &str, years: (i32, i32)) -> CertificateParams {
        let mut parameters = CertificateParams::new(vec![HOST_NAME.to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.not_before = date_time_ymd(years.0, 1, 1);
        parameters.not_after = date_time_ymd(years.1, 1, 1);
        parameters
    }

    fn authority(name: &str, years: (i32, i32)) -> Authority {
        let mut parameters = parameters(name, years);
        parameters.subject_alt_names.clear();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(parameters, key()).unwrap()
    }

    /// Pins the authority as of a time when it was valid.
    fn pinned(authority: &Authority, then: &str) -> PinnedRoot {
        let pem = authority.pem();
        root::parse(Path::new("root.pem"), pem.as_bytes(), then.parse().unwrap()).unwrap().remove(0)
    }

    /// A server's chain and key.
    type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

    fn identity(issuer: &Authority, years: (i32, i32)) -> Identity {
        let key = key();
        let leaf = parameters("leaf", years).signed_by(&key, issuer).unwrap();
        (vec![leaf.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
    }

    /// A rustls server that gives every connection one answer and hangs up, cleanly or not. Keeps
    /// what it was asked.
    struct Host {
        addr: SocketAddr,
        asked: Arc<Mutex<Vec<String>>>,
    }

    fn acceptor((chain, key): Identity) -> TlsAcceptor {
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    async fn host(identity: Identity, answer: &'static str, clean: bool) -> Host {
        let acceptor = acceptor(identity);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                heard.lock().unwrap().push(String::from_utf8(request).unwrap());
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                if clean {
                    stream.shutdown().await.unwrap();
                }
            }
        });
        Host { addr, asked }
    }

    fn transport(roots: &[PinnedRoot], addr: SocketAddr) -> TlsTransport {
        let options = Options { connect_to: Some(addr), ..Options::default() };
        let url = format!("https://{HOST_NAME}/thermostat/");
        TlsTransport::new(&url, roots, now(), options).unwrap()
    }

    async fn whole(transport: &mut TlsTransport) -> Result<Vec<u8>, TransportError> {
        let (mut all, mut buffer) = (Vec::new(), [0; 3]);
        loop {
            match transport.read(&mut buffer).await? {
                0 => return Ok(all),
                count => all.extend_from_slice(&buffer[..count]),
            }
        }
    }

    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"tag\"\r\n\
                        Date: Tue, 01 Jun 2027 00:00:00 GMT\r\n\r\n0123456789";

    #[track_caller]
    fn assert_untrusted(
        transport: &TlsTransport,
        got: Result<Response, TransportError>,
        why: &str,
    ) {
        assert_eq!(got, Err(TransportError::Untrusted), "{:?}", transport.last_error());
        let reason = transport.last_error().unwrap();
        assert!(reason.contains(why), "{reason}");
        assert_eq!(transport.received(), 0);
    }

    #[tokio::test]
    async fn a_server_under_a_pinned_root_is_heard_to_the_end() {
        let root = authority("root", (2020, 2040));
        let host = host(identity(&root, (2027, 2028)), GOOD, true).await;
        let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
        let head = transport.get("metadata/1.root.json", 0, Some("\"tag\"")).await.unwrap();
        assert_eq!((head.status, head.length, head.start), (200, Some(10), 0));
        assert_eq!(head.etag.as_deref(), Some("\"tag\""));
        assert_eq!(head.date, Some(now().as_second().try_into().unwrap()));
        assert_eq!(whole(&mut transport).await.unwrap(), b"0123456789");
        assert_eq!(transport.read(&mut [0; 3]).await, Ok(0));
        assert_eq!((transport.received(), transport.last_error()), (10, None));
        let asked = host.asked.lock().unwrap().concat().to_ascii_lowercase();
        assert!(asked.starts_with("get /thermostat/metadata/1.root.json http/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: {HOST_NAME}\r\n")), "{asked}");
        for header in ["range:", "if-range:", "accept-encoding:", "referer:"] {
            assert!(!asked.contains(header), "{asked}");
        }
    }

    #[tokio::test]
    async fn a_resumed_request_carries_the_range_and_the_tag() {
        let root = authority("root", (2020, 2040));
        let answer = "HTTP/1.1 206 Partial Content\r\nContent-Length: 6\r\n\
                      Content-Range: bytes 4-9/10\r\n\r\n456789";
        let host = host(identity(&root, (2027, 2028)), answer, true).await;
        let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
        let head = transport.get("a.bin", 4, Some("\"tag\"")).await.unwrap();
        assert_eq!((head.status, head.length, head.start), (206, Some(6), 4));
        assert_eq!(whole(&mut transport).await.unwrap(), b"456789");
        let asked = host.asked.lock().unwrap().concat().to_ascii_lowercase();
        assert!(asked.contains("range: bytes=4-\r\n") && asked.contains("if-range: \"tag\"\r\n"));
    }

    #[tokio::test]
    async fn a_server_of_another_name_is_untrusted() {
        let root = authority("root", (2020, 2040));
        let mut other = parameters("leaf", (2027, 2028));
        other.subject_alt_names = vec![rcgen::SanType::DnsName("evil.example".try_into().unwrap())];
        let key = key();
        let leaf = other.signed_by(&key, &root).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let host = host((vec![leaf.der().clone()], key), GOOD, true).await;
        let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
        let got = transport.get("a.bin", 0, None).await;
        assert_untrusted(&transport, got, "not valid for name");
    }

    #[tokio::test]
    async fn a_server_under_another_root_is_untrusted_even_if_the_names_agree() {
        let (root, other) = (authority("root", (2020, 2040)), authority("root", (2020, 2040)));
        let host = host(identity(&other, (2027, 2028)), GOOD, true).await;
        let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
        let got = transport.get("a.bin", 0, None).await;
        assert_eq!(got, Err(TransportError::Untrusted), "{:?}", transport.last_error());
        assert_eq!(host.asked.lock().unwrap().len(), 0, "nothing was asked of a stranger");
    }

    #[tokio::test]
    async fn no_pinned_root_trusts_nobody() {
        let root = authority("root", (2020, 2040));
        let host = host(identity(&root, (2027, 2028)), GOOD, true).await;
        let mut transport = transport(&[], host.addr);
        let got = transport.get("a.bin", 0, None).await;
        assert_untrusted(&transport, got, "does not lead to a pinned root");
    }

    #[tokio::test]
    async fn an_expired_or_future_leaf_is_untrusted_by_the_device_clock() {
        let root = authority("root", (2020, 2040));
        let roots = [pinned(&root, "2026-01-01T00:00:00Z")];
        for (years, why) in [((2025, 2027), "expired"), ((2028, 2029), "not valid yet")] {
            let host = host(identity(&root, years), GOOD, true).await;
            let mut transport = transport(&roots, host.addr);
            let got = transport.get("a.bin", 0, None).await;
            assert_untrusted(&transport, got, why);
        }
    }

    #[tokio::test]
    async fn a_server_under_an_expired_root_is_untrusted_and_the_root_is_named() {
        let (old, fresh) = (authority("old", (2020, 2027)), authority("fresh", (2020, 2040)));
        let then = "2026-01-01T00:00:00Z";
        let roots = [pinned(&old, then), pinned(&fresh, then)];
        let under_old = host(identity(&old, (2027, 2028)), GOOD, true).await;
        let mut transport = transport(&roots, under_old.addr);
        let got = transport.get("a.bin", 0, None).await;
        assert_untrusted(&transport, got, "`CN=old` is not used: it ended on 2027-01-01T00:00:00Z");
        let under_fresh = host(identity(&fresh, (2027, 2028)), GOOD, true).await;
        let mut transport = super::tests::transport(&roots, under_fresh.addr);
        assert!(transport.get("a.bin", 0, None).await.is_ok(), "the other root still works");
    }

    #[tokio::test]
    async fn a_leaf_that_acts_as_an_authority_is_untrusted() {
        let root = authority("root", (2020, 2040));
        let mut middle = parameters("leaf", (2027, 2028));
        middle.is_ca = IsCa::ExplicitNoCa;
        let middle = CertifiedIssuer::signed_by(middle, key(), &root).unwrap();
        let (mut chain, key) = identity(&middle, (2027, 2028));
        chain.push(middle.der().clone());
        let host = host((chain, key), GOOD, true).await;
        let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
        let got = transport.get("a.bin", 0, None).await;
        assert_untrusted(&transport, got, "EndEntityUsedAsCa");
    }

    #[tokio::test]
    async fn a_server_that_does_not_speak_tls_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(GOOD.as_bytes()).await.unwrap();
        });
        let mut transport = transport(&[], addr);
        let got = transport.get("a.bin", 0, None).await;
        assert_eq!(got, Err(TransportError::Unreachable), "{:?}", transport.last_error());
    }

    #[tokio::test]
    async fn a_closed_port_is_unreachable_and_the_reason_says_so() {
        // Bound and not listening, until the end: nobody else gets the port, and nobody is there.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut transport = transport(&[], closed.local_addr().unwrap());
        let got = transport.get("a.bin", 0, None).await;
        assert_eq!(got, Err(TransportError::Unreachable));
        let reason = transport.last_error().unwrap();
        assert!(reason.contains("refused"), "{reason}");
    }

    #[tokio::test]
    async fn a_body_shorter_than_announced_is_an_error_and_stays_one() {
        let root = authority("root", (2020, 2040));
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234";
        for clean in [true, false] {
            let host = host(identity(&root, (2027, 2028)), short, clean).await;
            let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
            assert_eq!(transport.get("a.bin", 0, None).await.unwrap().length, Some(10));
            assert_eq!(whole(&mut transport).await, Err(TransportError::Truncated));
            assert_eq!(transport.received(), 5);
            assert!(transport.last_error().is_some());
            assert_eq!(transport.read(&mut [0; 3]).await, Err(TransportError::Truncated));
        }
    }

    #[tokio::test]
    async fn a_body_without_a_length_must_be_closed_properly() {
        let root = authority("root", (2020, 2040));
        let endless = "HTTP/1.1 200 OK\r\n\r\n01234";
        for (clean, expected) in
            [(true, Ok(b"01234".to_vec())), (false, Err(TransportError::Truncated))]
        {
            let host = host(identity(&root, (2027, 2028)), endless, clean).await;
            let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
            assert_eq!(transport.get("a.bin", 0, None).await.unwrap().length, None);
            assert_eq!(whole(&mut transport).await, expected);
        }
    }

    /// Answers a number of requests on each connection, and keeps what it was asked on each.
    async fn patient_host(identity: Identity, requests: usize) -> Host {
        let acceptor = acceptor(identity);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = acceptor.accept(stream).await.unwrap();
                heard.lock().unwrap().push(String::new());
                for _ in 0..requests {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        request.push(stream.read_u8().await.unwrap());
                    }
                    let request = String::from_utf8(request).unwrap();
                    let line = request.lines().next().unwrap();
                    let answer = if line.contains("2.root") {
                        "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"
                    } else {
                        GOOD
                    };
                    let told = format!("{line}\n");
                    heard.lock().unwrap().last_mut().unwrap().push_str(&told);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                stream.shutdown().await.unwrap();
            }
        });
        Host { addr, asked }
    }

    #[tokio::test]
    async fn a_whole_poll_costs_one_handshake_and_a_closed_connection_one_more() {
        let root = authority("root", (2020, 2040));
        for (requests, handshakes) in [(4, 1), (3, 2)] {
            let host = patient_host(identity(&root, (2027, 2028)), requests).await;
            let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
            for (path, status) in [("a", 200), ("2.root.json", 404), ("b", 200), ("c", 200)] {
                let head = transport.get(path, 0, None).await.unwrap();
                assert_eq!((head.status, transport.last_error()), (status, None), "{path}");
                if status == 200 {
                    assert_eq!(whole(&mut transport).await.unwrap(), b"0123456789");
                }
            }
            let asked = host.asked.lock().unwrap();
            assert_eq!(asked.len(), handshakes, "{asked:?}");
            assert_eq!(asked.concat().lines().count(), 4, "{asked:?}");
        }
    }

    #[tokio::test]
    async fn a_head_that_no_device_has_room_for_is_named() {
        let root = authority("root", (2020, 2040));
        let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(8192)).leak();
        let host = host(identity(&root, (2027, 2028)), head, true).await;
        let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
        assert_eq!(transport.get("a.bin", 0, None).await, Err(TransportError::HeadTooLarge));
        let reason = transport.last_error().unwrap();
        assert!(reason.contains("longer than 8192 bytes"), "{reason}");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let root = authority("root", (2020, 2040));
        let moved = "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
        let host = host(identity(&root, (2027, 2028)), moved, true).await;
        let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
        assert_eq!(transport.get("a.bin", 0, None).await.unwrap().status, 302);
        assert_eq!(host.asked.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_partial_answer_without_a_place_is_of_no_use() {
        let root = authority("root", (2020, 2040));
        let answer = "HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\n0";
        let host = host(identity(&root, (2027, 2028)), answer, true).await;
        let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
        assert_eq!(transport.get("a.bin", 4, None).await, Err(TransportError::Unreachable));
        assert_eq!(transport.read(&mut [0; 3]).await, Err(TransportError::Unreachable));
    }

    #[tokio::test]
    async fn a_silent_server_does_not_hold_the_device_for_ever() {
        let root = authority("root", (2020, 2040));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let brief = Duration::from_millis(200);
        let options = Options {
            connect_to: Some(listener.local_addr().unwrap()),
            connect_timeout: brief,
            read_timeout: brief,
            ..Options::default()
        };
        let url = format!("https://{HOST_NAME}");
        let roots = [pinned(&root, "2026-01-01T00:00:00Z")];
        let mut transport = TlsTransport::new(&url, &roots, now(), options).unwrap();
        let got = tokio::time::timeout(Duration::from_secs(5), transport.get("a", 0, None)).await;
        assert_eq!(got.unwrap(), Err(TransportError::TooSlow));
    }

    #[tokio::test]
    async fn a_server_that_sends_a_byte_now_and_then_is_too_slow_in_the_end() {
        let root = authority("root", (2020, 2040));
        let acceptor = acceptor(identity(&root, (2027, 2028)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            // Never silent for long, and never done: until the client has enough of it.
            while stream.write_all(b"x").await.is_ok() && stream.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let options = Options {
            connect_to: Some(addr),
            // Long enough for a busy machine to get the head, and every byte, in time.
            read_timeout: Duration::from_secs(4),
            ..Options::default()
        };
        let roots = [pinned(&root, "2026-01-01T00:00:00Z")];
        let mut transport =
            TlsTransport::new(&format!("https://{HOST_NAME}"), &roots, now(), options).unwrap();
        assert_eq!(transport.get("a.bin", 0, None).await.unwrap().status, 200);
        assert_eq!(whole(&mut transport).await, Err(TransportError::TooSlow));
        let reason = transport.last_error().unwrap();
        assert!(reason.contains("slower than 1024 bytes/s"), "{reason}");
    }

    #[tokio::test]
    async fn no_path_leads_to_another_host() {
        let root = authority("root", (2020, 2040));
        let host = host(identity(&root, (2027, 2028)), GOOD, true).await;
        let mut transport = transport(&[pinned(&root, "2026-01-01T00:00:00Z")], host.addr);
        for path in ["//evil.example/a", "https://evil.example/a", "@evil.example", "a?b#c"] {
            assert!(transport.get(path, 0, None).await.is_ok(), "{path}");
        }
        let asked = host.asked.lock().unwrap();
        assert_eq!(asked.len(), 4);
        assert!(asked[3].starts_with("GET /thermostat/a%3Fb%23c HTTP/1.1"), "{}", asked[3]);
    }

    #[test]
    fn a_url_that_no_device_may_use_is_refused() {
        let options = Options::default();
        for url in [
            "http://updates.example.com",
            "updates.example.com",
            "",
            "https://",
            "ftp://x/",
            "https://user@x/",
            "https://x/?a",
            "https://x/#a",
        ] {
            let error = TlsTransport::new(url, &[], now(), options).unwrap_err();
            assert!(matches!(error, TransportSetupError::Url { .. }), "{url}: {error}");
            assert_eq!(error.exit(), Exit::Project);
        }
        let options = Options { connect_to: Some(([127, 0, 0, 1], 1).into()), ..options };
        let error = TlsTransport::new("https://192.168.1.7/", &[], now(), options).unwrap_err();
        assert!(matches!(error, TransportSetupError::AddressTwice { .. }));
    }
}
