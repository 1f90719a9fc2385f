//! What the agent needs from the world around it: a server and a place to remember things.
//!
//! Flash comes in as [`embedded_storage::nor_flash::NorFlash`], addressed from the start of the
//! chip. Time, identity and version come in as plain values.

use alloc::string::String;
use core::future::Future;

/// Reads files of the release repository, one at a time, over an authenticated connection.
pub trait Transport {
    /// Asks for `path`, relative to the repository's URL, from byte `from` on.
    ///
    /// With `from` above zero the request carries `Range` and, when `if_range` is given,
    /// `If-Range`; a server that cannot resume then answers 200 with the whole file.
    fn get(
        &mut self,
        path: &str,
        from: u32,
        if_range: Option<&str>,
    ) -> impl Future<Output = Result<Response, TransportError>>;

    /// Reads the next bytes of the body of the last response into `buf`. 0 is the end of the body;
    /// a body that ends before its announced length is [`TransportError::Truncated`].
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = Result<usize, TransportError>>;
}

/// The head of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Bytes of the body, where the server said so.
    pub length: Option<u32>,
    /// Offset of the first body byte in the file: above 0 only with status 206.
    pub start: u32,
    /// The `Date` header in Unix seconds, where there is one.
    pub date: Option<u64>,
    /// The `ETag` header, quotes included.
    pub etag: Option<String>,
}

/// Why no answer came, or no whole one. All but one are the weather; that one may be an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// No connection, or no answer. Worth another try.
    Unreachable,
    /// The answer ended before its end. Worth another try.
    Truncated,
    /// The answer came too slowly to wait for its end. Worth another try.
    TooSlow,
    /// The answer's head is longer than a device has room for. The host has to change.
    HeadTooLarge,
    /// The server's certificate does not lead to a pinned root or names another host.
    Untrusted,
}

impl TransportError {
    /// Kebab-case name for reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Truncated => "truncated",
            Self::TooSlow => "too-slow",
            Self::HeadTooLarge => "head-too-large",
            Self::Untrusted => "untrusted-tls",
        }
    }
}

impl core::fmt::Display for TransportError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "the server did not answer, or went away",
            Self::Truncated => "the server's answer ended too early",
            Self::TooSlow => "the server's answer came too slowly",
            Self::HeadTooLarge => "the head of the server's answer is too large",
            Self::Untrusted => "the server could not prove who it is",
        })
    }
}

/// Posts reports, over an authenticated connection: they name a device and its state.
pub trait ReportSink {
    /// Posts one JSON document and gives the HTTP status of the answer. A server that cannot
    /// prove who it is gets nothing: [`TransportError::Untrusted`].
    fn post(&mut self, body: &[u8]) -> impl Future<Output = Result<u16, TransportError>>;
}

/// Remembers small values across resets, power-cut safe: after a cut during [`Store::set`] a read
/// gives the old value or the new one.
pub trait Store {
    /// Reads the value of `key` (at most 15 ASCII characters) into `buf` and returns its length.
    /// `None` where nothing was stored. A value longer than `buf` is an error.
    fn get(&mut self, key: &str, buf: &mut [u8]) -> Result<Option<usize>, StoreError>;

    /// Stores `value` under `key`; an empty value forgets the key. Writing the value that is
    /// already there costs no flash wear.
    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError>;
}

/// The store could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreError;
