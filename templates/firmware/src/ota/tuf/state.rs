//! What a device remembers of its repository: the newest root, three versions and the time.

use super::super::ports::Store;
use super::super::{reports, resume};
use super::delegated::Delegated;
use super::error::Error;
use super::listed::{Listed, Remembered};
use super::root::Root;
use alloc::vec;
use alloc::vec::Vec;

/// The key under which the bytes of the newest root are stored.
pub const ROOT_KEY: &str = "tuf_root";
/// The key under which the versions and the clock floor are stored, in one value and so in one
/// step that a power cut cannot halve.
pub const STATE_KEY: &str = "tuf_state";

/// First byte of the stored value, so that an agent can tell its own layout.
const LAYOUT: u8 = 2;
/// That of agents before this one, which remembered a hash over all keys: any change of keys, and
/// so a new one beside the old ones, made them forget the versions.
const HASHED_LAYOUT: u8 = 1;
/// Most bytes stored: layout, four big-endian numbers, keys, delegated roles.
const LONGEST: usize = 33 + Remembered::LONGEST + Delegated::LONGEST;

/// What was proven by the keys of one timestamp and one snapshot role. Zeros: nothing yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Version of the trusted timestamp.
    pub(super) timestamp: u64,
    /// Version of the snapshot that the trusted timestamp lists.
    pub(super) snapshot: u64,
    /// Version of targets.json that the trusted snapshot lists.
    pub(super) targets: u64,
    /// Latest `x-signed-at` of a trusted timestamp, Unix seconds.
    pub(super) signed_at: u64,
    /// Which keys proved it. Once one of them is gone all of it is void: see [`State::load`].
    keys: Remembered,
    /// The other targets metadata that the trusted snapshot lists.
    pub(super) delegated: Delegated,
}

impl State {
    /// Reads what is remembered, as far as it holds under the keys of `root`. `known` are the keys
    /// of the root that the device trusted before this run.
    ///
    /// 5.3.11: once a key of timestamp or snapshot is taken away, what was said under it is
    /// forgotten, so that whoever had stolen it cannot block updates with a huge version (or, in
    /// our case, with a date). A key that only comes beside the others forgets nothing: else
    /// whatever the old ones signed could be shown again. Remembering the keys beside the versions
    /// does this without a moment between storing the root and forgetting the versions in which a
    /// power cut could do harm.
    pub(super) fn load(store: &mut impl Store, known: &Listed, root: &Root) -> Result<Self, Error> {
        let listed = &root.online_keys;
        let none = Self { keys: Remembered::of(listed), ..Self::default() };
        let mut stored = [0; LONGEST];
        let Some(length) = store.get(STATE_KEY, &mut stored).map_err(|_| Error::Store)? else {
            return Ok(none);
        };
        let stored = stored.get(..length).and_then(|stored| Self::decode(stored, known, listed));
        let state = stored.ok_or(Error::StoredState)?;
        let holds = state.keys.are_in(listed);
        Ok(if holds { Self { keys: none.keys, ..state } } else { none })
    }

    pub(super) fn save(&self, store: &mut impl Store) -> Result<(), Error> {
        store.set(STATE_KEY, &self.encode()).map_err(|_| Error::Store)
    }

    fn encode(&self) -> Vec<u8> {
        let mut stored = vec![LAYOUT];
        for number in [self.timestamp, self.snapshot, self.targets, self.signed_at] {
            stored.extend_from_slice(&number.to_be_bytes());
        }
        self.keys.encode(&mut stored);
        self.delegated.encode(&mut stored);
        stored
    }

    fn decode(stored: &[u8], known: &Listed, listed: &Listed) -> Option<Self> {
        match stored.split_first()? {
            (&LAYOUT, rest) => {
                let (state, rest) = Self::numbers(rest)?;
                let (keys, rest) = Remembered::decode(rest)?;
                Some(Self { keys, delegated: Delegated::decode(rest)?, ..state })
            }
            (&HASHED_LAYOUT, rest) => {
                let (fingerprint, rest) = rest.split_first_chunk()?;
                let (state, rest) = Self::numbers(rest)?;
                // Where it cannot be told which keys these were, nothing is forgotten: at worst the
                // next change of keys has to come before a thief's versions are.
                let keys = Remembered::behind(fingerprint, known);
                let keys = keys.unwrap_or_else(|| Remembered::of(listed));
                Some(Self { keys, delegated: Delegated::decode(rest)?, ..state })
            }
            _ => None,
        }
    }

    fn numbers(mut stored: &[u8]) -> Option<(Self, &[u8])> {
        let mut numbers = [0; 4];
        for number in &mut numbers {
            let (bytes, behind) = stored.split_first_chunk()?;
            *number = u64::from_be_bytes(*bytes);
            stored = behind;
        }
        let [timestamp, snapshot, targets, signed_at] = numbers;
        Some((Self { timestamp, snapshot, targets, signed_at, ..Self::default() }, stored))
    }
}

/// The root to start from: the stored one, or the embedded one where that is as new or newer, or
/// where nothing was stored. Of two with one version the embedded one counts, so that a board
/// flashed anew with another project's keys trusts these.
pub(super) fn load_root(
    store: &mut impl Store,
    embedded: &[u8],
    cap: usize,
) -> Result<Root, Error> {
    let embedded = Root::trusted(embedded).map_err(Error::EmbeddedRoot)?;
    let mut stored = Vec::new();
    stored.try_reserve_exact(cap).map_err(|_| Error::OutOfMemory(super::Role::Root))?;
    stored.resize(cap, 0);
    let Some(length) = store.get(ROOT_KEY, &mut stored).map_err(|_| Error::Store)? else {
        return Ok(embedded);
    };
    let stored = Root::trusted(stored.get(..length).ok_or(Error::Store)?);
    let stored = stored.map_err(Error::StoredRoot)?;
    Ok(if embedded.version >= stored.version { embedded } else { stored })
}

/// Remembers the bytes of a root that was just verified. Where the partition is full, what can be
/// missed makes room: without the root there would be no more updates.
pub(super) fn save_root(store: &mut impl Store, document: &[u8]) -> Result<(), Error> {
    if store.set(ROOT_KEY, document).is_ok() {
        return Ok(());
    }
    for key in [resume::KEY, reports::KEY] {
        store.set(key, &[]).map_err(|_| Error::Store)?;
    }
    store.set(ROOT_KEY, document).map_err(|_| Error::Store)
}
