//! The release repository: its verified present state, and the files that make the next one.
//!
//! Nothing is taken from the store but what `tough`'s own client verified against the TUF root,
//! with expiry enforced; only file *numbers* are, and they can do no more than skip some.

pub mod error;
mod images;

use std::collections::HashMap;
use std::num::NonZeroU64;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tough::schema::{self, Hashes, Metafile, Root, Snapshot, Target, Targets};
use tough::{ExpirationEnforcement, RepositoryLoader, TargetName};
use url::Url;

use super::custom::Custom;
use super::keys::{PublishKeys, Role};
use super::metadata::{self, SPECIFICATION};
use super::plan::{Existing, Plan, STAGED_TIMESTAMP, Upload};
use super::root;
use super::rules::{self, MetadataSizes, Release, Verdict};
use super::store::Store;
pub use super::transport::View;
use super::transport::{BASE, StoreTransport};
use crate::hex;
pub use error::RepositoryError;
pub use images::verify_images;

/// How far file numbers may run ahead of the live version: one for each publish that died, and
/// nobody has that many. Beyond it somebody planted a number to use up ours.
const LARGEST_JUMP: u64 = 1000;

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

/// A verified repository, or the empty one that a root begins.
#[derive(Clone, Debug)]
pub struct State {
    root: Root,
    root_file: Upload,
    /// The live timestamp, byte for byte; `None` before the first publish.
    base: Option<Vec<u8>>,
    targets: HashMap<TargetName, Target>,
    releases: Vec<Release>,
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
            (trusted, None)
        };
        if root.expires <= now {
            return Err(RepositoryError::RootExpired(root.expires));
        }

        let versions = live.as_ref().map_or((0, 0), |live| {
            let timestamp = live.timestamp().signed.version.get();
            let snapshot = live.snapshot().signed.version.get();
            (live.targets().signed.version.get(), timestamp.max(snapshot))
        });
        let targets = live.map(|live| live.targets().signed.targets.clone()).unwrap_or_default();
        let files = store.list("metadata").await?;
        Ok(Self {
            root,
            root_file,
            base,
            releases: releases(&targets)?,
            targets,
            targets_number: next_number(&files, Role::Targets, versions.0)?,
            snapshot_number: next_number(&files, Role::Snapshot, versions.1)?,
        })
    }

    /// Everything that is listed, by file name.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// Works out all files of the next state. Nothing is written.
    ///
    /// # Errors
    ///
    /// Beside failures to sign: any image that the rules of [`super::rules`] refuse.
    pub async fn publish(
        &self,
        keys: &PublishKeys,
        new: Vec<NewRelease>,
        terms: Terms<'_>,
    ) -> Result<Plan, RepositoryError> {
        let mut plan = Plan { base: self.base.clone(), ..Plan::default() };
        let mut releases = self.releases.clone();
        let mut targets = self.targets.clone();
        let mut images = Vec::new();
        for NewRelease { image, mut custom } in new {
            custom.version = rules::version(&custom.version)?.to_string();
            let digest = Sha256::digest(&image).to_vec();
            let length = u64::try_from(image.len()).unwrap_or(u64::MAX);
            let release = Release { sha256: hex::lower(&digest), length, custom };
            if rules::judge(&releases, &release)? == Verdict::New {
                let (name, target) = target(&release, digest)?;
                targets.insert(name, target);
                releases.push(release.clone());
                plan.added.push(release.clone());
            }
            images.push((release, image));
        }

        if !plan.added.is_empty() {
            let sealed = self.seal(keys, targets, &releases, &terms).await?;
            for (release, image) in &images {
                if plan.added.contains(release) {
                    plan.uploads.push(Upload {
                        path: release.image_path(),
                        bytes: image.clone(),
                        existing: Existing::Repair,
                    });
                }
            }
            plan.uploads.push(self.root_file.clone());
            plan.uploads.extend(sealed.uploads());
            plan.timestamp = Some(sealed.timestamp);
        }
        for (release, image) in images {
            let plain = rules::newest_for_everyone(&releases, &release.custom, terms.plain_channel);
            if plain == Some(&release) {
                plan.plain.push(Upload {
                    path: format!("{}/firmware.bin", release.custom.chip),
                    bytes: image,
                    existing: Existing::Repair,
                });
            }
        }
        Ok(plan)
    }

    async fn seal(
        &self,
        keys: &PublishKeys,
        targets: HashMap<TargetName, Target>,
        releases: &[Release],
        terms: &Terms<'_>,
    ) -> Result<Sealed, RepositoryError> {
        let after = |days| metadata::days_after(terms.now, days);
        let targets = Targets {
            spec_version: SPECIFICATION.to_owned(),
            version: self.targets_number,
            expires: after(terms.expiry.targets)?,
            targets,
            delegations: None,
            _extra: HashMap::new(),
        };
        let targets = metadata::seal(Role::Targets, &targets, &self.root, &[&keys.targets]).await?;

        let mut snapshot = Snapshot::new(
            SPECIFICATION.to_owned(),
            self.snapshot_number,
            after(terms.expiry.snapshot)?,
        );
        snapshot.meta.insert("targets.json".into(), metafile(self.targets_number, &targets));
        let snapshot =
            metadata::seal(Role::Snapshot, &snapshot, &self.root, &[&keys.snapshot]).await?;

        // The timestamp shares the snapshot's number. A publish that died after staging a
        // timestamp also left its `N.snapshot.json`, so neither number comes again.
        let mut timestamp = schema::Timestamp::new(
            SPECIFICATION.to_owned(),
            self.snapshot_number,
            after(terms.expiry.timestamp)?,
        );
        timestamp.meta.insert("snapshot.json".into(), metafile(self.snapshot_number, &snapshot));
        let signed_at = after(0)?.to_string();
        timestamp._extra.insert("x-signed-at".into(), Value::String(signed_at));
        let timestamp =
            metadata::seal(Role::Timestamp, &timestamp, &self.root, &[&keys.timestamp]).await?;

        let sizes = MetadataSizes {
            root: self.root_file.bytes.len(),
            timestamp: timestamp.len(),
            snapshot: snapshot.len(),
            targets: targets.len(),
        };
        rules::within_caps(releases, sizes)?;
        Ok(Sealed {
            targets: (self.targets_number, targets),
            snapshot: (self.snapshot_number, snapshot),
            timestamp,
        })
    }
}

