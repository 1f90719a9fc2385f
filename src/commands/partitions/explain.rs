//! `partitions explain`: what a finding means, why it matters and how to mend it.

use std::io::{self, Write};

use serde::Serialize;

use super::words;
use crate::commands::Context;
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report, Tone};
use crate::partition::{Code, Severity};

/// Explain a finding of `partitions check`, or list them all
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// Code of the finding, such as `slot-gap` [default: list all]
    code: Option<Code>,
}

/// One line of the list.
#[derive(Debug, Serialize)]
struct Listed {
    code: Code,
    severity: Severity,
    summary: &'static str,
}

/// The page about one code, or the list of all.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ExplainReport {
    codes: Vec<Listed>,
    page: Option<&'static str>,
}

impl Explain {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let listed = |code: &Code| Listed {
            code: *code,
            severity: code.severity(),
            summary: code.summary(),
        };
        let report = match self.code {
            Some(code) => ExplainReport { codes: vec![listed(&code)], page: Some(code.page()) },
            None => ExplainReport { codes: Code::ALL.iter().map(listed).collect(), page: None },
        };
        context.output.answer(&report, Exit::Success)
    }
}

impl Report for ExplainReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        if let Some(page) = self.page {
            return out.write_all(page.as_bytes());
        }
        let widest = self.codes.iter().map(|listed| listed.code.name().len()).max().unwrap_or(0);
        for Listed { code, severity, summary } in &self.codes {
            // Padded before it is painted: colour has no width.
            let severity =
                paint.tone(words::tone(*severity), format!("{:7}", words::of(*severity)));
            let code = paint.tone(Tone::Strong, format!("{code:widest$}"));
            writeln!(out, "{code}  {severity}  {summary}")?;
        }
        Ok(())
    }
}
