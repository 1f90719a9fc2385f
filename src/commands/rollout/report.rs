//! What a change of shares did.

use std::io::{self, Write};

use serde::Serialize;

use super::plain::PlainCopy;
use super::share::Share;
use crate::chip::Chip;
use crate::commands::publish::Delivered;
use crate::output::{Paint, Report, Tone};
use crate::release::rules::Release;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ChangeReport {
    pub(super) product: String,
    pub(super) channel: String,
    pub(super) dry_run: bool,
    /// `false` where nothing was left to do.
    pub(super) changed: bool,
    pub(super) releases: Vec<Changed>,
    /// The plain copies that change.
    pub(super) plain: Vec<PlainCopy>,
    #[serde(flatten)]
    pub(super) delivered: Delivered,
    pub(super) store: String,
    /// Where devices read, if the change was verified from there.
    pub(super) verified_from: Option<String>,
}

/// One release.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Changed {
    version: String,
    chip: Chip,
    sha256: String,
    old_percent: u8,
    percent: u8,
}

impl Changed {
    pub(super) fn new(release: &Release, share: Share) -> Self {
        Self {
            version: release.custom.version.clone(),
            chip: release.custom.chip,
            sha256: release.sha256.clone(),
            old_percent: release.custom.rollout.percent,
            percent: share.percent(),
        }
    }
}

impl Report for ChangeReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { product, store, .. } = self;
        let verb = if self.dry_run { "would go" } else { "goes" };
        for Changed { version, chip, old_percent: old, percent: new, .. } in &self.releases {
            let release = paint.tone(Tone::Strong, format_args!("{product} {version}"));
            if old == new {
                writeln!(out, "{release} for {chip} is at {new} % of the devices already")?;
            } else {
                writeln!(
                    out,
                    "{release} for {chip} {verb} from {old} % to {new} % of the devices"
                )?;
            }
        }
        for PlainCopy { path, version } in &self.plain {
            match (version, self.dry_run) {
                (Some(version), false) => writeln!(out, "  `{path}` is {version}")?,
                (Some(version), true) => writeln!(out, "  `{path}` would be {version}")?,
                (None, false) => writeln!(
                    out,
                    "  `{path}` is gone: `{}` has no sound release for every device",
                    self.channel
                )?,
                (None, true) => writeln!(out, "  `{path}` would go")?,
            }
        }
        if !self.changed {
            return writeln!(out, "nothing to change in {store}");
        }
        if self.releases.iter().any(|it| it.percent < it.old_percent) {
            writeln!(
                out,
                "  devices that have it keep it; `cargo esp-ota publish --revert VERSION` gives \
                 them the content of another release"
            )?;
        }
        if self.dry_run {
            return writeln!(out, "nothing was written to {store}");
        }
        self.delivered.human(out)?;
        match &self.verified_from {
            Some(url) => writeln!(out, "  verified from {url} with the pinned roots alone"),
            None => writeln!(out, "  written to {store}, and not verified from outside"),
        }
    }
}
