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
use espflash::connection::Connection;
use espflash::flasher::Flasher;
use espflash::target::XtalFrequency;

use super::port::Chosen;
use super::settings::{Connect, FIRST_BAUD};
use crate::chip::Chip;
use crate::device::DeviceError;
use crate::image::Board;
pub(super) use connect::opening;
use connect::{begin, connecting, may_be_in_loader, open};

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
    loader: Loader,
    port: String,
    chip: Chip,
    size: u32,
    is_stub: bool,
    security: Security,
    is_watchdog_quiet: bool,
}

/// A chip's loader, in which the chip does not stay: dropped, it lets the chip run its program.
#[derive(Debug)]
struct Loader {
    flasher: Flasher,
    has_lines: bool,
    stays: bool,
}

impl Cable {
    /// Connects. The chip is in its loader afterwards, until this is dropped. One that is refused
    /// runs its program again.
    ///
    /// # Errors
    ///
    /// Where nothing answers, or another chip than was asked for.
    pub fn connect(chosen: &Chosen, how: &Connect) -> Result<Self, DeviceError> {
        Self::reach(chosen, how, false)
    }

    fn reach(chosen: &Chosen, how: &Connect, is_in_loader: bool) -> Result<Self, DeviceError> {
        let port = chosen.name.clone();
        let baud = (how.baud > FIRST_BAUD).then_some(how.baud);
        let (connection, has_lines) = open(chosen, how)?;
        let begun = begin(connection, how.loads_stub(has_lines), baud);
        let (flasher, is_stub) = begun.map_err(|failed| {
            let (error, mut connection) = *failed;
            if has_lines && !how.stay && (is_in_loader || may_be_in_loader(&error, how)) {
                let _ = connection.reset();
            }
            connecting(&port, error)
        })?;
        let mut loader = Loader { flasher, has_lines, stays: how.stay };
        let flasher = &mut loader.flasher;
        let found = flasher.chip().to_string();
        let chip: Chip = found.parse().map_err(|_| DeviceError::UnknownChip {
            port: port.clone(),
            reason: format!("espflash calls it {found}"),
        })?;
        if let Some(expected) = how.chip.filter(|expected| *expected != chip) {
            let (expected, found) = (expected.to_string(), chip.to_string());
            return Err(DeviceError::OtherChip { port, expected, found });
        }
        let security = security::ask(flasher, chip)
            .map_err(|error| talking(&port, "the question for its security", error))?;
        let is_stub = is_stub && !flasher.secure_download_mode();
        let size = if flasher.secure_download_mode() {
            0
        } else {
            const WHAT: &str = "the question for the flash's size";
            let found = flasher.flash_detect().map_err(|error| talking(&port, WHAT, error))?;
            found.ok_or_else(|| DeviceError::NoFlash(port.clone()))?.size()
        };
        let is_watchdog_quiet = false;
        Ok(Self { loader, port, chip, size, is_stub, security, is_watchdog_quiet })
    }

    /// The same board, ready for long reads and writes: with the stub and at the rate that `how`
    /// asks for, where that is worth it. A connection for a look has neither.
    ///
    /// # Errors
    ///
    /// Where the board does not answer again.
    pub fn for_much(mut self, chosen: &Chosen, how: &Connect) -> Result<Self, DeviceError> {
        let how = Connect { reads_much: true, ..how.clone() };
        let is_worth_it = how.loads_stub(self.loader.has_lines) || how.baud > FIRST_BAUD;
        if self.is_stub || !self.loader.has_lines || !is_worth_it {
            return Ok(self);
        }
        // It is going to be reset into its loader again, not into its program.
        self.loader.stays = true;
        drop(self);
        Self::reach(chosen, &how, true)
    }

    /// The MAC address in its eFuses, such as `24:0a:c4:00:00:01`.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    pub fn mac(&mut self) -> Result<String, DeviceError> {
        const WHAT: &str = "the question for its MAC address";
        let flasher = &mut self.loader.flasher;
        let mac = flasher.chip().mac_address(flasher.connection());
        mac.map_err(|error| talking(&self.port, WHAT, error))
    }

    /// What of the chip decides on its bootloader: crystal and revision. Where one of them cannot be
    /// read, the wrong bootloader could be taken.
    ///
    /// # Errors
    ///
    /// Where one of them cannot be read.
    pub fn board(&mut self) -> Result<Board, DeviceError> {
        const WHAT: &str = "the question for its crystal and revision";
        let flasher = &mut self.loader.flasher;
        let chip = flasher.chip();
        let connection = flasher.connection();
        let crystal = chip.xtal_frequency(connection);
        let revision = chip.revision(connection);
        let crystal = crystal.map_err(|error| talking(&self.port, WHAT, error))?;
        let (major, minor) = revision.map_err(|error| talking(&self.port, WHAT, error))?;
        let revision = major.checked_mul(100).and_then(|major| major.checked_add(minor));
        let revision = revision.and_then(|revision| u16::try_from(revision).ok());
        Ok(Board { crystal: Some(megahertz(crystal)), revision })
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
        let answer = self.connection().with_timeout(wait, |connection| connection.command(command));
        answer.map_err(|error| talking(&self.port, what, error))
    }

    fn connection(&mut self) -> &mut Connection {
        self.loader.flasher.connection()
    }

    /// Whether the chip is an ESP32 with Secure Boot v1: what it would start cannot be judged, since its
    /// signatures are not known here.
    ///
    /// # Errors
    ///
    /// Where it is one, or where that cannot be read.
    pub fn refuse_secure_boot_v1(&mut self) -> Result<(), DeviceError> {
        if self.chip != Chip::Esp32 {
            return Ok(());
        }
        let found = security::is_version_1(&mut self.loader.flasher);
        match found.map_err(|error| talking(&self.port, "the question for its security", error))? {
            true => Err(DeviceError::SecureBootV1(self.port.clone())),
            false => Ok(()),
        }
    }

    fn check_range(&self, offset: u32, length: u32) -> Result<(), DeviceError> {
        let size = self.size;
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(DeviceError::BeyondEnd { offset, length, size });
        }
        Ok(())
    }

    fn garbage(&self, what: &'static str, answer: String) -> DeviceError {
        DeviceError::Garbage { port: self.port.clone(), what, answer }
    }

    fn refuse_what_is_secure(&self) -> Result<(), DeviceError> {
        if self.loader.flasher.secure_download_mode() {
            Err(DeviceError::SecureDownload)
        } else {
            Ok(())
        }
    }
}

impl Drop for Loader {
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
