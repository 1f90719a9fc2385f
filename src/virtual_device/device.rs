//! A whole virtual device: its flash, its bootloader and the agent of whatever image boots.
//!
//! The image in a slot is never executed. What runs is the agent from this tool's own copy of its
//! source, under the version that the image in the booted slot states, on the flash that the
//! bootloader model left behind.

use std::sync::LazyLock;

use embedded_storage::nor_flash::NorFlash;
use semver::Version;

use super::bootloader::{self, BootTable, Rollback, Target};
use super::flash::{FlashFault, FlashHandle};
use crate::agent::agent::{Agent, Settings};
use crate::agent::image;
use crate::agent::layout::{Region, Running};
use crate::agent::nvs_store::NvsStore;
use crate::agent::otadata::{ENTRY, Entry, Label, SECTOR, State};
use crate::agent::release::Identity;
use crate::agent::reset::ResetReason;
use crate::agent::stated;
use crate::agent::trial;
use crate::agent::tuf::Caps;
use crate::chip::Chip;

/// The agent as the virtual device runs it.
pub type VirtualAgent<'a> = Agent<'a, FlashHandle, NvsStore<FlashHandle>>;

/// The digest of the agent that runs here.
static AGENT: LazyLock<String> = LazyLock::new(crate::agent::digest);

/// What is built into the firmware of the device.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// Product it belongs to.
    pub product: String,
    /// Channel it follows.
    pub channel: String,
    /// TUF root it was built with.
    pub root: Vec<u8>,
    /// When it was built, in Unix seconds.
    pub build_time: u64,
}

/// What the device is made of.
#[derive(Clone, Copy, Debug)]
pub struct Hardware {
    /// Its chip.
    pub chip: Chip,
    /// Revision of the chip: major times 100 plus minor.
    pub chip_revision: u16,
    /// Its partitions.
    pub table: BootTable,
    /// Its `nvs` partition.
    pub nvs: Region,
    /// What its bootloader can do.
    pub rollback: Rollback,
}

/// A device that outlives its power. Clones share their flash.
#[derive(Clone, Debug)]
pub struct VirtualDevice {
    flash: FlashHandle,
    hardware: Hardware,
    firmware: Firmware,
    device_id: String,
}

/// Why a start came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartFault {
    /// The planned power cut struck.
    #[error("the power went away")]
    PowerCut,
    /// Nothing is bootable.
    #[error("nothing is bootable")]
    Unbootable,
    /// The bootloader started an app without an agent.
    #[error("an app without the update agent was started")]
    NoAgent,
    /// The booted image states no usable version.
    #[error("the booted image states no semantic version")]
    NoVersion,
    /// The `nvs` partition cannot be used.
    #[error("the `nvs` partition cannot be used")]
    NoStore,
}

/// A device that is on.
#[derive(Debug)]
pub struct Started<'a> {
    /// What the bootloader started.
    pub target: Target,
    /// Why.
    pub steps: Vec<String>,
    /// The agent, which has armed the trial if there is one.
    pub agent: VirtualAgent<'a>,
}

/// What the bootloader started, before the agent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booted {
    /// What it is.
    pub target: Target,
    /// The partition the agent runs from.
    pub running: Running,
    /// The version that the image states.
    pub version: Version,
    /// Why it was chosen.
    pub steps: Vec<String>,
    /// Why the chip started: the power came, unless somebody says otherwise.
    pub reset_reason: ResetReason,
}

impl VirtualDevice {
    /// A device with this flash.
    pub fn new(flash: FlashHandle, hardware: Hardware, firmware: Firmware) -> Self {
        Self { flash, hardware, firmware, device_id: "240ac4000001".into() }
    }

    /// The same device under another eFuse MAC: 12 lower-case hexadecimal digits.
    #[must_use]
    pub fn with_id(self, device_id: String) -> Self {
        Self { device_id, ..self }
    }

    /// What its bootloader can do.
    pub fn rollback(&self) -> Rollback {
        self.hardware.rollback
    }

    /// The flash, for dumps and planned cuts.
    pub fn flash(&self) -> &FlashHandle {
        &self.flash
    }

    /// The first install as the cable does it: table, image in slot 0, and `otadata` last, VALID
    /// with our label.
    pub fn flash_over_cable(&self, table: (u32, &[u8]), image: &[u8]) -> Result<(), FlashFault> {
        let slot = self.hardware.table.layout.slot(0).ok_or(FlashFault::OutOfBounds)?;
        if !u32::try_from(image.len()).is_ok_and(|len| len <= slot.len) {
            return Err(FlashFault::OutOfBounds);
        }
        let entry = Entry::new(1, State::Valid, Label::Ok);
        self.program(table.0, table.1)?;
        self.program(slot.start, image)?;
        self.program(self.hardware.table.layout.otadata, &entry.encode())
    }

