//! The TUF root: the file that firmware embeds and from which all other trust follows.

use std::collections::HashMap;
use std::error::Error;
use std::num::NonZeroU64;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tough::schema::{self, RoleKeys, Root, Signed};

use super::keys::{NewKeys, Role};
use super::metadata::{self, SPECIFICATION};
use super::repository::error::RepositoryError;
use super::store::Store;
use crate::hex;

/// How long a new root is good for: five years (design, section 5).
pub const ROOT_DAYS: u32 = 5 * 365;
/// Most roots that are followed. Nobody rotates keys that often.
const LONGEST_CHAIN: usize = 1000;

/// Makes `1.root.json`: one key and a threshold of one for each role, consistent snapshots, good
/// for `days` days from `now`.
pub async fn new_root(
    keys: &NewKeys,
    now: Timestamp,
    days: u32,
) -> Result<Vec<u8>, RepositoryError> {
    let mut root = Root {
        spec_version: SPECIFICATION.to_owned(),
        consistent_snapshot: true,
        version: NonZeroU64::MIN,
        expires: metadata::days_after(now, days)?,
        keys: HashMap::new(),
        roles: HashMap::new(),
        _extra: HashMap::new(),
    };
    for role in Role::ALL {
        let key = keys.of(role).public();
        let id = key
            .key_id()
            .map_err(|source| RepositoryError::Encode { role, source: source.into() })?;
        root.keys.insert(id.clone(), key);
        root.roles.insert(
            role.tough(),
            RoleKeys { keyids: vec![id], threshold: NonZeroU64::MIN, _extra: HashMap::new() },
        );
    }
    metadata::seal(Role::Root, &root, &root, &[&keys.root]).await
}

/// A verified root, and the file it stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct RootFile {
    pub(super) root: Root,
    /// The file, byte for byte.
    pub bytes: Vec<u8>,
}

impl RootFile {
    /// Its number.
    pub fn version(&self) -> u64 {
        self.root.version.get()
    }

    /// Until when it is good.
    pub fn expires(&self) -> Timestamp {
        self.root.expires
    }

    /// How many keys have to sign for a role, and the ids of those that may.
    pub fn keys(&self, role: Role) -> (u64, Vec<String>) {
        self.root.roles.get(&role.tough()).map_or((1, Vec::new()), |keys| {
            (keys.threshold.get(), keys.keyids.iter().map(|id| hex::lower(id)).collect())
        })
    }

    /// SHA-256 of the file, lower-case hexadecimal.
    pub fn sha256(&self) -> String {
        hex::lower(&Sha256::digest(&self.bytes))
    }

    /// Where it is in a store.
    pub fn path(&self) -> String {
        path(self.version())
    }

    /// The root that follows this one, verified as a client does it.
    pub fn followed_by(&self, bytes: Vec<u8>) -> Result<Self, RepositoryError> {
        successor_of(&self.root, bytes)
    }

    /// The version of a timestamp that the keys of this root have signed, whether it has ended or
    /// not.
    ///
    /// # Errors
    ///
    /// Anything else than such a timestamp.
    pub fn timestamp_version(&self, bytes: &[u8]) -> Result<u64, Box<dyn Error + Send + Sync>> {
        let timestamp: Signed<schema::Timestamp> = serde_json::from_slice(bytes)?;
        self.root.verify_role(&timestamp)?;
        Ok(timestamp.signed.version.get())
    }
}

/// Where a root is in a store.
pub fn path(version: u64) -> String {
    format!("metadata/{version}.root.json")
}

/// Reads a root that the user trusts.
pub fn read(bytes: &[u8]) -> Result<RootFile, RepositoryError> {
    Ok(RootFile { root: trusted(bytes)?, bytes: bytes.to_vec() })
}

/// The trusted root and its successors in a store, the newest last, each verified as a client does
/// it: signed by a threshold of the keys of the one before, and of its own.
///
/// # Errors
///
/// A root that does not follow is no root, and somebody wrote it.
pub async fn chain(store: &Store, trusted: &[u8]) -> Result<Vec<RootFile>, RepositoryError> {
    let first = read(trusted)?;
    let mut chain = vec![first.clone()];
    let mut newest = first;
    while chain.len() < LONGEST_CHAIN {
        let version = newest.version().saturating_add(1);
        let Some(bytes) = store.read(&path(version)).await? else { break };
        newest = successor(&newest.root, version, bytes)?;
        chain.push(newest.clone());
    }
    Ok(chain)
}

