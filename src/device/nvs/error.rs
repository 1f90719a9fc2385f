//! Why settings cannot be written into an NVS partition, and what to do about it.

use crate::agent::settings::Problem;
use crate::error::{Exit, Explained};

/// The settings cannot be written, or what is there cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum NvsError {
    #[error("`nvs` has {0:#x} bytes, and has to be made of pages of 0x1000")]
    Size(usize),
    #[error("`nvs` has one page, and NVS needs one more to write anything")]
    OnePage,
    #[error("`nvs` is encrypted: nothing that is in it can be read")]
    Encrypted,
    #[error("`nvs` is damaged at {offset:#x}: {what}")]
    Damaged { offset: usize, what: &'static str },
    #[error("`nvs` has no room for the settings beside what others keep there")]
    Full,
    #[error("`{key}`, which somebody else keeps in `nvs`, would not survive")]
    Loses { key: String },
    #[error(
        "`nvs` holds the name `wifi_psk` for somebody else, so the device would take its \
         passphrase for lost and not join an open network"
    )]
    Trace,
    #[error("the device would not use what was written: {0}")]
    Unused(Problem),
}

impl Explained for NvsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Size(_)
            | Self::OnePage
            | Self::Encrypted
            | Self::Damaged { .. }
            | Self::Full
            | Self::Loses { .. }
            | Self::Trace
            | Self::Unused(_) => Exit::Rejected,
        }
    }

    fn help(&self) -> Option<String> {
        Some(
            match self {
                Self::Size(_) | Self::OnePage => {
                    "give `nvs` 0x5000 bytes or more in the partition table"
                }
                Self::Encrypted => {
                    "flash without settings and leave it as it is: the update agent has no use \
                     for an encrypted one; `--erase nvs` gives up all that is in it"
                }
                Self::Damaged { .. } | Self::Loses { .. } => {
                    "flash without settings to leave it as it is, or give up all that is in it \
                     with `--erase nvs`"
                }
                Self::Full => {
                    "make `nvs` larger in the partition table, or give up all that is in it with \
                     `--erase nvs`"
                }
                Self::Trace => {
                    "give the network a passphrase, or give up all that is in `nvs` with \
                     `--erase nvs`"
                }
                Self::Unused(_) => "give up all that is in `nvs` with `--erase nvs`",
            }
            .into(),
        )
    }
}
