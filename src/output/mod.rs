//! The only door to standard output and standard error.
//!
//! Standard output carries the answer, standard error everything else. An answer is a report: a
//! struct built once, serialized for programs and worded for people, so that the two cannot
//! disagree. What a report says to people carries no promise; its JSON does
//! (`docs/reference/json.md`).

mod dialogue;
mod github;
mod json;
mod progress;
mod screen;
mod style;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::error::{Exit, Explained, Failure, Location};
pub use dialogue::Dialogue;
pub use json::Trouble;
pub use progress::{Lines, Progress};
pub use screen::Screen;
pub use style::{Paint, Tone};

/// How the answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object on standard output, on success and on failure; before it
    /// `monitor` prints one for each line of the device.
    Json,
    /// Annotations for GitHub Actions, on the file and line they are about.
    Github,
}

/// Whether to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How much is said on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-qq`: errors without their help.
    Silent,
    /// `-q`: no status, no progress.
    Quiet,
    /// Status and progress.
    #[default]
    Normal,
    /// `-v`: also what was decided, and from where.
    Verbose,
}

impl Verbosity {
    /// From the number of `-q` and `-v` flags.
    pub fn from_flags(quiet: u8, verbose: u8) -> Self {
        match (quiet, verbose) {
            (0, 0) => Self::Normal,
            (0, _) => Self::Verbose,
            (1, _) => Self::Quiet,
            (_, _) => Self::Silent,
        }
    }
}

/// One thing to annotate: a finding, or the failure itself.
#[derive(Clone, Debug)]
pub struct Annotation {
    /// `error`, `warning` or `notice`.
    pub level: Level,
    /// Where, if in a file.
    pub location: Option<Location>,
    /// Lasting code of the finding.
    pub title: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// How bad an annotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Fails the step.
    Error,
    /// Worth a look.
    Warning,
    /// For information.
    Notice,
}

/// The answer of a command.
pub trait Report: Serialize {
    /// Words for people. `paint` adds colour where that is wanted.
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()>;

    /// What `--format github` annotates.
    fn annotations(&self) -> Vec<Annotation> {
        Vec::new()
    }
}

