//! A rotation, played on a copy of the repository before it is made: what devices will do.
//!
//! A root that devices do not follow cannot be taken back, so the agent's own client reads every
//! state that a device can meet, before the first byte is written where devices look.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use super::error::RotateError;
use crate::commands::ContextError;
use crate::error::Failure;
use crate::release::keys::Role;
use crate::release::plan::{Existing, LIVE_TIMESTAMP, Plan, Upload};
use crate::release::repository::View;
use crate::release::root::RootFile;
use crate::release::rotation::Rotation;
use crate::release::store::Store;
use crate::virtual_device::rehearsal::{Onlooker, Place, Source, build_time};

/// What a device of the field does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Walk {
    /// The root that its firmware embeds.
    pub(super) embedded: u64,
    /// The roots that it trusts, one after the other.
    pub(super) roots: Vec<u64>,
    /// Whether it believes what is published at the end; `null` where nothing is.
    pub(super) reads_releases: Option<bool>,
}

/// A copy of the metadata in a temporary folder.
struct Copy {
    store: Store,
    now: Timestamp,
    #[expect(dead_code, reason = "it is removed when it is dropped")]
    folder: TempDir,
}

/// Lets a device for each of `embedded` poll before, while and after the rotation is written.
pub(super) async fn play(
    store: &Store,
    embedded: &[RootFile],
    rotation: &Rotation,
    now: Timestamp,
) -> Result<Vec<Walk>, Failure> {
    let copy = Copy::of(store, embedded, now).await?;
    let is_live = rotation.plan.timestamp.is_some() || copy.is_live().await?;
    let mut devices: Vec<(Onlooker, Walk)> = embedded
        .iter()
        .map(|root| {
            let embedded = root.version();
            let walk = Walk { embedded, roots: vec![embedded], reads_releases: None };
            (Onlooker::new(root.bytes.clone(), build_time(now)), walk)
        })
        .collect();

    // What is there now may be beyond its time; then the rotation can only mend it.
    let was_good = copy.poll(&mut devices, false).await?;
    for upload in &rotation.plan.uploads {
        copy.store.upload(upload).await?;
        copy.poll(&mut devices, is_live && was_good).await?;
    }
    if rotation.plan.timestamp.is_some() {
        let promoted = Plan { plain: Vec::new(), ..rotation.plan.clone() };
        copy.store.promote(&promoted).await?;
        copy.poll(&mut devices, true).await?;
    }
    for upload in &rotation.plan.plain {
        copy.store.upload(upload).await?;
    }
    let is_signed_anew = rotation.plan.timestamp.is_some();
    let all = copy.poll(&mut devices, is_live && (was_good || is_signed_anew)).await?;
    let walks = devices.into_iter().map(|(_, mut walk)| {
        walk.reads_releases = is_live.then_some(all);
        walk
    });
    Ok(walks.collect())
}

/// The version of a role's file that a file of metadata lists.
fn listed(file: &[u8], role: Role) -> Option<u64> {
    let file: Value = serde_json::from_slice(file).ok()?;
    file.pointer(&format!("/signed/meta/{role}.json/version"))?.as_u64()
}

impl Copy {
    async fn of(store: &Store, roots: &[RootFile], now: Timestamp) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()
            .map_err(|source| ContextError::Output { file: std::env::temp_dir(), source })?;
        let copy = Self { store: Store::parse("dir:repository", folder.path())?, now, folder };
        for root in roots {
            copy.take(store, root.path()).await?;
        }
        // Each file names the next; what does not is refused by devices as it is by `State::load`.
        let mut next = Some(LIVE_TIMESTAMP.to_owned());
        for role in [Role::Snapshot, Role::Targets] {
            let Some(path) = next else { break };
            let version = copy.take(store, path).await?.and_then(|file| listed(&file, role));
            next = version.map(|version| format!("metadata/{version}.{role}.json"));
        }
        if let Some(path) = next {
            copy.take(store, path).await?;
        }
        Ok(copy)
    }

    /// Copies a file, where there is one.
    async fn take(&self, from: &Store, path: String) -> Result<Option<Vec<u8>>, Failure> {
        let Some(bytes) = from.read(&path).await? else { return Ok(None) };
        let upload = Upload { path, bytes, existing: Existing::Replace };
        self.store.upload(&upload).await?;
        Ok(Some(upload.bytes))
    }

    async fn is_live(&self) -> Result<bool, Failure> {
        Ok(self.store.read(LIVE_TIMESTAMP).await?.is_some())
    }

    /// Every device polls once; whether all of them believe what is published.
    async fn poll(
        &self,
        devices: &mut [(Onlooker, Walk)],
        has_to_read: bool,
    ) -> Result<bool, RotateError> {
        let place = Place::Store(&self.store);
        let source = Source { place, view: View::Live, now: self.now };
        let mut all = true;
        for (device, walk) in devices {
            let sight = device.poll(&source).await.map_err(RotateError::Devices)?;
            if walk.roots.last() != Some(&sight.root) {
                walk.roots.push(sight.root);
            }
            match sight.read {
                Err(error) if has_to_read => return Err(RotateError::Devices(error)),
                Err(_) => all = false,
                Ok(()) => {}
            }
        }
        Ok(all)
    }
}