/// Signed metadata of one publish.
struct Sealed {
    targets: (NonZeroU64, Vec<u8>),
    snapshot: (NonZeroU64, Vec<u8>),
    timestamp: Vec<u8>,
}

impl Sealed {
    fn uploads(&self) -> [Upload; 3] {
        let numbered = |role: Role, (number, bytes): &(NonZeroU64, Vec<u8>)| Upload {
            path: format!("metadata/{number}.{role}.json"),
            bytes: bytes.clone(),
            existing: Existing::Lost,
        };
        [
            numbered(Role::Targets, &self.targets),
            numbered(Role::Snapshot, &self.snapshot),
            Upload {
                path: STAGED_TIMESTAMP.to_owned(),
                bytes: self.timestamp.clone(),
                existing: Existing::Replace,
            },
        ]
    }
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
fn next_number(files: &[String], role: Role, live: u64) -> Result<NonZeroU64, RepositoryError> {
    let suffix = format!(".{role}.json");
    let mut highest = live;
    for file in files {
        let Some(number) = file.strip_suffix(&suffix).and_then(|text| text.parse::<u64>().ok())
        else {
            continue;
        };
        if number > live.saturating_add(LARGEST_JUMP) {
            return Err(RepositoryError::Jump { file: format!("metadata/{file}"), live });
        }
        highest = highest.max(number);
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

fn metafile(version: NonZeroU64, bytes: &[u8]) -> Metafile {
    Metafile {
        length: u64::try_from(bytes.len()).ok(),
        hashes: Some(Hashes {
            sha256: Sha256::digest(bytes).to_vec().into(),
            _extra: HashMap::new(),
        }),
        version,
        _extra: HashMap::new(),
    }
}

#[cfg(test)]
mod tests {
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

    fn next(files: &[&str], live: u64) -> Result<u64, RepositoryError> {
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        next_number(&files, Role::Targets, live).map(NonZeroU64::get)
    }

    #[test]
    fn the_next_number_is_above_the_live_one_and_every_file() {
        assert_eq!(next(&[], 0).unwrap(), 1);
        assert_eq!(next(&["1.targets.json", "9.snapshot.json", "2.root.json"], 1).unwrap(), 2);
        assert_eq!(next(&["10.targets.json", "9.targets.json"], 3).unwrap(), 11);
        assert_eq!(next(&["x.targets.json", ".targets.json", "-1.targets.json"], 0).unwrap(), 1);
    }

    #[test]
    fn a_number_that_no_dead_publish_explains_is_refused() {
        assert_eq!(next(&["1003.targets.json"], 3).unwrap(), 1004);
        assert!(matches!(next(&["1004.targets.json"], 3), Err(RepositoryError::Jump { .. })));
        assert!(matches!(next(&[], u64::MAX), Err(RepositoryError::UsedUp { .. })));
    }
}
