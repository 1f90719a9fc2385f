//! The agent on the virtual device: every way an update can go, without a network.
//!
//! Real signed repositories, real flash semantics, the real agent; only the transport is memory,
//! so that it can break at a chosen byte.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod bench;
mod boots;
mod downloads;
pub(crate) mod errors;
mod foreign_flash;
mod images;
mod memory;
mod power;
mod reasons;
mod reports;
mod resume;
mod server;
mod settings;
mod stated;
mod torn;
mod trials;

pub(in crate::virtual_device) use bench::{FLASH, NVS, OTADATA, image, layout, runtime};
