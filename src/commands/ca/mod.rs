//! `ca`: pinned roots, from a live server or a PEM file into the project and its generated source.

mod add;
mod check;
mod confirm;
mod embed;
mod error;
mod list;
mod plan;
mod published;
mod remove;
mod settings;
mod sources;

use jiff::Timestamp;
use serde::Serialize;

use super::Context;
use crate::error::{Exit, Failure};
use crate::trust::PinnedRoot;

pub use error::CaError;
pub(super) use sources::{check_embedded, project_roots, write_sources};

/// Pin root certificates
#[derive(Debug, clap::Args)]
pub struct Ca {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Add(add::Add),
    List(list::List),
    Check(check::Check),
    Plan(plan::Plan),
    Remove(remove::Remove),
    Embed(embed::Embed),
}

impl Ca {
    /// The word that JSON reports carry.
    pub fn name(&self) -> &'static str {
        match self.action {
            Action::Add(_) => "ca add",
            Action::List(_) => "ca list",
            Action::Check(_) => "ca check",
            Action::Plan(_) => "ca plan",
            Action::Remove(_) => "ca remove",
            Action::Embed(_) => "ca embed",
        }
    }

    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.action {
            Action::Add(add) => add.run(context),
            Action::List(list) => list.run(context),
            Action::Check(check) => check.run(context),
            Action::Plan(plan) => plan.run(context),
            Action::Remove(remove) => remove.run(context),
            Action::Embed(embed) => embed.run(context),
        }
    }
}

/// A root in a report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RootReport {
    subject: String,
    sha256: String,
    key: String,
    not_after: Timestamp,
}

impl RootReport {
    fn new(root: &PinnedRoot) -> Self {
        Self {
            subject: root.subject().to_owned(),
            sha256: root.fingerprint_hex(),
            key: root.key().to_string(),
            not_after: root.not_after(),
        }
    }
}
