//! Images, a signed repository, and a device on it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use crate::agent::agent::{Error, Event, Outcome};
use crate::agent::layout::{Layout, Region};
use crate::agent::otadata::{ENTRY, Entry, SECTOR};
use crate::agent::reset::ResetReason;
use crate::chip::Chip;
use crate::release::custom::{Caps, Custom, Rollout, VersionSource};
use crate::release::keys::NewKeys;
use crate::release::repository::{Expiry, NewRelease, State, Terms};
use crate::release::root::{ROOT_DAYS, new_root};
use crate::release::store::Store;
use crate::virtual_device::bootloader::{BootTable, Rollback};
use crate::virtual_device::flash::{FlashHandle, VirtualFlash};
use crate::virtual_device::{Firmware, Hardware, StartFault, Started, VirtualDevice};

pub(super) use super::server::{Collector, Faults, Memory};

pub(in crate::virtual_device) const NVS: Region = Region { start: 0x9000, len: 0x5000 };
pub(in crate::virtual_device) const OTADATA: u32 = 0xe000;
pub(super) const SLOTS: [Region; 2] =
    [Region { start: 0x10000, len: 0x10000 }, Region { start: 0x20000, len: 0x10000 }];
/// Chip revision v1.1.
pub(super) const REVISION: u16 = 101;
pub(in crate::virtual_device) const FLASH: usize = 0x30000;

/// Two slots and `otadata`.
pub(in crate::virtual_device) fn layout() -> Layout {
    let mut layout = Layout { otadata: OTADATA, ..Layout::default() };
    for (place, slot) in layout.slots.iter_mut().zip(SLOTS) {
        *place = Some(slot);
    }
    layout
}

pub(super) fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// An app image made by hand from the format's description, not by espflash: one segment of `len`
/// bytes that starts with the app descriptor.
pub(super) fn image_for(chip: Chip, version: &str, len: usize) -> Vec<u8> {
    let mut data = vec![0; 256];
    data[..4].copy_from_slice(&0xabcd_5432u32.to_le_bytes());
    data[16..16 + version.len()].copy_from_slice(version.as_bytes());
    data[48..53].copy_from_slice(b"bench");
    let filler = version.bytes().cycle().zip(0u8..=255).map(|(a, b)| a.wrapping_mul(b));
    data.extend(filler.cycle().take(len - 256));

    let mut image = vec![0; 24];
    image[0] = 0xe9;
    image[1] = 1;
    image[12..14].copy_from_slice(&chip.image_id().to_le_bytes());
    image[17..19].copy_from_slice(&u16::MAX.to_le_bytes());
    image[23] = 1;
    image.extend(0x3c00_0020u32.to_le_bytes());
    image.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    image.extend(&data);
    let checksum = data.iter().fold(0xef, |sum, byte| sum ^ byte);
    image.resize(image.len() + 15 - image.len() % 16, 0);
    image.push(checksum);
    let digest = Sha256::digest(&image);
    image.extend(digest);
    image
}

pub(in crate::virtual_device) fn image(version: &str) -> Vec<u8> {
    image_for(Chip::Esp32c3, version, 9000)
}

/// The files of a signed repository, by path.
#[derive(Clone)]
pub(super) struct Repository {
    pub(super) root: Vec<u8>,
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

static KEYS: LazyLock<NewKeys> = LazyLock::new(|| NewKeys::generate().unwrap());

impl Repository {
    /// Publishes images of these versions, one after the other.
    pub(super) fn with(images: &[(&str, Vec<u8>)]) -> Self {
        Self::publish(images, 0)
    }

    /// Publishes 1.1.0 for chips of at least this revision.
    pub(super) fn for_revision(revision: u16) -> Self {
        Self::publish(&[("1.1.0", image("1.1.0"))], revision)
    }

    fn publish(images: &[(&str, Vec<u8>)], revision: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::parse(&format!("dir:{}", folder.path().display()), Path::new(""));
        let store = store.unwrap();
        runtime().block_on(async {
            let root = new_root(&KEYS, now(), ROOT_DAYS).await.unwrap();
            for (version, image) in images {
                let state = State::load_overdue(&store, &root, now()).await.unwrap();
                let release =
                    NewRelease { image: image.clone(), custom: custom(version, revision) };
                let terms =
                    Terms { now: now(), expiry: Expiry::default(), plain_channel: "stable" };
                let plan = state.publish(&KEYS.publish, vec![release], terms).await.unwrap();
                store.stage(&plan).await.unwrap();
                store.promote(&plan).await.unwrap();
            }
            Self { root, files: read(folder.path()) }
        })
    }

    pub(super) fn target(&mut self, version: &str) -> &mut Vec<u8> {
        let end = format!("-{version}.bin");
        self.files.iter_mut().find(|(path, _)| path.ends_with(&end)).unwrap().1
    }
}

fn custom(version: &str, revision: u16) -> Custom {
    Custom {
        // A version that says so is another product's.
        product: if version.ends_with("-kettle") { "kettle".into() } else { "bench".into() },
        channels: vec!["stable".into()],
        chip: Chip::Esp32c3,
        version: version.into(),
        version_source: VersionSource::AppDescriptor,
        secure_version: 0,
        min_chip_revision: revision,
        rollout: Rollout { percent: 100, seed: version.into() },
        roots: Vec::new(),
        agent: None,
        caps: Caps { root: 7168, timestamp: 4096, snapshot: 8192, targets: 65536 },
    }
}

fn read(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().replace('\\', "/");
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

pub(in crate::virtual_device) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What the app of an image does once it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum App {
    /// Its self-test passes.
    Confirms,
    /// Its self-test fails.
    Rejects,
    /// It hangs until somebody resets the chip.
    Hangs,
    /// It confirms once it has reached the update server; else it hangs.
    Reaches,
}

/// A device with version 1.0.0 in its first slot.
pub(super) struct Bench {
    pub(super) device: VirtualDevice,
    pub(super) collector: RefCell<Collector>,
}

/// How one power-on ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) version: String,
    pub(super) polled: Option<Result<Outcome, Error>>,
    pub(super) events: Vec<Event>,
}

impl Bench {
    pub(super) fn new(root: &[u8], rollback: Rollback) -> Self {
        let bench = Self::on(VirtualFlash::new(FLASH), root, rollback);
        bench.device.flash_over_cable((0x8000, &[0xff; 32]), &image("1.0.0")).unwrap();
        bench
    }

