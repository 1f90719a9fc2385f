//! Every lie a server, a cache or the thief of a key can tell, told to the agent over real HTTPS.
//!
//! One test a case; each names the exact reason that a device reports. The client is the agent's
//! own, its memory is NVS on virtual flash that is opened anew for every refresh, and the server is
//! the tool's own; only where a server has to break the rules itself is there another one.

#![cfg(test)]
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod answers;
mod canonical;
mod clock;
mod device;
mod door;
mod ecdsa;
mod expiry;
mod fast_forward;
mod flashed;
mod honest;
mod image;
mod key;
mod key_rotation;
mod lengths;
mod liars;
mod malformed;
mod mix_and_match;
mod python_tuf_repository;
mod repository;
mod rollback;
mod root_rotation;
mod rude_server;
mod signatures;
mod target_files;
mod thresholds;
mod tough_repository;
mod world;
