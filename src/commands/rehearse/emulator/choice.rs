//! Which image is booted: the one that was named, the newest that was built, or the published one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use super::EmulateError;
use crate::agent::image::ImageInfo;
use crate::commands::rehearse::error::RehearseError;
use crate::commands::rehearse::scene::Scene;
use crate::commands::{Context, ContextError, context};
use crate::config::Project;
use crate::error::Failure;
use crate::image;
use crate::virtual_device::rehearsal::{Start, pinned_by};

/// No ESP32 maps more flash than this.
const LARGEST_IMAGE: u64 = 32 * 1024 * 1024;

/// What the command line says of published releases.
#[derive(Debug)]
pub(in crate::commands::rehearse) struct Published {
    /// From the public URL, and to which address instead of that of its host.
    pub(in crate::commands::rehearse) public: (bool, Option<SocketAddr>),
    /// Through the staged timestamp.
    pub(in crate::commands::rehearse) is_staged: bool,
}

/// An image and where it comes from.
#[derive(Debug)]
pub(super) struct Chosen {
    /// A file, or a store or URL.
    pub(super) from: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) version: String,
}

/// Finds the image and verifies it.
pub(super) fn choose(
    context: &Context,
    project: &Project,
    named: Option<PathBuf>,
    published: &Published,
) -> Result<Chosen, Failure> {
    let wants_published = published.public.0 || published.is_staged;
    let file = match named {
        Some(file) => Some(file),
        None if wants_published => None,
        None => newest(project)?,
    };
    let (from, bytes) = match file {
        Some(file) => (file.clone(), context::read(&file, LARGEST_IMAGE)?),
        None => release(context, project, published, wants_published)?,
    };
    let info = image::read(&bytes, Some(project.chip.value))
        .map_err(|source| EmulateError::Image { file: from.clone(), source })?;
    let version = stated(&info);
    Ok(Chosen { from, bytes, version })
}

fn stated(info: &ImageInfo) -> String {
    info.descriptor.as_ref().map_or("", |descriptor| descriptor.version()).to_owned()
}

/// The newest image that `build` has written for this product and chip.
fn newest(project: &Project) -> Result<Option<PathBuf>, ContextError> {
    let folder = project.folder.join("target").join("esp-ota");
    let begin = format!("{}-{}-", project.product.value, project.chip.value);
    let failed = |source| ContextError::Input { file: folder.clone(), source };
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with(&begin) || !name.ends_with(".bin") {
            continue;
        }
        let written = entry.metadata().and_then(|metadata| metadata.modified()).map_err(failed)?;
        if newest.as_ref().is_none_or(|(time, _)| written > *time) {
            newest = Some((written, entry.path()));
        }
    }
    Ok(newest.map(|(_, file)| file))
}

/// The newest release that is given to any device, and where it was read. Who did not ask for one has
/// more use for an image of their own.
fn release(
    context: &Context,
    project: &Project,
    published: &Published,
    is_wanted: bool,
) -> Result<(PathBuf, Vec<u8>), Failure> {
    let Published { public, is_staged } = published;
    context::runtime()?.block_on(async {
        let scene = Scene::gather(context, project.clone(), *public, *is_staged).await?;
        let scene = match scene.with_a_release() {
            Err(RehearseError::Nothing { product, chip, .. }) if !is_wanted => {
                return Err(EmulateError::NoImage { product, chip }.into());
            }
            found => found?,
        };
        let goal = scene.fleet.goal.as_ref().ok_or(EmulateError::Halted)?;
        if goal.custom.agent.is_none() {
            return Err(EmulateError::NoAgent(goal.custom.version.clone()).into());
        }
        let (known, _) = pinned_by(goal, &scene.roots);
        let start = Start::published(&scene.source(), goal, known, &scene.roots).await?;
        Ok((scene.place().into(), start.image))
    })
}
