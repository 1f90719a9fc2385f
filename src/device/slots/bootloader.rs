//! What is known of the second-stage bootloader.

use md5::{Digest, Md5};

use super::report::BootloaderReport;
use super::{SlotError, image};
use crate::agent::layout::Region;
use crate::agent::otadata::{Entry, State};
use crate::chip::Chip;
use crate::device::flash::FlashReader;
use crate::hex;
use crate::image::inspect::descriptor::{self, BOOTLOADER_HEAD};
use crate::image::of_espflash;

/// No bootloader is longer than up to the first place a table can have.
const END: u32 = 0x8000;

/// Looks at the bootloader of a chip, and at what only one with rollback would have written.
pub(super) fn find(
    flash: &mut dyn FlashReader,
    chip: Chip,
    entries: &[Entry; 2],
) -> Result<BootloaderReport, SlotError> {
    let offset = chip.bootloader_offset();
    let room = END.min(flash.size()).saturating_sub(offset);
    let outline = match image::outline(flash, Region { start: offset, len: room })? {
        Ok(outline) => outline,
        Err(error) => {
            return Ok(BootloaderReport {
                offset,
                reason: Some(error.to_string()),
                size: None,
                sha256: None,
                esp_idf: None,
                known: None,
                rollback: "unknown",
                rollback_because: "there is no whole bootloader".to_owned(),
            });
        }
    };
    let known = of_espflash(chip, &outline.digest).map(|bytes| Md5::digest(&bytes));
    let is_known = match known {
        Some(digest) => flash.md5(offset, outline.length)?[..] == digest[..],
        None => false,
    };
    let descriptor = descriptor::bootloader(&flash.read(offset, BOOTLOADER_HEAD)?);
    let has_pending =
        entries.iter().any(|entry| entry.is_sound() && entry.state == State::PendingVerify);
    let (rollback, because) = match (is_known, has_pending) {
        (true, _) => ("no", "espflash builds it without"),
        (false, true) => ("yes", "an entry is PENDING_VERIFY, which only rollback writes"),
        (false, false) => ("unknown", "neither the bootloader nor otadata tells"),
    };
    Ok(BootloaderReport {
        offset,
        reason: None,
        size: Some(outline.length),
        sha256: Some(hex::lower(&outline.digest)),
        esp_idf: descriptor.map(|it| it.idf_version),
        known: is_known.then(|| "the one of espflash 4.7".to_owned()),
        rollback,
        rollback_because: because.to_owned(),
    })
}
