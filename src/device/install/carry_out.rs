//! Writes what a plan says, and looks whether it is there.

use super::{InstallError, Part, Plan, Wanted};
use crate::device::Survey;
use crate::device::flash::{FlashReader, FlashWriter, SECTOR};
use crate::device::slots::{self, Change, ChangeError};
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
    if part.bytes.iter().all(|byte| *byte == 0xff) {
        flash.erase(part.offset, part.length().next_multiple_of(SECTOR))?;
    } else {
        flash.write(part.offset, &part.bytes, told)?;
    }
    let is_there = part.is_in(flash)?;
    if is_there {
        Ok(())
    } else {
        Err(InstallError::ReadBack { what: part.what, offset: part.offset })
    }
}

/// Erases a table that stands where it is none any more, so that nobody takes it for one.
///
/// # Errors
///
/// Where the flash breaks.
pub fn forget_old_table(flash: &mut dyn FlashWriter, plan: &Plan) -> Result<(), InstallError> {
    match plan.old_table() {
        Some(offset) => Ok(flash.erase(offset, SECTOR)?),
        None => Ok(()),
    }
}

/// Looks at the device as it is once everything but the choice is written.
///
/// # Errors
///
/// Where the flash cannot be read.
pub fn look(flash: &mut dyn FlashReader, wanted: &Wanted) -> Result<Survey, InstallError> {
    Ok(wanted.survey(flash, (wanted.table_offset, wanted.table.clone()))?)
}

/// Lets a slot boot: writes the entry of `otadata` that does not decide now. Every byte of what is in
/// the slot has to be proven by then. Gives what was written, nothing where the slot boots already,
/// and the device as it is then.
///
/// # Errors
///
/// Where the slot would not boot, or another one would.
pub fn choose(
    flash: &mut dyn FlashWriter,
    mut survey: Survey,
    slot: Target,
) -> Result<(Vec<Change>, Survey), InstallError> {
    let mut written = Vec::new();
    let changes = match slots::switch(&survey, slot) {
        Err(ChangeError::UsedUp) => {
            written = slots::repair(&survey)?;
            slots::apply(flash, &written)?;
            survey.changed(&written);
            slots::switch(&survey, slot)
        }
        decided => decided,
    }?;
    // Each is read back.
    slots::apply(flash, &changes)?;
    survey.changed(&changes);
    written.extend(changes);
    Ok((written, survey))
}
