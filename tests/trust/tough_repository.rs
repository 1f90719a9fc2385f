//! Repositories that `tough`'s own editor writes, as `tuftool` uses it, with keys of both kinds and new
//! ones in every role.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use tempfile::TempDir;
use tough::editor::RepositoryEditor;
use tough::editor::signed::{PathExists, SignedRole};
use tough::key_source::{KeySource, LocalKeySource};
use tough::schema::{KeyHolder, RoleKeys, RoleType, Root, Signed};

use crate::device::{Accepted, Device, Memory, refused};
use crate::key::Key::{self, Ed25519, P256};
use crate::repository::{EXPIRES, Files, Repository};
use crate::world::World;

/// Keys and threshold of root, timestamp, snapshot and targets.
type Keys<'a> = [(u64, &'a [Key]); 4];

const ROLES: [RoleType; 4] =
    [RoleType::Root, RoleType::Timestamp, RoleType::Snapshot, RoleType::Targets];

const FIRST: Keys<'_> = [(1, &[Ed25519(1)]), (1, &[P256(2)]), (1, &[P256(3)]), (1, &[Ed25519(4)])];

/// Whoever runs `tuftool`: a folder with the repository and the private keys.
struct Publisher {
    folder: TempDir,
    root: Root,
}

impl Publisher {
    /// Version 1 of a root with [`FIRST`] as its keys.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["keys", "in", "out"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let root = Root {
            spec_version: "1.0.0".into(),
            consistent_snapshot: true,
            version: NonZeroU64::MIN,
            expires: EXPIRES.parse().unwrap(),
            keys: [].into(),
            roles: [].into(),
            _extra: [].into(),
        };
        let mut publisher = Self { folder, root };
        publisher.name_keys(&FIRST).await;
        publisher.sign_root(FIRST[0].1).await;
        publisher
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn source(&self, key: Key) -> LocalKeySource {
        let path = self.path(&format!("keys/{key:?}"));
        fs::write(&path, key.pkcs8()).unwrap();
        LocalKeySource { path }
    }

    fn sources(&self, keys: &[Key]) -> Vec<Box<dyn KeySource>> {
        keys.iter().map(|key| -> Box<dyn KeySource> { Box::new(self.source(*key)) }).collect()
    }

    /// Puts keys into the root that is to be signed next.
    async fn name_keys(&mut self, keys: &Keys<'_>) {
        self.root.keys.clear();
        for (role, (threshold, keys)) in ROLES.into_iter().zip(keys) {
            let mut keyids = Vec::new();
            for key in *keys {
                let key = self.source(*key).as_sign().await.unwrap().tuf_key();
                let id = key.key_id().unwrap();
                self.root.keys.insert(id.clone(), key);
                keyids.push(id);
            }
            let threshold = NonZeroU64::new(*threshold).unwrap();
            self.root.roles.insert(role, RoleKeys { keyids, threshold, _extra: [].into() });
        }
    }

    /// Signs the root with those keys that it or its predecessor names.
    async fn sign_root(&self, signers: &[Key]) {
        let before = self.root.version.get() - 1;
        let sign = |names: Root| {
            let (root, sources) = (self.root.clone(), self.sources(signers));
            async move {
                let rng = SystemRandom::new();
                SignedRole::new(root, &KeyHolder::Root(names), &sources, &rng).await
            }
        };
        let mut signed = sign(self.root.clone()).await.unwrap();
        if let Ok(before) = fs::read(self.path(&format!("out/metadata/{before}.root.json"))) {
            let before: Signed<Root> = serde_json::from_slice(&before).unwrap();
            // Fails where none of the signers is one of them.
            if let Ok(old) = sign(before.signed).await {
                signed = signed.add_old_signatures(old.signed().signatures.clone()).unwrap();
            }
        }
        signed.write(self.path("out/metadata"), true).await.unwrap();
    }

    /// The next version of the root.
    async fn rotate(&mut self, keys: &Keys<'_>, signers: &[Key]) {
        self.root.version = self.root.version.checked_add(1).unwrap();
        self.name_keys(keys).await;
        self.sign_root(signers).await;
    }

    /// Publishes one file under this version.
    async fn publish(&self, version: u64, signers: &[Key]) {
        let file = self.path(&format!("in/thermostat-1.{version}.0.bin"));
        fs::write(&file, version.to_string()).unwrap();
        let root = self.path(&format!("out/metadata/{}.root.json", self.root.version));
        let version = NonZeroU64::new(version).unwrap();
        let expires = EXPIRES.parse().unwrap();
        let mut editor = RepositoryEditor::new(root).await.unwrap();
        editor.targets_version(version).unwrap().targets_expires(expires).unwrap();
        editor.snapshot_version(version).snapshot_expires(expires);
        editor.timestamp_version(version).timestamp_expires(expires);
        editor.add_target_path(file).await.unwrap();
        let signed = editor.sign(&self.sources(signers)).await.unwrap();
        signed.write(self.path("out/metadata")).await.unwrap();
        let (from, to) = (self.path("in"), self.path("out/targets"));
        signed.copy_targets(from, to, PathExists::Skip).await.unwrap();
    }

    /// What a server has.
    fn files(&self) -> Files {
        let mut files = Files::new();
        for folder in ["metadata", "targets"] {
            for entry in fs::read_dir(self.path("out").join(folder)).unwrap() {
                let entry = entry.unwrap();
                let path = Path::new(folder).join(entry.file_name());
                files.insert(path.to_str().unwrap().into(), fs::read(entry.path()).unwrap());
            }
        }
        files
    }

    /// A world with these files, and a device that embeds version 1 of the root.
    async fn world(&self) -> World {
        let mut repository = Repository::new();
        repository.files = self.files();
        World::of(repository).await
    }
}

