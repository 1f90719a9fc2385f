//! Making a staged plan visible: who may, and the one write that does it.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::webdav::Condition;
use super::{Store, StoreError};
use crate::hex;
use crate::release::keys::Role;
use crate::release::plan::{Copy, Existing, LIVE_TIMESTAMP, Plan, STAGED_TIMESTAMP, Upload};

/// The live timestamp as it is now.
struct Live {
    bytes: Option<Vec<u8>>,
    /// The server's strong tag of it.
    tag: Option<String>,
}

impl Store {
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
            // A root is nobody else's to write.
            if upload.existing != Existing::Repair || self.is_live(plan).await? {
                self.upload(upload).await?;
            }
        }
        for copy in &plan.copies {
            if self.is_live(plan).await? {
                self.copy(copy).await?;
            }
        }
        for path in &plan.obsolete {
            if self.is_live(plan).await? {
                self.remove(path).await?;
            }
        }
        Ok(())
    }

    /// Whether what this plan made live still is: else the plain copies are a later publish's to
    /// write, and ours would be older.
    async fn is_live(&self, plan: &Plan) -> Result<bool, StoreError> {
        let ours = plan.timestamp.as_ref().or(plan.base.as_ref());
        Ok(self.live().await?.bytes.as_ref() == ours)
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

    /// Whether a staged plan may go live: nobody published since it was made, what it staged is
    /// still there, and nobody claimed a later number.
    async fn check_claim(&self, plan: &Plan, timestamp: &[u8]) -> Result<Live, StoreError> {
        self.check_base(plan).await?;
        for claim in plan.claims() {
            if self.read(&claim.path).await?.as_ref() != Some(&claim.bytes) {
                return Err(StoreError::Changed(claim.path.clone()));
            }
        }
        if let Some(ours) = plan.number(Role::Snapshot) {
            self.check_newest(ours).await?;
        }
        if self.read(STAGED_TIMESTAMP).await?.as_deref() != Some(timestamp) {
            return Err(StoreError::NotStaged);
        }
        // Once more: all of that took time.
        self.check_base(plan).await
    }

    /// Whether nobody claimed a later number for a list of metadata than `ours`.
    pub(super) async fn check_newest(&self, ours: u64) -> Result<(), StoreError> {
        match self.highest(Role::Snapshot, ours).await? {
            None => Ok(()),
            Some(later) => Err(StoreError::LaterClaim(format!("metadata/{later}.snapshot.json"))),
        }
    }

    async fn check_base(&self, plan: &Plan) -> Result<Live, StoreError> {
        let live = self.live().await?;
        if live.bytes == plan.base { Ok(live) } else { Err(StoreError::Overtaken) }
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
}
