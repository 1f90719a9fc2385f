//! Where the flash is: at a serial port, or in a dump.

use std::path::PathBuf;

use crate::commands::{Context, context, port};
use crate::device::flash::{Dump, FlashReader, FlashWriter};
use crate::device::serial::{Cable, Connect};
use crate::device::slots::SecurityReport;
use crate::device::{Depth, DeviceError, Known, SlotError, SlotReport, Survey};
use crate::error::Failure;

/// No flash chip beside an ESP32 is larger.
pub(in crate::commands) const LARGEST_DUMP: u64 = 256 * 1024 * 1024;

/// A device, or what was read of one.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Source {
    /// Dump of the whole flash chip, as `espflash read-flash` or `esptool read-flash` write it
    #[arg(long, value_name = "FLASH.bin", conflicts_with_all = ["port", "baud", "before", "stay", "no_stub", "stub"])]
    image: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
}

/// Flash that can be read and written.
#[derive(Debug)]
pub(super) enum Flash {
    Dump { file: PathBuf, dump: Dump },
    Cable(Box<Cable>),
}

impl Source {
    /// Opens it. Where much is going to be read, the stub is worth its upload.
    pub(super) fn open(&self, context: &Context, reads_much: bool) -> Result<Flash, Failure> {
        if let Some(file) = &self.image {
            let dump = Dump::new(context::read(file, LARGEST_DUMP)?);
            return Ok(Flash::Dump { file: file.clone(), dump });
        }
        let chosen = port::chosen(context, self.connect.port.as_deref())?;
        context.output.status(format_args!("connecting to {}", chosen.name));
        let how = Connect { reads_much, ..self.connect.clone() };
        let cable = Cable::connect(&chosen, &how)?;
        if cable.security().is_some_and(|it| it.secure_download) {
            return Err(DeviceError::SecureDownload.into());
        }
        if cable.security().is_some_and(|it| it.flash_encryption) {
            return Err(SlotError::Encrypted.into());
        }
        Ok(Flash::Cable(Box::new(cable)))
    }

    /// Whether a look at it disturbs what runs.
    pub(super) fn is_device(&self) -> bool {
        self.image.is_none()
    }
}

impl Flash {
    pub(super) fn reader(&mut self) -> &mut dyn FlashReader {
        match self {
            Self::Dump { dump, .. } => dump,
            Self::Cable(cable) => cable.as_mut(),
        }
    }

    pub(super) fn writer(&mut self) -> &mut dyn FlashWriter {
        match self {
            Self::Dump { dump, .. } => dump,
            Self::Cable(cable) => cable.as_mut(),
        }
    }

    /// Reads what decides on the next boot.
    pub(super) fn survey(&mut self, depth: Depth, known: &[Known]) -> Result<Survey, SlotError> {
        let (chip, depth) = match self {
            // A dump is here already: every byte of it is read.
            Self::Dump { .. } => (None, Depth::Whole),
            Self::Cable(cable) => (Some(cable.chip()), depth),
        };
        Survey::read(self.reader(), chip, depth, known)
    }

    /// What the survey says, and where it comes from.
    pub(super) fn report(&self, survey: &Survey) -> SlotReport {
        let mut report = survey.report();
        if let Self::Cable(cable) = self {
            report.port = Some(cable.port().to_owned());
            report.chip = Some(cable.chip().to_string());
            report.security = cable.security().map(SecurityReport::from);
        }
        report
    }

    /// Keeps what was changed in a dump.
    pub(super) fn save(&self) -> Result<(), Failure> {
        match self {
            Self::Dump { file, dump } => Ok(context::write(file, dump.bytes())?),
            Self::Cable(_) => Ok(()),
        }
    }
}
