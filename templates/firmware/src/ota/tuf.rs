//! A client of The Update Framework (TUF specification 1.0.x): believes nothing it cannot prove.
//!
//! Delegations are not followed: our repositories have none, and targets listed only in a
//! delegated role do not exist for a device.

mod client;
mod delegated;
mod download;
mod ecdsa;
mod error;
mod keys;
mod listed;
mod metadata;
mod root;
mod state;
mod targets;

pub use client::{Trusted, refresh};
pub use download::Caps;
pub use error::{Error, Kind, Refusal, Role};
pub use state::{ROOT_KEY, STATE_KEY};
pub use targets::{Target, Targets};

#[cfg(test)]
mod tests;
