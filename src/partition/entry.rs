//! One row of a partition table, as flash holds it (`esp_partition_info_t`, 32 bytes).

use std::borrow::Cow;
use std::fmt;

use super::kind::Kind;
use super::text;

/// The 16 bytes of a partition's name, padded with zeros.
///
/// ESP-IDF ends a name at the first zero byte; what follows it is kept, so that a table is written
/// back as it was read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(pub [u8; Label::SIZE]);

impl Label {
    /// Bytes a name has in flash.
    pub const SIZE: usize = 16;

    /// The label for a name, cut after 16 bytes as gen_esp32part.py cuts it.
    pub fn new(name: &str) -> Self {
        let mut bytes = [0; Self::SIZE];
        for (place, byte) in bytes.iter_mut().zip(name.bytes()) {
            *place = byte;
        }
        Self(bytes)
    }

    /// The name: everything before the first zero byte.
    pub fn bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// The name as text, with replacement characters where it is none.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes())
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Label(\"{}\")", self.0.escape_ascii())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text::quote(&self.text()))
    }
}

/// The flags word of a row, unknown bits included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u32);

impl Flags {
    /// The partition is encrypted when flash encryption is on.
    pub const ENCRYPTED: Self = Self(1);
    /// The partition must not be written.
    pub const READONLY: Self = Self(2);

    /// Whether the partition is encrypted when flash encryption is on.
    pub const fn encrypted(self) -> bool {
        self.0 & Self::ENCRYPTED.0 != 0
    }

    /// Whether the partition must not be written.
    pub const fn readonly(self) -> bool {
        self.0 & Self::READONLY.0 != 0
    }

    /// Bits that ESP-IDF has no name for.
    pub const fn unknown(self) -> u32 {
        self.0 & !(Self::ENCRYPTED.0 | Self::READONLY.0)
    }

    /// These flags and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The known flags as a CSV spells them, such as `encrypted:readonly`.
    pub const fn text(self) -> &'static str {
        match (self.encrypted(), self.readonly()) {
            (false, false) => "",
            (true, false) => "encrypted",
            (false, true) => "readonly",
            (true, true) => "encrypted:readonly",
        }
    }
}

/// One row of a partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Name.
    pub label: Label,
    /// Type and subtype.
    pub kind: Kind,
    /// First byte in flash.
    pub offset: u32,
    /// Length in bytes.
    pub size: u32,
    /// Flags.
    pub flags: Flags,
}

impl Entry {
    /// A row without flags. Names longer than 16 bytes are cut.
    pub fn new(name: &str, kind: Kind, offset: u32, size: u32) -> Self {
        Self { label: Label::new(name), kind, offset, size, flags: Flags::default() }
    }

    /// First byte after the partition. Wider than an offset, because a row can claim bytes past
    /// 4 GiB.
    pub fn end(&self) -> u64 {
        u64::from(self.offset).saturating_add(u64::from(self.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_after_sixteen_bytes_and_ends_at_a_zero() {
        assert_eq!(Label::new("seventeen_letters").text(), "seventeen_letter");
        assert_eq!(Label::new("sixteen_letters_").text(), "sixteen_letters_");
        assert_eq!(Label::new("a\0b").text(), "a");
        assert_eq!(Label::new("").bytes(), b"");
    }

    #[test]
    fn a_name_cut_inside_a_letter_is_no_text_but_does_not_panic() {
        assert_eq!(Label::new("fifteen_letters\u{e4}").text(), "fifteen_letters\u{fffd}");
    }

    #[test]
    fn unknown_flags_are_kept_apart_from_the_known() {
        let flags = Flags(0x8000_0003);
        assert!(flags.encrypted() && flags.readonly());
        assert_eq!(flags.unknown(), 0x8000_0000);
        assert_eq!(flags.text(), "encrypted:readonly");
    }

    #[test]
    fn an_end_past_four_gibibytes_does_not_wrap() {
        let row = Entry::new("x", Kind::NVS, u32::MAX, u32::MAX);
        assert_eq!(row.end(), 0x1_ffff_fffe);
    }
}
