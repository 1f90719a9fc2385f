//! What a publish did.

use std::io::{self, Write};

use serde::Serialize;

use super::deliver::Delivered;
use super::rehearsal::{NotRehearsed, Rehearsed};
use crate::chip::Chip;
use crate::output::{Paint, Report, Tone};

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands) struct PublishReport {
    /// `false`: this is what was done.
    pub(super) dry_run: bool,
    pub(super) product: String,
    pub(super) channel: String,
    pub(super) version: String,
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
    /// The plain copy that this image is now.
    pub(super) plain: Option<String>,
}

impl Report for PublishReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let version = paint.tone(Tone::Strong, &self.version);
        let Self { product, channel, store, .. } = self;
        let chips: Vec<&str> = self.images.iter().map(|image| image.chip.name()).collect();
        let chips = chips.join(", ");
        if !self.published {
            return writeln!(
                out,
                "{product} {version} for {chips} is published already in {store}"
            );
        }
        writeln!(out, "published {product} {version} for {chips} to `{channel}` in {store}")?;
        for image in &self.images {
            let ImageReport { chip, size, sha256, .. } = image;
            writeln!(out, "  {chip}: {size} bytes, SHA-256 {sha256}")?;
            if let Some(plain) = &image.plain {
                writeln!(out, "  {chip}: plain copy at `{plain}`")?;
            }
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
        Ok(())
    }
}
