//! `partitions diff`: what differs between two tables, and whether devices in the field can follow.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::LARGEST_FILE;
use super::input::{STANDARD_INPUT, offset, variables};
use super::rows::RowReport;
use crate::commands::{Context, ContextError, context};
use crate::config::Overrides;
use crate::error::{Exit, Explained, Failure};
use crate::output::{Paint, Report, Tone};
use crate::partition::{
    self, Change, Delivery, Options, RowVerdict, Size, Table, Verdict, deliver,
};

/// Compare two tables: what changed, and can it be delivered over the air
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// Table that devices have, as CSV or binary, `-` for standard input
    old: PathBuf,
    /// Table that firmware is built for next [default: the project's]
    new: Option<PathBuf>,
    /// Where the new table is in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000", value_parser = offset)]
    table_offset: u32,
    /// Where the old table is in flash [default: where the new one is]
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    old_table_offset: Option<u32>,
    /// Where a `bootloader, primary` row is, as gen_esp32part.py takes it
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    primary_bootloader_offset: Option<u32>,
    /// Where a `bootloader, recovery` row is, as gen_esp32part.py takes it
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    recovery_bootloader_offset: Option<u32>,
}

/// Both tables are to come from the one standard input.
#[derive(Debug, thiserror::Error)]
#[error("both tables are `-`, but there is one standard input")]
struct OneInput;

impl Explained for OneInput {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn help(&self) -> Option<String> {
        Some("name a file for one of them".into())
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DiffReport {
    old: PathBuf,
    new: PathBuf,
    verdict: &'static str,
    over_the_air: bool,
    /// Names of partitions whose contents flashing the new table loses.
    loses: Vec<String>,
    largest_image: Option<u32>,
    obstacles: Vec<String>,
    rows: Vec<DiffRow>,
    #[serde(skip)]
    delivery: Delivery,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DiffRow {
    name: String,
    changes: Vec<&'static str>,
    old: Option<RowReport>,
    new: Option<RowReport>,
    over_the_air: bool,
    obstacle: Option<String>,
    loss: Option<String>,
}

impl Diff {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let new = match &self.new {
            Some(file) => file.clone(),
            None => {
                let project = context.project(&Overrides::default())?;
                project.path(&project.partitions.value)
            }
        };
        let input = Path::new(STANDARD_INPUT);
        if self.old == input && new == input {
            return Err(OneInput.into());
        }
        let old_offset = self.old_table_offset.unwrap_or(self.table_offset);
        let (before, _) = self.load(&self.old, old_offset)?;
        let (after, is_fit) = self.load(&new, self.table_offset)?;
        if !is_fit {
            let file = new.display();
            context.output.warn(format_args!(
                "`{file}` cannot carry updates: see `cargo esp-ota partitions check {file}`"
            ));
        }
        let delivery = deliver(&before, old_offset, &after, self.table_offset);
        let exit = if delivery.verdict.is_over_the_air() { Exit::Success } else { Exit::Rejected };
        context.output.answer(&DiffReport::new(self.old, new, delivery), exit)
    }

    /// The rows of a table that ESP-IDF takes, and whether updates can use it. A table that is in
    /// the field may break rules that a new one must not.
    fn load(&self, file: &Path, table_offset: u32) -> Result<(Table, bool), Failure> {
        let options = Options {
            table_offset,
            primary_bootloader_offset: self.primary_bootloader_offset,
            recovery_bootloader_offset: self.recovery_bootloader_offset,
            variables: variables(),
            ..Options::default()
        };
        let bytes = if file == Path::new(STANDARD_INPUT) {
            crate::disk::read_bounded(io::stdin().lock(), LARGEST_FILE)
                .map_err(|source| ContextError::Input { file: file.to_owned(), source })?
        } else {
            context::read(file, LARGEST_FILE)?
        };
        let reading = partition::read(&bytes, Some(file), &options);
        let mut report = partition::check(&reading, &options);
        let is_fit = report.accepted_by.ota;
        report.findings.retain(|finding| finding.code.refused_by_esp_idf());
        Ok((reading.usable_table(&report)?, is_fit))
    }
}

impl DiffReport {
    fn new(old: PathBuf, new: PathBuf, delivery: Delivery) -> Self {
        Self {
            old,
            new,
            verdict: delivery.verdict.name(),
            over_the_air: delivery.verdict.is_over_the_air(),
            loses: delivery.lost().map(|row| row.label.to_string()).collect(),
            largest_image: delivery.largest_image,
            obstacles: delivery.obstacles.clone(),
            rows: delivery.rows.iter().map(DiffRow::from).collect(),
            delivery,
        }
    }

