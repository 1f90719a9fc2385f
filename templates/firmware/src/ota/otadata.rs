//! `otadata`: two entries in two flash sectors that tell the bootloader which slot to start.
//!
//! ESP-IDF's `esp_ota_select_entry_t`, 32 bytes, little-endian, one at the start of each sector:
//!
//! | offset | bytes | field |
//! | ---: | ---: | --- |
//! | 0 | 4 | `ota_seq`: counter from 1; slot = (`ota_seq` - 1) mod number of slots |
//! | 4 | 20 | `seq_label`: unused by ESP-IDF; ours says who wrote the entry |
//! | 24 | 4 | `ota_state` |
//! | 28 | 4 | CRC-32 over the four bytes of `ota_seq`, and nothing else |
//!
//! The CRC does not cover the state, so a torn write can carry a good CRC and a wrong state. That
//! is why a state is believed only together with the label. Every 32 bytes decode to an entry:
//! blank, torn and foreign ones are values here, not errors.

/// Bytes of one flash sector, the erase granularity of the flash chips used with ESP32.
pub const SECTOR: u32 = 0x1000;
/// Bytes of one entry.
pub const ENTRY: usize = 32;
/// Highest sequence number that an entry can carry: one below the erased pattern.
pub const LAST_SEQUENCE: u32 = 0xffff_fffe;

/// State of an entry, `esp_ota_img_states_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Written, not started yet. A bootloader with rollback turns it into `PendingVerify`.
    New,
    /// Started once by a bootloader with rollback, which aborts it at the next reset.
    PendingVerify,
    /// Confirmed by the application.
    Valid,
    /// Given up by the application. Never started.
    Invalid,
    /// Given up by the bootloader, or armed by us. Never started.
    Aborted,
    /// Erased pattern: written by tools and applications that know no rollback.
    Undefined,
    /// Anything else: a torn write or a newer ESP-IDF.
    Unknown(u32),
}

impl State {
    /// The state behind a word from flash.
    pub fn from_word(word: u32) -> Self {
        match word {
            0 => Self::New,
            1 => Self::PendingVerify,
            2 => Self::Valid,
            3 => Self::Invalid,
            4 => Self::Aborted,
            u32::MAX => Self::Undefined,
            other => Self::Unknown(other),
        }
    }

    /// The word that stands for this state in flash.
    pub fn word(self) -> u32 {
        match self {
            Self::New => 0,
            Self::PendingVerify => 1,
            Self::Valid => 2,
            Self::Invalid => 3,
            Self::Aborted => 4,
            Self::Undefined => u32::MAX,
            Self::Unknown(word) => word,
        }
    }

    /// ESP-IDF's name without its prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::PendingVerify => "PENDING_VERIFY",
            Self::Valid => "VALID",
            Self::Invalid => "INVALID",
            Self::Aborted => "ABORTED",
            Self::Undefined => "UNDEFINED",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// What stands in the 20 bytes that ESP-IDF leaves unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Erased: the entry was written by another tool.
    Blank,
    /// We installed this image; it has not run yet.
    Install,
    /// The image runs on trial: every reset falls back.
    Trial,
    /// Confirmed by the image itself, or written by our cable tool.
    Ok,
    /// Anything else: a torn write, or a tool that uses the field.
    Foreign([u8; 20]),
}

impl Label {
    fn from_bytes(bytes: [u8; 20]) -> Self {
        [Self::Blank, Self::Install, Self::Trial, Self::Ok]
            .into_iter()
            .find(|label| label.bytes() == bytes)
            .unwrap_or(Self::Foreign(bytes))
    }

    /// The 20 bytes in flash: the word, then erased bytes.
    pub fn bytes(self) -> [u8; 20] {
        let mut bytes = [0xff; 20];
        let word: &[u8] = match self {
            Self::Blank => b"",
            Self::Install => b"install",
            Self::Trial => b"trial",
            Self::Ok => b"ok",
            Self::Foreign(bytes) => return bytes,
        };
        for (byte, letter) in bytes.iter_mut().zip(word) {
            *byte = *letter;
        }
        bytes
    }

    /// The word to show; `None` for a foreign label.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Blank => Some(""),
            Self::Install => Some("install"),
            Self::Trial => Some("trial"),
            Self::Ok => Some("ok"),
            Self::Foreign(_) => None,
        }
    }
}

