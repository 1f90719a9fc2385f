//! Why there is nothing to run on an emulated chip.

use std::path::PathBuf;

use crate::agent::image::ImageError;
use crate::chip::Chip;
use crate::error::{Exit, Explained, Location};

/// A rehearsal on an emulated chip that the project is not ready for.
#[derive(Debug, thiserror::Error)]
pub(super) enum EmulateError {
    /// The bootloader would refuse the image.
    #[error("`{}` would not boot", file.display())]
    Image {
        /// The image.
        file: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// Neither built nor published.
    #[error("there is no image of `{product}` for {chip}: none is built, and none published")]
    NoImage {
        /// The product.
        product: String,
        /// The chip.
        chip: String,
    },
    /// Every release is halted.
    #[error("no release is given to any device")]
    Halted,
    /// The release has no agent that could arm a trial.
    #[error("{0} has no update agent, so it has no trial to arm")]
    NoAgent(String),
    /// The firmware cannot be built for an emulated chip.
    #[error("the firmware has no feature `emulator` in `{}`", .0.display())]
    NoFeature(PathBuf),
    /// The feature is for another chip.
    #[error("the feature `emulator` is for `{emulated}`, not for `{chip}`")]
    NoEthernet {
        /// The project's chip.
        chip: Chip,
        /// The chip that has it.
        emulated: Chip,
    },
    /// There is no firmware.
    #[error("there is no firmware: `{}` is missing", .0.display())]
    NoFirmware(PathBuf),
    /// The manifest is no TOML.
    #[error("`{}` cannot be read as a manifest", file.display())]
    Manifest {
        /// The manifest.
        file: PathBuf,
        /// Why.
        source: Box<toml_edit::TomlError>,
    },
    /// The manifest takes something from a workspace.
    #[error("`{}` takes `{key}` from its workspace, and a copy of it has none", file.display())]
    Workspace {
        /// The manifest.
        file: PathBuf,
        /// What it takes.
        key: String,
    },
    /// The manifest states no version.
    #[error("`{}` states no semantic version", .0.display())]
    Version(PathBuf),
    /// The image that was built states another version.
    #[error("the firmware was built as {expected}, but its image states `{found}`")]
    OtherVersion {
        /// What the manifest says.
        expected: String,
        /// What the image says.
        found: String,
    },
}

/// The way out where only the second half of the rehearsal is impossible.
const BOOT_ONLY: &str = "pass `--boot-only` to boot the image without a whole update";

impl Explained for EmulateError {
    fn exit(&self) -> Exit {
        match self {
            Self::Image { .. } | Self::NoImage { .. } | Self::Halted | Self::NoAgent(_) => {
                Exit::Rejected
            }
            Self::NoFeature(_)
            | Self::NoEthernet { .. }
            | Self::NoFirmware(_)
            | Self::Manifest { .. }
            | Self::Workspace { .. }
            | Self::Version(_)
            | Self::OtherVersion { .. } => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Image { .. } => Some("make the image with `cargo esp-ota build`".into()),
            Self::NoImage { .. } => Some("build one first: `cargo esp-ota build`".into()),
            Self::Halted => Some("name an image, or build one".into()),
            Self::NoAgent(_) => Some("try it on a board".into()),
            Self::NoFeature(_)
            | Self::NoEthernet { .. }
            | Self::NoFirmware(_)
            | Self::Workspace { .. }
            | Self::Version(_) => Some(BOOT_ONLY.into()),
            Self::Manifest { .. } => Some("`cargo check` says more".into()),
            Self::OtherVersion { .. } => {
                Some("leave the version of the app descriptor to `esp_app_desc!()`".into())
            }
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Image { file, .. }
            | Self::NoFeature(file)
            | Self::NoFirmware(file)
            | Self::Manifest { file, .. }
            | Self::Workspace { file, .. }
            | Self::Version(file) => {
                Some(Location { file: file.clone(), line: None, column: None })
            }
            Self::NoImage { .. }
            | Self::Halted
            | Self::NoAgent(_)
            | Self::NoEthernet { .. }
            | Self::OtherVersion { .. } => None,
        }
    }
}
