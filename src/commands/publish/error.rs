//! Why something is not published.

use std::path::PathBuf;

use crate::chip::Chip;
use crate::error::{Exit, Explained, Location};
use crate::image::inspect::Unfit;
use crate::virtual_device::rehearsal::RehearsalError;

/// Why an image, or a change of the metadata, is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is no app image of this project that a device could boot; the words are those of
    /// `inspect`.
    #[error("`{}` must not be published", file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Unfit,
    },
    /// The image states no version, or another than was given.
    #[error("the image states version `{stated}`, not `{given}`")]
    Version {
        /// In the app descriptor.
        stated: String,
        /// On the command line.
        given: String,
    },
    /// Images of one release have one version.
    #[error("`{}` has version `{version}`, and `{}` has `{other_version}`", file.display(), other.display())]
    Versions {
        /// An image.
        file: PathBuf,
        /// Its version.
        version: String,
        /// Another.
        other: PathBuf,
        /// Its version.
        other_version: String,
    },
    /// A release has one image for a chip.
    #[error("`{}` and `{}` are both for {chip}", file.display(), other.display())]
    SameChip {
        /// An image.
        file: PathBuf,
        /// Another.
        other: PathBuf,
        /// What both run on.
        chip: Chip,
    },
    /// The project changed its agent.
    #[error(
        "the project's own agent in `src/ota` cannot be rehearsed: it differs from this tool's"
    )]
    AgentDrift,
    /// The public URL cannot be asked.
    #[error("`esp-ota.toml` names no URL to verify the release from")]
    NoUrl,
    /// The public URL does not show what was written to the store.
    #[error("`{url}` {} the staged timestamp that was just written to `{store}`", verb(*.status))]
    NotSeen {
        /// What devices read.
        url: String,
        /// Where `publish` writes.
        store: String,
        /// The answer, where it is no file.
        status: Option<u16>,
    },
    /// The device's own agent would not end up with it.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
}

fn verb(status: Option<u16>) -> String {
    status.map_or("serves other bytes than".to_owned(), |status| {
        format!("answers {status} instead of giving")
    })
}

impl Explained for PublishError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unfit { source, .. } => source.exit(),
            Self::Version { .. }
            | Self::Versions { .. }
            | Self::SameChip { .. }
            | Self::AgentDrift
            | Self::NotSeen { .. } => Exit::Rejected,
            Self::NoUrl => Exit::Project,
            Self::Rehearsal(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unfit { source, .. } => source.help(),
            Self::Version { .. } => Some("leave `--release-version` out".into()),
            Self::Versions { .. } => Some("publish them one after the other".into()),
            Self::SameChip { .. } => Some("name one image for each chip".into()),
            Self::AgentDrift => Some(
                "test it on devices, then pass `--accept-agent-drift`; the release will say so"
                    .into(),
            ),
            Self::NoUrl => {
                Some("set `url` under `[release]` in `esp-ota.toml`, or pass `--url`".into())
            }
            Self::NotSeen { .. } => Some(
                "let the URL serve what the store holds, and keep `metadata/timestamp.json` and \
                 `metadata/staged/` out of caches; nothing was promoted"
                    .into(),
            ),
            Self::Rehearsal(_) => {
                Some("nothing was promoted: devices still see what they saw before".into())
            }
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Unfit { file, .. } => {
                Some(Location { file: file.clone(), line: None, column: None })
            }
            Self::Version { .. }
            | Self::Versions { .. }
            | Self::SameChip { .. }
            | Self::AgentDrift
            | Self::NoUrl
            | Self::NotSeen { .. } => None,
            Self::Rehearsal(error) => error.location(),
        }
    }
}
