//! Releases this device has tried without success: when it tries them again, and when never.
//!
//! A release that said itself that it is bad is rejected for good. Any other end of a trial says
//! less, and is told apart by its kind:
//!
//! - *No verdict*: the image crashed, hung until the watchdog, lost its power. Three of these
//!   and the release is remembered as bad: an image that crashes for its own reasons will do so
//!   again, and a newer release is the way out. Before the second and the third trial the device
//!   lets some polls go by, so that a bad hour of its power supply does not use them all up.
//! - *No network*: when the trial ended, the update server had been out of reach. That is counted
//!   apart and never makes a release bad, however long the outage: otherwise one server that is
//!   down for an hour would blacklist a good release on a whole fleet. The pauses double instead.
//!   A release that itself breaks the network looks the same from here; it costs a device one
//!   trial of five minutes in every 64 polls, and the reports say `no-network` until it is halted.
//!
//! Pauses are counted in polls that would have installed the release, because a device without a
//! battery has no clock that could be trusted to measure days. They are kept in the store.

use alloc::vec::Vec;

use super::ports::{Store, StoreError};

/// Trials that may end without a verdict before the release counts as bad.
const MOST_TRIALS: u8 = 3;
/// Polls to let go by after the first and after the second trial without a verdict.
const PAUSES: [u8; 2] = [1, 4];
/// The longest pause after trials without a network. At a poll an hour: three days.
const LONGEST_PAUSE: u8 = 64;
/// Marks a release that its own self-test rejected.
const FOR_GOOD: u8 = 0xff;
/// Releases remembered; the oldest is forgotten first. Each costs 19 bytes of a small partition.
const MOST_REMEMBERED: usize = 16;
const KEY: &str = "rejected";
/// First byte of the stored value. The image on trial writes it when it rejects itself, and after
/// the fall-back an *older* agent has to read it: a later layout may only append, to the value and
/// to each record, within the buffer of [`Rejections::load`].
const LAYOUT: u8 = 2;
/// How much of the SHA-256 is kept: enough to tell releases apart that are all signed.
const NAME: usize = 16;
/// Layout, bytes of a record, sequence number.
const HEAD: usize = 1 + 1 + 4;
const RECORD: usize = NAME + 3;
/// [`RECORD`], as it is stored.
const SIZE: u8 = 19;

/// How a trial ended that came to no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody knows why: a crash, a hang, a power cut.
    NoVerdict,
    /// The update server was out of reach.
    NoNetwork,
}

/// What the device remembers of its trials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    records: Vec<Record>,
    /// The trial that was counted last, by the sequence number of its entry: a power cut right
    /// after that must not make it two.
    counted: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    name: [u8; NAME],
    /// Trials that ended without a verdict, or [`FOR_GOOD`].
    trials: u8,
    /// Trials that ended without a network.
    outages: u8,
    /// Polls still to let go by.
    pause: u8,
}

impl Rejections {
    /// Reads them from the store. A value of an older layout, and bytes that are no whole record,
    /// are left out.
    pub fn load<S: Store>(store: &mut S) -> Result<Self, StoreError> {
        // Room for what other agents have stored.
        let mut buf = [0; HEAD + 2 * RECORD * MOST_REMEMBERED];
        let len = store.get(KEY, &mut buf)?.unwrap_or(0);
        let head = buf.get(..len).and_then(<[u8]>::split_first_chunk::<HEAD>);
        let head = head.filter(|([layout, ..], _)| *layout >= LAYOUT);
        let Some(([_, size, counted @ ..], rest)) = head else { return Ok(Self::default()) };
        let size = usize::from(*size).max(RECORD);
        let read = |record: &[u8]| {
            let (name, rest) = record.split_first_chunk()?;
            let [trials, outages, pause] = *rest.first_chunk()?;
            Some(Record { name: *name, trials, outages, pause })
        };
        let records = rest.chunks_exact(size).filter_map(read).collect();
        Ok(Self { records, counted: u32::from_le_bytes(*counted) })
    }

