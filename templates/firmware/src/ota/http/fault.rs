//! Why an answer could not be used, in more words than the agent needs.

use core::fmt;

use super::super::ports::TransportError;
use super::head::{LARGEST_HEAD, MOST_HEADERS};

/// What is wrong with an answer, or with the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The path cannot be asked for: it would lead out of the folder.
    Path,
    /// The connection ended or broke before a byte of the answer.
    NoAnswer,
    /// The connection ended or broke in the middle of the answer.
    Short,
    /// The stream gave up waiting.
    Slow,
    /// The head is longer than [`LARGEST_HEAD`], or has more headers than any known host sends.
    HeadTooLarge,
    /// What came is no head of HTTP/1.1 or HTTP/1.0.
    Head,
    /// The length of the body is no number, or said twice.
    Length,
    /// The body is longer than a `u32` counts: longer than any flash.
    TooLong,
    /// A transfer coding other than `chunked`, or one beside a length.
    Coding,
    /// The body is compressed, which nobody asked for.
    Encoded,
    /// A partial answer that does not say clearly where it starts.
    Range,
    /// The chunks of a chunked body are none.
    Chunk,
}

impl Fault {
    /// What the agent needs to know.
    #[must_use]
    pub fn kind(self) -> TransportError {
        match self {
            Self::Slow => TransportError::TooSlow,
            Self::Short | Self::Chunk => TransportError::Truncated,
            Self::HeadTooLarge => TransportError::HeadTooLarge,
            Self::Path
            | Self::NoAnswer
            | Self::Head
            | Self::Length
            | Self::TooLong
            | Self::Coding
            | Self::Encoded
            | Self::Range => TransportError::Unreachable,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("the path leads out of the repository"),
            Self::NoAnswer => f.write_str("the connection ended before an answer"),
            Self::Short => f.write_str("the connection ended in the middle of the answer"),
            Self::Slow => f.write_str("the answer came too slowly"),
            Self::HeadTooLarge => {
                write!(
                    f,
                    "the head of the answer is longer than {LARGEST_HEAD} bytes or has more than \
                     {MOST_HEADERS} headers"
                )
            }
            Self::Head => f.write_str("the answer is no HTTP/1.1"),
            Self::Length => f.write_str("the answer does not say clearly how long it is"),
            Self::TooLong => f.write_str("the answer is longer than any flash"),
            Self::Coding => f.write_str("the answer comes in an unknown transfer coding"),
            Self::Encoded => f.write_str("the answer is compressed, which nobody asked for"),
            Self::Range => {
                f.write_str("the answer is partial and does not say clearly where it starts")
            }
            Self::Chunk => f.write_str("the chunks of the answer are none"),
        }
    }
}

impl core::error::Error for Fault {}
