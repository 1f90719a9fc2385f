//! What a rehearsed device did, step by step.

use std::fmt;

use serde::Serialize;

use crate::virtual_device::bootloader::{Rollback, Target};

/// What kind of boot it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// The image was confirmed before.
    Settled,
    /// The image has to confirm itself, or the next reset falls back.
    Trial,
    /// No valid entry selects the image.
    LastResort,
}

impl From<crate::agent::trial::Boot> for Boot {
    fn from(boot: crate::agent::trial::Boot) -> Self {
        match boot {
            crate::agent::trial::Boot::Settled => Self::Settled,
            crate::agent::trial::Boot::Trial(_) => Self::Trial,
            crate::agent::trial::Boot::LastResort => Self::LastResort,
        }
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settled => "confirmed",
            Self::Trial => "on trial",
            Self::LastResort => "as the last resort",
        })
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Step {
    /// The bootloader started a slot, and the agent found out what boot this is.
    Booted {
        /// What was started.
        target: Target,
        /// The version in it.
        version: String,
        /// What kind of boot it is.
        boot: Boot,
    },
    /// The metadata passed every check of the agent.
    Verified {
        /// Version of the TUF root in force.
        root: u64,
    },
    /// A newer release was found and is downloaded.
    Found {
        /// Its version.
        version: String,
        /// Its bytes.
        size: u32,
    },
    /// The release is in its slot, read back and verified, and `otadata` selects it.
    Installed {
        /// Its version.
        version: String,
        /// Its slot.
        slot: u32,
    },
    /// The repository has nothing newer for this device.
    UpToDate,
    /// What follows happens with this bootloader, on a copy of the flash as it is now.
    Bootloader {
        /// Whether it can roll back.
        rollback: bool,
    },
    /// The bootloader starts the slot. What the image does then is not known: it has no agent.
    Started {
        /// What was started.
        target: Target,
    },
    /// The image on trial reached the repository, as its firmware has to before it confirms.
    Reached {
        /// Whether the way was TLS with the roots that this image pins, and not the store itself.
        tls: bool,
    },
    /// The image on trial was confirmed.
    Confirmed,
    /// Without a confirmation, the reset after the trial started the old image.
    FellBack {
        /// What was started.
        target: Target,
        /// The version in it.
        version: String,
    },
}

impl Step {
    /// What follows happens with this bootloader.
    pub(super) fn bootloader(rollback: Rollback) -> Self {
        Self::Bootloader { rollback: rollback == Rollback::On }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booted { target, version, boot } => {
                write!(f, "{target} starts, {version}, {boot}")
            }
            Self::Verified { root } => write!(f, "metadata verified, root {root}"),
            Self::Found { version, size } => write!(f, "{version} is newer, {size} bytes"),
            Self::Installed { version, slot } => {
                write!(f, "{version} is in ota_{slot}, read back and verified; otadata selects it")
            }
            Self::UpToDate => f.write_str("nothing newer for this device"),
            Self::Bootloader { rollback: true } => f.write_str("bootloader with rollback:"),
            Self::Bootloader { rollback: false } => f.write_str("bootloader without rollback:"),
            Self::Started { target } => write!(f, "{target} starts"),
            Self::Reached { tls: true } => f.write_str("the server is reached with its roots"),
            Self::Reached { tls: false } => f.write_str("the repository is reached, without TLS"),
            Self::Confirmed => f.write_str("confirmed"),
            Self::FellBack { target, version } => {
                write!(f, "had it not confirmed: {target} starts, {version}")
            }
        }
    }
}
