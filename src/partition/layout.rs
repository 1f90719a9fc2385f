//! The layouts that `init` writes.

use super::entry::Entry;
use super::kind::Kind;
use super::table::Table;

/// Smallest flash with a layout: below 1 MiB there is no room for two slots worth having.
const SMALLEST_FLASH: u32 = 0x10_0000;

/// Largest slot: ESP-IDF's bootloader maps at most 16 MiB of an image.
const LARGEST_SLOT: u32 = 0x100_0000;

/// What slots and the file system are multiples of: the alignment of apps.
const BLOCK: u32 = 0x1_0000;

/// Room for a core dump in the layout without file system.
const COREDUMP: u32 = 0x1_0000;

/// Two slots and a file system. `flash_size` is in bytes; `None` below 1 MiB.
///
/// For 4 MiB this is the layout of the Arduino core's "Default 4MB with spiffs" scheme as its
/// users know it: slots of 1.25 MiB. Other sizes keep the proportions, 5/16 of the flash a slot.
pub fn standard(flash_size: u32) -> Option<Table> {
    let slot = flash_size.div_euclid(16).checked_mul(5)?;
    layout(flash_size, slot, Entry::new("spiffs", Kind::SPIFFS, 0, 0))
}

/// Two slots as large as the flash allows, and what is left (64 KiB or more) for core dumps.
/// `flash_size` is in bytes; `None` below 1 MiB.
///
/// For 4 MiB this is the Arduino core's "No FS 4MB (2MB APP x2)" scheme.
pub fn no_filesystem(flash_size: u32) -> Option<Table> {
    let slot = flash_size.checked_sub(BLOCK)?.checked_sub(COREDUMP)?.div_euclid(2);
    layout(flash_size, slot, Entry::new("coredump", Kind::COREDUMP, 0, 0))
}

fn layout(flash_size: u32, slot: u32, rest: Entry) -> Option<Table> {
    if flash_size < SMALLEST_FLASH {
        return None;
    }
    let slot = slot.min(LARGEST_SLOT).div_euclid(BLOCK).checked_mul(BLOCK)?;
    let second = BLOCK.checked_add(slot)?;
    let rest_offset = second.checked_add(slot)?;
    let rest_size = flash_size.checked_sub(rest_offset)?;
    Some(Table {
        entries: vec![
            Entry::new("nvs", Kind::NVS, 0x9000, 0x5000),
            Entry::new("otadata", Kind::OTADATA, 0xe000, 0x2000),
            Entry::new("app0", Kind::slot(0)?, BLOCK, slot),
            Entry::new("app1", Kind::slot(1)?, second, slot),
            Entry { offset: rest_offset, size: rest_size, ..rest },
        ],
    })
}
