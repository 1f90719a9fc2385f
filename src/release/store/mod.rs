//! Where a repository is kept, and the order in which a publish writes to it.
//!
//! Until [`Store::promote`] writes the live timestamp, nothing that was written can be reached
//! from a file that a device reads. Numbered metadata is a claim: whoever creates the file has the
//! number, and the newest claim wins (`docs/design/decisions/0014-webdav-store.md`).

mod access;
mod dir;
pub mod error;
mod webdav;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::keys::Role;
use super::plan::{Copy, Existing, LIVE_TIMESTAMP, Plan, STAGED_TIMESTAMP, Upload};
use crate::hex;
pub use access::{Access, Credentials};
use dir::Directory;
pub use error::StoreError;
pub use webdav::WebDavError;
use webdav::{Condition, Patience, WebDav};

/// How far file numbers may run ahead of the live version: one for each publish that died, and
/// nobody has that many. Beyond it somebody planted a number to use up ours.
pub const LARGEST_JUMP: u64 = 1000;

/// A place for static files. Paths are relative and use `/`.
#[derive(Clone, Debug)]
pub enum Store {
    /// A folder of this machine: `dir:PATH`.
    Directory(Directory),
    /// A web server that takes files: `https://HOST/PATH`.
    WebDav(Arc<WebDav>),
}

/// The live timestamp as it is now.
struct Live {
    bytes: Option<Vec<u8>>,
    /// The server's strong tag of it.
    tag: Option<String>,
}

impl Store {
    /// Reads `dir:PATH`. A relative path starts at `project`, the folder of `esp-ota.toml`.
    pub fn parse(text: &str, project: &Path) -> Result<Self, StoreError> {
        match text.split_once(':') {
            Some(("dir", path)) if !path.is_empty() => {
                Ok(Self::Directory(Directory::new(project.join(path))))
            }
            Some(_) | None => Err(StoreError::Scheme(text.to_owned())),
        }
    }

    /// Whether a store of this name is reached over a network, so that it needs [`Access`].
    pub fn is_remote(text: &str) -> bool {
        ["https:", "http:"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// Opens any store. Of `access` a folder needs nothing.
    pub fn open(text: &str, project: &Path, access: Access) -> Result<Self, StoreError> {
        if Self::is_remote(text) {
            let store = WebDav::open(text, access, Patience::default())?;
            return Ok(Self::WebDav(Arc::new(store)));
        }
        Self::parse(text, project)
    }

    /// The folder, where the store is one.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => Some(directory.folder()),
            Self::WebDav(_) => None,
        }
    }

