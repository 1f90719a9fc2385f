//! What a rehearsal needs: the verified list of releases, and what a device of the project has.

use std::net::SocketAddr;

use jiff::Timestamp;

use super::RehearseError;
use crate::commands::{Context, build, ca};
use crate::config::Project;
use crate::error::Failure;
use crate::release::plan::STAGED_TIMESTAMP;
use crate::release::repository::{State, View};
use crate::release::rules::Release;
use crate::release::store::Store;
use crate::trust::PinnedRoot;
use crate::virtual_device::rehearsal::{Aim, Place, Source, Stage, aim, published};

/// Everything that is the same for each start.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) project: Project,
    /// Where the files are.
    from: Files,
    pub(super) view: View,
    /// The roots that the project pins.
    pub(super) roots: Vec<PinnedRoot>,
    pub(super) stage: Stage,
    pub(super) fleet: Aim,
    now: Timestamp,
}

#[derive(Debug)]
enum Files {
    Store(Store),
    Url { url: String, connect_to: Option<SocketAddr> },
}

impl Scene {
    /// Reads and verifies the repository, from its public URL or from the store.
    pub(super) async fn gather(
        context: &Context,
        project: Project,
        (is_public, connect_to): (bool, Option<SocketAddr>),
        is_staged: bool,
    ) -> Result<Self, Failure> {
        let now = context.now();
        let view = if is_staged { View::Staged } else { View::Live };
        let root = build::tuf_root(&project)?;
        let roots = ca::project_roots(&project, now)?;
        let mut stage = super::stage(&project, &root, now)?;
        let from = if is_public {
            let url = project.url.value.clone().ok_or(RehearseError::NoUrl)?;
            Files::Url { url, connect_to }
        } else {
            Files::Store(context.store(&project)?)
        };
        let listed = match &from {
            Files::Store(store) => {
                if is_staged && store.read(STAGED_TIMESTAMP).await?.is_none() {
                    return Err(RehearseError::NotStaged(project.store.value.clone()).into());
                }
                State::load(store, &root, view, now).await?.releases().to_vec()
            }
            Files::Url { .. } => {
                let source = Source { place: from.place(), view, now };
                let built = stage.firmware.build_time;
                published(&source, &root, built, &roots).await.map_err(RehearseError::List)?
            }
        };
        let fleet = aim(&listed, project.product.value.as_str(), stage.chip, channel(&project));
        stage.device_id.clone_from(&fleet.device_id);
        Ok(Self { project, from, view, roots, stage, fleet, now })
    }

    /// Refuses to go on where nothing is published for this kind of device.
    pub(super) fn with_a_release(self) -> Result<Self, RehearseError> {
        if !self.fleet.releases.is_empty() {
            return Ok(self);
        }
        Err(RehearseError::Nothing {
            place: self.place(),
            product: self.project.product.value.to_string(),
            chip: self.stage.chip.to_string(),
            channel: channel(&self.project).to_owned(),
        })
    }

    /// The repository as devices read it.
    pub(super) fn source(&self) -> Source<'_> {
        Source { place: self.from.place(), view: self.view, now: self.now }
    }

    /// Where the files are, in words.
    pub(super) fn place(&self) -> String {
        match &self.from {
            Files::Store(_) => self.project.store.value.clone(),
            Files::Url { url, .. } => url.clone(),
        }
    }

    /// Whether roots matter: only TLS asks for them.
    pub(super) fn is_public(&self) -> bool {
        matches!(self.from, Files::Url { .. })
    }

    /// What a device that starts with `start` should take.
    pub(super) fn goal_for(&self, start: Option<&Release>) -> Option<&Release> {
        let releases = &self.fleet.releases;
        let place = |wanted: &Release| releases.iter().position(|release| release == wanted);
        self.fleet.goal.as_ref().filter(|goal| place(goal) > start.and_then(place))
    }
}

impl Files {
    fn place(&self) -> Place<'_> {
        match self {
            Self::Store(store) => Place::Store(store),
            Self::Url { url, connect_to } => Place::Url { url, connect_to: *connect_to },
        }
    }
}

fn channel(project: &Project) -> &str {
    project.channel.value.as_str()
}
