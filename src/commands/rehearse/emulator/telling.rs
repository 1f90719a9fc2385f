//! What is said of a rehearsal while it goes on, and kept for its report.

use std::time::Instant;

use serde::Serialize;

use crate::commands::Context;
use crate::emulator::Narrator;

/// Something that was seen, and how long it took.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Step {
    pub(super) what: String,
    pub(super) seconds: u64,
}

/// Says what begins, and notes what was seen.
pub(super) struct Telling<'a> {
    context: &'a Context,
    since: Instant,
    pub(super) steps: Vec<Step>,
}

impl<'a> Telling<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self { context, since: Instant::now(), steps: Vec::new() }
    }
}

impl Narrator for Telling<'_> {
    fn begins(&mut self, what: &str) {
        self.context.output.status(format_args!("emulated chip: {what}"));
    }

    fn seen(&mut self, what: String) {
        let seconds = self.since.elapsed().as_secs();
        self.since = Instant::now();
        self.steps.push(Step { what, seconds });
    }
}
