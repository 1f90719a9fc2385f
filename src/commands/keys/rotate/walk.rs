//! A rotation, played on a copy of the repository before it is made: what devices will do.
//!
//! A root that devices do not follow cannot be taken back, so the agent's own client reads every
//! state that a device can meet, in every order in which caches and copies may show the files,
//! before the first byte is written where devices look.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use super::error::RotateError;
use crate::commands::ContextError;
use crate::error::Failure;
use crate::release::keys::Role;
use crate::release::plan::{Existing, LIVE_TIMESTAMP, STAGED_TIMESTAMP, Upload};
use crate::release::repository::View;
use crate::release::root::RootFile;
use crate::release::rotation::Rotation;
use crate::release::store::Store;
use crate::virtual_device::rehearsal::{Onlooker, Place, RehearsalError, Source, build_time};

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
    /// Whether it believes it also where the new metadata is seen before the first new root.
    pub(super) in_any_order: bool,
}

/// What comes to be seen in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The root that lists old and new keys, or the only new one.
    First,
    /// The metadata that was signed again.
    Metadata,
    /// The root that drops keys. It waits for the metadata.
    Last,
}

/// The orders in which what is written may come to be seen; the first is that of the writing. A
/// root with a later number is nothing to a device that does not have the one before.
const ORDERS: [[Event; 3]; 3] = [
    [Event::First, Event::Metadata, Event::Last],
    [Event::Metadata, Event::First, Event::Last],
    [Event::Metadata, Event::Last, Event::First],
];

/// The files of a repository that devices of the field read.
#[derive(Debug)]
pub(super) struct Files {
    roots: Vec<RootFile>,
    /// Timestamp, snapshot and targets, as far as each names the next.
    metadata: Vec<Upload>,
}

/// A device, and whether it believed what was there before.
struct Device {
    onlooker: Onlooker,
    was_good: bool,
    roots: Vec<u64>,
    /// Whether it believes what it saw last.
    reads: bool,
    /// Whether it refused anything after it had believed what was there.
    refused: bool,
    errors: Vec<RehearsalError>,
}

impl Files {
    /// Reads them; `roots` are those that devices embed, and all that follow.
    pub(super) async fn of(store: &Store, roots: Vec<RootFile>) -> Result<Self, Failure> {
        let mut metadata = Vec::new();
        let mut next = Some(LIVE_TIMESTAMP.to_owned());
        for role in [Some(Role::Snapshot), Some(Role::Targets), None] {
            let Some(path) = next.take() else { break };
            let Some(bytes) = store.read(&path).await? else { break };
            next = role.and_then(|role| {
                let file: Value = serde_json::from_slice(&bytes).ok()?;
                let version =
                    file.pointer(&format!("/signed/meta/{role}.json/version"))?.as_u64()?;
                Some(format!("metadata/{version}.{role}.json"))
            });
            metadata.push(Upload { path, bytes, existing: Existing::Replace });
        }
        Ok(Self { roots, metadata })
    }

    fn is_live(&self) -> bool {
        !self.metadata.is_empty()
    }

    /// Whether a device that has `root` already would believe what is published.
    pub(super) async fn are_good_under(
        &self,
        root: &RootFile,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        let copy = Copy::of(&self.metadata, now).await?;
        let mut device = Onlooker::new(root.bytes.clone(), build_time(now));
        let sight = device
            .poll(&copy.source())
            .await
            .map_err(|error| RotateError::Devices(Box::new(error)))?;
        Ok(sight.read.is_ok())
    }

    /// Lets a device for each root poll before, while and after the rotation comes to be seen, in
    /// every order.
    pub(super) async fn play(
        &self,
        rotation: &Rotation,
        now: Timestamp,
    ) -> Result<Vec<Walk>, Failure> {
        let is_signed_again = rotation.plan.timestamp.is_some();
        let is_live = self.is_live() || is_signed_again;
        let mut walks: Vec<Walk> = Vec::new();
        for (index, order) in ORDERS.iter().enumerate() {
            let is_as_written = index == 0;
            for (place, mut device) in
                self.walk(rotation, order, now).await?.into_iter().enumerate()
            {
                // Whatever it met on the way, it ends up there.
                let is_lost = (is_signed_again || device.was_good) && !device.reads;
                let is_bad = is_lost || (is_as_written && device.refused);
                if is_bad && let Some(error) = device.errors.pop() {
                    return Err(RotateError::Devices(Box::new(error)).into());
                }
                match walks.get_mut(place) {
                    Some(walk) => walk.in_any_order &= !device.refused,
                    None => walks.push(Walk {
                        embedded: device.roots.first().copied().unwrap_or_default(),
                        roots: device.roots,
                        reads_releases: is_live.then_some(device.reads),
                        in_any_order: true,
                    }),
                }
            }
        }
        Ok(walks)
    }

