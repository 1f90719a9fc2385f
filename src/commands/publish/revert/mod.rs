//! `publish --revert`: the content of an older release under a newer version.
//!
//! Devices never go back to a lower version, so the way back is forward. What the old release was
//! built with stays as it was: its agent, its roots, its secure version. That is its danger, too:
//! roots that have been rotated since would strand every device that takes it.

mod error;
mod run;
mod version;

use std::path::PathBuf;

use jiff::Timestamp;
use semver::Version;

use super::deliver::Outside;
use crate::agent;
use crate::commands::inspect;
use crate::commands::rollout::{Wanted, pick};
use crate::config::{Origin, Project};
use crate::error::Failure;
use crate::image::inspect::{Expected, app_image};
use crate::image::restate;
use crate::release::custom::{Custom, Rollout, VersionSource};
use crate::release::plan::LIVE_TIMESTAMP;
use crate::release::repository::{NewRelease, RepositoryError, State, View};
use crate::release::rules::{self, Release};
use crate::release::store::Store;
use crate::trust::PinnedRoot;
use crate::virtual_device::rehearsal::{Place, Source, file, pinned_by};
use error::RevertError;
pub(super) use run::run;

/// Bytes of an answer that shows that a host was reached; the rest is not read.
const ENOUGH: usize = 64 * 1024;

/// What was asked for.
#[derive(Debug)]
pub(super) struct Revert<'a> {
    /// The version whose content comes back.
    pub(super) to: &'a Version,
    /// The version that it gets; `None`: the next one.
    pub(super) version: Option<&'a str>,
    /// The share of the devices that may take it.
    pub(super) percent: u8,
    /// Whether other agents than this tool's are accepted.
    pub(super) accept_agent_drift: bool,
}

/// What is around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) project: &'a Project,
    pub(super) store: &'a Store,
    pub(super) state: &'a State,
    /// The roots that the project pins now.
    pub(super) roots: &'a [PinnedRoot],
    pub(super) outside: Option<Outside<'a>>,
    pub(super) now: Timestamp,
}

/// The images of the old release under their new version, with what the metadata will say of them.
pub(super) async fn content(
    around: &Around<'_>,
    revert: &Revert<'_>,
) -> Result<Vec<NewRelease>, Failure> {
    let Around { project, state, store, .. } = *around;
    let channel = project.channel.value.as_str();
    let is_chip_asked = matches!(project.chip.origin, Origin::Flag(_));
    let wanted = Wanted {
        product: project.product.value.as_str(),
        channel,
        chip: is_chip_asked.then_some(project.chip.value),
        version: Some(revert.to),
        store: &project.store.value,
    };
    let old = pick(state.releases(), &wanted).map_err(RevertError::Pick)?;
    let mut images = Vec::new();
    for release in &old {
        judge(around, release, revert.accept_agent_drift)?;
        reaches(around, release).await?;
        images.push(read(project, store, release).await?);
    }
    let both = || old.iter().copied().zip(&images);
    if let (None, Some(version)) = (revert.version, returned(state.releases(), both(), channel)?) {
        return both().map(|it| renewed(it, &version, channel, revert.percent)).collect();
    }
    let version = match revert.version {
        Some(version) => rules::version(version).map_err(RepositoryError::from)?,
        None => highest(state.releases(), &old, channel)
            .map_or_else(|| version::above(revert.to), |highest| version::above(&highest)),
    };
    both().map(|it| renewed(it, &version, channel, revert.percent)).collect()
}

/// The image of a listed release, as it was signed and fit for the slots of now.
async fn read(project: &Project, store: &Store, release: &Release) -> Result<Vec<u8>, Failure> {
    let path = release.image_path();
    let missing = || RepositoryError::ImageMissing(path.clone());
    let image = store.read(&path).await?.ok_or_else(missing)?;
    let found = Release::sha256_of(&image);
    if found != release.sha256 {
        return Err(RepositoryError::ImageDamaged { path, found }.into());
    }
    let expected = Expected { chip: Some(release.custom.chip), ..inspect::expected(project)? };
    let unfit = |source| RevertError::Unfit { image: PathBuf::from(&path), source };
    app_image(&image, &expected).map_err(unfit)?;
    Ok(image)
}

