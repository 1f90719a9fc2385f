//! A repository, the tool's own HTTPS server in front of it, and a device that reads it.

use std::fs;
use std::sync::{Arc, Mutex};

use cargo_esp_ota::agent::tuf::Trusted;
use cargo_esp_ota::server::{Config, Event, LOOPBACK, Limits, Log, Server};
use tempfile::TempDir;

use crate::device::{Device, Memory, Verdict};
use crate::door::{self, Door};
use crate::repository::{Files, Repository};

/// All there is in one test.
pub(crate) struct World {
    /// What is written next.
    pub(crate) repository: Repository,
    /// Who reads it.
    pub(crate) device: Device,
    door: Door,
    folder: TempDir,
    asked: Arc<Mutex<Vec<String>>>,
    _server: Server,
}

impl World {
    /// A new repository and a new device.
    pub(crate) async fn new() -> Self {
        Self::of(Repository::new()).await
    }

    /// A repository and a new device that embeds version 1 of its root.
    pub(crate) async fn of(repository: Repository) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let leaf = door::certificate();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let config = Config {
            folder: folder.path().to_owned(),
            bind: LOOPBACK,
            chain: leaf.chain,
            key: leaf.key,
            log: Log::new(move |event| {
                if let Event::Access(access) = event {
                    heard.lock().unwrap().push(access.path);
                }
            }),
            limits: Limits::default(),
        };
        let server = Server::start(config).await.unwrap();
        let door = Door::to(server.addr());
        let device = Device::of(&repository);
        Self { repository, device, door, folder, asked, _server: server }
    }

    /// Serves the repository as it is now, and lets the device start and refresh.
    pub(crate) async fn refresh(&mut self) -> Verdict {
        self.serve(&self.repository.files);
        self.device.refresh(&self.door).await
    }

    /// What a new device, which knows nothing but version 1 of the root, says.
    pub(crate) async fn first_refresh(&mut self) -> Verdict {
        self.device = Device::of(&self.repository);
        self.refresh().await
    }

    /// Lets the device refresh from other files, such as those of last week.
    pub(crate) async fn refresh_from(&mut self, files: &Files) -> Verdict {
        self.serve(files);
        self.device.refresh(&self.door).await
    }

    /// What the device knows.
    pub(crate) fn memory(&self) -> Memory {
        self.device.memory()
    }

    /// The versions of timestamp, snapshot and targets that it knows.
    pub(crate) fn online(&self) -> [u64; 3] {
        self.memory().online
    }

    /// What the last refresh proved.
    pub(crate) fn trusted(&self) -> &Trusted {
        self.device.trusted.as_ref().expect("the last refresh failed")
    }

    /// The paths that were asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// Makes the served folder hold exactly these files.
    fn serve(&self, files: &Files) {
        for folder in ["metadata", "targets"] {
            let folder = self.folder.path().join(folder);
            if folder.exists() {
                fs::remove_dir_all(&folder).unwrap();
            }
        }
        for (path, contents) in files {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
    }
}
