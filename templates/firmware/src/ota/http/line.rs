//! A connection and what was read from it beyond what was asked for.

use alloc::vec::Vec;

use embedded_io_async::{Error, ErrorKind, Read, Write};

use super::fault::Fault;

/// Bytes read at once where their number is not known: most heads take one step.
const STEP: usize = 1024;

/// A connection that speaks HTTP.
pub(super) struct Line<C> {
    connection: C,
    /// Read, and not yet used.
    pending: Vec<u8>,
}

impl<C: Read + Write> Line<C> {
    pub(super) fn new(connection: C) -> Self {
        Self { connection, pending: Vec::new() }
    }

    /// What was read and not yet used.
    pub(super) fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Takes the first bytes of [`Line::pending`] out.
    pub(super) fn consume(&mut self, count: usize) {
        self.pending.drain(..count.min(self.pending.len()));
        if self.pending.is_empty() {
            self.pending = Vec::new(); // the heap has better uses
        }
    }

    /// Adds to [`Line::pending`] what comes next, up to `limit` bytes in all. `false` at the end of
    /// the stream.
    pub(super) async fn fill(&mut self, limit: usize) -> Result<bool, Fault> {
        let had = self.pending.len();
        let room = limit.saturating_sub(had).min(STEP);
        self.pending.resize(had.saturating_add(room), 0);
        let read = match self.pending.get_mut(had..) {
            Some(room) => self.connection.read(room).await.map_err(|error| lost(&error)),
            None => Ok(0),
        };
        let count = *read.as_ref().unwrap_or(&0);
        self.pending.truncate(had.saturating_add(count.min(room)));
        Ok(read? > 0)
    }

    /// Reads into `buf`: what is pending, or else what comes next. 0 is the end of the stream.
    pub(super) async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Fault> {
        if self.pending.is_empty() {
            let count = self.connection.read(buf).await.map_err(|error| lost(&error))?;
            return Ok(count.min(buf.len()));
        }
        let count = self.pending.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(&self.pending) {
            *to = *from;
        }
        self.consume(count);
        Ok(count)
    }

    /// Writes all pieces. The trait's own `write_all` panics where a stream takes nothing.
    pub(super) async fn send(&mut self, pieces: [&[u8]; 2]) -> Result<(), Fault> {
        for mut piece in pieces {
            while !piece.is_empty() {
                let count = self.connection.write(piece).await.map_err(|error| unsent(&error))?;
                if count == 0 {
                    return Err(Fault::NoAnswer);
                }
                piece = piece.get(count..).unwrap_or_default();
            }
        }
        self.connection.flush().await.map_err(|error| unsent(&error))
    }
}

fn unsent(error: &impl Error) -> Fault {
    match error.kind() {
        ErrorKind::TimedOut => Fault::Slow,
        _ => Fault::NoAnswer,
    }
}

fn lost(error: &impl Error) -> Fault {
    match error.kind() {
        ErrorKind::TimedOut => Fault::Slow,
        _ => Fault::Short,
    }
}
