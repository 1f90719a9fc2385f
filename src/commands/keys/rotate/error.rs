//! Why keys are not rotated, and what to do about it.

use std::error::Error;

use crate::error::{Exit, Explained};
use crate::release::keys::Role;
use crate::release::repository::RepositoryError;
use crate::virtual_device::rehearsal::RehearsalError;

/// Why there is no rotation.
#[derive(Debug, thiserror::Error)]
pub(super) enum RotateError {
    /// A role has several keys, and none of them is here.
    #[error("the {role} role has {count} keys, and it is not said which of them goes")]
    WhichKey {
        /// The role.
        role: Role,
        /// How many it has.
        count: usize,
    },
    /// `--key` names none, or several.
    #[error("`{key}` is the id of {found} keys of {roles}")]
    NoSuchKey {
        /// As it was given.
        key: String,
        /// How many it fits.
        found: usize,
        /// Where it was looked for.
        roles: String,
    },
    /// Publishing signs with one key for each role.
    #[error("the {role} role asks for {threshold} signatures, and this tool makes one")]
    Threshold {
        /// The role.
        role: Role,
        /// Signatures asked for.
        threshold: u64,
    },
    /// Another rotation has to end first.
    #[error("a rotation is half done: root {root} still lists keys of {leaving} that are leaving")]
    HalfDone {
        /// The root that lists them.
        root: u64,
        /// Their roles.
        leaving: String,
    },
    /// A new key would stay on a machine that is thrown away.
    #[error("the {role} key came in `{place}`, and it is not said where the new one goes")]
    NoPlace {
        /// The role.
        role: Role,
        /// The variable.
        place: &'static str,
    },
    /// The key that everything hangs on is not changed on a machine of somebody else.
    #[error("the root key came in `{0}`: it is not replaced where keys come by the environment")]
    RootInEnvironment(&'static str),
    /// Devices see another file.
    #[error("`{path}` at {url} is another file than in {store}")]
    Forked {
        /// Path below both.
        path: String,
        /// What devices read.
        url: String,
        /// What would be written to.
        store: String,
    },
    /// Devices see more.
    #[error("{store} is older than what devices see: {url} has a newer `{path}`")]
    Behind {
        /// Path below both.
        path: String,
        /// What devices read.
        url: String,
        /// What would be written to.
        store: String,
    },
    /// Devices see nothing.
    #[error("{store} has releases, and {url} has none")]
    NotThere {
        /// What devices read.
        url: String,
        /// What would be written to.
        store: String,
    },
    /// It could not be seen.
    #[error("what devices see at {url} cannot be looked at")]
    Unseen {
        /// What devices read.
        url: String,
        /// Why.
        source: Box<RehearsalError>,
    },
    /// The host has an answer, and not one that says something.
    #[error("`{path}` at {url} is answered with status {status}")]
    Status {
        /// Path below the URL.
        path: String,
        /// What devices read.
        url: String,
        /// The answer.
        status: u16,
    },
    /// A root that no device follows.
    #[error("a root at {url} is a forgery, or damaged")]
    ForgedRoot {
        /// What devices read.
        url: String,
        /// What is wrong with it.
        source: Box<RepositoryError>,
    },
    /// A timestamp that no device believes.
    #[error("the timestamp at {url} is not signed as root {root} asks")]
    ForgedTimestamp {
        /// What devices read.
        url: String,
        /// The newest root there.
        root: u64,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A person said no.
    #[error("the releases were not confirmed")]
    Unconfirmed,
    /// Devices would not follow.
    #[error("devices would not follow this rotation")]
    Devices(#[source] Box<RehearsalError>),
}

impl Explained for RotateError {
    fn exit(&self) -> Exit {
        match self {
            Self::WhichKey { .. } => Exit::Project,
            Self::NoSuchKey { .. } | Self::NoPlace { .. } => Exit::Usage,
            Self::Threshold { .. }
            | Self::HalfDone { .. }
            | Self::RootInEnvironment(_)
            | Self::Forked { .. }
            | Self::Behind { .. }
            | Self::NotThere { .. }
            | Self::Unconfirmed => Exit::Rejected,
            Self::Status { status, .. } if *status >= 500 => Exit::Network,
            Self::Status { .. } => Exit::Rejected,
            Self::ForgedRoot { .. } | Self::ForgedTimestamp { .. } => Exit::Trust,
            Self::Unseen { source, .. } => source.exit(),
            Self::Devices(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::WhichKey { role, .. } => format!(
                "name the key that goes: `--role {role} --key ID`, with an id of \
                 `cargo esp-ota keys list`"
            ),
            Self::NoSuchKey { .. } => "take an id, or its first 8 digits or more, from \
                                       `cargo esp-ota keys list`, and name its role with `--role`"
                .into(),
            Self::Threshold { .. } => {
                "lower the threshold with the tool that raised it; only the root role may ask for \
                 several signatures"
                    .into()
            }
            Self::HalfDone { .. } => {
                "complete it with `cargo esp-ota keys rotate`, then run this again".into()
            }
            Self::NoPlace { .. } => "name a folder that outlives this machine: \
                                     `--keys-out FOLDER`; or rotate at a desk"
                .into(),
            Self::RootInEnvironment(_) => {
                "replace it at a desk, with the key in a file or on a stick: `--root-key FILE`"
                    .into()
            }
            Self::Forked { .. } => {
                "rotate where the store is whose files the host has; devices that saw one root of a \
                 number follow no other"
                    .into()
            }
            Self::Behind { .. } => {
                "bring the store up to date from the host, or rotate on the machine that publishes; \
                 if a thief of a key wrote that, `--offline` rotates without looking"
                    .into()
            }
            Self::NotThere { .. } => {
                "copy the store to the host, or mend `url` in `esp-ota.toml`; `--offline` rotates \
                 without looking"
                    .into()
            }
            Self::Unseen { .. } | Self::Status { .. } => {
                "run it where the URL can be reached; `--offline` rotates without looking, for \
                 stores that are known to be what devices see"
                    .into()
            }
            Self::ForgedRoot { .. } | Self::ForgedTimestamp { .. } => {
                "find out who wrote that; devices refuse it. `--offline` rotates without looking"
                    .into()
            }
            Self::Unconfirmed => "nothing was written; take a release away that is not yours by \
                                  `cargo esp-ota rollout`, or pass `--yes`"
                .into(),
            Self::Devices(_) => "nothing was written: devices still see what they saw before".into(),
        })
    }
}
