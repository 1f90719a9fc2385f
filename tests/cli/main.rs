//! The command line from end to end: the real program, in throw-away projects.
//!
//! One binary, so that the suite links once; one module per command. What every command owes to
//! every user (bad input, formats, colour) is in `contract` and `bad_input`.

#![cfg(test)]
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod authority;
mod bad_input;
#[cfg(unix)]
mod board;
mod build;
mod build_size;
mod build_toolchain;
mod ca;
mod ca_add_url;
mod ca_certificates;
mod ca_check;
mod ca_check_behaviour;
mod ca_plan;
mod ca_set;
#[cfg(unix)]
mod cable_commands;
#[cfg(unix)]
mod cable_security;
mod certificates;
mod check;
mod check_attacks;
mod completions;
mod contract;
mod crooked;
#[cfg(unix)]
mod crooked_board;
mod dav_server;
mod demo;
#[cfg(unix)]
mod flash;
#[cfg(unix)]
mod flash_prompt;
#[cfg(unix)]
mod flash_pulled;
#[cfg(unix)]
mod flash_settings;
mod harness;
mod init;
#[cfg(unix)]
mod init_dialogue;
mod init_existing;
mod init_refused;
mod init_root_url;
mod inspect;
mod keys;
mod keys_rotate;
#[cfg(unix)]
mod keys_rotate_material;
mod keys_rotate_public;
mod material;
#[cfg(unix)]
mod monitor;
mod partitions;
mod partitions_check;
mod partitions_convert;
mod partitions_diff;
mod partitions_explain;
mod partitions_generate;
mod partitions_show;
mod publish;
mod publish_chips;
mod publish_fleet;
mod publish_https;
#[cfg(unix)]
mod publish_interrupted;
mod publish_keep;
mod publish_public;
mod publish_refresh;
mod publish_reproduce;
mod publish_revert;
mod redact;
mod rehearse;
mod rehearse_emulator;
mod rehearse_faults;
mod rehearse_public;
mod releases;
mod rollout;
mod scripted;
mod serve;
mod shape;
mod slots;
#[cfg(unix)]
mod slots_cable;
mod source_date_epoch;
mod store_https;
mod store_promote;
mod tough_client;
mod usage;
