//! Connections to a server: its address, TCP, TLS, and an end to all waiting.

use alloc::ffi::CString;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use embassy_net::Stack;
use embassy_net::dns::DnsQueryType;
use embassy_net::tcp::client::{TcpClient, TcpClientState, TcpConnection};
use embassy_time::{Duration, Instant, with_deadline, with_timeout};
use embedded_io_async::{Error, ErrorKind, ErrorType, Read, Write};
use embedded_nal_async::TcpConnect;
#[cfg(feature = "tls-clock")]
use esp_println::println;
use mbedtls_rs::{Session, SessionError};
use static_cell::StaticCell;

use crate::ota::http::patience::Patience;
use crate::ota::http::{Client, Connect};
use crate::ota::ports::TransportError;
use crate::ota::url::Url;
use crate::tls;

/// Longest wait for a connection: DNS, TCP and the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes that TCP can have on the way to the server, and from it.
const SEND_BUFFER: usize = 1024;
const RECEIVE_BUFFER: usize = 4096;

type Tcp = TcpClient<'static, 1, SEND_BUFFER, RECEIVE_BUFFER>;
type Socket = TcpConnection<'static, 1, SEND_BUFFER, RECEIVE_BUFFER>;

/// The ways from this device to its servers. There is memory for one at a time.
pub struct Connections {
    stack: Stack<'static>,
    tcp: &'static Tcp,
    tls: tls::Client,
}

/// The way to one server.
pub struct Server {
    stack: Stack<'static>,
    tcp: &'static Tcp,
    tls: tls::Client,
    host: String,
    port: u16,
}

impl Connections {
    /// There is one in a firmware.
    pub fn new(stack: Stack<'static>, tls: tls::Client) -> Self {
        static STATE: StaticCell<TcpClientState<1, SEND_BUFFER, RECEIVE_BUFFER>> =
            StaticCell::new();
        static TCP: StaticCell<Tcp> = StaticCell::new();
        let tcp = TcpClient::new(stack, STATE.init_with(TcpClientState::new));
        Self { stack, tcp: TCP.init(tcp), tls }
    }

    /// An HTTP client for the folder at `url`. It connects when it is asked something.
    pub fn client(&self, url: &Url) -> Client<Server> {
        let server = Server {
            stack: self.stack,
            tcp: self.tcp,
            tls: self.tls.clone(),
            host: url.host().into(),
            port: url.port(),
        };
        Client::new(server, url.clone())
    }

    /// Waits until this device has an address.
    pub async fn wait_for_network(&self) {
        self.stack.wait_config_up().await;
    }

    /// What SNTP says, in Unix seconds. Certificates are held against it from then on.
    #[cfg(feature = "tls-clock")]
    pub async fn network_time(&self) -> Option<u64> {
        let said = super::sntp::now(self.stack).await;
        // Nobody has to believe in a time before this image was built.
        let Some(now) = said.filter(|now| *now >= crate::platform::BUILD_TIME) else {
            println!("sntp: no time, and without one no certificate is valid");
            return None;
        };
        crate::platform::wall_clock::set(now);
        Some(now)
    }

    /// Nobody asks SNTP: the server's `Date` header says the same, and TLS vouches for it.
    #[cfg(not(feature = "tls-clock"))]
    pub async fn network_time(&self) -> Option<u64> {
        None
    }
}

impl Server {
    async fn open(&self) -> Result<Session<'static, Socket>, TransportError> {
        let address = self.address().await.ok_or(TransportError::Unreachable)?;
        let server = SocketAddr::new(address, self.port);
        let socket = self.tcp.connect(server).await.map_err(|_| TransportError::Unreachable)?;
        let host = CString::new(self.host.as_str()).map_err(|_| TransportError::Unreachable)?;
        self.tls.connect(socket, &host).await
    }

    async fn address(&self) -> Option<IpAddr> {
        if let Ok(address) = self.host.parse::<Ipv4Addr>() {
            return Some(address.into());
        }
        let found = self.stack.dns_query(&self.host, DnsQueryType::A).await.ok()?;
        found.first().map(|address| (*address).into())
    }
}

impl Connect for Server {
    type Connection = Timed<Session<'static, Socket>>;

    async fn connect(&mut self) -> Result<Self::Connection, TransportError> {
        let session = with_timeout(CONNECT_TIMEOUT, self.open()).await;
        session.unwrap_or(Err(TransportError::Unreachable)).map(Timed::new)
    }
}

/// A stream on which an answer has to come at some rate at least.
pub struct Timed<S> {
    stream: S,
    patience: Patience,
}

/// Why a stream ended.
#[derive(Debug)]
pub enum Ended {
    /// The other side is too slow to wait for.
    TimedOut,
    /// The connection broke.
    Broken(SessionError),
}

impl<S> Timed<S> {
    fn new(stream: S) -> Self {
        Self { stream, patience: Patience::default() }
    }

    /// When to give up what begins now.
    fn deadline(&self) -> Instant {
        Instant::from_millis(self.patience.deadline(Instant::now().as_millis()))
    }
}

impl<S> ErrorType for Timed<S> {
    type Error = Ended;
}

impl<S: Read<Error = SessionError>> Read for Timed<S> {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Ended> {
        let deadline = self.deadline();
        let read = with_deadline(deadline, self.stream.read(bytes)).await;
        let count = read.map_err(|_| Ended::TimedOut)?.map_err(Ended::Broken)?;
        self.patience.received(count);
        Ok(count)
    }
}

impl<S: Write<Error = SessionError>> Write for Timed<S> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Ended> {
        self.patience.asked(Instant::now().as_millis());
        let deadline = self.deadline();
        let written = with_deadline(deadline, self.stream.write(bytes)).await;
        written.map_err(|_| Ended::TimedOut)?.map_err(Ended::Broken)
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let deadline = self.deadline();
        let flushed = with_deadline(deadline, self.stream.flush()).await;
        flushed.map_err(|_| Ended::TimedOut)?.map_err(Ended::Broken)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the other side is too slow"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Ended {}

impl Error for Ended {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TimedOut => ErrorKind::TimedOut,
            Self::Broken(error) => error.kind(),
        }
    }
}
