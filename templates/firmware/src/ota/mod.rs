//! The update agent: finds, proves, installs and tries the next release of this firmware.
//!
//! Plain `core` and `alloc`, no chip, no `unsafe`: everything outside comes in through
//! [`ports`] and embedded-storage. These files are yours to read and to change; `cargo esp-ota`
//! compiles its own copy of them and runs it against a virtual device before you publish.
//!
//! The way of an update: [`trial::start`] first thing after reset, then [`agent::Agent::poll`]
//! (metadata through [`tuf`], choice by [`release`], bytes by [`install`]), reset, trial again,
//! and [`agent::Agent::confirm`] once the new image has proven itself. What became of it is told by
//! [`reports`]; which releases are not worth another trial is in [`rejections`].

pub mod agent;
pub mod clock;
mod download;
pub mod history;
pub mod http;
pub mod image;
pub mod install;
pub mod json;
pub mod layout;
mod nvs_repair;
pub mod nvs_store;
pub mod otadata;
mod outcome;
pub mod ports;
pub mod rejections;
pub mod release;
pub mod reports;
pub mod reset;
pub mod resume;
pub mod rollout;
pub mod settings;
mod slot_writer;
pub mod stated;
pub mod trial;
pub mod tuf;
pub mod url;
