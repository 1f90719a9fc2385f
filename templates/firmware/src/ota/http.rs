//! HTTP/1.1 over a connection that somebody else secures: what a device needs to update itself.
//!
//! One connection serves a whole poll, as a TLS handshake takes a chip seconds. The parser meets
//! whatever a server, a proxy or a captive portal sends: it is total, and each limit is a constant
//! with its reason. No redirect is followed, nothing is decompressed.

mod body;
mod fault;
mod head;
mod line;
pub mod patience;
mod request;

use core::future::Future;

use embedded_io_async::{Read, Write};

pub use self::fault::Fault;
pub use self::head::LARGEST_HEAD;

use self::body::Body;
use self::head::Head;
use self::line::Line;
use super::ports::{ReportSink, Response, Transport, TransportError};
use super::url::Url;

/// Most bytes of a body that are read to keep a connection. A page that says 404 is shorter; what is
/// longer costs more than a handshake.
const MOST_DRAINED: u32 = 4 * 1024;

/// Servers say so on a connection that was idle for too long, and close it (RFC 9110, section
/// 15.5.9).
const REQUEST_TIMEOUT: u16 = 408;

/// Opens authenticated connections to one server.
pub trait Connect {
    /// A connection. An error of its kind `TimedOut` is [`TransportError::TooSlow`]; an end of the
    /// stream that TLS does not vouch for has to be an error, not an end.
    type Connection: Read + Write;

    /// Opens a connection. The one before is closed by then.
    fn connect(&mut self) -> impl Future<Output = Result<Self::Connection, TransportError>>;
}

/// HTTP for the agent: files below a URL, and reports to the URL itself.
pub struct Client<C: Connect> {
    connect: C,
    url: Url,
    line: Option<Line<C::Connection>>,
    state: State,
    fault: Option<Fault>,
}

/// Where the last answer is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Read to its end. A connection can be used again.
    Done,
    /// There is more to read. `keeps` says whether the connection can be used afterwards.
    Open { body: Body, keeps: bool },
    /// Cut off. Stays so: another read must not look like a clean end. A request or a read that is
    /// dropped halfway leaves this behind, too.
    Broken(TransportError),
}

/// What an exchange came to.
struct Answer {
    response: Response,
    state: State,
}

impl<C: Connect> core::fmt::Debug for Client<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client").field("url", &self.url).field("state", &self.state).finish()
    }
}

impl<C: Connect> Client<C> {
    /// A client for the server of this URL. Nothing is opened yet.
    #[must_use]
    pub fn new(connect: C, url: Url) -> Self {
        Self { connect, url, line: None, state: State::Done, fault: None }
    }

    /// Closes the connection. After a poll: until the next one the server would close it anyway, and
    /// TLS takes much of the heap.
    pub fn close(&mut self) {
        self.line = None;
        self.state = State::Done;
    }

    /// What was wrong with the last answer, in more words than [`TransportError`] has. `None` while
    /// all is well, and where no connection came about.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// What opens the connections.
    pub fn connect(&self) -> &C {
        &self.connect
    }

    fn broken(&mut self, fault: Fault) -> TransportError {
        self.line = None;
        self.state = State::Broken(fault.kind());
        self.fault = Some(fault);
        fault.kind()
    }

    /// Sends a request and reads the head of the answer.
    ///
    /// A connection that was kept may have died in the meantime. Where it ends before a byte of an
    /// answer, the request is made once more on a new one. For reports that is nothing new: one that
    /// was heard, and whose answer was lost, is posted again anyway.
    async fn ask(&mut self, head: &str, body: &[u8]) -> Result<Response, TransportError> {
        self.fault = None;
        let pieces = [head.as_bytes(), body];
        self.settle().await;
        self.state = State::Broken(TransportError::Unreachable);
        loop {
            let was_kept = self.line.is_some();
            if !was_kept {
                match self.connect.connect().await {
                    Ok(connection) => self.line = Some(Line::new(connection)),
                    Err(kind) => {
                        self.state = State::Broken(kind);
                        return Err(kind);
                    }
                }
            }
            let Some(line) = &mut self.line else { return Err(self.broken(Fault::NoAnswer)) };
            match exchange(line, pieces).await {
                Ok(answer) if was_kept && answer.response.status == REQUEST_TIMEOUT => {
                    self.line = None;
                }
                Err(Fault::NoAnswer) if was_kept => self.line = None,
                Ok(answer) => return Ok(self.begin(answer)),
                Err(fault) => return Err(self.broken(fault)),
            }
        }
    }

