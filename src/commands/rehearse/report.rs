//! What came out of a rehearsal, for programs.

use serde::Serialize;

use super::scene::Scene;
use crate::agent;
use crate::chip::Chip;
use crate::error::{Exit, Failure, Location};
use crate::release::repository::View;
use crate::release::rules::Release;
use crate::virtual_device::rehearsal::{
    self, BLOCK_ERASE_US, DeviceTime, Effort, FAST_BYTES_PER_SECOND, PAGE_PROGRAM_US, Rehearsal,
    SECTOR_ERASE_US, SLOW_BYTES_PER_SECOND, Step, Traffic, pinned_by,
};

/// Which agent an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OwnAgent {
    /// This tool's own: what is rehearsed is what runs.
    Same,
    /// Another one, older or changed by its owner.
    Other,
    /// None at all.
    None,
}

impl OwnAgent {
    pub(super) fn of(release: &Release) -> Self {
        match &release.custom.agent {
            Some(digest) if *digest == agent::digest() => Self::Same,
            Some(_) => Self::Other,
            None => Self::None,
        }
    }
}

/// How a rehearsal ended.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// The device runs the release and has nothing more to do.
    Updated {
        /// The version.
        to: String,
        /// The slot it went to.
        slot: u32,
    },
    /// There is nothing newer for this device.
    UpToDate,
    /// It could not be tried. Never good news.
    NotRehearsed {
        /// Why.
        reason: String,
    },
    /// The device does not end up with the release.
    Failed {
        /// What went wrong.
        error: Trouble,
    },
}

/// A failure, in the shape that every command has for it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Trouble {
    pub(super) message: String,
    pub(super) caused_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) location: Option<Location>,
    pub(super) exit_code: u8,
    #[serde(skip)]
    exit: Exit,
}

/// The rehearsal from one start.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StartReport {
    /// The version that the device starts with; `None` for a device that has no release yet.
    pub(super) from: Option<String>,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    /// Whether both images have the agent that was rehearsed.
    pub(super) rehearsed_with_own_agent: bool,
    /// Revision of the device's chip.
    pub(super) chip_revision: u16,
    /// Roots that one of the two images pins and the project does not have any more.
    pub(super) unknown_roots: usize,
    pub(super) steps: Vec<Step>,
    pub(super) wire: Wire,
    pub(super) flash: Effort,
    pub(super) device_time: DeviceTime,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Wire {
    pub(super) requests: u32,
    pub(super) bytes: u64,
    pub(super) files: Traffic,
}

/// A release that is aimed at, or held back.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ReleaseReport {
    pub(super) version: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) agent: OwnAgent,
    pub(super) rollout_percent: u8,
}

/// What the times are made of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Model {
    sector_erase_us: u64,
    block_erase_us: u64,
    page_program_us: u64,
    fast_bytes_per_second: u64,
    slow_bytes_per_second: u64,
}

/// The whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RehearseReport {
    pub(super) product: String,
    pub(super) chip: Chip,
    pub(super) channel: String,
    /// Store or URL.
    pub(super) read_from: String,
    pub(super) staged: bool,
    pub(super) release: Option<ReleaseReport>,
    /// Newer releases whose rollout is at 0 percent.
    pub(super) halted: Vec<ReleaseReport>,
    pub(super) device: String,
    pub(super) starts: Vec<StartReport>,
    model: Model,
}

impl ReleaseReport {
    fn new(release: &Release) -> Self {
        Self {
            version: release.custom.version.clone(),
            size: release.length,
            sha256: release.sha256.clone(),
            agent: OwnAgent::of(release),
            rollout_percent: release.custom.rollout.percent,
        }
    }
}

impl StartReport {
    /// Before anything happened.
    pub(super) fn new(scene: &Scene, start: Option<&Release>) -> Self {
        let involved: Vec<&Release> = start.into_iter().chain(scene.goal_for(start)).collect();
        // Nothing is known of the fleet: the lowest revision that both images are made for.
        let revisions = involved.iter().map(|release| release.custom.min_chip_revision);
        Self {
            from: start.map(|release| release.custom.version.clone()),
            outcome: Outcome::UpToDate,
            rehearsed_with_own_agent: involved
                .iter()
                .all(|release| OwnAgent::of(release) == OwnAgent::Same),
            chip_revision: revisions.max().unwrap_or(0),
            unknown_roots: involved.iter().map(|it| pinned_by(it, &scene.roots).1).sum(),
            steps: Vec::new(),
            wire: Wire::default(),
            flash: Effort::default(),
            device_time: DeviceTime::default(),
        }
    }

