//! `partitions show`: a picture of the flash and the rows of a table, sound or not.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::input::{Input, Loaded};
use super::rows::{self, RowReport};
use super::{canvas, words};
use crate::commands::Context;
use crate::error::{Exit, Failure};
use crate::output::{Annotation, Paint, Report, Screen};
use crate::partition::{self, AcceptedBy, Finding, MOST_DRAWN, Part, Region, Severity, Size};

/// Show a table and a picture of the flash
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    input: Input,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShowReport {
    file: PathBuf,
    flash_size: Option<u32>,
    table_offset: u32,
    rows: Vec<RowReport>,
    /// Bytes of flash that belong to nothing, the flash size being known.
    unused: Option<u64>,
    /// Whether every row of the file could be read.
    complete: bool,
    findings: Vec<Finding>,
    accepted_by: AcceptedBy,
    #[serde(skip)]
    regions: Vec<Region>,
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Loaded { file, reading, options, .. } = self.input.load(context)?;
        let table = reading.table();
        let verdict = partition::check(&reading, &options);
        let regions = partition::regions(&table, &options);
        let report = ShowReport {
            file,
            flash_size: options.flash_size,
            table_offset: options.table_offset,
            rows: table.entries.iter().map(RowReport::from).collect(),
            unused: options.flash_size.map(|_| unused(&regions)),
            complete: partition::is_whole(&reading),
            findings: verdict.findings,
            accepted_by: verdict.accepted_by,
            regions,
        };
        let exit = if report.complete { Exit::Success } else { Exit::Rejected };
        context.output.answer(&report, exit)
    }
}

/// Bytes of the gaps.
pub(super) fn unused(regions: &[Region]) -> u64 {
    let gaps = regions.iter().filter(|region| region.part == Part::Unused);
    gaps.map(|gap| gap.end.saturating_sub(gap.offset)).fold(0, u64::saturating_add)
}

impl ShowReport {
    fn count(&self, severity: Severity) -> Option<String> {
        let found = self.findings.iter().filter(|finding| finding.severity == severity).count();
        match found {
            0 => None,
            1 => Some(format!("1 {}", words::of(severity))),
            count => Some(format!("{count} {}s", words::of(severity))),
        }
    }
}

impl Report for ShowReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        if !self.rows.is_empty() {
            canvas::draw(out, paint, &self.regions, Screen::of_answer())?;
            if self.regions.iter().any(|region| region.is_misplaced) {
                writeln!(out, "!: lies on something else, or beyond the end of the flash")?;
            }
            writeln!(out)?;
            rows::table(out, self.rows.get(..MOST_DRAWN).unwrap_or(&self.rows))?;
            if let Some(more) = self.rows.len().checked_sub(MOST_DRAWN).filter(|more| *more > 0) {
                writeln!(out, "{more} more rows are not shown")?;
            }
            writeln!(out)?;
        }
        match (self.rows.len(), self.flash_size.zip(self.unused)) {
            (1, None) => writeln!(out, "1 partition")?,
            (count, None) => writeln!(out, "{count} partitions")?,
            (count, Some((flash, unused))) => {
                let partitions = if count == 1 { "partition" } else { "partitions" };
                let (flash, unused) = (Size(flash.into()), Size(unused));
                writeln!(out, "{count} {partitions}, {unused} of {flash} unused")?;
            }
        }
        if !self.complete {
            writeln!(out, "this is not the whole table: part of it could not be read")?;
            let errors = self.findings.iter().filter(|it| it.severity == Severity::Error);
            for finding in errors.take(3) {
                words::finding(out, paint, finding, &self.file)?;
            }
        }
        let counts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .filter_map(|severity| self.count(severity))
            .collect();
        if !counts.is_empty() {
            let file = self.file.display();
            let counts = counts.join(", ");
            writeln!(out, "{counts}: see `cargo esp-ota partitions check {file}`")?;
        }
        Ok(())
    }

    fn annotations(&self) -> Vec<Annotation> {
        self.findings.iter().map(|finding| words::annotation(finding, &self.file)).collect()
    }
}