/// The roots before the trusted one that a store has: what devices of old releases embed.
pub async fn ancestors(
    store: &Store,
    trusted: &RootFile,
) -> Result<Vec<RootFile>, RepositoryError> {
    let mut found: Vec<RootFile> = Vec::new();
    for version in 1..trusted.version() {
        let Some(bytes) = store.read(&path(version)).await? else {
            found.clear();
            continue;
        };
        let next = match found.last() {
            Some(before) => successor(&before.root, version, bytes)?,
            None => RootFile { root: self::trusted(&bytes)?, bytes },
        };
        found.push(next);
    }
    Ok(found)
}

/// Verifies a root just made as every client will.
pub(super) fn successor_of(before: &Root, bytes: Vec<u8>) -> Result<RootFile, RepositoryError> {
    successor(before, before.version.get().saturating_add(1), bytes)
}

fn successor(before: &Root, version: u64, bytes: Vec<u8>) -> Result<RootFile, RepositoryError> {
    let refused = |source| RepositoryError::RootChain { version, source };
    let next: Signed<Root> = serde_json::from_slice(&bytes).map_err(|e| refused(e.into()))?;
    before.verify_role(&next).map_err(|e| refused(e.into()))?;
    next.signed.verify_role(&next).map_err(|e| refused(e.into()))?;
    match next.signed.version.get() {
        found if found == version => Ok(RootFile { root: next.signed, bytes }),
        found => Err(refused(format!("it calls itself version {found}").into())),
    }
}

/// Reads a root that the user trusts, and checks that it is whole: signed by its own keys.
pub(super) fn trusted(bytes: &[u8]) -> Result<Root, RepositoryError> {
    let root: Signed<Root> = serde_json::from_slice(bytes).map_err(RepositoryError::RootFormat)?;
    root.signed
        .verify_role(&root)
        .map_err(|source| RepositoryError::RootSignature(Box::new(source)))?;
    Ok(root.signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Exit, Explained};

    fn now() -> Timestamp {
        "2026-03-01T12:00:00.75Z".parse().unwrap()
    }

    #[tokio::test]
    async fn a_new_root_verifies_and_says_the_same_every_time() {
        let keys = NewKeys::generate().unwrap();
        let bytes = new_root(&keys, now(), ROOT_DAYS).await.unwrap();
        let root = trusted(&bytes).unwrap();
        assert!(root.consistent_snapshot);
        assert_eq!(root.version.get(), 1);
        assert_eq!(root.expires.to_string(), "2031-02-28T12:00:00Z");
        assert_eq!((root.keys.len(), root.roles.len()), (4, 4));
        assert!(bytes.is_ascii());
        assert_eq!(new_root(&keys, now(), ROOT_DAYS).await.unwrap(), bytes);
    }

    #[tokio::test]
    async fn a_root_with_one_changed_digit_is_not_trusted() {
        let bytes = new_root(&NewKeys::generate().unwrap(), now(), ROOT_DAYS).await.unwrap();
        let changed = String::from_utf8(bytes).unwrap().replace("2031-02", "2041-02");
        let error = trusted(changed.as_bytes()).unwrap_err();
        assert!(matches!(error, RepositoryError::RootSignature(_)));
        assert_eq!(error.exit(), Exit::Trust);
    }

    #[test]
    fn what_is_no_root_is_a_broken_project_file() {
        for bad in ["", "{}", "[]", "<html>"] {
            assert_eq!(trusted(bad.as_bytes()).unwrap_err().exit(), Exit::Project, "{bad}");
        }
    }

    #[tokio::test]
    async fn an_end_beyond_the_calendar_is_refused() {
        let keys = NewKeys::generate().unwrap();
        let error = new_root(&keys, now(), u32::MAX).await.unwrap_err();
        assert!(matches!(error, RepositoryError::Expiry { days: u32::MAX }));
    }
}
