//! One connection to a chip in its serial loader.
//!
//! espflash connects, finds out what is there and loads its stub. Its own ways to read flash write
//! to a file, and without the stub they are wrong beyond 128 bytes (4.7.0); its way to write ends
//! by starting the program. So both are put together here from its commands. An answer is believed
//! only as far as it goes.

mod connect;
mod read;
mod security;
mod write;

use espflash::command::{Command, CommandResponseValue};
use espflash::flasher::Flasher;
use espflash::target::XtalFrequency;

use super::port::Chosen;
use super::settings::{Connect, FIRST_BAUD};
use crate::chip::Chip;
use crate::device::DeviceError;
use crate::image::Board;
pub(super) use connect::opening;
use connect::{begin, connecting, open};

/// What a chip says of its security: its ROM, or the eFuses of an ESP32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security {
    /// The flash is encrypted: an odd number of bits counts its changes.
    pub flash_encryption: bool,
    /// Bootloader and apps have to be signed.
    pub secure_boot: bool,
    /// A cable can only write.
    pub secure_download: bool,
}

/// A chip that listens.
#[derive(Debug)]
pub struct Cable {
    flasher: Flasher,
    port: String,
    chip: Chip,
    size: u32,
    is_stub: bool,
    has_lines: bool,
    security: Security,
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
        let security = security::ask(&mut flasher, chip)
            .map_err(|error| talking(&port, "the question for its security", error))?;
        let is_stub = is_stub && !flasher.secure_download_mode();
        let size = if flasher.secure_download_mode() {
            0
        } else {
            const WHAT: &str = "the question for the flash's size";
            let found = flasher.flash_detect().map_err(|error| talking(&port, WHAT, error))?;
            found.ok_or_else(|| DeviceError::NoFlash(port.clone()))?.size()
        };
        Ok(Self { flasher, port, chip, size, is_stub, has_lines, security, stays: how.stay })
    }

    /// The same board, ready for long reads and writes: with the stub and at the rate that `how`
    /// asks for, where that is worth it. A connection for a look has neither.
    ///
    /// # Errors
    ///
    /// Where the board does not answer again.
    pub fn for_much(mut self, chosen: &Chosen, how: &Connect) -> Result<Self, DeviceError> {
        let how = Connect { reads_much: true, ..how.clone() };
        let is_worth_it = how.loads_stub(self.has_lines) || how.baud > FIRST_BAUD;
        if self.is_stub || !self.has_lines || !is_worth_it {
            return Ok(self);
        }
        // It is going to be reset into its loader again, not into its program.
        self.stays = true;
        drop(self);
        Self::connect(chosen, &how)
    }

    /// The MAC address in its eFuses, such as `24:0a:c4:00:00:01`.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    pub fn mac(&mut self) -> Result<String, DeviceError> {
        const WHAT: &str = "the question for its MAC address";
        let chip = self.flasher.chip();
        let mac = chip.mac_address(self.flasher.connection());
        mac.map_err(|error| talking(&self.port, WHAT, error))
    }

    /// What of the chip decides on its bootloader: crystal and revision, as far as they can be read.
    pub fn board(&mut self) -> Board {
        let chip = self.flasher.chip();
        let connection = self.flasher.connection();
        let crystal = chip.xtal_frequency(connection).ok();
        let revision = chip.revision(connection).ok();
        let revision = revision.and_then(|(major, minor)| {
            u16::try_from(major.checked_mul(100)?.checked_add(minor)?).ok()
        });
        Board { crystal: crystal.map(megahertz), revision }
    }

    /// The chip.
    pub fn chip(&self) -> Chip {
        self.chip
    }

    /// Its port.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// What it says of its security. A file says nothing; a chip always does.
    pub fn security(&self) -> Option<&Security> {
        Some(&self.security)
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

    fn garbage(&self, what: &'static str, answer: String) -> DeviceError {
        DeviceError::Garbage { port: self.port.clone(), what, answer }
    }

    fn refuse_what_is_secure(&self) -> Result<(), DeviceError> {
        if self.flasher.secure_download_mode() { Err(DeviceError::SecureDownload) } else { Ok(()) }
    }
}

impl Drop for Cable {
    /// Lets the chip run its program again, unless it shall stay.
    fn drop(&mut self) {
        if !self.stays && self.has_lines {
            // Where the board is gone, nobody can be told.
            let _ = self.flasher.connection().reset();
        }
    }
}

fn megahertz(crystal: XtalFrequency) -> u32 {
    match crystal {
        XtalFrequency::_26Mhz => 26,
        XtalFrequency::_32Mhz => 32,
        XtalFrequency::_48Mhz => 48,
        XtalFrequency::_40Mhz | _ => 40,
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
