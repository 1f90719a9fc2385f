//! The way into a chip's serial loader.

use std::io;

use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
use espflash::flasher::Flasher;
use serialport::UsbPortInfo;

use crate::device::DeviceError;
use crate::device::serial::port::Chosen;
use crate::device::serial::settings::{Before, Connect, FIRST_BAUD};

/// Opens the port, without a word to the chip, and says whether it has DTR and RTS.
pub(super) fn open(chosen: &Chosen, how: &Connect) -> Result<(Connection, bool), DeviceError> {
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
/// form, which is no answer of a ROM. Where it fails, the connection comes back, to reset the chip.
pub(super) fn begin(
    connection: Connection,
    wants_stub: bool,
    baud: Option<u32>,
) -> Result<(Flasher, bool), Box<(espflash::Error, Connection)>> {
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
        return Err(Box::new((error, connection)));
    }
    try_with(connection, !wants_stub).map_err(|failed| {
        let (_, connection) = *failed;
        Box::new((error, connection))
    })
}

/// Whether a chip with which nothing was begun may be in its loader: it was reset into it, or
/// something there has answered.
pub(super) fn may_be_in_loader(error: &espflash::Error, how: &Connect) -> bool {
    how.before != Some(Before::NoReset) || !matches!(error, espflash::Error::Connection(_))
}

pub(in crate::device::serial) fn opening(port: &str, error: serialport::Error) -> DeviceError {
    let port = port.to_owned();
    match error.kind() {
        serialport::ErrorKind::NoDevice if is_taken(&error.description) => {
            DeviceError::Busy { port }
        }
        serialport::ErrorKind::Unknown if is_other(&error.description) => {
            DeviceError::NoSerialPort { port }
        }
        serialport::ErrorKind::Io(io::ErrorKind::NotFound) => DeviceError::Absent { port },
        serialport::ErrorKind::Io(kind) => DeviceError::Open { port, source: kind.into() },
        _ => DeviceError::Open { port, source: io::Error::other(error) },
    }
}

/// EBUSY, and what serialport says of a lock on the port: root is refused by nothing else.
fn is_taken(description: &str) -> bool {
    ["busy", "exclusive lock"].iter().any(|words| description.contains(words))
}

/// ENOTTY and EISDIR, in the words of the nix crate.
fn is_other(description: &str) -> bool {
    ["Not a typewriter", "Is a directory"].contains(&description)
}

pub(super) fn connecting(port: &str, error: espflash::Error) -> DeviceError {
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

#[cfg(test)]
mod tests {
    use espflash::Error;

    use super::*;

    #[test]
    fn a_chip_is_reset_that_was_brought_into_its_loader_and_a_silent_one_is_left_alone() {
        let silent = Error::from(io::Error::from(io::ErrorKind::TimedOut));
        let how = |before| Connect { before, ..Connect::default() };
        for before in [None, Some(Before::DefaultReset), Some(Before::UsbReset)] {
            assert!(may_be_in_loader(&silent, &how(before)), "{before:?}");
        }
        assert!(!may_be_in_loader(&silent, &how(Some(Before::NoReset))));
        assert!(may_be_in_loader(&Error::FlashConnect, &how(Some(Before::NoReset))));
    }
}
