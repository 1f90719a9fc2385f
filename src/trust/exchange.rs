//! One request and its answer over TLS that trusts pinned roots alone, byte by byte.
//!
//! The HTTP client that the virtual device uses hides what matters here: how many bytes a head has,
//! what a redirect says, how a host answers a range that is not there. So a request is written and an
//! answer read by hand; httparse takes the head apart.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::error::{Exit, Explained};
use crate::trust::deadline::{Deadline, Timed};
use crate::trust::distrust::is_distrust;
use crate::trust::endpoint::Endpoint;
use crate::trust::root::PinnedRoot;

/// Most bytes of a head that are read to say how large it is. What is larger is no head.
const MOST_HEAD: usize = 64 * 1024;
/// Most headers of one answer; a device takes 64.
const MOST_HEADERS: usize = 256;
/// Longest wait for an answer: from the connection to the first bytes of its body.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// A request that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No connection, or a broken one.
    #[error("`{host}` did not answer a request")]
    Unreachable {
        /// Who was asked.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another certificate than before, or no TLS.
    #[error("`{host}` could not be asked over TLS")]
    Tls {
        /// Who was asked.
        host: String,
        /// What the TLS library said.
        source: Box<rustls::Error>,
    },
    /// What came is no answer.
    #[error("`{host}` did not answer in HTTP/1.1: {reason}")]
    NotHttp {
        /// Who was asked.
        host: String,
        /// What is wrong.
        reason: String,
    },
}

impl Explained for ExchangeError {
    fn exit(&self) -> Exit {
        match self {
            Self::Tls { source, .. } if is_distrust(source) => Exit::Trust,
            Self::Unreachable { .. } | Self::Tls { .. } | Self::NotHttp { .. } => Exit::Network,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Tls { source, .. } if is_distrust(source) => Some(
                "ask again: a host with several servers has to show a good chain on each"
                    .to_owned(),
            ),
            Self::Unreachable { .. } | Self::Tls { .. } | Self::NotHttp { .. } => {
                Some("check that this port serves HTTP/1.1 over TLS".to_owned())
            }
        }
    }
}

/// An answer: its head, and the first bytes of its body.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Bytes of its head, those of interim answers before it included.
    pub head_bytes: usize,
    headers: Vec<(String, String)>,
    /// The first bytes of the body, as they came.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the only header of this name; `None` where there is none or more than one.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let value = values.next()?;
        values.next().is_none().then_some(value)
    }

    /// Each value of this header.
    fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let is_meant = move |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().filter(is_meant).map(|(_, value)| value.as_str())
    }

    /// How many headers it has.
    pub fn header_count(&self) -> usize {
        self.headers.len()
    }
}

/// What a host said, on one line, without anything that moves a cursor, and not at any length.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown = String::new();
    for character in text.chars().take(LONGEST) {
        match character {
            '"' | '\'' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}

/// Asks one server.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    config: Arc<ClientConfig>,
    patience: Duration,
}

/// The time that certificates are judged at.
#[derive(Debug)]
struct Clock(UnixTime);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

impl Client {
    /// A client that trusts `roots` alone, at `now`.
    pub fn new(
        endpoint: Endpoint,
        roots: &[PinnedRoot],
        now: Timestamp,
    ) -> Result<Self, ExchangeError> {
        let tls =
            |source| ExchangeError::Tls { host: endpoint.to_string(), source: Box::new(source) };
        let mut anchors = RootCertStore::empty();
        for root in roots {
            anchors.add(root.der().clone()).map_err(tls)?;
        }
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let clock = Clock(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        let mut config =
            ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(clock))
                .with_safe_default_protocol_versions()
                .map_err(tls)?
                .with_root_certificates(anchors)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { endpoint, config: Arc::new(config), patience: ANSWER_TIME })
    }

    /// Gets `target`, a path as it goes into a request, with these headers; keeps at most `keep`
    /// bytes of the body.
    pub fn get(
        &self,
        target: &str,
        headers: &[(&str, &str)],
        keep: usize,
    ) -> Result<Answer, ExchangeError> {
        let host = || self.endpoint.to_string();
        let broken = |source: io::Error| match carried(&source) {
            Some(tls) => ExchangeError::Tls { host: host(), source: Box::new(tls) },
            None => ExchangeError::Unreachable { host: host(), source },
        };
        let tls = ClientConnection::new(Arc::clone(&self.config), self.endpoint.server_name())
            .map_err(|source| ExchangeError::Tls { host: host(), source: Box::new(source) })?;
        let deadline = Deadline::after(self.patience);
        let socket = self.endpoint.open(deadline).map_err(broken)?;
        let mut stream = StreamOwned::new(tls, socket);
        let request = self.request(target, headers);
        stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).map_err(broken)?;
        let mut answer = head(&mut stream).map_err(|error| match error {
            Head::Wire(source) => broken(source),
            Head::Not(reason) => ExchangeError::NotHttp { host: host(), reason },
        })?;
        while answer.body.len() < keep {
            match read_some(&mut stream, &mut answer.body) {
                // A server may end TLS without a word once its answer is out.
                Ok(0) => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Ok(_) => {}
                Err(error) => return Err(broken(error)),
            }
            if answer.header("content-length").and_then(|length| length.parse().ok())
                == Some(answer.body.len())
            {
                break;
            }
        }
        answer.body.truncate(keep);
        Ok(answer)
    }

    fn request(&self, target: &str, headers: &[(&str, &str)]) -> String {
        let mut text = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: esp-ota\r\nConnection: close\r\n",
            self.endpoint.authority()
        );
        for (name, value) in headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text
    }
}

