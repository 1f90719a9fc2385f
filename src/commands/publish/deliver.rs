//! The way of a plan to the devices: written where none of them looks, seen from where they look,
//! rehearsed, and only then promoted.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::PublishError;
use super::fleet::updates;
use super::rehearsal::{NotRehearsed, Rehearsed};
use crate::chip::Chip;
use crate::commands::Context;
use crate::config::Project;
use crate::error::Failure;
use crate::release::keys::Role;
use crate::release::plan::{LIVE_TIMESTAMP, Plan, STAGED_TIMESTAMP, Upload};
use crate::release::repository::{State, View};
use crate::release::store::{Store, StoreError};
use crate::trust::PinnedRoot;
use crate::virtual_device::rehearsal::{Onlooker, Place, Source, build_time, file};

/// How often a staged timestamp is put back that another publish, with an older claim, replaced.
const MOST_TRIES: usize = 4;

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
    /// Each update that could not be tried.
    pub(in crate::commands) not_rehearsed: Vec<NotRehearsed>,
    /// The releases that are listed no longer.
    pub(in crate::commands) withdrawn: Vec<Withdrawn>,
    /// Images that were listed before, and where they are now.
    pub(in crate::commands) archived: Vec<String>,
    /// Whether the URL shows the new timestamp already; `null` where it was not asked.
    pub(in crate::commands) live_at_url: Option<bool>,
}

/// A release beyond the number that the project keeps.
#[derive(Debug, Serialize)]
pub(in crate::commands) struct Withdrawn {
    pub(in crate::commands) version: String,
    pub(in crate::commands) chip: Chip,
}

impl Withdrawn {
    pub(super) fn by(plan: &Plan) -> Vec<Self> {
        let withdrawn = plan.withdrawn.iter().map(|release| Self {
            version: release.custom.version.clone(),
            chip: release.custom.chip,
        });
        withdrawn.collect()
    }
}

impl Delivered {
    /// Whether every image that took part has the agent that was rehearsed.
    pub(in crate::commands) fn is_with_own_agent(&self) -> bool {
        self.rehearsed.iter().all(|it| it.rehearsed_with_own_agent)
    }

    /// Says which updates were rehearsed with another agent: the report alone is easily passed over.
    pub(in crate::commands) fn warn_of_agents(&self, context: &Context) {
        let foreign = self.rehearsed.iter().filter(|it| !it.rehearsed_with_own_agent);
        for Rehearsed { chip, from, .. } in foreign {
            let from = from.as_deref().unwrap_or("no release");
            context.output.warn(format_args!(
                "{chip}: rehearsed from {from} with this tool's agent, which is not its own"
            ));
        }
    }

    /// Says which were not rehearsed at all.
    pub(in crate::commands) fn warn_of_gaps(&self, context: &Context) {
        for NotRehearsed { chip, from, reason, .. } in &self.not_rehearsed {
            let from = from.as_deref().unwrap_or("no release");
            context.output.warn(format_args!("{chip}: not rehearsed from {from}: {reason}"));
        }
    }
}

