//! Where things are in flash, as far as the agent needs to know.
//!
//! The platform fills this in from the partition table on the chip; the host tool from the table
//! of the project. The agent itself never parses tables.

/// Most slots that ESP-IDF knows: subtypes `ota_0` to `ota_15`.
pub const MOST_SLOTS: usize = 16;

/// A span of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte, counted from the start of the chip.
    pub start: u32,
    /// Bytes.
    pub len: u32,
}

/// The partitions that matter for booting and updating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Start of the `otadata` partition: two sectors.
    pub otadata: u32,
    /// Slots by subtype: `ota_0` first. A gap is `None`.
    pub slots: [Option<Region>; MOST_SLOTS],
    /// The `factory` partition, where there is one.
    pub factory: Option<Region>,
}

impl Layout {
    /// How many slots the table has. ESP-IDF takes this *count* as the modulus of the sequence
    /// number, gaps or not.
    pub fn slot_count(&self) -> u32 {
        self.slots.iter().flatten().fold(0, |count, _| u32::saturating_add(count, 1))
    }

    /// The slot with this index.
    pub fn slot(&self, index: u32) -> Option<Region> {
        usize::try_from(index).ok().and_then(|index| self.slots.get(index).copied().flatten())
    }

    /// The region an application runs from.
    pub fn region(&self, running: Running) -> Option<Region> {
        match running {
            Running::Factory => self.factory,
            Running::Slot(index) => self.slot(index),
        }
    }
}

/// Which partition the code runs from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// The `factory` partition.
    Factory,
    /// Slot `ota_N`.
    Slot(u32),
}
