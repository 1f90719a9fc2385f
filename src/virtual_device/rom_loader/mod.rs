//! The serial loader in the ROM of an ESP32 chip, over virtual flash: bytes in, bytes out.
//!
//! Tools that flash chips (espflash, esptool) speak with it as with a board, by the protocol that
//! Espressif documents in esptool's "Serial Protocol" pages. Where it is allowed, it takes in a
//! stub as the ROM does, and then answers as that stub would: what was loaded is never run.
//!
//! Whatever arrives is untrusted: no byte makes it panic, and it keeps little of what it is sent.

mod download;
mod reading;
mod registers;
mod request;
mod slip;
#[cfg(test)]
mod tests;

use embedded_storage::nor_flash::NorFlash;
use md5::{Digest, Md5};

use super::flash::{FlashFault, VirtualFlash};
use crate::chip::Chip;
use crate::hex;
use download::Download;
use reading::Reading;
use registers::Registers;
use request::Request;
use slip::Decoder;

/// What the loader in the ROM puts into the value of its answer to SYNC; a stub answers 0.
const ROM_SYNC: u32 = 0x2012_0707;
/// How many answers a SYNC gets.
const SYNC_ANSWERS: usize = 8;
/// What a stub says once it runs.
const STUB_HELLO: &[u8] = b"OHAI";
/// Bytes that the ROM reads of the flash with one command, and always sends.
const SLOW_READ: usize = 64;
/// Bytes that a stub may have.
const LARGEST_STUB: u32 = 256 * 1024;

/// What is special about a board.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Revision of the chip: major times 100 plus minor.
    pub chip_revision: u16,
    /// The MAC in its eFuses.
    pub mac: [u8; 6],
    /// Whether a stub can be loaded; without one, hosts use the ROM's own, slower commands.
    pub takes_stub: bool,
    /// Whether the flash is encrypted (an odd number of bits in `SPI_BOOT_CRYPT_CNT`).
    pub flash_encryption: bool,
    /// Whether secure boot is on.
    pub secure_boot: bool,
    /// Whether only writing is left (secure download mode).
    pub secure_download: bool,
}

impl Default for Settings {
    /// A board from the shelf.
    fn default() -> Self {
        Self {
            chip_revision: 3,
            mac: [0x24, 0x0a, 0xc4, 0x00, 0x00, 0x01],
            takes_stub: true,
            flash_encryption: false,
            secure_boot: false,
            secure_download: false,
        }
    }
}

/// What a host made the chip do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It left the loader: what is in flash would run now.
    Reset,
}

/// Why a command failed, as the ROM numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// The message makes no sense here.
    Message = 0x05,
    /// The chip could not do it.
    Failed = 0x06,
    /// The checksum of a block is wrong.
    Checksum = 0x07,
    /// The flash could not be written.
    Write = 0x08,
    /// The flash could not be read.
    Read = 0x09,
    /// More was to be read than one answer holds.
    ReadLength = 0x0a,
    /// A compressed block cannot be unpacked.
    Deflate = 0x0b,
}

impl Refused {
    const fn code(self) -> u8 {
        match self {
            Self::Message => 0x05,
            Self::Failed => 0x06,
            Self::Checksum => 0x07,
            Self::Write => 0x08,
            Self::Read => 0x09,
            Self::ReadLength => 0x0a,
            Self::Deflate => 0x0b,
        }
    }
}

impl From<FlashFault> for Refused {
    fn from(_: FlashFault) -> Self {
        Self::Write
    }
}

/// The answer to a command: a word, and bytes behind it.
#[derive(Debug, Default)]
struct Answer {
    value: u32,
    data: Vec<u8>,
}

/// Which loader runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Rom,
    Stub,
}

/// A download into memory: a stub, as long as it is not started.
#[derive(Debug)]
struct Ram {
    size: u32,
    blocks: u32,
    next: u32,
}

/// A chip that waits in its loader.
#[derive(Debug)]
pub struct RomLoader {
    chip: Chip,
    settings: Settings,
    flash: VirtualFlash,
    registers: Registers,
    decoder: Decoder,
    mode: Mode,
    ram: Option<Ram>,
    download: Option<Download>,
    reading: Option<Reading>,
}

