//! A port that is listened to while a device's program runs.

use std::io::{self, Read};
use std::thread;
use std::time::Duration;

use serialport::{ClearBuffer, SerialPort, UsbPortInfo};

use super::cable::opening;
use super::port::Chosen;
use crate::device::DeviceError;

/// How long a read waits for a byte.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a line is held for a reset.
const PULSE: Duration = Duration::from_millis(100);
/// The USB serial port that Espressif builds into chips: it takes another order of its lines.
const BUILT_IN: (u16, u16) = (0x303a, 0x1001);

/// An open port.
#[derive(Debug)]
pub struct Listener {
    port: espflash::connection::Port,
    name: String,
    usb: Option<UsbPortInfo>,
}

/// What a read gave.
#[derive(Debug)]
pub enum Heard {
    /// So many bytes.
    Bytes(usize),
    /// None, for a moment.
    Silence,
    /// The port is gone.
    Gone(io::Error),
}

impl Listener {
    /// Opens a port: 8 data bits, no parity, 1 stop bit, no flow control.
    ///
    /// The system asserts DTR and RTS together, which resets no board.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened.
    pub fn open(chosen: &Chosen, baud: u32) -> Result<Self, DeviceError> {
        let builder = serialport::new(chosen.name.as_str(), baud)
            .flow_control(serialport::FlowControl::None)
            .timeout(PATIENCE);
        let port = builder.open_native().map_err(|error| opening(&chosen.name, error))?;
        Ok(Self { port, name: chosen.name.clone(), usb: chosen.usb.clone() })
    }

    /// Resets the chip into its program, by RTS, and forgets what it said before. `false` where the port has no such lines, as a
    /// pseudo-terminal, or does not take them.
    pub fn reset(&mut self) -> bool {
        self.port.read_clear_to_send().is_ok() && self.pulse().is_ok()
    }

    fn pulse(&mut self) -> Result<(), serialport::Error> {
        let is_built_in = self.usb.as_ref().is_some_and(|usb| (usb.vid, usb.pid) == BUILT_IN);
        // DTR holds the boot pin. Released first, the program starts and not the loader.
        self.port.write_data_terminal_ready(false)?;
        self.port.write_request_to_send(true)?;
        if is_built_in {
            // Windows passes DTR on only when RTS is set.
            self.port.write_data_terminal_ready(false)?;
            self.port.write_request_to_send(true)?;
        }
        thread::sleep(PULSE);
        // The chip is held in its reset: what has come until now was said before it.
        self.port.clear(ClearBuffer::Input)?;
        self.port.write_request_to_send(false)
    }

    /// Forgets what has come and was not read.
    ///
    /// # Errors
    ///
    /// Where the port does not do that.
    pub fn forget(&mut self) -> Result<(), DeviceError> {
        let cleared = self.port.clear(ClearBuffer::Input);
        cleared.map_err(|error| opening(&self.name, error))
    }

    /// Reads what is there, or waits a moment for it.
    pub fn read(&mut self, buffer: &mut [u8]) -> Heard {
        match self.port.read(buffer) {
            Ok(0) => Heard::Gone(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Heard::Bytes(count),
            Err(error) => match error.kind() {
                io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted
                | io::ErrorKind::WouldBlock => Heard::Silence,
                _ => Heard::Gone(error),
            },
        }
    }
}