    /// Why a rehearsal from here would say nothing about this image.
    pub(super) fn not_rehearsed(&self, start: Option<&Release>) -> Option<String> {
        let start = start?;
        (OwnAgent::of(start) == OwnAgent::None)
            .then(|| "it has no update agent, so nothing is known of how it updates".to_owned())
    }

    /// Takes in what was seen.
    pub(super) fn seen(&mut self, seen: Rehearsal, scene: &Scene) {
        let total = seen.traffic.total();
        self.steps = seen.steps;
        self.wire = Wire { requests: total.requests, bytes: total.bytes, files: seen.traffic };
        self.device_time = DeviceTime::of(&seen.effort, total.bytes);
        self.flash = seen.effort;
        match seen.outcome {
            Ok(rehearsal::Outcome::UpToDate) => self.outcome = Outcome::UpToDate,
            Ok(rehearsal::Outcome::Updated { version, slot }) => {
                self.outcome = Outcome::Updated { to: version, slot };
            }
            Err(error)
                if scene.is_public() && self.unknown_roots > 0 && error.is_untrusted_tls() =>
            {
                self.outcome = Outcome::NotRehearsed {
                    reason: format!(
                        "it pins {} that the project does not have any more: whether the server \
                         leads there cannot be told",
                        roots(self.unknown_roots)
                    ),
                };
            }
            Err(error) => self.failed(error.into()),
        }
    }

    /// Takes in a failure.
    pub(super) fn failed(&mut self, failure: Failure) {
        let error = Trouble {
            message: failure.to_string(),
            caused_by: failure.causes(),
            help: failure.help(),
            location: failure.location(),
            exit_code: failure.exit().code(),
            exit: failure.exit(),
        };
        self.outcome = Outcome::Failed { error };
    }

    fn exit(&self, accepts_drift: bool) -> Exit {
        match &self.outcome {
            Outcome::Failed { error } => error.exit,
            Outcome::NotRehearsed { .. } if !accepts_drift => Exit::Rejected,
            Outcome::Updated { .. } | Outcome::UpToDate
                if !accepts_drift && !self.rehearsed_with_own_agent =>
            {
                Exit::Rejected
            }
            Outcome::Updated { .. } | Outcome::UpToDate | Outcome::NotRehearsed { .. } => {
                Exit::Success
            }
        }
    }
}

fn roots(count: usize) -> String {
    if count == 1 { "a root".to_owned() } else { format!("{count} roots") }
}

impl RehearseReport {
    pub(super) fn new(scene: &Scene, starts: Vec<StartReport>) -> Self {
        Self {
            product: scene.project.product.value.to_string(),
            chip: scene.stage.chip,
            channel: scene.project.channel.value.to_string(),
            read_from: scene.place(),
            staged: scene.view == View::Staged,
            release: scene.fleet.goal.as_ref().map(ReleaseReport::new),
            halted: scene.fleet.halted.iter().map(ReleaseReport::new).collect(),
            device: scene.stage.device_id.clone(),
            starts,
            model: Model {
                sector_erase_us: SECTOR_ERASE_US,
                block_erase_us: BLOCK_ERASE_US,
                page_program_us: PAGE_PROGRAM_US,
                fast_bytes_per_second: FAST_BYTES_PER_SECOND,
                slow_bytes_per_second: SLOW_BYTES_PER_SECOND,
            },
        }
    }

    /// A breach of trust outweighs a broken project, and that an answer of no.
    pub(super) fn exit(&self, accepts_drift: bool) -> Exit {
        let exits: Vec<Exit> = self.starts.iter().map(|start| start.exit(accepts_drift)).collect();
        [Exit::Trust, Exit::Project, Exit::Network]
            .into_iter()
            .find(|exit| exits.contains(exit))
            .or_else(|| exits.into_iter().find(|exit| *exit != Exit::Success))
            .unwrap_or(Exit::Success)
    }
}
