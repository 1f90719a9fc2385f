//! One JSON object and a newline, on success and on failure.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::{Exit, Failure, Location};

/// Version of the envelope and of every report in it. Adding a field keeps it; changing the
/// meaning of one or removing one raises it.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope<'a, T> {
    schema: u32,
    command: &'a str,
    outcome: &'static str,
    exit_code: u8,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
struct Failed {
    error: Trouble,
}

/// A failure in a report.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trouble {
    /// What could not be done.
    pub message: String,
    /// Its causes, outermost first.
    pub caused_by: Vec<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The file it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

impl From<&Failure> for Trouble {
    fn from(failure: &Failure) -> Self {
        Self {
            message: failure.to_string(),
            caused_by: failure.causes(),
            help: failure.help(),
            location: failure.location(),
        }
    }
}

pub(super) fn report<T: Serialize>(
    out: &mut dyn Write,
    command: &str,
    exit: Exit,
    body: &T,
) -> io::Result<()> {
    write(
        out,
        &Envelope { schema: SCHEMA, command, outcome: exit.name(), exit_code: exit.code(), body },
    )
}

pub(super) fn failure(out: &mut dyn Write, command: &str, failure: &Failure) -> io::Result<()> {
    report(out, command, failure.exit(), &Failed { error: failure.into() })
}

/// A part of an answer, without the envelope.
pub(super) fn object<T: Serialize>(out: &mut dyn Write, body: &T) -> io::Result<()> {
    write(out, body)
}

fn write<T: Serialize>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    // Serialized first: a report that cannot be serialized must not leave half an object behind.
    let text = serde_json::to_string(value)?;
    writeln!(out, "{text}")
}
