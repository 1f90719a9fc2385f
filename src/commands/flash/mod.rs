//! `flash`: the firmware onto a board by cable, so that it is what boots.

mod app;
mod board;
mod erase;
mod error;
mod kept;
mod order;
mod report;
mod settings;
mod target;
mod work;

use std::ffi::OsString;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread;

use super::{Context, monitor, slots};
use crate::config::Overrides;
use crate::error::{Exit, Failure};
use crate::output::Format;
use crate::virtual_device::bootloader::Target;
use erase::Erase;
pub use error::FlashError;
use order::Order;
use report::{DeviceReport, FlashReport};
use settings::DeviceSettings;
use target::{Cables, Place};

/// Build the firmware, put it on a board, and let it boot
///
/// Bootloader, partition table, app, settings, and last the entry of otadata that chooses the app.
/// The app goes into a slot that is not needed for booting; what is there already is not written
/// again; what was written is compared. Ends with the verdict that `slots` gives.
#[derive(Debug, clap::Args)]
pub struct Flash {
    /// Take this ELF file instead of running cargo
    #[arg(long, value_name = "FILE", conflicts_with_all = ["app", "cargo_arguments"])]
    elf: Option<PathBuf>,
    /// Take this app image, such as a published one, instead of building one
    #[arg(long, value_name = "IMAGE.bin", conflicts_with = "cargo_arguments")]
    app: Option<PathBuf>,
    /// Write this bootloader, or `espflash` for the one that comes with espflash [default: that one,
    /// unless there is one that works]
    #[arg(long, value_name = "FILE")]
    bootloader: Option<PathBuf>,
    /// The slot to boot, such as `ota_0` or `factory` [default: one that what boots now is not in]
    #[arg(long, value_name = "SLOT", value_parser = slots::target)]
    slot: Option<Target>,
    /// Where the partition table goes, which its bootloader has to know
    #[arg(long, value_name = "OFFSET", default_value = "0x8000", value_parser = super::partitions::offset)]
    table_offset: u32,
    /// Write a table with which data on the device are lost
    #[arg(long)]
    allow_data_loss: bool,
    /// Erase this first
    #[arg(long, value_enum, value_name = "WHAT")]
    erase: Option<Erase>,
    /// Ask nothing before something is erased
    #[arg(short, long)]
    yes: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Watch the device afterwards, as `monitor` does; one device, and for people
    #[arg(long, conflicts_with_all = ["image", "dry_run", "stay"])]
    monitor: bool,
    #[command(flatten)]
    settings: DeviceSettings,
    #[command(flatten)]
    cables: Cables,
    #[command(flatten)]
    project: Overrides,
    /// Arguments for `cargo build`, such as `-- --features mine`
    #[arg(last = true, value_name = "ARGUMENTS")]
    cargo_arguments: Vec<OsString>,
}

impl Flash {
    /// Builds once, then makes each board what the project says.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&self.project)?;
        let mut places = self.cables.places(context)?;
        if self.monitor {
            let is_for_people = context.output.format() == Format::Human;
            match &mut places[..] {
                // The monitor starts it, so that all of its start is seen.
                [Place::Cable(_, how)] if is_for_people => how.stay = true,
                _ => return Err(FlashError::MonitorOne.into()),
            }
        }
        if let Some(erase) = self.erase.filter(|_| !self.dry_run) {
            erase::ask(context, erase, &places, self.yes)?;
        }
        let order = Order::new(context, &project, &self)?;
        let lines = context.output.lines();
        if let [only] = &places[..] {
            let mut device = DeviceReport::of(only);
            board::install(&lines, &order, only, "", &mut device)?;
            let done = context.output.answer(&FlashReport::new(vec![device]), Exit::Success)?;
            return match only {
                Place::Cable(chosen, _) if self.monitor => {
                    let (elf, is_other_program) = (self.elf.clone(), self.app.is_some());
                    let options = monitor::Options { elf, is_other_program, ..Default::default() };
                    monitor::watch(context, chosen, &options)
                }
                Place::Cable(..) | Place::File(_) => Ok(done),
            };
        }
        let devices: Vec<DeviceReport> = thread::scope(|scope| {
            let work = |place: &Place| {
                let label = place.label();
                let mut device = DeviceReport::of(place);
                let installed = board::install(&lines, &order, place, &label, &mut device);
                if let Err(failure) = installed {
                    device.failed(&failure);
                }
                device
            };
            let all: Vec<_> = places.iter().map(|place| scope.spawn(move || work(place))).collect();
            let joined = all.into_iter().map(thread::ScopedJoinHandle::join);
            joined.map(|board| board.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        let report = FlashReport::new(devices);
        let exit = report.exit();
        context.output.answer(&report, exit)
    }
}
