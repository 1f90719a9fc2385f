//! The head of an answer: what the agent wants to know, and where the body ends.

use alloc::string::String;

use httparse::{EMPTY_HEADER, Header, Status};

use super::super::clock;
use super::super::ports::Response;
use super::fault::Fault;

/// Largest head, interim answers before it included. GitHub, the largest known, sends 3.6 KB; the
/// heap of a device has room for twice that beside TLS.
pub const LARGEST_HEAD: usize = 8 * 1024;
/// Most headers. GitHub sends some 30.
pub(super) const MOST_HEADERS: usize = 64;

const OK: u16 = 200;
const NO_CONTENT: u16 = 204;
const PARTIAL_CONTENT: u16 = 206;
const NOT_MODIFIED: u16 = 304;
const SWITCHING_PROTOCOLS: u16 = 101;

/// A head, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// 1xx: the answer is still to come.
    Interim,
    /// The answer.
    Final {
        response: Response,
        framing: Framing,
        /// Whether the connection can be used once more.
        keeps: bool,
    },
}

/// Where a body ends (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After this many bytes.
    Length(u32),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// Bytes of the head at the start of `bytes`, its empty line included; `None` where it does not end
/// there. `searched` bytes are known to hold no end.
pub(super) fn end(bytes: &[u8], searched: usize) -> Option<usize> {
    // An end may have begun up to two bytes before.
    let from = searched.saturating_sub(2);
    let mut rest = bytes.get(from..)?;
    let mut at = from;
    loop {
        let line = rest.iter().position(|byte| *byte == b'\n')?.saturating_add(1);
        rest = rest.get(line..)?;
        at = at.saturating_add(line);
        for empty in [&b"\r\n"[..], b"\n"] {
            if rest.starts_with(empty) {
                return Some(at.saturating_add(empty.len()));
            }
        }
    }
}

/// Whether the bytes can be the beginning of an answer at all.
pub(super) fn is_http(bytes: &[u8]) -> bool {
    let expected = b"HTTP/1.";
    bytes.iter().zip(expected).all(|(byte, expected)| byte == expected)
}

/// Reads a whole head.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, Fault> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(Status::Complete(count)) if count == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::HeadTooLarge),
        Ok(_) | Err(_) => return Err(Fault::Head),
    }
    let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
        return Err(Fault::Head);
    };
    let headers = Headers(parsed.headers);
    match status {
        SWITCHING_PROTOCOLS | 0..100 => return Err(Fault::Head), // nobody asked for another protocol
        100..200 => return Ok(Head::Interim),
        _ => {}
    }
    let framing = framing(status, version, headers)?;
    if [OK, PARTIAL_CONTENT].contains(&status) && is_encoded(headers) {
        return Err(Fault::Encoded);
    }
    let start = if status == PARTIAL_CONTENT { start(headers)? } else { 0 };
    let length = match framing {
        Framing::Length(length) => Some(length),
        Framing::Chunked | Framing::Close => None,
    };
    let date = headers.text("date").and_then(clock::http_date);
    let etag = headers.text("etag").map(String::from);
    let keeps = version == 1 && framing != Framing::Close && !has_close(headers);
    Ok(Head::Final { response: Response { status, length, start, date, etag }, framing, keeps })
}

#[derive(Clone, Copy)]
struct Headers<'a>(&'a [Header<'a>]);

impl<'a> Headers<'a> {
    /// The values of all headers of this name, in lower case.
    fn all(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let is_it = move |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(is_it).map(|header| header.value)
    }

    /// The value of the first header of this name, where it is printable ASCII.
    fn text(self, name: &str) -> Option<&'a str> {
        let value = core::str::from_utf8(self.all(name).next()?).ok()?;
        value.bytes().all(|byte| (b' '..=b'~').contains(&byte)).then_some(value)
    }

    /// The only value of this name: two of them contradict each other, or will one day.
    fn only(self, name: &str, fault: Fault) -> Result<Option<&'a str>, Fault> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(_), None) => self.text(name).map(Some).ok_or(fault),
            (Some(_), Some(_)) => Err(fault),
        }
    }
}

fn framing(status: u16, version: u8, headers: Headers<'_>) -> Result<Framing, Fault> {
    let length = headers.only("content-length", Fault::Length)?;
    let coding = headers.only("transfer-encoding", Fault::Coding)?;
    match (coding, length) {
        _ if [NO_CONTENT, NOT_MODIFIED].contains(&status) => Ok(Framing::Length(0)),
        (Some(coding), None) if version == 1 && coding.eq_ignore_ascii_case("chunked") => {
            Ok(Framing::Chunked)
        }
        (Some(_), _) => Err(Fault::Coding),
        (None, Some(digits)) => {
            let length = number(digits).ok_or(Fault::Length)?;
            u32::try_from(length).map(Framing::Length).map_err(|_| Fault::TooLong)
        }
        (None, None) => Ok(Framing::Close),
    }
}

/// Decimal digits and nothing else, as `parse` alone takes a `+`.
fn number(digits: &str) -> Option<u64> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| digits.parse().ok()).flatten()
}

fn is_encoded(headers: Headers<'_>) -> bool {
    headers.all("content-encoding").any(|value| !value.eq_ignore_ascii_case(b"identity"))
}

fn has_close(headers: Headers<'_>) -> bool {
    headers
        .all("connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

/// `bytes 5-9/10` starts at 5 (RFC 9110, section 14.4). How much comes is for the body to say.
fn start(headers: Headers<'_>) -> Result<u32, Fault> {
    let range = headers.only("content-range", Fault::Range)?.ok_or(Fault::Range)?;
    let first = first(range).ok_or(Fault::Range)?;
    u32::try_from(first).map_err(|_| Fault::TooLong)
}

/// FIRST of `bytes FIRST-LAST/TOTAL`, where TOTAL may be `*`.
fn first(range: &str) -> Option<u64> {
    let (unit, range) = range.split_once(' ')?;
    let (range, total) = range.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    let is_inside = total == "*" || number(total).is_some_and(|total| last < total);
    (unit.eq_ignore_ascii_case("bytes") && first <= last && is_inside).then_some(first)
}
