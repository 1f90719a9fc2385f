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
    /// There is nothing to sign again.
    #[error("nothing is published in `{0}`, so there is nothing to sign again")]
    NothingToRefresh(String),
    /// The public URL cannot be asked.
    #[error("`esp-ota.toml` names no URL to verify the release from")]
    NoUrl,
    /// The public URL does not show what was written to the store.
    #[error("`{url}` {} the staged timestamp that was written to `{store}`", verb(*.status))]
    NotSeen {
        /// What devices read.
        url: String,
        /// Where `publish` writes.
        store: String,
        /// The answer, where it is no file.
        status: Option<u16>,
    },
    /// The public URL cannot be read as devices read it.
    #[error("`{url}` cannot be read as devices read it")]
    Outside {
        /// What devices read.
        url: String,
        /// Why.
        source: Box<RehearsalError>,
    },
    /// The device's own client does not believe the new metadata.
    #[error("devices would not read the new metadata")]
    Unread(#[source] Box<RehearsalError>),
    /// The device's own agent would not end up with it.
    #[error(
        "{chip} devices {} would not end up with the release",
        from.as_ref().map_or("without a release".to_owned(), |from| format!("that run `{from}`"))
    )]
    Rehearsal {
        /// The device's chip.
        chip: Chip,
        /// What it runs.
        from: Option<String>,
        /// Why.
        source: Box<RehearsalError>,
    },
}

impl PublishError {
    pub(super) fn outside(url: &str, source: RehearsalError) -> Self {
        Self::Outside { url: url.to_owned(), source: Box::new(source) }
    }
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
            | Self::NothingToRefresh(_)
            | Self::NotSeen { .. } => Exit::Rejected,
            Self::NoUrl => Exit::Project,
            Self::Outside { source, .. }
            | Self::Unread(source)
            | Self::Rehearsal { source, .. } => source.exit(),
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
            Self::NothingToRefresh(_) => Some("publish a release: `cargo esp-ota publish`".into()),
            Self::NoUrl => {
                Some("set `url` under `[release]` in `esp-ota.toml`, or pass `--url`".into())
            }
            Self::NotSeen { .. } => Some(
                "let the URL serve what the store holds, and keep `metadata/timestamp.json` and \
                 `metadata/staged/` out of caches; nothing was promoted"
                    .into(),
            ),
            Self::Outside { source, .. }
            | Self::Unread(source)
            | Self::Rehearsal { source, .. } => {
                let help = source.help().map_or(String::new(), |help| format!("{help}; "));
                Some(format!("{help}nothing was promoted: devices see what they saw before"))
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
            | Self::NothingToRefresh(_)
            | Self::NoUrl
            | Self::NotSeen { .. } => None,
            Self::Outside { source, .. }
            | Self::Unread(source)
            | Self::Rehearsal { source, .. } => source.location(),
        }
    }
}
