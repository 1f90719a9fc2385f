//! `demo`: the whole story on a virtual device, with nothing to install.
//!
//! The host's part is told by running this very program, so that what is shown is what a user
//! would type and see. The device's part runs in this process: flash, bootloader choice, the agent
//! and its TLS connection to a real server on loopback.

mod firmware;
mod program;
mod stage;
mod story;
mod telling;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Context, ContextError, context};
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report, Tone};

/// Tell the whole story on a virtual device: nothing to install, nothing left behind
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Leave project, repository and flash dumps in this folder, which must be new or empty
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Compile the firmware that `init` writes in place of a tiny program: needs a compiler for the
    /// chip, and minutes
    #[arg(long)]
    firmware: bool,
}

/// One step of the story and how it ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Step {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// What the step has to show, line by line.
    output: Vec<String>,
    /// The exit code of the command, or the one that a command would have for what the device saw.
    exit_code: u8,
    /// The exit code this step is there to show.
    expected_exit_code: u8,
    /// One line for the summary.
    result: String,
    passed: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct DemoReport {
    steps: Vec<Step>,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<PathBuf>,
}

/// The folder for `--keep` holds something already.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not empty", .0.display())]
struct NotEmpty(PathBuf);

impl crate::error::Explained for NotEmpty {
    fn exit(&self) -> Exit {
        Exit::Output
    }

    fn help(&self) -> Option<String> {
        Some("name a folder that does not exist yet".into())
    }
}

impl Demo {
    /// Runs the story from the empty folder to the device that updated itself and fell back.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let scratch;
        let folder = match &self.keep {
            Some(folder) => {
                claim(folder)?;
                folder.as_path()
            }
            None => {
                scratch = tempfile::Builder::new()
                    .prefix("esp-ota-demo-")
                    .tempdir()
                    .map_err(|source| output_error(&std::env::temp_dir(), source))?;
                scratch.path()
            }
        };
        let runtime = context::runtime()?;
        let steps = runtime.block_on(async {
            tokio::select! {
                // First, so that Ctrl-C is heard before the first key is made. Leaving through here
                // removes the temporary folders.
                biased;
                _ = tokio::signal::ctrl_c() => Ok(None),
                told = story::tell(context, folder, self.firmware) => told.map(Some),
            }
        })?;
        let Some(steps) = steps else {
            context.output.status("interrupted");
            return Ok(Exit::Rejected);
        };
        let passed = steps.iter().all(|step| step.passed);
        let report = DemoReport { steps, passed, kept: self.keep.clone() };
        let exit = if passed { Exit::Success } else { Exit::Rejected };
        context.output.answer(&report, exit)
    }
}

/// Takes a new or empty folder for the demo.
fn claim(folder: &Path) -> Result<(), Failure> {
    let mut entries = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::read_dir(folder))
        .map_err(|source| output_error(folder, source))?;
    match entries.next() {
        Some(_) => Err(NotEmpty(folder.to_owned()).into()),
        None => Ok(()),
    }
}

fn output_error(file: &Path, source: io::Error) -> ContextError {
    ContextError::Output { file: file.to_owned(), source }
}

impl Report for DemoReport {
    /// The summary: the steps themselves were told as they happened.
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        writeln!(out, "\n{}", paint.tone(Tone::Strong, "Summary"))?;
        let width = self.steps.iter().map(|step| step.title.chars().count()).max().unwrap_or(0);
        for step in &self.steps {
            let word = match step.passed {
                true => paint.tone(Tone::Good, "ok    "),
                false => paint.tone(Tone::Bad, "FAILED"),
            };
            let Step { title, exit_code, result, .. } = step;
            writeln!(out, "  {word}  {title:<width$}  exit {exit_code}  {result}")?;
        }
        match &self.kept {
            Some(folder) => writeln!(out, "\nEverything is in `{}`.", folder.display()),
            None => writeln!(out, "\nNothing was left behind; `--keep DIR` leaves it to look at."),
        }
    }
}
