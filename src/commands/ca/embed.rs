//! `ca embed`: the source that pins the roots in the firmware.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::sources::{project_roots, sources, stale_sources, write_sources};
use super::{CaError, Context};
use crate::commands::file_list;
use crate::config::Overrides;
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report};

/// Generate the source that pins the roots in the firmware
#[derive(Debug, clap::Args)]
pub(super) struct Embed {
    /// Write nothing; fail if a generated file is not up to date
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct EmbedReport {
    pinned: usize,
    generated: Vec<PathBuf>,
    changed: bool,
}

impl Embed {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&Overrides::default())?;
        let roots = project_roots(&project, context.now())?;
        let stale = stale_sources(&project, &roots)?;
        if self.check && !stale.is_empty() {
            return Err(CaError::Stale(stale).into());
        }
        let generated = if self.check || stale.is_empty() {
            sources(&project)
        } else {
            write_sources(&project, &roots)?
        };
        let report = EmbedReport { pinned: roots.len(), generated, changed: !stale.is_empty() };
        context.output.answer(&report, Exit::Success)
    }
}

impl Report for EmbedReport {
    fn human(&self, out: &mut dyn Write, _: Paint) -> io::Result<()> {
        let word = if self.changed { "written" } else { "up to date" };
        let roots = if self.pinned == 1 { "root" } else { "roots" };
        writeln!(out, "{} pinned {roots} in {}: {word}", self.pinned, file_list(&self.generated))
    }
}
