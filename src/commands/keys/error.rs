//! Why keys are not rotated, and what to do about it.

use crate::error::{Exit, Explained};
use crate::release::keys::Role;
use crate::virtual_device::rehearsal::RehearsalError;

/// Why there is no rotation.
#[derive(Debug, thiserror::Error)]
pub(super) enum RotateError {
    /// A role has several keys, and none of them is here.
    #[error("the {role} role has {count} keys, and none of them is here to be replaced")]
    WhichKey {
        /// The role.
        role: Role,
        /// How many it has.
        count: usize,
    },
    /// Devices would not follow.
    #[error("devices would not follow this rotation")]
    Devices(#[source] RehearsalError),
}

impl Explained for RotateError {
    fn exit(&self) -> Exit {
        match self {
            Self::WhichKey { .. } => Exit::Project,
            Self::Devices(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::WhichKey { role, .. } => {
                Some(format!("bring the key that is to go, or pass it in `{}`", role.variable()))
            }
            Self::Devices(_) => {
                Some("nothing was written: devices still see what they saw before".into())
            }
        }
    }
}