    /// Erases what `bytes` will cover, and writes them.
    fn program(&self, start: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let sectors = bytes.len().div_ceil(4096).saturating_mul(4096);
        let len = u32::try_from(sectors).map_err(|_| FlashFault::OutOfBounds)?;
        let end = start.checked_add(len).ok_or(FlashFault::OutOfBounds)?;
        let mut flash = self.flash.clone();
        flash.erase(start, end)?;
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().next_multiple_of(4), 0xff);
        flash.write(start, &padded)
    }

    /// Switches the device on: the bootloader chooses, the agent decides what this boot is.
    ///
    /// # Errors
    ///
    /// [`StartFault::PowerCut`] when a planned cut strikes on the way. The power is then off; call
    /// `flash().with(VirtualFlash::power_on)` before the next start.
    pub fn start(&self) -> Result<Started<'_>, StartFault> {
        self.start_after(ResetReason::PowerOn)
    }

    /// As [`VirtualDevice::start`], but for another reason than that the power came.
    pub fn start_after(&self, reset_reason: ResetReason) -> Result<Started<'_>, StartFault> {
        let booted = Booted { reset_reason, ..self.boot()? };
        let agent = self.run(&booted, self.flash.clone())?;
        Ok(Started { target: booted.target, steps: booted.steps, agent })
    }

    /// The bootloader's part of a start: it chooses, and writes down what it has to.
    ///
    /// # Errors
    ///
    /// As [`VirtualDevice::start`].
    pub fn boot(&self) -> Result<Booted, StartFault> {
        let mut flash = self.flash.clone();
        let layout = &self.hardware.table.layout;
        let entries = if self.hardware.table.has_otadata {
            trial::read(&mut flash, layout).map_err(|_| StartFault::PowerCut)?
        } else {
            [Entry::decode(&[0xff; ENTRY]); 2]
        };
        let chip_id = self.hardware.chip.image_id();
        // The last image that was verified well is the one that gets started.
        let mut image = None;
        let verify = |region| {
            image = image::verify(&mut flash, region, Some(chip_id)).ok();
            image.is_some()
        };
        let start =
            bootloader::start(&self.hardware.table, &entries, self.hardware.rollback, verify);
        for (index, entry) in start.writes {
            let sector = if index == 0 { 0 } else { SECTOR };
            self.program(layout.otadata.saturating_add(sector), &entry.encode())
                .map_err(|_| StartFault::PowerCut)?;
        }
        let running = match start.target {
            Target::None => return Err(StartFault::Unbootable),
            target => target.running().ok_or(StartFault::NoAgent)?,
        };
        let descriptor = image.and_then(|image| image.descriptor).ok_or(StartFault::NoVersion)?;
        let version = stated::parse(descriptor.version()).ok_or(StartFault::NoVersion)?;
        let reset_reason = ResetReason::PowerOn;
        Ok(Booted { target: start.target, running, version, steps: start.steps, reset_reason })
    }

    /// The agent's part of a start, on `flash`: it arms the trial if there is one.
    ///
    /// # Errors
    ///
    /// As [`VirtualDevice::start`].
    pub fn run<F: NorFlash + Clone>(
        &self,
        booted: &Booted,
        mut flash: F,
    ) -> Result<Agent<'_, F, NvsStore<F>>, StartFault> {
        let layout = self.hardware.table.layout;
        let boot =
            trial::start(&mut flash, &layout, booted.running).map_err(|_| StartFault::PowerCut)?;
        let store = NvsStore::open(flash.clone(), self.hardware.nvs).map_err(|_| {
            if self.flash.with(|flash| flash.is_powered()) {
                StartFault::NoStore
            } else {
                StartFault::PowerCut
            }
        })?;
        let settings = Settings {
            identity: Identity {
                product: self.firmware.product.clone(),
                channel: self.firmware.channel.clone(),
                chip: self.hardware.chip.name().into(),
                device_id: self.device_id.clone(),
                version: booted.version.clone(),
            },
            chip_id: self.hardware.chip.image_id(),
            chip_revision: self.hardware.chip_revision,
            reset_reason: booted.reset_reason,
            embedded_root: &self.firmware.root,
            build_time: self.firmware.build_time,
            agent: Some(&AGENT),
            caps: Caps::default(),
            has_flash_encryption: false,
        };
        Ok(Agent::new(flash, store, layout, booted.running, boot, settings))
    }
}
