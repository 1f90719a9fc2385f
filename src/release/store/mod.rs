//! Where a repository is kept, and the order in which a publish writes to it.
//!
//! Until [`Store::promote`] writes the live timestamp, nothing that was written can be reached
//! from a file that a device reads. Numbered metadata is a claim: whoever creates the file has the
//! number, and the newest claim wins (`docs/design/decisions/0014-webdav-store.md`).

mod access;
mod dir;
pub mod error;
mod promote;
mod webdav;

use std::path::Path;
use std::sync::Arc;

use super::keys::Role;
use super::plan::{Existing, Plan, Upload};
pub use access::{Access, Credentials, Patience};
use dir::Directory;
pub use error::StoreError;
use webdav::WebDav;
pub use webdav::WebDavError;

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
            let store = WebDav::open(text, access)?;
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
            Existing::Newest(number) => {
                self.check_newest(*number).await?;
                self.replace(path, bytes, progress).await
            }
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
