//! What is published, and by which roots its devices know the host.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::CaError;
use crate::commands::{Context, build, context};
use crate::config::Project;
use crate::error::Failure;
use crate::release::repository::{State, View};
use crate::release::rules::Release;
use crate::trust::live::{Known, Standing};
use crate::trust::{Candidates, PinnedRoot};
use crate::virtual_device::rehearsal::{self, Place, RehearsalError, Source};

/// The releases of a project, and where they were read.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) read_from: String,
    pub(super) releases: Vec<Release>,
}

impl Published {
    /// Whoever mistypes a version that is retired must not be told that all is well.
    pub(super) fn check_retired(&self, retired: &[String]) -> Result<(), CaError> {
        for version in retired {
            let meant: Vec<&Release> =
                self.releases.iter().filter(|it| it.custom.version == *version).collect();
            if meant.is_empty() {
                return Err(CaError::NotPublished(version.clone()));
            }
            for release in meant {
                if let Some(channel) = current_in(release, &self.releases).into_iter().next() {
                    let (version, chip) = (version.clone(), release.custom.chip);
                    return Err(CaError::Current { version, chip, channel });
                }
            }
        }
        Ok(())
    }
}

/// The channels in which devices may still run a release, however long one waits: no newer one for
/// the same chip is there for *every* device. A release in another channel, or one that is rolled out
/// to a quarter of them, replaces nothing.
pub(super) fn current_in(release: &Release, listed: &[Release]) -> Vec<String> {
    let custom = &release.custom;
    let version = |release: &Release| semver::Version::parse(&release.custom.version).ok();
    let is_replaced = |channel: &str| {
        listed.iter().any(|other| {
            other.custom.chip == custom.chip
                && other.custom.is_fully_rolled_out(channel)
                && version(other) > version(release)
        })
    };
    custom.channels.iter().filter(|channel| !is_replaced(channel)).cloned().collect()
}

/// A way to the public URL: the roots it may be trusted by, and another address.
pub(super) struct Way<'a> {
    pub(super) url: &'a str,
    pub(super) connect_to: Option<SocketAddr>,
    pub(super) roots: &'a [PinnedRoot],
}

/// Reads and verifies what is published: from the public URL as a device does where `way` leads
/// there, else from the store.
pub(super) fn read(
    context: &Context,
    project: &Project,
    way: Option<&Way<'_>>,
) -> Result<Published, Failure> {
    let root = build::tuf_root(project)?;
    let now = context.now();
    let runtime = context::runtime()?;
    let (read_from, mut releases) = match way {
        Some(Way { url, connect_to, roots }) => {
            let place = Place::Url { url, connect_to: *connect_to };
            let source = Source { place, view: View::Live, now };
            let built = rehearsal::build_time(now);
            let listed = runtime
                .block_on(rehearsal::published(&source, &root, built, roots))
                .map_err(Unread)?;
            ((*url).to_owned(), listed)
        }
        None => {
            let place = project.store.value.clone();
            let store = context.store(project)?;
            let state = runtime.block_on(State::load(&store, &root, View::Live, now))?;
            (place, state.releases().to_vec())
        }
    };
    let product = project.product.value.as_str();
    releases.retain(|release| release.custom.product == product);
    releases.sort_by_key(key);
    Ok(Published { read_from, releases })
}

/// Oldest first, one chip after the other.
fn key(release: &Release) -> (String, Option<semver::Version>) {
    (release.custom.chip.to_string(), semver::Version::parse(&release.custom.version).ok())
}

/// The device's own client does not take what is published.
#[derive(Debug, thiserror::Error)]
#[error("what is published could not be read as a device reads it")]
struct Unread(#[source] RehearsalError);

impl crate::error::Explained for Unread {
    fn exit(&self) -> crate::error::Exit {
        self.0.exit()
    }

    fn help(&self) -> Option<String> {
        self.0.help()
    }
}

/// A release as far as roots go. `retired` are versions that no device runs any more.
pub(super) fn standing(release: &Release, retired: &[String]) -> Standing {
    let custom = &release.custom;
    Standing {
        name: format!("{} for {}", custom.version, custom.chip),
        roots: custom.roots.clone(),
        retired: retired.contains(&custom.version),
    }
}

/// The certificates behind fingerprints: the project's roots, those of the files, and Mozilla's.
pub(super) fn known(roots: &[PinnedRoot], files: &[PathBuf]) -> Result<Known, Failure> {
    let mut candidates = Vec::new();
    for file in files {
        candidates.push(Candidates::read(file)?);
    }
    candidates.push(Candidates::mozilla());
    Ok(Known::new(roots, &candidates))
}
