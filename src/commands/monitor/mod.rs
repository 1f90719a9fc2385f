//! `monitor`: what a device says on its serial port, and what that means for its updates.

mod elf;
mod error;
mod line;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use super::{Context, port, slots};
use crate::error::{Exit, Failure};
use crate::monitor::Until;
pub use error::MonitorError;
pub(in crate::commands) use line::Timestamps;
pub(in crate::commands) use watch::watch;

/// The rate at which ROM, bootloader and most programs print.
const BAUD: u32 = 115_200;

/// Watch a device: its serial output, what that means for its updates, and addresses as lines of code
///
/// Resets the device at the start, so that its boot is seen. An image on trial falls back at that
/// reset, as at any other: watch a trial with `--no-reset`. Goes on over unplug and replug, until
/// Ctrl-C, or as `--until` and `--timeout` say.
#[derive(Debug, clap::Args)]
pub struct Monitor {
    /// Serial port [default: `ESP_OTA_PORT`, or the only board that is plugged in]
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    #[command(flatten)]
    options: Options,
}

/// How a device is watched.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::commands) struct Options {
    /// Bits per second
    #[arg(long, value_name = "BAUD", default_value_t = BAUD, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::commands) baud: u32,
    /// Leave the device as it is: no reset at the start
    #[arg(long)]
    pub(in crate::commands) no_reset: bool,
    /// What stands before each line
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(in crate::commands) timestamps: Timestamps,
    /// ELF file of the program, to look up addresses in [default: the one that cargo built last in
    /// the project around]
    #[arg(long, value_name = "FILE")]
    pub(in crate::commands) elf: Option<PathBuf>,
    /// What runs is not what cargo built last: addresses are looked up in `elf` or nowhere.
    #[arg(skip)]
    pub(in crate::commands) is_other_program: bool,
    /// Succeed once an image is `confirmed`, once one `fell-back`, or once a line has this text in it
    #[arg(long, value_name = "WHAT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(in crate::commands) until: Option<String>,
    /// End after so long, such as `120s` or `2m`: a failure if `--until` was not seen by then
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(in crate::commands) timeout: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            baud: BAUD,
            no_reset: false,
            timestamps: Timestamps::default(),
            elf: None,
            is_other_program: false,
            until: None,
            timeout: None,
        }
    }
}

impl Options {
    fn until(&self, context: &Context) -> Option<Until> {
        let until = self.until.as_deref().map(Until::from)?;
        if let Some(keyword) = until.meant() {
            let words = format_args!("`{until}` is looked for as text; the event is `{keyword}`");
            context.output.warn(words);
        }
        Some(until)
    }
}

/// A time in which something can be heard.
fn time(text: &str) -> Result<Duration, String> {
    let time = slots::seconds(text)?;
    (!time.is_zero()).then_some(time).ok_or_else(|| "name at least one second".into())
}

impl Monitor {
    /// Watches until it is stopped, or has seen what it was to wait for.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let chosen = port::chosen(context, self.port.as_deref())?;
        watch(context, &chosen, &self.options)
    }
}
