//! Connections of the virtual device: TCP and TLS under the agent's HTTP, with a device's patience.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use embedded_io_async::{ErrorType, Read, Write};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls_verdict::judge;
use crate::agent::http::Connect;
use crate::agent::http::patience::Patience;
use crate::agent::ports::TransportError;

/// Patience counts in whole milliseconds, and may end one early.
const TICK: Duration = Duration::from_millis(2);

/// Opens connections to one server, which has to prove its name.
pub(super) struct Way {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) name: ServerName<'static>,
    /// Connect here instead.
    pub(super) connect_to: Option<SocketAddr>,
    /// Longest wait for a connection, TLS handshake included.
    pub(super) connect_timeout: Duration,
    /// Longest silence, and what an answer may take beyond its bytes at the slowest rate.
    pub(super) read_timeout: Duration,
    /// Fewest bytes in a second.
    pub(super) slowest_rate: u32,
    /// What went wrong last, in words that HTTP has no place for.
    pub(super) note: Note,
}

/// Words that outlive the connection they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Note(Arc<Mutex<Option<String>>>);

impl Note {
    fn set(&self, words: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    /// Takes the words out.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Way {
    async fn tcp(&self) -> io::Result<TcpStream> {
        let stream = match self.connect_to {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect((self.host.as_str(), self.port)).await?,
        };
        // A request is one small packet, and is waited for.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The server as it is connected to, for words.
    fn server(&self) -> String {
        let Some(address) = self.connect_to else { return format!("{}:{}", self.host, self.port) };
        address.to_string()
    }

    fn around(&self, stream: TlsStream<TcpStream>) -> Connection {
        let grace = u64::try_from(self.read_timeout.as_millis()).unwrap_or(u64::MAX);
        Connection {
            stream,
            patience: Patience::new(grace, self.slowest_rate),
            read_timeout: self.read_timeout,
            slowest_rate: self.slowest_rate,
            began: Instant::now(),
            note: self.note.clone(),
        }
    }

    fn failed(&self, kind: TransportError, words: String) -> TransportError {
        self.note.set(words);
        kind
    }
}

impl Connect for Way {
    type Connection = Connection;

    async fn connect(&mut self) -> Result<Connection, TransportError> {
        let (server, limit) = (self.server(), self.connect_timeout);
        // No end: a timeout that is longer than time itself.
        let end = Instant::now().checked_add(limit);
        let tcp = match within(end, self.tcp()).await {
            Ok(tcp) => tcp,
            Err(error) => {
                let words = format!("no connection to `{server}`: {error}");
                return Err(self.failed(TransportError::Unreachable, words));
            }
        };
        let handshake = TlsConnector::from(Arc::clone(&self.tls)).connect(self.name.clone(), tcp);
        match within(end, handshake).await {
            Ok(stream) => Ok(self.around(stream)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let words = format!("no TLS handshake with `{server}`: {error}");
                Err(self.failed(TransportError::TooSlow, words))
            }
            Err(error) => match judge(&error) {
                (TransportError::Untrusted, words) => {
                    Err(self.failed(TransportError::Untrusted, words))
                }
                (kind, words) => {
                    Err(self.failed(kind, format!("no TLS handshake with `{server}`: {words}")))
                }
            },
        }
    }
}

/// A TLS connection that gives up as a device does.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    patience: Patience,
    read_timeout: Duration,
    slowest_rate: u32,
    /// When the clock of `patience` began.
    began: Instant,
    note: Note,
}

impl Connection {
    /// Milliseconds since the connection began.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// When to give up on what begins now.
    fn end(&self) -> Option<Instant> {
        self.began.checked_add(Duration::from_millis(self.patience.deadline(self.now())))
    }

    /// Notes in words why something failed that began then.
    fn failed(&self, error: io::Error, then: Instant) -> io::Error {
        let (bytes, rate) = (self.patience.bytes(), self.slowest_rate);
        self.note.set(match error.kind() {
            io::ErrorKind::TimedOut if then.elapsed().saturating_add(TICK) >= self.read_timeout => {
                format!("nothing came for {:?} after {bytes} bytes", self.read_timeout)
            }
            io::ErrorKind::TimedOut => format!("slower than {rate} bytes/s after {bytes} bytes"),
            _ => judge(&error).1,
        });
        error
    }
}

impl ErrorType for Connection {
    type Error = io::Error;
}

impl Read for Connection {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let then = Instant::now();
        let read = within(self.end(), self.stream.read(buf)).await;
        let count = read.map_err(|error| self.failed(error, then))?;
        self.patience.received(count);
        Ok(count)
    }
}

impl Write for Connection {
    async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let then = Instant::now();
        self.patience.asked(self.now());
        let written = within(self.end(), self.stream.write(buf)).await;
        written.map_err(|error| self.failed(error, then))
    }

    async fn flush(&mut self) -> io::Result<()> {
        let then = Instant::now();
        let flushed = within(self.end(), self.stream.flush()).await;
        flushed.map_err(|error| self.failed(error, then))
    }
}

/// Waits until `end`, and then no longer.
async fn within<T>(
    end: Option<Instant>,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match end {
        Some(end) => timeout_at(end, work)
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "it took too long"))),
        None => work.await,
    }
}