/// What the TLS library said, where an io error carries it.
fn carried(error: &io::Error) -> Option<rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>().cloned()
}

type Stream = StreamOwned<ClientConnection, Timed>;

/// Appends what comes next; 0 is the end.
fn read_some(stream: &mut Stream, to: &mut Vec<u8>) -> io::Result<usize> {
    let mut part = [0; 4096];
    let count = stream.read(&mut part)?;
    to.extend_from_slice(part.get(..count).unwrap_or_default());
    Ok(count)
}

/// Why there is no head.
enum Head {
    Wire(io::Error),
    Not(String),
}

/// Reads heads up to the one of the answer. What came behind it is the beginning of the body.
fn head(stream: &mut Stream) -> Result<Answer, Head> {
    let mut bytes = Vec::new();
    let mut interim = 0_usize;
    loop {
        match parse(&bytes)? {
            Some(mut answer) if (100..200).contains(&answer.status) => {
                interim = interim.saturating_add(answer.head_bytes);
                bytes.clone_from(&answer.body);
                answer.body.clear();
            }
            Some(answer) => {
                let head_bytes = answer.head_bytes.saturating_add(interim);
                return Ok(Answer { head_bytes, ..answer });
            }
            None if bytes.len() >= MOST_HEAD => {
                return Err(Head::Not(format!("its head is longer than {MOST_HEAD} bytes")));
            }
            None => match read_some(stream, &mut bytes) {
                Ok(0) => return Err(Head::Wire(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(Head::Wire(error)),
            },
        }
    }
}

/// A whole head and what came behind it; `None` where there is more to come.
fn parse(bytes: &[u8]) -> Result<Option<Answer>, Head> {
    let mut room = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut room);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Head::Not(error.to_string())),
    };
    let headers = response
        .headers
        .iter()
        .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()));
    Ok(Some(Answer {
        status: response.code.unwrap_or_default(),
        head_bytes: length,
        headers: headers.collect(),
        body: bytes.get(length..).unwrap_or_default().to_vec(),
    }))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;
    use std::time::Instant;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::{ServerConfig, ServerConnection};

    use super::*;
    use crate::trust::root;

    /// Shows a good certificate, and sends a letter now and then for ever: as a head that does not
    /// end, or as bytes that never become a handshake.
    fn dripping(speaks_tls: bool) -> Client {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["updates.test".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            let mut drip = |bytes: &[u8]| {
                if speaks_tls {
                    stream.write_all(bytes).and_then(|()| stream.flush())
                } else {
                    stream.sock.write_all(bytes)
                }
            };
            // The head of a record of 16384 bytes, which a handshake may have.
            let first: &[u8] =
                if speaks_tls { b"HTTP/1.1 200 OK\r\nX: " } else { b"\x16\x03\x03\x40\0" };
            // Until the client has enough of it.
            let mut went = drip(first);
            while went.is_ok() {
                std::thread::sleep(Duration::from_millis(5));
                went = drip(if speaks_tls { b"x" } else { b"\x02" });
            }
        });
        let now = Timestamp::now();
        let roots = root::parse(Path::new("root.pem"), authority.pem().as_bytes(), now).unwrap();
        let endpoint = Endpoint::from_url("https://updates.test").unwrap().at(Some(address));
        Client {
            patience: Duration::from_millis(300),
            ..Client::new(endpoint, &roots, now).unwrap()
        }
    }

    #[test]
    fn a_server_that_drips_is_given_up_in_time() {
        for speaks_tls in [true, false] {
            let client = dripping(speaks_tls);
            let start = Instant::now();
            let error = client.get("/", &[], 1).unwrap_err();
            // It would drip for minutes.
            assert!(start.elapsed() < Duration::from_secs(10), "{error}");
            let ExchangeError::Unreachable { source, .. } = &error else { panic!("{error:?}") };
            assert_eq!(source.kind(), io::ErrorKind::TimedOut);
            assert_eq!(error.exit(), Exit::Network);
        }
    }

    fn answer(text: &str) -> Option<Answer> {
        parse(text.as_bytes()).ok().flatten()
    }

    #[test]
    fn a_head_is_counted_to_its_last_byte_and_the_body_begins_behind_it() {
        let text = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nX: 1\r\nx: 2\r\n\r\nbody";
        let answer = answer(text).unwrap();
        assert_eq!((answer.status, answer.head_bytes), (200, text.len() - 4));
        assert_eq!(answer.body, b"body");
        assert_eq!(answer.header("etag"), Some("\"a\""));
        assert_eq!((answer.header("x"), answer.header_count()), (None, 3));
    }

    #[test]
    fn what_a_host_says_cannot_move_the_cursor() {
        assert_eq!(shown("W/\"a\u{1b}[2J\""), "W/\"a\\u{1b}[2J\"");
        assert_eq!(shown(&"x".repeat(201)), format!("{}...", "x".repeat(200)));
    }

    #[test]
    fn a_piece_of_a_head_is_not_a_head_and_garbage_never_becomes_one() {
        assert!(answer("HTTP/1.1 200 OK\r\nETag: ").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\nETag: ").is_ok());
        assert!(parse(b"SSH-2.0-OpenSSH\r\n").is_err());
    }
}
