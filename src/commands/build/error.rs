//! Why there is no image, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::trouble::Trouble;
use crate::agent::image::ImageError;
use crate::error::{Exit, Explained};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no TUF root to embed.
    #[error("there is no `{}`: the firmware could not verify any release", .0.display())]
    NoRoot(PathBuf),
    /// Cargo could not be started.
    #[error("`{}` could not be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Cargo failed; its own words are on standard error.
    #[error("`cargo build` failed")]
    Cargo,
    /// Cargo failed, because something is not installed.
    #[error("`cargo build` failed: {0}")]
    Toolchain(Trouble),
    /// More or fewer than one program was built.
    #[error("`cargo build` made {0} programs, not one")]
    Programs(usize),
    /// The image does not fit a slot.
    #[error("the image has {image} bytes, but slot `{slot}` has {room}: {} too many", image.saturating_sub(*room))]
    TooLarge {
        /// Bytes of the image.
        image: u32,
        /// Name of the slot.
        slot: String,
        /// Bytes of the slot.
        room: u32,
        /// A slot that it does fit.
        fits: Option<String>,
    },
    /// The image is not what the bootloader wants.
    #[error("the image made from `{}` would not boot", file.display())]
    Image {
        /// The ELF file.
        file: PathBuf,
        /// Why.
        source: ImageError,
    },
}

impl Explained for BuildError {
    fn exit(&self) -> Exit {
        match self {
            Self::TooLarge { .. } => Exit::Rejected,
            Self::NoRoot(_)
            | Self::Start { .. }
            | Self::Cargo
            | Self::Toolchain(_)
            | Self::Programs(_)
            | Self::Image { .. } => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoRoot(_) => Some("make signing keys with `cargo esp-ota keys new`".into()),
            Self::TooLarge { fits: None, .. } => {
                Some("make the program smaller, or the slots larger in the partition table".into())
            }
            Self::TooLarge { slot, fits: Some(fits), .. } => Some(format!(
                "make `{slot}` as large as `{fits}`, which it fits: updates take turns in the slots"
            )),
            Self::Toolchain(trouble) => Some(trouble.help()),
            Self::Programs(_) => Some("choose one: `cargo esp-ota build -- --bin NAME`".into()),
            Self::Start { .. } => {
                Some("install Rust from https://rustup.rs, or set `CARGO` to your cargo".into())
            }
            Self::Cargo | Self::Image { .. } => None,
        }
    }
}
