//! Why the content of an older release is not brought back.

use std::path::PathBuf;

use crate::chip::Chip;
use crate::commands::rollout::RolloutError;
use crate::error::{Exit, Explained, Location};
use crate::image::RestateError;
use crate::image::inspect::Unfit;
use crate::virtual_device::rehearsal::RehearsalError;

/// A release that would not do under a new version.
#[derive(Debug, thiserror::Error)]
pub(super) enum RevertError {
    #[error(transparent)]
    Pick(RolloutError),
    #[error(
        "`{version}` is the newest release for {chip} in `{channel}`: there is nothing to revert"
    )]
    Newest { version: String, chip: Chip, channel: String },
    #[error(
        "`{version}` for {chip} has another agent than this tool, so nobody knows whether it takes \
         its version from its image"
    )]
    Agent { version: String, chip: Chip },
    #[error("`{version}` for {chip} does not state its version, so an agent in it knows no other")]
    NoVersion { version: String, chip: Chip },
    #[error(
        "`{version}` for {chip} has secure version {found}, and `{newer}` raised it to {needed}: \
         a bootloader with anti-rollback starts nothing below that any more"
    )]
    SecureVersion { version: String, chip: Chip, found: u32, newer: String, needed: u32 },
    #[error("`{version}` for {chip} pins none of the roots that the project pins now")]
    NoRoot { version: String, chip: Chip },
    #[error("`{version}` for {chip} does not pin {}", .missing.join(", "))]
    Unseen { version: String, chip: Chip, missing: Vec<String> },
    #[error("the roots that `{version}` for {chip} pins do not lead to `{url}`")]
    Unreachable { version: String, chip: Chip, url: String, source: Box<RehearsalError> },
    #[error("`{url}` cannot be asked with the roots that `{version}` for {chip} pins")]
    NotAsked { version: String, chip: Chip, url: String, source: Box<RehearsalError> },
    #[error("`{}` must not be published again", image.display())]
    Unfit { image: PathBuf, source: Unfit },
    #[error("the image of `{old}` for {chip} cannot be made `{new}`")]
    Restate { old: String, chip: Chip, new: String, source: RestateError },
}

impl Explained for RevertError {
    fn exit(&self) -> Exit {
        match self {
            Self::Pick(error) => error.exit(),
            Self::Newest { .. }
            | Self::Agent { .. }
            | Self::NoVersion { .. }
            | Self::SecureVersion { .. }
            | Self::NoRoot { .. }
            | Self::Unseen { .. }
            | Self::Restate { .. } => Exit::Rejected,
            Self::Unreachable { source, .. } | Self::NotAsked { source, .. } => source.exit(),
            Self::Unfit { source, .. } => source.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Pick(error) => error.help(),
            Self::Newest { .. } => Some("name an older one: `cargo esp-ota rollout show`".into()),
            Self::Agent { .. } => Some(
                "build its source again with this tool's agent and a newer version; or try it on a \
                 device, then pass `--accept-agent-drift`"
                    .into(),
            ),
            Self::NoVersion { .. } => {
                Some("build its source again under a newer version, and publish that".into())
            }
            Self::SecureVersion { needed, .. } => Some(format!(
                "build its source again with secure version {needed} and a newer version"
            )),
            Self::NoRoot { .. } | Self::Unreachable { .. } => Some(
                "devices that take it could never update again: build its source again with the \
                 roots of now and a newer version"
                    .into(),
            ),
            Self::Unseen { .. } => Some(
                "let its own roots be tried on the public URL: pass `--public`".into(),
            ),
            Self::NotAsked { source, .. } => source.help(),
            Self::Unfit { source, .. } => source.help(),
            Self::Restate { source: RestateError::TooLong(_), .. } => {
                Some("choose a shorter one with `--release-version`".into())
            }
            Self::Restate { .. } => None,
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Unreachable { source, .. } | Self::NotAsked { source, .. } => source.location(),
            Self::Pick(_)
            | Self::Newest { .. }
            | Self::Agent { .. }
            | Self::NoVersion { .. }
            | Self::SecureVersion { .. }
            | Self::NoRoot { .. }
            | Self::Unseen { .. }
            | Self::Unfit { .. }
            | Self::Restate { .. } => None,
        }
    }
}
