//! The time from the network: what the dates of certificates are held against.
//!
//! SNTP proves nothing. Whoever can forge it can make a certificate look expired, or one that has
//! expired look current, and needs a key that the pinned roots vouched for once, all the same.

use core::net::SocketAddr;

use embassy_net::Stack;
use embassy_net::dns::DnsQueryType;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_time::{Duration, Instant, with_timeout};
use sntpc::{NtpContext, NtpTimestampGenerator};
use sntpc_net_embassy::UdpSocketWrapper;

/// Anycast for everybody. Vendors of devices can have a name of their own there.
const SERVER: &str = "pool.ntp.org";
const PORT: u16 = 123;
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Time since the chip started, which is enough to tell an answer's age.
#[derive(Clone, Copy)]
struct SinceStart(Instant);

impl NtpTimestampGenerator for SinceStart {
    fn init(&mut self) {
        self.0 = Instant::now();
    }

    fn timestamp_sec(&self) -> u64 {
        self.0.as_secs()
    }

    fn timestamp_subsec_micros(&self) -> u32 {
        u32::try_from(self.0.as_micros() % 1_000_000).unwrap_or(0)
    }
}

/// Unix seconds, from the first server that answers.
pub async fn now(stack: Stack<'static>) -> Option<u64> {
    with_timeout(TIMEOUT, ask(stack)).await.ok().flatten()
}

async fn ask(stack: Stack<'static>) -> Option<u64> {
    let addresses = stack.dns_query(SERVER, DnsQueryType::A).await.ok()?;
    let (mut meta_in, mut meta_out) = ([PacketMetadata::EMPTY; 2], [PacketMetadata::EMPTY; 2]);
    let (mut bytes_in, mut bytes_out) = ([0; 128], [0; 128]);
    let mut socket =
        UdpSocket::new(stack, &mut meta_in, &mut bytes_in, &mut meta_out, &mut bytes_out);
    socket.bind(0).ok()?;
    let socket = UdpSocketWrapper::from(socket);
    for address in addresses {
        let server = SocketAddr::new(address.into(), PORT);
        let context = NtpContext::new(SinceStart(Instant::now()));
        if let Ok(answer) = sntpc::get_time(server, &socket, context).await {
            return Some(answer.sec());
        }
    }
    None
}
