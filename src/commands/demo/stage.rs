//! The device of the demo: virtual flash, the agent, and a self-test that reads its verdict from
//! the image that booted.

use std::net::SocketAddr;
use std::path::Path;

use embedded_storage::nor_flash::ReadNorFlash;
use jiff::Timestamp;

use super::program::{self, VERDICT_LEN, VERDICT_OFFSET};
use crate::agent::agent::{Error, Event, Outcome};
use crate::agent::layout::Region;
use crate::agent::trial::Boot;
use crate::chip::Chip;
use crate::commands::{context, partitions};
use crate::config::Project;
use crate::device::boot_table;
use crate::error::Failure;
use crate::partition::{self, Table};
use crate::trust::PinnedRoot;
use crate::virtual_device::bootloader::{Rollback, Target};
use crate::virtual_device::flash::{FlashHandle, VirtualFlash};
use crate::virtual_device::tls_transport::{Options, TlsTransport};
use crate::virtual_device::{Firmware, Hardware, StartFault, Started, VirtualDevice};

/// Where ESP-IDF puts the table.
const TABLE_OFFSET: u32 = 0x8000;

/// The demo's device could not be made or started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    #[error("the demo's partition table is not usable")]
    Table,
    #[error("the virtual device could not be flashed")]
    Flash(#[source] crate::virtual_device::flash::FlashFault),
    #[error("the virtual device did not start")]
    Start(#[from] StartFault),
    #[error("the agent failed")]
    Agent(#[from] Error),
}

impl crate::error::Explained for StageError {
    fn exit(&self) -> crate::error::Exit {
        crate::error::Exit::Device
    }
}

/// The device, what its firmware trusts, and the server it talks to.
pub(super) struct Stage {
    device: VirtualDevice,
    table: Table,
    roots: Vec<PinnedRoot>,
    url: String,
    address: SocketAddr,
    now: Timestamp,
    /// Where the images hold no verdict that could be read: the version whose self-test fails.
    bad_version: Option<&'static str>,
}

/// What one time from power-on to reset came to.
pub(super) struct Session {
    pub(super) target: Target,
    pub(super) version: String,
    pub(super) boot: Boot,
    pub(super) lines: Vec<String>,
    pub(super) outcome: Option<Result<Outcome, Error>>,
}

impl Stage {
    /// A device with `image` in its first slot, as the cable leaves it.
    pub(super) fn new(
        project: &Project,
        image: &Path,
        root: Vec<u8>,
        roots: Vec<PinnedRoot>,
        server: (String, SocketAddr),
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let (table, _) = partitions::project_table(project)?;
        let nvs = table.nvs().ok_or(StageError::Table)?;
        let nvs = Region { start: nvs.offset, len: nvs.size };
        let size = usize::try_from(project.flash_size.value.bytes()).unwrap_or(usize::MAX);
        let firmware = Firmware {
            product: project.product.value.to_string(),
            channel: project.channel.value.to_string(),
            root,
            build_time: u64::try_from(now.as_second()).unwrap_or(0),
        };
        let flash = FlashHandle::new(VirtualFlash::new(size));
        let hardware = Hardware {
            chip: Chip::Esp32c3,
            // v0.4, as modules have it today
            chip_revision: 4,
            table: boot_table(&table),
            nvs,
            // The bootloaders that espflash flashes have none: the harder case.
            rollback: Rollback::Off,
        };
        let device = VirtualDevice::new(flash, hardware, firmware);
        let binary = partition::encode(&table).map_err(|_| StageError::Table)?;
        let image = context::read(image, u64::from(u32::MAX))?;
        device.flash_over_cable((TABLE_OFFSET, &binary), &image).map_err(StageError::Flash)?;
        let (url, address) = server;
        Ok(Self { device, table, roots, url, address, now, bad_version: None })
    }

    /// The same device, whose images are compiled and fail their self-test in this version.
    pub(super) fn with_bad_version(self, version: &'static str) -> Self {
        Self { bad_version: Some(version), ..self }
    }

    /// The flash as a dump.
    pub(super) fn dump(&self) -> Vec<u8> {
        self.device.flash().with(|flash| flash.contents().to_vec())
    }

    /// When the last of the pinned roots ends.
    pub(super) fn root_ends(&self) -> Timestamp {
        self.roots.iter().map(PinnedRoot::not_after).max().unwrap_or(self.now)
    }

    /// Power on, self-test, and the agent's verdict. A settled image then polls for an update.
    pub(super) async fn session(&self) -> Result<Session, Failure> {
        let mut lines = Vec::new();
        let Started { target, steps, mut agent } = self.device.start().map_err(StageError::from)?;
        lines.extend(steps.iter().map(|step| format!("bootloader: {step}")));
        let version = agent.version().to_string();
        let boot = agent.boot();
        match boot {
            Boot::Settled => lines.push(format!("agent: {version} runs, confirmed")),
            Boot::Trial(_) => {
                lines.push(format!("agent: {version} runs on trial; its entry says ABORTED now,"));
                lines.push("agent: so any reset from here on falls back".into());
            }
            Boot::LastResort => lines.push(format!("agent: {version} runs as the last resort")),
        }
        let mut events = Vec::new();
        agent.look_back(&mut |event| events.push(event)).map_err(StageError::from)?;
        let mut outcome = None;
        if let (Boot::Trial(_), is_good) = (boot, self.self_test(target, &version)) {
            if is_good {
                agent.confirm().map_err(StageError::from)?;
                lines.push(format!("app: self-test passed; agent: {version} is confirmed"));
            } else {
                agent.reject().map_err(StageError::from)?;
                lines.push(format!("app: self-test FAILED; agent: {version} is rejected for good"));
            }
        } else {
            let result = self.poll(&mut agent, self.now, &mut events).await;
            outcome = Some(result);
        }
        lines.extend(events.iter().filter_map(event_line));
        if let Some(Err(error)) = &outcome {
            lines.push(format!("agent: refused: {error} (`{}`)", error.code()));
        }
        Ok(Session { target, version, boot, lines, outcome })
    }

    /// A settled device polls, at this time.
    pub(super) async fn poll_as(&self, now: Timestamp) -> Result<Result<Outcome, Error>, Failure> {
        let mut agent = self.device.start().map_err(StageError::from)?.agent;
        Ok(self.poll(&mut agent, now, &mut Vec::new()).await)
    }

    async fn poll(
        &self,
        agent: &mut crate::virtual_device::device::VirtualAgent<'_>,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) -> Result<Outcome, Error> {
        let options = Options { connect_to: Some(self.address), ..Options::default() };
        let Ok(mut transport) = TlsTransport::new(&self.url, &self.roots, now, options) else {
            let error = crate::agent::ports::TransportError::Unreachable;
            return Err(Error::Metadata(error.into()));
        };
        agent.poll(&mut transport, None, &mut |event| events.push(event)).await
    }

    /// The self-test of the program in the booted slot, as its image has it.
    fn self_test(&self, target: Target, version: &str) -> bool {
        if let Some(bad) = self.bad_version {
            return version != bad;
        }
        let kind = match target {
            Target::Slot(index) => u8::try_from(index).ok().and_then(partition::Kind::slot),
            Target::Factory | Target::Test | Target::None => None,
        };
        let Some(row) = kind.and_then(|kind| self.table.find(kind)) else { return false };
        let mut record = [0; VERDICT_LEN];
        let at = row.offset.saturating_add(VERDICT_OFFSET);
        self.device.flash().clone().read(at, &mut record).is_ok()
            && program::verdict(&record) == Some(true)
    }
}

fn event_line(event: &Event) -> Option<String> {
    match event {
        Event::FellBack { version } => {
            Some(format!("agent: {version} did not stay; this is the version before it"))
        }
        Event::Verified { root, clock } => {
            Some(format!("agent: metadata verified (root {root}, clock from {clock})"))
        }
        Event::Found { version, len } => Some(format!("agent: {version} is new, {len} bytes")),
        Event::Progress { .. } => None,
        Event::Installed { version, slot } => Some(format!(
            "agent: {version} is in ota_{slot}, read back and verified; otadata switched"
        )),
    }
}
