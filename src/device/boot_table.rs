//! From a partition table to what the bootloader and the agent see of it.

use crate::agent::layout::{Layout, Region};
use crate::partition::{Entry, Kind, Table};
use crate::virtual_device::bootloader::BootTable;

/// The `test` app, `PART_SUBTYPE_TEST` in ESP-IDF.
const TEST: Kind = Kind { ty: 0x00, subtype: 0x20 };

/// Whether two regions share a byte.
pub fn overlap(one: Region, other: Region) -> bool {
    let end = |region: Region| region.start.saturating_add(region.len);
    one.start < end(other) && other.start < end(one)
}

/// The partitions that decide what boots.
///
/// Where two rows claim one subtype the bootloader remembers the later one, and still counts both.
pub fn boot_table(table: &Table) -> BootTable {
    let region = |entry: &Entry| Region { start: entry.offset, len: entry.size };
    let last = |kind| table.entries.iter().rev().find(|entry| entry.kind == kind);
    let otadata = last(Kind::OTADATA);
    let mut layout = Layout {
        otadata: otadata.map_or(0, |entry| entry.offset),
        factory: last(Kind::FACTORY).map(region),
        ..Layout::default()
    };
    let mut slot_rows = 0u32;
    for entry in &table.entries {
        let place = entry.kind.slot_index().map(usize::from);
        if let Some(slot) = place.and_then(|index| layout.slots.get_mut(index)) {
            *slot = Some(region(entry));
            slot_rows = slot_rows.saturating_add(1);
        }
    }
    BootTable { layout, slot_rows, has_otadata: otadata.is_some(), test: last(TEST).map(region) }
}