    /// Whether the image with this digest is not to be installed again.
    pub fn contains(&self, sha256: &[u8; 32]) -> bool {
        self.find(sha256).is_some_and(|record| record.trials >= MOST_TRIALS)
    }

    /// Whether the image with this digest has rejected itself.
    pub fn has_rejected_itself(&self, sha256: &[u8; 32]) -> bool {
        self.find(sha256).is_some_and(|record| record.trials == FOR_GOOD)
    }

    /// Asks in a poll whether the image has to wait. If so, this poll is taken from its pause.
    pub fn must_wait<S: Store>(
        &mut self,
        store: &mut S,
        sha256: &[u8; 32],
    ) -> Result<bool, StoreError> {
        let is_pausing = self.find(sha256).is_some_and(|record| record.pause > 0);
        if is_pausing {
            self.note(store, sha256, |record| record.pause = record.pause.saturating_sub(1))?;
        }
        Ok(is_pausing)
    }

    /// Notes a trial that ended without a verdict. `sequence` is that of its entry; the same trial
    /// counts once.
    pub fn count<S: Store>(
        &mut self,
        store: &mut S,
        sha256: &[u8; 32],
        end: End,
        sequence: u32,
    ) -> Result<(), StoreError> {
        if core::mem::replace(&mut self.counted, sequence) == sequence {
            return Ok(());
        }
        self.note(store, sha256, |record| match end {
            End::NoVerdict => {
                let pause = PAUSES.get(usize::from(record.trials)).copied();
                record.pause = pause.unwrap_or(0);
                record.trials = record.trials.saturating_add(1);
            }
            End::NoNetwork => {
                let doubled = 1u8.checked_shl(u32::from(record.outages)).unwrap_or(LONGEST_PAUSE);
                record.pause = doubled.min(LONGEST_PAUSE);
                record.outages = record.outages.saturating_add(1);
            }
        })
    }

    /// Notes that the release is bad by its own word.
    pub fn reject<S: Store>(&mut self, store: &mut S, sha256: &[u8; 32]) -> Result<(), StoreError> {
        self.note(store, sha256, |record| record.trials = FOR_GOOD)
    }

    /// Forgets a release that has proven itself after all.
    pub fn forget<S: Store>(&mut self, store: &mut S, sha256: &[u8; 32]) -> Result<(), StoreError> {
        if self.find(sha256).is_none() {
            return Ok(());
        }
        self.records.retain(|record| !record.is_of(sha256));
        self.save(store)
    }

    fn find(&self, sha256: &[u8; 32]) -> Option<&Record> {
        self.records.iter().find(|record| record.is_of(sha256))
    }

    fn note<S: Store>(
        &mut self,
        store: &mut S,
        sha256: &[u8; 32],
        change: impl FnOnce(&mut Record),
    ) -> Result<(), StoreError> {
        match self.records.iter_mut().find(|record| record.is_of(sha256)) {
            Some(record) => change(record),
            None => {
                let Some(name) = sha256.first_chunk() else { return Ok(()) };
                let mut record = Record { name: *name, trials: 0, outages: 0, pause: 0 };
                change(&mut record);
                if self.records.len() == MOST_REMEMBERED {
                    self.records.remove(0);
                }
                self.records.push(record);
            }
        }
        self.save(store)
    }

    fn save<S: Store>(&self, store: &mut S) -> Result<(), StoreError> {
        let mut value = Vec::with_capacity(HEAD + RECORD * MOST_REMEMBERED);
        value.extend_from_slice(&[LAYOUT, SIZE]);
        value.extend_from_slice(&self.counted.to_le_bytes());
        for record in &self.records {
            value.extend_from_slice(&record.name);
            value.extend_from_slice(&[record.trials, record.outages, record.pause]);
        }
        store.set(KEY, &value)
    }
}

impl Record {
    fn is_of(&self, sha256: &[u8; 32]) -> bool {
        sha256.starts_with(&self.name)
    }
}
