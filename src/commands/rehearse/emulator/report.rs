//! What came out of a rehearsal on an emulated chip.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Bed;
use super::choice::Chosen;
use super::telling::Step;
use crate::chip::Chip;
use crate::emulator::machine::SERIAL_LOG;
use crate::emulator::update::Plan;
use crate::emulator::{Emulator, Fault, Verdict};
use crate::output::{Annotation, Level, Paint, Report, Tone};

/// What is wrong.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct FaultReport {
    code: &'static str,
    message: String,
    /// The last lines of the serial port before it showed.
    serial: Vec<String>,
}

/// One of the two rehearsals.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Part {
    /// File, store or URL of the image; `null` for one that was built for this.
    image: Option<PathBuf>,
    /// The version that the device starts with; `null` where the image is only booted.
    from: Option<String>,
    version: String,
    size: usize,
    sha256: String,
    passed: bool,
    steps: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultReport>,
    /// The flash as it was left, for `slots --image`.
    flash: PathBuf,
}

/// The whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct EmulatorReport {
    product: String,
    chip: Chip,
    emulator: Emulator,
    program: PathBuf,
    program_version: String,
    boot: Part,
    /// `null` where it was not wanted, or not worth trying.
    update: Option<Part>,
    serial_log: PathBuf,
    #[serde(skip)]
    boot_only: bool,
}

impl Part {
    pub(super) fn boot(
        chosen: &Chosen,
        flash: PathBuf,
        steps: Vec<Step>,
        verdict: Verdict,
    ) -> Self {
        let part = Self::new(&chosen.bytes, chosen.version.clone(), flash, steps, verdict);
        Self { image: Some(chosen.from.clone()), ..part }
    }

    pub(super) fn update(
        plan: Plan<'_>,
        image: &[u8],
        flash: PathBuf,
        steps: Vec<Step>,
        verdict: Verdict,
    ) -> Self {
        let part = Self::new(image, plan.to.to_owned(), flash, steps, verdict);
        Self { from: Some(plan.from.to_owned()), ..part }
    }

    fn new(
        image: &[u8],
        version: String,
        flash: PathBuf,
        steps: Vec<Step>,
        verdict: Verdict,
    ) -> Self {
        let Verdict { fault, serial } = verdict;
        Self {
            image: None,
            from: None,
            version,
            size: image.len(),
            sha256: Sha256::digest(image).iter().map(|byte| format!("{byte:02x}")).collect(),
            passed: fault.is_none(),
            steps,
            fault: fault.map(|fault: Fault| FaultReport {
                code: fault.code(),
                message: fault.to_string(),
                serial,
            }),
            flash,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.passed
    }

    fn name(&self) -> String {
        match &self.from {
            None => format!("boot of {}", self.version),
            Some(from) => format!("update from {from} to {}", self.version),
        }
    }

    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let name = paint.tone(Tone::Strong, self.name());
        match &self.fault {
            None => writeln!(out, "{name}: {}", paint.tone(Tone::Good, "ok"))?,
            Some(fault) => {
                writeln!(out, "{name}: {}: {}", paint.tone(Tone::Bad, "failed"), fault.message)?;
            }
        }
        if let Some(image) = &self.image {
            writeln!(out, "  {}, {} bytes", image.display(), self.size)?;
        }
        for step in &self.steps {
            writeln!(out, "  {} ({} s)", step.what, step.seconds)?;
        }
        if let Some(fault) = self.fault.as_ref().filter(|fault| !fault.serial.is_empty()) {
            writeln!(out, "  last on the serial port:")?;
            for line in &fault.serial {
                writeln!(out, "    {line}")?;
            }
        }
        Ok(())
    }
}

impl EmulatorReport {
    pub(super) fn new(bed: &Bed<'_>, boot: Part, update: Option<Part>, boot_only: bool) -> Self {
        Self {
            product: bed.project.product.value.to_string(),
            chip: bed.project.chip.value,
            emulator: bed.program.emulator,
            program: bed.program.path.clone(),
            program_version: bed.program.version.clone(),
            boot,
            update,
            serial_log: bed.folder.join(SERIAL_LOG),
            boot_only,
        }
    }

    /// Whether all that was wanted is proven.
    pub(super) fn is_good(&self) -> bool {
        let update = self.update.as_ref().map_or(self.boot_only, Part::is_good);
        self.boot.is_good() && update
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.boot).chain(&self.update)
    }
}

impl Report for EmulatorReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { product, chip, emulator, program_version, .. } = self;
        writeln!(out, "{product} for {chip} on {}: {program_version}", emulator.name())?;
        self.parts().try_for_each(|part| part.human(out, paint))?;
        if self.update.is_none() && !self.boot_only {
            writeln!(out, "update: {}", paint.tone(Tone::Warning, "not tried"))?;
        }
        for part in self.parts() {
            writeln!(out, "flash: {}", part.flash.display())?;
        }
        writeln!(out, "serial log: {}", self.serial_log.display())
    }

    fn annotations(&self) -> Vec<Annotation> {
        let annotate = |part: &Part| {
            let fault = part.fault.as_ref()?;
            let message = format!("{}: {}", part.name(), fault.message);
            let title = format!("rehearse-emulator-{}", fault.code);
            Some(Annotation { level: Level::Error, location: None, title, message })
        };
        self.parts().filter_map(annotate).collect()
    }
}
