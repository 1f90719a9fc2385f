//! What a partition is for: its type and subtype codes, known or not.
//!
//! A kind is the pair of bytes that stands in flash. Every pair is a value, so that a table made
//! by a newer ESP-IDF or a vendor survives a round trip.

use std::fmt;

use super::keyword;

/// Type and subtype of a partition (`esp_partition_type_t` and `esp_partition_subtype_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// The type byte.
    pub ty: u8,
    /// The subtype byte. Its meaning depends on the type.
    pub subtype: u8,
}

/// The type of a partition, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An executable image.
    App,
    /// Data.
    Data,
    /// A second-stage bootloader.
    Bootloader,
    /// A partition table.
    PartitionTable,
    /// Any other type; 0x40 to 0xfe belong to vendors.
    Custom(u8),
}

impl Kind {
    /// `app`, `factory`: what boots while no OTA slot is chosen.
    pub const FACTORY: Self = Self { ty: 0x00, subtype: 0x00 };
    /// `data`, `ota`: which slot boots.
    pub const OTADATA: Self = Self { ty: 0x01, subtype: 0x00 };
    /// `data`, `nvs`: key-value store.
    pub const NVS: Self = Self { ty: 0x01, subtype: 0x02 };
    /// `data`, `coredump`.
    pub const COREDUMP: Self = Self { ty: 0x01, subtype: 0x03 };
    /// `data`, `nvs_keys`: keys of an encrypted NVS.
    pub const NVS_KEYS: Self = Self { ty: 0x01, subtype: 0x04 };
    /// `data`, `spiffs`: a file system.
    pub const SPIFFS: Self = Self { ty: 0x01, subtype: 0x82 };
    /// `data`, `tee_ota`: which slot of the trusted execution environment boots.
    pub const TEE_OTADATA: Self = Self { ty: 0x01, subtype: 0x90 };
    /// `bootloader`, `primary`: the bootloader that the ROM starts.
    pub const PRIMARY_BOOTLOADER: Self = Self { ty: 0x02, subtype: 0x00 };
    /// `bootloader`, `recovery`.
    pub const RECOVERY_BOOTLOADER: Self = Self { ty: 0x02, subtype: 0x02 };
    /// `partition_table`, `primary`: the table itself.
    pub const PRIMARY_TABLE: Self = Self { ty: 0x03, subtype: 0x00 };

    /// Most OTA slots a table can have (`NUM_PARTITION_SUBTYPE_APP_OTA`).
    pub const MAX_SLOTS: u8 = 16;

    /// `app`, `ota_<index>`; `None` from 16 on.
    pub fn slot(index: u8) -> Option<Self> {
        (index < Self::MAX_SLOTS).then_some(Self { ty: 0x00, subtype: 0x10 | index })
    }

    /// The type, by name.
    pub const fn class(self) -> Class {
        match self.ty {
            0x00 => Class::App,
            0x01 => Class::Data,
            0x02 => Class::Bootloader,
            0x03 => Class::PartitionTable,
            other => Class::Custom(other),
        }
    }

    /// Whether this is an executable image.
    pub const fn is_app(self) -> bool {
        matches!(self.class(), Class::App)
    }

    /// N, where this is slot `ota_N`.
    pub fn slot_index(self) -> Option<u8> {
        (self.is_app() && self.subtype & 0xf0 == 0x10).then_some(self.subtype & 0x0f)
    }

    /// Whether this row describes the bootloader or the table itself: such rows lie below the end
    /// of the table by nature.
    pub fn is_fixed(self) -> bool {
        self == Self::PRIMARY_BOOTLOADER || self == Self::PRIMARY_TABLE
    }

    /// What offsets of this type are multiples of, in bytes (`ALIGNMENT` in gen_esp32part.py).
    pub const fn offset_alignment(self) -> u32 {
        if self.is_app() { 0x10000 } else { 0x1000 }
    }

    /// ESP-IDF's word for the type, if it has one.
    pub fn type_word(self) -> Option<&'static str> {
        keyword::word(keyword::TYPES, self.ty)
    }

    /// ESP-IDF's word for the subtype, if it has one.
    pub fn subtype_word(self) -> Option<&'static str> {
        keyword::word(keyword::subtypes(self.ty), self.subtype)
    }

    /// The type as a CSV spells it: a word, or hexadecimal.
    pub fn type_text(self) -> String {
        self.type_word().map_or_else(|| format!("{:#04x}", self.ty), str::to_owned)
    }

    /// The subtype as a CSV spells it: a word, or hexadecimal.
    pub fn subtype_text(self) -> String {
        self.subtype_word().map_or_else(|| format!("{:#04x}", self.subtype), str::to_owned)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.type_text(), self.subtype_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixteen_slots_are_the_subtypes_0x10_to_0x1f() {
        assert_eq!(Kind::slot(0), Some(Kind { ty: 0, subtype: 0x10 }));
        assert_eq!(Kind::slot(15), Some(Kind { ty: 0, subtype: 0x1f }));
        assert_eq!(Kind::slot(16), None);
        for index in 0..16 {
            let kind = Kind::slot(index).unwrap();
            assert_eq!(kind.slot_index(), Some(index));
            assert_eq!(kind.subtype_text(), format!("ota_{index}"));
        }
    }

    #[test]
    fn neighbours_of_the_slots_are_no_slots() {
        for (ty, subtype) in [(0, 0x0f), (0, 0x20), (0, 0x00), (1, 0x10), (0x40, 0x10)] {
            assert_eq!(Kind { ty, subtype }.slot_index(), None, "{ty} {subtype}");
        }
    }

    #[test]
    fn unknown_codes_are_spelt_in_hexadecimal() {
        assert_eq!(Kind { ty: 0x40, subtype: 2 }.to_string(), "0x40/0x02");
        assert_eq!(Kind { ty: 0, subtype: 0x77 }.to_string(), "app/0x77");
        assert_eq!(Kind::TEE_OTADATA.to_string(), "data/tee_ota");
    }
}
