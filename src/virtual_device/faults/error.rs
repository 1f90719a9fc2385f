//! Why no fault could be tried at all.

use crate::agent::image::ImageError;
use crate::error::{Exit, Explained};
use crate::release::repository::RepositoryError;
use crate::release::store::StoreError;

/// Why the rehearsal of faults did not begin, or a single case could not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// There is nothing to install.
    #[error("nothing is published for this product, chip and channel")]
    NoRelease,
    /// A published file is no image.
    #[error("the published image of {version} would not boot")]
    Image {
        /// Its version.
        version: String,
        /// Why.
        source: ImageError,
    },
    /// An older image could not be made from the only one there is.
    #[error("no image under a lower version can be made from {version}")]
    NotDerived {
        /// The version of the only one.
        version: String,
    },
    /// No temporary folder.
    #[error("no temporary folder could be made")]
    Folder(#[source] std::io::Error),
    /// The repository of the rehearsal could not be made.
    #[error("the rehearsal's own repository could not be made")]
    Repository(#[from] RepositoryError),
    /// The repository of the rehearsal could not be written.
    #[error("the rehearsal's own repository could not be written")]
    Store(#[from] StoreError),
    /// A device with this table cannot be set up.
    #[error("a device cannot be brought to `{place}`: {reason}")]
    Start {
        /// Scenario, bootloader and table.
        place: String,
        /// What stands in the way.
        reason: String,
    },
    /// The fault of a seed is never reached.
    #[error("`{seed}` plans a fault that this project's update never meets")]
    Unreached {
        /// The case.
        seed: String,
    },
}

impl Explained for FaultsError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoRelease | Self::Start { .. } => Exit::Rejected,
            Self::Image { .. } | Self::NotDerived { .. } => Exit::Project,
            Self::Folder(_) => Exit::Output,
            Self::Repository(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::Unreached { .. } => Exit::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoRelease => Some("publish with `cargo esp-ota publish` first".into()),
            Self::Image { .. } | Self::NotDerived { .. } => {
                Some("build it again with `cargo esp-ota build`, then publish it".into())
            }
            Self::Start { .. } => {
                Some("check the table with `cargo esp-ota partitions check`".into())
            }
            Self::Folder(_) => Some("set `TMPDIR` to a folder that can be written".into()),
            Self::Repository(_) | Self::Store(_) => None,
            Self::Unreached { .. } => Some(
                "take a seed that `cargo esp-ota rehearse --faults` names for this project: it \
                     holds for one project and one version of the tool"
                    .into(),
            ),
        }
    }
}
