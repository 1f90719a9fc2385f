//! Publishing, from keys to what a TUF client reads, in a real folder.

mod reproducible;
mod rotation;
mod trust;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tempfile::TempDir;
use tough::{FilesystemTransport, IntoVec, RepositoryLoader, TargetName};
use url::Url;

use super::custom::{Custom, tests::example};
use super::keys::NewKeys;
use super::plan::Plan;
use super::repository::{Expiry, NewRelease, RepositoryError, State, Terms, View};
use super::root::{ROOT_DAYS, new_root};
use super::rules::Refused;
use super::store::{Access, Store, StoreError};
use crate::chip::Chip;
use crate::error::{Exit, Explained};

struct Bench {
    folder: TempDir,
    store: Store,
    keys: NewKeys,
    root: Vec<u8>,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = NewKeys::generate().unwrap();
        let root = new_root(&keys, Timestamp::now(), ROOT_DAYS).await.unwrap();
        let store = Store::parse("dir:dist", folder.path()).unwrap();
        Self { folder, store, keys, root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("dist").join(path)
    }

    async fn load(&self) -> Result<State, RepositoryError> {
        State::load(&self.store, &self.root, View::Live, Timestamp::now()).await
    }

    async fn plan_at(&self, now: Timestamp, new: Vec<NewRelease>) -> Result<Plan, RepositoryError> {
        let terms = Terms { now, expiry: Expiry::default(), plain_channel: "stable" };
        self.load().await?.publish(&self.keys.publish, new, terms).await
    }

    async fn plan(&self, new: Vec<NewRelease>) -> Result<Plan, RepositoryError> {
        self.plan_at(Timestamp::now(), new).await
    }

    async fn publish(&self, new: Vec<NewRelease>) -> Result<Plan, RepositoryError> {
        let plan = self.plan(new).await?;
        self.store.stage(&plan).await?;
        self.store.promote(&plan).await?;
        Ok(plan)
    }

    /// Reads a target the way any other client does, with nothing of ours in between.
    async fn fetch(&self, name: &str) -> Option<Vec<u8>> {
        let address = |path| Url::from_directory_path(self.path(path)).unwrap();
        let client = RepositoryLoader::new(&self.root, address("metadata"), address("targets"))
            .transport(FilesystemTransport)
            .load()
            .await
            .unwrap();
        let stream = client.read_target(&TargetName::new(name).unwrap()).await.unwrap()?;
        Some(stream.into_vec().await.unwrap())
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path(""), &mut files);
        files
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
}

fn release(version: &str) -> NewRelease {
    NewRelease { image: image(version), custom: example(version) }
}

fn image(version: &str) -> Vec<u8> {
    format!("image {version}").into_bytes()
}

fn changed(version: &str, change: impl FnOnce(&mut Custom)) -> NewRelease {
    let mut release = release(version);
    change(&mut release.custom);
    release
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap()
}

#[tokio::test]
async fn two_releases_are_published_and_any_client_reads_them() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    bench.publish(vec![release("v1.1.0")]).await.unwrap();
    for version in ["1.0.0", "v1.1.0"] {
        let name = format!("thermostat-esp32c3-{}.bin", version.trim_start_matches('v'));
        assert_eq!(bench.fetch(&name).await, Some(image(version)));
    }
    assert_eq!(bench.fetch("thermostat-esp32c3-9.9.9.bin").await, None);

    let folder = bench.path("");
    let names: Vec<String> = bench
        .files()
        .into_keys()
        .map(|path| path.strip_prefix(&folder).unwrap().display().to_string())
        .filter(|path| !path.starts_with("targets/"))
        .collect();
    assert_eq!(
        names,
        [
            "esp32c3/firmware.bin",
            "metadata/1.root.json",
            "metadata/1.snapshot.json",
            "metadata/1.targets.json",
            "metadata/2.snapshot.json",
            "metadata/2.targets.json",
            "metadata/timestamp.json",
        ]
    );
    assert_eq!(fs::read(bench.path("esp32c3/firmware.bin")).unwrap(), image("v1.1.0"));
    assert_eq!(fs::read(bench.path("metadata/1.root.json")).unwrap(), bench.root);
}

