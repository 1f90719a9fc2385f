//! What a publish will write, in order. Made in memory, before the first byte leaves.

use super::keys::Role;
use super::rules::Release;

/// Where the newest timestamp is, for devices.
pub const LIVE_TIMESTAMP: &str = "metadata/timestamp.json";
/// Where the next timestamp waits to be proven.
pub const STAGED_TIMESTAMP: &str = "metadata/staged/timestamp.json";

/// One file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Path below the store, with `/`.
    pub path: String,
    /// The whole file.
    pub bytes: Vec<u8>,
    /// What to do where the file exists.
    pub existing: Existing,
}

/// What to do where a file to be written exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It is never rewritten: the same bytes are fine, others are another root of trust.
    Root,
    /// Its name or its metadata holds its hash: the same bytes need no writing, others are wrong
    /// and replaced.
    Repair,
    /// Somebody else published under this number: stop.
    Lost,
    /// It is meant to change.
    Replace,
    /// It belongs to whoever claimed the highest number of a list of metadata; ours is this.
    Newest(u64),
}

/// Everything a publish writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The files that no device reads yet, in the order in which they are written; the staged
    /// timestamp is the last. Where everything is published already, its images alone.
    pub uploads: Vec<Upload>,
    /// The new timestamp, where there is one.
    pub timestamp: Option<Vec<u8>>,
    /// The timestamp that was live when the plan was made.
    pub base: Option<Vec<u8>>,
    /// `<chip>/firmware.bin`, written after promotion.
    pub plain: Vec<Upload>,
    /// The same, of images that the store has already.
    pub copies: Vec<Copy>,
    /// Plain copies of releases that not every device may take any more: they go after promotion.
    pub obsolete: Vec<String>,
    /// The releases that this plan adds.
    pub added: Vec<Release>,
    /// The releases that it lists no longer. Their files stay for the time being.
    pub withdrawn: Vec<Release>,
    /// Everything that is listed then; empty where nothing changes.
    pub releases: Vec<Release>,
}

/// A listed image under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Path of the copy below the store.
    pub path: String,
    /// What it is a copy of.
    pub of: Release,
}

impl Plan {
    /// The files whose numbers this plan claims.
    pub fn claims(&self) -> impl Iterator<Item = &Upload> {
        self.uploads.iter().filter(|upload| upload.existing == Existing::Lost)
    }

    /// The number that this plan claims for a role, where it does.
    pub fn number(&self, role: Role) -> Option<u64> {
        let suffix = format!(".{role}.json");
        self.claims().find_map(|claim| {
            claim.path.strip_prefix("metadata/")?.strip_suffix(&suffix)?.parse().ok()
        })
    }

    /// Whether every image was published before, so that no metadata changes.
    pub fn is_published(&self) -> bool {
        self.timestamp.is_none()
    }
}
