//! What a chip says of its security.
//!
//! A chip that does not answer is no chip without security: plain text would be written over cipher
//! text.

use espflash::flasher::{Flasher, SecurityInfo};

use super::Security;
use crate::chip::Chip;

/// `ABS_DONE_0` of an ESP32, in word 6: Secure Boot v1.
const VERSION_1: u32 = 1 << 4;
/// `ABS_DONE_1`, beside it: Secure Boot v2.
const VERSION_2: u32 = 1 << 5;

/// Asks the ROM, or reads the eFuses of an ESP32, whose ROM does not know the question.
pub(super) fn ask(flasher: &mut Flasher, chip: Chip) -> Result<Security, espflash::Error> {
    if chip != Chip::Esp32 {
        return flasher.security_info().map(Security::from);
    }
    let chip = flasher.chip();
    let connection = flasher.connection();
    let first = chip.read_efuse_raw(connection, 0, 0)?;
    let last = chip.read_efuse_raw(connection, 0, 6)?;
    Ok(of_esp32(first, last))
}

/// Whether an ESP32 has Secure Boot v1 on, alone or with v2.
pub(super) fn is_version_1(flasher: &mut Flasher) -> Result<bool, espflash::Error> {
    let chip = flasher.chip();
    Ok(chip.read_efuse_raw(flasher.connection(), 0, 6)? & VERSION_1 != 0)
}

/// From words 0 and 6 of block 0, as ESP-IDF's table of the ESP32's eFuses has them.
fn of_esp32(first: u32, last: u32) -> Security {
    /// `FLASH_CRYPT_CNT`.
    const FLASH_CRYPT: u32 = 0x7f << 20;
    Security {
        flash_encryption: is_odd(first & FLASH_CRYPT),
        secure_boot: last & (VERSION_1 | VERSION_2) != 0,
        // It has no such mode: its loader is there or not.
        secure_download: false,
    }
}

impl From<SecurityInfo> for Security {
    /// Flags as in the ROM's answer to GET_SECURITY_INFO.
    fn from(info: SecurityInfo) -> Self {
        const SECURE_BOOT: u32 = 1 << 0;
        const SECURE_DOWNLOAD: u32 = 1 << 2;
        Self {
            flash_encryption: is_odd(u32::from(info.flash_crypt_cnt)),
            secure_boot: info.flags & SECURE_BOOT != 0,
            secure_download: info.flags & SECURE_DOWNLOAD != 0,
        }
    }
}

/// Each change of flash encryption burns one more bit: it is on where their number is odd.
fn is_odd(bits: u32) -> bool {
    !bits.count_ones().is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_esp32_has_its_security_in_block_0() {
        let found = |first, last| {
            let Security { flash_encryption, secure_boot, .. } = of_esp32(first, last);
            (flash_encryption, secure_boot)
        };
        assert_eq!(found(0, 0), (false, false));
        assert_eq!(found(!(0x7f << 20), !(1 << 4 | 1 << 5)), (false, false));
        for (bits, is_on) in [(0b1, true), (0b11, false), (0b111, true), (0x40, true), (0x7f, true)]
        {
            assert_eq!(found(bits << 20, 0), (is_on, false), "{bits:b}");
        }
        assert_eq!(found(0, 1 << 4), (false, true), "v1");
        assert_eq!(found(0, 1 << 5), (false, true), "v2");
    }
}
