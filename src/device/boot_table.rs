//! From a partition table to what the bootloader and the agent see of it.

use crate::agent::layout::{Layout, Region};
use crate::partition::{Entry, Kind, Table};
use crate::virtual_device::bootloader::BootTable;

/// The `test` app, `PART_SUBTYPE_TEST` in ESP-IDF.
const TEST: Kind = Kind { ty: 0x00, subtype: 0x20 };

/// The partitions that decide what boots.
pub fn boot_table(table: &Table) -> BootTable {
    let region = |entry: &Entry| Region { start: entry.offset, len: entry.size };
    let mut layout = Layout {
        otadata: table.otadata().map_or(0, |entry| entry.offset),
        factory: table.factory().map(region),
        ..Layout::default()
    };
    for entry in table.slots() {
        let place = entry.kind.slot_index().map(usize::from);
        if let Some(slot) = place.and_then(|index| layout.slots.get_mut(index)) {
            *slot = Some(region(entry));
        }
    }
    BootTable { layout, has_otadata: table.otadata().is_some(), test: table.find(TEST).map(region) }
}
