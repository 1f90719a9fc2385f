//! Progress on a terminal, and nothing at all elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What a bar shows of a work that is measured in bytes.
pub(super) const BYTES: &str = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
/// What a bar shows of a work that is counted.
pub(super) const COUNT: &str = "{msg} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta}";

/// How much is done, rate and time left. Dropping it removes the bar.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(is_shown: bool, template: &str, label: &str, total: u64) -> Self {
        let target =
            if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
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
