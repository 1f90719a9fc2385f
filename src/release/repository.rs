//! The release repository: its verified present state, and the files that make the next one.
//!
//! Nothing is taken from the store but what `tough`'s own client verified against the TUF root,
//! with expiry enforced; only file *numbers* are, and they can do no more than skip some.

pub mod error;
mod images;
mod next;
mod seal;
mod withdrawn;

use std::collections::HashMap;
use std::num::NonZeroU64;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tough::schema::{Hashes, Metafile, Root, Target};
use tough::{ExpirationEnforcement, RepositoryLoader, TargetName};
use url::Url;

use super::custom::Custom;
use super::keys::{Role, SigningKey};
use super::metadata;
use super::plan::{Existing, Plan, Upload};
use super::root::{self, RootFile};
use super::rules::Release;
use super::store::{LARGEST_JUMP, Store};
pub use super::transport::View;
use super::transport::{BASE, StoreTransport};
use crate::hex;
pub use error::RepositoryError;
pub use images::verify_images;
pub use next::Changes;
use seal::Signers;

/// How long signed metadata is good for, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The list of images.
    pub targets: u32,
    /// The list of metadata.
    pub snapshot: u32,
    /// What is newest: how long a device can be kept from updates unnoticed.
    pub timestamp: u32,
}

impl Default for Expiry {
    /// One year and 90 days (design, section 5).
    fn default() -> Self {
        Self { targets: 365, snapshot: 90, timestamp: 90 }
    }
}

impl Expiry {
    /// Until when metadata of a role is good that is signed at `now`. Roots have a time of their
    /// own, and count as targets here.
    pub fn end(&self, role: Role, now: Timestamp) -> Result<Timestamp, RepositoryError> {
        metadata::days_after(
            now,
            match role {
                Role::Root | Role::Targets => self.targets,
                Role::Snapshot => self.snapshot,
                Role::Timestamp => self.timestamp,
            },
        )
    }
}

/// What to make of metadata whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overdue {
    /// Refuse it, as every device does.
    Refuse,
    /// Read it, to sign it again.
    SignAgain,
}

/// What holds for all images of one publish.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The time that goes into the metadata.
    pub now: Timestamp,
    /// How long the metadata is good for.
    pub expiry: Expiry,
    /// The channel that `<chip>/firmware.bin` follows.
    pub plain_channel: &'a str,
}

/// An image to publish.
#[derive(Clone, Debug)]
pub struct NewRelease {
    /// The bytes that devices write to flash.
    pub image: Vec<u8>,
    /// What the metadata will say about it; a leading `v` of the version is dropped.
    pub custom: Custom,
}

impl NewRelease {
    /// SHA-256 of the image in lower-case hex.
    pub fn sha256(&self) -> String {
        hex::lower(&Sha256::digest(&self.image))
    }
}

/// Until when the live metadata is good; `None` before the first publish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    targets: Option<Timestamp>,
    snapshot: Option<Timestamp>,
    timestamp: Option<Timestamp>,
}

/// A verified repository, or the empty one that a root begins.
#[derive(Clone, Debug)]
pub struct State {
    root: Root,
    root_file: Upload,
    /// The live timestamp, byte for byte; `None` before the first publish.
    base: Option<Vec<u8>>,
    /// What the live snapshot says of the live list of images.
    targets_file: Option<Metafile>,
    targets: HashMap<TargetName, Target>,
    releases: Vec<Release>,
    /// Images that are listed no longer and may still be there: paths below the store.
    withdrawn: Vec<String>,
    ends: Ends,
    targets_number: NonZeroU64,
    snapshot_number: NonZeroU64,
}

impl State {
    /// Reads and verifies the repository in `store` through the timestamp of `view`, starting from
    /// the trusted root `root`. A store without that timestamp is an empty repository. Plans are
    /// made from the live view; the staged one is for looking before [`Store::promote`].
    pub async fn load(
        store: &Store,
        root: &[u8],
        view: View,
        now: Timestamp,
    ) -> Result<Self, RepositoryError> {
        Self::read(store, root, view, Overdue::Refuse, now).await
    }

    /// Reads the live repository although its time may be over: for its publisher, who would be
    /// locked out where nobody published for a while. The root has to be current all the same.
    pub async fn load_overdue(
        store: &Store,
        root: &[u8],
        now: Timestamp,
    ) -> Result<Self, RepositoryError> {
        Self::read(store, root, View::Live, Overdue::SignAgain, now).await
    }

