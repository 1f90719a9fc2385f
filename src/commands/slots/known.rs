//! Images whose bytes are at hand: published releases, and what was built last.

use std::fs;
use std::path::Path;

use crate::commands::{Context, build, context};
use crate::config::{Overrides, Project};
use crate::device::Known;
use crate::error::Failure;
use crate::image::inspect::MOST_BYTES;
use crate::release::repository::State;

/// Every image of the project around, as far as it can be read. Outside of a project there is none.
///
/// A store over a network is not asked: each image would have to be downloaded.
pub(in crate::commands) fn images(context: &Context) -> Vec<Known> {
    let Ok(Some(project)) = context.project_if_any(&Overrides::default()) else {
        return Vec::new();
    };
    let mut known = match published(context, &project) {
        Ok(known) => known,
        Err(failure) => {
            context.output.detail(format_args!("not compared with published releases: {failure}"));
            Vec::new()
        }
    };
    known.extend(built(&project));
    known
}

fn published(context: &Context, project: &Project) -> Result<Vec<Known>, Failure> {
    let store = context.store(project)?;
    if store.folder().is_none() {
        return Ok(Vec::new());
    }
    let root = build::tuf_root(project)?;
    context::runtime()?.block_on(async {
        // What a device runs does not depend on when the metadata ends.
        let state = State::load_overdue(&store, &root, context.now()).await?;
        let mut known = Vec::new();
        for release in state.releases() {
            let Some(bytes) = store.read(&release.image_path()).await? else { continue };
            let custom = &release.custom;
            let name = format!("release {} of {}", custom.version, custom.channels.join(", "));
            // Believed as far as the signed metadata goes.
            known.extend(Known::new(name, &bytes).filter(|it| it.sha256 == release.sha256));
        }
        Ok(known)
    })
}

fn built(project: &Project) -> Vec<Known> {
    let folder = project.path(Path::new("target/esp-ota"));
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    files
        .filter(|file| file.extension() == Some("bin".as_ref()))
        .filter_map(|file| {
            let bytes = context::read(&file, MOST_BYTES).ok()?;
            Known::new(format!("built here, `{}`", file.display()), &bytes)
        })
        .collect()
}
