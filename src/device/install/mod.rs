//! An install by cable: whatever boots now stays until something else is there that boots.
//!
//! The app goes into a slot that is not needed for booting. Then come bootloader and table, where
//! they are not there already; then the settings; and last the entry of `otadata` that chooses the
//! app. A cable that is pulled in between leaves a device that boots what it booted before.

pub mod bootloader;
mod carry_out;
mod error;
mod plan;
pub mod rollback;
mod second_stage;
pub mod secure;
mod settings;
pub mod signature;
mod slot;

pub use carry_out::{choose, forget_old_table, look, write};
pub use error::InstallError;
pub use plan::{Part, Plan, Wanted, What, fits, plan, suits};
pub use second_stage::{Asked, Facts, SecondStage, second_stage};
pub use settings::{Copy, Settings, settings};
