//! Why there is no virtual board.

use std::io;

use crate::error::{Exit, Explained};

/// The pseudo-terminal does not work.
#[derive(Debug, thiserror::Error)]
pub enum VirtualDeviceError {
    /// The system has none.
    #[error("this system has no pseudo-terminals")]
    NoPty,
    /// It could not be opened.
    #[error("no pseudo-terminal could be opened")]
    Open(#[source] io::Error),
    /// Reading or writing failed.
    #[error("the pseudo-terminal failed")]
    Line(#[source] io::Error),
}

impl Explained for VirtualDeviceError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoPty | Self::Open(_) | Self::Line(_) => Exit::Device,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoPty => {
                Some("run it on Linux or macOS, or give `slots` a dump: `--image`".into())
            }
            Self::Open(_) => Some("check that `/dev/pts` is mounted, and its limits".into()),
            Self::Line(_) => None,
        }
    }
}
