//! `slots`: what a device boots next, and why.

use std::path::PathBuf;

use super::{Context, context};
use crate::device;
use crate::error::{Exit, Failure};

/// No flash chip beside an ESP32 is larger.
pub(super) const LARGEST_DUMP: u64 = 256 * 1024 * 1024;

/// Show the slots of a device: what boots next, and why
#[derive(Debug, clap::Args)]
pub struct Slots {
    /// Dump of the whole flash chip, as `espflash read-flash` or `esptool read-flash` write it
    #[arg(long, value_name = "FLASH.bin")]
    image: PathBuf,
}

impl Slots {
    /// Reads the dump and reports. A device that would boot nothing is a rejection.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let flash = context::read(&self.image, LARGEST_DUMP)?;
        let report = device::report(&flash)?;
        for (index, entry) in report.entries.iter().enumerate() {
            context.output.detail(format_args!("otadata entry {index}: {}", entry.raw));
        }
        let exit = if report.boots() { Exit::Success } else { Exit::Rejected };
        context.output.answer(&report, exit)
    }
}