impl RomLoader {
    /// A chip with this flash.
    pub fn new(chip: Chip, flash: VirtualFlash, settings: Settings) -> Self {
        let size = u32::try_from(flash.contents().len()).unwrap_or(u32::MAX);
        let mut registers = Registers::new(chip, settings.chip_revision, settings.mac, size);
        if chip == Chip::Esp32 {
            registers.burn_esp32(settings.flash_encryption, settings.secure_boot);
        }
        Self {
            chip,
            settings,
            registers,
            flash,
            decoder: Decoder::default(),
            mode: Mode::Rom,
            ram: None,
            download: None,
            reading: None,
        }
    }

    /// The flash, as it is now.
    pub fn flash(&self) -> &VirtualFlash {
        &self.flash
    }

    /// The same, to cut its power or to take it along.
    pub fn flash_mut(&mut self) -> &mut VirtualFlash {
        &mut self.flash
    }

    /// Takes in what a host sent, writes what the chip answers to `out`, and says what the host
    /// made it do.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Option<Event> {
        let mut event = None;
        for byte in bytes {
            let Some(frame) = self.decoder.push(*byte) else { continue };
            event = self.frame(&frame, out).or(event);
        }
        event
    }

    fn frame(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Option<Event> {
        if let Some(reading) = &mut self.reading {
            if let Some(taken) = Reading::acknowledged(frame) {
                reading.go_on(taken, self.flash.contents(), out);
                if reading.is_done() {
                    self.reading = None;
                }
                return None;
            }
            // The host has lost interest.
            self.reading = None;
        }
        let request = Request::read(frame)?;
        match request.operation {
            operation::SYNC => {
                let value = if self.mode == Mode::Rom { ROM_SYNC } else { 0 };
                for _ in 0..SYNC_ANSWERS {
                    self.answer(&request, Ok(Answer { value, data: Vec::new() }), out);
                }
                None
            }
            operation::READ_FLASH if self.mode == Mode::Stub => {
                let reading = Reading::new(&request, self.flash.contents().len());
                self.answer(
                    &request,
                    reading.as_ref().map(|_| Answer::default()).map_err(|e| *e),
                    out,
                );
                let mut reading = reading.ok()?;
                reading.go_on(0, self.flash.contents(), out);
                self.reading = Some(reading).filter(|reading| !reading.is_done());
                None
            }
            _ => {
                let result = self.command(&request);
                let is_done = result.is_ok();
                self.answer(&request, result, out);
                if is_done { self.after(&request, out) } else { None }
            }
        }
    }

    /// What a command brings about once it is answered.
    fn after(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Option<Event> {
        /// Arguments of the commands that end something: leave the loader, or stay in it.
        const LEAVE: u32 = 0;
        match request.operation {
            operation::MEM_END if request.word(0) == Some(LEAVE) => {
                self.mode = Mode::Stub;
                slip::encode(STUB_HELLO, out);
                None
            }
            operation::FLASH_END | operation::DEFLATE_END if request.word(0) == Some(LEAVE) => {
                Some(self.reset())
            }
            operation::RUN_USER_CODE => Some(self.reset()),
            _ => None,
        }
    }

    /// Back into the ROM; a board whose boot pin is held down waits in its loader again.
    fn reset(&mut self) -> Event {
        self.mode = Mode::Rom;
        (self.ram, self.download, self.reading) = (None, None, None);
        Event::Reset
    }

    fn command(&mut self, request: &Request<'_>) -> Result<Answer, Refused> {
        if self.settings.secure_download && !operation::is_secure(request.operation) {
            return Err(Refused::Message);
        }
        let word = |index| request.word(index).ok_or(Refused::Message);
        let is_stub = self.mode == Mode::Stub;
        match request.operation {
            operation::READ_REGISTER => {
                Ok(Answer { value: self.registers.read(word(0)?), data: Vec::new() })
            }
            operation::WRITE_REGISTER => self.write_registers(request),
            operation::SPI_ATTACH | operation::SPI_PARAMETERS | operation::BAUD_RATE => {
                Ok(Answer::default())
            }
            operation::SECURITY_INFO => self.security_info(),
            operation::MEM_BEGIN => self.begin_ram(word(0)?, word(1)?),
            operation::MEM_DATA => self.ram_block(request),
            operation::MEM_END => self.end_ram(),
            operation::FLASH_BEGIN | operation::DEFLATE_BEGIN => {
                let is_packed = request.operation == operation::DEFLATE_BEGIN;
                let plan = download::Plan::read(request, is_packed, is_stub)?;
                self.download = Some(Download::begin(plan, &mut self.flash)?);
                Ok(Answer::default())
            }
            operation::FLASH_DATA | operation::DEFLATE_DATA => {
                let is_packed = request.operation == operation::DEFLATE_DATA;
                let block = request.block().ok_or(Refused::Message)?;
                let download = self.download.as_mut().ok_or(Refused::Message)?;
                download.block(block, is_packed, &mut self.flash)?;
                Ok(Answer::default())
            }
            operation::FLASH_END | operation::DEFLATE_END => {
                if let Some(download) = self.download.take() {
                    download.end(&mut self.flash)?;
                }
                Ok(Answer::default())
            }
            operation::FLASH_MD5 => self.md5(word(0)?, word(1)?),
            operation::READ_FLASH_SLOW if !is_stub => self.read_slowly(word(0)?, word(1)?),
            operation::ERASE_FLASH if is_stub => {
                let end = u32::try_from(self.flash.contents().len()).unwrap_or(u32::MAX);
                self.flash.erase(0, end)?;
                Ok(Answer::default())
            }
            operation::ERASE_REGION if is_stub => {
                let (start, size) = (word(0)?, word(1)?);
                self.flash.erase(start, start.checked_add(size).ok_or(Refused::Message)?)?;
                Ok(Answer::default())
            }
            operation::RUN_USER_CODE if is_stub => Ok(Answer::default()),
            _ => Err(Refused::Message),
        }
    }

    /// Groups of address, value, mask and delay, one behind the other.
    fn write_registers(&mut self, request: &Request<'_>) -> Result<Answer, Refused> {
        const GROUP: usize = 4;
        for first in (0..request.data.len().div_ceil(16)).map(|group| group.saturating_mul(GROUP)) {
            let word = |index: usize| request.word(first.saturating_add(index));
            let (Some(address), Some(value)) = (word(0), word(1)) else {
                return Err(Refused::Message);
            };
            if !self.registers.write(address, value, word(2).unwrap_or(u32::MAX)) {
                return Err(Refused::Failed);
            }
        }
        Ok(Answer::default())
    }

    fn security_info(&self) -> Result<Answer, Refused> {
        const SECURE_BOOT: u32 = 1 << 0;
        const SECURE_DOWNLOAD: u32 = 1 << 2;
        let Settings { secure_boot, secure_download, flash_encryption, .. } = self.settings;
        let mut flags = 0;
        if secure_boot {
            flags |= SECURE_BOOT;
        }
        if secure_download {
            flags |= SECURE_DOWNLOAD;
        }
        let mut data = flags.to_le_bytes().to_vec();
        data.push(u8::from(flash_encryption));
        data.extend_from_slice(&[0; 7]); // key purposes
        match self.chip {
            Chip::Esp32 => return Err(Refused::Message),
            // Knows no chip id.
            Chip::Esp32s2 => {}
            chip => {
                data.extend_from_slice(&u32::from(chip.image_id()).to_le_bytes());
                data.extend_from_slice(&[0; 4]); // version of this interface
            }
        }
        Ok(Answer { value: 0, data })
    }

    fn begin_ram(&mut self, size: u32, blocks: u32) -> Result<Answer, Refused> {
        if !self.settings.takes_stub || size > LARGEST_STUB {
            return Err(Refused::Failed);
        }
        self.ram = Some(Ram { size, blocks, next: 0 });
        Ok(Answer::default())
    }

    /// What is loaded is never run, so it need not be kept.
    fn ram_block(&mut self, request: &Request<'_>) -> Result<Answer, Refused> {
        let block = request.block().ok_or(Refused::Message)?;
        let ram = self.ram.as_mut().ok_or(Refused::Message)?;
        let length = u32::try_from(block.bytes.len()).unwrap_or(u32::MAX);
        if !block.is_sound {
            return Err(Refused::Checksum);
        }
        if block.sequence != ram.next || ram.next >= ram.blocks || length > ram.size {
            return Err(Refused::Message);
        }
        ram.next = ram.next.saturating_add(1);
        Ok(Answer::default())
    }

    fn end_ram(&mut self) -> Result<Answer, Refused> {
        let ram = self.ram.take().ok_or(Refused::Message)?;
        if ram.next == ram.blocks { Ok(Answer::default()) } else { Err(Refused::Failed) }
    }

    fn md5(&self, start: u32, length: u32) -> Result<Answer, Refused> {
        let digest = Md5::digest(self.bytes(start, length)?);
        let data = match self.mode {
            Mode::Rom => hex::lower(&digest).into_bytes(),
            Mode::Stub => digest.to_vec(),
        };
        Ok(Answer { value: 0, data })
    }

    fn read_slowly(&self, start: u32, length: u32) -> Result<Answer, Refused> {
        let bytes = self.bytes(start, length)?;
        let mut data = vec![0; SLOW_READ];
        data.get_mut(..bytes.len()).ok_or(Refused::ReadLength)?.copy_from_slice(bytes);
        Ok(Answer { value: 0, data })
    }

    fn bytes(&self, start: u32, length: u32) -> Result<&[u8], Refused> {
        let start = usize::try_from(start).map_err(|_| Refused::Read)?;
        let length = usize::try_from(length).map_err(|_| Refused::Read)?;
        let end = start.checked_add(length).ok_or(Refused::Read)?;
        self.flash.contents().get(start..end).ok_or(Refused::Read)
    }

    fn answer(&self, request: &Request<'_>, result: Result<Answer, Refused>, out: &mut Vec<u8>) {
        const ANSWER: u8 = 1;
        let (Answer { value, mut data }, status) = match result {
            Ok(answer) => (answer, [0, 0]),
            Err(refused) => (Answer::default(), [1, refused.code()]),
        };
        data.extend_from_slice(&status);
        if self.mode == Mode::Rom {
            data.extend_from_slice(&[0, 0]); // for later use
        }
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
        let mut frame = vec![ANSWER, request.operation];
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&value.to_le_bytes());
        frame.append(&mut data);
        slip::encode(&frame, out);
    }
}

