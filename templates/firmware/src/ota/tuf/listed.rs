//! Which keys speak for the timestamp and the snapshot, in few bytes: what a device remembers of
//! them, to tell whether one of them was taken away.

use super::super::json::{Value, canonical};
use super::error::Role;
use alloc::string::ToString;
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// First bytes of a SHA-256 over a role and a key. Only an owner of root keys chooses what is
/// compared, and two keys with one mark would make a device remember more, never less.
type Mark = [u8; 8];

/// Most keys remembered, of both roles. More may be listed; that one beyond these is taken away is
/// not noticed, and forgets nothing.
const MOST: usize = 16;

/// The keys that a root lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    marks: Vec<Mark>,
    /// A hash over all of them: how an agent before this one remembered keys.
    fingerprint: [u8; 32],
}

impl Listed {
    /// Reads a root's `roles` and `keys`. Keys of unknown kinds are among them, so that an agent
    /// which learns a new kind still finds the same.
    pub(super) fn read(roles: Value<'_>, table: Value<'_>) -> Self {
        let mut marks = Vec::new();
        let mut fingerprint = Sha256::new();
        for role in [Role::Timestamp, Role::Snapshot] {
            let ids = roles.member(role.name()).and_then(|role| role.member("keyids")?.elements());
            let mut digests: Vec<[u8; 32]> = Vec::new();
            for id in ids.into_iter().flatten().filter_map(Value::text) {
                let entry = table.member(&id.to_string());
                let mut digest = Sha256::new();
                if let Some(entry) = entry {
                    canonical::write(entry, &mut |bytes| digest.update(bytes));
                }
                let digest: [u8; 32] = digest.finalize().into();
                // In order, and each once: all ids without a key give the same, so there are no
                // more of these than keys.
                let Err(place) = digests.binary_search(&digest) else { continue };
                digests.insert(place, digest);
                if entry.is_some() {
                    let mark: [u8; 32] = Sha256::new()
                        .chain_update(role.name())
                        .chain_update(digest)
                        .finalize()
                        .into();
                    marks.extend(mark.first_chunk());
                }
            }
            fingerprint.update(Sha256::digest(digests.as_flattened()));
        }
        Self { marks, fingerprint: fingerprint.finalize().into() }
    }
}

/// The keys under which something was proven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remembered(Vec<Mark>);

impl Remembered {
    /// Most bytes, encoded.
    pub(super) const LONGEST: usize = 1 + 8 * MOST;

    /// Remembers the keys of a root.
    pub(super) fn of(listed: &Listed) -> Self {
        Self(listed.marks.iter().take(MOST).copied().collect())
    }

    /// Whether a root still lists every one of them.
    pub(super) fn are_in(&self, listed: &Listed) -> bool {
        self.0.iter().all(|mark| listed.marks.contains(mark))
    }

    /// What an agent before this one remembered as `fingerprint`, if those were the keys of this
    /// root.
    pub(super) fn behind(fingerprint: &[u8; 32], listed: &Listed) -> Option<Self> {
        (*fingerprint == listed.fingerprint).then(|| Self::of(listed))
    }

    /// Appends how many there are, and each.
    pub(super) fn encode(&self, stored: &mut Vec<u8>) {
        stored.push(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        stored.extend_from_slice(self.0.as_flattened());
    }

    /// Reads what [`Remembered::encode`] wrote, and gives what stands behind it.
    pub(super) fn decode(stored: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = stored.split_first()?;
        let mut marks = Vec::new();
        for _ in 0..*count {
            let (mark, behind) = rest.split_first_chunk()?;
            marks.push(*mark);
            rest = behind;
        }
        (marks.len() <= MOST).then_some((Self(marks), rest))
    }
}
