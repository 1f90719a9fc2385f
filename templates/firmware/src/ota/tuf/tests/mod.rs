//! The client against repositories made and signed here, honest ones and others.

mod delegated;
mod ecdsa;
mod honest;
mod hostile;
mod parsers;
mod repository;
mod rotation;
mod time;

use super::super::clock::Clock;
use super::super::ports::{Response, Store, StoreError, Transport, TransportError};
use super::{Caps, Error, Trusted, refresh};
use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use repository::Repository;

/// 2027-01-01T00:00:00Z: when the firmware of the test devices was built.
const BUILT: u64 = 1_798_761_600;

/// Runs a future that never has to wait.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// Serves files from memory, and fails as it is told.
#[derive(Clone, Default)]
struct Server {
    files: BTreeMap<String, Vec<u8>>,
    /// Answers with this instead of the file.
    failures: BTreeMap<String, Result<u16, TransportError>>,
    /// `Date` headers of the first and of all later answers.
    dates: [Option<u64>; 2],
    /// Leaves the length of bodies out.
    chunked: bool,
    /// Ends each body with a broken connection after this many bytes.
    broken_after: Option<usize>,
    asked: Vec<String>,
    body: Vec<u8>,
}

impl Transport for Server {
    async fn get(
        &mut self,
        path: &str,
        from: u32,
        if_range: Option<&str>,
    ) -> Result<Response, TransportError> {
        assert_eq!((from, if_range), (0, None));
        let date = self.dates[usize::from(!self.asked.is_empty())];
        self.asked.push(path.to_owned());
        self.body.clear();
        let status = match self.failures.get(path) {
            Some(failure) => (*failure)?,
            None if self.files.contains_key(path) => 200,
            None => 404,
        };
        self.body = self.files.get(path).cloned().unwrap_or_default();
        let length = u32::try_from(self.body.len()).ok().filter(|_| !self.chunked);
        Ok(Response { status, length, date, ..Response::default() })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        if self.broken_after == Some(0) {
            return Err(TransportError::Unreachable);
        }
        let most = self.broken_after.unwrap_or(usize::MAX);
        let length = self.body.len().min(buf.len()).min(most);
        buf[..length].copy_from_slice(&self.body[..length]);
        self.body.drain(..length);
        self.broken_after = self.broken_after.map(|left| left.saturating_sub(length));
        Ok(length)
    }
}

/// Remembers in memory.
#[derive(Clone, Default)]
struct Memory {
    values: BTreeMap<String, Vec<u8>>,
    /// How many more writes succeed.
    writes_left: Option<usize>,
}

impl Store for Memory {
    fn get(&mut self, key: &str, buf: &mut [u8]) -> Result<Option<usize>, StoreError> {
        assert!(key.len() <= 15);
        let Some(value) = self.values.get(key) else { return Ok(None) };
        buf.get_mut(..value.len()).ok_or(StoreError)?.copy_from_slice(value);
        Ok(Some(value.len()))
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        assert!(key.len() <= 15);
        if let Some(left) = &mut self.writes_left {
            *left = left.checked_sub(1).ok_or(StoreError)?;
        }
        self.values.insert(key.to_owned(), value.to_owned());
        Ok(())
    }
}

/// A device with its memory, that can refresh again and again.
#[derive(Clone)]
struct Device {
    store: Memory,
    embedded: Vec<u8>,
    built: u64,
    sntp: Option<u64>,
    caps: Caps,
    /// The clock of the last run.
    clock: Clock,
}

impl Device {
    /// A device whose firmware embeds version 1 of the repository's root.
    fn of(repository: &Repository) -> Self {
        Self {
            store: Memory::default(),
            embedded: repository.server.files["metadata/1.root.json"].clone(),
            built: BUILT,
            sntp: None,
            caps: Caps::default(),
            clock: Clock::default(),
        }
    }

    fn refresh(&mut self, repository: &mut Repository) -> Result<Trusted, Error> {
        let server = &mut repository.server;
        server.asked.clear();
        self.clock = Clock::new(self.built, self.sntp);
        let clock = &mut self.clock;
        block_on(refresh(server, &mut self.store, &self.embedded, clock, &self.caps))
    }

    /// The code of the refusal, or `ok`.
    fn code(&mut self, repository: &mut Repository) -> String {
        self.refresh(repository).map_or_else(|error| error.code(), |_| "ok".into())
    }

    /// What is remembered of timestamp, snapshot and targets.
    fn versions(&self) -> [u64; 3] {
        self.store.values.get(super::STATE_KEY).map_or([0; 3], |stored| {
            [1, 9, 17].map(|at| u64::from_be_bytes(*stored[at..].first_chunk().unwrap()))
        })
    }
}
