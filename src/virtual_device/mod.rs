//! A device made of files and memory: NOR flash, ESP-IDF's bootloader choice and the real agent.

pub mod bootloader;
pub mod caps;
pub mod device;
pub mod faults;
pub mod flash;
pub mod parallel;
pub mod rehearsal;
pub mod rom_loader;
pub mod stand_in;
pub mod tear;
mod tls_connection;
mod tls_setup;
pub mod tls_transport;
mod tls_verdict;

pub use device::{Firmware, Hardware, StartFault, Started, VirtualDevice};

#[cfg(test)]
pub(crate) mod tests;
