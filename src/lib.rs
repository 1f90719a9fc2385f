//! Firmware updates for ESP32 that cannot lose a device.
//!
//! The library behind `cargo esp-ota`. Its parts, from the pure to the outside world:
//! [`partition`], [`image`] and [`agent`] know formats and rules; [`virtual_device`] runs the
//! agent; [`trust`], [`release`], [`server`] and [`device`] touch certificates, keys, networks and
//! flash; [`commands`] put them together.

#![forbid(unsafe_code)]

extern crate alloc;

pub mod agent;
pub mod chip;
pub mod cli;
pub mod commands;
pub mod config;
pub mod device;
pub mod disk;
pub mod emulator;
pub mod error;
pub mod flash_size;
pub mod hex;
pub mod image;
pub mod monitor;
pub mod output;
pub mod partition;
pub mod release;
pub mod server;
pub mod trust;
pub mod virtual_device;
