//! A release, installed by the device's own agent before any device sees it.
//!
//! The agent reads the repository through its *staged* timestamp, trusts nothing but the TUF root
//! that the firmware embeds, installs into virtual flash with the project's own table, and the
//! bootloader model has to start what it installed.

use embedded_storage::nor_flash::ReadNorFlash;
use semver::Version;

use super::bootloader::{self, BootTable, Rollback, Target};
use super::device::Firmware;
use super::flash::{FlashHandle, VirtualFlash};
use crate::agent::agent::{Agent, Error, Event, Outcome, Settings};
use crate::agent::image;
use crate::agent::layout::{Region, Running};
use crate::agent::nvs_store::NvsStore;
use crate::agent::ports::{Response, Transport, TransportError};
use crate::agent::release::Identity;
use crate::agent::trial::{self, Boot};
use crate::agent::tuf::Caps;
use crate::chip::Chip;
use crate::error::{Exit, Explained};
use crate::release::plan::{LIVE_TIMESTAMP, STAGED_TIMESTAMP};
use crate::release::store::Store;

/// What a device of this project has.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its partitions.
    pub table: BootTable,
    /// Its `nvs` partition.
    pub nvs: Region,
    /// Bytes of its flash.
    pub flash_size: u32,
    /// Its chip.
    pub chip: Chip,
    /// Revision of the chip: major times 100 plus minor.
    pub chip_revision: u16,
    /// What is built into its firmware.
    pub firmware: Firmware,
}

/// What a rehearsal saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// The version that was installed.
    pub version: String,
    /// The slot it went to.
    pub slot: u32,
    /// Erases and page programs.
    pub flash_operations: u64,
}

/// Why a release must not go out.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The agent refused the repository or the image.
    #[error("the device's agent refuses the release (`{}`)", .0.code())]
    Refused(#[source] Error),
    /// The agent found nothing to install.
    #[error("the device's agent finds no release for `{chip}` in channel `{channel}`")]
    NotFound {
        /// The chip.
        chip: Chip,
        /// The channel.
        channel: String,
    },
    /// The bootloader would not start what was installed.
    #[error("after the install the bootloader would start `{target}`, not `ota_{slot}`")]
    Unbootable {
        /// What it would start.
        target: Target,
        /// What was installed.
        slot: u32,
    },
    /// The project's table has no room for the agent's memory.
    #[error("the virtual device could not open its `nvs` partition")]
    NoStore,
}

impl Explained for RehearsalError {
    fn exit(&self) -> Exit {
        match self {
            Self::Refused(error) if error.is_trust() => Exit::Trust,
            Self::Refused(_) | Self::NotFound { .. } | Self::Unbootable { .. } => Exit::Rejected,
            Self::NoStore => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoStore => Some("check the table with `cargo esp-ota partitions check`".into()),
            Self::Refused(_) | Self::NotFound { .. } | Self::Unbootable { .. } => {
                Some("nothing was promoted: devices still see what they saw before".into())
            }
        }
    }
}

/// Installs what is staged in `store` on a device that has nothing yet. `progress` hears how many
/// bytes of the image the agent took in.
pub async fn rehearse(
    store: &Store,
    stage: &Stage,
    progress: impl Fn(u32),
) -> Result<Rehearsed, RehearsalError> {
    let size = usize::try_from(stage.flash_size).unwrap_or(usize::MAX);
    let flash = FlashHandle::new(VirtualFlash::new(size));
    let memory = NvsStore::open(flash.clone(), stage.nvs).map_err(|_| RehearsalError::NoStore)?;
    let settings = Settings {
        identity: Identity {
            product: stage.firmware.product.clone(),
            channel: stage.firmware.channel.clone(),
            chip: stage.chip.name().into(),
            device_id: "000000000000".into(),
            version: Version::new(0, 0, 0),
        },
        chip_id: stage.chip.image_id(),
        chip_revision: stage.chip_revision,
        embedded_root: &stage.firmware.root,
        build_time: stage.firmware.build_time,
        caps: Caps::default(),
        has_flash_encryption: false,
    };
    let layout = stage.table.layout;
    let running = Running::Slot(0);
    let mut agent = Agent::new(flash.clone(), memory, layout, running, Boot::LastResort, settings);
    let mut installed = None;
    let mut on = |event| match event {
        Event::Progress { received } => progress(received),
        Event::Installed { version, slot } => installed = Some((version, slot)),
        Event::FellBack { .. } | Event::Verified { .. } | Event::Found { .. } => {}
    };
    let mut transport = StagedTransport { store, body: Vec::new(), at: 0 };
    let outcome = agent.poll(&mut transport, None, &mut on).await;
    let (Outcome::Installed, Some((version, slot))) =
        (outcome.map_err(RehearsalError::Refused)?, installed)
    else {
        let channel = stage.firmware.channel.clone();
        return Err(RehearsalError::NotFound { chip: stage.chip, channel });
    };

    let mut flash = flash;
    let entries = trial::read(&mut flash, &layout).map_err(|_| RehearsalError::NoStore)?;
    for rollback in [Rollback::Off, Rollback::On] {
        let is_bootable = |region| is_bootable(&mut flash, region, stage.chip);
        let start = bootloader::start(&stage.table, &entries, rollback, is_bootable);
        if start.target != Target::Slot(slot) {
            return Err(RehearsalError::Unbootable { target: start.target, slot });
        }
    }
    let flash_operations = flash.with(|flash| flash.operations());
    Ok(Rehearsed { version, slot, flash_operations })
}

fn is_bootable(flash: &mut impl ReadNorFlash, region: Region, chip: Chip) -> bool {
    image::verify(flash, region, Some(chip.image_id())).is_ok()
}

/// Reads the files of a store as a server would give them, the staged timestamp in place of the
/// live one.
struct StagedTransport<'a> {
    store: &'a Store,
    body: Vec<u8>,
    at: usize,
}

impl Transport for StagedTransport<'_> {
    async fn get(
        &mut self,
        path: &str,
        from: u32,
        _: Option<&str>,
    ) -> Result<Response, TransportError> {
        let path = if path == LIVE_TIMESTAMP { STAGED_TIMESTAMP } else { path };
        let found = self.store.read(path).await.map_err(|_| TransportError::Unreachable)?;
        let Some(body) = found else {
            self.body.clear();
            return Ok(Response { status: 404, ..Response::default() });
        };
        self.body = body;
        self.at = usize::try_from(from).unwrap_or(usize::MAX);
        let length = u32::try_from(self.body.len().saturating_sub(self.at)).ok();
        let status = if from == 0 { 200 } else { 206 };
        Ok(Response { status, length, start: from, ..Response::default() })
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, TransportError> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at = self.at.saturating_add(count);
        Ok(count)
    }
}
