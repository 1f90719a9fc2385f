//! Progress on a terminal, and nothing at all elsewhere.

use std::io::{self, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What a bar shows of a work that is measured in bytes.
pub(super) const BYTES: &str = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
/// What a bar shows of a work that is counted.
pub(super) const COUNT: &str = "{msg} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta}";

/// How much is done, rate and time left. Dropping it removes the bar.
#[derive(Debug)]
pub struct Progress(ProgressBar);

/// Standard error of several works that go on at the same time: a line for each.
#[derive(Debug)]
pub struct Lines {
    bars: MultiProgress,
    is_shown: bool,
    is_told: bool,
}

impl Lines {
    pub(super) fn new(is_shown: bool, is_told: bool) -> Self {
        Self { bars: MultiProgress::with_draw_target(target(is_shown)), is_shown, is_told }
    }

    /// How far one of the works is, in bytes, on a line of its own.
    pub fn progress(&self, label: &str, total: u64) -> Progress {
        let bar = self.bars.add(ProgressBar::with_draw_target(Some(total), target(false)));
        Progress::styled(bar, BYTES, label)
    }

    /// Says what is going on, above the lines.
    pub fn status(&self, text: impl std::fmt::Display) {
        // Nobody is left to tell when standard error is gone.
        match (self.is_told, self.is_shown) {
            (false, _) => {}
            (true, true) => drop(self.bars.println(text.to_string())),
            (true, false) => drop(writeln!(io::stderr().lock(), "{text}")),
        }
    }
}

fn target(is_shown: bool) -> ProgressDrawTarget {
    if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

impl Progress {
    pub(super) fn new(is_shown: bool, template: &str, label: &str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), target(is_shown));
        Self::styled(bar, template, label)
    }

    fn styled(bar: ProgressBar, template: &str, label: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(label.to_owned());
        Self(bar)
    }

    /// Sets how much is done, in bytes or whatever is counted.
    pub fn at(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
