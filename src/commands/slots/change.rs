//! `slots switch` and `slots repair`: another slot for the next boot, or a sound choice of this one.

use std::io::{self, Write};

use serde::Serialize;

use super::known;
use super::source::{Flash, Source};
use crate::commands::Context;
use crate::device::slots::{self, Change};
use crate::device::{Depth, Known, Survey};
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report, Tone};
use crate::virtual_device::bootloader::{Rollback, Target};

/// Boot another slot next
///
/// Writes the entry of otadata that does not decide now, whole, after every byte of the slot's
/// image was verified, and reads it back. Until its last byte is there, the device boots what it
/// booted before.
#[derive(Debug, clap::Args)]
pub(super) struct Switch {
    /// Such as `ota_1` or `factory`
    #[arg(value_name = "SLOT", value_parser = target)]
    slot: Target,
    #[command(flatten)]
    source: Source,
    /// Show the bytes and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Let a sound entry of otadata choose what boots now
///
/// For entries that are torn, foreign, or have used up their numbers.
#[derive(Debug, clap::Args)]
pub(super) struct Repair {
    #[command(flatten)]
    source: Source,
    /// Show the bytes and write nothing
    #[arg(long)]
    dry_run: bool,
}

/// Reads `ota_1` or `factory`.
pub(in crate::commands) fn target(text: &str) -> Result<Target, String> {
    let index = text.strip_prefix("ota_").and_then(|index| index.parse().ok());
    match (text, index) {
        ("factory", _) => Ok(Target::Factory),
        (_, Some(index)) if index < 16 => Ok(Target::Slot(index)),
        _ => Err("name `factory`, or `ota_0` to `ota_15`".to_owned()),
    }
}

impl Switch {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (mut flash, mut survey, known) = open(context, &self.source)?;
        if self.source.is_device() {
            context.output.status(format_args!("verifying the image in {}", self.slot));
        }
        survey.prove(flash.reader(), self.slot, &known)?;
        let changes = slots::switch(&survey, self.slot)?;
        finish(context, &mut flash, &survey, &changes, self.dry_run)
    }
}

impl Repair {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (mut flash, mut survey, known) = open(context, &self.source)?;
        let next = survey.start(&survey.entries, Rollback::Off).target;
        survey.prove(flash.reader(), next, &known)?;
        let changes = slots::repair(&survey)?;
        finish(context, &mut flash, &survey, &changes, self.dry_run)
    }
}

fn open(context: &Context, source: &Source) -> Result<(Flash, Survey, Vec<Known>), Failure> {
    let mut flash = source.open(context, true)?;
    let known = known::images(context);
    let survey = flash.survey(Depth::Headers, &known)?;
    Ok((flash, survey, known))
}

/// Writes, unless it is a dry run, and says what boots then.
fn finish(
    context: &Context,
    flash: &mut Flash,
    survey: &Survey,
    changes: &[Change],
    dry_run: bool,
) -> Result<Exit, Failure> {
    let mut entries = survey.entries;
    for change in changes {
        if let Some(entry) = entries.get_mut(change.index) {
            *entry = change.after;
        }
    }
    let report = ChangeReport {
        dry_run,
        boots: survey.start(&entries, Rollback::Off).target,
        boots_with_rollback: survey.start(&entries, Rollback::On).target,
        changes: changes.iter().map(Written::from).collect(),
    };
    if !dry_run && !changes.is_empty() {
        slots::apply(flash.writer(), changes)?;
        flash.save()?;
    }
    context.output.answer(&report, Exit::Success)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ChangeReport {
    dry_run: bool,
    /// What boots next then, without rollback in the bootloader.
    boots: Target,
    /// The same with rollback.
    boots_with_rollback: Target,
    /// Empty where nothing had to be written.
    changes: Vec<Written>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    entry: usize,
    offset: u32,
    before: String,
    after: String,
    /// Sequence number; `null` for an entry that is erased.
    seq: Option<u32>,
}

impl From<&Change> for Written {
    fn from(change: &Change) -> Self {
        let [before, after] = change.hex();
        Self {
            entry: change.index,
            offset: change.offset,
            before,
            after,
            seq: (!change.after.is_blank()).then_some(change.after.sequence),
        }
    }
}

impl Report for ChangeReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let boots = paint.tone(Tone::Strong, self.boots);
        let would = if self.dry_run { "would be " } else { "" };
        for change in &self.changes {
            match change.seq {
                Some(seq) => writeln!(
                    out,
                    "otadata entry {} at {:#x} {would}written: seq {seq}, VALID, label `ok`",
                    change.entry, change.offset
                )?,
                None => writeln!(
                    out,
                    "otadata entry {} at {:#x} {would}erased",
                    change.entry, change.offset
                )?,
            }
            if self.dry_run {
                writeln!(out, "  now  {}\n  then {}", change.before, change.after)?;
            }
        }
        match (&self.changes[..], self.dry_run) {
            ([], _) => writeln!(out, "nothing to write: {boots} boots next already"),
            (_, true) => writeln!(out, "{boots} would boot next"),
            (_, false) => writeln!(out, "{boots} boots next"),
        }
    }
}