    /// The same, also where the root's time is over: to sign the next root.
    pub async fn load_for_rotation(store: &Store, root: &[u8]) -> Result<Self, RepositoryError> {
        Self::read(store, root, View::Live, Overdue::SignAgain, Timestamp::MIN).await
    }

    async fn read(
        store: &Store,
        root: &[u8],
        view: View,
        overdue: Overdue,
        now: Timestamp,
    ) -> Result<Self, RepositoryError> {
        let trusted = root::trusted(root)?;
        let root_file = Upload {
            path: format!("metadata/{}.root.json", trusted.version),
            bytes: root.to_vec(),
            existing: Existing::Root,
        };
        let base = store.read(view.timestamp()).await?;
        let (root, live) = if base.is_some() {
            let client = client(store, root, view, overdue).await?;
            (client.root().signed.clone(), Some(client))
        } else {
            // Keys can have been rotated before the first publish.
            let newest = root::chain(store, root).await?.pop();
            (newest.map_or(trusted, |newest| newest.root), None)
        };
        if root.expires <= now {
            return Err(RepositoryError::RootExpired(root.expires));
        }

        let versions = live.as_ref().map_or((0, 0), |live| {
            let timestamp = live.timestamp().signed.version.get();
            let snapshot = live.snapshot().signed.version.get();
            (live.targets().signed.version.get(), timestamp.max(snapshot))
        });
        let ends = live.as_ref().map_or(Ends::default(), |live| Ends {
            targets: Some(live.targets().signed.expires),
            snapshot: Some(live.snapshot().signed.expires),
            timestamp: Some(live.timestamp().signed.expires),
        });
        let targets_file =
            live.as_ref().and_then(|live| live.snapshot().signed.meta.get("targets.json").cloned());
        let mut withdrawn = Vec::new();
        for path in live.iter().flat_map(|live| withdrawn::read(&live.targets().signed)) {
            if store.exists(&path).await? {
                withdrawn.push(path);
            }
        }
        let targets = live.map(|live| live.targets().signed.targets.clone()).unwrap_or_default();
        let highest_targets = store.highest(Role::Targets, versions.0).await?;
        let highest_snapshot = store.highest(Role::Snapshot, versions.1).await?;
        Ok(Self {
            root,
            root_file,
            base,
            releases: releases(&targets)?,
            withdrawn,
            targets_file,
            targets,
            ends,
            targets_number: next_number(Role::Targets, versions.0, highest_targets)?,
            snapshot_number: next_number(Role::Snapshot, versions.1, highest_snapshot)?,
        })
    }

    /// Everything that is listed, by file name.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// Whether anything was published.
    pub fn is_live(&self) -> bool {
        self.base.is_some()
    }

    /// Images that are listed no longer and may still be there: paths below the store.
    pub fn withdrawn(&self) -> &[String] {
        &self.withdrawn
    }

    /// Until when the live metadata of a role is good.
    pub fn ends(&self, role: Role) -> Option<Timestamp> {
        match role {
            Role::Root => Some(self.root.expires),
            Role::Targets => self.ends.targets,
            Role::Snapshot => self.ends.snapshot,
            Role::Timestamp => self.ends.timestamp,
        }
    }

    /// Signs everything anew under `root`, as it is listed now, and beside these keys with those
    /// that `both` lists. Nothing is written.
    pub(super) async fn sign_again(
        &self,
        root: &RootFile,
        keys: &OnlineKeys,
        (both, beside): (&RootFile, &[(Role, SigningKey)]),
        (now, expiry): (Timestamp, Expiry),
    ) -> Result<Plan, RepositoryError> {
        let signers = Signers {
            root: &root.root,
            root_size: root.bytes.len(),
            targets: keys.targets.as_ref(),
            snapshot: &keys.snapshot,
            timestamp: &keys.timestamp,
            beside: Some((&both.root, beside)),
        };
        let sealed =
            self.seal(&signers, self.targets.clone(), &self.releases, (now, expiry)).await?;
        let uploads = sealed.uploads();
        let timestamp = Some(sealed.timestamp);
        Ok(Plan { uploads, timestamp, base: self.base.clone(), ..Plan::default() })
    }
}

/// The keys that sign what was published again.
#[derive(Clone, Debug)]
pub struct OnlineKeys {
    /// `None`: the list of images keeps its signature.
    pub targets: Option<SigningKey>,
    /// Signs the list of metadata.
    pub snapshot: SigningKey,
    /// Signs what is newest.
    pub timestamp: SigningKey,
}

