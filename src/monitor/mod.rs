//! What a device says on its serial port: bytes of anybody, made lines that a terminal can take, and
//! the few lines that mean something.
//!
//! A device prints what it likes, so nothing here is trusted: every reader is total, keeps to a stated
//! limit, and what it says is what the device *said*. What a device *boots* is in its flash.

mod address;
mod agent_words;
mod boot_words;
mod decoder;
mod event;
mod lines;
mod symbols;
mod until;
mod unwind;
mod visible;

pub use address::{addresses, stack_dump};
pub use boot_words::LOADED;
pub use decoder::Decoder;
pub use event::{Event, Mood};
pub use lines::{Lines, Piece};
pub use symbols::{Frame, Symbols, SymbolsError};
pub use until::{Until, Verdict};
pub use visible::{coloured, plain, unsaid};
