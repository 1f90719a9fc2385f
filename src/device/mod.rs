//! What a device will boot, read from its flash.
//!
//! Today from a dump; over the cable later, through the same report.

mod boot_table;
mod report;

#[cfg(test)]
mod tests;

pub use boot_table::boot_table;
pub use report::{Proof, SlotError, SlotReport, report};
