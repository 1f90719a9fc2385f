//! One connection to a chip in its serial loader.
//!
//! espflash connects, finds out what is there and loads its stub. Its own ways to read flash write
//! to a file, and without the stub they are wrong beyond 128 bytes (4.7.0), so reads are put
//! together here from its commands. An answer is believed only as far as it goes.

use std::io;

use espflash::command::{Command, CommandResponseValue};
use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::{Flasher, SecurityInfo};
use md5::{Digest, Md5};
use serialport::UsbPortInfo;

use super::port::Chosen;
use super::settings::{Before, Connect, FIRST_BAUD};
use crate::chip::Chip;
use crate::device::DeviceError;
use crate::device::flash::{FlashReader, FlashWriter, SECTOR};

/// Bytes that the ROM reads with one command.
const ROM_READ: u32 = 64;
/// Bytes of a packet of the stub.
const STUB_PACKET: u32 = 4096;
/// Packets of the stub that may be under way. With more than one, what is on its way is lost:
/// espflash empties its input before each acknowledgement (4.7.0, `Connection::write_raw`).
const STUB_WINDOW: u32 = 1;
/// Bytes of a block that is written with one command.
const BLOCK: u32 = 1024;

/// What a chip's ROM says of its security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security {
    /// The flash is encrypted: an odd number of bits counts its changes.
    pub flash_encryption: bool,
    /// The bootloader has to be signed.
    pub secure_boot: bool,
    /// A cable can only write.
    pub secure_download: bool,
}

impl From<SecurityInfo> for Security {
    /// Flags as in the ROM's answer to GET_SECURITY_INFO.
    fn from(info: SecurityInfo) -> Self {
        const SECURE_BOOT: u32 = 1 << 0;
        const SECURE_DOWNLOAD: u32 = 1 << 2;
        Self {
            flash_encryption: !info.flash_crypt_cnt.count_ones().is_multiple_of(2),
            secure_boot: info.flags & SECURE_BOOT != 0,
            secure_download: info.flags & SECURE_DOWNLOAD != 0,
        }
    }
}

/// A chip that listens.
#[derive(Debug)]
pub struct Cable {
    flasher: Flasher,
    port: String,
    chip: Chip,
    size: u32,
    is_stub: bool,
    security: Option<Security>,
    stays: bool,
}

impl Cable {
    /// Connects. The chip is in its loader afterwards, until this is dropped.
    ///
    /// # Errors
    ///
    /// Where nothing answers, or another chip than was asked for.
    pub fn connect(chosen: &Chosen, how: &Connect) -> Result<Self, DeviceError> {
        let port = chosen.name.clone();
        let baud = (how.baud > FIRST_BAUD).then_some(how.baud);
        let (connection, has_lines) = open(chosen, how)?;
        let (mut flasher, is_stub) = begin(connection, how.loads_stub(has_lines), baud)
            .map_err(|error| connecting(&port, error))?;
        let found = flasher.chip().to_string();
        let chip: Chip = found.parse().map_err(|_| DeviceError::UnknownChip {
            port: port.clone(),
            reason: format!("espflash calls it {found}"),
        })?;
        if let Some(expected) = how.chip.filter(|expected| *expected != chip) {
            let (expected, found) = (expected.to_string(), chip.to_string());
            return Err(DeviceError::OtherChip { port, expected, found });
        }
        // ESP32 knows no such command.
        let security = flasher.security_info().ok().map(Security::from);
        let is_stub = is_stub && !flasher.secure_download_mode();
        let size = if flasher.secure_download_mode() {
            0
        } else {
            const WHAT: &str = "the question for the flash's size";
            let found = flasher.flash_detect().map_err(|error| talking(&port, WHAT, error))?;
            found.ok_or_else(|| DeviceError::NoFlash(port.clone()))?.size()
        };
        Ok(Self { flasher, port, chip, size, is_stub, security, stays: how.stay })
    }

    /// The chip.
    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// Its port.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// What its ROM says of its security; `None` for a chip whose ROM does not know the question.
    pub fn security(&self) -> Option<&Security> {
        self.security.as_ref()
    }

    fn command(
        &mut self,
        what: &'static str,
        command: Command<'_>,
        size: u32,
    ) -> Result<CommandResponseValue, DeviceError> {
        let wait = command.timeout_for_size(size);
        let answer =
            self.flasher.connection().with_timeout(wait, |connection| connection.command(command));
        answer.map_err(|error| talking(&self.port, what, error))
    }

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
            let written = self.flasher.connection().write_raw(taken);
            written.map_err(|error| talking(&self.port, WHAT, error))?;
        }
        let digest = self.packet(WHAT)?;
        if digest[..] != Md5::digest(&bytes)[..] {
            return Err(self.garbage(WHAT, "other bytes than their MD5 says".to_owned()));
        }
        Ok(bytes)
    }

    fn packet(&mut self, what: &'static str) -> Result<Vec<u8>, DeviceError> {
        let packet = self.flasher.connection().read_flash_response();
        let packet = packet.map_err(|error| talking(&self.port, what, error))?;
        match packet.map(|packet| packet.value) {
            Some(CommandResponseValue::Vector(bytes)) => Ok(bytes),
            Some(_) | None => Err(self.garbage(what, "nothing".to_owned())),
        }
    }

    fn garbage(&self, what: &'static str, answer: String) -> DeviceError {
        DeviceError::Garbage { port: self.port.clone(), what, answer }
    }

    fn refuse_what_is_secure(&self) -> Result<(), DeviceError> {
        if self.flasher.secure_download_mode() { Err(DeviceError::SecureDownload) } else { Ok(()) }
    }
}