    /// One order.
    async fn walk(
        &self,
        rotation: &Rotation,
        order: &[Event],
        now: Timestamp,
    ) -> Result<Vec<Device>, Failure> {
        // What an earlier run wrote may be unseen as well.
        let newest = self.roots.last();
        let hidden = match &rotation.first {
            Some(_) => None,
            None => newest.filter(|root| !root.leaving().is_empty()),
        };
        let first = rotation.first.as_ref().or(hidden);
        let seen: Vec<Upload> = self
            .roots
            .iter()
            .filter(|root| hidden.is_none_or(|hidden| hidden.version() != root.version()))
            .map(plain)
            .chain(self.metadata.iter().cloned())
            .collect();
        let copy = Copy::of(&seen, now).await?;
        let mut devices: Vec<Device> = self
            .roots
            .iter()
            .map(|root| Device {
                onlooker: Onlooker::new(root.bytes.clone(), build_time(now)),
                was_good: false,
                roots: vec![root.version()],
                reads: false,
                refused: false,
                errors: Vec::new(),
            })
            .collect();
        copy.poll(&mut devices).await?;
        for device in &mut devices {
            // What is there now may be beyond its time; then the rotation can only mend it.
            device.was_good = device.reads;
            device.errors.clear();
        }
        for event in order {
            let files: Vec<Upload> = match event {
                Event::First => first.map(plain).into_iter().collect(),
                Event::Metadata => new_metadata(rotation),
                Event::Last => rotation.last.as_ref().map(plain).into_iter().collect(),
            };
            if files.is_empty() {
                continue;
            }
            for file in &files {
                copy.store.upload(file).await?;
            }
            copy.poll(&mut devices).await?;
            let is_mended = *event == Event::Metadata;
            for device in &mut devices {
                device.was_good |= is_mended && device.reads;
            }
        }
        Ok(devices)
    }
}

fn plain(root: &RootFile) -> Upload {
    let (path, bytes) = (root.path(), root.bytes.clone());
    Upload { path, bytes, existing: Existing::Replace }
}

/// What was signed again, the live timestamp last.
fn new_metadata(rotation: &Rotation) -> Vec<Upload> {
    let Some(timestamp) = &rotation.plan.timestamp else { return Vec::new() };
    let is_numbered =
        |upload: &&Upload| upload.path != STAGED_TIMESTAMP && !upload.path.ends_with(".root.json");
    let live = Upload {
        path: LIVE_TIMESTAMP.to_owned(),
        bytes: timestamp.clone(),
        existing: Existing::Replace,
    };
    rotation.plan.uploads.iter().filter(is_numbered).cloned().chain([live]).collect()
}

/// A repository in a temporary folder.
struct Copy {
    store: Store,
    now: Timestamp,
    #[expect(dead_code, reason = "it is removed when it is dropped")]
    folder: TempDir,
}

impl Copy {
    async fn of(files: &[Upload], now: Timestamp) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()
            .map_err(|source| ContextError::Output { file: std::env::temp_dir(), source })?;
        let store = Store::parse("dir:repository", folder.path())?;
        for file in files {
            store.upload(file).await?;
        }
        Ok(Self { store, now, folder })
    }

    fn source(&self) -> Source<'_> {
        Source { place: Place::Store(&self.store), view: View::Live, now: self.now }
    }

    /// Every device polls once.
    async fn poll(&self, devices: &mut [Device]) -> Result<(), RotateError> {
        for device in devices {
            let sight = device
                .onlooker
                .poll(&self.source())
                .await
                .map_err(|error| RotateError::Devices(Box::new(error)))?;
            if device.roots.last() != Some(&sight.root) {
                device.roots.push(sight.root);
            }
            device.reads = sight.read.is_ok();
            device.refused |= device.was_good && !device.reads;
            device.errors.extend(sight.read.err());
        }
        Ok(())
    }
}
