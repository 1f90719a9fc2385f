//! Workflow commands of GitHub Actions: `::error file=…,line=…,col=…,title=…::message`.

use std::io::{self, Write};

use super::{Annotation, Level};
use crate::error::Failure;

pub(super) fn annotate(out: &mut dyn Write, annotations: &[Annotation]) -> io::Result<()> {
    for annotation in annotations {
        let level = match annotation.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Notice => "notice",
        };
        let mut properties = Vec::new();
        if let Some(location) = &annotation.location {
            properties.push(format!("file={}", property(&location.file.display().to_string())));
            properties.extend(location.line.map(|line| format!("line={line}")));
            properties.extend(location.column.map(|column| format!("col={column}")));
        }
        properties.push(format!("title={}", property(&annotation.title)));
        writeln!(out, "::{level} {}::{}", properties.join(","), data(&annotation.message))?;
    }
    Ok(())
}

pub(super) fn failure(failure: &Failure) -> Annotation {
    let causes = failure.causes().into_iter().map(|cause| format!("caused by: {cause}"));
    let help = failure.help().into_iter().map(|help| format!("help: {help}"));
    let lines: Vec<String> = [failure.to_string()].into_iter().chain(causes).chain(help).collect();
    Annotation {
        level: Level::Error,
        location: failure.location(),
        title: failure.exit().name().to_owned(),
        message: lines.join("\n"),
    }
}

/// Escapes as the runner unescapes (`@actions/core`, `command.ts`): a new line in a message would
/// end the command, and text from a file could then start another one.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Location;

    #[test]
    fn a_message_cannot_start_another_command() {
        let mut out = Vec::new();
        let annotation = Annotation {
            level: Level::Warning,
            location: Some(Location { file: "a,b:c.csv".into(), line: Some(3), column: None }),
            title: "code".into(),
            message: "100%\n::error::forged".into(),
        };
        annotate(&mut out, &[annotation]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "::warning file=a%2Cb%3Ac.csv,line=3,title=code::100%25%0A::error::forged\n"
        );
    }
}
