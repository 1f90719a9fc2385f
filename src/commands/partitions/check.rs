//! `partitions check`: what ESP-IDF, espflash and an updater think of a table, and whether the
//! firmware fits it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::firmware::{self, Measured};
use super::input::{Input, Loaded};
use super::words;
use crate::commands::Context;
use crate::error::{Exit, Failure};
use crate::output::{Annotation, Paint, Report, Tone};
use crate::partition::{self, AcceptedBy, Code, Finding, MinFree, Severity};

/// Check a table against the rules of ESP-IDF, espflash and OTA
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    input: Input,
    /// App image that has to fit every slot; may be repeated [default: the project's newest build]
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// Reject an image that leaves less of a slot free, such as `10%` or `64K`
    #[arg(long, value_name = "AMOUNT")]
    min_free: Option<MinFree>,
    /// Accept findings of this code; may be repeated
    #[arg(long, value_name = "CODE")]
    allow: Vec<Code>,
    /// Reject a table with findings of this severity too
    #[arg(long, value_enum)]
    deny: Option<Deny>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Deny {
    Warnings,
}

/// What `partitions check` has to say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct CheckReport {
    findings: Vec<Finding>,
    accepted_by: AcceptedBy,
    images: Vec<Measured>,
    #[serde(skip)]
    file: PathBuf,
    /// The file of each finding, where it is not the table.
    #[serde(skip)]
    about: Vec<Option<PathBuf>>,
}

impl Check {
    pub(super) fn run(mut self, context: &Context) -> Result<Exit, Failure> {
        if let Some(code) = self.allow.iter().find(|code| code.refused_by_esp_idf()) {
            return Err(NotAllowable(*code).into());
        }
        let Loaded { file, reading, options, project, .. } = self.input.load(context)?;
        let mut verdict = partition::check(&reading, &options);
        let mut about = vec![None; verdict.findings.len()];
        if let Some(project) = &project {
            self.allow.extend(&project.allow.value);
            if self.image.is_empty() {
                self.image.extend(firmware::newest_build(context, project));
            }
        }
        let mut images = Vec::new();
        for image in self.image {
            let (measured, found) = firmware::measure(image, &reading, &options, self.min_free)?;
            // What does not fit is the table's matter as much; what is no image is the file's.
            about.extend(found.iter().map(|finding| {
                (finding.code == Code::ImageInvalid).then(|| measured.file.clone())
            }));
            verdict.findings.extend(found);
            images.push(measured);
        }
        verdict.allow(&self.allow);
        let limit = if self.deny.is_some() { Severity::Warning } else { Severity::Error };
        let is_rejected = verdict.worst().is_some_and(|worst| worst >= limit);
        let partition::Report { findings, accepted_by } = verdict;
        let report = CheckReport { findings, accepted_by, images, file, about };
        let exit = if is_rejected { Exit::Rejected } else { Exit::Success };
        context.output.answer(&report, exit)
    }
}

/// `--allow` with a code of tables that ESP-IDF refuses.
#[derive(Debug, thiserror::Error)]
#[error("`--allow {0}` cannot be, because ESP-IDF refuses such a table")]
struct NotAllowable(Code);

impl crate::error::Explained for NotAllowable {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn help(&self) -> Option<String> {
        Some(format!("correct the table; `cargo esp-ota partitions explain {}` says how", self.0))
    }
}

impl CheckReport {
    /// Each finding with the file that it is about.
    fn placed(&self) -> impl Iterator<Item = (&Finding, &Path)> {
        let files = self.about.iter().map(|file| file.as_ref().unwrap_or(&self.file).as_path());
        self.findings.iter().zip(files)
    }
}

impl Report for CheckReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for (finding, file) in self.placed() {
            words::finding(out, paint, finding, file)?;
        }
        for image in &self.images {
            let file = paint.tone(Tone::Strong, image.file.display());
            writeln!(out, "image {file}: {} bytes", image.size)?;
            for slot in &image.slots {
                let (free, size, percent) = (slot.free, slot.size, slot.free_percent);
                let (tone, free) = if free < 0 {
                    let over = free.unsigned_abs();
                    (Tone::Bad, format!("{over} bytes too many for its {size}"))
                } else {
                    (Tone::Faint, format!("{free} of {size} bytes free ({percent:.1}%)"))
                };
                writeln!(out, "  {}: {}", slot.name, paint.tone(tone, free))?;
            }
        }
        let accepted = self.accepted_by;
        let by = [
            ("ESP-IDF", accepted.esp_idf),
            ("espflash", accepted.espflash),
            ("esp-bootloader-esp-idf", accepted.esp_bootloader_esp_idf),
            ("OTA", accepted.ota),
        ]
        .map(|(who, says)| format!("{who} {}", if says { "yes" } else { "no" }));
        writeln!(out, "accepted by: {}", by.join(", "))?;
        let allowed = match self.findings.iter().filter(|finding| finding.allowed).count() {
            0 => String::new(),
            count => format!(", {count} of them allowed"),
        };
        match self.findings.len() {
            0 => writeln!(out, "partition table is sound"),
            1 => writeln!(out, "1 finding{}", allowed.replace("1 of them ", "")),
            count => writeln!(out, "{count} findings{allowed}"),
        }
    }

    fn annotations(&self) -> Vec<Annotation> {
        self.placed().map(|(finding, file)| words::annotation(finding, file)).collect()
    }
}