/// One entry, whatever its bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `ota_seq`; `u32::MAX` is the erased pattern and counts as no entry.
    pub sequence: u32,
    /// Who wrote the entry.
    pub label: Label,
    /// What the entry says of its image.
    pub state: State,
    /// CRC as stored.
    pub crc: u32,
}

impl Entry {
    /// A sound entry.
    pub fn new(sequence: u32, state: State, label: Label) -> Self {
        Self { sequence, label, state, crc: crc32(sequence) }
    }

    /// Decodes 32 bytes from flash.
    pub fn decode(bytes: &[u8; ENTRY]) -> Self {
        let [q0, q1, q2, q3, label @ .., s0, s1, s2, s3, c0, c1, c2, c3] = *bytes;
        Self {
            sequence: u32::from_le_bytes([q0, q1, q2, q3]),
            label: Label::from_bytes(label),
            state: State::from_word(u32::from_le_bytes([s0, s1, s2, s3])),
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
        }
    }

    /// The 32 bytes of this entry.
    pub fn encode(&self) -> [u8; ENTRY] {
        let mut bytes = [0xff; ENTRY];
        let fields = self
            .sequence
            .to_le_bytes()
            .into_iter()
            .chain(self.label.bytes())
            .chain(self.state.word().to_le_bytes())
            .chain(self.crc.to_le_bytes());
        for (byte, field) in bytes.iter_mut().zip(fields) {
            *byte = field;
        }
        bytes
    }

    /// Whether all 32 bytes are erased.
    pub fn is_blank(&self) -> bool {
        self.encode() == [0xff; ENTRY]
    }

    /// Whether the CRC belongs to the sequence number and the number is not the erased pattern.
    pub fn is_sound(&self) -> bool {
        self.sequence != u32::MAX && self.crc == crc32(self.sequence)
    }

    /// The bootloader's `bootloader_common_ota_select_invalid`; it does not look at the CRC.
    pub fn is_discarded(&self) -> bool {
        self.sequence == u32::MAX || matches!(self.state, State::Invalid | State::Aborted)
    }

    /// The bootloader's `bootloader_common_ota_select_valid`: it would follow this entry.
    pub fn is_bootable(&self) -> bool {
        self.is_sound() && !self.is_discarded()
    }

    /// The slot this entry selects among `count` slots; `None` without slots.
    ///
    /// Sequence 0 wraps below zero as it does in ESP-IDF, where the counter is unsigned.
    pub fn slot(&self, count: u32) -> Option<u32> {
        self.sequence.wrapping_sub(1).checked_rem(count)
    }
}

/// Index of the entry that the bootloader follows: the sound, not discarded one with the higher
/// sequence number, the first on a tie.
pub fn active(entries: &[Entry; 2]) -> Option<usize> {
    let [first, second] = entries;
    match (first.is_bootable(), second.is_bootable()) {
        (true, true) => Some(usize::from(second.sequence > first.sequence)),
        (true, false) => Some(0),
        (false, true) => Some(1),
        (false, false) => None,
    }
}

/// The smallest sequence number that selects `slot` of `count` slots and lies above that of every
/// sound entry, discarded ones included: a lower number would lose against them once more.
///
/// `None` when the counter is used up (after four billion updates, or damage that looks like it).
pub fn next_sequence(entries: &[Entry; 2], slot: u32, count: u32) -> Option<u32> {
    let top = entries.iter().filter(|entry| entry.is_sound()).map(|entry| entry.sequence).max();
    let first = top.unwrap_or(0).checked_add(1)?;
    let now = first.checked_sub(1)?.checked_rem(count)?;
    let ahead = slot.checked_add(count)?.checked_sub(now)?.checked_rem(count)?;
    let sequence = first.checked_add(ahead)?;
    (slot < count && sequence <= LAST_SEQUENCE).then_some(sequence)
}

