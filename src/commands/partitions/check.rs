//! `partitions check`: what ESP-IDF, espflash and an updater think of a table.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::input::{Input, Loaded};
use crate::commands::Context;
use crate::error::{Exit, Failure, Location};
use crate::output::{Annotation, Level, Paint, Report, Tone};
use crate::partition::{self, Severity};

/// Check a table against the rules of ESP-IDF, espflash and OTA
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    input: Input,
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
struct CheckReport {
    #[serde(skip)]
    file: PathBuf,
    #[serde(flatten)]
    verdict: partition::Report,
}

impl Check {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Loaded { file, reading, options } = self.input.load(context)?;
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
