//! `rehearse --emulator`: the image itself on an emulated chip, and a whole update of the firmware.

mod choice;
mod error;
mod report;
mod telling;
mod workshop;

use std::path::PathBuf;
use std::time::Duration;

use clap::value_parser;
use semver::Version;

pub(super) use self::choice::Published;
use self::choice::{Chosen, choose};
use self::error::EmulateError;
use self::report::{EmulatorReport, Part};
use self::telling::Telling;
use self::workshop::Workshop;
use crate::commands::{Context, context, partitions};
use crate::config::Project;
use crate::emulator::bench::{Bench, Offer};
use crate::emulator::machine::SERIAL_LOG;
use crate::emulator::update::{OUTAGE, Plan};
use crate::emulator::{Emulator, EmulatorError, Program, boot, update};
use crate::error::{Exit, Failure};
use crate::partition::Table;

/// Where everything of it is kept, below the project.
const FOLDER: &str = "target/esp-ota/emulator";

/// What belongs to `--emulator`.
#[derive(Debug, clap::Args)]
#[group(skip)] // that of `--faults` has the same name
pub(super) struct Options {
    /// Boot the image itself on an emulated chip, then let the firmware update itself there
    #[arg(long, value_enum, conflicts_with_all = ["from", "faults"])]
    pub(super) emulator: Option<Emulator>,
    /// Image to boot with `--emulator` [default: the newest of `build`, else the published one]
    #[arg(value_name = "IMAGE", requires = "emulator")]
    image: Option<PathBuf>,
    /// Boot the image and no more: build nothing, update nothing
    #[arg(long, requires = "emulator")]
    boot_only: bool,
    /// The emulator's program [default: found on `PATH`]
    #[arg(long, value_name = "PROGRAM", requires = "emulator")]
    emulator_binary: Option<PathBuf>,
    /// Longest time from each power-on to what is waited for
    #[arg(long, value_name = "SECONDS", requires = "emulator", default_value_t = 180, value_parser = value_parser!(u16).range(1..=3600))]
    deadline: u16,
}

/// What both rehearsals have in common.
struct Bed<'a> {
    context: &'a Context,
    project: &'a Project,
    program: Program,
    table: Table,
    folder: PathBuf,
    deadline: Duration,
}

impl Options {
    /// Boots the image, and then, unless `--boot-only`, rehearses an update.
    pub(super) fn run(
        self,
        context: &Context,
        project: &Project,
        emulator: Emulator,
        published: &Published,
    ) -> Result<Exit, Failure> {
        let runtime = context::runtime()?;
        let chip = project.chip.value;
        let size = project.flash_size.value;
        let path = context::os_variable("PATH");
        let named = self.emulator_binary.as_deref();
        let program = runtime.block_on(Program::find(emulator, named, path.as_deref(), chip))?;
        if !emulator.has_flash(size) {
            return Err(EmulatorError::FlashSize { emulator, size }.into());
        }
        let workshop = if self.boot_only { None } else { Some(Workshop::open(project)?) };
        let chosen = choose(context, project, self.image, published)?;
        let (table, _) = partitions::project_table(project)?;
        let folder = project.folder.join(FOLDER);
        begin(&folder)?;
        let deadline = Duration::from_secs(self.deadline.into());
        let bed = Bed { context, project, program, table, folder, deadline };

        let Some(booted) = runtime.block_on(interruptible(bed.boot(&chosen)))? else {
            return Ok(interrupted(context));
        };
        let mut updated = None;
        if let Some(workshop) = workshop.filter(|_| booted.is_good()) {
            let bench =
                runtime.block_on(Bench::new(emulator, &bed.folder.join("dist"), context.now()))?;
            let update = Built::make(context, &workshop, &bench)?;
            updated = runtime.block_on(interruptible(bed.update(&bench, update)))?;
            if updated.is_none() {
                return Ok(interrupted(context));
            }
        }
        let report = EmulatorReport::new(&bed, booted, updated, self.boot_only);
        let exit = if report.is_good() { Exit::Success } else { Exit::Rejected };
        context.output.answer(&report, exit)
    }
}

/// Both versions of the firmware, built for the emulated chip.
struct Built {
    from: (Version, Vec<u8>),
    to: (Version, Vec<u8>),
}

impl Built {
    fn make(context: &Context, workshop: &Workshop, bench: &Bench) -> Result<Self, Failure> {
        workshop.furnish(bench)?;
        let from = workshop.version().clone();
        let to = Version::new(from.major, from.minor, from.patch.saturating_add(1));
        let image = |version: &Version| {
            context.output.status(format_args!("building {version} for the emulated chip"));
            workshop.build(context, version)
        };
        Ok(Self { from: (from.clone(), image(&from)?), to: (to.clone(), image(&to)?) })
    }
}

impl Bed<'_> {
    /// Boots the very bytes of an image.
    async fn boot(&self, chosen: &Chosen) -> Result<Part, Failure> {
        let Self { project, folder, table, .. } = self;
        let kind = (project.chip.value, project.flash_size.value);
        let program = (self.program.clone(), folder.as_path());
        let machine = boot::machine(program, kind, table, &chosen.bytes, self.deadline)?;
        let mut telling = Telling::new(self.context);
        let verdict = boot::rehearse(&machine, &mut telling).await?;
        Ok(Part::boot(chosen, machine.flash(), telling.steps, verdict))
    }

    /// Lets one version of the firmware update itself to the next.
    async fn update(&self, bench: &Bench, built: Built) -> Result<Part, Failure> {
        let Self { project, folder, table, .. } = self;
        let Built { from: (from, old), to: (to, new) } = built;
        let (from, to) = (from.to_string(), to.to_string());
        let offer = Offer {
            product: project.product.value.as_str(),
            channel: project.channel.value.as_str(),
            chip: project.chip.value,
            version: &to,
            image: new.clone(),
        };
        bench.publish(offer).await?;
        let server = bench.serve(None).await?;
        let kind = (project.chip.value, project.flash_size.value);
        let program = (self.program.clone(), folder.as_path());
        let device = (old.as_slice(), server.addr());
        let machine = update::machine(program, kind, table, device, self.deadline)?;
        let mut telling = Telling::new(self.context);
        let plan = Plan { from: &from, to: &to, outage: OUTAGE };
        let verdict = update::rehearse(&machine, bench, server, plan, &mut telling).await?;
        Ok(Part::update(plan, &new, machine.flash(), telling.steps, verdict))
    }
}

/// The serial log begins anew with each run.
fn begin(folder: &std::path::Path) -> Result<(), EmulatorError> {
    let file = folder.join(SERIAL_LOG);
    match std::fs::remove_file(&file) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(EmulatorError::File { file, source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// `None` after Ctrl-C. What was going on is dropped, and the emulator ends with it.
async fn interruptible<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<Option<T>, E> {
    tokio::select! {
        // First, so that Ctrl-C is heard before the emulator starts.
        biased;
        _ = tokio::signal::ctrl_c() => Ok(None),
        done = work => done.map(Some),
    }
}

fn interrupted(context: &Context) -> Exit {
    context.output.status("interrupted");
    Exit::Rejected
}