/// What a place shows in the place of a file.
enum Shown {
    /// These very bytes.
    Same,
    /// Others.
    Other,
    /// No file, but this HTTP status.
    Status(u16),
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
        let Some(timestamp) = &plan.timestamp else {
            self.store.promote(plan).await?;
            return Ok(Delivered::default());
        };
        let delivered = self.prove_and_promote(before, plan, timestamp).await?;
        let live_at_url = match self.outside {
            Some(outside) => Some(self.is_live(outside, timestamp).await),
            None => None,
        };
        let archived = self.tidy(before, plan).await;
        Ok(Delivered { live_at_url, archived, withdrawn: Withdrawn::by(plan), ..delivered })
    }

    /// Two that publish at once share one place for the staged timestamp. Whoever has the newest
    /// claim puts its own there again and begins anew; the other gives up.
    async fn prove_and_promote(
        &self,
        before: &State,
        plan: &Plan,
        timestamp: &[u8],
    ) -> Result<Delivered, Failure> {
        for _ in 0..MOST_TRIES {
            let done = match self.prove(before, timestamp).await {
                Ok(delivered) => {
                    self.store.promote(plan).await.map(|()| delivered).map_err(Failure::from)
                }
                Err(failure) => Err(failure),
            };
            if done.is_ok() {
                return done;
            }
            let live = self.store.read(LIVE_TIMESTAMP).await?;
            if live.as_deref() == Some(timestamp) {
                let words = "devices see the new release, but not everything beside it is in place";
                self.context.output.warn(words);
                return done;
            }
            let staged = self.store.read(STAGED_TIMESTAMP).await?;
            if staged.as_deref() == Some(timestamp) {
                return done;
            }
            let ours = plan.number(Role::Snapshot).unwrap_or(u64::MAX);
            if live != plan.base || self.store.highest(Role::Snapshot, ours).await?.is_some() {
                // What was seen on the way was partly of the other: it proves nothing.
                return Err(StoreError::NotStaged.into());
            }
            for upload in plan.uploads.iter().filter(|it| it.path == STAGED_TIMESTAMP) {
                self.store.upload(upload).await?;
            }
        }
        Err(StoreError::NotStaged.into())
    }

    async fn upload(&self, plan: &Plan) -> Result<(), Failure> {
        let length = |upload: &Upload| u64::try_from(upload.bytes.len()).unwrap_or(u64::MAX);
        let total = plan.uploads.iter().map(length).fold(0, u64::saturating_add);
        let bar = self.context.output.progress("uploading", total);
        let mut done: u64 = 0;
        for upload in &plan.uploads {
            let progress = |sent| bar.at(done.saturating_add(sent));
            self.store.upload_with(upload, &progress).await?;
            done = done.saturating_add(length(upload));
            bar.at(done);
        }
        Ok(())
    }

    /// Looks at what was staged as devices will: another client, the public URL, the device's own
    /// client with what it remembers, and the whole update on virtual devices.
    async fn prove(&self, before: &State, timestamp: &[u8]) -> Result<Delivered, Failure> {
        let staged = State::load(self.store, self.root, View::Staged, self.now).await?;
        if let Some(outside) = self.outside {
            let not_seen = |status| PublishError::NotSeen {
                url: outside.url.to_owned(),
                store: self.project.store.value.clone(),
                status,
            };
            match self.shown(View::Staged, timestamp).await? {
                Shown::Same => {}
                Shown::Other => return Err(not_seen(None).into()),
                Shown::Status(status) => return Err(not_seen(Some(status)).into()),
            }
        }
        self.read_as_a_device(before).await?;
        let product = self.project.product.value.as_str();
        let updates = updates(before.releases(), staged.releases(), product);
        let (rehearsed, not_rehearsed) = self.rehearse(&self.source(View::Staged), &updates)?;
        Ok(Delivered { rehearsed, not_rehearsed, ..Delivered::default() })
    }

    /// A device that has read what is live has to go on to what is staged.
    async fn read_as_a_device(&self, before: &State) -> Result<(), PublishError> {
        let (root, built) = (self.root.to_vec(), build_time(self.now));
        let mut device = Onlooker::new(root, built).pinning(self.roots.to_vec());
        let unread = |source| PublishError::Unread(Box::new(source));
        if before.is_live() {
            // What it makes of the old metadata, which may be overdue, is not the question.
            let _ = device.poll(&self.source(View::Live)).await.map_err(unread)?;
        }
        device.poll(&self.source(View::Staged)).await.and_then(|sight| sight.read).map_err(unread)
    }

    /// Whether the URL shows the new timestamp after it was promoted. It may be later than the
    /// store, but nothing can be taken back now.
    async fn is_live(&self, outside: Outside<'_>, timestamp: &[u8]) -> bool {
        let url = outside.url;
        let shown = self.shown(View::Live, timestamp).await;
        let warn = |what: &dyn std::fmt::Display| {
            self.context.output.warn(format_args!(
                "it is published, but `{url}` {what}: devices take the release once the new \
                 `metadata/timestamp.json` is there"
            ));
        };
        match &shown {
            Ok(Shown::Same) => {}
            Ok(Shown::Other) => warn(&"still serves another timestamp"),
            Ok(Shown::Status(status)) => warn(&format_args!("answers {status}")),
            Err(error) => warn(&format_args!("cannot be read any more ({error})")),
        }
        matches!(shown, Ok(Shown::Same))
    }

    /// What the public URL, or the store itself, shows in the place of this timestamp.
    async fn shown(&self, view: View, timestamp: &[u8]) -> Result<Shown, PublishError> {
        let source = self.source(view);
        let found = file(&source, self.roots, LIVE_TIMESTAMP, timestamp.len()).await;
        let place = self.outside.map_or(self.project.store.value.as_str(), |it| it.url);
        match found.map_err(|source| PublishError::outside(place, source))? {
            Ok(bytes) if bytes == timestamp => Ok(Shown::Same),
            Ok(_) => Ok(Shown::Other),
            Err(status) => Ok(Shown::Status(status)),
        }
    }

    fn source(&self, view: View) -> Source<'_> {
        let place = match self.outside {
            Some(Outside { url, connect_to }) => Place::Url { url, connect_to },
            None => Place::Store(self.store),
        };
        Source { place, view, now: self.now }
    }
}
