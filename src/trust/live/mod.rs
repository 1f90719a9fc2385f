//! A live host, looked at from outside: will devices that pin these roots update from it?
//!
//! Gathering (handshakes and requests) and judging (rules over what was gathered) are apart. The
//! rules have codes, which last: `docs/reference/host-findings.md`.

pub mod behaviour;
pub mod certificates;
pub mod finding;
pub mod gather;
pub mod known;
pub mod releases;

pub use finding::{Check, Code, Finding, Outcome, Severity, worst};
pub use gather::{Seen, look};
pub use known::Known;
pub use releases::{Reach, Standing};
