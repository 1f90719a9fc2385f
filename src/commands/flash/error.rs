//! Why nothing is flashed.

use std::path::PathBuf;

use crate::device::install::InstallError;
use crate::error::{Exit, Explained, Location};
use crate::image::inspect::Unfit;

/// The command cannot be carried out, on whatever device.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// It is no app image that the chip could boot; the words are those of `inspect`.
    #[error("`{}` is not flashed", file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Unfit,
    },
    /// There is no image in the file.
    #[error("`{}` holds no app image", .0.display())]
    NoImage(PathBuf),
    /// The settings may be torn.
    #[error("the settings were being written when it failed")]
    BrokenOff {
        /// Where they are kept.
        kept: PathBuf,
        /// Why.
        source: InstallError,
    },
    /// One board was named twice.
    #[error("`{0}` is named twice")]
    Twice(String),
    /// What is watched is one device, and by people.
    #[error("`--monitor` is for one device, and for people to read")]
    MonitorOne,
    /// Nobody can say yes.
    #[error("`--erase` asks first, and there is nobody to ask")]
    NobodyToAsk,
    /// Somebody said no.
    #[error("nothing was erased, and nothing flashed")]
    NotErased,
}

impl Explained for FlashError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unfit { .. } | Self::NoImage(_) | Self::NotErased => Exit::Rejected,
            Self::BrokenOff { source, .. } => source.exit(),
            Self::NobodyToAsk | Self::Twice(_) | Self::MonitorOne => Exit::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unfit { source, .. } => source.help(),
            Self::NoImage(_) => Some("build it anew: `cargo esp-ota build`".into()),
            Self::BrokenOff { kept, .. } => Some(format!(
                "run the command again: what was in `nvs` is kept in `{}`, and the next run starts \
                 from there",
                kept.display()
            )),
            Self::Twice(_) => Some("name each board once".into()),
            Self::MonitorOne => Some(
                "run `cargo esp-ota monitor` afterwards, for each device, or with `--format json`"
                    .into(),
            ),
            Self::NobodyToAsk => Some("pass `--yes` as well".into()),
            Self::NotErased => None,
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Unfit { file, .. } | Self::NoImage(file) => {
                Some(Location { file: file.clone(), line: None, column: None })
            }
            Self::BrokenOff { .. }
            | Self::Twice(_)
            | Self::NobodyToAsk
            | Self::NotErased
            | Self::MonitorOne => None,
        }
    }
}
