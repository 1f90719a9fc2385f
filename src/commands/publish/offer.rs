//! From an image file to what the metadata will say about it.

use std::path::Path;

use super::PublishError;
use crate::agent::image::ImageInfo;
use crate::chip::Chip;
use crate::commands::{context, inspect};
use crate::config::Project;
use crate::error::Failure;
use crate::image::inspect::{Expected, MOST_BYTES, app_image};
use crate::release::custom::{Custom, Rollout, VersionSource};
use crate::release::repository::NewRelease;
use crate::release::rules;
use crate::trust::PinnedRoot;
use crate::virtual_device::caps;

/// What is the same for all images of a release.
#[derive(Debug)]
pub(in crate::commands) struct Terms<'a> {
    /// The version of images that state none.
    pub(in crate::commands) version: Option<&'a str>,
    /// Digest of the agent in them; `None` where there is none.
    pub(in crate::commands) agent: Option<String>,
    /// The roots that they pin.
    pub(in crate::commands) roots: &'a [PinnedRoot],
    /// The share of devices that may take it, 0 to 100.
    pub(in crate::commands) percent: u8,
}

/// Reads images, one for each chip, of one release.
///
/// # Errors
///
/// Each that no device of the project could boot, and images that do not belong together.
pub(in crate::commands) fn read(
    project: &Project,
    files: &[&Path],
    terms: &Terms<'_>,
) -> Result<Vec<NewRelease>, Failure> {
    let mut releases: Vec<(&Path, NewRelease)> = Vec::new();
    for file in files {
        let image = context::read(file, MOST_BYTES)?;
        let mut expected: Expected = inspect::expected(project)?;
        if files.len() > 1 {
            // Each image says which chip it is for.
            expected.chip = None;
        }
        let info = app_image(&image, &expected)
            .map_err(|source| PublishError::Unfit { file: (*file).to_owned(), source })?;
        let custom = custom(project, &info, terms)?;
        for (other, release) in &releases {
            let (file, other) = ((*file).to_owned(), (*other).to_owned());
            if release.custom.chip == custom.chip {
                let chip = custom.chip;
                return Err(PublishError::SameChip { file, other, chip }.into());
            }
            if release.custom.version != custom.version {
                let (version, other_version) = (custom.version, release.custom.version.clone());
                return Err(PublishError::Versions { file, version, other, other_version }.into());
            }
        }
        releases.push((file, NewRelease { image, custom }));
    }
    Ok(releases.into_iter().map(|(_, release)| release).collect())
}

fn custom(project: &Project, info: &ImageInfo, terms: &Terms<'_>) -> Result<Custom, PublishError> {
    let stated = info.descriptor.as_ref().map_or("", |it| it.version());
    let (version, version_source) = match terms.version {
        None => (stated, VersionSource::AppDescriptor),
        Some(given) if rules::version(stated).is_err() => (given, VersionSource::CommandLine),
        Some(given) if given == stated => (stated, VersionSource::AppDescriptor),
        Some(given) => {
            let (stated, given) = (stated.to_owned(), given.to_owned());
            return Err(PublishError::Version { stated, given });
        }
    };
    Ok(Custom {
        product: project.product.value.to_string(),
        channels: vec![project.channel.value.to_string()],
        chip: Chip::from_image_id(info.chip_id).unwrap_or(project.chip.value),
        version: version.to_owned(),
        version_source,
        secure_version: info.descriptor.as_ref().map_or(0, |it| it.secure_version),
        min_chip_revision: info.min_chip_revision,
        rollout: Rollout { percent: terms.percent, seed: version.to_owned() },
        roots: terms.roots.iter().map(PinnedRoot::fingerprint_hex).collect(),
        agent: terms.agent.clone(),
        caps: caps::of_own_agent(),
    })
}