#[tokio::test]
async fn what_tough_publishes_is_read() {
    let publisher = Publisher::new().await;
    publisher.publish(1, &[P256(2), P256(3), Ed25519(4)]).await;
    let mut world = publisher.world().await;
    assert_eq!(world.refresh().await, Accepted);
    let target = world.trusted().targets.find("thermostat-1.1.0.bin").unwrap();
    assert!(publisher.files().contains_key(&target.path(true).unwrap()));
}

/// Every role changes keys twice: from one key to two of three, and then one of the three is lost
/// and replaced.
#[tokio::test]
async fn rotations_that_tough_writes_are_followed_one_by_one_and_all_at_once() {
    let mut publisher = Publisher::new().await;
    publisher.publish(1, &[P256(2), P256(3), Ed25519(4)]).await;
    let mut world = publisher.world().await;
    assert_eq!(world.refresh().await, Accepted);

    publisher
        .rotate(
            &[
                (2, &[P256(11), Ed25519(12), Ed25519(13)]),
                (2, &[Ed25519(21), P256(22), Ed25519(23)]),
                (2, &[P256(31), P256(32), P256(33)]),
                (2, &[Ed25519(41), Ed25519(42), P256(43)]),
            ],
            &[Ed25519(1), P256(11), Ed25519(13)],
        )
        .await;
    let two_of_each = [Ed25519(21), P256(22), P256(31), P256(33), Ed25519(42), P256(43)];
    publisher.publish(2, &two_of_each).await;
    assert_eq!(world.refresh_from(&publisher.files()).await, Accepted);

    // The second key of each role is lost.
    publisher
        .rotate(
            &[
                (2, &[P256(11), Ed25519(13), P256(14)]),
                (2, &[Ed25519(21), Ed25519(23), P256(24)]),
                (2, &[P256(31), P256(33), Ed25519(34)]),
                (2, &[Ed25519(41), P256(43), Ed25519(44)]),
            ],
            &[P256(11), Ed25519(13)],
        )
        .await;
    let two_of_each = [Ed25519(23), P256(24), P256(31), Ed25519(34), P256(43), Ed25519(44)];
    publisher.publish(3, &two_of_each).await;
    let files = publisher.files();
    let expected = Memory { root: 3, online: [3, 3, 3] };
    assert_eq!(world.refresh_from(&files).await, Accepted);
    assert_eq!(world.memory(), expected);

    world.device = Device::of(&world.repository);
    assert_eq!(world.refresh_from(&files).await, Accepted);
    assert_eq!(world.memory(), expected);
}

#[tokio::test]
async fn a_root_that_tough_writes_without_the_old_keys_is_refused() {
    let mut publisher = Publisher::new().await;
    publisher.publish(1, &[P256(2), P256(3), Ed25519(4)]).await;
    let mut keys = FIRST;
    keys[0] = (1, &[P256(11)]);
    publisher.rotate(&keys, &[P256(11)]).await;
    let mut world = publisher.world().await;
    assert_eq!(world.refresh().await, refused("threshold-root"));
    // Both signatures make it good.
    publisher.sign_root(&[Ed25519(1), P256(11)]).await;
    assert_eq!(world.refresh_from(&publisher.files()).await, Accepted);
}
