//! What can go wrong between this machine and a device.
//!
//! espflash's own messages are about espflash (every io error of it is "while connecting"), so each
//! is worded again here, with what was being done.

use std::io;
use std::path::PathBuf;

use crate::error::{Exit, Explained};

/// A device cannot be reached, read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum DeviceError {
    #[error("no serial port is there")]
    NoPort,
    #[error("several serial ports are there: {}", list(.0))]
    ManyPorts(Vec<String>),
    #[error("the one serial port here, `{0}`, is not known to be a board's")]
    UnknownPort(String),
    #[error("the serial ports cannot be listed")]
    Ports(#[source] serialport::Error),
    #[error("`{port}` does not exist")]
    Absent { port: String },
    #[error("`{port}` is no serial port")]
    NoSerialPort { port: String },
    #[error("`{port}` cannot be opened")]
    Open { port: String, source: io::Error },
    #[error("`{port}` is in use by another program")]
    Busy { port: String },
    #[error("nothing at `{0}` answers as a chip in its serial loader")]
    NoAnswer(String),
    #[error("the chip at `{0}` runs its program and not its serial loader")]
    NotInLoader(String),
    #[error("`{port}` has an {found}, not an {expected}")]
    OtherChip { port: String, expected: String, found: String },
    #[error("`{port}` has a chip that this version does not know: {reason}")]
    UnknownChip { port: String, reason: String },
    #[error("the chip at `{0}` does not reach its flash")]
    NoFlash(String),
    #[error("the device at `{port}` is gone: {what} was not answered")]
    Gone { port: String, what: &'static str },
    #[error("what came from `{port}` makes no sense: {what} was answered with {answer}")]
    Garbage { port: String, what: &'static str, answer: String },
    #[error("the chip at `{port}` refused {what}: {reason}")]
    Refused { port: String, what: &'static str, reason: String },
    #[error("the chip is in secure download mode, in which its flash cannot be read")]
    SecureDownload,
    #[error("the chip at `{0}` has Secure Boot v1 on, whose signatures cannot be checked here")]
    SecureBootV1(String),
    #[error("{length} bytes at {offset:#x} are beyond the end, which is at {size:#x}")]
    BeyondEnd { offset: u32, length: u32, size: u32 },
    #[error("`{}` could not be read", file.display())]
    ReadFile { file: PathBuf, source: io::Error },
}

fn list(ports: &[String]) -> String {
    ports.iter().map(|port| format!("`{port}`")).collect::<Vec<_>>().join(", ")
}

impl Explained for DeviceError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoPort
            | Self::ManyPorts(_)
            | Self::UnknownPort(_)
            | Self::Ports(_)
            | Self::Absent { .. }
            | Self::NoSerialPort { .. }
            | Self::Open { .. }
            | Self::Busy { .. }
            | Self::NoAnswer(_)
            | Self::NotInLoader(_)
            | Self::OtherChip { .. }
            | Self::UnknownChip { .. }
            | Self::NoFlash(_)
            | Self::Gone { .. }
            | Self::Garbage { .. }
            | Self::Refused { .. }
            | Self::SecureDownload
            | Self::SecureBootV1(_) => Exit::Device,
            Self::BeyondEnd { .. } => Exit::Rejected,
            Self::ReadFile { .. } => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        Some(
            match self {
                Self::NoPort => {
                    "plug the board in with a cable that carries data, or name its port: `--port`"
                }
                Self::ManyPorts(_) | Self::UnknownPort(_) => {
                    "name one: `--port`, or `ESP_OTA_PORT`"
                }
                Self::Ports(_) | Self::Absent { .. } | Self::NoSerialPort { .. } => {
                    "name the port as the system does, such as `/dev/ttyUSB0` or `COM3`"
                }
                Self::Open { .. } => {
                    "check that you may use it: on Linux your group has to be that of the port, \
                     often `dialout`"
                }
                Self::Busy { .. } => "close the monitor or tool that has it open",
                Self::NoAnswer(_) => {
                    "hold the board's boot button while it resets; without DTR and RTS do that by \
                     hand and pass `--before no-reset`"
                }
                Self::NotInLoader(_) => "hold the board's boot button while it resets",
                Self::OtherChip { .. } => {
                    "pass the right `--chip`, or choose the other board with `--port`"
                }
                Self::UnknownChip { .. } => "use a newer version of `cargo esp-ota`",
                Self::NoFlash(_) => "check the power supply and the module's flash",
                Self::Gone { .. } => "plug it in again, and run the command again",
                Self::Garbage { .. } => {
                    "try a lower `--baud`, a shorter cable, or close what else uses the port"
                }
                Self::Refused { .. } => "reset the board and run the command again",
                Self::SecureDownload => {
                    "nothing reads it any more; the device's own reports say what it runs"
                }
                Self::SecureBootV1(_) => {
                    "update it over the air, where its own bootloader checks what it starts"
                }
                Self::BeyondEnd { .. } => "dump the whole chip",
                Self::ReadFile { .. } => "check the path, and that you may read it",
            }
            .into(),
        )
    }
}
