//! What came out of a rehearsal, for people.

use std::io::{self, Write};

use super::report::{Outcome, OwnAgent, RehearseReport, ReleaseReport, StartReport};
use crate::output::{Annotation, Level, Paint, Report, Tone};
use crate::virtual_device::rehearsal::Step;

impl Report for RehearseReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { product, chip, channel, read_from, device, .. } = self;
        let staged = if self.staged { ", staged" } else { "" };
        match &self.release {
            Some(release) => {
                let version = paint.tone(Tone::Strong, &release.version);
                writeln!(
                    out,
                    "{product} {version} for {chip} in `{channel}`, read from {read_from}{staged}"
                )?;
                writeln!(out, "  {} bytes, SHA-256 {}", release.size, release.sha256)?;
                writeln!(
                    out,
                    "  rollout to {}% of the devices; rehearsed as {device}, which takes part",
                    release.rollout_percent
                )?;
            }
            None => writeln!(
                out,
                "{product} for {chip} in `{channel}`, read from {read_from}{staged}: no release \
                 is given to any device"
            )?,
        }
        for halted in &self.halted {
            writeln!(out, "  {} is halted: its rollout is at 0%", halted.version)?;
        }
        if let Some(ReleaseReport { agent: OwnAgent::None, .. }) = self.release {
            writeln!(out, "  it has no agent: its trial cannot be rehearsed")?;
        }
        self.starts.iter().try_for_each(|start| start.human(out, paint))
    }

    fn annotations(&self) -> Vec<Annotation> {
        self.starts.iter().filter_map(StartReport::annotation).collect()
    }
}

impl StartReport {
    fn name(&self) -> String {
        match &self.from {
            Some(version) => format!("from {version}"),
            None => "from no release".to_owned(),
        }
    }

    /// One word and its tone.
    fn verdict(&self) -> (Tone, &'static str) {
        match &self.outcome {
            Outcome::Failed { .. } => (Tone::Bad, "failed"),
            Outcome::NotRehearsed { .. } => (Tone::Warning, "not rehearsed"),
            Outcome::Updated { .. } | Outcome::UpToDate if !self.rehearsed_with_own_agent => {
                (Tone::Warning, "not rehearsed with its own agent")
            }
            Outcome::Updated { .. } | Outcome::UpToDate => (Tone::Good, "ok"),
        }
    }

    fn summary(&self) -> String {
        match &self.outcome {
            Outcome::Failed { error } => error.message.clone(),
            Outcome::NotRehearsed { reason } => reason.clone(),
            Outcome::UpToDate => "there is nothing newer for it".to_owned(),
            Outcome::Updated { to, slot } => format!("runs {to} from ota_{slot}"),
        }
    }

    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let (tone, word) = self.verdict();
        let name = paint.tone(Tone::Strong, self.name());
        writeln!(out, "{name}: {}: {}", paint.tone(tone, word), self.summary())?;
        if let Outcome::Failed { error } = &self.outcome {
            for cause in &error.caused_by {
                writeln!(out, "  caused by: {cause}")?;
            }
            if let Some(help) = &error.help {
                writeln!(out, "  help: {help}")?;
            }
        }
        self.steps(out)?;
        if self.steps.is_empty() {
            return Ok(());
        }
        self.wire(out)?;
        self.flash(out)
    }

    /// Each step; once only what both bootloaders have in common.
    fn steps(&self, out: &mut dyn Write) -> io::Result<()> {
        let is_bootloader = |step: &Step| matches!(step, Step::Bootloader { .. });
        let mut parts = self.steps.split(is_bootloader);
        let mut say = |title: &str, steps: &[Step]| {
            writeln!(out, "{title}")?;
            steps.iter().try_for_each(|step| writeln!(out, "    {step}"))
        };
        say("  the update:", parts.next().unwrap_or_default())?;
        match (parts.next(), parts.next()) {
            (Some(without), Some(with)) if without == with => {
                say("  after the reset, with either bootloader:", without)
            }
            (without, with) => {
                let titles = [
                    "  after the reset, with a bootloader without rollback:",
                    "  after the reset, with a bootloader with rollback:",
                ];
                let parts = without.into_iter().chain(with);
                titles.into_iter().zip(parts).try_for_each(|(title, part)| say(title, part))
            }
        }
    }

    fn wire(&self, out: &mut dyn Write) -> io::Result<()> {
        let files = &self.wire.files;
        writeln!(
            out,
            "  wire: {} bytes in {} requests (image {}, targets {}, snapshot {}, timestamp {}, \
             root {})",
            self.wire.bytes,
            self.wire.requests,
            files.image.bytes,
            files.targets.bytes,
            files.snapshot.bytes,
            files.timestamp.bytes,
            files.root.bytes
        )
    }

    fn flash(&self, out: &mut dyn Write) -> io::Result<()> {
        let flash = &self.flash;
        let erases = match flash.erases {
            0 => "no erase".to_owned(),
            count => format!("{count} erases ({})", worn(&flash.histogram())),
        };
        writeln!(out, "  flash: {} programs, {erases}", flash.programs)?;
        let (least, most) = self.device_time.range_ms();
        let tenths = |ms: u64| format!("{}.{}", ms / 1000, ms % 1000 / 100);
        writeln!(
            out,
            "  a real device: {} s of flash; {} s in all with a fast network, {} s with a slow one",
            tenths(self.device_time.flash_ms),
            tenths(least),
            tenths(most)
        )
    }

    fn annotation(&self) -> Option<Annotation> {
        let (tone, word) = self.verdict();
        let level = match tone {
            Tone::Bad => Level::Error,
            Tone::Warning => Level::Warning,
            Tone::Good | Tone::Strong | Tone::Faint => return None,
        };
        let (location, help) = match &self.outcome {
            Outcome::Failed { error } => (error.location.clone(), error.help.as_ref()),
            Outcome::NotRehearsed { .. } | Outcome::Updated { .. } | Outcome::UpToDate => {
                (None, None)
            }
        };
        let help = help.map_or(String::new(), |help| format!("\nhelp: {help}"));
        let message = format!("{}: {word}: {}{help}", self.name(), self.summary());
        Some(Annotation { level, location, title: "rehearse".to_owned(), message })
    }
}

/// How many sectors were erased how often.
fn worn(histogram: &[(u32, u64)]) -> String {
    let words = histogram.iter().map(|(erases, sectors)| {
        let sectors = if *sectors == 1 { "1 sector".into() } else { format!("{sectors} sectors") };
        match erases {
            1 => format!("{sectors} once"),
            2 => format!("{sectors} twice"),
            more => format!("{sectors} {more} times"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}
