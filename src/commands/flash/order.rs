//! What every device of one run gets: made once, before the first of them is touched.

use std::path::PathBuf;

use super::Flash;
use super::app::App;
use super::erase::Erase;
use crate::chip::Chip;
use crate::commands::{Context, partitions, slots};
use crate::config::Project;
use crate::device::install::Wanted;
use crate::error::Failure;
use crate::flash_size::FlashSize;

/// The order.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) wanted: Wanted,
    /// Bytes of a file that stands for a flash chip and does not exist yet.
    pub(super) flash_size: FlashSize,
    pub(super) erase: Option<Erase>,
    pub(super) dry_run: bool,
    /// Where what is needed after a failure is kept.
    pub(super) folder: PathBuf,
}

impl Order {
    /// Builds, and reads what is to be written.
    pub(super) fn new(
        context: &Context,
        project: &Project,
        flash: &Flash,
    ) -> Result<Self, Failure> {
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
