//! `rollout show`: what is listed, for which share of the devices, and what they make of it.

use std::collections::BTreeSet;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::standing::{Standing, standings};
use crate::chip::Chip;
use crate::commands::{Context, build, context, publish};
use crate::config::{Origin, Overrides, Project};
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report, Tone};
use crate::release::keys::Role;
use crate::release::repository::State;
use crate::virtual_device::rehearsal::aim;

/// Show what is listed, for which share of the devices, and what they make of it
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    project: Overrides,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ShowReport {
    product: String,
    store: String,
    kinds: Vec<Kind>,
    metadata: Vec<End>,
}

/// Devices that see the same releases.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kind {
    chip: Chip,
    channel: String,
    /// Oldest first.
    releases: Vec<Listed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    version: String,
    percent: u8,
    seed: String,
    standing: Standing,
    size: u64,
    sha256: String,
}

/// Until when metadata is good.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct End {
    role: &'static str,
    expires: String,
    /// Whole days, negative after the end.
    days_left: i64,
}

impl Show {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&self.project)?;
        let now = context.now();
        let root = build::tuf_root(&project)?;
        let store = context.store(&project)?;
        let state = context::runtime()?.block_on(publish::load(context, &store, &root, now))?;
        context.output.answer(&report(&project, &state, now), Exit::Success)
    }
}

fn report(project: &Project, state: &State, now: Timestamp) -> ShowReport {
    let product = project.product.value.as_str();
    let is_flag = |origin| matches!(origin, Origin::Flag(_));
    let mut kinds: BTreeSet<(Chip, &str)> = BTreeSet::new();
    for release in state.releases().iter().filter(|it| it.custom.product == product) {
        let channels = release.custom.channels.iter();
        kinds.extend(channels.map(|channel| (release.custom.chip, channel.as_str())));
    }
    let is_asked = |(chip, channel): &(Chip, &str)| {
        (!is_flag(project.chip.origin) || *chip == project.chip.value)
            && (!is_flag(project.channel.origin) || *channel == project.channel.value.as_str())
    };
    let kinds = kinds.into_iter().filter(is_asked).map(|(chip, channel)| {
        let releases = aim(state.releases(), product, chip, channel).releases;
        let listed = releases.iter().zip(standings(&releases)).map(|(release, standing)| Listed {
            version: release.custom.version.clone(),
            percent: release.custom.rollout.percent,
            seed: release.custom.rollout.seed.clone(),
            standing,
            size: release.length,
            sha256: release.sha256.clone(),
        });
        Kind { chip, channel: channel.to_owned(), releases: listed.collect() }
    });
    let end = |role: Role| {
        let end = state.ends(role).filter(|_| state.is_live())?;
        let seconds = end.as_second().saturating_sub(now.as_second());
        let days_left = seconds.div_euclid(24 * 60 * 60);
        Some(End { role: role.name(), expires: end.to_string(), days_left })
    };
    ShowReport {
        product: product.to_owned(),
        store: project.store.value.clone(),
        kinds: kinds.collect(),
        metadata: Role::ALL.into_iter().filter_map(end).collect(),
    }
}

impl Report for ShowReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { product, store, kinds, metadata } = self;
        if kinds.is_empty() {
            writeln!(out, "no release of {product} is listed in {store}")?;
        }
        for Kind { chip, channel, releases } in kinds {
            let title = paint.tone(Tone::Strong, format_args!("{product} for {chip}"));
            writeln!(out, "{title} in `{channel}`")?;
            let widest = releases.iter().map(|it| it.version.len()).max().unwrap_or(0);
            for Listed { version, percent, standing, .. } in releases.iter().rev() {
                writeln!(out, "  {version:widest$}  {percent:3} %  {standing}")?;
            }
        }
        for End { role, expires, days_left } in metadata {
            match days_left {
                0.. => writeln!(out, "{role}: good until {expires}, {days_left} days")?,
                _ => writeln!(out, "{role}: ended on {expires}")?,
            }
        }
        Ok(())
    }
}