    fn conclusion(&self) -> String {
        let names: Vec<_> = self.loses.iter().map(|name| format!("`{name}`")).collect();
        let names = names.join(", ");
        match self.delivery.verdict {
            Verdict::Same => "the tables are the same: there is nothing to deliver".to_owned(),
            Verdict::OverTheAir => "over the air: yes, devices keep the old table, and firmware \
                                    for the new one has all it needs there"
                .to_owned(),
            Verdict::Cable => {
                "over the air: no, the new table needs a cable; no data are lost".to_owned()
            }
            Verdict::CableLosesData => format!(
                "over the air: no, the new table needs a cable, and flashing it loses what is in \
                 {names}"
            ),
        }
    }
}

impl From<&RowVerdict> for DiffRow {
    fn from(row: &RowVerdict) -> Self {
        Self {
            name: row.pair.entry().map_or_else(String::new, |entry| entry.label.to_string()),
            changes: row.changes.iter().map(|change| change.name()).collect(),
            old: row.pair.old.as_ref().map(RowReport::from),
            new: row.pair.new.as_ref().map(RowReport::from),
            over_the_air: row.obstacle.is_none(),
            obstacle: row.obstacle.clone(),
            loss: row.loss.clone(),
        }
    }
}

/// What changed in a row, with both sides.
fn words(row: &RowVerdict) -> String {
    let Some(entry) = row.pair.entry() else { return String::new() };
    let old = row.pair.old.as_ref().unwrap_or(entry);
    let word = |change: &Change| {
        let (name, arrow) = (change.name(), "->");
        match change {
            Change::Appeared | Change::Went => {
                let size = Size(entry.size.into());
                format!("{name} ({size} at {:#x})", entry.offset)
            }
            Change::Moved => format!("{name} {:#x} {arrow} {:#x}", old.offset, entry.offset),
            Change::Grew | Change::Shrank => {
                let (before, after) = (Size(old.size.into()), Size(entry.size.into()));
                format!("{name} {before} {arrow} {after}")
            }
            Change::Renamed => format!("{name} {} {arrow} {}", old.label, entry.label),
            Change::Retyped => format!("{name} {} {arrow} {}", old.kind, entry.kind),
            Change::Reflagged => {
                let text = |flags: &'static str| if flags.is_empty() { "none" } else { flags };
                let (before, after) = (text(old.flags.text()), text(entry.flags.text()));
                format!("{name} {before} {arrow} {after}")
            }
        }
    };
    let words: Vec<_> = row.changes.iter().map(word).collect();
    words.join(", ")
}

impl Report for DiffReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for row in self.delivery.rows.iter().filter(|row| !row.changes.is_empty()) {
            let Some(entry) = row.pair.entry() else { continue };
            let title = format!("{} ({})", entry.label, entry.kind);
            writeln!(out, "{}: {}", paint.tone(Tone::Strong, title), words(row))?;
            match &row.obstacle {
                Some(why) => {
                    writeln!(out, "  over the air: {}, {why}", paint.tone(Tone::Bad, "no"))?
                }
                None => writeln!(out, "  over the air: {}", paint.tone(Tone::Good, "yes"))?,
            }
            if let Some(loss) = &row.loss {
                writeln!(out, "  by cable: {loss}")?;
            }
        }
        for obstacle in &self.obstacles {
            writeln!(out, "{}: {obstacle}", paint.tone(Tone::Bad, "table"))?;
        }
        let same = self.delivery.rows.iter().filter(|row| row.changes.is_empty()).count();
        if self.delivery.verdict != Verdict::Same {
            let rows = if same == 1 { "row is" } else { "rows are" };
            writeln!(out, "{same} {rows} the same")?;
        }
        writeln!(out, "{}", self.conclusion())?;
        if let Some(image) = self.largest_image.filter(|_| self.delivery.verdict != Verdict::Same) {
            let size = Size(image.into());
            writeln!(out, "images for devices with either table: at most {size} ({image:#x})")?;
        }
        if !self.over_the_air {
            let (help, old) = (paint.tone(Tone::Good, "help"), self.old.display());
            writeln!(out, "  {help}: build for `{old}` as long as devices have it")?;
        }
        Ok(())
    }
}
