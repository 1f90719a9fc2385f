//! What a poll comes to: events on the way, how it ends, and why it comes to nothing.

use alloc::string::String;

use super::clock::Source;
use super::install::InstallError;
use super::ports::StoreError;
use super::release::Foreign;
use super::trial::FlashError;
use super::tuf;

/// Something worth a line on the serial console and a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A release was tried and this older one runs again.
    FellBack {
        /// Version of the release that was tried.
        version: String,
    },
    /// The metadata passed every check.
    Verified {
        /// Version of the TUF root in force.
        root: u64,
        /// Where the time came from.
        clock: Source,
    },
    /// A newer release is there and gets downloaded.
    Found {
        /// Its version.
        version: String,
        /// Its bytes.
        len: u32,
    },
    /// That many bytes of the release were taken in.
    Progress {
        /// Bytes so far.
        received: u32,
    },
    /// The release is in its slot and starts at the next reset.
    Installed {
        /// Its version.
        version: String,
        /// Its slot.
        slot: u32,
    },
}

impl core::fmt::Display for Event {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::FellBack { version } => write!(f, "{version} did not prove itself: fell back"),
            Self::Verified { root, clock } => {
                write!(f, "metadata verified (root {root}, time by {clock})")
            }
            Self::Found { version, len } => write!(f, "found {version}, {len} bytes"),
            Self::Progress { received } => write!(f, "{received} bytes"),
            Self::Installed { version, slot } => write!(f, "installed {version} in ota_{slot}"),
        }
    }
}

/// What a poll came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing newer for this device.
    UpToDate,
    /// There is a newer release, whose last trial came to nothing; this poll is a pause before the
    /// next one.
    Waiting,
    /// A release was installed: reset to start it.
    Installed,
}

/// Why a poll came to nothing. The device goes on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The running image is on trial itself.
    OnTrial,
    /// Flash encryption is on: nothing was erased.
    FlashEncrypted,
    /// The metadata was refused or not to be had.
    Metadata(tuf::Error),
    /// The release was refused or not to be had.
    Install(InstallError),
    /// The repository is genuine, and has releases of other products or for other chips only.
    Foreign(Foreign),
    /// The agent's memory could not be read or written.
    Store,
}

impl Error {
    /// Kebab-case reason for reports.
    pub fn code(&self) -> String {
        match self {
            Self::OnTrial => "on-trial".into(),
            Self::FlashEncrypted => "flash-encrypted".into(),
            Self::Metadata(error) => error.code(),
            Self::Install(error) => error.code(),
            Self::Foreign(foreign) => foreign.code().into(),
            Self::Store => "store".into(),
        }
    }

    /// Whether somebody said something that cannot be believed, as against bad weather.
    pub fn is_trust(&self) -> bool {
        match self {
            Self::Metadata(error) => error.is_trust(),
            Self::Install(error) => error.is_trust(),
            Self::OnTrial | Self::FlashEncrypted | Self::Foreign(_) | Self::Store => false,
        }
    }

    /// Whether the device judged what it was offered and said no: `refused` in reports. All else
    /// is `failed`.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Metadata(error) => error.is_trust(),
            Self::Install(error) => error.is_refusal(),
            Self::FlashEncrypted | Self::Foreign(_) => true,
            Self::OnTrial | Self::Store => false,
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::OnTrial => f.write_str("the running image is on trial itself"),
            Self::FlashEncrypted => f.write_str("flash encryption is on"),
            Self::Metadata(error) => error.fmt(f),
            Self::Install(error) => error.fmt(f),
            Self::Foreign(foreign) => foreign.fmt(f),
            Self::Store => f.write_str("the agent's memory could not be read or written"),
        }
    }
}

impl core::error::Error for Error {}

impl From<tuf::Error> for Error {
    fn from(error: tuf::Error) -> Self {
        Self::Metadata(error)
    }
}

impl From<InstallError> for Error {
    fn from(error: InstallError) -> Self {
        Self::Install(error)
    }
}

impl From<StoreError> for Error {
    fn from(StoreError: StoreError) -> Self {
        Self::Store
    }
}

impl From<FlashError> for Error {
    fn from(FlashError: FlashError) -> Self {
        Self::Install(InstallError::Flash)
    }
}
