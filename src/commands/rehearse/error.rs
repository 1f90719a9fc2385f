//! Why there is nothing to rehearse.

use crate::error::{Exit, Explained};
use crate::virtual_device::rehearsal::RehearsalError;

/// A rehearsal that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum RehearseError {
    /// The project's table has no `nvs` partition.
    #[error("the partition table has no writable `nvs` partition for the agent")]
    NoNvs,
    /// There is no URL to read from.
    #[error("the project says no URL that devices read")]
    NoUrl,
    /// No publish was interrupted.
    #[error("nothing is staged in {0}")]
    NotStaged(String),
    /// Nothing for this kind of device is published.
    #[error("{place} has no release of `{product}` for {chip} in `{channel}`")]
    Nothing {
        /// Where.
        place: String,
        /// The product.
        product: String,
        /// The chip.
        chip: String,
        /// The channel.
        channel: String,
    },
    /// The start that was asked for is not there.
    #[error("`{version}` is not among the published releases: {}", published.join(", "))]
    NotPublished {
        /// The version asked for.
        version: String,
        /// What is published.
        published: Vec<String>,
    },
    /// The list of releases could not be had, or not be believed.
    #[error("the published releases cannot be read")]
    List(#[source] RehearsalError),
}

impl Explained for RehearseError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoNvs | Self::NoUrl => Exit::Project,
            Self::NotStaged(_) | Self::Nothing { .. } | Self::NotPublished { .. } => Exit::Rejected,
            Self::List(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoNvs => Some("add one of 0x5000 bytes or more".into()),
            Self::NoUrl => {
                Some("set `url = \"https://…\"` under `[release]` in `esp-ota.toml`".into())
            }
            Self::NotStaged(_) => {
                Some("leave `--staged` out to rehearse what devices see now".into())
            }
            Self::Nothing { .. } => {
                Some("publish a release: `cargo esp-ota publish` rehearses it on its way".into())
            }
            Self::NotPublished { .. } => Some("name one of these, or `none`".into()),
            Self::List(error) => error.help(),
        }
    }
}
