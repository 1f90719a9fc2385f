//! What the device remembers of releases it tried: the one it waits for, and those it will not
//! take again.
//!
//! A release that said itself that it is bad is rejected for good. One whose trial ended in any
//! other way (a power cut, a watchdog, a network that was away) gets more chances: a server that
//! is down for an hour must not blacklist a good release on a whole fleet.

use alloc::string::String;
use alloc::vec::Vec;

use super::ports::{Store, StoreError};

/// Trials that may end without a verdict before the release counts as rejected.
const MOST_TRIALS: u8 = 3;
/// Marks a release rejected by its own self-test.
const FOR_GOOD: u8 = 0xff;
/// Releases remembered; the oldest is forgotten first. Each costs 33 bytes.
const MOST_REMEMBERED: usize = 16;
const RECORD: usize = 33;
const PENDING_KEY: &str = "pending";
const REJECTED_KEY: &str = "rejected";
/// SHA-256, then the version: semver texts of releases are at most 31 bytes in the descriptor.
const LONGEST_PENDING: usize = 32 + 64;

/// A release that was installed and has not been confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// SHA-256 of its image.
    pub sha256: [u8; 32],
    /// Its version.
    pub version: String,
}

/// The release that waits for its confirmation.
pub fn pending<S: Store>(store: &mut S) -> Result<Option<Pending>, StoreError> {
    let mut buf = [0; LONGEST_PENDING];
    let Some(len) = store.get(PENDING_KEY, &mut buf)? else { return Ok(None) };
    let record = buf.get(..len).and_then(|bytes| bytes.split_first_chunk::<32>());
    Ok(record.and_then(|(sha256, version)| {
        let version = core::str::from_utf8(version).ok()?;
        Some(Pending { sha256: *sha256, version: version.into() })
    }))
}

/// Remembers what is about to be installed. An over-long version is cut: it is for reports only.
pub fn set_pending<S: Store>(store: &mut S, pending: &Pending) -> Result<(), StoreError> {
    let version = pending.version.bytes().take(LONGEST_PENDING.saturating_sub(32));
    let record: Vec<u8> = pending.sha256.iter().copied().chain(version).collect();
    store.set(PENDING_KEY, &record)
}

/// Forgets the pending release: its trial ended.
pub fn clear_pending<S: Store>(store: &mut S) -> Result<(), StoreError> {
    store.set(PENDING_KEY, &[])
}

/// Releases this device has tried without success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections(Vec<([u8; 32], u8)>);

impl Rejections {
    /// Reads them from the store. Bytes that are no whole record are left out.
    pub fn load<S: Store>(store: &mut S) -> Result<Self, StoreError> {
        let mut buf = [0; RECORD * MOST_REMEMBERED];
        let len = store.get(REJECTED_KEY, &mut buf)?.unwrap_or(0);
        let (records, _) = buf.get(..len).unwrap_or_default().as_chunks::<RECORD>();
        let read = |record: &[u8; RECORD]| {
            let (sha256, count) = record.split_first_chunk::<32>()?;
            Some((*sha256, *count.first()?))
        };
        Ok(Self(records.iter().filter_map(read).collect()))
    }

    /// Whether the image with this digest is not to be installed again.
    pub fn contains(&self, sha256: &[u8; 32]) -> bool {
        self.0.iter().any(|(known, count)| known == sha256 && *count >= MOST_TRIALS)
    }

    /// Notes a trial that ended without a verdict.
    pub fn count<S: Store>(&mut self, store: &mut S, sha256: [u8; 32]) -> Result<(), StoreError> {
        self.note(store, sha256, |count| count.saturating_add(1))
    }

    /// Notes that the release is bad by its own word.
    pub fn reject<S: Store>(&mut self, store: &mut S, sha256: [u8; 32]) -> Result<(), StoreError> {
        self.note(store, sha256, |_| FOR_GOOD)
    }

    fn note<S: Store>(
        &mut self,
        store: &mut S,
        sha256: [u8; 32],
        change: impl Fn(u8) -> u8,
    ) -> Result<(), StoreError> {
        match self.0.iter_mut().find(|(known, _)| *known == sha256) {
            Some((_, count)) => *count = change(*count),
            None => {
                if self.0.len() == MOST_REMEMBERED {
                    self.0.remove(0);
                }
                self.0.push((sha256, change(0)));
            }
        }
        let record = |(sha256, count): &([u8; 32], u8)| {
            sha256.iter().copied().chain([*count]).collect::<Vec<u8>>()
        };
        store.set(REJECTED_KEY, &self.0.iter().flat_map(record).collect::<Vec<u8>>())
    }
}
