//! The body of an answer, up to its end and no byte further.

use embedded_io_async::{Read, Write};
use httparse::Status;

use super::fault::Fault;
use super::head::{self, Framing};
use super::line::Line;

/// Longest line of a chunk's size. Proxies write the size alone; extensions are for nobody.
const LONGEST_SIZE: usize = 256;
/// Most bytes of headers behind the last chunk. They are of no use here.
const LONGEST_TRAILER: usize = 1024;

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// That many bytes.
    Length(u32),
    /// That many bytes of a chunk, and more chunks.
    Chunk(u64),
    /// The size of a chunk stands next, of the first or of one behind another.
    Size { is_first: bool },
    /// All up to the end of the connection.
    Close,
}

impl Body {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Size { is_first: true },
            Framing::Close => Self::Close,
        }
    }

    /// Whether nothing more has to be read to be at the end.
    pub(super) fn is_done(self) -> bool {
        self == Self::Length(0)
    }

    /// Whether more than `most` bytes are left for certain.
    pub(super) fn is_longer_than(self, most: u32) -> bool {
        match self {
            Self::Length(left) => left > most,
            Self::Chunk(left) => left > u64::from(most),
            Self::Size { .. } => false,
            Self::Close => true,
        }
    }

    /// Reads the next bytes into `buf`, which is not empty. 0 is the end of the body.
    pub(super) async fn read<C: Read + Write>(
        &mut self,
        line: &mut Line<C>,
        buf: &mut [u8],
    ) -> Result<usize, Fault> {
        if let Self::Size { is_first } = *self {
            *self = next_chunk(line, is_first).await?;
        }
        let left = match *self {
            Self::Length(0) => return Ok(0),
            Self::Length(left) => u64::from(left),
            Self::Chunk(left) => left,
            Self::Close | Self::Size { .. } => return line.read(buf).await,
        };
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let count = line.read(buf.get_mut(..room).unwrap_or_default()).await?;
        if count == 0 {
            return Err(Fault::Short);
        }
        *self = self.without(count);
        Ok(count)
    }

    /// What is left after so many bytes.
    fn without(self, count: usize) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        match self {
            Self::Length(left) => {
                let left = u64::from(left).saturating_sub(count);
                Self::Length(u32::try_from(left).unwrap_or(0))
            }
            Self::Chunk(left) => match left.saturating_sub(count) {
                0 => Self::Size { is_first: false },
                left => Self::Chunk(left),
            },
            Self::Size { .. } | Self::Close => self,
        }
    }
}

/// Reads the line before the next chunk, or all that is behind the last one.
async fn next_chunk<C: Read + Write>(line: &mut Line<C>, is_first: bool) -> Result<Body, Fault> {
    if !is_first {
        more(line, 2).await?;
        if !line.pending().starts_with(b"\r\n") {
            return Err(Fault::Chunk);
        }
        line.consume(2);
    }
    match size(line).await? {
        0 => {
            trailer(line).await?;
            Ok(Body::Length(0))
        }
        size => Ok(Body::Chunk(size)),
    }
}

async fn size<C: Read + Write>(line: &mut Line<C>) -> Result<u64, Fault> {
    more(line, 1).await?;
    // An empty line would be read as the size 0, which is the end of the body.
    if !line.pending().first().is_some_and(u8::is_ascii_hexdigit) {
        return Err(Fault::Chunk);
    }
    loop {
        match httparse::parse_chunk_size(line.pending()) {
            Ok(Status::Complete((count, size))) if count <= LONGEST_SIZE => {
                line.consume(count);
                return Ok(size);
            }
            Ok(Status::Partial) if line.pending().len() < LONGEST_SIZE => {
                fill(line, LONGEST_SIZE).await?;
            }
            Ok(_) | Err(_) => return Err(Fault::Chunk),
        }
    }
}

async fn trailer<C: Read + Write>(line: &mut Line<C>) -> Result<(), Fault> {
    loop {
        let pending = line.pending();
        let end = if pending.starts_with(b"\r\n") { Some(2) } else { head::end(pending, 0) };
        match end {
            Some(end) if end <= LONGEST_TRAILER => {
                line.consume(end);
                return Ok(());
            }
            None if pending.len() < LONGEST_TRAILER => fill(line, LONGEST_TRAILER).await?,
            Some(_) | None => return Err(Fault::Chunk),
        }
    }
}

/// Reads until that many bytes are pending.
async fn more<C: Read + Write>(line: &mut Line<C>, count: usize) -> Result<(), Fault> {
    while line.pending().len() < count {
        fill(line, LONGEST_SIZE).await?;
    }
    Ok(())
}

async fn fill<C: Read + Write>(line: &mut Line<C>, limit: usize) -> Result<(), Fault> {
    if line.fill(limit).await? { Ok(()) } else { Err(Fault::Short) }
}
