//! What is known of the second-stage bootloader.

use md5::{Digest, Md5};

use super::report::BootloaderReport;
use super::{SlotError, image};
use crate::agent::layout::Region;
use crate::agent::otadata::{Entry, State};
use crate::chip::Chip;
use crate::device::flash::FlashReader;
use crate::flash_size::FlashSize;
use crate::hex;
use crate::image::bootloader;

/// No bootloader is longer than up to the first place a table can have.
const END: u32 = 0x8000;
/// Where a bootloader's descriptor is: after the headers of image and first segment.
const DESCRIPTOR: u32 = 0x20;
/// `ESP_BOOTLOADER_DESC_MAGIC_BYTE`, and where `idf_ver` begins and ends
/// (`esp_bootloader_desc.h`, ESP-IDF 5.2 and later).
const DESCRIPTOR_MAGIC: u8 = 80;
const IDF_VERSION: std::ops::Range<usize> = 8..40;

/// What espflash writes into a bootloader's header, and so into its hash.
const FLASH_SIZES: [&str; 6] = ["1MB", "2MB", "4MB", "8MB", "16MB", "32MB"];

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
    let known = FLASH_SIZES.into_iter().find_map(|size| {
        let size: FlashSize = size.parse().ok()?;
        let bytes = bootloader(chip, size).ok()?;
        let length = usize::try_from(outline.length).ok()?;
        let bytes = bytes.get(..length)?;
        bytes.ends_with(&outline.digest).then(|| Md5::digest(bytes))
    });
    let is_known = match known {
        Some(digest) => flash.md5(offset, outline.length)?[..] == digest[..],
        None => false,
    };
    let esp_idf = esp_idf(flash, offset)?;
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
        esp_idf,
        known: is_known.then(|| "the one of espflash 4.7".to_owned()),
        rollback,
        rollback_because: because.to_owned(),
    })
}

fn esp_idf(flash: &mut dyn FlashReader, offset: u32) -> Result<Option<String>, SlotError> {
    let bytes = flash.read(offset.saturating_add(DESCRIPTOR), 64)?;
    if bytes.first() != Some(&DESCRIPTOR_MAGIC) {
        return Ok(None);
    }
    let text = bytes.get(IDF_VERSION).unwrap_or_default();
    let text: Vec<u8> = text.iter().copied().take_while(|byte| *byte != 0).collect();
    let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_graphic);
    Ok(is_plain.then(|| String::from_utf8_lossy(&text).into_owned()))
}
