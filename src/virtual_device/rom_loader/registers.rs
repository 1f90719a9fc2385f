//! The memory that a host reads and writes by address: what tells a chip from others, its eFuses,
//! and the SPI controller, through which the flash chip is asked for its size.
//!
//! Addresses are those of the chips' technical reference manuals, as espflash and esptool use them.

use std::collections::BTreeMap;

use crate::chip::Chip;

/// Where the ROM of older chips holds a number that tells them apart.
const MAGIC: u32 = 0x4000_1000;
/// Most addresses that are remembered; hosts write some twenty.
const MOST: usize = 1024;
/// Starts a command that the SPI controller was told before (`SPI_USR`).
const START: u32 = 1 << 18;
/// A W25Q flash chip: Winbond, type 0x40.
const FLASH_ID: u32 = 0x40ef;

/// Where the registers of the SPI controller are.
#[derive(Clone, Copy, Debug)]
struct Spi {
    base: u32,
    command: u32,
    data: u32,
}

/// Bits of a word: where, from which bit on, how many.
type Field = (u32, u32, u32);

/// All memory that a host can reach. What was never written reads as 0.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    words: BTreeMap<u32, u32>,
    spi: Spi,
    flash_size: u32,
}

impl Registers {
    /// The memory of a chip. `revision` is major times 100 plus minor, `mac` its six bytes in the
    /// order in which people write them, `flash_size` in bytes.
    pub(super) fn new(chip: Chip, revision: u16, mac: [u8; 6], flash_size: u32) -> Self {
        let mut registers = Self { words: BTreeMap::new(), spi: spi(chip), flash_size };
        if let Some(magic) = magic(chip) {
            registers.put(MAGIC, magic);
        }
        let at = mac_register(chip);
        let [a, b, c, d, e, f] = mac;
        registers.put(at, u32::from_be_bytes([c, d, e, f]));
        registers.put(at.saturating_add(4), u32::from_be_bytes([0, 0, a, b]));
        let major = u32::from(revision.checked_div(100).unwrap_or(0));
        let minor = u32::from(revision.checked_rem(100).unwrap_or(0));
        for (field, value) in revision_fields(chip, major, minor) {
            registers.set_field(field, value);
        }
        registers
    }

    /// Burns the eFuses in which an ESP32 has what other chips tell of their security.
    pub(super) fn burn_esp32(&mut self, flash_encryption: bool, secure_boot: bool) {
        self.set_field((0x3ff5_a000, 20, 7), u32::from(flash_encryption)); // FLASH_CRYPT_CNT
        self.set_field((0x3ff5_a018, 5, 1), u32::from(secure_boot)); // ABS_DONE_1
    }

    /// The word at an address.
    pub(super) fn read(&self, address: u32) -> u32 {
        self.words.get(&address).copied().unwrap_or(0)
    }

    /// Writes the bits of `mask`. `false` where too many addresses were written already.
    pub(super) fn write(&mut self, address: u32, value: u32, mask: u32) -> bool {
        let word = self.read(address) & !mask | value & mask;
        if address == self.spi.base && word & START != 0 {
            let opcode = self.read(self.spi.base.saturating_add(self.spi.command)) & 0xff;
            let answer = self.spi_answer(opcode);
            return self.put(self.spi.base.saturating_add(self.spi.data), answer)
                && self.put(address, word & !START);
        }
        self.put(address, word)
    }

    fn put(&mut self, address: u32, word: u32) -> bool {
        let has_room = self.words.len() < MOST || self.words.contains_key(&address);
        if has_room {
            self.words.insert(address, word);
        }
        has_room
    }

    fn set_field(&mut self, (address, shift, bits): Field, value: u32) {
        let mask = 1u32.checked_shl(bits).unwrap_or(0).wrapping_sub(1);
        let place = |bits: u32| bits.checked_shl(shift).unwrap_or(0);
        self.write(address, place(value & mask), place(mask));
    }

