//! Writes what a plan says, and looks whether it is there.

use super::{InstallError, Part, Plan, Wanted};
use crate::device::flash::FlashWriter;
use crate::device::slots::{self, Change};
use crate::device::{Depth, Known, Survey};

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

/// Lets the slot of the plan boot: writes the entry of `otadata` that does not decide now. Whatever
/// is in the slot then has to be the app, byte for byte. Gives what was written, nothing where the
/// slot boots already, and what the device is then.
///
/// # Errors
///
/// Where the slot would not boot, or another one would.
pub fn choose(
    flash: &mut dyn FlashWriter,
    wanted: &Wanted,
    plan: &Plan,
    known: &[Known],
) -> Result<(Vec<Change>, Survey), InstallError> {
    let place = || (wanted.table_offset, wanted.table.clone());
    let chip = Some(wanted.chip);
    let survey = Survey::with_table(flash, place(), chip, Depth::Headers, known)?;
    let changes = slots::switch(&survey, plan.slot)?;
    if changes.is_empty() {
        return Ok((changes, survey));
    }
    slots::apply(flash, &changes)?;
    Ok((changes, Survey::with_table(flash, place(), chip, Depth::Headers, known)?))
}