/// Standard output or an output file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("standard output could not be written")]
pub struct OutputError(#[source] io::Error);

impl Explained for OutputError {
    fn exit(&self) -> Exit {
        Exit::Output
    }
}

/// Where a run writes to.
#[derive(Debug)]
pub struct Output {
    command: &'static str,
    format: Format,
    verbosity: Verbosity,
    answer: Paint,
    status: Paint,
    shows_progress: bool,
    is_read_by_people: bool,
}

impl Output {
    /// For the real streams of this process. `command` is the word JSON carries.
    pub fn new(command: &'static str, format: Format, color: Color, verbosity: Verbosity) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self {
            command,
            format,
            verbosity,
            answer: style::paint(color, io::stdout().is_terminal()),
            status: style::paint(color, is_terminal),
            shows_progress: is_terminal
                && format == Format::Human
                && verbosity >= Verbosity::Normal,
            is_read_by_people: io::stdout().is_terminal(),
        }
    }

    /// Whether standard output is a terminal, where bytes that are no text do harm.
    pub fn is_terminal(&self) -> bool {
        self.is_read_by_people
    }

    /// How the answer is printed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Prints the answer: the last thing a command does.
    pub fn answer<R: Report>(&self, report: &R, exit: Exit) -> Result<Exit, Failure> {
        let mut out = io::stdout().lock();
        let written = match self.format {
            Format::Human => report.human(&mut out, self.answer),
            Format::Json => json::report(&mut out, self.command, exit, report),
            Format::Github => report
                .human(&mut out, Paint::PLAIN)
                .and_then(|()| github::annotate(&mut out, &report.annotations())),
        };
        finish(written.and_then(|()| out.flush())).map(|()| exit)
    }

    /// Writes a part of the answer for people while the work goes on; nothing in other formats.
    pub fn tell(
        &self,
        text: impl FnOnce(&mut dyn Write, Paint) -> io::Result<()>,
    ) -> Result<(), Failure> {
        if self.format == Format::Json {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let paint = if self.format == Format::Github { Paint::PLAIN } else { self.answer };
        finish(text(&mut out, paint).and_then(|()| out.flush()))
    }

    /// Writes a part of an answer that comes in parts: a JSON object without the envelope, which
    /// belongs to the answer at the end. `false` once nobody reads any more.
    pub fn part<R: Report>(&self, part: &R) -> Result<bool, Failure> {
        let mut out = io::stdout().lock();
        let written = match self.format {
            Format::Human => part.human(&mut out, self.answer),
            Format::Json => json::object(&mut out, part),
            Format::Github => part
                .human(&mut out, Paint::PLAIN)
                .and_then(|()| github::annotate(&mut out, &part.annotations())),
        };
        match written.and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            other => Ok(other.map(|()| true).map_err(OutputError)?),
        }
    }

    /// Writes raw bytes as the answer, whatever the format: shell completions.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        finish(out.write_all(bytes).and_then(|()| out.flush()))
    }

    /// Says what is going on, on standard error.
    pub fn status(&self, text: impl std::fmt::Display) {
        if self.verbosity >= Verbosity::Normal {
            self.note(&text);
        }
    }

    /// A way to say what is going on from other threads.
    pub fn status_lines(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let is_shown = self.verbosity >= Verbosity::Normal;
        move |text| {
            if is_shown {
                // Nobody is left to tell when standard error is gone.
                let _ = writeln!(io::stderr().lock(), "{text}");
            }
        }
    }

    /// Says what was decided and from where, with `-v`.
    pub fn detail(&self, text: impl std::fmt::Display) {
        if self.verbosity >= Verbosity::Verbose {
            self.note(&text);
        }
    }

    /// Warns on standard error, unless `-qq`.
    pub fn warn(&self, text: impl std::fmt::Display) {
        if self.verbosity > Verbosity::Silent {
            let word = self.status.tone(Tone::Warning, "warning");
            self.note(&format_args!("{word}: {text}"));
        }
    }

    /// Remarks on standard error, unless `-qq`: nothing is wrong, and somebody may want to know.
    pub fn remark(&self, text: impl std::fmt::Display) {
        if self.verbosity > Verbosity::Silent {
            let word = self.status.tone(Tone::Strong, "note");
            self.note(&format_args!("{word}: {text}"));
        }
    }

    /// A way to pass on what another program writes to standard error, byte for byte.
    pub fn pass_on(&self) -> impl Fn(&[u8]) + Send + Sync + 'static {
        |bytes| {
            let mut stderr = io::stderr().lock();
            // Nobody is left to tell when standard error is gone.
            let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
        }
    }

    /// Variables with which cargo, on a pipe, shows on this terminal what it shows on a terminal:
    /// colour and progress. None where there is no terminal; what is set already stays.
    pub fn cargo_environment(&self) -> Vec<(&'static str, String)> {
        if !io::stderr().is_terminal() {
            return Vec::new();
        }
        let color = if self.status == Paint::PLAIN { "never" } else { "always" };
        let mut variables = vec![("CARGO_TERM_COLOR", color.to_owned())];
        if std::env::var_os("CARGO_TERM_PROGRESS_WHEN").is_none() {
            variables.push(("CARGO_TERM_PROGRESS_WHEN", "always".to_owned()));
            variables.push(("CARGO_TERM_PROGRESS_WIDTH", Screen::of_status().width.to_string()));
        }
        variables
    }

    fn note(&self, text: &dyn std::fmt::Display) {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// A progress bar for `total` bytes; silent where nobody would see it.
    pub fn progress(&self, label: &str, total: u64) -> Progress {
        Progress::new(self.shows_progress, progress::BYTES, label, total)
    }

    /// Status and progress of several works that go on at the same time.
    pub fn lines(&self) -> Lines {
        Lines::new(self.shows_progress, self.verbosity >= Verbosity::Normal)
    }

    /// A progress bar for `total` things that are counted; silent where nobody would see it.
    pub fn counter(&self, label: &str, total: u64) -> Progress {
        Progress::new(self.shows_progress, progress::COUNT, label, total)
    }

    /// Renders a failure, the one way every command does, and gives its exit code.
    pub fn failure(&self, failure: &Failure) -> Exit {
        let exit = failure.exit();
        match self.format {
            Format::Human => {}
            Format::Json => {
                let mut out = io::stdout().lock();
                let _ = json::failure(&mut out, self.command, failure).and_then(|()| out.flush());
            }
            Format::Github => {
                let mut out = io::stdout().lock();
                let _ = github::annotate(&mut out, &[github::failure(failure)]);
            }
        }
        let _ = style::failure(
            &mut io::stderr().lock(),
            failure,
            self.verbosity > Verbosity::Silent,
            self.status,
        );
        exit
    }
}

/// A reader that went away (`| head`) ends the run quietly; anything else is a failure.
fn finish(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other.map_err(OutputError)?),
    }
}
