//! What a device will boot, read from its flash.
//!
//! From a dump or over a cable, through the same reader and the same report.

mod boot_table;
mod error;
pub mod flash;
pub mod install;
pub mod nvs;
pub mod serial;
pub mod slots;

#[cfg(test)]
mod tests;

pub use boot_table::{boot_table, overlap};
pub use error::DeviceError;
pub use slots::{Depth, Known, Proof, SlotError, SlotReport, Survey, report};
