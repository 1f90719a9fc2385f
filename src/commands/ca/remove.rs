//! `ca remove`: takes roots out of the project and of the generated source.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::list::{Pinned, pinned};
use super::settings::{self, is_same_file};
use super::sources::{stale_sources, write_sources};
use super::{CaError, Context};
use crate::commands::file_list;
use crate::config::{Overrides, Project};
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report, Tone};
use crate::trust::{PinnedRoot, RootError, root};

/// Unpin roots
#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// SHA-256 fingerprint of a pinned root, or a file that `trust.roots` names
    #[arg(value_name = "HEX|FILE", required = true)]
    targets: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RemoveReport {
    removed: Vec<Gone>,
    files: Vec<PathBuf>,
    pinned: usize,
    generated: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Gone {
    subject: String,
    sha256: String,
}

impl Remove {
    /// Removes what is named, or nothing at all.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&Overrides::default())?;
        let all = pinned(&project, context.now())?;
        for target in &self.targets {
            if !all.iter().any(|pinned| is_meant(&project, target, pinned)) {
                return Err(CaError::NotPinned(target.clone()).into());
            }
        }
        let (gone, left): (Vec<Pinned>, Vec<Pinned>) = all.into_iter().partition(|pinned| {
            self.targets.iter().any(|target| is_meant(&project, target, pinned))
        });
        if left.is_empty() {
            return Err(CaError::LastRoot.into());
        }
        let kept = good(&project, &left)?;
        // Whatever cannot be generated is refused while nothing is written yet.
        stale_sources(&project, &kept)?;
        let mut files: Vec<PathBuf> = gone.iter().map(|pinned| pinned.file.clone()).collect();
        files.dedup();
        for file in &files {
            let in_file = left.iter().zip(&kept).filter(|(pinned, _)| pinned.file == *file);
            let roots: Vec<PinnedRoot> = in_file.map(|(_, root)| root.clone()).collect();
            settings::unpin(&project, file, &roots)?;
        }
        let generated = write_sources(&project, &kept)?;
        let removed = gone.iter().map(|pinned| Gone {
            subject: pinned.standing.subject.clone(),
            sha256: pinned.standing.fingerprint_hex(),
        });
        let report =
            RemoveReport { removed: removed.collect(), files, pinned: kept.len(), generated };
        context.output.answer(&report, Exit::Success)
    }
}

/// Whether a root is the one that was named.
fn is_meant(project: &Project, target: &str, pinned: &Pinned) -> bool {
    let path = project.path(&pinned.file);
    pinned.standing.fingerprint_hex() == target.to_ascii_lowercase().replace(':', "")
        || pinned.file == Path::new(target)
        || is_same_file(&path, Path::new(target))
}

/// The roots that stay, which all have to be good.
fn good(project: &Project, left: &[Pinned]) -> Result<Vec<PinnedRoot>, Failure> {
    let mut kept = Vec::new();
    for Pinned { file, standing } in left {
        let file = project.path(file);
        match &standing.verdict {
            Ok(root) => {
                root::refuse_duplicate(&file, &kept, root)?;
                kept.push(root.clone());
            }
            Err(source) => {
                let (subject, source) = (standing.subject.clone(), source.clone());
                return Err(RootError::Refused { file, subject, source }.into());
            }
        }
    }
    Ok(kept)
}

impl Report for RemoveReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for root in &self.removed {
            writeln!(out, "unpinned {}", paint.tone(Tone::Strong, &root.subject))?;
            writeln!(out, "  SHA-256 {}", root.sha256)?;
        }
        writeln!(out, "{} pinned in all, in {}", self.pinned, file_list(&self.generated))?;
        writeln!(out, "whether the server still leads to one of them: `cargo esp-ota ca check`")
    }
}