    /// What the flash chip answers to a command.
    fn spi_answer(&self, opcode: u32) -> u32 {
        const READ_ID: u32 = 0x9f;
        match opcode {
            // The third byte is the binary logarithm of the size.
            READ_ID => FLASH_ID | self.flash_size.checked_ilog2().unwrap_or(0) << 16,
            _ => 0,
        }
    }
}

const fn spi(chip: Chip) -> Spi {
    let (base, command, data) = match chip {
        Chip::Esp32 => (0x3ff4_2000, 0x24, 0x80),
        Chip::Esp32s2 => (0x3f40_2000, 0x20, 0x58),
        Chip::Esp32s3 | Chip::Esp32c2 | Chip::Esp32c3 => (0x6000_2000, 0x20, 0x58),
        Chip::Esp32c5 | Chip::Esp32c6 | Chip::Esp32c61 | Chip::Esp32h2 => (0x6000_3000, 0x20, 0x58),
        Chip::Esp32p4 => (0x5008_d000, 0x20, 0x58),
    };
    Spi { base, command, data }
}

/// The first of the two words that hold the MAC.
const fn mac_register(chip: Chip) -> u32 {
    match chip {
        Chip::Esp32 => 0x3ff5_a004,
        Chip::Esp32s2 => 0x3f41_a044,
        Chip::Esp32s3 => 0x6000_7044,
        Chip::Esp32c2 => 0x6000_8840,
        Chip::Esp32c3 => 0x6000_8844,
        Chip::Esp32c6 | Chip::Esp32h2 => 0x600b_0844,
        Chip::Esp32c5 | Chip::Esp32c61 => 0x600b_4844,
        Chip::Esp32p4 => 0x5012_d044,
    }
}

/// Chips whose ROM does not say in its security information what it is.
const fn magic(chip: Chip) -> Option<u32> {
    match chip {
        Chip::Esp32 => Some(0x00f0_1d83),
        Chip::Esp32s2 => Some(0x0000_07c6),
        Chip::Esp32s3
        | Chip::Esp32c2
        | Chip::Esp32c3
        | Chip::Esp32c5
        | Chip::Esp32c6
        | Chip::Esp32c61
        | Chip::Esp32h2
        | Chip::Esp32p4 => None,
    }
}

/// Where a revision is burnt in.
fn revision_fields(chip: Chip, major: u32, minor: u32) -> Vec<(Field, u32)> {
    let block = mac_register(chip);
    let word = |index: u32| block.saturating_add(index.saturating_mul(4));
    let high = minor >> 3;
    match chip {
        // Majors 1, 2 and 3 are one, two and three bits in three places.
        Chip::Esp32 => vec![
            ((0x3ff5_a00c, 15, 1), u32::from(major >= 1)),
            ((0x3ff5_a014, 20, 1), u32::from(major >= 2)),
            ((0x3ff6_607c, 31, 1), u32::from(major >= 3)),
            ((0x3ff5_a014, 24, 2), minor),
        ],
        Chip::Esp32s2 => {
            vec![((word(3), 18, 2), major), ((word(3), 20, 1), high), ((word(4), 4, 3), minor)]
        }
        Chip::Esp32s3 | Chip::Esp32c3 => {
            vec![((word(5), 24, 2), major), ((word(5), 23, 1), high), ((word(3), 18, 3), minor)]
        }
        Chip::Esp32c2 => vec![((word(1), 20, 2), major), ((word(1), 16, 4), minor)],
        Chip::Esp32c6 => vec![((word(3), 22, 2), major), ((word(3), 18, 4), minor)],
        Chip::Esp32h2 => vec![((word(3), 21, 2), major), ((word(3), 18, 3), minor)],
        Chip::Esp32c5 | Chip::Esp32c61 | Chip::Esp32p4 => {
            vec![((word(2), 4, 2), major), ((word(2), 0, 4), minor)]
        }
    }
}
