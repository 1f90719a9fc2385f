//! What `ca plan` has to say.

use std::io::{self, Write};

use serde::Serialize;

use super::super::RootReport;
use super::steps::{Progress, Release, Step};
use crate::output::{Annotation, Level, Paint, Report, Tone};
use crate::trust::live::{Check, Outcome};

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PlanReport {
    pub(super) new: Vec<RootReport>,
    pub(super) read_from: String,
    pub(super) releases: Vec<Release>,
    pub(super) rehearsal: Option<Vec<Check>>,
    pub(super) steps: Vec<Step>,
    pub(super) safe: bool,
}

impl PlanReport {
    fn verdict(&self) -> &'static str {
        if self.safe {
            "the server's certificate may be switched now"
        } else {
            "it is too early to switch the server's certificate"
        }
    }
}

impl Report for PlanReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for root in &self.new {
            writeln!(out, "new root {}", paint.tone(Tone::Strong, &root.subject))?;
            writeln!(out, "  SHA-256 {}", root.sha256)?;
            writeln!(out, "  {}, ends {}", root.key, root.not_after)?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            let word = match step.progress {
                Progress::Done => paint.tone(Tone::Good, "done"),
                Progress::Next => paint.tone(Tone::Strong, "next"),
                Progress::Later => paint.tone(Tone::Faint, "later"),
                Progress::Failed => paint.tone(Tone::Bad, "failed"),
            };
            let number = index.saturating_add(1);
            writeln!(out, "{number}. {}: {word}: {}", step.step, step.message)?;
            if step.step == "rehearse" {
                self.trial(out)?;
            }
            if let (Some(command), Progress::Next | Progress::Failed) =
                (&step.command, step.progress)
            {
                writeln!(out, "   {command}")?;
            }
        }
        writeln!(out, "{}", self.verdict())
    }

    fn annotations(&self) -> Vec<Annotation> {
        if self.safe {
            return Vec::new();
        }
        let open = self
            .steps
            .iter()
            .filter(|step| matches!(step.progress, Progress::Next | Progress::Failed));
        let words: Vec<String> =
            open.map(|step| format!("{}: {}", step.step, step.message)).collect();
        vec![Annotation {
            level: Level::Error,
            location: None,
            title: "too-early".to_owned(),
            message: format!("{}\n{}", self.verdict(), words.join("\n")),
        }]
    }
}

impl PlanReport {
    /// What is wrong with the new certificate.
    fn trial(&self, out: &mut dyn Write) -> io::Result<()> {
        let checks = self.rehearsal.iter().flatten();
        for check in checks.filter(|check| check.outcome == Outcome::Failed) {
            for finding in &check.findings {
                writeln!(out, "   {} ({})", finding.message, finding.code)?;
                writeln!(out, "     help: {}", finding.help)?;
            }
        }
        Ok(())
    }
}
