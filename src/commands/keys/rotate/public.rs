//! What devices see: the public URL, asked over TLS with the roots that the project pins.
//!
//! A root that was seen cannot be taken back, and of two roots with one number a device follows
//! the first. So the store that a rotation is worked out from has to be what the host shows, or
//! ahead of it, before anything is written; and the root that drops keys has to wait until the host
//! shows what the others signed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::error::RotateError;
use super::words;
use crate::agent::tuf::Caps;
use crate::commands::Context;
use crate::error::{Exit, Explained};
use crate::release::plan::LIVE_TIMESTAMP;
use crate::release::repository::View;
use crate::release::root::{self, RootFile};
use crate::trust::PinnedRoot;
use crate::virtual_device::rehearsal::{Onlooker, Place, Source, build_time, file};

/// Most roots that are followed.
const LONGEST_CHAIN: usize = 1000;
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The way to the public URL.
#[derive(Debug)]
pub(super) struct Public<'a> {
    pub(super) url: &'a str,
    pub(super) connect_to: Option<SocketAddr>,
    pub(super) pinned: Vec<PinnedRoot>,
    pub(super) now: Timestamp,
    /// Where a rotation is written to, for messages.
    pub(super) store: &'a str,
}

/// What a store has.
#[derive(Debug)]
pub(super) struct Stored<'a> {
    /// The root that firmware embeds, and its successors.
    pub(super) chain: &'a [RootFile],
    /// The live timestamp.
    pub(super) timestamp: Option<&'a [u8]>,
}

/// What the host shows.
#[derive(Debug, Default)]
struct Shown {
    /// The root that firmware embeds.
    first: Option<Vec<u8>>,
    /// Its successors, verified.
    successors: Vec<RootFile>,
    timestamp: Option<Vec<u8>>,
}

impl Public<'_> {
    /// Refuses a store that is behind what devices see, or not the same.
    pub(super) async fn check(&self, stored: &Stored<'_>) -> Result<(), RotateError> {
        let [embedded, ..] = stored.chain else { return Ok(()) };
        let shown = self.look(embedded).await?;
        self.compare(&shown, stored, embedded)
    }

    async fn look(&self, embedded: &RootFile) -> Result<Shown, RotateError> {
        let caps = Caps::default();
        let mut shown =
            Shown { first: self.file(&embedded.path(), caps.root).await?, ..Shown::default() };
        let mut newest = embedded.clone();
        while shown.successors.len() < LONGEST_CHAIN {
            let path = root::path(newest.version().saturating_add(1));
            let Some(bytes) = self.file(&path, caps.root).await? else { break };
            newest = newest.followed_by(bytes).map_err(|source| RotateError::ForgedRoot {
                url: self.url.to_owned(),
                source: Box::new(source),
            })?;
            shown.successors.push(newest.clone());
        }
        shown.timestamp = self.file(LIVE_TIMESTAMP, caps.timestamp).await?;
        Ok(shown)
    }

    fn compare(
        &self,
        shown: &Shown,
        stored: &Stored<'_>,
        embedded: &RootFile,
    ) -> Result<(), RotateError> {
        let (url, store) = (|| self.url.to_owned(), || self.store.to_owned());
        let forked = |path| RotateError::Forked { path, url: url(), store: store() };
        let behind = |path| RotateError::Behind { path, url: url(), store: store() };
        let version = |root: &RootFile, bytes: &[u8]| {
            let root_version = root.version();
            root.timestamp_version(bytes).map_err(|source| RotateError::ForgedTimestamp {
                url: url(),
                root: root_version,
                source,
            })
        };
        if shown.first.as_ref().is_some_and(|first| *first != embedded.bytes) {
            return Err(forked(embedded.path()));
        }
        for root in &shown.successors {
            match stored.chain.iter().find(|it| it.version() == root.version()) {
                Some(ours) if ours.bytes == root.bytes => {}
                Some(_) => return Err(forked(root.path())),
                None => return Err(behind(root.path())),
            }
        }
        let newest = shown.successors.last().unwrap_or(embedded);
        let Some(seen) = &shown.timestamp else {
            let is_copied = stored.timestamp.is_none();
            let not_there = || RotateError::NotThere { url: url(), store: store() };
            return if is_copied { Ok(()) } else { Err(not_there()) };
        };
        let seen_version = version(newest, seen)?;
        let path = || LIVE_TIMESTAMP.to_owned();
        let Some(ours) = stored.timestamp else { return Err(behind(path())) };
        // Every root of the store is at least as new, and the store was verified.
        let our_version = stored.chain.last().and_then(|root| root.timestamp_version(ours).ok());
        match our_version.unwrap_or(0).cmp(&seen_version) {
            std::cmp::Ordering::Less => Err(behind(path())),
            std::cmp::Ordering::Equal if ours != seen => Err(forked(path())),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => Ok(()),
        }
    }

    /// Waits until a device that has `last` already would believe what the host shows; gives what
    /// it would not, where the time is over before.
    pub(super) async fn wait(
        &self,
        context: &Context,
        (both, last): (&RootFile, &RootFile),
        patience: Duration,
    ) -> Result<(), String> {
        let begun = Instant::now();
        let label = format!("waiting for {}", self.url);
        let bar = context.output.counter(&label, patience.as_secs());
        loop {
            let seen = self.shows(both, last).await;
            let waited = begun.elapsed();
            if seen.is_ok() || waited >= patience {
                return seen;
            }
            bar.at(waited.as_secs());
            tokio::time::sleep(PAUSE.min(patience.saturating_sub(waited))).await;
        }
    }

    async fn shows(&self, both: &RootFile, last: &RootFile) -> Result<(), String> {
        match self.file(&both.path(), Caps::default().root).await {
            Ok(Some(bytes)) if bytes == both.bytes => {}
            Ok(_) => return Err(format!("`{}` is not there yet", both.path())),
            Err(error) => return Err(words(&error)),
        }
        let mut device =
            Onlooker::new(last.bytes.clone(), build_time(self.now)).pinning(self.pinned.clone());
        match device.poll(&self.source()).await {
            Ok(sight) => match sight.read {
                Ok(()) => Ok(()),
                Err(error) if error.exit() == Exit::Trust => {
                    Err("the metadata there is the old one still".into())
                }
                Err(error) => Err(words(&error)),
            },
            Err(error) => Err(words(&error)),
        }
    }

    /// A file as devices get it; `None` where the answer is one that says that there is none.
    async fn file(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, RotateError> {
        let answer = file(&self.source(), &self.pinned, path, limit).await;
        let url = self.url.to_owned();
        match answer
            .map_err(|source| RotateError::Unseen { url: url.clone(), source: Box::new(source) })?
        {
            Ok(bytes) => Ok(Some(bytes)),
            Err(403 | 404) => Ok(None),
            Err(status) => Err(RotateError::Status { path: path.to_owned(), url, status }),
        }
    }

    fn source(&self) -> Source<'_> {
        let place = Place::Url { url: self.url, connect_to: self.connect_to };
        Source { place, view: View::Live, now: self.now }
    }
}
