//! What the server tells its owner: one event per request, and one per failed handshake.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request was answered, as far as the client took the answer.
    Access(Access),
    /// A client did not get as far as a request: most often it does not trust the certificate.
    Handshake {
        /// Who.
        peer: SocketAddr,
        /// What the TLS library said.
        reason: String,
    },
}

/// One request and its answer. Method and path are the client's words: escape them before they
/// reach a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who asked.
    pub peer: SocketAddr,
    /// The method, as sent.
    pub method: String,
    /// The path, as sent.
    pub path: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// Bytes of the body handed to the connection. Fewer than announced where the client hung up.
    pub bytes: u64,
    /// First and last byte of a partial answer.
    pub range: Option<(u64, u64)>,
}

/// Takes events as they happen, from any thread. It must not block.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(Event) + Send + Sync>);

impl Log {
    /// Calls `take` with each event.
    pub fn new(take: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Drops every event.
    pub fn silent() -> Self {
        Self::new(drop)
    }

    /// Reports an event.
    pub(super) fn report(&self, event: Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Log")
    }
}
