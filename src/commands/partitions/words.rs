//! How findings are shown to people.

use std::io::{self, Write};
use std::path::Path;

use crate::error::Location;
use crate::output::{Annotation, Level, Paint, Tone};
use crate::partition::{Finding, Severity};

/// The word for a severity.
pub(super) fn of(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// Its colour.
pub(super) fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warning,
        Severity::Note => Tone::Faint,
    }
}

fn place(finding: &Finding, file: &Path) -> Location {
    Location { file: file.to_owned(), line: finding.line, column: finding.column }
}

/// Severity, code, message, place and remedy of a finding about `file`.
pub(super) fn finding(
    out: &mut dyn Write,
    paint: Paint,
    finding: &Finding,
    file: &Path,
) -> io::Result<()> {
    let Finding { code, severity, message, help, allowed, .. } = finding;
    let (before, tone) =
        if *allowed { ("allowed ", Tone::Faint) } else { ("", self::tone(*severity)) };
    let severity = paint.tone(tone, format_args!("{before}{}", of(*severity)));
    writeln!(out, "{severity}[{code}]: {message}")?;
    writeln!(out, "  at: {}", place(finding, file))?;
    match help {
        Some(help) => writeln!(out, "  {}: {help}", paint.tone(Tone::Good, "help")),
        None => Ok(()),
    }
}

/// The same for `--format github`. What is allowed is a notice, whatever else it would be.
pub(super) fn annotation(finding: &Finding, file: &Path) -> Annotation {
    let name = finding.code.name();
    let (level, title) = match finding.severity {
        _ if finding.allowed => (Level::Notice, format!("{name} (allowed)")),
        Severity::Error => (Level::Error, name.to_owned()),
        Severity::Warning => (Level::Warning, name.to_owned()),
        Severity::Note => (Level::Notice, name.to_owned()),
    };
    let message = match &finding.help {
        Some(help) => format!("{}\nhelp: {help}", finding.message),
        None => finding.message.clone(),
    };
    Annotation { level, location: Some(place(finding, file)), title, message }
}
