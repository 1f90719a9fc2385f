//! `partitions`: partition tables, checked, made and changed.

mod canvas;
mod check;
mod convert;
mod diff;
mod explain;
mod firmware;
mod generate;
mod input;
mod rows;
mod show;
mod words;

use super::{Context, context};
use crate::config::Project;
use crate::error::{Exit, Failure};
use crate::partition::{self, Options, Table};
pub(super) use input::offset;

/// No table is larger: a file above this is something else.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Check partition tables
#[derive(Debug, clap::Args)]
pub struct Partitions {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Generate(generate::Generate),
    Check(check::Check),
    Show(show::Show),
    Convert(convert::Convert),
    Diff(diff::Diff),
    Explain(explain::Explain),
}

impl Partitions {
    /// The word that JSON reports carry.
    pub fn name(&self) -> &'static str {
        match self.action {
            Action::Generate(_) => "partitions generate",
            Action::Check(_) => "partitions check",
            Action::Show(_) => "partitions show",
            Action::Convert(_) => "partitions convert",
            Action::Diff(_) => "partitions diff",
            Action::Explain(_) => "partitions explain",
        }
    }

    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.action {
            Action::Generate(generate) => generate.run(context),
            Action::Check(check) => check.run(context),
            Action::Show(show) => show.run(context),
            Action::Convert(convert) => convert.run(context),
            Action::Diff(diff) => diff.run(context),
            Action::Explain(explain) => explain.run(context),
        }
    }
}

/// Reads and judges the table of a project, at the usual offset.
pub(super) fn project_table(project: &Project) -> Result<(Table, partition::Report), Failure> {
    project_table_at(project, Options::default().table_offset)
}

/// The same at another offset.
pub(super) fn project_table_at(
    project: &Project,
    table_offset: u32,
) -> Result<(Table, partition::Report), Failure> {
    let file = project.path(&project.partitions.value);
    let options = Options {
        chip: Some(project.chip.value),
        flash_size: Some(project.flash_size.value.bytes()),
        variables: input::variables(),
        table_offset,
        ..Options::default()
    };
    let bytes = context::read(&file, LARGEST_FILE)?;
    let reading = partition::read(&bytes, Some(&file), &options);
    let mut report = partition::check(&reading, &options);
    report.allow(&project.allow.value);
    Ok((reading.usable_table(&report)?, report))
}
