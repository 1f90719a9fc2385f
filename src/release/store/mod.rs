//! Where a repository is kept, and the order in which a publish writes to it.
//!
//! Until [`Store::promote`] renames the staged timestamp, nothing that was written can be reached
//! from a file that a device reads.

mod dir;
pub mod error;

use std::path::Path;

use sha2::{Digest, Sha256};

use super::plan::{Copy, Existing, LIVE_TIMESTAMP, Plan, STAGED_TIMESTAMP, Upload};
use crate::hex;
use dir::Directory;
pub use error::StoreError;

/// A place for static files. Paths are relative and use `/`.
#[derive(Clone, Debug)]
pub enum Store {
    /// A folder of this machine: `dir:PATH`.
    Directory(Directory),
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

    /// Reads a file; `None` where it does not exist.
    pub async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            Self::Directory(directory) => directory.read(path),
        }
    }

    /// The names of the files in a folder, in no particular order; none where the folder does not
    /// exist.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Directory(directory) => directory.list(folder),
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
        let Upload { path, bytes, existing } = upload;
        match existing {
            Existing::Lost => self.create_new(path, bytes).await,
            Existing::Replace => self.replace(path, bytes).await,
            Existing::Root => match self.read(path).await? {
                Some(found) if found == *bytes => Ok(()),
                Some(_) => Err(StoreError::OtherRoot(path.clone())),
                None => self.create_new(path, bytes).await,
            },
            Existing::Repair => match self.read(path).await? {
                Some(found) if found == *bytes => Ok(()),
                Some(_) | None => self.replace(path, bytes).await,
            },
        }
    }

    /// Makes a staged plan visible, in one step, and then brings the plain copies up to date.
    ///
    /// # Errors
    ///
    /// Where the live or the staged timestamp is not what this plan left: somebody else published
    /// meanwhile, and nothing is promoted.
    pub async fn promote(&self, plan: &Plan) -> Result<(), StoreError> {
        if let Some(timestamp) = &plan.timestamp {
            if self.read(LIVE_TIMESTAMP).await? != plan.base {
                return Err(StoreError::Overtaken);
            }
            if self.read(STAGED_TIMESTAMP).await?.as_ref() != Some(timestamp) {
                return Err(StoreError::NotStaged);
            }
            match self {
                Self::Directory(directory) => {
                    directory.rename(STAGED_TIMESTAMP, LIVE_TIMESTAMP)?;
                }
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

    /// Removes a file. One that does not exist is fine.
    pub async fn remove(&self, path: &str) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => directory.remove(path),
        }
    }

    async fn create_new(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => directory.create_new(path, bytes),
        }
    }

    async fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Directory(directory) => directory.replace(path, bytes),
        }
    }
}
