//! What every device of one run gets: made once, before the first of them is touched.

use std::path::{Path, PathBuf};

use super::Flash;
use super::app::App;
use super::erase::Erase;
use crate::chip::Chip;
use crate::commands::{Context, context, partitions, slots};
use crate::config::Project;
use crate::device::install::{Asked, Wanted};
use crate::device::nvs::Given;
use crate::error::Failure;
use crate::flash_size::FlashSize;

/// Bootloaders end before the last place that a table can have.
const LARGEST_BOOTLOADER: u64 = 1024 * 1024;

/// The order.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) wanted: Wanted,
    pub(super) bootloader: Asked,
    /// Settings for every device.
    pub(super) given: Given,
    /// Bytes of a file that stands for a flash chip and does not exist yet.
    pub(super) flash_size: FlashSize,
    pub(super) erase: Option<Erase>,
    pub(super) dry_run: bool,
    /// Where what is needed after a failure is kept.
    pub(super) folder: PathBuf,
}

impl Order {
    /// Reads what is to be written, and asks what has to be asked; then builds, which takes longest.
    pub(super) fn new(
        context: &Context,
        project: &Project,
        flash: &Flash,
    ) -> Result<Self, Failure> {
        let given = flash.settings.read(context)?;
        let bootloader = asked(flash.bootloader.as_deref())?;
        let (table, _) = partitions::project_table_at(project, flash.table_offset)?;
        let App { bytes, known } = App::of(context, project, flash)?;
        let wanted = Wanted {
            chip: project.chip.value,
            table,
            table_offset: flash.table_offset,
            app: bytes,
            known,
            others: slots::images(context),
            slot: flash.slot,
            allows_data_loss: flash.allow_data_loss,
        };
        Ok(Self {
            wanted,
            bootloader,
            given,
            flash_size: project.flash_size.value,
            erase: flash.erase,
            dry_run: flash.dry_run,
            folder: project.folder.join("target").join("esp-ota"),
        })
    }

    pub(super) fn chip(&self) -> Chip {
        self.wanted.chip
    }
}

fn asked(bootloader: Option<&Path>) -> Result<Asked, Failure> {
    Ok(match bootloader {
        None => Asked::Nothing,
        Some(word) if word.as_os_str() == "espflash" => Asked::Espflash,
        Some(file) => {
            let bytes = context::read(file, LARGEST_BOOTLOADER)?;
            Asked::File { name: file.display().to_string(), bytes }
        }
    })
}
