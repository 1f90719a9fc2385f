//! Why a refresh ended early, in words and as a code for reports.

use super::super::json::Fault;
use super::super::ports::TransportError;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

/// The four roles every TUF repository has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Says which keys speak for which role.
    Root,
    /// Says which snapshot is the newest.
    Timestamp,
    /// Says which targets metadata belongs to it.
    Snapshot,
    /// Says which files exist.
    Targets,
}

impl Role {
    /// The role's name in metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with a piece of metadata. Times are Unix seconds, lengths bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Larger than this device takes.
    TooLarge {
        /// The most it takes.
        cap: usize,
    },
    /// Not a JSON document as TUF wants it.
    Json(Fault),
    /// A field is missing or has a wrong value.
    Field(&'static str),
    /// The metadata of another role.
    WrongType,
    /// Written for a specification whose first number is not 1.
    SpecVersion,
    /// One key id signed more than once.
    DuplicateSignature,
    /// Fewer keys of the role signed it than must.
    Threshold {
        /// Signatures wanted.
        needed: u64,
        /// Signatures by different keys of the role that verify.
        found: u64,
    },
    /// Its time is over.
    Expired {
        /// When it ended.
        expires: u64,
        /// The time of this run.
        now: u64,
    },
    /// Older than what was trusted before.
    Rollback {
        /// The version trusted before.
        trusted: u64,
        /// The version offered now.
        offered: u64,
    },
    /// Not the version that was asked for.
    Version {
        /// The version that was announced.
        expected: u64,
        /// The version it says it is.
        found: u64,
    },
    /// Not as long as listed.
    Length {
        /// The length that was announced.
        expected: u64,
    },
    /// Its hash is not the listed one.
    Hash,
    /// Not, or no longer, listed in the snapshot.
    Missing,
    /// More delegated roles than a device remembers.
    Delegations {
        /// The most it remembers.
        most: usize,
    },
    /// More new roots than one run follows; the next run goes on where this one stopped.
    Rotations {
        /// New roots followed in this run.
        followed: u32,
    },
}

impl Refusal {
    /// The first part of the code in reports; the role follows it.
    fn code(self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Json(Fault::Encoding | Fault::Syntax(_) | Fault::Number(_)) => "malformed",
            Self::Json(Fault::Depth) => "nested-too-deep",
            Self::Json(Fault::DuplicateKey) => "duplicate-key",
            Self::Json(Fault::TooManyKeys) => "too-many-keys",
            Self::Field(_) => "invalid",
            Self::WrongType => "wrong-type",
            Self::SpecVersion => "spec-version",
            Self::DuplicateSignature => "duplicate-signature",
            Self::Threshold { .. } => "threshold",
            Self::Expired { .. } => "expired",
            Self::Rollback { .. } => "rollback",
            Self::Version { .. } => "version-mismatch",
            Self::Length { .. } => "length-mismatch",
            Self::Hash => "hash-mismatch",
            Self::Missing => "missing",
            Self::Delegations { .. } => "too-many-delegations",
            Self::Rotations { .. } => "too-many-rotations",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { cap } => write!(f, "larger than the {cap} bytes a device takes"),
            Self::Json(fault) => fault.fmt(f),
            Self::Field(name) => write!(f, "`{name}` is missing or has a wrong value"),
            Self::WrongType => f.write_str("`_type` names another role"),
            Self::SpecVersion => f.write_str("`spec_version` is not 1.x"),
            Self::DuplicateSignature => f.write_str("one key id signed more than once"),
            Self::Threshold { needed, found } => {
                write!(f, "{found} of {needed} needed signatures verify")
            }
            Self::Expired { expires, now } => {
                write!(f, "expired at {expires}, it is {now} (Unix seconds)")
            }
            Self::Rollback { trusted, offered } => {
                write!(f, "version {offered} is older than {trusted}, which was trusted before")
            }
            Self::Version { expected, found } => {
                write!(f, "version {found} where {expected} was expected")
            }
            Self::Length { expected } => write!(f, "not as long as the listed {expected} bytes"),
            Self::Hash => f.write_str("its hash is not the listed one"),
            Self::Missing => f.write_str("not listed in the snapshot"),
            Self::Delegations { most } => write!(f, "more than {most} delegated roles"),
            Self::Rotations { followed } => write!(f, "more than {followed} new roots at once"),
        }
    }
}

/// What kind of failure an [`Error`] is: who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the server said cannot be believed.
    Trust,
    /// Nothing was judged: try again.
    Network,
    /// The device's own memory of what it trusts cannot be used.
    Store,
    /// The firmware was built with an embedded root that is not usable.
    Firmware,
}

/// Why a refresh ended early. Everything verified before that point is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No answer, no whole one, or one from somebody else.
    Transport(TransportError),
    /// The server answered with this HTTP status.
    Status(u16),
    /// Metadata of this role was refused.
    Refused(Role, Refusal),
    /// The root embedded in the firmware is no root.
    EmbeddedRoot(Refusal),
    /// The stored root is damaged. It is not replaced by the embedded one: that would undo every
    /// rotation since the firmware was built.
    StoredRoot(Refusal),
    /// The stored versions are damaged.
    StoredState,
    /// The store cannot be read or written.
    Store,
    /// Not enough memory for metadata of this role, although it is within the caps.
    OutOfMemory(Role),
}

impl Error {
    /// The kebab-case reason for reports, such as `expired-timestamp` or `status-503`.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Transport(error) => error.code().to_string(),
            Self::Status(status) => format!("status-{status}"),
            Self::Refused(role, refusal) => format!("{}-{role}", refusal.code()),
            Self::EmbeddedRoot(refusal) => format!("embedded-root-{}", refusal.code()),
            Self::StoredRoot(refusal) => format!("stored-root-{}", refusal.code()),
            Self::StoredState => "stored-state-damaged".to_string(),
            Self::Store => "store".to_string(),
            Self::OutOfMemory(role) => format!("out-of-memory-{role}"),
        }
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused(..) | Self::Transport(TransportError::Untrusted) => Kind::Trust,
            Self::Transport(
                TransportError::Unreachable
                | TransportError::Truncated
                | TransportError::TooSlow
                | TransportError::HeadTooLarge,
            )
            | Self::Status(_) => Kind::Network,
            Self::StoredRoot(_) | Self::StoredState | Self::Store | Self::OutOfMemory(_) => {
                Kind::Store
            }
            Self::EmbeddedRoot(_) => Kind::Firmware,
        }
    }

    /// Whether the server said something that cannot be believed.
    #[must_use]
    pub fn is_trust(&self) -> bool {
        self.kind() == Kind::Trust
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Status(status) => write!(f, "the server answered with status {status}"),
            Self::Refused(role, refusal) => write!(f, "`{role}` metadata refused: {refusal}"),
            Self::EmbeddedRoot(refusal) => write!(f, "the embedded root is unusable: {refusal}"),
            Self::StoredRoot(refusal) => write!(f, "the stored root is damaged: {refusal}"),
            Self::StoredState => f.write_str("the stored versions are damaged"),
            Self::Store => f.write_str("the store cannot be read or written"),
            Self::OutOfMemory(role) => write!(f, "no memory left for `{role}` metadata"),
        }
    }
}

impl core::error::Error for Error {}