impl FlashReader for Cable {
    fn size(&self) -> u32 {
        self.size
    }

    fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, DeviceError> {
        self.refuse_what_is_secure()?;
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(DeviceError::BeyondEnd { offset, length, size: self.size });
        }
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

impl FlashWriter for Cable {
    fn write_sector(&mut self, offset: u32, bytes: &[u8]) -> Result<(), DeviceError> {
        const WHAT: &str = "a write to the flash";
        let blocks = bytes.chunks(usize::try_from(BLOCK).unwrap_or(usize::MAX));
        let count = u32::try_from(blocks.len()).unwrap_or(u32::MAX);
        let begin = Command::FlashBegin {
            size: SECTOR,
            blocks: count,
            block_size: BLOCK,
            offset,
            supports_encryption: self.chip != Chip::Esp32,
        };
        self.command(WHAT, begin, SECTOR)?;
        for (sequence, data) in (0u32..).zip(blocks) {
            let pad_to = usize::try_from(BLOCK).unwrap_or(usize::MAX);
            let block = Command::FlashData { data, pad_to, pad_byte: 0xff, sequence };
            self.command(WHAT, block, BLOCK)?;
        }
        // No end of the download: it would make the ROM leave its loader.
        Ok(())
    }
}

impl Drop for Cable {
    /// Lets the chip run its program again, unless it shall stay.
    fn drop(&mut self) {
        if !self.stays {
            // Where there are no such lines, or the board is gone, nobody can be told.
            let _ = self.flasher.connection().reset();
        }
    }
}

/// Opens the port, without a word to the chip, and says whether it has DTR and RTS.
fn open(chosen: &Chosen, how: &Connect) -> Result<(Connection, bool), DeviceError> {
    let port = chosen.name.as_str();
    let mut serial = serialport::new(port, FIRST_BAUD)
        .flow_control(serialport::FlowControl::None)
        .open_native()
        .map_err(|error| opening(port, error))?;
    // A pseudo-terminal has no such lines, and nothing that could be reset by them.
    let has_lines = serialport::SerialPort::read_clear_to_send(&mut serial).is_ok();
    let default = if has_lines { Before::DefaultReset } else { Before::NoReset };
    let before = ResetBeforeOperation::from(how.before.unwrap_or(default));
    let usb = chosen.usb.clone().unwrap_or(UsbPortInfo {
        vid: 0,
        pid: 0,
        serial_number: None,
        manufacturer: None,
        product: None,
    });
    let after = ResetAfterOperation::NoReset;
    Ok((Connection::new(serial, usb, after, before, FIRST_BAUD), has_lines))
}

/// Connects, with the stub or without; whether it runs now.
///
/// Some boards take no stub. And a stub that an earlier program left running answers in its own
/// form, which is no answer of a ROM.
fn begin(
    connection: Connection,
    wants_stub: bool,
    baud: Option<u32>,
) -> Result<(Flasher, bool), espflash::Error> {
    let try_with = |connection, stub| {
        Flasher::try_connect(connection, stub, false, false, None, baud)
            .map(|flasher| (flasher, stub))
    };
    let (error, connection) = match try_with(connection, wants_stub) {
        Ok(connected) => return Ok(connected),
        Err(failed) => *failed,
    };
    let is_other_form = matches!(
        error,
        espflash::Error::ChipDetectError(_)
            | espflash::Error::InvalidResponse(_)
            | espflash::Error::RomError(_)
            | espflash::Error::Flashing(_)
    );
    if !is_other_form {
        return Err(error);
    }
    try_with(connection, !wants_stub).map_err(|_| error)
}

fn opening(port: &str, error: serialport::Error) -> DeviceError {
    let port = port.to_owned();
    match error.kind() {
        serialport::ErrorKind::NoDevice if error.description.contains("busy") => {
            DeviceError::Busy { port }
        }
        serialport::ErrorKind::Io(io::ErrorKind::NotFound) => DeviceError::Absent { port },
        serialport::ErrorKind::Io(kind) => DeviceError::Open { port, source: kind.into() },
        _ => DeviceError::Open { port, source: io::Error::other(error) },
    }
}

fn connecting(port: &str, error: espflash::Error) -> DeviceError {
    let port = port.to_owned();
    match error {
        espflash::Error::ChipDetectError(reason) => DeviceError::UnknownChip { port, reason },
        espflash::Error::FlashConnect => DeviceError::NoFlash(port),
        espflash::Error::Connection(_) => DeviceError::NoAnswer(port),
        other => {
            DeviceError::Garbage { port, what: "the first question", answer: other.to_string() }
        }
    }
}

fn talking(port: &str, what: &'static str, error: espflash::Error) -> DeviceError {
    let port = port.to_owned();
    match error {
        espflash::Error::RomError(source) => {
            DeviceError::Refused { port, what, reason: source.to_string() }
        }
        espflash::Error::Connection(_) => DeviceError::Gone { port, what },
        other => DeviceError::Garbage { port, what, answer: other.to_string() },
    }
}
