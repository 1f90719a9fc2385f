//! Slot state: both `otadata` entries, the image in every slot, what boots next and why.

mod bootloader;
mod change;
mod entry;
mod image;
mod report;
mod table;
mod words;

use md5::{Digest, Md5};
use sha2::Sha256;

use super::flash::{Dump, FlashReader, SECTOR};
use super::{DeviceError, boot_table, overlap};
use crate::agent::layout::Region;
use crate::agent::otadata::{ENTRY, Entry};
use crate::chip::Chip;
use crate::error::{Exit, Explained};
use crate::partition::Table;
use crate::virtual_device::bootloader::{self as model, BootTable, Rollback, Target};
pub use change::{Change, ChangeError, apply, repair, switch};
pub use report::{BootloaderReport, Proof, SecurityReport, SlotReport};
pub use table::{all as tables, find_from as find_table};

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// No sector begins with a table.
    #[error("there is no partition table from 0x8000 to 0x10000")]
    NoTable,
    /// What is there is damaged.
    #[error("the partition table at {offset:#x} is damaged: {message}")]
    DamagedTable {
        /// Where it is.
        offset: u32,
        /// The first problem.
        message: String,
    },
    /// The table points beyond the dump.
    #[error("`otadata` at {0:#x} is beyond the end of the flash")]
    Truncated(u32),
    /// The flash cannot be read in clear.
    #[error("the flash is encrypted: what a cable reads of it is cipher text")]
    Encrypted,
    /// The flash could not be read.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl Explained for SlotError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoTable | Self::DamagedTable { .. } | Self::Truncated(_) => Exit::Rejected,
            Self::Encrypted => Exit::Device,
            Self::Device(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoTable => Some(
                "dump the whole chip from offset 0; with flash encryption a dump is cipher text"
                    .into(),
            ),
            Self::DamagedTable { .. } => {
                Some("look at it with `cargo esp-ota partitions check`".into())
            }
            Self::Truncated(_) => Some("dump the whole chip".into()),
            Self::Encrypted => {
                Some("the device's own reports, and its serial output, say what it runs".into())
            }
            Self::Device(error) => error.help(),
        }
    }
}

/// How much of each image is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Its headers. A known image is proven by the MD5 that the chip works out.
    Headers,
    /// Every byte.
    Whole,
}

/// An image whose bytes were at hand.
#[derive(Clone, Debug)]
pub struct Known {
    /// What it is, such as `release 1.2.0 of stable`.
    pub name: String,
    /// SHA-256 of its file, lower-case hex.
    pub sha256: String,
    /// SHA-256 that is appended to it.
    digest: [u8; 32],
    length: u32,
    md5: [u8; 16],
}

impl Known {
    /// An image file; `None` for bytes that are none.
    pub fn new(name: String, file: &[u8]) -> Option<Self> {
        let info = crate::image::read(file, None).ok()?;
        let bytes = file.get(..usize::try_from(info.len).ok()?)?;
        let sha256 = crate::hex::lower(&Sha256::digest(file));
        let (digest, length) = (info.digest, info.len);
        Some(Self { name, sha256, digest, length, md5: Md5::digest(bytes).into() })
    }
}

/// What the flash of a device says about booting.
#[derive(Debug)]
pub struct Survey {
    /// Where the table is.
    pub table_offset: u32,
    /// The table.
    pub table: Table,
    /// What the bootloader sees of it.
    pub boot: BootTable,
    /// Both entries; blank ones without `otadata`.
    pub entries: [Entry; 2],
    slots: Vec<(Target, Region, image::Found)>,
    bootloader: Option<BootloaderReport>,
}

impl Survey {
    /// Reads what decides on the next boot. `chip` is needed for the bootloader alone.
    ///
    /// # Errors
    ///
    /// Where there is no table, a damaged one, or no way to the flash.
    pub fn read(
        flash: &mut dyn FlashReader,
        chip: Option<Chip>,
        depth: Depth,
        known: &[Known],
    ) -> Result<Self, SlotError> {
        let place = table::find(flash)?;
        Self::with_table(flash, place, chip, depth, known)
    }

