//! What the agent's TUF client takes at most: heap for repositories of many releases, and heap and
//! bytes from the network for metadata that is made to hurt.
//!
//! `cargo test --test agent_bounds -- --nocapture` prints the figures of docs/design/memory.md.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what is wrong here fails the test"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cargo_esp_ota::agent::clock::Clock;
use cargo_esp_ota::agent::layout::Region;
use cargo_esp_ota::agent::nvs_store::NvsStore;
use cargo_esp_ota::agent::ports::{Response, Transport, TransportError};
use cargo_esp_ota::agent::release::Identity;
use cargo_esp_ota::agent::tuf::{Caps, Error, Trusted, refresh};
use cargo_esp_ota::chip::Chip;
use cargo_esp_ota::release::custom::{self, Custom, Rollout, VersionSource};
use cargo_esp_ota::release::keys::NewKeys;
use cargo_esp_ota::release::repository::{Expiry, NewRelease, RepositoryError, State, Terms, View};
use cargo_esp_ota::release::root::{ROOT_DAYS, new_root};
use cargo_esp_ota::release::store::Store;
use cargo_esp_ota::virtual_device::flash::{FlashHandle, VirtualFlash};
use futures_util::FutureExt;
use jiff::Timestamp;
use peak_alloc::PeakAlloc;
use semver::Version;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test at a time: the allocator counts for all threads.
static ALONE: Mutex<()> = Mutex::new(());

const TIMESTAMP: &str = "metadata/timestamp.json";
/// Heap beside targets.json: the buffer of a stored root, the root, lists of the reader.
const BESIDE: usize = 12 * 1024;
/// The client reads so many bytes at a time, and may find out only then that it is too many.
const CHUNK: usize = 512;
/// What is read in the tests' own name.
const SLACK: usize = 2 * 1024;

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Heap at once beyond what was there before, and heap that stays.
fn heap_of<R>(work: impl FnOnce() -> R) -> (R, usize, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    let [most, kept] = [MEMORY.peak_usage(), MEMORY.current_usage()];
    (result, most.saturating_sub(before), kept.saturating_sub(before))
}

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// A repository as `publish` writes it.
struct Repository {
    root: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Repository {
    fn with(releases: u32) -> Result<Self, RepositoryError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Self::publish(releases))
    }

    async fn publish(releases: u32) -> Result<Self, RepositoryError> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::parse(&format!("dir:{}", folder.path().display()), Path::new(""));
        let store = store.unwrap();
        let keys = NewKeys::generate().unwrap();
        let root = new_root(&keys, now(), ROOT_DAYS).await?;
        let state = State::load(&store, &root, View::Live, now()).await?;
        let new = (1..=releases).map(|minor| release(&format!("1.{minor}.0"))).collect();
        let terms = Terms { now: now(), expiry: Expiry::default(), plain_channel: "stable" };
        let plan = state.publish(&keys.publish, new, terms).await?;
        let mut files: BTreeMap<String, Vec<u8>> =
            plan.uploads.iter().map(|file| (file.path.clone(), file.bytes.clone())).collect();
        files.insert(TIMESTAMP.into(), plan.timestamp.unwrap());
        Ok(Self { root, files })
    }

    fn size(&self, end: &str) -> usize {
        self.files.iter().find(|(path, _)| path.ends_with(end)).unwrap().1.len()
    }
}

fn release(version: &str) -> NewRelease {
    let caps = Caps::default();
    let cap = |bytes: usize| u32::try_from(bytes).unwrap();
    let custom = Custom {
        product: "thermostat".into(),
        channels: vec!["stable".into()],
        chip: Chip::Esp32c3,
        version: version.into(),
        version_source: VersionSource::AppDescriptor,
        secure_version: 0,
        min_chip_revision: 3,
        rollout: Rollout { percent: 100, seed: version.into() },
        roots: vec!["ab".repeat(32), "cd".repeat(32)],
        agent: Some("ef".repeat(32)),
        caps: custom::Caps {
            root: cap(caps.root),
            timestamp: cap(caps.timestamp),
            snapshot: cap(caps.snapshot),
            targets: cap(caps.targets),
        },
    };
    NewRelease { image: format!("image {version}").into_bytes(), custom }
}

/// Serves a repository from memory, and counts what is read.
struct Server<'a> {
    files: &'a BTreeMap<String, Vec<u8>>,
    announces: bool,
    body: &'a [u8],
    read: usize,
}

impl<'a> Server<'a> {
    fn new(files: &'a BTreeMap<String, Vec<u8>>) -> Self {
        Self { files, announces: true, body: &[], read: 0 }
    }
}

impl Transport for Server<'_> {
    async fn get(
        &mut self,
        path: &str,
        _: u32,
        _: Option<&str>,
    ) -> Result<Response, TransportError> {
        let Some(file) = self.files.get(path) else {
            return Ok(Response { status: 404, ..Response::default() });
        };
        self.body = file;
        let length = u32::try_from(file.len()).ok().filter(|_| self.announces);
        Ok(Response { status: 200, length, ..Response::default() })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        let (now, later) = self.body.split_at(self.body.len().min(buf.len()));
        buf[..now.len()].copy_from_slice(now);
        self.body = later;
        self.read += now.len();
        Ok(now.len())
    }
}