/// Whether the release can do its work under another version.
fn judge(around: &Around<'_>, release: &Release, accept: bool) -> Result<(), RevertError> {
    let Custom { version, chip, agent, secure_version: found, .. } = &release.custom;
    let (version, chip, channel) = (version.clone(), *chip, &around.project.channel.value);
    let parsed = |release: &Release| Version::parse(&release.custom.version).ok();
    let newer: Vec<&Release> = siblings(around.state.releases(), release, channel.as_str())
        .filter(|other| parsed(other) > parsed(release))
        .collect();
    if newer.is_empty() {
        return Err(RevertError::Newest { version, chip, channel: channel.to_string() });
    }
    if agent.is_some() && release.custom.version_source != VersionSource::AppDescriptor {
        return Err(RevertError::NoVersion { version, chip });
    }
    if agent.as_ref().is_some_and(|digest| *digest != agent::digest()) && !accept {
        return Err(RevertError::Agent { version, chip });
    }
    let raised = newer.iter().max_by_key(|other| other.custom.secure_version);
    match raised.filter(|other| other.custom.secure_version > *found) {
        Some(other) => Err(RevertError::SecureVersion {
            version,
            chip,
            found: *found,
            newer: other.custom.version.clone(),
            needed: other.custom.secure_version,
        }),
        None => Ok(()),
    }
}

/// Whether devices that run the release can update again: the roots that it pins have to lead to
/// the host of now.
async fn reaches(around: &Around<'_>, release: &Release) -> Result<(), RevertError> {
    let custom = &release.custom;
    let (version, chip) = (custom.version.clone(), custom.chip);
    if custom.roots.is_empty() {
        return Ok(());
    }
    let (known, _) = pinned_by(release, around.roots);
    if known.is_empty() {
        return Err(RevertError::NoRoot { version, chip });
    }
    let Some(Outside { url, connect_to }) = around.outside else {
        let missing = |root: &&PinnedRoot| !custom.roots.contains(&root.fingerprint_hex());
        let missing: Vec<String> = around
            .roots
            .iter()
            .filter(missing)
            .map(|root| format!("`{}`", root.subject()))
            .collect();
        return match missing.is_empty() {
            true => Ok(()),
            false => Err(RevertError::Unseen { version, chip, missing }),
        };
    };
    let place = Place::Url { url, connect_to };
    let source = Source { place, view: View::Live, now: around.now };
    match file(&source, &known, LIVE_TIMESTAMP, ENOUGH).await {
        // Whatever the answer is: only the right server can give one.
        Ok(_) => Ok(()),
        Err(source) => {
            let (url, is_untrusted) = (url.to_owned(), source.is_untrusted_tls());
            let source = Box::new(source);
            Err(match is_untrusted {
                true => RevertError::Unreachable { version, chip, url, source },
                false => RevertError::NotAsked { version, chip, url, source },
            })
        }
    }
}

/// The version under which the content came back already and is the newest there is.
fn returned<'a>(
    listed: &[Release],
    old: impl Iterator<Item = (&'a Release, &'a Vec<u8>)>,
    channel: &str,
) -> Result<Option<Version>, RevertError> {
    let mut found: Option<Version> = None;
    for (release, image) in old {
        let Some(newest) = newest(listed, release, channel) else { return Ok(None) };
        let Ok(version) = Version::parse(&newest.custom.version) else { return Ok(None) };
        let is_same = restated(release, image, &version)
            .is_ok_and(|image| Release::sha256_of(&image) == newest.sha256);
        if !is_same || found.as_ref().is_some_and(|other| *other != version) {
            return Ok(None);
        }
        found = Some(version);
    }
    Ok(found)
}

/// The highest version that any of these chips has in the channel.
fn highest(listed: &[Release], old: &[&Release], channel: &str) -> Option<Version> {
    old.iter()
        .filter_map(|release| newest(listed, release, channel))
        .filter_map(|newest| Version::parse(&newest.custom.version).ok())
        .max()
}

fn newest<'a>(listed: &'a [Release], of: &Release, channel: &str) -> Option<&'a Release> {
    siblings(listed, of, channel).max_by_key(|release| Version::parse(&release.custom.version).ok())
}

/// The releases of the same product for the same chip in a channel.
fn siblings<'a>(
    listed: &'a [Release],
    of: &Release,
    channel: &str,
) -> impl Iterator<Item = &'a Release> {
    listed.iter().filter(move |other| {
        other.custom.product == of.custom.product
            && other.custom.chip == of.custom.chip
            && other.custom.channels.iter().any(|name| name == channel)
    })
}

fn restated(release: &Release, image: &[u8], version: &Version) -> Result<Vec<u8>, RevertError> {
    if release.custom.version_source != VersionSource::AppDescriptor {
        // Its version is in the metadata alone, and no agent in it reads one.
        return Ok(image.to_vec());
    }
    let new = version.to_string();
    restate(image, &new).map_err(|source| {
        let (old, chip) = (release.custom.version.clone(), release.custom.chip);
        RevertError::Restate { old, chip, new, source }
    })
}

fn renewed(
    (release, image): (&Release, &Vec<u8>),
    version: &Version,
    channel: &str,
    percent: u8,
) -> Result<NewRelease, Failure> {
    let image = restated(release, image, version)?;
    let text = version.to_string();
    let custom = Custom {
        channels: vec![channel.to_owned()],
        version: text.clone(),
        rollout: Rollout { percent, seed: text },
        ..release.custom.clone()
    };
    Ok(NewRelease { image, custom })
}