async fn client(
    store: &Store,
    root: &[u8],
    view: View,
    overdue: Overdue,
) -> Result<tough::Repository, RepositoryError> {
    let enforcement = match overdue {
        Overdue::Refuse => ExpirationEnforcement::Safe,
        Overdue::SignAgain => ExpirationEnforcement::Unsafe,
    };
    let address = |folder: &str| Url::parse(&format!("{BASE}{folder}/")).expect("a fixed address");
    RepositoryLoader::new(&root, address("metadata"), address("targets"))
        .transport(StoreTransport { store: store.clone(), view })
        .expiration_enforcement(enforcement)
        .load()
        .await
        .map_err(RepositoryError::from_client)
}

pub(super) fn releases(
    targets: &HashMap<TargetName, Target>,
) -> Result<Vec<Release>, RepositoryError> {
    let mut releases = targets
        .iter()
        .map(|(name, target)| {
            let custom = Custom::from_target(&target.custom).map_err(|source| {
                RepositoryError::Custom { target: name.raw().to_owned(), source }
            })?;
            Ok(Release { custom, sha256: hex::lower(&target.hashes.sha256), length: target.length })
        })
        .collect::<Result<Vec<_>, RepositoryError>>()?;
    releases.sort_by_cached_key(|release| release.custom.file_name());
    Ok(releases)
}

/// The number after the live version and after every file of the role: a publish that died leaves
/// files that no timestamp names, and some device may have seen them.
fn next_number(role: Role, live: u64, highest: Option<u64>) -> Result<NonZeroU64, RepositoryError> {
    let highest = highest.unwrap_or(live).max(live);
    if highest > live.saturating_add(LARGEST_JUMP) {
        return Err(RepositoryError::Jump {
            file: format!("metadata/{highest}.{role}.json"),
            live,
        });
    }
    highest.checked_add(1).and_then(NonZeroU64::new).ok_or(RepositoryError::UsedUp { role })
}

fn target(release: &Release, digest: Vec<u8>) -> Result<(TargetName, Target), RepositoryError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| RepositoryError::Encode {
        role: Role::Targets,
        source,
    };
    let name = TargetName::new(release.custom.file_name()).map_err(|error| failed(error.into()))?;
    let target = Target {
        length: release.length,
        hashes: Hashes { sha256: digest.into(), _extra: HashMap::new() },
        custom: release.custom.to_target().map_err(|error| failed(error.into()))?,
        _extra: HashMap::new(),
    };
    Ok((name, target))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::release::custom::tests::example;
    use crate::release::keys::NewKeys;

    #[tokio::test]
    async fn what_a_later_tool_wrote_about_an_old_release_is_kept() {
        let keys = NewKeys::generate().unwrap();
        let now = Timestamp::now();
        let root = root::new_root(&keys, now, 1).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = Store::parse("dir:dist", folder.path()).unwrap();
        let mut state = State::load(&store, &root, View::Live, now).await.unwrap();
        let old = Release { custom: example("1.0.0"), sha256: String::new(), length: 1 };
        let (name, mut listed) = target(&old, vec![0; 32]).unwrap();
        listed.custom.insert("patches".into(), Value::from("kept"));
        state.targets.insert(name, listed);

        let new = NewRelease { image: vec![1], custom: example("1.1.0") };
        let terms = Terms { now, expiry: Expiry::default(), plain_channel: "stable" };
        let plan = state.publish(&keys.publish, vec![new], terms).await.unwrap();
        let targets = plan.uploads.iter().find(|u| u.path == "metadata/1.targets.json").unwrap();
        let targets: Value = serde_json::from_slice(&targets.bytes).unwrap();
        let listed = &targets["signed"]["targets"];
        assert_eq!(listed["thermostat-esp32c3-1.0.0.bin"]["custom"]["patches"], "kept");
        assert!(listed["thermostat-esp32c3-1.1.0.bin"].is_object());
    }

    fn next(highest: Option<u64>, live: u64) -> Result<u64, RepositoryError> {
        next_number(Role::Targets, live, highest).map(NonZeroU64::get)
    }

    #[test]
    fn the_next_number_is_above_the_live_one_and_every_file() {
        assert_eq!(next(None, 0).unwrap(), 1);
        assert_eq!(next(None, 1).unwrap(), 2);
        assert_eq!(next(Some(10), 3).unwrap(), 11);
        assert_eq!(next(Some(2), 3).unwrap(), 4);
    }

    #[test]
    fn a_number_that_no_dead_publish_explains_is_refused() {
        assert_eq!(next(Some(1003), 3).unwrap(), 1004);
        assert!(matches!(next(Some(1004), 3), Err(RepositoryError::Jump { .. })));
        assert!(matches!(next(None, u64::MAX), Err(RepositoryError::UsedUp { .. })));
    }
}
