//! Fetching one metadata file into bounded memory.

use super::super::clock::{Clock, Source};
use super::super::ports::{Transport, TransportError};
use super::error::{Error, Refusal, Role};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The most this client takes, in bytes per file. What is larger is refused before it is read
/// further (TUF specification, section 5: endless data attack).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// root.json. A key with its role entry is about 300 bytes, a signature 220: 7 KiB holds a
    /// root of 12 keys that changes half of them. It is replaced without a moment of none, so the
    /// `nvs` partition of 20 KiB has to hold it twice, beside its spare page and other keys.
    pub root: usize,
    /// timestamp.json: one entry, and about 1 KiB even with several signatures.
    pub timestamp: usize,
    /// snapshot.json: one entry as well, since we have no delegations.
    pub snapshot: usize,
    /// targets.json: a release is 640 bytes of compact JSON, 50 releases are 32 KiB, and indenting
    /// may take as much again. All of it is in memory at once: on a heap of 96 KiB beside TLS there
    /// is no room for more.
    pub targets: usize,
    /// New roots followed in one run. Each costs a request and two thresholds of signatures; a
    /// root that is renewed every year needs 64 years for this, and the next run goes on.
    pub rotations: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            root: 7 * 1024,
            timestamp: 4 * 1024,
            snapshot: 8 * 1024,
            targets: 64 * 1024,
            rotations: 64,
        }
    }
}

/// Bytes read at a time: small enough for a task's stack.
const CHUNK: usize = 512;
/// Bytes added to the buffer at a time where the server does not say how long the file is. Exact
/// steps, because doubling could take twice the cap.
const STEP: usize = 4096;

/// A connection together with the clock that its first answer may raise.
pub(super) struct Download<'a, T> {
    transport: &'a mut T,
    clock: &'a mut Clock,
    answered: bool,
}

impl<'a, T: Transport> Download<'a, T> {
    pub(super) fn new(transport: &'a mut T, clock: &'a mut Clock) -> Self {
        Self { transport, clock, answered: false }
    }

    /// The clock, to raise or to read.
    pub(super) fn clock(&mut self) -> &mut Clock {
        self.clock
    }

    /// Reads a metadata file of `role`; `version` becomes part of its name. At most `listed`
    /// bytes where a length is listed, and never more than `cap`.
    pub(super) async fn metadata(
        &mut self,
        role: Role,
        version: Option<u64>,
        listed: Option<u64>,
        cap: usize,
    ) -> Result<Vec<u8>, Error> {
        let refuse = |refusal| Error::Refused(role, refusal);
        let limit = match listed {
            None => cap,
            Some(length) => usize::try_from(length)
                .ok()
                .filter(|length| *length <= cap)
                .ok_or(refuse(Refusal::TooLarge { cap }))?,
        };
        let too_long = match listed {
            None => refuse(Refusal::TooLarge { cap }),
            Some(expected) => refuse(Refusal::Length { expected }),
        };
        let response = self.transport.get(&path(role, version), 0, None).await?;
        // Only the first answer counts, so that the time of a run is fixed once it is used (5.1).
        if !core::mem::replace(&mut self.answered, true)
            && let Some(date) = response.date
        {
            self.clock.raise(date, Source::Date);
        }
        if response.status != 200 || response.start != 0 {
            return Err(Error::Status(response.status));
        }
        let announced = response.length.map(usize::try_from).and_then(Result::ok);
        if announced.is_some_and(|length| length > limit) {
            return Err(too_long);
        }
        let mut file = Vec::new();
        reserve(&mut file, announced.unwrap_or(0), role)?;
        let mut chunk = [0; CHUNK];
        loop {
            let read = self.transport.read(&mut chunk).await?;
            let bytes = chunk.get(..read).ok_or(Error::Transport(TransportError::Truncated))?;
            if bytes.is_empty() {
                return Ok(file);
            }
            if file.len().checked_add(read).is_none_or(|length| length > limit) {
                return Err(too_long);
            }
            if file.capacity().saturating_sub(file.len()) < read {
                reserve(&mut file, STEP, role)?;
            }
            file.extend_from_slice(bytes);
        }
    }
}

fn reserve(file: &mut Vec<u8>, bytes: usize, role: Role) -> Result<(), Error> {
    file.try_reserve_exact(bytes).map_err(|_| Error::OutOfMemory(role))
}

fn path(role: Role, version: Option<u64>) -> String {
    match version {
        Some(version) => format!("metadata/{version}.{role}.json"),
        None => format!("metadata/{role}.json"),
    }
}
