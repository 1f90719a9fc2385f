//! How a device is connected to.

use espflash::connection::ResetBeforeOperation;

use crate::chip::Chip;

/// The rate at which every chip's loader begins.
pub(super) const FIRST_BAUD: u32 = 115_200;

/// Options of every command that uses a cable.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Device")]
pub struct Connect {
    /// Serial port [default: `ESP_OTA_PORT`, or the only board that is plugged in]
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// Bits per second once the device answered
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    pub baud: u32,
    /// How the chip gets into its serial loader [default: default-reset, and no-reset at a port
    /// without DTR and RTS]
    #[arg(long, value_enum, value_name = "HOW")]
    pub before: Option<Before>,
    /// Leave the chip in its loader at the end
    #[arg(long)]
    pub stay: bool,
    /// Do without espflash's stub, which makes long reads faster
    #[arg(long, conflicts_with = "stub")]
    pub no_stub: bool,
    /// Load the stub also at a port without DTR and RTS: nothing but its power gets the chip out of it
    #[arg(long)]
    pub stub: bool,
    /// Whether much is going to be read.
    #[arg(skip)]
    pub reads_much: bool,
    /// The chip that has to be there
    #[arg(long, value_name = "CHIP")]
    pub chip: Option<Chip>,
}

impl Connect {
    /// The same for a first look: at the first rate, and without the stub unless it is asked for.
    #[must_use]
    pub fn for_a_look(&self) -> Self {
        Self { baud: FIRST_BAUD, reads_much: false, ..self.clone() }
    }

    /// Whether the stub is worth its upload. `has_lines` is whether the chip can be reset afterwards:
    /// a stub that stays does not answer as the next program expects.
    pub(super) fn loads_stub(&self, has_lines: bool) -> bool {
        let is_worth_it = has_lines && (self.reads_much || self.baud > FIRST_BAUD);
        self.stub || (is_worth_it && !self.no_stub)
    }
}

/// How a chip gets into its serial loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Before {
    /// By DTR and RTS, as development boards are wired.
    DefaultReset,
    /// It is in it already.
    NoReset,
    /// By the chip's own USB port.
    UsbReset,
}

impl From<Before> for ResetBeforeOperation {
    fn from(before: Before) -> Self {
        match before {
            Before::DefaultReset => Self::DefaultReset,
            Before::NoReset => Self::NoReset,
            Before::UsbReset => Self::UsbReset,
        }
    }
}
