//! The device under attack: the agent's own client over TLS, with its memory in NVS on virtual flash.
//!
//! Every refresh is a restart. All that lives on is what the flash holds.

use cargo_esp_ota::agent::clock::{Clock, unix_seconds};
use cargo_esp_ota::agent::layout::Region;
use cargo_esp_ota::agent::nvs_store::NvsStore;
use cargo_esp_ota::agent::ports::Store;
use cargo_esp_ota::agent::tuf::{Caps, Error, ROOT_KEY, STATE_KEY, Trusted, refresh};
use cargo_esp_ota::virtual_device::flash::{FlashHandle, VirtualFlash};
use cargo_esp_ota::virtual_device::tls_transport::TlsTransport;
use serde_json::Value as Json;

use crate::door::Door;
use crate::repository::Repository;

/// When the firmware was built. Far beyond the clock of whoever runs the tests, so that the honest
/// `Date` of a real server never decides anything here.
pub(crate) const BUILT: &str = "2090-01-01T00:00:00Z";

/// The `nvs` partition of the layout that `init` writes.
const NVS: Region = Region { start: 0x9000, len: 0x5000 };
/// Flash up to the end of that partition.
const FLASH: usize = 0xe000;

/// What came of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Everything was proven.
    Accepted,
    /// Somebody lied: the code, and exit 6 at the command line.
    Refused(String),
    /// Nothing was judged, or not because of the server: the code.
    Failed(String),
}

pub(crate) use Verdict::Accepted;

/// A refusal with this code.
pub(crate) fn refused(code: impl Into<String>) -> Verdict {
    Verdict::Refused(code.into())
}

/// A failure that is nobody's lie, with this code.
pub(crate) fn failed(code: impl Into<String>) -> Verdict {
    Verdict::Failed(code.into())
}

impl From<&Error> for Verdict {
    fn from(error: &Error) -> Self {
        if error.is_trust() { refused(error.code()) } else { failed(error.code()) }
    }
}

/// What a device knows after the power went away. Zeros: nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Version of the newest root it keeps beside the embedded one.
    pub(crate) root: u64,
    /// Versions of timestamp, snapshot and targets.
    pub(crate) online: [u64; 3],
}

/// A device between two starts.
#[derive(Clone)]
pub(crate) struct Device {
    flash: Vec<u8>,
    pub(crate) embedded_root: Vec<u8>,
    /// What the network time service says.
    pub(crate) sntp: Option<u64>,
    pub(crate) caps: Caps,
    /// The clock of the last refresh.
    pub(crate) clock: Clock,
    /// What the last refresh proved.
    pub(crate) trusted: Option<Trusted>,
}

impl Device {
    /// A new device whose firmware embeds version 1 of the repository's root.
    pub(crate) fn of(repository: &Repository) -> Self {
        Self {
            flash: vec![0xff; FLASH],
            embedded_root: repository.files["metadata/1.root.json"].clone(),
            sntp: None,
            caps: Caps::default(),
            clock: Clock::default(),
            trusted: None,
        }
    }

    /// Starts, refreshes from the server behind `door`, and loses its power.
    pub(crate) async fn refresh(&mut self, door: &Door) -> Verdict {
        let (flash, mut store) = self.power_on();
        let now = BUILT.parse().unwrap();
        let mut transport = TlsTransport::new(&door.url, &door.roots, now, door.options).unwrap();
        self.clock = Clock::new(unix_seconds(BUILT).unwrap(), self.sntp);
        let root = &self.embedded_root;
        let outcome = refresh(&mut transport, &mut store, root, &mut self.clock, &self.caps).await;
        self.flash = flash.with(|flash| flash.contents().to_vec());
        let verdict = outcome.as_ref().map_or_else(Verdict::from, |_| Accepted);
        self.trusted = outcome.ok();
        verdict
    }

    /// What it knows.
    pub(crate) fn memory(&self) -> Memory {
        let number =
            |state: &[u8], at: usize| u64::from_be_bytes(*state[at..].first_chunk().unwrap());
        let online = match self.remembered(STATE_KEY) {
            None => [0; 3],
            Some(state) => [1, 9, 17].map(|at| number(&state, at)),
        };
        let root = self.remembered(ROOT_KEY).map_or(0, |root| {
            let root: Json = serde_json::from_slice(&root).unwrap();
            root["signed"]["version"].as_u64().unwrap()
        });
        Memory { root, online }
    }

    /// The bytes it keeps under a key.
    pub(crate) fn remembered(&self, key: &str) -> Option<Vec<u8>> {
        let mut value = vec![0; self.caps.root];
        let length = self.power_on().1.get(key, &mut value).unwrap()?;
        value.truncate(length);
        Some(value)
    }

    fn power_on(&self) -> (FlashHandle, NvsStore<FlashHandle>) {
        let flash = FlashHandle::new(VirtualFlash::with_contents(self.flash.clone()));
        let store = NvsStore::open(flash.clone(), NVS).unwrap();
        (flash, store)
    }
}
