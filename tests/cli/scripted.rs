//! An HTTPS host that answers each request with the bytes that a function gives.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use crate::authority::Identity;

/// A running host. It ends when it is dropped, after the next connection.
pub(crate) struct Scripted {
    pub(crate) address: String,
    ends: Arc<AtomicBool>,
}

impl Scripted {
    /// Answers what `answer` makes of the head of a request; no bytes hang up.
    pub(crate) fn start(
        identity: Identity,
        answer: impl Fn(&str) -> Vec<u8> + Send + 'static,
    ) -> Self {
        Self::speaking(rustls::DEFAULT_VERSIONS, identity, answer)
    }

    /// The same in these versions of TLS alone.
    pub(crate) fn speaking(
        versions: &[&'static SupportedProtocolVersion],
        identity: Identity,
        answer: impl Fn(&str) -> Vec<u8> + Send + 'static,
    ) -> Self {
        Self::hanging_up(versions, None, identity, answer)
    }

    /// The same, and hangs up on a client whose first message holds these bytes.
    pub(crate) fn hanging_up(
        versions: &[&'static SupportedProtocolVersion],
        on: Option<&'static [u8]>,
        identity: Identity,
        answer: impl Fn(&str) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let key = default_provider().key_provider.load_private_key(identity.key).unwrap();
        // Without asking whether the two belong together.
        let shown = CertifiedKey::new(identity.chain, key);
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let socket = socket.unwrap();
                let mut first = [0; 4096];
                let count = socket.peek(&mut first).unwrap_or(0);
                if on.is_some_and(|on| first[..count].windows(on.len()).any(|it| it == on)) {
                    continue;
                }
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(tls, socket);
                let mut request = Vec::new();
                let mut byte = [0];
                // A client that only looks at the certificates says nothing.
                while !request.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                    request.push(byte[0]);
                }
                if !request.ends_with(b"\r\n\r\n") {
                    continue;
                }
                let bytes = answer(&String::from_utf8(request).unwrap());
                // Whoever hangs up is not our business.
                let _ = stream.write_all(&bytes);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { address, ends }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(&self.address);
    }
}
