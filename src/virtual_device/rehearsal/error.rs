//! Why a rehearsal did not end well, and whose fault that is.

use std::fmt;

use super::source::{Trouble, Wire};
use crate::agent::agent::Error;
use crate::agent::install::InstallError;
use crate::agent::ports::TransportError;
use crate::agent::tuf;
use crate::error::{Exit, Explained, Location};
use crate::release::repository::RepositoryError;
use crate::release::store::StoreError;
use crate::virtual_device::StartFault;
use crate::virtual_device::bootloader::Target;
use crate::virtual_device::flash::FlashFault;
use crate::virtual_device::tls_transport::TransportSetupError;

/// A release that devices could not, must not or would not install.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The agent refused the repository or the image.
    #[error("the device's agent does not take the release (`{}`)", .0.error.code())]
    Refused(#[source] AgentFailure),
    /// The agent found nothing to install.
    #[error(
        "the device's agent finds no newer release than `{running}`, and should find `{expected}`"
    )]
    NotFound {
        /// The version that runs.
        running: String,
        /// The version that it should find.
        expected: String,
    },
    /// The agent installed something else.
    #[error("the device's agent installs `{found}`, not `{expected}`")]
    Another {
        /// What it installed.
        found: String,
        /// What it should have installed.
        expected: String,
    },
    /// The bootloader would not start what was installed.
    #[error("after the install the bootloader would start `{target}`, not `ota_{slot}`")]
    Unbootable {
        /// What it would start.
        target: Target,
        /// What was installed.
        slot: u32,
    },
    /// The release states another version in its image than in the metadata, or was not settled.
    #[error("`{version}` is confirmed, and the device installs `{again}` again and again")]
    Again {
        /// The version that was installed.
        version: String,
        /// What is installed next.
        again: String,
    },
    /// What should be on trial or confirmed is not.
    #[error("`{version}` should be {expected} and runs {found}")]
    Boot {
        /// The version that runs.
        version: String,
        /// What kind of boot it should be.
        expected: super::step::Boot,
        /// What kind of boot it is.
        found: super::step::Boot,
    },
    /// The device did not start.
    #[error("the virtual device does not start")]
    Start(#[source] StartFault),
    /// The agent cannot look back at what it did before.
    #[error("the device's agent cannot read its memory")]
    Memory(#[source] Error),
    /// The first image does not fit the project's table.
    #[error("`{version}` cannot be flashed into the first slot of the project's table")]
    Flash {
        /// The version.
        version: String,
        /// Why.
        source: FlashFault,
    },
    /// The image that the device starts with is not what was signed.
    #[error("`{path}` is not the file that was signed (SHA-256 `{found}`)")]
    Damaged {
        /// Path below the repository's URL.
        path: String,
        /// Digest of what is there.
        found: String,
    },
    /// A file that the metadata lists could not be had.
    #[error("`{path}` is listed in the metadata, and the answer to a request for it is {status}")]
    Missing {
        /// Path below the repository's URL.
        path: String,
        /// HTTP status.
        status: u16,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Verified metadata says something that this version does not understand.
    #[error(transparent)]
    Listing(#[from] RepositoryError),
    /// The way to the server could not be set up.
    #[error(transparent)]
    Setup(#[from] TransportSetupError),
}

/// What the agent says, and what is known beyond that.
#[derive(Debug)]
pub struct AgentFailure {
    /// The agent's word.
    pub error: Error,
    reason: Option<String>,
}

impl fmt::Display for AgentFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for AgentFailure {}

impl RehearsalError {
    /// The agent failed, and this was its wire.
    pub(super) fn refused(error: Error, wire: Wire<'_>) -> Self {
        match wire.trouble() {
            Some(Trouble::Store(error)) => Self::Store(error),
            Some(Trouble::Network(reason)) => {
                Self::Refused(AgentFailure { error, reason: Some(reason) })
            }
            None => Self::Refused(AgentFailure { error, reason: None }),
        }
    }

    /// Whether the server could not prove who it is.
    pub fn is_untrusted_tls(&self) -> bool {
        let Self::Refused(failure) = self else { return false };
        matches!(
            failure.error,
            Error::Metadata(tuf::Error::Transport(TransportError::Untrusted))
                | Error::Install(InstallError::Transport(TransportError::Untrusted))
        )
    }

    /// A request of ours failed, and this was its wire.
    pub(super) fn transport(error: TransportError, wire: Wire<'_>) -> Self {
        Self::refused(Error::Metadata(error.into()), wire)
    }
}

impl Explained for RehearsalError {
    fn exit(&self) -> Exit {
        match self {
            Self::Refused(failure) => exit(&failure.error),
            Self::Damaged { .. } => Exit::Trust,
            Self::Memory(_) => Exit::Project,
            Self::NotFound { .. }
            | Self::Another { .. }
            | Self::Unbootable { .. }
            | Self::Again { .. }
            | Self::Boot { .. }
            | Self::Missing { .. } => Exit::Rejected,
            Self::Flash { .. } => Exit::Project,
            Self::Start(fault) => match fault {
                StartFault::NoStore => Exit::Project,
                StartFault::PowerCut
                | StartFault::Unbootable
                | StartFault::NoAgent
                | StartFault::NoVersion => Exit::Rejected,
            },
            Self::Store(error) => error.exit(),
            Self::Listing(error) => error.exit(),
            Self::Setup(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Refused(_) if self.is_untrusted_tls() => Some(
                "serve it under a root that these devices pin: a new root reaches them with a \
                 release, and no release without a root they have"
                    .into(),
            ),
            Self::Refused(failure) if failure.error.is_trust() => Some(
                "every device refuses this too; if nobody attacks you, `cargo esp-ota publish` \
                 signs everything again"
                    .into(),
            ),
            Self::Refused(failure) if is_head_too_large(&failure.error) => Some(
                "serve the files from a host that sends fewer headers, or let it send fewer".into(),
            ),
            Self::Refused(failure) if is_redirect(&failure.error) => Some(
                "set `url` to where the files themselves are: devices follow no redirect".into(),
            ),
            Self::Damaged { .. } | Self::Missing { .. } => Some(
                "put the file back: `cargo esp-ota publish` with the same image repairs it".into(),
            ),
            Self::Again { .. } => {
                Some("build the image with the version it is published under".into())
            }
            Self::Flash { .. } | Self::Memory(_) | Self::Start(StartFault::NoStore) => {
                Some("check the table with `cargo esp-ota partitions check`".into())
            }
            Self::Refused(_)
            | Self::NotFound { .. }
            | Self::Another { .. }
            | Self::Unbootable { .. }
            | Self::Boot { .. }
            | Self::Start(_) => None,
            Self::Store(error) => error.help(),
            Self::Listing(error) => error.help(),
            Self::Setup(error) => error.help(),
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Store(error) => error.location(),
            Self::Listing(error) => error.location(),
            Self::Setup(error) => error.location(),
            Self::Refused(_)
            | Self::NotFound { .. }
            | Self::Another { .. }
            | Self::Unbootable { .. }
            | Self::Again { .. }
            | Self::Boot { .. }
            | Self::Start(_)
            | Self::Memory(_)
            | Self::Flash { .. }
            | Self::Damaged { .. }
            | Self::Missing { .. } => None,
        }
    }
}

fn is_head_too_large(error: &Error) -> bool {
    matches!(
        error,
        Error::Metadata(tuf::Error::Transport(TransportError::HeadTooLarge))
            | Error::Install(InstallError::Transport(TransportError::HeadTooLarge))
    )
}

fn is_redirect(error: &Error) -> bool {
    matches!(
        error,
        Error::Metadata(tuf::Error::Status(300..400))
            | Error::Install(InstallError::Status(300..400))
    )
}

/// The exit code for what an agent says.
fn exit(error: &Error) -> Exit {
    if error.is_trust() {
        return Exit::Trust;
    }
    match error {
        // Who could not prove its name is a matter of trust, and answered above.
        Error::Metadata(tuf::Error::Transport(_)) | Error::Install(InstallError::Transport(_)) => {
            Exit::Network
        }
        Error::Metadata(tuf::Error::Status(status))
        | Error::Install(InstallError::Status(status)) => of_status(*status),
        Error::Metadata(tuf::Error::EmbeddedRoot(_)) => Exit::Project,
        Error::Metadata(_)
        | Error::Install(_)
        | Error::OnTrial
        | Error::FlashEncrypted
        | Error::Foreign(_)
        | Error::Store => Exit::Rejected,
    }
}

/// A server that is in trouble has judged nothing; any other answer is one.
fn of_status(status: u16) -> Exit {
    if status >= 500 { Exit::Network } else { Exit::Rejected }
}