/// The memory of a device in flash, as devices have it.
fn device() -> NvsStore<FlashHandle> {
    open(FlashHandle::new(VirtualFlash::new(0x10000)))
}

fn open(flash: FlashHandle) -> NvsStore<FlashHandle> {
    NvsStore::open(flash, Region { start: 0x9000, len: 0x5000 }).unwrap()
}

fn run(
    server: &mut Server<'_>,
    device: &mut NvsStore<FlashHandle>,
    root: &[u8],
) -> Result<Trusted, Error> {
    let mut clock = Clock::new(u64::try_from(now().as_second()).unwrap(), None);
    let caps = Caps::default();
    refresh(server, device, root, &mut clock, &caps).now_or_never().expect("nothing waits")
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
}

#[test]
fn the_heap_of_a_refresh_is_little_more_than_the_list_of_releases() {
    let _alone = alone();
    for releases in [1_u32, 10, 50, 100] {
        let repository = Repository::with(releases).unwrap();
        let list = repository.size(".targets.json");
        let flash = FlashHandle::new(VirtualFlash::new(0x10000));
        let (mut device, _, store) = heap_of(|| open(flash));
        let mut server = Server::new(&repository.files);
        let (trusted, most, kept) = heap_of(|| run(&mut server, &mut device, &repository.root));
        let trusted = trusted.unwrap();
        assert_eq!(trusted.targets.iter().count(), usize::try_from(releases).unwrap());
        let identity = Identity {
            product: "thermostat".into(),
            channel: "stable".into(),
            chip: "esp32c3".into(),
            device_id: "0123456789ab".into(),
            version: Version::new(1, 0, 0),
        };
        let (selection, select, _) = heap_of(|| trusted.select(&identity, |_| false));
        assert_eq!(selection.candidate.unwrap().version, Version::new(1, releases.into(), 0));
        say(&format!(
            "{releases} releases: targets.json {list}, peak {most}, kept {kept}, \
             choosing {select}; {} read; store {store}",
            server.read
        ));
        assert!(most <= list.max(8 * 1024) + BESIDE, "{releases} releases: {most} bytes");
        assert!(kept <= list + SLACK && select <= 8 * 1024, "{kept}, {select}");
    }
}

#[test]
fn more_releases_than_a_device_can_hold_are_not_published() {
    let _alone = alone();
    let error = Repository::with(200).err().expect("200 releases are above the cap");
    say(&format!("200 releases: {error}"));
    assert!(matches!(error, RepositoryError::Refused(_)), "{error}");
}

/// Refreshes with `file` in place of the timestamp, with its length announced and without. Gives
/// the code of the refusal; bytes and heap are within the cap.
fn refused(repository: &Repository, file: &[u8]) -> String {
    let mut files = repository.files.clone();
    files.insert(TIMESTAMP.into(), file.to_vec());
    let cap = Caps::default().timestamp;
    let codes = [true, false].map(|announces| {
        let mut device = device();
        let mut server = Server { announces, ..Server::new(&files) };
        let (result, most, kept) = heap_of(|| run(&mut server, &mut device, &repository.root));
        let code = result.expect_err("nobody signed this").code();
        assert!(server.read <= cap + CHUNK, "{} bytes read", server.read);
        assert!(most <= cap + BESIDE + SLACK, "{most} bytes of heap, {code}");
        assert!(kept <= SLACK, "{kept} bytes stay");
        say(&format!("{code}: {} bytes sent, {} read, peak {most}", file.len(), server.read));
        code
    });
    assert_eq!(codes[0], codes[1]);
    codes[0].clone()
}

#[test]
fn metadata_that_is_made_to_hurt_costs_no_more_than_its_cap() {
    let _alone = alone();
    let repository = Repository::with(1).unwrap();
    let spaces = vec![b' '; 10_000_000];
    assert_eq!(refused(&repository, &spaces), "too-large-timestamp");
    let padded = [&spaces[..], &repository.files[TIMESTAMP]].concat();
    assert_eq!(refused(&repository, &padded), "too-large-timestamp");

    let within = |text: &str| text.repeat(4096 / text.len());
    assert_eq!(refused(&repository, within("[").as_bytes()), "nested-too-deep-timestamp");
    assert_eq!(refused(&repository, within("{\"a\":").as_bytes()), "nested-too-deep-timestamp");
    assert_eq!(refused(&repository, within("9").as_bytes()), "malformed-timestamp");
    assert_eq!(refused(&repository, within("\u{e9}").as_bytes()), "malformed-timestamp");
    assert_eq!(refused(&repository, &[0xff; 4096]), "malformed-timestamp");
    let twice = r#"{"signed":{},"signed":{},"signatures":[]}"#;
    assert_eq!(refused(&repository, twice.as_bytes()), "duplicate-key-timestamp");
    let keys: Vec<String> = (0..500).map(|key| format!("\"{key}\":0")).collect();
    let many = format!("{{{}}}", keys.join(","));
    assert_eq!(refused(&repository, many.as_bytes()), "invalid-timestamp");
}
