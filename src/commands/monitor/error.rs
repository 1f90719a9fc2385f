//! Why a watch did not end well.

use std::path::PathBuf;

use crate::error::{Exit, Explained};
use crate::monitor::{SymbolsError, Until};

/// What was waited for was not seen, or the watch could not begin.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum MonitorError {
    #[error("`{until}` was not seen within {seconds} s")]
    NotSeen { until: Until, seconds: u64, was_silent: bool },
    #[error("`{until}` will not be seen any more: {instead}")]
    Opposite { until: Until, instead: String },
    #[error("stopped before `{0}` was seen")]
    Stopped(Until),
    #[error("addresses cannot be looked up in `{}`", file.display())]
    Symbols { file: PathBuf, source: SymbolsError },
}

impl Explained for MonitorError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotSeen { .. } | Self::Opposite { .. } | Self::Stopped(_) => Exit::Rejected,
            Self::Symbols { .. } => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotSeen { was_silent: true, .. } => {
                Some("nothing came at all: check the board's power, the port and `--baud`".into())
            }
            Self::NotSeen { .. } => {
                Some("see above what the device said, or give it a longer `--timeout`".into())
            }
            Self::Opposite { .. } => Some("see above what the device said before".into()),
            Self::Stopped(_) => None,
            Self::Symbols { .. } => Some("name the ELF file that cargo has built: `--elf`".into()),
        }
    }
}
