//! The agent's HTTP client takes any bytes for an answer or for none, the same in pieces of any size.

use cargo_esp_ota::agent::http::{Client, Connect, Fault, LARGEST_HEAD};
use cargo_esp_ota::agent::ports::{Response, Transport, TransportError};
use cargo_esp_ota::agent::url::Url;
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};
use futures_util::FutureExt;

use crate::memory_of;

/// The largest head in a list that grows by doubling, an entity tag of that size, and small things.
const MOST_MEMORY: usize = 4 * LARGEST_HEAD;
/// Enough requests for a connection to be used again, and again after that.
const REQUESTS: u32 = 3;

/// The first byte says in which pieces the rest comes, and how it ends.
pub fn judge(bytes: &[u8]) {
    let Some((mode, said)) = bytes.split_first() else { return };
    let server = |cut: usize| Server { said, cut, fails: mode & 0x80 != 0 };
    let cut = usize::from(mode & 0x7f);
    let (in_pieces, used) = memory_of(|| first(server(cut.max(1))));
    assert!(used <= MOST_MEMORY, "{used} bytes of memory");
    assert_eq!(in_pieces, first(server(usize::MAX)), "in pieces of {cut}");

    let mut client = client(server(cut.max(1)));
    for from in 0..REQUESTS {
        if run(client.get("a", from, Some("\"tag\""))).is_ok() {
            // What is left is the next request's to drain.
            let _ = run(client.read(&mut [0; 3]));
        }
    }
}

type Outcome = (Result<Response, TransportError>, Result<usize, TransportError>, Option<Fault>);

/// The first answer: its head, and how long its body is.
fn first(server: Server<'_>) -> Outcome {
    let most = server.said.len();
    let mut client = client(server);
    let head = run(client.get("a", 0, None));
    let (mut total, mut buf) = (0, [0; 64]);
    let body = loop {
        match run(client.read(&mut buf)) {
            Ok(0) => break Ok(total),
            Ok(count) => total += count,
            Err(error) => break Err(error),
        }
        assert!(total <= most, "a body of more bytes than came");
    };
    match (&head, body) {
        (Err(error), body) => assert_eq!(body, Err(*error), "it stays refused"),
        (Ok(Response { length: Some(length), .. }), Ok(total)) => {
            assert_eq!(u32::try_from(total), Ok(*length));
        }
        (Ok(_), _) => {}
    }
    (head, body, client.fault())
}

fn client(server: Server<'_>) -> Client<Server<'_>> {
    Client::new(server, Url::parse("https://u.example/folder").expect("a URL"))
}

/// Nothing here waits.
fn run<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("memory is always ready")
}

/// Says the same on each connection, whatever is asked.
struct Server<'a> {
    said: &'a [u8],
    cut: usize,
    fails: bool,
}

impl<'a> Connect for Server<'a> {
    type Connection = Stream<'a>;

    async fn connect(&mut self) -> Result<Stream<'a>, TransportError> {
        Ok(Stream { left: self.said, cut: self.cut, fails: self.fails })
    }
}

struct Stream<'a> {
    left: &'a [u8],
    cut: usize,
    fails: bool,
}

impl ErrorType for Stream<'_> {
    type Error = ErrorKind;
}

impl Read for Stream<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        let count = self.left.len().min(buf.len()).min(self.cut);
        let (now, later) = self.left.split_at(count);
        buf[..count].copy_from_slice(now);
        self.left = later;
        if count == 0 && self.fails { Err(ErrorKind::ConnectionReset) } else { Ok(count) }
    }
}

impl Write for Stream<'_> {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        Ok(buf.len())
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}
