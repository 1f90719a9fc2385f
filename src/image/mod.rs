//! App images on the host: made from an ELF file by espflash, read by the agent's own verifier.

mod build;
mod read;

pub use build::{BuildError, from_elf};
pub use read::{Bytes, read};
