//! Which bootloader a device gets, or keeps.
//!
//! One that is there and works is kept: it may be somebody's own, with rollback, and while it is
//! replaced nothing boots.

use super::bootloader::{self, Bootloader, OnDevice, Sound, Target};
use super::rollback::OF_ESPFLASH;
use super::secure::{self, Admission};
use super::{InstallError, Part, Plan, Wanted, What};
use crate::agent::layout::Region;
use crate::device::flash::{FlashReader, SECTOR};
use crate::device::serial::Security;
use crate::device::slots;
use crate::flash_size::FlashSize;
use crate::image::Board;
use crate::virtual_device::bootloader::Target as Slot;

/// Where the bootloaders that come with espflash look for the table.
const TABLE_OF_ESPFLASH: u32 = 0x8000;

/// What somebody asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: one that is there and works is kept, and else espflash's is written.
    #[default]
    Nothing,
    /// That of espflash, whatever is there.
    Espflash,
    /// One of their own.
    File {
        /// Its name, for messages.
        name: String,
        /// What is in it.
        bytes: Vec<u8>,
    },
}

/// What is known of a chip that decides on its bootloader.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Crystal and revision.
    pub board: Board,
    /// What its ROM says; `None` where it cannot be asked.
    pub security: Option<Security>,
}

/// The bootloader that a device has in the end.
#[derive(Clone, Debug)]
pub struct SecondStage {
    /// What is written, or is there already; `None` where another one is kept.
    pub part: Option<Part>,
    /// What somebody may want to know.
    pub notes: Vec<String>,
}

/// Decides.
///
/// # Errors
///
/// Where the one that was asked for is none for this device.
pub fn second_stage(
    flash: &mut dyn FlashReader,
    wanted: &Wanted,
    plan: &Plan,
    asked: &Asked,
    facts: &Facts,
) -> Result<SecondStage, InstallError> {
    let size = FlashSize::of(flash.size()).unwrap_or(FlashSize::DEFAULT);
    let target = Target { chip: wanted.chip, flash: size, table_offset: wanted.table_offset };
    let offset = wanted.chip.bootloader_offset();
    let new = match asked {
        Asked::File { name, bytes } => Ok(bootloader::from_file(name, bytes, &target)?),
        Asked::Nothing | Asked::Espflash if wanted.table_offset != TABLE_OF_ESPFLASH => {
            Err(InstallError::TableOffset(wanted.table_offset))
        }
        Asked::Nothing | Asked::Espflash => Ok(bootloader::bundled(&target, facts.board)?),
    };
    let part = match &new {
        Ok(new) => Some(Part::new(flash, What::Bootloader, offset, new.bytes.clone())?),
        Err(_) => None,
    };
    if let Some(part) = part.clone().filter(|part| part.is_there) {
        return Ok(SecondStage { part: Some(part), notes: Vec::new() });
    }
    // A bootloader looks for the table at one place, which does not show in it.
    let finds_the_table =
        plan.found.as_ref().is_some_and(|(offset, _)| *offset == wanted.table_offset);
    if *asked == Asked::Nothing && finds_the_table {
        let region = read(flash, &target)?;
        if let OnDevice::Sound(sound) = bootloader::on_device(&region, wanted.chip) {
            let is_right = sound.flash == Some(size);
            let may_start = sound.is_signed || !facts.security.is_some_and(|it| it.secure_boot);
            if is_right && may_start && sound.rollback != OF_ESPFLASH {
                let Sound { description, rollback, .. } = sound;
                let note = format!(
                    "the bootloader that is there is kept: {description}, rollback: {} ({}); \
                     `--bootloader espflash` replaces it",
                    rollback.answer, rollback.because
                );
                return Ok(SecondStage { part: None, notes: vec![note] });
            }
        }
    }
    let new = new?;
    let security = facts.security.as_ref();
    let admission =
        secure::admit(security, &format!("the bootloader `{}`", new.description), &new.bytes)?;
    let mut notes = said(&new, size);
    if matches!(admission, Admission::Signed(_)) {
        notes.extend(admission.unproven());
    }
    if plan.boots_now != Slot::None {
        notes.push("while the bootloader was replaced, nothing would have booted".to_owned());
    }
    Ok(SecondStage { part, notes })
}

/// The bootloader that is there, with the sector behind it that a signature would be in; only its
/// head, where it has no end.
fn read(flash: &mut dyn FlashReader, target: &Target) -> Result<Vec<u8>, InstallError> {
    let start = target.chip.bootloader_offset();
    let room = target.table_offset.saturating_sub(start);
    let length = slots::image_length(flash, Region { start, len: room })?.unwrap_or(0);
    let with_signature = length.div_ceil(SECTOR).saturating_add(1).saturating_mul(SECTOR);
    Ok(flash.read(start, with_signature.min(room))?)
}

fn said(new: &Bootloader, size: FlashSize) -> Vec<String> {
    let Bootloader { description, rollback, restated, .. } = new;
    let mut notes = vec![format!(
        "bootloader: {description}, rollback: {} ({})",
        rollback.answer, rollback.because
    )];
    if let Some(stated) = restated {
        notes.push(format!(
            "the bootloader's header said {stated} of flash, and says {size} now, as the chip has it"
        ));
    }
    notes
}
