//! The client against servers that say what they like, cut into pieces of any size.

mod answers;
mod bodies;
mod chopped;
mod requests;
mod reuse;

use super::super::ports::{ReportSink, Response, Transport, TransportError};
use super::super::url::Url;
use super::{Client, Connect, Fault};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

/// Runs a future that never has to wait.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// How a stream goes on when all that it had to say was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// It says nothing, until the reader's patience ends.
    Silence,
    /// It says nothing, and the reader would wait for ever.
    Waiting,
    End,
    Failure,
}

/// What a server says to one request.
type Said = (Vec<u8>, After);

fn said(bytes: &str) -> Said {
    (bytes.as_bytes().to_vec(), After::Silence)
}

fn then_ends(bytes: &str) -> Said {
    (bytes.as_bytes().to_vec(), After::End)
}

/// A server: what it says on each connection to each request, and what it heard.
#[derive(Default)]
struct Script {
    /// A connection that is not in the list is refused.
    connections: VecDeque<VecDeque<Said>>,
    /// Requests by connection.
    heard: Vec<Vec<String>>,
    /// Sizes of reads, again and again. None: as much as is asked for.
    cuts: Vec<usize>,
    refusal: Option<TransportError>,
}

#[derive(Clone, Default)]
struct Server(Rc<RefCell<Script>>);

impl Server {
    fn new<const N: usize>(connections: [Vec<Said>; N]) -> Self {
        let connections = connections.into_iter().map(VecDeque::from).collect();
        Self(Rc::new(RefCell::new(Script { connections, ..Script::default() })))
    }

    /// Answers one request.
    fn once(said: Said) -> Self {
        Self::new([vec![said]])
    }

    fn client(&self) -> Client<Self> {
        Client::new(self.clone(), Url::parse("https://u.example:8443/folder/").unwrap())
    }

    fn heard(&self) -> Vec<Vec<String>> {
        self.0.borrow().heard.clone()
    }

    /// Requests on each connection.
    fn counts(&self) -> Vec<usize> {
        self.heard().iter().map(Vec::len).collect()
    }
}

impl Connect for Server {
    type Connection = Stream;

    async fn connect(&mut self) -> Result<Stream, TransportError> {
        let mut script = self.0.borrow_mut();
        let refusal = script.refusal.unwrap_or(TransportError::Unreachable);
        let answers = script.connections.pop_front().ok_or(refusal)?;
        script.heard.push(Vec::new());
        Ok(Stream {
            server: self.clone(),
            answers,
            request: Vec::new(),
            coming: VecDeque::new(),
            after: After::Silence,
            cuts: script.cuts.clone().into_iter().cycle(),
        })
    }
}

struct Stream {
    server: Server,
    answers: VecDeque<Said>,
    request: Vec<u8>,
    coming: VecDeque<u8>,
    after: After,
    cuts: core::iter::Cycle<alloc::vec::IntoIter<usize>>,
}

impl ErrorType for Stream {
    type Error = ErrorKind;
}

impl Read for Stream {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        assert!(!buf.is_empty(), "an end of the stream would not be told from no room");
        let cut = self.cuts.next().unwrap_or(usize::MAX);
        let count = self.coming.len().min(buf.len()).min(cut);
        for (to, from) in buf.iter_mut().zip(self.coming.drain(..count)) {
            *to = from;
        }
        match (count, self.after) {
            (0, After::Waiting) => core::future::pending().await,
            (0, After::Silence) => Err(ErrorKind::TimedOut),
            (0, After::Failure) => Err(ErrorKind::ConnectionReset),
            (count, _) => Ok(count),
        }
    }
}

impl Write for Stream {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        let count = self.cuts.next().unwrap_or(usize::MAX).min(buf.len());
        self.request.extend_from_slice(&buf[..count]);
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        let request = String::from_utf8(core::mem::take(&mut self.request)).unwrap();
        self.server.0.borrow_mut().heard.last_mut().unwrap().push(request);
        let (bytes, after) = self.answers.pop_front().unwrap_or((Vec::new(), After::End));
        self.coming.extend(bytes);
        self.after = after;
        Ok(())
    }
}

fn get(client: &mut Client<Server>, path: &str) -> Result<Response, TransportError> {
    block_on(client.get(path, 0, None))
}

fn whole(client: &mut Client<Server>) -> Result<String, TransportError> {
    let (mut all, mut buf) = (Vec::new(), [0; 7]);
    loop {
        match block_on(client.read(&mut buf))? {
            0 => return Ok(String::from_utf8(all).unwrap()),
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

/// What a client makes of one answer: its head, and its body. In one piece and byte by byte.
#[track_caller]
fn outcome(
    said: &Said,
) -> (Result<Response, TransportError>, Result<String, TransportError>, Option<Fault>) {
    let [once, bytewise] = [vec![], vec![1]].map(|cuts| {
        let server = Server::once(said.clone());
        server.0.borrow_mut().cuts = cuts;
        let mut client = server.client();
        (get(&mut client, "a"), whole(&mut client), client.fault())
    });
    assert_eq!(once, bytewise, "{}", String::from_utf8_lossy(&said.0));
    once
}

#[track_caller]
fn answer(said: Said) -> (Response, Result<String, TransportError>) {
    let (head, body, _) = outcome(&said);
    (head.unwrap(), body)
}

/// Why a client has no use for this answer's head.
#[track_caller]
fn refusal(said: Said) -> Fault {
    let text = String::from_utf8_lossy(&said.0).into_owned();
    let (head, body, fault) = outcome(&said);
    let error = head.expect_err(&text);
    assert_eq!(body, Err(error), "it stays refused: {text}");
    assert_eq!(fault.map(Fault::kind), Some(error), "{text}");
    fault.unwrap()
}
