//! The updates that a plan brings, each made by the device's own agent before any device makes it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde::Serialize;
use tokio::runtime::Handle;

use super::PublishError;
use super::deliver::Delivery;
use super::fleet::Update;
use crate::agent;
use crate::chip::Chip;
use crate::commands::rehearse::{goal, stage};
use crate::error::{Exit, Failure};
use crate::output::Progress;
use crate::release::custom::VersionSource;
use crate::release::rules::Release;
use crate::virtual_device::parallel;
use crate::virtual_device::rehearsal::{
    Outcome, RehearsalError, Source, Stage, Start, pinned_by, rehearse,
};

const NO_AGENT: &str = "it has no update agent, so nothing is known of how it updates";
const NO_VERSION: &str =
    "its image does not state its version, so no agent in it can tell what runs";
const UNKNOWN_ROOTS: &str = "it pins roots that the project does not have any more, and the server \
                             leads to none of the others: whether it leads to those cannot be told";
const OTHER_TABLE: &str = "it does not fit the project's partition table, so devices that run it \
                           have another one";

/// An update as a device of the field will make it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands) struct Rehearsed {
    pub(in crate::commands) chip: Chip,
    pub(in crate::commands) channel: String,
    /// What it ran before; `null` for a device that has no release yet.
    pub(in crate::commands) from: Option<String>,
    /// What it runs now.
    pub(in crate::commands) version: String,
    /// The slot that it went to; `null` where the device had nothing to do.
    pub(in crate::commands) slot: Option<u32>,
    pub(in crate::commands) flash_operations: u64,
    /// Whether all images have the agent that was rehearsed.
    pub(in crate::commands) rehearsed_with_own_agent: bool,
}

/// An update that could not be tried. Never good news.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands) struct NotRehearsed {
    pub(in crate::commands) chip: Chip,
    pub(in crate::commands) channel: String,
    pub(in crate::commands) from: Option<String>,
    pub(in crate::commands) reason: String,
}

/// What came out of one of them.
type Tried = Result<Result<Rehearsed, NotRehearsed>, Failure>;

/// Progress of all together.
struct Meter {
    bar: Progress,
    done: AtomicU64,
}

