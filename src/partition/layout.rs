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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Chip;
    use crate::partition::{AcceptedBy, Options, check_table};

    fn rows(table: &Table) -> Vec<(String, String, u32, u32)> {
        let rows = table.entries.iter();
        rows.map(|e| (e.label.to_string(), e.kind.to_string(), e.offset, e.size)).collect()
    }

    fn row(name: &str, kind: &str, offset: u32, size: u32) -> (String, String, u32, u32) {
        (name.to_owned(), kind.to_owned(), offset, size)
    }

    #[test]
    fn four_mebibytes_are_laid_out_as_esp32_users_know_it() {
        assert_eq!(
            rows(&standard(0x40_0000).unwrap()),
            [
                row("nvs", "data/nvs", 0x9000, 0x5000),
                row("otadata", "data/ota", 0xe000, 0x2000),
                row("app0", "app/ota_0", 0x10000, 0x14_0000),
                row("app1", "app/ota_1", 0x15_0000, 0x14_0000),
                row("spiffs", "data/spiffs", 0x29_0000, 0x17_0000),
            ]
        );
    }

    #[test]
    fn without_a_file_system_the_slots_of_four_mebibytes_are_those_of_arduino() {
        assert_eq!(
            rows(&no_filesystem(0x40_0000).unwrap())[2..],
            [
                row("app0", "app/ota_0", 0x10000, 0x1f_0000),
                row("app1", "app/ota_1", 0x20_0000, 0x1f_0000),
                row("coredump", "data/coredump", 0x3f_0000, 0x1_0000),
            ]
        );
    }

    #[test]
    fn layouts_of_every_size_pass_the_check_and_fill_the_flash() {
        for mebibytes in [1, 2, 4, 8, 16, 32, 64, 128] {
            let flash_size = mebibytes * 0x10_0000;
            let chip = Some(Chip::Esp32);
            let options = Options { chip, flash_size: Some(flash_size), ..Options::default() };
            for table in [standard(flash_size).unwrap(), no_filesystem(flash_size).unwrap()] {
                let report = check_table(&table, &options);
                assert_eq!(report.findings, [], "{mebibytes} MiB");
                let AcceptedBy { esp_idf, espflash, esp_bootloader_esp_idf, ota } =
                    report.accepted_by;
                assert!(esp_idf && espflash && esp_bootloader_esp_idf && ota);
                assert_eq!(table.end(), u64::from(flash_size));
            }
        }
    }

    #[test]
    fn too_small_a_flash_has_no_layout() {
        assert_eq!(standard(SMALLEST_FLASH - 1), None);
        assert_eq!(no_filesystem(0), None);
        assert!(no_filesystem(u32::MAX).is_some(), "and a large one does not overflow");
    }
}
