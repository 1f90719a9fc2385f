//! `partitions`: partition tables, checked, made and changed.

mod check;
mod input;

use super::{Context, context};
use crate::config::Project;
use crate::error::{Exit, Failure};
use crate::partition::{self, Options, Table};

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
    Check(check::Check),
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

/// Reads and judges the table of a project.
pub(super) fn project_table(project: &Project) -> Result<(Table, partition::Report), Failure> {
    let file = project.path(&project.partitions.value);
    let options = Options {
        chip: Some(project.chip.value),
        flash_size: Some(project.flash_size.value.bytes()),
        variables: input::variables(),
        ..Options::default()
    };
    let bytes = context::read(&file, LARGEST_FILE)?;
    let reading = partition::read(&bytes, Some(&file), &options);
    let report = partition::check(&reading, &options);
    Ok((reading.usable_table(&report)?, report))
}
