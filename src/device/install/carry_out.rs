//! Writes what a plan says, and looks whether it is there.

use super::{InstallError, Part, Wanted};
use crate::device::flash::{FlashReader, FlashWriter};
use crate::device::slots::{self, Change};
use crate::device::{Depth, Known, Survey};
use crate::virtual_device::bootloader::Target;

/// Writes a part, unless it is there, and compares what is there then. `told` gets the bytes that
/// are done.
///
/// # Errors
///
/// Where the flash breaks, or has other bytes afterwards.
pub fn write(
    flash: &mut dyn FlashWriter,
    part: &Part,
    told: &mut dyn FnMut(u32),
) -> Result<(), InstallError> {
    if part.is_there {
        return Ok(());
    }
    flash.write(part.offset, &part.bytes, told)?;
    let is_there = part.is_in(flash)?;
    if is_there {
        Ok(())
    } else {
        Err(InstallError::ReadBack { what: part.what, offset: part.offset })
    }
}

/// Looks at the device as it is once everything but the choice is written.
///
/// # Errors
///
/// Where the flash cannot be read.
pub fn look(
    flash: &mut dyn FlashReader,
    wanted: &Wanted,
    known: &[Known],
) -> Result<Survey, InstallError> {
    let place = (wanted.table_offset, wanted.table.clone());
    Ok(Survey::with_table(flash, place, Some(wanted.chip), Depth::Headers, known)?)
}

/// Lets a slot boot: writes the entry of `otadata` that does not decide now. Every byte of what is in
/// the slot has to be proven by then. Gives what was written; nothing, where the slot boots already.
///
/// # Errors
///
/// Where the slot would not boot, or another one would.
pub fn choose(
    flash: &mut dyn FlashWriter,
    survey: &Survey,
    slot: Target,
) -> Result<Vec<Change>, InstallError> {
    let changes = slots::switch(survey, slot)?;
    slots::apply(flash, &changes)?;
    Ok(changes)
}
