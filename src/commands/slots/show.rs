//! `slots show`: what boots next, and why.

use std::thread;
use std::time::{Duration, Instant};

use super::expect::{ExpectError, Expectation};
use super::known;
use super::source::Source;
use crate::commands::Context;
use crate::device::{Depth, SlotReport};
use crate::error::{Exit, Failure};

/// Between two looks at a device, each of which resets it: it has to get something done.
const BETWEEN_LOOKS: Duration = Duration::from_secs(20);
/// Between two looks at a file.
const BETWEEN_READS: Duration = Duration::from_millis(500);

/// Show the slots: what boots next, and why
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    pub(super) source: Source,
    /// Read every byte of every image; over a cable that takes minutes
    #[arg(long)]
    verify: bool,
    /// Succeed only if it is so, such as `version=1.2.0,slot=ota_1,state=valid`
    #[arg(long, value_name = "WHAT")]
    expect: Option<Expectation>,
    /// Look again and again until it is as expected, at most so long, such as `120s`; each look
    /// resets a device
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "expect")]
    wait: Option<Duration>,
}

/// A time such as `120s` or `2m`.
pub(in crate::commands) fn seconds(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("" | "s") => 1,
        Some("m") => 60,
        Some(_) | None => return Err("name seconds or minutes, such as `120s` or `2m`".into()),
    };
    let count: u64 = digits.parse().map_err(|_| "name a whole number of seconds".to_owned())?;
    count.checked_mul(unit).map(Duration::from_secs).ok_or_else(|| "too long".into())
}

impl Show {
    /// Looks, and reports. A device that would boot nothing is a rejection.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { source, verify, expect, wait } = self;
        look(context, &source, verify, expect.as_ref(), wait)
    }
}

/// Looks, once or until it is as expected.
pub(super) fn look(
    context: &Context,
    source: &Source,
    verify: bool,
    expect: Option<&Expectation>,
    wait: Option<Duration>,
) -> Result<Exit, Failure> {
    let begin = Instant::now();
    let pause = if source.is_device() { BETWEEN_LOOKS } else { BETWEEN_READS };
    loop {
        let found = once(context, source, verify);
        let left = wait.unwrap_or_default().saturating_sub(begin.elapsed());
        let is_last = left.is_zero();
        match (found, expect) {
            // Restarting, or not written yet.
            (Err(failure), Some(_)) if !is_last => context.output.detail(failure),
            (found, None) => {
                let report = found?;
                let exit = if report.boots() { Exit::Success } else { Exit::Rejected };
                return context.output.answer(&report, exit);
            }
            (found, Some(expected)) => {
                let report = found?;
                let differences = expected.compare(&report);
                if differences.is_empty() {
                    return context.output.answer(&report, Exit::Success);
                }
                if is_last {
                    context.output.answer(&report, Exit::Rejected)?;
                    return Err(ExpectError(differences).into());
                }
            }
        }
        thread::sleep(pause.min(left));
    }
}

fn once(context: &Context, source: &Source, verify: bool) -> Result<SlotReport, Failure> {
    let mut flash = source.open(context, verify)?;
    let known = known::images(context);
    let depth = if verify { Depth::Whole } else { Depth::Headers };
    let survey = flash.survey(depth, &known)?;
    let report = flash.report(&survey);
    for (index, entry) in report.entries.iter().enumerate() {
        context.output.detail(format_args!("otadata entry {index}: {}", entry.raw));
    }
    for slot in &report.slots {
        if let Some(image) = &slot.image {
            context.output.detail(format_args!(
                "{}: built {}, secure version {}, SHA-256 {} of the image and {} of its ELF file",
                slot.name, image.built, image.secure_version, image.sha256, image.elf_sha256
            ));
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_or_minutes() {
        assert_eq!(seconds("120s"), Ok(Duration::from_secs(120)));
        assert_eq!(seconds("7"), Ok(Duration::from_secs(7)));
        assert_eq!(seconds("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "1h", "-1s", "1.5s", "99999999999999999999m", "18446744073709551615m"]
        {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
