//! The virtual device of a project: its table, its roots, its place in the fleet.

use jiff::Timestamp;

use super::RehearseError;
use crate::agent::layout::Region;
use crate::commands::partitions;
use crate::config::Project;
use crate::device::boot_table;
use crate::error::Failure;
use crate::release::custom::VersionSource;
use crate::release::rules::Release;
use crate::trust::PinnedRoot;
use crate::virtual_device::Firmware;
use crate::virtual_device::rehearsal::{self, Goal, Stage};

/// A device that has all it has from the project.
pub(in crate::commands) fn stage(
    project: &Project,
    root: &[u8],
    now: Timestamp,
) -> Result<Stage, Failure> {
    let (table, _) = partitions::project_table(project)?;
    let nvs = table.nvs().ok_or(RehearseError::NoNvs)?;
    Ok(Stage {
        nvs: Region { start: nvs.offset, len: nvs.size },
        table: boot_table(&table),
        flash_size: project.flash_size.value.bytes(),
        chip: project.chip.value,
        chip_revision: 0,
        firmware: Firmware {
            product: project.product.value.to_string(),
            channel: project.channel.value.to_string(),
            root: root.to_vec(),
            build_time: rehearsal::build_time(now),
        },
        device_id: String::new(),
    })
}

/// What devices run once they have taken `release`.
pub(in crate::commands) fn goal(release: &Release, roots: &[PinnedRoot]) -> Goal {
    let custom = &release.custom;
    Goal {
        version: custom.version.clone(),
        roots: rehearsal::pinned_by(release, roots).0,
        // An image that does not state its version cannot tell an agent in it what runs.
        has_agent: custom.agent.is_some() && custom.version_source == VersionSource::AppDescriptor,
    }
}