    /// Reads a file; `None` where it does not exist.
    pub async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Directory(directory) => directory.read(path),
            Self::WebDav(server) => Ok(server.read(path).await?.map(|found| found.bytes)),
        }
    }

    /// Whether a file exists.
    pub async fn exists(&self, path: &str) -> Result<bool, StoreError> {
        match self {
            Self::Directory(directory) => directory.exists(path),
            Self::WebDav(server) => Ok(server.exists(path).await?),
        }
    }

    /// Removes a file; one that does not exist is fine.
    pub async fn remove(&self, path: &str) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => directory.remove(path),
            Self::WebDav(server) => Ok(server.remove(path).await?),
        }
    }

    /// The highest number above `above` of any `metadata/N.<role>.json`; `None` where there is
    /// none. One further away than [`LARGEST_JUMP`] need not be found, but may be.
    pub async fn highest(&self, role: Role, above: u64) -> Result<Option<u64>, StoreError> {
        match self {
            Self::Directory(directory) => {
                Ok(directory.highest(role)?.filter(|number| *number > above))
            }
            Self::WebDav(server) => Ok(server.highest(role, above).await?),
        }
    }

    /// Writes the invisible part of a plan, in its order.
    pub async fn stage(&self, plan: &Plan) -> Result<(), StoreError> {
        for upload in &plan.uploads {
            self.upload(upload).await?;
        }
        Ok(())
    }

    /// Writes one file of a plan: for callers that report progress between files.
    pub async fn upload(&self, upload: &Upload) -> Result<(), StoreError> {
        self.upload_with(upload, &|_| {}).await
    }

    /// The same, telling how many bytes of the file were sent so far. After a failure it may begin
    /// again; where the file is there already, nothing is told.
    pub async fn upload_with(
        &self,
        upload: &Upload,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), StoreError> {
        let Upload { path, bytes, existing } = upload;
        match existing {
            Existing::Lost => self.create_new(path, bytes, progress).await,
            Existing::Replace => self.replace(path, bytes, progress).await,
            Existing::Root => match self.read(path).await? {
                Some(found) if found == *bytes => Ok(()),
                Some(_) => Err(StoreError::OtherRoot(path.clone())),
                None => self.create_new(path, bytes, progress).await,
            },
            Existing::Repair => match self.read(path).await? {
                Some(found) if found == *bytes => Ok(()),
                Some(_) | None => self.replace(path, bytes, progress).await,
            },
        }
    }

    /// Makes a staged plan visible, in one step, and then brings the plain copies up to date.
    ///
    /// # Errors
    ///
    /// Where anything is not as this plan left it, or a later publish has begun: nothing is
    /// promoted.
    pub async fn promote(&self, plan: &Plan) -> Result<(), StoreError> {
        if let Some(timestamp) = &plan.timestamp {
            self.go_live(plan, timestamp).await?;
            if self.read(STAGED_TIMESTAMP).await?.as_ref() == Some(timestamp) {
                self.remove(STAGED_TIMESTAMP).await?;
            }
        }
        for upload in &plan.plain {
            self.upload(upload).await?;
        }
        for copy in &plan.copies {
            self.copy(copy).await?;
        }
        for path in &plan.obsolete {
            self.remove(path).await?;
        }
        Ok(())
    }

    async fn copy(&self, Copy { path, of }: &Copy) -> Result<(), StoreError> {
        let from = of.image_path();
        let bytes = self.read(&from).await?.unwrap_or_default();
        if hex::lower(&Sha256::digest(&bytes)) != of.sha256 {
            return Err(StoreError::NotTheImage { path: from, copy: path.clone() });
        }
        let upload = Upload { path: path.clone(), bytes, existing: Existing::Repair };
        self.upload(&upload).await
    }

    /// Writes the live timestamp. A failed try is followed by a look: it may have come through, and
    /// before the next one all has to be as it was, as somebody else may have used the time.
    async fn go_live(&self, plan: &Plan, timestamp: &[u8]) -> Result<(), StoreError> {
        let mut pauses = self.pauses();
        let mut is_conditional = true;
        loop {
            let live = self.check_claim(plan, timestamp).await?;
            let tag = live.tag.filter(|_| is_conditional);
            let written = self.write_live(timestamp, tag.as_deref()).await;
            let now = self.live().await;
            let failed = match (now, written) {
                // Whatever was answered: what counts is what devices see now.
                (Ok(now), _) if now.bytes.as_deref() == Some(timestamp) => return Ok(()),
                (Ok(_), Ok(())) => return Err(StoreError::Overwritten),
                (Err(error), Ok(())) => return Err(error),
                (Ok(now), Err(_)) if now.bytes != plan.base => return Err(StoreError::Overtaken),
                (_, Err(failed)) => failed,
            };
            if tag.is_some() && failed.is_precondition() {
                // The file is the one that was meant: the server does not hold on to its own tags.
                is_conditional = false;
                continue;
            }
            match pauses.next() {
                Some(pause) if failed.is_passing() => tokio::time::sleep(pause).await,
                Some(_) | None => return Err(failed),
            }
        }
    }

    fn pauses(&self) -> Box<dyn Iterator<Item = Duration> + Send> {
        match self {
            Self::Directory(_) => Box::new(std::iter::empty()),
            Self::WebDav(server) => Box::new(server.each_pause()),
        }
    }

    async fn write_live(&self, timestamp: &[u8], tag: Option<&str>) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => directory.replace(LIVE_TIMESTAMP, timestamp),
            Self::WebDav(server) => {
                let condition = tag.map_or(Condition::Any, Condition::Tag);
                Ok(server.replace_once(LIVE_TIMESTAMP, timestamp, condition).await?)
            }
        }
    }

    async fn live(&self) -> Result<Live, StoreError> {
        match self {
            Self::Directory(directory) => {
                Ok(Live { bytes: directory.read(LIVE_TIMESTAMP)?, tag: None })
            }
            Self::WebDav(server) => Ok(match server.read(LIVE_TIMESTAMP).await? {
                Some(found) => Live { bytes: Some(found.bytes), tag: found.tag },
                None => Live { bytes: None, tag: None },
            }),
        }
    }

    /// Whether the plan may go live: nobody published since it was made, what it staged is still
    /// there, and nobody claimed a later number.
    async fn check_claim(&self, plan: &Plan, timestamp: &[u8]) -> Result<Live, StoreError> {
        self.check_base(plan).await?;
        for claim in plan.claims() {
            if self.read(&claim.path).await?.as_ref() != Some(&claim.bytes) {
                return Err(StoreError::Changed(claim.path.clone()));
            }
        }
        if let Some(ours) = plan.number(Role::Snapshot)
            && let Some(later) = self.highest(Role::Snapshot, ours).await?
        {
            return Err(StoreError::LaterClaim(format!("metadata/{later}.snapshot.json")));
        }
        if self.read(STAGED_TIMESTAMP).await?.as_deref() != Some(timestamp) {
            return Err(StoreError::NotStaged);
        }
        // Once more: all of that took time.
        self.check_base(plan).await
    }

    async fn check_base(&self, plan: &Plan) -> Result<Live, StoreError> {
        let live = self.live().await?;
        if live.bytes == plan.base { Ok(live) } else { Err(StoreError::Overtaken) }
    }

    async fn create_new(
        &self,
        path: &str,
        bytes: &[u8],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => {
                directory.create_new(path, bytes)?;
                progress(length(bytes));
                Ok(())
            }
            Self::WebDav(server) => server.create_new(path, bytes, progress).await,
        }
    }

    async fn replace(
        &self,
        path: &str,
        bytes: &[u8],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => {
                directory.replace(path, bytes)?;
                progress(length(bytes));
                Ok(())
            }
            Self::WebDav(server) => Ok(server.replace(path, bytes, progress).await?),
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