    fn begin(&mut self, answer: Answer) -> Response {
        self.go_on(answer.state);
        answer.response
    }

    /// Goes on with a body, or behind it.
    fn go_on(&mut self, state: State) {
        self.state = match state {
            State::Open { body, keeps } if body.is_done() => {
                // What a server says unasked would be taken for the next answer.
                if !keeps || self.line.as_ref().is_some_and(|line| !line.pending().is_empty()) {
                    self.line = None;
                }
                State::Done
            }
            state => state,
        };
    }

    /// Brings the last answer to its end, or closes the connection where that is not worth it.
    async fn settle(&mut self) {
        let mut left = MOST_DRAINED;
        let mut buf = [0; 256];
        loop {
            let is_worth_it = match self.state {
                State::Done => return,
                State::Open { body, keeps } => keeps && !body.is_longer_than(left),
                State::Broken(_) => false,
            };
            let count = if is_worth_it { self.part(&mut buf).await } else { Err(Fault::Short) };
            match count.map(u32::try_from) {
                Ok(Ok(count)) if count <= left => left = left.saturating_sub(count),
                _ => return self.close(),
            }
        }
    }

    /// The next bytes of an open body.
    async fn part(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        let State::Open { mut body, keeps } = self.state else { return Ok(0) };
        let Some(line) = &mut self.line else { return Err(Fault::Short) };
        self.state = State::Broken(TransportError::Truncated);
        let count = body.read(line, buf).await?;
        if count == 0 {
            body = Body::Length(0);
        }
        self.go_on(State::Open { body, keeps });
        Ok(count)
    }
}

impl<C: Connect> Transport for Client<C> {
    async fn get(
        &mut self,
        path: &str,
        from: u32,
        if_range: Option<&str>,
    ) -> Result<Response, TransportError> {
        match request::get(&self.url, path, from, if_range) {
            Ok(head) => self.ask(&head, &[]).await,
            Err(fault) => Err(self.broken(fault)),
        }
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        match self.state {
            State::Broken(kind) => Err(kind),
            State::Open { .. } if !buf.is_empty() => {
                self.part(buf).await.map_err(|fault| self.broken(fault))
            }
            State::Open { .. } | State::Done => Ok(0),
        }
    }
}

impl<C: Connect> ReportSink for Client<C> {
    async fn post(&mut self, body: &[u8]) -> Result<u16, TransportError> {
        let head = request::post(&self.url, body.len());
        self.ask(&head, body).await.map(|response| response.status)
    }
}

/// Sends a request and reads heads up to the one of the answer.
async fn exchange<C: Read + Write>(
    line: &mut Line<C>,
    pieces: [&[u8]; 2],
) -> Result<Answer, Fault> {
    line.send(pieces).await?;
    let mut budget = LARGEST_HEAD;
    loop {
        let length = receive(line, budget, budget < LARGEST_HEAD).await?;
        let head = head::parse(line.pending().get(..length).unwrap_or_default())?;
        line.consume(length);
        budget = budget.saturating_sub(length);
        if let Head::Final { response, framing, keeps } = head {
            let state = State::Open { body: Body::new(framing), keeps };
            return Ok(Answer { response, state });
        }
    }
}

/// Reads until a whole head is pending, and gives its length.
async fn receive<C: Read + Write>(
    line: &mut Line<C>,
    budget: usize,
    had_begun: bool,
) -> Result<usize, Fault> {
    let mut searched = 0;
    loop {
        if !head::is_http(line.pending()) {
            return Err(Fault::Head);
        }
        if let Some(end) = head::end(line.pending(), searched) {
            return Ok(end);
        }
        searched = line.pending().len();
        if searched >= budget {
            return Err(Fault::HeadTooLarge);
        }
        match line.fill(budget).await {
            Ok(true) => {}
            Ok(false) | Err(Fault::Short) if searched == 0 && !had_begun => {
                return Err(Fault::NoAnswer);
            }
            Ok(false) => return Err(Fault::Short),
            Err(fault) => return Err(fault),
        }
    }
}

#[cfg(test)]
mod tests;
