//! `rollout`: which share of the devices may take what is published.
//!
//! Only metadata changes. No image is uploaded, and a device that has a release keeps it.

mod change;
mod error;
mod pick;
mod plain;
mod report;
mod share;
mod show;
mod standing;

use super::Context;
use crate::error::{Exit, Failure};
pub use error::RolloutError;
pub(super) use pick::{Wanted, pick, version};

/// Staged rollout of what is published
#[derive(Debug, clap::Args)]
pub struct Rollout {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(show::Show),
    Set(change::Set),
    Halt(change::Halt),
}

impl Rollout {
    /// The word that JSON reports carry.
    pub fn name(&self) -> &'static str {
        match self.action {
            Action::Show(_) => "rollout show",
            Action::Set(_) => "rollout set",
            Action::Halt(_) => "rollout halt",
        }
    }

    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.action {
            Action::Show(show) => show.run(context),
            Action::Set(set) => set.run(context),
            Action::Halt(halt) => halt.run(context),
        }
    }
}
