//! A release, installed by the device's own agent before any device sees it.
//!
//! A virtual device with the project's table is flashed with an older release as the cable does
//! it. Its agent polls, trusting nothing but the TUF root and the TLS roots that a firmware
//! embeds, and installs what it finds; the new image starts on trial, reaches the server, confirms
//! itself and finds nothing more to do. Everything after the install happens twice, with a
//! bootloader that can roll back and with one that cannot.

mod course;
mod effort;
mod error;
mod fleet;
mod list;
mod onlooker;
mod source;
mod step;
mod traffic;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::StartFault;
use super::bootloader::{BootTable, Rollback};
use super::device::{Firmware, Hardware};
use super::stand_in;
use crate::agent::layout::Region;
use crate::chip::Chip;
use crate::hex;
use crate::release::rules::Release;
use crate::trust::PinnedRoot;
use course::Course;
pub use effort::{
    BLOCK_ERASE_US, DeviceTime, Effort, FAST_BYTES_PER_SECOND, PAGE_PROGRAM_US, SECTOR_ERASE_US,
    SLOW_BYTES_PER_SECOND, Worn,
};
pub use error::{AgentFailure, RehearsalError};
pub use fleet::{Aim, aim};
pub use list::{file, published};
pub use onlooker::{Onlooker, Sight};
pub use source::{Place, Source, Trouble, Wire};
pub use step::{Boot, Step};
pub use traffic::{Files, Traffic};

/// What a device of this project has.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Its partitions.
    pub table: BootTable,
    /// Its `nvs` partition.
    pub nvs: Region,
    /// Bytes of its flash.
    pub flash_size: u32,
    /// Its chip.
    pub chip: Chip,
    /// Revision of the chip: major times 100 plus minor.
    pub chip_revision: u16,
    /// What is built into its firmware.
    pub firmware: Firmware,
    /// Its eFuse MAC as 12 lower-case hexadecimal digits: decides on rollouts.
    pub device_id: String,
}

impl Stage {
    fn hardware(&self, rollback: Rollback) -> Hardware {
        let Self { table, nvs, chip, chip_revision, .. } = self;
        let (chip, chip_revision, table, nvs) = (*chip, *chip_revision, *table, *nvs);
        Hardware { chip, chip_revision, table, nvs, rollback }
    }
}

/// What a device runs before the update.
#[derive(Clone, Debug)]
pub struct Start {
    /// The version that its image states.
    pub version: String,
    /// Its image.
    pub image: Vec<u8>,
    /// The roots that it pins.
    pub roots: Vec<PinnedRoot>,
    /// Whether it has updated itself before, so that its other slots are not blank.
    pub is_in_the_field: bool,
}

impl Start {
    /// A device that has no release yet.
    pub fn first_install(chip: Chip, roots: Vec<PinnedRoot>) -> Self {
        let image = stand_in::image(chip);
        Self { version: stand_in::VERSION.to_owned(), image, roots, is_in_the_field: false }
    }

    /// A device that runs a published release: downloads its image and checks it against the
    /// verified metadata that `release` was read from.
    pub async fn published(
        source: &Source<'_>,
        release: &Release,
        roots: Vec<PinnedRoot>,
        reach: &[PinnedRoot],
    ) -> Result<Self, RehearsalError> {
        let path = format!("targets/{}.{}", release.sha256, release.custom.file_name());
        let mut wire = source.open(reach)?;
        let length = usize::try_from(release.length).unwrap_or(usize::MAX);
        let image = match wire.whole(&path, length).await {
            Ok(Ok(image)) => image,
            Ok(Err(status)) => return Err(RehearsalError::Missing { path, status }),
            Err(error) => return Err(RehearsalError::transport(error, wire)),
        };
        let found = hex::lower(&Sha256::digest(&image));
        if found != release.sha256 {
            return Err(RehearsalError::Damaged { path, found });
        }
        let version = release.custom.version.clone();
        Ok(Self { version, image, roots, is_in_the_field: true })
    }
}

/// What the device should run after the update.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The version.
    pub version: String,
    /// The roots that its image pins.
    pub roots: Vec<PinnedRoot>,
    /// Whether it has an agent, which can be tried and confirmed.
    pub has_agent: bool,
}

/// How a rehearsal ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The device runs the release, and has nothing more to do.
    Updated {
        /// The version.
        version: String,
        /// The slot it went to.
        slot: u32,
    },
    /// There is nothing newer for this device.
    UpToDate,
}

/// What a rehearsal saw, to its end or as far as it came.
#[derive(Debug)]
pub struct Rehearsal {
    /// Each step.
    pub steps: Vec<Step>,
    /// What went over the wire.
    pub traffic: Traffic,
    /// What was asked of the flash.
    pub effort: Effort,
    /// How it ended.
    pub outcome: Result<Outcome, RehearsalError>,
}

/// Lets a device that runs `start` update itself from `source` and compares what it does with
/// `goal`, `None` being nothing. `progress` hears how many bytes of the image the agent took in.
pub async fn rehearse(
    stage: &Stage,
    source: &Source<'_>,
    start: &Start,
    goal: Option<&Goal>,
    progress: impl FnMut(u32),
) -> Rehearsal {
    let mut course = Course {
        stage,
        source,
        steps: Vec::new(),
        traffic: Traffic::default(),
        effort: Effort::default(),
    };
    let outcome = course.run(start, goal, progress).await;
    let Course { steps, traffic, effort, .. } = course;
    Rehearsal { steps, traffic, effort, outcome }
}

/// Which of a project's roots an image pins, by the fingerprints in its metadata, and how many it
/// pins that the project does not have any more.
pub fn pinned_by(release: &Release, roots: &[PinnedRoot]) -> (Vec<PinnedRoot>, usize) {
    let is_named = |root: &&PinnedRoot| release.custom.roots.contains(&root.fingerprint_hex());
    let known: Vec<PinnedRoot> = roots.iter().filter(is_named).cloned().collect();
    let others = release.custom.roots.len().saturating_sub(known.len());
    (known, others)
}

/// The device's clock: the time of the rehearsal is the build time of its firmware.
pub fn build_time(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or(0)
}