impl Delivery<'_> {
    /// Tries each update, several at a time.
    ///
    /// # Errors
    ///
    /// The first update that a device would not make; a breach of trust before all others.
    pub(super) fn rehearse(
        &self,
        source: &Source<'_>,
        updates: &[Update],
    ) -> Result<(Vec<Rehearsed>, Vec<NotRehearsed>), Failure> {
        let chips: BTreeSet<Chip> = updates.iter().map(|update| update.chip).collect();
        for chip in chips {
            let status = format_args!("rehearsing {chip} with the device's own agent");
            self.context.output.status(status);
        }
        let stage = stage(self.project, self.root, self.now)?;
        let bytes = |update: &Update| update.goal.as_ref().map_or(0, |release| release.length);
        let total = updates.iter().map(bytes).fold(0, u64::saturating_add);
        let bar = self.context.output.progress("rehearsing", total);
        let meter = Meter { bar, done: AtomicU64::new(0) };
        let runtime = Handle::current();
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let tried: Vec<Tried> = tokio::task::block_in_place(|| {
            parallel::map(updates, workers, |_, update| {
                runtime.block_on(self.one((source, &stage), update, &meter))
            })
        });
        let (mut proven, mut open, mut failed) = (Vec::new(), Vec::new(), None::<Failure>);
        for tried in tried {
            match tried {
                Ok(Ok(rehearsed)) => proven.push(rehearsed),
                Ok(Err(reason)) => open.push(reason),
                Err(failure) => {
                    let is_worse = |first: &Failure| {
                        failure.exit() == Exit::Trust && first.exit() != Exit::Trust
                    };
                    if failed.as_ref().is_none_or(is_worse) {
                        failed = Some(failure);
                    }
                }
            }
        }
        failed.map_or(Ok((proven, open)), Err)
    }

    async fn one(
        &self,
        (source, stage): (&Source<'_>, &Stage),
        update: &Update,
        meter: &Meter,
    ) -> Tried {
        let Update { chip, channel, from, goal: wanted, device_id } = update;
        let involved: Vec<&Release> = from.iter().chain(wanted).collect();
        let version = from.as_ref().map(|release| release.custom.version.clone());
        let not_rehearsed = |reason: String| NotRehearsed {
            chip: *chip,
            channel: channel.clone(),
            from: version.clone(),
            reason,
        };
        let failed = |source| PublishError::Rehearsal {
            chip: *chip,
            from: version.clone(),
            source: Box::new(source),
        };

        let mut stage = stage.clone();
        stage.chip = *chip;
        stage.firmware.channel.clone_from(channel);
        stage.device_id.clone_from(device_id);
        // Nothing is known of the fleet: the lowest revision that all images are made for.
        stage.chip_revision =
            involved.iter().map(|release| release.custom.min_chip_revision).max().unwrap_or(0);
        let start = match from {
            None => Start::first_install(*chip, self.roots.to_vec()),
            Some(release) => match self.start(source, release).await {
                Ok(Ok(start)) => start,
                Ok(Err(reason)) => return Ok(Err(not_rehearsed(reason))),
                Err(error) => return Err(failed(error).into()),
            },
        };
        let wanted = wanted.as_ref().map(|release| goal(release, self.roots));
        let progress = meter.of_one();
        let seen = rehearse(&stage, source, &start, wanted.as_ref(), progress).await;
        let unknown: usize = involved.iter().map(|it| pinned_by(it, self.roots).1).sum();
        let (version_then, slot) = match seen.outcome {
            Ok(Outcome::Updated { version, slot }) => (version, Some(slot)),
            Ok(Outcome::UpToDate) => (start.version, None),
            // Whoever took the root away knows of these devices; `ca remove` said so.
            Err(error) if unknown > 0 && error.is_untrusted_tls() => {
                return Ok(Err(not_rehearsed(UNKNOWN_ROOTS.to_owned())));
            }
            Err(RehearsalError::Flash { .. }) if from.is_some() => {
                return Ok(Err(not_rehearsed(OTHER_TABLE.to_owned())));
            }
            Err(error) => return Err(failed(error).into()),
        };
        Ok(Ok(Rehearsed {
            chip: *chip,
            channel: channel.clone(),
            from: version.clone(),
            version: version_then,
            slot,
            flash_operations: seen.effort.operations,
            rehearsed_with_own_agent: involved.iter().all(|release| has_own_agent(release)),
        }))
    }

    /// A device that runs a published release, or why nothing can be said of it.
    async fn start(
        &self,
        source: &Source<'_>,
        release: &Release,
    ) -> Result<Result<Start, String>, RehearsalError> {
        let custom = &release.custom;
        if custom.agent.is_none() {
            return Ok(Err(NO_AGENT.to_owned()));
        }
        if custom.version_source != VersionSource::AppDescriptor {
            return Ok(Err(NO_VERSION.to_owned()));
        }
        let (known, _) = pinned_by(release, self.roots);
        match Start::published(source, release, known, self.roots).await {
            Ok(start) => Ok(Ok(start)),
            Err(RehearsalError::Missing { path, status }) => Ok(Err(format!(
                "its image `{path}` is not there any more (status {status}), so there is nothing to \
                 start from"
            ))),
            Err(error) => Err(error),
        }
    }
}

impl Meter {
    /// What one rehearsal tells of its own bytes, added to those of the others.
    fn of_one(&self) -> impl FnMut(u32) {
        let mut told = 0;
        move |received| {
            let received = u64::from(received);
            let more = received.saturating_sub(told);
            told = told.max(received);
            let before = self.done.fetch_add(more, Ordering::Relaxed);
            self.bar.at(before.saturating_add(more));
        }
    }
}

fn has_own_agent(release: &Release) -> bool {
    release.custom.agent.as_ref().is_some_and(|digest| *digest == agent::digest())
}
