//! App images on the host: made from an ELF file by espflash, read by the agent's own verifier;
//! and what a file is that may be none.

mod build;
pub mod inspect;
mod read;

pub use build::{BuildError, from_elf};
pub use read::{Bytes, read};