    /// The same as a bootloader sees it that has this table, at this offset, whatever stands there.
    ///
    /// # Errors
    ///
    /// Where there is no way to the flash, or `otadata` is beyond its end.
    pub fn with_table(
        flash: &mut dyn FlashReader,
        (table_offset, table): (u32, Table),
        chip: Option<Chip>,
        depth: Depth,
        known: &[Known],
    ) -> Result<Self, SlotError> {
        let boot = boot_table(&table);
        let mut entries = [Entry::decode(&[0xff; ENTRY]); 2];
        if boot.has_otadata {
            for (entry, sector) in entries.iter_mut().zip([0, SECTOR]) {
                let at = boot.layout.otadata.saturating_add(sector);
                let length = u32::try_from(ENTRY).unwrap_or(u32::MAX);
                let bytes = match flash.read(at, length) {
                    Err(DeviceError::BeyondEnd { .. }) => return Err(SlotError::Truncated(at)),
                    read => read?,
                };
                let bytes = bytes.first_chunk().ok_or(SlotError::Truncated(at))?;
                *entry = Entry::decode(bytes);
            }
        }
        let factory = boot.layout.factory.map(|region| (Target::Factory, region));
        let slots = (0u32..).zip(boot.layout.slots);
        let slots = slots.filter_map(|(index, slot)| Some((Target::Slot(index), slot?)));
        let test = boot.test.map(|region| (Target::Test, region));
        let mut found = Vec::new();
        for (target, region) in factory.into_iter().chain(slots).chain(test) {
            // A table may promise more flash than there is.
            let room = flash.size().saturating_sub(region.start);
            let seen = Region { len: region.len.min(room), ..region };
            found.push((target, region, image::find(flash, seen, depth, known)?));
        }
        let bootloader = match chip {
            Some(chip) => Some(bootloader::find(flash, chip, &entries)?),
            None => None,
        };
        Ok(Self { table_offset, table, boot, entries, slots: found, bootloader })
    }

    /// The slot that holds this image, byte for byte.
    pub fn slot_of(&self, known: &Known) -> Option<Target> {
        let holds = |found: &image::Found| {
            found.proof == Proof::Intact && found.known.as_ref() == Some(&known.name)
        };
        self.slots.iter().find(|(_, _, found)| holds(found)).map(|(target, ..)| *target)
    }

    /// Where an app partition lies.
    pub fn region(&self, target: Target) -> Option<Region> {
        self.slots.iter().find(|(name, ..)| *name == target).map(|(_, region, _)| *region)
    }

    /// What a bootloader does with these entries and the images that are there.
    pub fn start(&self, entries: &[Entry; 2], rollback: Rollback) -> model::Start {
        model::start(&self.boot, entries, rollback, |region| self.may_boot(region))
    }

    fn may_boot(&self, region: Region) -> bool {
        self.slots.iter().any(|(_, of, found)| *of == region && found.proof.may_boot())
    }

    /// Reads every byte of a slot's image that was not proven yet.
    ///
    /// # Errors
    ///
    /// Where the flash cannot be read. What is found wrong in the image is noted.
    pub fn prove(
        &mut self,
        flash: &mut dyn FlashReader,
        target: Target,
        known: &[Known],
    ) -> Result<(), SlotError> {
        for (name, region, found) in &mut self.slots {
            if *name == target && found.proof == Proof::Unproven {
                *found = image::find(flash, *region, Depth::Whole, known)?;
            }
        }
        Ok(())
    }

    /// What starts without rollback in the bootloader, once this region holds nothing that boots.
    pub fn without(&self, region: Region) -> Target {
        let is_bootable = |it| !overlap(it, region) && self.may_boot(it);
        model::start(&self.boot, &self.entries, Rollback::Off, is_bootable).target
    }

    /// Notes what was written, and read back, since.
    pub fn changed(&mut self, changes: &[Change]) {
        for change in changes {
            if let Some(entry) = self.entries.get_mut(change.index) {
                *entry = change.after;
            }
        }
    }

    /// Everything, for people and programs.
    pub fn report(&self) -> SlotReport {
        report::assemble(self)
    }
}

/// Bytes of the image in a region, as far as its headers lead; `None` where that is none.
///
/// # Errors
///
/// Where the flash cannot be read.
pub fn image_length(flash: &mut dyn FlashReader, region: Region) -> Result<Option<u32>, SlotError> {
    Ok(image::outline(flash, region)?.ok().map(|outline| outline.length))
}

/// Reads a dump of a whole flash chip, every byte of every image.
pub fn report(flash: &[u8]) -> Result<SlotReport, SlotError> {
    let mut dump = Dump::new(flash.to_vec());
    Ok(Survey::read(&mut dump, None, Depth::Whole, &[])?.report())
}
