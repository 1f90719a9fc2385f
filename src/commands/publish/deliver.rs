//! The way of a plan to the devices: written where none of them looks, seen from where they look,
//! rehearsed, and only then promoted.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::PublishError;
use crate::chip::Chip;
use crate::commands::Context;
use crate::commands::rehearse::{goal, stage};
use crate::config::Project;
use crate::error::Failure;
use crate::release::plan::{LIVE_TIMESTAMP, Plan};
use crate::release::repository::{State, View};
use crate::release::rules::Release;
use crate::release::store::Store;
use crate::trust::PinnedRoot;
use crate::virtual_device::rehearsal::{Aim, Outcome, Place, Source, Start, aim, file, rehearse};

/// Everything around a plan that does not change.
#[derive(Debug)]
pub(in crate::commands) struct Delivery<'a> {
    pub(in crate::commands) context: &'a Context,
    pub(in crate::commands) project: &'a Project,
    pub(in crate::commands) store: &'a Store,
    /// The TUF root that firmware embeds.
    pub(in crate::commands) root: &'a [u8],
    /// The TLS roots that firmware pins.
    pub(in crate::commands) roots: &'a [PinnedRoot],
    /// Where devices read, if the release is verified from there.
    pub(in crate::commands) outside: Option<Outside<'a>>,
    /// The time that everything is judged at.
    pub(in crate::commands) now: Timestamp,
}

/// The public URL.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands) struct Outside<'a> {
    pub(in crate::commands) url: &'a str,
    pub(in crate::commands) connect_to: Option<SocketAddr>,
}

/// What was proven on the way.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands) struct Delivered {
    /// Each rehearsed update.
    pub(in crate::commands) rehearsed: Vec<Rehearsed>,
    /// Whether the URL shows the new timestamp already; `null` where it was not asked.
    pub(in crate::commands) live_at_url: Option<bool>,
}

/// An update as a device of the field will make it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands) struct Rehearsed {
    pub(in crate::commands) chip: Chip,
    pub(in crate::commands) channel: String,
    /// What it ran before; `null` for a device that has no release yet.
    pub(in crate::commands) from: Option<String>,
    pub(in crate::commands) version: String,
    /// The slot that it went to; `null` where the device had nothing to do.
    pub(in crate::commands) slot: Option<u32>,
    pub(in crate::commands) flash_operations: u64,
}

impl Delivery<'_> {
    /// Writes, proves and promotes. Whatever fails before the end leaves the live repository as it
    /// was, and no device has seen anything.
    pub(in crate::commands) async fn deliver(
        &self,
        before: &State,
        plan: &Plan,
    ) -> Result<Delivered, Failure> {
        self.upload(plan).await?;
        let mut delivered = Delivered::default();
        if let Some(timestamp) = &plan.timestamp {
            // Another client's word on the very files, before a device sees them.
            let staged = State::load(self.store, self.root, View::Staged, self.now).await?;
            self.see(View::Staged, timestamp).await?;
            for (chip, channel) in self.kinds(staged.releases()) {
                let fleet = self.fleet(before.releases(), chip, &channel);
                let next = self.fleet(staged.releases(), chip, &channel);
                if next.goal.is_some() && next.goal != fleet.goal {
                    delivered.rehearsed.push(self.rehearse(chip, channel, &next).await?);
                }
            }
        }
        self.store.promote(plan).await?;
        if let (Some(timestamp), Some(_)) = (&plan.timestamp, self.outside) {
            let seen = self.see(View::Live, timestamp).await;
            if let Err(error) = &seen {
                self.context.output.warn(format_args!("published, but {error} yet"));
            }
            delivered.live_at_url = Some(seen.is_ok());
        }
        Ok(delivered)
    }

    async fn upload(&self, plan: &Plan) -> Result<(), Failure> {
        let length = |bytes: &Vec<u8>| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let total = plan.uploads.iter().map(|upload| length(&upload.bytes)).sum();
        let bar = self.context.output.progress("uploading", total);
        let mut done: u64 = 0;
        for upload in &plan.uploads {
            self.store.upload(upload).await?;
            done = done.saturating_add(length(&upload.bytes));
            bar.at(done);
        }
        Ok(())
    }

    /// Whether the public URL shows this timestamp.
    async fn see(&self, view: View, timestamp: &[u8]) -> Result<(), PublishError> {
        let Some(outside) = self.outside else { return Ok(()) };
        let not_seen = |status| PublishError::NotSeen {
            url: outside.url.to_owned(),
            store: self.project.store.value.clone(),
            status,
        };
        let source = self.source(view);
        match file(&source, self.roots, LIVE_TIMESTAMP, timestamp.len()).await? {
            Ok(found) if found == timestamp => Ok(()),
            Ok(_) => Err(not_seen(None)),
            Err(status) => Err(not_seen(Some(status))),
        }
    }

    fn source(&self, view: View) -> Source<'_> {
        let place = match self.outside {
            Some(Outside { url, connect_to }) => Place::Url { url, connect_to },
            None => Place::Store(self.store),
        };
        Source { place, view, now: self.now }
    }

    /// The kinds of devices that releases are listed for.
    fn kinds(&self, releases: &[Release]) -> BTreeSet<(Chip, String)> {
        let product = self.project.product.value.as_str();
        releases
            .iter()
            .filter(|release| release.custom.product == product)
            .flat_map(|release| {
                let channels = release.custom.channels.iter();
                channels.map(|channel| (release.custom.chip, channel.clone()))
            })
            .collect()
    }

    fn fleet(&self, releases: &[Release], chip: Chip, channel: &str) -> Aim {
        aim(releases, self.project.product.value.as_str(), chip, channel)
    }

    async fn rehearse(
        &self,
        chip: Chip,
        channel: String,
        fleet: &Aim,
    ) -> Result<Rehearsed, Failure> {
        self.context.output.status(format_args!("rehearsing {chip} with the device's own agent"));
        let mut stage = stage(self.project, self.root, self.now)?;
        stage.chip = chip;
        stage.firmware.channel.clone_from(&channel);
        stage.device_id.clone_from(&fleet.device_id);
        let (mut total, mut wanted) = (0, None);
        if let Some(release) = &fleet.goal {
            // Nothing is known of the fleet: the lowest revision the image is made for has to take
            // it.
            stage.chip_revision = release.custom.min_chip_revision;
            total = release.length;
            wanted = Some(goal(release, self.roots));
        }
        let start = Start::first_install(chip, self.roots.to_vec());
        let source = self.source(View::Staged);
        let bar = self.context.output.progress("rehearsing", total);
        let progress = |received| bar.at(u64::from(received));
        let seen = rehearse(&stage, &source, &start, wanted.as_ref(), progress).await;
        let flash_operations = seen.effort.operations;
        let (version, slot) = match seen.outcome.map_err(PublishError::from)? {
            Outcome::Updated { version, slot } => (version, Some(slot)),
            Outcome::UpToDate => (start.version, None),
        };
        Ok(Rehearsed { chip, channel, from: None, version, slot, flash_operations })
    }
}
