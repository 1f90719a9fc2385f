//! What one client may cost the server.

use std::time::Duration;

/// Bounds on connections and requests. [`Limits::default`] is what `serve` uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones wait in the system's queue.
    pub connections: usize,
    /// From the accepted connection to the end of the TLS handshake. An ESP32 needs about 2 s.
    pub handshake: Duration,
    /// From the start of a connection or the end of an answer to the end of the next request's head.
    pub head: Duration,
    /// Whole life of a connection. 4 MB at the 7 KB/s that users complain of (esp-idf issue 12145)
    /// take ten minutes.
    pub connection: Duration,
    /// Bytes of a request's head. Ours are below 300; a proxy adds some.
    pub head_bytes: usize,
    /// How long a shutdown waits for answers under way.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 128,
            handshake: Duration::from_secs(15),
            head: Duration::from_secs(15),
            connection: Duration::from_secs(30 * 60),
            head_bytes: 8 * 1024,
            shutdown: Duration::from_secs(5),
        }
    }
}
