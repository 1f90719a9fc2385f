//! Every way in which the power, the flash or the network can fail during an update, tried out.
//!
//! The subject is the project's own table and images ([`Subject`]). From every [`case::Place`] where
//! a device can stand, an update is run once without a fault and its flash operations are noted
//! ([`plan`]). Then each of them is cut off before, inside and after it, and the device has to live
//! on ([`player`]): what "live on" means is in [`invariant`]. Cases are independent, deterministic
//! and run on all cores ([`run()`]).

mod board;
mod candidates;
pub mod case;
pub mod error;
pub mod family;
pub mod invariant;
pub mod network;
pub mod plan;
pub mod player;
pub mod run;
mod script;
mod start;
pub mod subject;
pub mod summary;
mod trace;

pub use case::Case;
pub use error::FaultsError;
pub use plan::Plan;
pub use run::{replay, run};
pub use subject::{Project, Subject};
pub use summary::Summary;

#[cfg(test)]
mod tests;
