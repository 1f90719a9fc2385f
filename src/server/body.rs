//! The body of an answer: nothing, or a stretch of a file; reports the access when it is done with.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

use crate::server::access::{Access, Event, Log};

/// Bytes read from the file at a time.
const CHUNK: usize = 32 * 1024;

/// A body of known length.
#[derive(Debug)]
pub(super) struct Body {
    file: Option<File>,
    remaining: u64,
    buffer: Vec<u8>,
    access: Option<(Access, Log)>,
}

impl Body {
    /// No bytes.
    pub(super) fn empty() -> Self {
        Self { file: None, remaining: 0, buffer: Vec::new(), access: None }
    }

    /// The next `length` bytes of `file`.
    pub(super) fn file(file: File, length: u64) -> Self {
        Self { file: Some(file), remaining: length, buffer: Vec::new(), access: None }
    }

    /// Reports `access`, with the bytes that went out, when the body is dropped.
    pub(super) fn reporting(mut self, access: Access, log: Log) -> Self {
        self.access = Some((access, log));
        self
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let body = self.get_mut();
        let Some(file) = body.file.as_mut().filter(|_| body.remaining > 0) else {
            return Poll::Ready(None);
        };
        let wanted = usize::try_from(body.remaining).unwrap_or(CHUNK).min(CHUNK);
        body.buffer.resize(wanted, 0);
        let mut buffer = ReadBuf::new(&mut body.buffer);
        ready!(Pin::new(file).poll_read(context, &mut buffer))?;
        let bytes = Bytes::copy_from_slice(buffer.filled());
        if bytes.is_empty() {
            // The length is announced already; an error makes hyper cut the connection.
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        body.remaining = body.remaining.saturating_sub(count);
        if let Some((access, _)) = &mut body.access {
            access.bytes = access.bytes.saturating_add(count);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some((access, log)) = self.access.take() {
            log.report(Event::Access(access));
        }
    }
}
