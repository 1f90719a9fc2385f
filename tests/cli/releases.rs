//! Releases that `publish` would not make, or not today: through the library, with the project's
//! own keys.

use std::path::Path;

use cargo_esp_ota::agent;
use cargo_esp_ota::release::custom::{Caps, Custom, Rollout, VersionSource};
use cargo_esp_ota::release::keys::{KeyFolder, Supplied};
use cargo_esp_ota::release::plan::Plan;
use cargo_esp_ota::release::repository::{Expiry, NewRelease, State, Terms};
use cargo_esp_ota::release::store::Store;
use jiff::{SignedDuration, Timestamp};

use crate::harness::Project;

/// One release that is about to be published.
pub(crate) struct Release {
    custom: Custom,
    image: Vec<u8>,
    now: Timestamp,
}

impl Release {
    /// What `publish` would make of `image` in a project as `init` leaves it.
    pub(crate) fn new(version: &str, image: Vec<u8>) -> Self {
        let caps = agent::tuf::Caps::default();
        let cap = |bytes: usize| u32::try_from(bytes).unwrap();
        let custom = Custom {
            product: "thermostat".into(),
            channels: vec!["stable".into()],
            chip: "esp32c3".parse().unwrap(),
            version: version.into(),
            version_source: VersionSource::AppDescriptor,
            secure_version: 0,
            min_chip_revision: 3,
            rollout: Rollout { percent: 100, seed: version.into() },
            roots: Vec::new(),
            agent: Some(agent::digest()),
            caps: Caps {
                root: cap(caps.root),
                timestamp: cap(caps.timestamp),
                snapshot: cap(caps.snapshot),
                targets: cap(caps.targets),
            },
        };
        Self { custom, image, now: Timestamp::now() }
    }

    /// The same with something changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Custom)) -> Self {
        change(&mut self.custom);
        self
    }

    /// The same, signed so many days ago.
    pub(crate) fn signed_days_ago(mut self, days: i64) -> Self {
        self.now -= SignedDuration::from_hours(24 * days);
        self
    }

    /// Signs and writes everything but the live timestamp.
    pub(crate) fn stage(self, project: &Project) -> Plan {
        runtime().block_on(async {
            let root = std::fs::read(project.path("trust/root.json")).unwrap();
            let store = store(project);
            let state = State::load_overdue(&store, &root, self.now).await.unwrap();
            let folder = project.around("configuration/esp-ota");
            let folder = KeyFolder::new(&folder, "thermostat").unwrap();
            let keys = folder.load_for_publish(&Supplied::default()).unwrap();
            let new = NewRelease { image: self.image, custom: self.custom };
            let terms = Terms { now: self.now, expiry: Expiry::default(), plain_channel: "stable" };
            let plan = state.publish(&keys, vec![new], terms).await.unwrap();
            store.stage(&plan).await.unwrap();
            plan
        })
    }

    /// Signs it and makes it visible.
    pub(crate) fn publish(self, project: &Project) {
        let plan = self.stage(project);
        runtime().block_on(store(project).promote(&plan)).unwrap();
    }
}

/// The file of a published image, for tests that damage it.
pub(crate) fn target(project: &Project, version: &str) -> std::path::PathBuf {
    let end = format!("-{version}.bin");
    let files = std::fs::read_dir(project.path("dist/targets")).unwrap();
    let mut paths = files.map(|entry| entry.unwrap().path());
    paths.find(|path| path.to_string_lossy().ends_with(&end)).unwrap()
}

fn store(project: &Project) -> Store {
    Store::parse("dir:dist", Path::new(&project.path(""))).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
