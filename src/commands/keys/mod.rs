//! `keys`: signing keys, and the TUF root that says which of them count.

mod export;
mod list;
mod new;
mod rotate;

use super::Context;
use crate::error::{Exit, Failure};

pub(super) use new::make;

/// Manage signing keys
#[derive(Debug, clap::Args)]
pub struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    New(new::New),
    List(list::List),
    Rotate(rotate::Rotate),
    Export(export::Export),
}

impl Keys {
    /// The word that JSON reports carry.
    pub fn name(&self) -> &'static str {
        match self.action {
            Action::New(_) => "keys new",
            Action::List(_) => "keys list",
            Action::Rotate(_) => "keys rotate",
            Action::Export(_) => "keys export",
        }
    }

    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.action {
            Action::New(new) => new.run(context),
            Action::List(list) => list.run(context),
            Action::Rotate(rotate) => rotate.run(context),
            Action::Export(export) => export.run(context),
        }
    }
}
