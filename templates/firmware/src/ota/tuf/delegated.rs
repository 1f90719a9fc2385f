//! Targets metadata that a snapshot lists beside targets.json: that of delegated roles.
//!
//! They are not followed, and our repositories have none. Still no snapshot may lose one or set it
//! back (TUF specification, 5.5.5), so that what was trusted once is remembered here, by a part of
//! the hash of its name.

use super::super::json::Value;
use super::error::Refusal;
use super::metadata::{check_rollback, version};
use alloc::vec::Vec;
use sha2::{Digest, Sha256};

/// Most files remembered, and so most that are accepted. At 16 bytes each the memory of a device
/// stays far below the 4000 bytes that one value in NVS may have.
const MOST: usize = 16;

/// First bytes of the SHA-256 of a name.
type Name = [u8; 8];

/// Names and versions. Empty for our own repositories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delegated(Vec<(Name, u64)>);

impl Delegated {
    /// Bytes of one file, encoded.
    const ENTRY: usize = 16;
    /// Most bytes of all of them, encoded.
    pub(super) const LONGEST: usize = Self::ENTRY * MOST;

    /// Reads the `meta` of a snapshot; targets.json is left out.
    pub(super) fn read(meta: Value<'_>) -> Result<Self, Refusal> {
        let mut files = Vec::new();
        for (name, entry) in meta.members().ok_or(Refusal::Field("meta"))? {
            if name == *"targets.json" {
                continue;
            }
            if files.len() == MOST {
                return Err(Refusal::Delegations { most: MOST });
            }
            let mut hash = Sha256::new();
            for character in name.characters() {
                hash.update(character.encode_utf8(&mut [0; 4]));
            }
            let hash: [u8; 32] = hash.finalize().into();
            let start = hash.first_chunk().ok_or(Refusal::Field("meta"))?;
            files.push((*start, version(entry)?));
        }
        Ok(Self(files))
    }

    /// 5.5.5: refuses a later list in which one of these is older or gone.
    pub(super) fn check(&self, later: &Self) -> Result<(), Refusal> {
        for (name, trusted) in &self.0 {
            let offered = later.0.iter().find(|(other, _)| other == name);
            check_rollback(*trusted, offered.ok_or(Refusal::Missing)?.1)?;
        }
        Ok(())
    }

    /// Appends the encoded files: the name's part and the version, big-endian.
    pub(super) fn encode(&self, stored: &mut Vec<u8>) {
        for (name, version) in &self.0 {
            stored.extend_from_slice(name);
            stored.extend_from_slice(&version.to_be_bytes());
        }
    }

    /// Reads what [`Delegated::encode`] wrote, and nothing else.
    pub(super) fn decode(mut stored: &[u8]) -> Option<Self> {
        let mut files = Vec::new();
        while !stored.is_empty() {
            let (name, rest) = stored.split_first_chunk()?;
            let (version, rest) = rest.split_first_chunk()?;
            files.push((*name, u64::from_be_bytes(*version)));
            stored = rest;
        }
        (files.len() <= MOST).then_some(Self(files))
    }
}
