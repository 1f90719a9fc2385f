//! Which bootloader a device gets, or keeps.
//!
//! One that is there and works is kept: it may be somebody's own, with rollback, and while it is
//! replaced nothing boots.

use super::bootloader::{self, Bootloader, Destination, OnDevice, Sound};
use super::rollback::OF_ESPFLASH;
use super::secure::{self, Admission};
use super::{InstallError, Part, Plan, Wanted, What};
use crate::agent::layout::Region;
use crate::device::flash::{FlashReader, SECTOR};
use crate::device::serial::Security;
use crate::device::slots;
use crate::flash_size::FlashSize;
use crate::image::{self, Board};
use crate::virtual_device::bootloader::Target;

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
    let target = Destination { chip: wanted.chip, flash: size, table_offset: wanted.table_offset };
    let offset = wanted.chip.bootloader_offset();
    let new = match asked {
        Asked::File { name, bytes } => Ok(bootloader::from_file(name, bytes, &target)?),
        Asked::Nothing | Asked::Espflash if wanted.table_offset != TABLE_OF_ESPFLASH => {
            Err(InstallError::TableOffset(wanted.table_offset))
        }
        Asked::Nothing | Asked::Espflash => {
            bootloader::bundled(&target, facts.board).map_err(InstallError::from)
        }
    };
    if let Ok(new) = &new {
        let part = Part::new(flash, What::Bootloader, offset, new.bytes.clone())?;
        if part.is_there {
            return Ok(SecondStage { part: Some(part), notes: Vec::new() });
        }
    }
    // A bootloader looks for the table at one place, which does not show in it.
    let finds_the_table =
        plan.found.as_ref().is_some_and(|(offset, _)| *offset == wanted.table_offset);
    let theirs = match asked {
        Asked::Nothing if finds_the_table => theirs(flash, &target, facts)?,
        Asked::Nothing | Asked::Espflash | Asked::File { .. } => None,
    };
    // One of espflash's may be for another crystal or revision: then it is no good here.
    let theirs = theirs.filter(|(sound, bytes)| {
        let is_ours = || {
            let restated = image::with_flash_size(bytes, size);
            restated.is_some_and(|restated| {
                new.as_ref().is_ok_and(|new| new.bytes.starts_with(&restated))
            })
        };
        sound.rollback != OF_ESPFLASH || (reaches(sound, wanted) && is_ours())
    });
    let new = match theirs {
        Some((sound, _)) if reaches(&sound, wanted) => {
            let tables = slots::tables(flash)?;
            if tables.iter().any(|offset| *offset != wanted.table_offset) {
                return Err(InstallError::Tables(tables));
            }
            let Sound { description, rollback, .. } = sound;
            let note = format!(
                "the bootloader that is there is kept: {description}, rollback: {} ({}); \
                 `--bootloader espflash` replaces it",
                rollback.answer, rollback.because
            );
            return Ok(SecondStage { part: None, notes: vec![note] });
        }
        // It would refuse the table, so its header is corrected; a signed one cannot be.
        Some((sound, bytes)) => {
            let corrected = bootloader::from_file("the bootloader there", &bytes, &target)?;
            Bootloader { description: format!("the one there, {}", sound.description), ..corrected }
        }
        None => new?,
    };
    let part = Part::new(flash, What::Bootloader, offset, new.bytes.clone())?;
    let security = facts.security.as_ref();
    let admission =
        secure::admit(security, &format!("the bootloader `{}`", new.description), &new.bytes)?;
    let mut notes = said(&new, size);
    if matches!(admission, Admission::Signed(_)) {
        notes.extend(admission.unproven());
    }
    if plan.boots_now != Target::None {
        notes.push("while the bootloader was replaced, nothing would have booted".to_owned());
    }
    Ok(SecondStage { part: Some(part), notes })
}

/// A bootloader that is there and starts; with its bytes.
fn theirs(
    flash: &mut dyn FlashReader,
    target: &Destination,
    facts: &Facts,
) -> Result<Option<(Sound, Vec<u8>)>, InstallError> {
    let start = target.chip.bootloader_offset();
    let room = target.table_offset.saturating_sub(start);
    let Some(length) = slots::image_length(flash, Region { start, len: room })? else {
        return Ok(None);
    };
    // A signature has the sector behind it.
    let with_signature = length.div_ceil(SECTOR).saturating_add(1).saturating_mul(SECTOR);
    let mut region = flash.read(start, with_signature.min(room))?;
    let OnDevice::Sound(sound) = bootloader::on_device(&region, target.chip) else {
        return Ok(None);
    };
    if !sound.is_signed {
        region.truncate(sound.length);
    }
    let starts = sound.is_signed || !facts.security.is_some_and(|it| it.secure_boot);
    Ok(starts.then_some((sound, region)))
}

/// Whether the flash that its header states holds the whole table.
fn reaches(sound: &Sound, wanted: &Wanted) -> bool {
    sound.flash.is_some_and(|flash| wanted.table.end() <= u64::from(flash.bytes()))
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
