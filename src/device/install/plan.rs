//! What an install writes, and where; and what is refused before anything is written.

use std::fmt;

use md5::{Digest, Md5};

use super::InstallError;
use super::slot::{Choice, Slots};
use crate::chip::Chip;
use crate::device::flash::FlashReader;
use crate::device::slots::find_table;
use crate::device::{Depth, Known, SlotError, Survey};
use crate::image::{Board, inspect};
use crate::partition::{self, Kind, Table};
use crate::virtual_device::bootloader::{Rollback, Target};

/// What is to be on a device.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The chip that all of it is for.
    pub chip: Chip,
    /// The partition table.
    pub table: Table,
    /// Where it goes.
    pub table_offset: u32,
    /// The app image, which was verified.
    pub app: Vec<u8>,
    /// The same, to be recognised in a slot.
    pub known: Known,
    /// Other images that are at hand, to be recognised in other slots.
    pub others: Vec<Known>,
    /// The slot that somebody chose.
    pub slot: Option<Target>,
    /// Whether the table may lose data.
    pub allows_data_loss: bool,
}

impl Wanted {
    /// A device as a bootloader sees it that has this table, wherever it is.
    pub(super) fn survey(
        &self,
        flash: &mut dyn FlashReader,
        table: (u32, Table),
    ) -> Result<Survey, SlotError> {
        let mut known = vec![self.known.clone()];
        known.extend(self.others.iter().cloned());
        Survey::with_table(flash, table, Some(self.chip), Depth::Headers, &known)
    }
}

/// What a region holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The second-stage bootloader.
    Bootloader,
    /// The partition table.
    Table,
    /// The app.
    App,
    /// A page of the key-value store.
    Nvs,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bootloader => f.write_str("bootloader"),
            Self::Table => f.write_str("table"),
            Self::App => f.write_str("app"),
            Self::Nvs => f.write_str("nvs"),
        }
    }
}

/// A region and what has to be in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub what: What,
    /// First byte.
    pub offset: u32,
    /// What has to be there.
    pub bytes: Vec<u8>,
    /// Whether it is there already.
    pub is_there: bool,
}

impl Plan {
    /// Where a table is that is none any more once the new one is there.
    pub fn old_table(&self) -> Option<u32> {
        let (offset, _) = self.found.as_ref()?;
        (*offset != self.table.offset).then_some(*offset)
    }
}

impl Part {
    /// A part; the device is asked whether it has it.
    ///
    /// # Errors
    ///
    /// Where the flash cannot be read.
    pub fn new(
        flash: &mut dyn FlashReader,
        what: What,
        offset: u32,
        bytes: Vec<u8>,
    ) -> Result<Self, InstallError> {
        let mut part = Self { what, offset, bytes, is_there: false };
        part.is_there = part.is_in(flash)?;
        Ok(part)
    }

    /// Whether the flash has these bytes there.
    pub(super) fn is_in(&self, flash: &mut dyn FlashReader) -> Result<bool, InstallError> {
        let found = flash.md5(self.offset, self.length())?;
        Ok(found[..] == Md5::digest(&self.bytes)[..])
    }

    /// Bytes.
    pub fn length(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }
}

/// What is decided before the first byte is written.
#[derive(Debug)]
pub struct Plan {
    /// The slot that boots at the end.
    pub slot: Target,
    /// The app in it.
    pub app: Part,
    /// The table.
    pub table: Part,
    /// The table that the device has, and its offset.
    pub found: Option<(u32, Table)>,
    /// What boots now.
    pub boots_now: Target,
    /// The device as it is, where it has the table already.
    pub as_it_is: Option<Survey>,
    /// Whether the app is written over what boots now: no slot is free of it, or somebody chose that.
    pub overwrites: bool,
    /// What boots until the end of the install, then.
    pub meanwhile: Target,
    /// What data the table loses, where that is allowed.
    pub losses: Vec<String>,
}

/// Whether a device with so many bytes of flash can become what is wanted, whatever is on it.
///
/// # Errors
///
/// [`InstallError`] where it cannot.
pub fn fits(flash_size: u32, wanted: &Wanted) -> Result<(), InstallError> {
    let end = wanted.table.end();
    if end > u64::from(flash_size) {
        return Err(InstallError::SmallFlash { flash: flash_size, end });
    }
    if wanted.table.otadata().is_none() {
        return Err(InstallError::NoOtadata);
    }
    choice(&Slots::new(&wanted.table, None, false), wanted).map(drop)
}

