//! Reads, by the ROM's commands or the stub's.

use espflash::command::{Command, CommandResponseValue};
use md5::{Digest, Md5};

use super::{Cable, talking};
use crate::device::DeviceError;
use crate::device::flash::FlashReader;

/// Bytes that the ROM reads with one command.
const ROM_READ: u32 = 64;
/// Bytes of a packet of the stub.
const STUB_PACKET: u32 = 4096;
/// Packets of the stub that may be under way. With more than one, what is on its way is lost:
/// espflash empties its input before each acknowledgement (4.7.0, `Connection::write_raw`).
const STUB_WINDOW: u32 = 1;

impl Cable {
    fn read_from_rom(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, DeviceError> {
        const WHAT: &str = "a read of the flash";
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < length {
            let part = length.saturating_sub(at).min(ROM_READ);
            let command = Command::ReadFlashSlow {
                offset: offset.saturating_add(at),
                size: part,
                block_size: ROM_READ,
                max_in_flight: 1,
            };
            let answer = match self.command(WHAT, command, part)? {
                CommandResponseValue::Vector(answer) => answer,
                other => return Err(self.garbage(WHAT, format!("{other:?}"))),
            };
            // Always 64 bytes, of which the first are those that were asked for.
            let wanted = usize::try_from(part).unwrap_or(usize::MAX);
            let Some(found) = answer.get(..wanted) else {
                return Err(self.garbage(WHAT, format!("{} bytes", answer.len())));
            };
            bytes.extend_from_slice(found);
            at = at.saturating_add(part);
        }
        Ok(bytes)
    }

    fn read_from_stub(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, DeviceError> {
        const WHAT: &str = "a read of the flash";
        let command = Command::ReadFlash {
            offset,
            size: length,
            block_size: STUB_PACKET,
            max_in_flight: STUB_WINDOW,
        };
        self.command(WHAT, command, length)?;
        let wanted = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        while bytes.len() < wanted {
            let packet = self.packet(WHAT)?;
            if packet.is_empty() || bytes.len().saturating_add(packet.len()) > wanted {
                return Err(self.garbage(WHAT, format!("{} bytes", packet.len())));
            }
            bytes.extend_from_slice(&packet);
            let taken = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let written = self.connection().write_raw(taken);
            written.map_err(|error| talking(&self.port, WHAT, error))?;
        }
        let digest = self.packet(WHAT)?;
        if digest[..] != Md5::digest(&bytes)[..] {
            return Err(self.garbage(WHAT, "other bytes than their MD5 says".to_owned()));
        }
        Ok(bytes)
    }

    fn packet(&mut self, what: &'static str) -> Result<Vec<u8>, DeviceError> {
        let packet = self.connection().read_flash_response();
        let packet = packet.map_err(|error| talking(&self.port, what, error))?;
        match packet.map(|packet| packet.value) {
            Some(CommandResponseValue::Vector(bytes)) => Ok(bytes),
            Some(_) | None => Err(self.garbage(what, "nothing".to_owned())),
        }
    }
}

impl FlashReader for Cable {
    fn size(&self) -> u32 {
        self.size
    }

    fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, DeviceError> {
        self.refuse_what_is_secure()?;
        self.check_range(offset, length)?;
        match (length, self.is_stub) {
            (0, _) => Ok(Vec::new()),
            (_, true) => self.read_from_stub(offset, length),
            (_, false) => self.read_from_rom(offset, length),
        }
    }

    fn md5(&mut self, offset: u32, length: u32) -> Result<[u8; 16], DeviceError> {
        const WHAT: &str = "the MD5 of a region";
        self.refuse_what_is_secure()?;
        match self.command(WHAT, Command::FlashMd5 { offset, size: length }, length)? {
            CommandResponseValue::ValueU128(digest) => Ok(digest.to_be_bytes()),
            other => Err(self.garbage(WHAT, format!("{other:?}"))),
        }
    }
}
