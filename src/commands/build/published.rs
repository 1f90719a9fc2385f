//! The newest published release of the same product, chip and channel, to compare an image with.
//!
//! Whatever is in the way of comparing is said, and fails nothing: a first build has no release,
//! and the store may be a disk that is not here.

use semver::Version;
use serde::Serialize;

use crate::commands::{Context, context};
use crate::config::Project;
use crate::error::Failure;
use crate::image::{self, Place};
use crate::release::repository::{RepositoryError, State, verify_images};
use crate::release::rules::Release;
use crate::release::store::Store;

/// A published image, and how much the new one differs from it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Published {
    /// Its version.
    pub(super) version: String,
    /// Its bytes.
    pub(super) size: u64,
    /// Bytes that the new image has more.
    pub(super) change: i64,
    /// The same by section; `None` where the old image is not in the store.
    pub(super) sections: Option<Vec<Change>>,
}

/// Bytes that a section has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Change {
    pub(super) section: Place,
    pub(super) change: i64,
}

/// What came of comparing: the release, and what was in the way.
pub(super) type Compared = (Option<Published>, Option<String>);

/// Compares sections of a new image with the newest published one.
pub(super) fn compare(
    context: &Context,
    project: &Project,
    root: &[u8],
    size: u64,
    sections: &[(Place, u64)],
) -> Compared {
    match newest(context, project, root) {
        Ok(None) => {
            let (chip, channel) = (project.chip.value, &project.channel.value);
            (None, Some(format!("nothing is published for {chip} in `{channel}`")))
        }
        Ok(Some((release, old))) => {
            let (old, obstacle) = match old {
                Ok(old) => (Some(image::sizes(&old, project.chip.value)), None),
                Err(error) => (None, Some(reason(&error.into()))),
            };
            let published = Published {
                version: release.custom.version,
                size: release.length,
                change: difference(size, release.length),
                sections: old.map(|old| changes(&old, sections)),
            };
            (Some(published), obstacle)
        }
        Err(failure) => (None, Some(reason(&failure))),
    }
}

/// An image in the store, where it is whole.
type OldImage = Result<Vec<u8>, RepositoryError>;

/// The newest release, and its image, or why that cannot be compared.
fn newest(
    context: &Context,
    project: &Project,
    root: &[u8],
) -> Result<Option<(Release, OldImage)>, Failure> {
    let store = context.store(project)?;
    context::runtime()?.block_on(async {
        // Sizes are as good after the metadata's time is over.
        let state = State::load_overdue(&store, root, context.now()).await?;
        let Some(release) = newest_of(state.releases(), project) else { return Ok(None) };
        let image = whole_image(&store, release).await;
        Ok(Some((release.clone(), image)))
    })
}

async fn whole_image(store: &Store, release: &Release) -> OldImage {
    verify_images(store, std::slice::from_ref(release)).await?;
    let path = release.image_path();
    store.read(&path).await?.ok_or(RepositoryError::ImageMissing(path))
}

fn newest_of<'a>(releases: &'a [Release], project: &Project) -> Option<&'a Release> {
    let (product, channel) = (project.product.value.as_str(), project.channel.value.as_str());
    releases
        .iter()
        .filter(|release| {
            let custom = &release.custom;
            custom.product == product
                && custom.chip == project.chip.value
                && custom.channels.iter().any(|name| name == channel)
        })
        .filter_map(|release| Some((Version::parse(&release.custom.version).ok()?, release)))
        .max_by(|(a, _), (b, _)| a.cmp(b))
        .map(|(_, release)| release)
}

/// By section, in their order: all that either image has.
fn changes(old: &[(Place, u64)], new: &[(Place, u64)]) -> Vec<Change> {
    let bytes = |sizes: &[(Place, u64)], place: Place| {
        sizes.iter().find(|(it, _)| *it == place).map_or(0, |(_, bytes)| *bytes)
    };
    let mut places: Vec<Place> = old.iter().chain(new).map(|(place, _)| *place).collect();
    places.sort_unstable();
    places.dedup();
    let change =
        |section| Change { section, change: difference(bytes(new, section), bytes(old, section)) };
    places.into_iter().map(change).collect()
}

fn difference(new: u64, old: u64) -> i64 {
    let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
    signed(new).saturating_sub(signed(old))
}

/// A failure in one line.
fn reason(failure: &Failure) -> String {
    let mut text = failure.to_string();
    for cause in failure.causes() {
        text.push_str(": ");
        text.push_str(&cause);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_that_came_or_went_are_changes_too() {
        let old = [(Place::FlashCode, 1000), (Place::Rtc, 16), (Place::Format, 100)];
        let new = [(Place::FlashCode, 900), (Place::RamData, 8), (Place::Format, 100)];
        let found: Vec<(Place, i64)> =
            changes(&old, &new).into_iter().map(|it| (it.section, it.change)).collect();
        assert_eq!(
            found,
            [(Place::FlashCode, -100), (Place::RamData, 8), (Place::Rtc, -16), (Place::Format, 0),]
        );
    }
}
