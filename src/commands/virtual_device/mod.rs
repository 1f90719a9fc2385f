//! `virtual-device`: a board for tools that flash chips, at a pseudo-terminal.

mod error;
#[cfg(unix)]
mod line;

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

#[cfg(unix)]
use super::stop::Stop;
use super::{Context, context};
use crate::chip::Chip;
use crate::error::{Exit, Failure};
use crate::flash_size::FlashSize;
use crate::image::inspect;
use crate::output::{Paint, Report, Tone};
use crate::virtual_device::flash::VirtualFlash;
use crate::virtual_device::rom_loader::{RomLoader, Settings};
pub use error::VirtualDeviceError;

/// A board without a board: the chip's serial loader at a pseudo-terminal
///
/// espflash, esptool and this tool flash and read it as they would a board, by
/// `--before no-reset`: a pseudo-terminal has no DTR and RTS. It waits in its loader until it is
/// stopped, by Ctrl-C; what a host writes goes back into the image file.
#[derive(Debug, clap::Args)]
pub struct VirtualDevice {
    /// Open a pseudo-terminal and print its name
    #[arg(long, required = true)]
    pty: bool,
    /// Contents of the flash, read at the start and written whenever a host has changed it; made
    /// where it does not exist [default: blank flash that is gone at the end]
    #[arg(long, value_name = "FLASH.bin")]
    image: Option<PathBuf>,
    /// The chip [default: that of the bootloader in the image, else esp32c3]
    #[arg(long, value_name = "CHIP")]
    chip: Option<Chip>,
    /// Size of blank flash
    #[arg(long, value_name = "SIZE", default_value = "4MB")]
    flash_size: FlashSize,
    /// Refuse to load a stub, as some boards do: hosts have to use the ROM's own commands
    #[arg(long)]
    no_stub: bool,
    /// Pretend that the flash is encrypted
    #[arg(long)]
    flash_encryption: bool,
    /// Pretend that secure boot is on
    #[arg(long)]
    secure_boot: bool,
    /// Pretend to be in secure download mode: hosts can write, and read nothing
    #[arg(long)]
    secure_download: bool,
    /// Pull the cable once the host has sent this many bytes
    #[arg(long, value_name = "BYTES")]
    unplug_after: Option<u64>,
    /// Stop once a host has been connected and went away
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Opened {
    port: PathBuf,
    chip: Chip,
    flash_size: usize,
    image: Option<PathBuf>,
}

impl VirtualDevice {
    /// Serves until it is stopped. What a host has written by then is in the file.
    #[cfg(unix)]
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let flash = self.flash()?;
        let chip = self.chip(&flash);
        let service = line::Service {
            unplug_after: self.unplug_after,
            is_once: self.once,
            stop: Stop::new()?,
        };
        let mut line = line::Line::open()?;
        let report = Opened {
            port: line.name().to_owned(),
            chip,
            flash_size: flash.len(),
            image: self.image.clone(),
        };
        context.output.answer(&report, Exit::Success)?;
        let settings = Settings {
            takes_stub: !self.no_stub,
            flash_encryption: self.flash_encryption,
            secure_boot: self.secure_boot,
            secure_download: self.secure_download,
            ..Settings::default()
        };
        let mut board = RomLoader::new(chip, VirtualFlash::with_contents(flash), settings);
        let saved = |flash: &[u8]| match &self.image {
            Some(file) => context::write(file, flash),
            None => Ok(()),
        };
        let traffic = line.serve(&mut board, &service, saved)?;
        context.output.status(format_args!(
            "{} bytes from the host, {} bytes to it, {} requests",
            traffic.received, traffic.sent, traffic.requests
        ));
        Ok(Exit::Success)
    }

    /// There are no pseudo-terminals here.
    #[cfg(not(unix))]
    pub fn run(self, _: &Context) -> Result<Exit, Failure> {
        Err(VirtualDeviceError::NoPty.into())
    }

    fn flash(&self) -> Result<Vec<u8>, Failure> {
        let size = usize::try_from(self.flash_size.bytes()).unwrap_or(usize::MAX);
        match &self.image {
            Some(file) if file.exists() => Ok(context::read(file, super::slots::LARGEST_DUMP)?),
            Some(_) | None => Ok(vec![0xff; size]),
        }
    }

    fn chip(&self, flash: &[u8]) -> Chip {
        let expected = inspect::Expected { chip: None, slots: Vec::new() };
        self.chip.or_else(|| inspect::inspect(flash, &expected).chip()).unwrap_or(Chip::Esp32c3)
    }
}

impl Report for Opened {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let port = self.port.display().to_string();
        writeln!(out, "{}", paint.tone(Tone::Strong, port))
    }
}