/// Whether the chip is new enough for the app: its bootloader would not start it otherwise.
///
/// # Errors
///
/// Where it is older; a revision that could not be read is not judged.
pub fn suits(wanted: &Wanted, board: Board) -> Result<(), InstallError> {
    let needed = inspect::min_chip_revision(&wanted.app);
    match board.revision {
        Some(found) if found < needed => Err(InstallError::OldChip { found, needed }),
        Some(_) | None => Ok(()),
    }
}

/// Decides. Reads a few kilobytes.
///
/// # Errors
///
/// [`InstallError`] where the device cannot become what is wanted, or must not.
pub fn plan(flash: &mut dyn FlashReader, wanted: &Wanted) -> Result<Plan, InstallError> {
    fits(flash.size(), wanted)?;
    let Wanted { table, table_offset, app, allows_data_loss, .. } = wanted;
    let encoded = partition::encode(table).map_err(InstallError::Table)?;
    let mut table_part = Part::new(flash, What::Table, *table_offset, encoded)?;
    let found = match table_part.is_there {
        true => Some((*table_offset, table.clone())),
        false => match find_table(flash, Some(*table_offset)) {
            Ok(found) => Some(found),
            // A torn table says nothing of what lies where.
            Err(SlotError::NoTable | SlotError::DamagedTable { .. }) => None,
            Err(other) => return Err(other.into()),
        },
    };
    // Written by another tool, without a digest: it says the same.
    table_part.is_there |= found.as_ref().is_some_and(|it| *it == (*table_offset, table.clone()));
    let losses = found.as_ref().map(|old| losses(old, (*table_offset, table))).unwrap_or_default();
    if !losses.is_empty() && !allows_data_loss {
        return Err(InstallError::DataLoss(losses));
    }
    // Without a table nothing boots. What will boot once there is one stays, all the same.
    let place = found.clone().unwrap_or((*table_offset, table.clone()));
    let now = match wanted.survey(flash, place) {
        // The table that is there is for a larger chip.
        Err(SlotError::Truncated(_)) => None,
        read => Some(read?),
    };
    let is_same = table_part.is_there || found.is_none();
    let slots = Slots::new(table, now.as_ref(), is_same);
    let Choice { target, region, is_needed } = choice(&slots, wanted)?;
    let app = Part::new(flash, What::App, region.start, app.clone())?;
    let of_the_device = now.as_ref().filter(|_| found.is_some());
    let boots_now =
        of_the_device.map_or(Target::None, |it| it.start(&it.entries, Rollback::Off).target);
    let meanwhile = of_the_device.map_or(Target::None, |it| it.without(region));
    let overwrites = is_needed && !app.is_there;
    let as_it_is = now.filter(|_| table_part.is_there);
    let (slot, table) = (target, table_part);
    Ok(Plan { slot, app, table, found, boots_now, as_it_is, overwrites, meanwhile, losses })
}

/// The slot that somebody named, or the one that is best.
fn choice(slots: &Slots<'_>, wanted: &Wanted) -> Result<Choice, InstallError> {
    let choice = match wanted.slot {
        Some(slot) => slots.named(slot),
        None => slots.choose(&wanted.known),
    };
    let Some(choice) = choice else {
        let wanted = wanted.slot.unwrap_or(Target::Slot(0));
        return Err(InstallError::NoSuchSlot { wanted, there: slots.targets() });
    };
    let length = u32::try_from(wanted.app.len()).unwrap_or(u32::MAX);
    if length > choice.region.len {
        let (slot, room) = (choice.target, choice.region.len);
        return Err(InstallError::TooLarge { app: length, slot, room });
    }
    Ok(choice)
}

/// What data of the old table the new one loses. The records of which slot boots are written anyway.
fn losses(old: &(u32, Table), new: (u32, &Table)) -> Vec<String> {
    let delivery = partition::deliver(&old.1, old.0, new.1, new.0);
    let is_ours = |kind| kind == Kind::OTADATA;
    let rows = delivery.rows.into_iter();
    rows.filter(|row| !row.pair.old.is_some_and(|old| is_ours(old.kind)))
        .filter_map(|row| row.loss)
        .collect()
}
