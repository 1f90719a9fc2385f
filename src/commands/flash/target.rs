//! What is flashed: boards at serial ports, or a file that holds a whole flash chip.

use std::path::PathBuf;

use super::FlashError;
use crate::commands::{Context, port};
use crate::device::serial::{Before, Chosen, Connect};
use crate::error::Failure;

/// Options about the way to the boards.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Device")]
pub(super) struct Cables {
    /// Serial port, once for each board [default: `ESP_OTA_PORT`, or the only board that is plugged
    /// in]
    #[arg(long = "port", value_name = "PORT")]
    ports: Vec<String>,
    /// Write into this file, which holds a whole flash chip, instead; made where it does not exist
    #[arg(long, value_name = "FLASH.bin", conflicts_with_all = ["ports", "baud", "before", "stay", "no_stub", "stub"])]
    image: Option<PathBuf>,
    /// Bits per second once the device answered
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    baud: u32,
    /// How the chip gets into its serial loader [default: default-reset, and no-reset at a port
    /// without DTR and RTS]
    #[arg(long, value_enum, value_name = "HOW")]
    before: Option<Before>,
    /// Leave the chip in its loader at the end
    #[arg(long)]
    stay: bool,
    /// Do without espflash's stub, which makes writes faster
    #[arg(long, conflicts_with = "stub")]
    no_stub: bool,
    /// Load the stub also at a port without DTR and RTS: nothing but its power gets the chip out of it
    #[arg(long)]
    stub: bool,
}

/// One thing to flash.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A board, and how it is reached.
    Cable(Chosen, Connect),
    /// A file.
    File(PathBuf),
}

impl Cables {
    /// Everything that is to be flashed; at least one.
    pub(super) fn places(&self, context: &Context) -> Result<Vec<Place>, Failure> {
        if let Some(file) = &self.image {
            return Ok(vec![Place::File(file.clone())]);
        }
        let mut chosen = Vec::new();
        for name in &self.ports {
            let port = port::chosen(context, Some(name))?;
            if chosen.iter().any(|other: &Chosen| other.is_same(&port)) {
                return Err(FlashError::Twice(port.name).into());
            }
            chosen.push(port);
        }
        if chosen.is_empty() {
            chosen.push(port::chosen(context, None)?);
        }
        Ok(chosen.into_iter().map(|chosen| Place::Cable(chosen, self.connect())).collect())
    }

    fn connect(&self) -> Connect {
        let Self { baud, before, stay, no_stub, stub, .. } = *self;
        Connect { baud, before, stay, no_stub, stub, ..Connect::default() }
    }
}

impl Place {
    /// What it is called on a line that it shares with others.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Cable(chosen, _) => {
                let name = chosen.name.rsplit('/').next().unwrap_or_default();
                format!("{name}: ")
            }
            Self::File(file) => format!("{}: ", file.display()),
        }
    }
}
