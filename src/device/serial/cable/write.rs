//! Writes and erases, by the ROM's commands or the stub's.

use std::io::{self, Write};

use espflash::command::{Command, CommandType};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{Cable, talking};
use crate::chip::Chip;
use crate::device::DeviceError;
use crate::device::flash::{FlashWriter, SECTOR};

/// Bytes of a block that the ROM writes with one command.
const ROM_BLOCK: usize = 0x400;
/// Bytes of a block that the stub takes with one command, packed.
const STUB_BLOCK: usize = 0x4000;
/// Flash is written in words.
const WORD: usize = 4;

impl FlashWriter for Cable {
    fn erase(&mut self, offset: u32, length: u32) -> Result<(), DeviceError> {
        const WHAT: &str = "an erase of the flash";
        self.check_range(offset, length)?;
        self.quiet_watchdog()?;
        let command = if self.is_stub {
            Command::EraseRegion { offset, size: length }
        } else {
            // The ROM erases where a download begins, and this one ends there.
            self.begin_unpacked(offset, length, 0)
        };
        self.command(WHAT, command, length)?;
        Ok(())
    }

    fn write(
        &mut self,
        offset: u32,
        bytes: &[u8],
        told: &mut dyn FnMut(u32),
    ) -> Result<(), DeviceError> {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(WORD), 0xff);
        self.check_range(offset, length_of(&bytes))?;
        self.quiet_watchdog()?;
        // The ROM can unpack too, but it is the stub for which espflash and esptool rely on that.
        let packed = if self.is_stub { packed(&bytes).ok() } else { None };
        // No end of the download: it would make the ROM leave its loader.
        match packed.filter(|packed| packed.len() < bytes.len()) {
            Some(packed) => self.write_packed(offset, length_of(&bytes), &packed, told),
            None => self.write_unpacked(offset, &bytes, told),
        }
    }
}

impl Cable {
    /// A chip's own USB port does not feed its watchdog while it is in the loader. Once is enough.
    fn quiet_watchdog(&mut self) -> Result<(), DeviceError> {
        const WHAT: &str = "the end of its watchdog";
        if !self.is_watchdog_quiet {
            let quiet = self.loader.flasher.disable_watchdog();
            quiet.map_err(|error| talking(&self.port, WHAT, error))?;
            self.is_watchdog_quiet = true;
        }
        Ok(())
    }

    fn begin_unpacked(&self, offset: u32, size: u32, blocks: u32) -> Command<'static> {
        Command::FlashBegin {
            size,
            blocks,
            block_size: u32::try_from(ROM_BLOCK).unwrap_or(u32::MAX),
            offset,
            supports_encryption: self.chip != Chip::Esp32 && !self.is_stub,
        }
    }

    fn write_unpacked(
        &mut self,
        offset: u32,
        bytes: &[u8],
        told: &mut dyn FnMut(u32),
    ) -> Result<(), DeviceError> {
        const WHAT: &str = "a write to the flash";
        let sectors = length_of(bytes).div_ceil(SECTOR);
        let size = sectors.saturating_mul(SECTOR);
        let blocks = bytes.chunks(ROM_BLOCK);
        let begin = self.begin_unpacked(offset, size, count_of(blocks.len()));
        self.command(WHAT, begin, size)?;
        let mut done = 0;
        for (sequence, data) in (0u32..).zip(blocks) {
            let block = Command::FlashData { data, pad_to: ROM_BLOCK, pad_byte: 0xff, sequence };
            self.command(WHAT, block, length_of(data))?;
            done = length_of(data).saturating_add(done);
            told(done);
        }
        Ok(())
    }

    /// The stub erases the first sector when the download begins, and each other one when it has
    /// come to it: a cable that is pulled between two commands tears what was there, however small
    /// it packs.
    fn write_packed(
        &mut self,
        offset: u32,
        size: u32,
        packed: &[u8],
        told: &mut dyn FnMut(u32),
    ) -> Result<(), DeviceError> {
        const WHAT: &str = "a write to the flash";
        let blocks = packed.chunks(STUB_BLOCK);
        let count = count_of(blocks.len());
        let begin = Command::FlashDeflBegin {
            size,
            blocks: count,
            block_size: u32::try_from(STUB_BLOCK).unwrap_or(u32::MAX),
            offset,
            supports_encryption: false,
        };
        self.command(WHAT, begin, size)?;
        for (sequence, data) in (0u32..).zip(blocks) {
            let block = Command::FlashDeflData { data, pad_to: 0, pad_byte: 0xff, sequence };
            // How much a block unpacks to is not known, but it is no more than all.
            self.command(WHAT, block, size)?;
            let share = u64::from(size).saturating_mul(u64::from(sequence.saturating_add(1)));
            let done = share.checked_div(u64::from(count)).unwrap_or(0);
            told(u32::try_from(done).unwrap_or(size));
        }
        self.wait_for_flash(size)
    }

    /// The stub acknowledges a block before it writes it: whatever is asked next is answered late.
    fn wait_for_flash(&mut self, size: u32) -> Result<(), DeviceError> {
        const WHAT: &str = "a write to the flash";
        /// In the ROM of every chip.
        const HARMLESS: u32 = 0x4000_1000;
        let wait = CommandType::FlashDeflData.timeout_for_size(size);
        let question = Command::ReadReg { address: HARMLESS };
        let answer =
            self.connection().with_timeout(wait, |connection| connection.command(question));
        answer.map(drop).map_err(|error| talking(&self.port, WHAT, error))
    }
}

fn packed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn length_of(bytes: &[u8]) -> u32 {
    count_of(bytes.len())
}

fn count_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
