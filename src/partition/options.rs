//! What a table is judged against: the facts that stand in the project and not in the table.

use std::collections::BTreeMap;

use super::extra_subtypes::ExtraSubtypes;
use crate::chip::Chip;

/// Bytes of flash that the partition table occupies: one sector, at [`Options::table_offset`]
/// (`PARTITION_TABLE_SIZE` in gen_esp32part.py).
pub const TABLE_SIZE: u32 = 0x1000;

/// Which scheme of ESP-IDF's secure boot the apps have to be suitable for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureBoot {
    /// The signature lies at the end of a 64 KiB block, so app sizes are multiples of that.
    V1,
    /// The signature has a sector of its own.
    V2,
}

/// The circumstances of a table. The default is a table at 0x8000 about which nothing else is
/// known; every rule that needs an absent fact is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The chip, which says where the bootloader lies.
    pub chip: Option<Chip>,
    /// Bytes of flash.
    pub flash_size: Option<u32>,
    /// Where the table lies in flash, in bytes (`CONFIG_PARTITION_TABLE_OFFSET`).
    pub table_offset: u32,
    /// The secure boot scheme in use.
    pub secure_boot: Option<SecureBoot>,
    /// Where the bootloader lies; needed by rows of type `bootloader`.
    pub primary_bootloader_offset: Option<u32>,
    /// Where the recovery bootloader lies; needed by `bootloader`, `recovery` rows.
    pub recovery_bootloader_offset: Option<u32>,
    /// Whether the bootloader refuses older images for good (`CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK`).
    pub anti_rollback: bool,
    /// Words for subtypes beside ESP-IDF's own (`--extra-partition-subtypes`).
    pub extra_subtypes: ExtraSubtypes,
    /// Values for `$NAME` and `${NAME}` in a CSV, usually the environment.
    pub variables: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            chip: None,
            flash_size: None,
            table_offset: 0x8000,
            secure_boot: None,
            primary_bootloader_offset: None,
            recovery_bootloader_offset: None,
            anti_rollback: false,
            extra_subtypes: ExtraSubtypes::default(),
            variables: BTreeMap::new(),
        }
    }
}

impl Options {
    /// First byte after the table. Wider than a `u32` because nothing bounds the offset.
    pub(crate) fn table_end(&self) -> u64 {
        u64::from(self.table_offset).saturating_add(u64::from(TABLE_SIZE))
    }
}
