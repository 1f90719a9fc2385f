//! `ca list`: what is pinned, and for how long it still serves.

use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::Context;
use crate::config::{Overrides, Project};
use crate::error::{Exit, Failure, Location};
use crate::output::{Annotation, Level, Paint, Report, Tone};
use crate::trust::standing::{self, Standing};

/// Show the pinned roots, with the days that each has left
#[derive(Debug, clap::Args)]
pub(super) struct List {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ListReport {
    roots: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line {
    file: PathBuf,
    subject: String,
    sha256: String,
    key: Option<String>,
    not_after: Timestamp,
    days_left: i64,
    /// Why it must not be pinned; `null` for a good root.
    refused: Option<String>,
}

/// A pinned certificate, and the file that it is in.
pub(super) struct Pinned {
    /// As `esp-ota.toml` has it.
    pub(super) file: PathBuf,
    pub(super) standing: Standing,
}

/// Every pinned certificate of a project, good or bad, in the order of `esp-ota.toml`.
pub(super) fn pinned(project: &Project, now: Timestamp) -> Result<Vec<Pinned>, Failure> {
    let mut all = Vec::new();
    for file in &project.roots.value {
        for standing in standing::read(&project.path(file), now)? {
            all.push(Pinned { file: file.clone(), standing });
        }
    }
    Ok(all)
}

impl List {
    /// Lists them all. A bad one is a breach of trust, one that is there twice a mistake in a file.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {} = self;
        let project = context.project(&Overrides::default())?;
        let now = context.now();
        let mut roots: Vec<Line> = Vec::new();
        let mut exit = Exit::Success;
        for Pinned { file, standing } in pinned(&project, now)? {
            let sha256 = standing.fingerprint_hex();
            let twice = roots.iter().any(|line| line.sha256 == sha256);
            let refused = standing.verdict.as_ref().err().map(ToString::to_string);
            exit = match (&refused, twice) {
                (Some(_), _) => Exit::Trust,
                (None, true) if exit == Exit::Success => Exit::Project,
                (None, _) => exit,
            };
            roots.push(Line {
                file: project.path(&file),
                key: standing.key.map(|key| key.to_string()),
                days_left: standing.days_left(now),
                refused: refused.or_else(|| twice.then(|| "it is pinned twice".to_owned())),
                subject: standing.subject,
                not_after: standing.not_after,
                sha256,
            });
        }
        context.output.answer(&ListReport { roots }, exit)
    }
}

impl Report for ListReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for line in &self.roots {
            writeln!(out, "{}", paint.tone(Tone::Strong, &line.subject))?;
            writeln!(out, "  SHA-256 {}", line.sha256)?;
            let key = line.key.as_deref().unwrap_or("unknown key");
            writeln!(
                out,
                "  {key}, ends {}, {} days left, in `{}`",
                line.not_after,
                line.days_left,
                line.file.display()
            )?;
            if let Some(refused) = &line.refused {
                writeln!(out, "  {}: {refused}", paint.tone(Tone::Bad, "refused"))?;
            }
        }
        match self.roots.len() {
            0 => writeln!(out, "no root is pinned: `cargo esp-ota ca add URL|FILE` pins one"),
            1 => {
                writeln!(out, "1 root, and no spare: `cargo esp-ota ca add URL|FILE` pins another")
            }
            count => writeln!(out, "{count} roots"),
        }
    }

    fn annotations(&self) -> Vec<Annotation> {
        let bad = self.roots.iter().filter_map(|line| {
            let refused = line.refused.as_ref()?;
            Some(Annotation {
                level: Level::Error,
                location: Some(Location { file: line.file.clone(), line: None, column: None }),
                title: "refused-root".to_owned(),
                message: format!("`{}` cannot be a pinned root: {refused}", line.subject),
            })
        });
        bad.collect()
    }
}