#[tokio::test]
async fn the_metadata_says_what_devices_ask_for() {
    let bench = Bench::new().await;
    let now = "2096-03-01T12:00:00.75Z".parse().unwrap();
    let plan = bench.plan_at(now, vec![release("1.0.0")]).await.unwrap();
    let timestamp = json(plan.timestamp.as_ref().unwrap());
    assert_eq!(timestamp["signed"]["x-signed-at"], "2096-03-01T12:00:00Z");
    assert_eq!(timestamp["signed"]["expires"], "2096-05-30T12:00:00Z");
    let targets = plan.uploads.iter().find(|u| u.path == "metadata/1.targets.json").unwrap();
    let targets = json(&targets.bytes);
    assert_eq!(targets["signed"]["expires"], "2097-03-01T12:00:00Z");
    let target = &targets["signed"]["targets"]["thermostat-esp32c3-1.0.0.bin"];
    assert_eq!(target["length"], 11);
    assert_eq!(target["custom"], serde_json::to_value(example("1.0.0")).unwrap());
    let again = bench.plan_at(now, vec![release("1.0.0")]).await.unwrap();
    assert_eq!(plan, again);
}

#[tokio::test]
async fn several_chips_share_one_publish() {
    let bench = Bench::new().await;
    let s3 = changed("1.0.0", |custom| custom.chip = Chip::Esp32s3);
    bench.publish(vec![release("1.0.0"), s3]).await.unwrap();
    assert!(bench.fetch("thermostat-esp32s3-1.0.0.bin").await.is_some());
    assert!(bench.path("esp32s3/firmware.bin").exists());
    assert!(bench.path("esp32c3/firmware.bin").exists());
    assert!(!bench.path("metadata/2.targets.json").exists());
}

#[tokio::test]
async fn a_release_for_some_devices_leaves_the_plain_copy_alone() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    let some = changed("1.1.0", |custom| custom.rollout.percent = 99);
    bench.publish(vec![some]).await.unwrap();
    let beta = changed("1.2.0", |custom| custom.channels = vec!["beta".into()]);
    bench.publish(vec![beta]).await.unwrap();
    assert_eq!(fs::read(bench.path("esp32c3/firmware.bin")).unwrap(), image("1.0.0"));
}

#[tokio::test]
async fn what_the_rules_refuse_leaves_the_store_alone() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.1.0")]).await.unwrap();
    let before = bench.files();
    let other_bytes = NewRelease { image: b"other".to_vec(), custom: example("1.1.0") };
    let capped = changed("1.2.0", |custom| custom.caps.targets = 100);
    for bad in [release("1.0.0"), other_bytes, release("1.2.0+7"), release("one"), capped] {
        let error = bench.publish(vec![bad]).await.unwrap_err();
        assert!(matches!(error, RepositoryError::Refused(_)), "{error}");
        assert_eq!(error.exit(), Exit::Rejected);
    }
    let twice =
        vec![release("1.2.0"), NewRelease { image: b"other".to_vec(), custom: example("1.2.0") }];
    let error = bench.publish(twice).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Refused(Refused::OtherBytes { .. })));
    assert_eq!(bench.files(), before);
}

#[tokio::test]
async fn the_same_bytes_again_change_nothing_but_damaged_files() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    let before = bench.files();
    let plan = bench.publish(vec![release("1.0.0")]).await.unwrap();
    assert!(plan.is_published() && plan.releases.is_empty());
    assert_eq!(bench.files(), before);
    let image = plan.uploads.first().unwrap().path.clone();
    for damaged in ["esp32c3/firmware.bin", &image] {
        fs::write(bench.path(damaged), "torn").unwrap();
        bench.publish(vec![release("1.0.0")]).await.unwrap();
        assert_eq!(bench.files(), before, "{damaged}");
    }
}

