//! Exit codes, and the one shape in which every failure reaches the user.
//!
//! Each area has its own error type. It implements [`Explained`], which makes it choose an exit
//! code and say what the user can do; [`Failure`] carries any of them to `main`. Nothing else in
//! the program turns an error into a number or into words.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// What the process says to its caller. The numbers are a contract: `docs/reference/exit-codes.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// Done, nothing wrong.
    Success,
    /// The tool worked, and the answer is no: findings, a mismatch, an image that does not fit.
    Rejected,
    /// The command line does not make sense.
    Usage,
    /// A project file is missing or malformed, or the build failed.
    Project,
    /// No port, no answer, or the device was lost in the middle.
    Device,
    /// Standard output or an output file could not be written.
    Output,
    /// A digest, signature, certificate, TLS identity, TUF threshold, expiry or version is wrong.
    /// Nothing else ever exits with this code.
    Trust,
    /// A host could not be reached, or did not finish. Nothing was judged.
    Network,
}

impl Exit {
    /// Every code, so that the documentation and the tests can walk them.
    pub const ALL: [Self; 8] = [
        Self::Success,
        Self::Rejected,
        Self::Usage,
        Self::Project,
        Self::Device,
        Self::Output,
        Self::Trust,
        Self::Network,
    ];

    /// The number the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Rejected => 1,
            Self::Usage => 2,
            Self::Project => 3,
            Self::Device => 4,
            Self::Output => 5,
            Self::Trust => 6,
            Self::Network => 7,
        }
    }

    /// The word that JSON reports carry as `outcome`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Rejected => "rejected",
            Self::Usage => "usage",
            Self::Project => "project",
            Self::Device => "device",
            Self::Output => "output",
            Self::Trust => "trust",
            Self::Network => "network",
        }
    }
}

/// Where in a file something is wrong. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Location {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// Line, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

/// An error that knows its exit code and its remedy.
///
/// Implementations match without a wildcard arm, so that a new variant has to choose.
pub trait Explained: Error + Send + Sync + 'static {
    /// The exit code this error ends the process with.
    fn exit(&self) -> Exit;

    /// What the user can do about it, in the imperative; `None` where nothing is known to help.
    fn help(&self) -> Option<String> {
        None
    }

    /// The file the error is about, for annotations and editors.
    fn location(&self) -> Option<Location> {
        None
    }
}

/// Any failure of a command, on its way to `main`.
#[derive(Debug)]
pub struct Failure(Box<dyn Explained>);

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.0.exit()
    }

    /// What the user can do about it, where that is known.
    pub fn help(&self) -> Option<String> {
        self.0.help()
    }

    /// The file it is about, where there is one.
    pub fn location(&self) -> Option<Location> {
        self.0.location()
    }

    /// The chain of causes below the message, outermost first. A link whose words already stand in
    /// the one above adds nothing and is left out.
    pub fn causes(&self) -> Vec<String> {
        let mut above = self.0.to_string();
        let mut causes = Vec::new();
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !above.contains(&text) {
                causes.push(text.clone());
            }
            above = text;
            next = error.source();
        }
        causes
    }
}

impl<E: Explained> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