    pub(super) fn on(flash: VirtualFlash, root: &[u8], rollback: Rollback) -> Self {
        let table = BootTable { layout: layout(), slot_rows: 2, has_otadata: true, test: None };
        Self::with_table(flash, table, root, rollback)
    }

    pub(super) fn with_table(
        flash: VirtualFlash,
        table: BootTable,
        root: &[u8],
        rollback: Rollback,
    ) -> Self {
        let firmware = Firmware {
            product: "bench".into(),
            channel: "stable".into(),
            root: root.to_vec(),
            build_time: u64::try_from(now().as_second()).unwrap(),
        };
        let flash = FlashHandle::new(flash);
        let chip = Chip::Esp32c3;
        let hardware = Hardware { chip, chip_revision: REVISION, table, nvs: NVS, rollback };
        let device = VirtualDevice::new(flash, hardware, firmware);
        let collector = RefCell::new(Collector { answer: Ok(200), heard: Vec::new() });
        Self { device, collector }
    }

    /// A device whose slots have three erase blocks each.
    pub(super) fn roomy(root: &[u8], rollback: Rollback) -> Self {
        let mut layout = layout();
        layout.slots[0] = Some(Region { start: 0x10000, len: 0x30000 });
        layout.slots[1] = Some(Region { start: 0x40000, len: 0x30000 });
        let table = BootTable { layout, slot_rows: 2, has_otadata: true, test: None };
        let bench = Self::with_table(VirtualFlash::new(0x70000), table, root, rollback);
        bench.device.flash_over_cable((0x8000, &[0xff; 32]), &image("1.0.0")).unwrap();
        bench
    }

    /// What was reported so far: event, version and reason of each.
    pub(super) fn heard(&self) -> Vec<String> {
        let word = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
        let heard = &self.collector.borrow().heard;
        let reports = heard.iter().map(|text| serde_json::from_str(text).unwrap());
        reports
            .map(|report: serde_json::Value| {
                let [event, version, reason] = ["event", "version", "reason"].map(|it| &report[it]);
                format!("{} {} {}", word(event), word(version), word(reason))
            })
            .collect()
    }

    /// One power-on: a trial ends as `app` has it; a settled image polls.
    pub(super) fn run(
        &self,
        transport: &mut Memory<'_>,
        app: impl Fn(&str) -> App,
    ) -> Result<Ran, StartFault> {
        self.run_after(ResetReason::PowerOn, transport, app)
    }

    pub(super) fn run_after(
        &self,
        reason: ResetReason,
        transport: &mut Memory<'_>,
        app: impl Fn(&str) -> App,
    ) -> Result<Ran, StartFault> {
        let Started { mut agent, .. } = self.device.start_after(reason)?;
        let version = agent.version().to_string();
        let mut events = Vec::new();
        let cut = |_| StartFault::PowerCut;
        agent.look_back(&mut |event| events.push(event)).map_err(cut)?;
        let mut polled = None;
        if matches!(agent.boot(), crate::agent::trial::Boot::Settled) {
            let mut on = |event| events.push(event);
            polled = Some(runtime().block_on(agent.poll(transport, None, &mut on)));
        } else {
            match app(&version) {
                App::Confirms => agent.confirm().map_err(cut)?,
                App::Rejects => agent.reject().map_err(cut)?,
                App::Hangs => {}
                App::Reaches => {
                    if runtime().block_on(agent.reach(transport)).is_ok() {
                        agent.confirm().map_err(cut)?;
                    }
                }
            }
        }
        runtime().block_on(agent.deliver(&mut &self.collector)).map_err(cut)?;
        events.retain(|event| !matches!(event, Event::Progress { .. }));
        Ok(Ran { version, polled, events })
    }

    pub(super) fn entries(&self) -> [Entry; 2] {
        [OTADATA, OTADATA + SECTOR].map(|at| {
            let at = usize::try_from(at).unwrap();
            self.device.flash().with(|flash| {
                Entry::decode(flash.contents()[at..at + ENTRY].first_chunk().unwrap())
            })
        })
    }

    /// Writes both entries as some other tool left them.
    pub(super) fn with_entries(self, root: &[u8], entries: [Entry; 2], rollback: Rollback) -> Self {
        let mut bytes = self.device.flash().with(|flash| flash.contents().to_vec());
        for (at, entry) in [OTADATA, OTADATA + SECTOR].into_iter().zip(entries) {
            let at = usize::try_from(at).unwrap();
            bytes[at..at + ENTRY].copy_from_slice(&entry.encode());
        }
        Self::on(VirtualFlash::with_contents(bytes), root, rollback)
    }
}