/// The commands, by their numbers.
mod operation {
    pub(super) const FLASH_BEGIN: u8 = 0x02;
    pub(super) const FLASH_DATA: u8 = 0x03;
    pub(super) const FLASH_END: u8 = 0x04;
    pub(super) const MEM_BEGIN: u8 = 0x05;
    pub(super) const MEM_END: u8 = 0x06;
    pub(super) const MEM_DATA: u8 = 0x07;
    pub(super) const SYNC: u8 = 0x08;
    pub(super) const WRITE_REGISTER: u8 = 0x09;
    pub(super) const READ_REGISTER: u8 = 0x0a;
    pub(super) const SPI_PARAMETERS: u8 = 0x0b;
    pub(super) const SPI_ATTACH: u8 = 0x0d;
    pub(super) const READ_FLASH_SLOW: u8 = 0x0e;
    pub(super) const BAUD_RATE: u8 = 0x0f;
    pub(super) const DEFLATE_BEGIN: u8 = 0x10;
    pub(super) const DEFLATE_DATA: u8 = 0x11;
    pub(super) const DEFLATE_END: u8 = 0x12;
    pub(super) const FLASH_MD5: u8 = 0x13;
    pub(super) const SECURITY_INFO: u8 = 0x14;
    // A stub's alone.
    pub(super) const ERASE_FLASH: u8 = 0xd0;
    pub(super) const ERASE_REGION: u8 = 0xd1;
    pub(super) const READ_FLASH: u8 = 0xd2;
    pub(super) const RUN_USER_CODE: u8 = 0xd3;

    /// What secure download mode leaves: no memory, no stub, nothing that reads the flash.
    pub(super) const fn is_secure(operation: u8) -> bool {
        matches!(
            operation,
            SYNC | SECURITY_INFO
                | SPI_ATTACH
                | SPI_PARAMETERS
                | BAUD_RATE
                | FLASH_BEGIN
                | FLASH_DATA
                | FLASH_END
                | DEFLATE_BEGIN
                | DEFLATE_DATA
                | DEFLATE_END
        )
    }
}
