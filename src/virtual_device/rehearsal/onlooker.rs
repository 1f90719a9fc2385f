//! A device that reads the metadata and installs nothing, with the agent's own client: what it
//! comes to trust while keys change.

use super::list::Memory;
use super::{RehearsalError, Source};
use crate::agent::clock::Clock;
use crate::agent::ports::Store;
use crate::agent::tuf::{self, Caps, ROOT_KEY};
use crate::trust::PinnedRoot;

/// A device of the field, with what it remembers from poll to poll.
#[derive(Debug)]
pub struct Onlooker {
    root: Vec<u8>,
    build_time: u64,
    pinned: Vec<PinnedRoot>,
    memory: Memory,
}

/// What a poll ended with.
#[derive(Debug)]
pub struct Sight {
    /// Version of the root that the device trusts now.
    pub root: u64,
    /// Whether it believes what is published, or why not.
    pub read: Result<(), RehearsalError>,
}

impl Onlooker {
    /// A device whose firmware embeds this root, and was built at this time.
    pub fn new(root: Vec<u8>, build_time: u64) -> Self {
        Self { root, build_time, pinned: Vec::new(), memory: Memory::default() }
    }

    /// The same, which trusts servers under these roots.
    pub fn pinning(self, pinned: Vec<PinnedRoot>) -> Self {
        Self { pinned, ..self }
    }

    /// Reads the metadata once.
    ///
    /// # Errors
    ///
    /// Where there is no way to the files. What the device thinks of them is in the answer.
    pub async fn poll(&mut self, source: &Source<'_>) -> Result<Sight, RehearsalError> {
        let mut wire = source.open(&self.pinned)?;
        let mut clock = Clock::new(self.build_time, None);
        let caps = Caps::default();
        let refreshed =
            tuf::refresh(&mut wire, &mut self.memory, &self.root, &mut clock, &caps).await;
        Ok(match refreshed {
            Ok(trusted) => Sight { root: trusted.root_version, read: Ok(()) },
            Err(error) => Sight {
                root: self.remembered().or_else(|| version(&self.root)).unwrap_or(0),
                read: Err(RehearsalError::refused(error.into(), wire)),
            },
        })
    }

    /// The version of the root that it remembers.
    fn remembered(&mut self) -> Option<u64> {
        let mut root = vec![0; Caps::default().root];
        let length = self.memory.get(ROOT_KEY, &mut root).ok()??;
        version(root.get(..length)?)
    }
}

fn version(root: &[u8]) -> Option<u64> {
    let root: serde_json::Value = serde_json::from_slice(root).ok()?;
    root.pointer("/signed/version")?.as_u64()
}
