//! What a publish did.

use std::io::{self, Write};

use serde::Serialize;

use super::deliver::{Delivered, Withdrawn};
use super::rehearsal::{NotRehearsed, Rehearsed};
use crate::chip::Chip;
use crate::output::{Paint, Report, Tone};
use crate::release::custom::WHOLE_FLEET;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands) struct PublishReport {
    /// `false`: this is what was done.
    pub(super) dry_run: bool,
    pub(super) product: String,
    pub(super) channel: String,
    pub(super) version: String,
    /// Whether a second build gave the same bytes; `null` where there was none.
    pub(super) reproduced: Option<bool>,
    /// `false` where the same bytes were published before.
    pub(super) published: bool,
    pub(super) images: Vec<ImageReport>,
    #[serde(flatten)]
    pub(super) delivered: Delivered,
    pub(super) rehearsed_with_own_agent: bool,
    pub(super) store: String,
    /// Where devices read, if the release was verified from there.
    pub(super) verified_from: Option<String>,
}

/// One image of the release.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ImageReport {
    pub(super) chip: Chip,
    pub(super) size: usize,
    pub(super) sha256: String,
    /// `false` where the same bytes were published before.
    pub(super) published: bool,
    /// The share of devices that may take it; of what was published before, whatever was said now.
    pub(super) rollout_percent: u8,
    /// The plain copy that this image is now.
    pub(super) plain: Option<String>,
}

impl PublishReport {
    /// The images that not every device may take.
    fn in_steps(&self) -> impl Iterator<Item = &ImageReport> {
        self.images.iter().filter(|image| image.rollout_percent < WHOLE_FLEET)
    }
}

impl Report for PublishReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let version = paint.tone(Tone::Strong, &self.version);
        let Self { product, channel, store, .. } = self;
        let chips: Vec<&str> = self.images.iter().map(|image| image.chip.name()).collect();
        let chips = chips.join(", ");
        if !self.published {
            writeln!(out, "{product} {version} for {chips} is published already in {store}")?;
            for ImageReport { chip, rollout_percent, .. } in self.in_steps() {
                writeln!(
                    out,
                    "  {chip}: for {rollout_percent} % of the devices; change it with `cargo \
                     esp-ota rollout set`"
                )?;
            }
            return Ok(());
        }
        writeln!(out, "published {product} {version} for {chips} to `{channel}` in {store}")?;
        for image in &self.images {
            let ImageReport { chip, size, sha256, .. } = image;
            writeln!(out, "  {chip}: {size} bytes, SHA-256 {sha256}")?;
            if let Some(plain) = &image.plain {
                writeln!(out, "  {chip}: plain copy at `{plain}`")?;
            }
        }
        for ImageReport { chip, rollout_percent, .. } in self.in_steps() {
            writeln!(out, "  {chip}: for {rollout_percent} % of the devices")?;
        }
        if self.reproduced == Some(true) {
            writeln!(out, "  reproduced: a second build from nothing has the same bytes")?;
        }
        self.delivered.human(out)?;
        match &self.verified_from {
            Some(url) => writeln!(out, "  verified from {url} with the pinned roots alone"),
            None => writeln!(
                out,
                "  not verified from outside: once the files are where devices read them, run \
                 `cargo esp-ota rehearse --public`"
            ),
        }
    }
}

impl Delivered {
    /// A line for each update.
    pub(in crate::commands) fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for rehearsed in &self.rehearsed {
            let Rehearsed { chip, version, flash_operations, .. } = rehearsed;
            let from = rehearsed.from.as_deref().unwrap_or("no release");
            let agent = if rehearsed.rehearsed_with_own_agent {
                "the agent"
            } else {
                "this tool's agent, which is not its own,"
            };
            match rehearsed.slot {
                Some(slot) => writeln!(
                    out,
                    "  {chip}: rehearsed from {from}: {agent} installed {version} into ota_{slot} \
                     with {flash_operations} flash operations in all, and both bootloader models \
                     start it"
                )?,
                None => writeln!(
                    out,
                    "  {chip}: rehearsed from {from}: {agent} has nothing to do and keeps {version}"
                )?,
            }
        }
        for open in &self.not_rehearsed {
            let NotRehearsed { chip, from, reason, .. } = open;
            let from = from.as_deref().unwrap_or("no release");
            writeln!(out, "  {chip}: not rehearsed from {from}: {reason}")?;
        }
        for Withdrawn { version, chip } in &self.withdrawn {
            writeln!(out, "  {chip}: {version} is listed no longer")?;
        }
        for place in &self.archived {
            writeln!(out, "  `{place}` is an image that was listed before")?;
        }
        Ok(())
    }
}