#[tokio::test]
async fn a_publish_that_dies_anywhere_leaves_devices_the_old_repository() {
    let mut steps = 0;
    loop {
        let bench = Bench::new().await;
        bench.publish(vec![release("1.0.0")]).await.unwrap();
        let before = bench.files();
        let plan = bench.plan(vec![release("1.1.0")]).await.unwrap();
        for upload in plan.uploads.iter().take(steps) {
            bench.store.upload(upload).await.unwrap();
        }
        for (path, bytes) in &before {
            assert_eq!(&fs::read(path).unwrap(), bytes, "after {steps} steps");
        }
        assert_eq!(bench.load().await.unwrap().releases().len(), 1);

        let dead = bench.files();
        let next = bench.publish(vec![release("1.1.0")]).await.unwrap();
        for upload in &next.uploads {
            let fresh = !dead.contains_key(&bench.path(&upload.path));
            assert!(fresh || !upload.path.contains(".snapshot.json"), "{}", upload.path);
            assert!(fresh || !upload.path.contains(".targets.json"), "{}", upload.path);
        }
        assert_eq!(bench.fetch("thermostat-esp32c3-1.1.0.bin").await, Some(image("1.1.0")));
        if steps == plan.uploads.len() {
            let dead = json(plan.timestamp.as_ref().unwrap())["signed"]["version"].as_u64();
            let live = json(next.timestamp.as_ref().unwrap())["signed"]["version"].as_u64();
            assert!(dead < live, "a staged timestamp's number came again");
            break;
        }
        steps += 1;
    }
    assert_eq!(steps, 5);
}

#[tokio::test]
async fn a_staged_release_is_seen_through_the_staged_timestamp_only() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    let plan = bench.plan(vec![release("1.1.0")]).await.unwrap();
    bench.store.stage(&plan).await.unwrap();
    let staged =
        State::load(&bench.store, &bench.root, View::Staged, Timestamp::now()).await.unwrap();
    assert_eq!(staged.releases().len(), 2);
    assert_eq!(bench.load().await.unwrap().releases().len(), 1);
    assert_eq!(bench.fetch("thermostat-esp32c3-1.1.0.bin").await, None);
}

#[tokio::test]
async fn of_two_publishers_at_once_one_wins_and_the_other_exits_1() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();

    // Both began from the same state: the slower one finds its number taken.
    let one = bench.plan(vec![release("1.1.0")]).await.unwrap();
    let other = bench.plan(vec![release("1.2.0")]).await.unwrap();
    bench.store.stage(&one).await.unwrap();
    let error = bench.store.stage(&other).await.unwrap_err();
    assert!(matches!(error, StoreError::Lost(_)));
    assert_eq!(error.exit(), Exit::Rejected);

    // The other began after `one` was staged, so it has the later number, and wins, whole.
    let other = bench.plan(vec![release("1.2.0")]).await.unwrap();
    bench.store.stage(&other).await.unwrap();
    let error = bench.store.promote(&one).await.unwrap_err();
    assert!(matches!(error, StoreError::LaterClaim(path) if path == "metadata/3.snapshot.json"));
    assert_eq!(bench.load().await.unwrap().releases().len(), 1);
    bench.store.promote(&other).await.unwrap();
    let error = bench.store.promote(&one).await.unwrap_err();
    assert!(matches!(error, StoreError::Overtaken));
    assert_eq!(bench.fetch("thermostat-esp32c3-1.2.0.bin").await, Some(image("1.2.0")));
}

#[test]
fn what_is_neither_a_folder_nor_an_https_address_is_no_store() {
    let project = Path::new("/project");
    for bad in ["dist", "dir:", "", "s3://bucket/prefix", "ftp://example.com/x", "Dir:x"] {
        let error = Store::open(bad, project, Access::default()).unwrap_err();
        assert!(matches!(error, StoreError::Scheme(_)), "{bad}");
        assert_eq!(error.exit(), Exit::Project);
        assert!(error.help().unwrap().contains("dir:"));
    }
    let inside = Store::parse("dir:a b/dist", project).unwrap();
    assert_eq!(inside.folder(), Some(Path::new("/project/a b/dist")));
    let outside = Store::parse("dir:/srv/www", project).unwrap();
    assert_eq!(outside.folder(), Some(Path::new("/srv/www")));
}

#[tokio::test]
async fn a_store_whose_path_has_a_space_works() {
    let mut bench = Bench::new().await;
    bench.store = Store::parse("dir:my dist", bench.folder.path()).unwrap();
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    assert_eq!(bench.load().await.unwrap().releases().len(), 1);
}
