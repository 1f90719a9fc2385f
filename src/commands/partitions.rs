//! `partitions`: what ESP-IDF, espflash and an updater think of a partition table.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Context, ContextError, context};
use crate::chip::Chip;
use crate::config::{Overrides, Project};
use crate::error::{Exit, Failure, Location};
use crate::flash_size::FlashSize;
use crate::output::{Annotation, Level, Paint, Report, Tone};
use crate::partition::{self, Options, SecureBoot, Severity, Table};

/// No table is larger: a file above this is something else.
const LARGEST_FILE: u64 = 1024 * 1024;
/// Stands for standard input, where a file is expected.
const STANDARD_INPUT: &str = "-";

/// Check partition tables
#[derive(Debug, clap::Args)]
pub struct Partitions {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Check(Check),
}

/// Check a table against the rules of ESP-IDF, espflash and OTA
#[derive(Debug, clap::Args)]
struct Check {
    /// Table as CSV or binary, `-` for standard input [default: the project's]
    file: Option<PathBuf>,
    /// Chip, for the rules that differ [default: the project's]
    #[arg(long)]
    chip: Option<Chip>,
    /// Size of the flash chip [default: the project's; without one, no size rule]
    #[arg(long, value_name = "SIZE")]
    flash_size: Option<FlashSize>,
    /// Where the table is in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000", value_parser = offset)]
    table_offset: u32,
    /// Alignment rules of Secure Boot
    #[arg(long, value_enum)]
    secure_boot: Option<SecureBootVersion>,
    /// Reject a table with findings of this severity too
    #[arg(long, value_enum)]
    deny: Option<Deny>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SecureBootVersion {
    V1,
    V2,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Deny {
    Warnings,
}

/// Reads `0x8000` or `32768`.
fn offset(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|error| error.to_string())
}

/// What `partitions check` has to say.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    #[serde(skip)]
    file: PathBuf,
    #[serde(flatten)]
    verdict: partition::Report,
}

impl Partitions {
    /// The word that JSON reports carry.
    pub fn name(&self) -> &'static str {
        match self.action {
            Action::Check(_) => "partitions check",
        }
    }

    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.action {
            Action::Check(check) => check.run(context),
        }
    }
}

impl Check {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut options = Options {
            chip: self.chip,
            flash_size: self.flash_size.map(FlashSize::bytes),
            table_offset: self.table_offset,
            secure_boot: self.secure_boot.map(|version| match version {
                SecureBootVersion::V1 => SecureBoot::V1,
                SecureBootVersion::V2 => SecureBoot::V2,
            }),
            variables: std::env::vars().collect(),
            ..Options::default()
        };
        let file = match self.file {
            Some(file) => file,
            None => {
                let overrides = Overrides {
                    chip: self.chip,
                    flash_size: self.flash_size,
                    ..Overrides::default()
                };
                let project = context.project(&overrides)?;
                options.chip = Some(project.chip.value);
                options.flash_size = Some(project.flash_size.value.bytes());
                project.path(&project.partitions.value)
            }
        };
        let bytes = if file == Path::new(STANDARD_INPUT) {
            crate::disk::read_bounded(io::stdin().lock(), LARGEST_FILE)
                .map_err(|source| ContextError::Input { file: file.clone(), source })?
        } else {
            context::read(&file, LARGEST_FILE)?
        };
        let reading = partition::read(&bytes, Some(&file), &options);
        let report = CheckReport { file, verdict: partition::check(&reading, &options) };
        let exit = report.exit(self.deny.is_some());
        context.output.answer(&report, exit)
    }
}

impl CheckReport {
    fn exit(&self, deny_warnings: bool) -> Exit {
        let worst = self.verdict.worst();
        let limit = if deny_warnings { Severity::Warning } else { Severity::Error };
        if worst.is_some_and(|worst| worst >= limit) { Exit::Rejected } else { Exit::Success }
    }
}

/// Reads and judges the table of a project.
pub(super) fn project_table(project: &Project) -> Result<(Table, partition::Report), Failure> {
    let file = project.path(&project.partitions.value);
    let options = Options {
        chip: Some(project.chip.value),
        flash_size: Some(project.flash_size.value.bytes()),
        variables: std::env::vars().collect(),
        ..Options::default()
    };
    let bytes = context::read(&file, LARGEST_FILE)?;
    let reading = partition::read(&bytes, Some(&file), &options);
    let report = partition::check(&reading, &options);
    Ok((reading.usable_table(&report)?, report))
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

impl Report for CheckReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for finding in &self.verdict.findings {
            let place =
                Location { file: self.file.clone(), line: finding.line, column: finding.column };
            let tone = match finding.severity {
                Severity::Error => Tone::Bad,
                Severity::Warning => Tone::Warning,
                Severity::Note => Tone::Faint,
            };
            let severity = paint.tone(tone, word(finding.severity));
            writeln!(out, "{severity}[{}]: {}", finding.code.name(), finding.message)?;
            writeln!(out, "  at: {place}")?;
            if let Some(help) = &finding.help {
                writeln!(out, "  {}: {help}", paint.tone(Tone::Good, "help"))?;
            }
        }
        let accepted = self.verdict.accepted_by;
        let by = [
            ("ESP-IDF", accepted.esp_idf),
            ("espflash", accepted.espflash),
            ("esp-bootloader-esp-idf", accepted.esp_bootloader_esp_idf),
            ("OTA", accepted.ota),
        ]
        .map(|(who, says)| format!("{who} {}", if says { "yes" } else { "no" }));
        writeln!(out, "accepted by: {}", by.join(", "))?;
        match self.verdict.findings.len() {
            0 => writeln!(out, "partition table is sound"),
            1 => writeln!(out, "1 finding"),
            count => writeln!(out, "{count} findings"),
        }
    }

    fn annotations(&self) -> Vec<Annotation> {
        let annotate = |finding: &partition::Finding| Annotation {
            level: match finding.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
                Severity::Note => Level::Notice,
            },
            location: Some(Location {
                file: self.file.clone(),
                line: finding.line,
                column: finding.column,
            }),
            title: finding.code.name().to_owned(),
            message: match &finding.help {
                Some(help) => format!("{}\nhelp: {help}", finding.message),
                None => finding.message.clone(),
            },
        };
        self.verdict.findings.iter().map(annotate).collect()
    }
}