/// ESP-IDF's CRC over a sequence number: `esp_rom_crc32_le(UINT32_MAX, &seq, 4)`.
///
/// The usual reflected polynomial, but the register starts at 0: the ROM function inverts the
/// all-ones start value that ESP-IDF hands it.
pub fn crc32(sequence: u32) -> u32 {
    let mut register = 0u32;
    for byte in sequence.to_le_bytes() {
        register ^= u32::from(byte);
        for _ in 0..8 {
            let carry = register & 1;
            register >>= 1;
            if carry == 1 {
                register ^= 0xedb8_8320;
            }
        }
    }
    !register
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_agrees_with_esp_idf() {
        let vectors = [
            (0, 0xffff_ffff),
            (1, 0x4743_989a),
            (2, 0x55f6_3774),
            (3, 0xed4a_5011),
            (4, 0x709d_68a8),
            (10, 0x9042_1f9b),
            (255, 0x21fa_f90e),
            (256, 0xfe3d_95c8),
            (LAST_SEQUENCE, 0x99f8_b879),
        ];
        for (sequence, crc) in vectors {
            assert_eq!(crc32(sequence), crc, "sequence {sequence}");
        }
    }

    #[test]
    fn an_entry_has_the_bytes_of_esp_idf() {
        let bytes = Entry::new(1, State::Valid, Label::Ok).encode();
        assert_eq!(bytes[..4], [1, 0, 0, 0]);
        assert_eq!(bytes[4..7], [b'o', b'k', 0xff]);
        assert_eq!(bytes[24..28], [2, 0, 0, 0]);
        assert_eq!(bytes[28..], [0x9a, 0x98, 0x43, 0x47]);
    }

    #[test]
    fn blank_flash_is_a_blank_entry_and_no_choice() {
        let blank = Entry::decode(&[0xff; ENTRY]);
        assert!(blank.is_blank() && blank.is_discarded() && !blank.is_sound());
        assert_eq!(active(&[blank, blank]), None);
        assert_eq!(next_sequence(&[blank, blank], 0, 2), Some(1));
        assert_eq!(next_sequence(&[blank, blank], 1, 2), Some(2));
    }

    #[test]
    fn every_single_bit_flip_in_the_counter_is_caught() {
        for bit in 0..32usize {
            let mut bytes = Entry::new(7, State::Valid, Label::Ok).encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!Entry::decode(&bytes).is_sound(), "bit {bit}");
        }
    }

    #[test]
    fn the_higher_sequence_wins_unless_it_was_given_up() {
        let low = Entry::new(4, State::Valid, Label::Ok);
        let high = |state| Entry::new(5, state, Label::Trial);
        assert_eq!(active(&[low, high(State::New)]), Some(1));
        assert_eq!(active(&[low, high(State::Aborted)]), Some(0));
        assert_eq!(active(&[low, high(State::Invalid)]), Some(0));
        assert_eq!(active(&[low, low]), Some(0), "a tie goes to the first");
        let torn = Entry { crc: 0, ..high(State::New) };
        assert_eq!(active(&[low, torn]), Some(0));
    }

    #[test]
    fn a_new_sequence_lies_above_an_aborted_one() {
        let entries =
            [Entry::new(3, State::Valid, Label::Ok), Entry::new(4, State::Aborted, Label::Trial)];
        assert_eq!(next_sequence(&entries, 1, 2), Some(6));
        assert_eq!(next_sequence(&entries, 0, 2), Some(5));
        assert_eq!(next_sequence(&entries, 2, 3), Some(6));
        assert_eq!(next_sequence(&entries, 2, 2), None, "no such slot");
        assert_eq!(next_sequence(&entries, 0, 0), None, "no slots at all");
    }

    #[test]
    fn a_used_up_counter_is_said_and_not_wrapped() {
        let at = |sequence| Entry::new(sequence, State::Valid, Label::Ok);
        let entries = [at(LAST_SEQUENCE - 1), at(1)];
        assert_eq!(next_sequence(&entries, 1, 2), Some(LAST_SEQUENCE));
        assert_eq!(next_sequence(&entries, 0, 2), None);
        assert_eq!(next_sequence(&[at(LAST_SEQUENCE), at(1)], 1, 2), None);
    }

    #[test]
    fn decode_and_encode_are_inverse_on_any_bytes() {
        for seed in 0..=255u8 {
            let mut bytes = [seed; ENTRY];
            for (index, byte) in (0u8..).zip(&mut bytes) {
                *byte = byte.wrapping_mul(31).wrapping_add(index);
            }
            assert_eq!(Entry::decode(&bytes).encode(), bytes);
        }
    }
}
