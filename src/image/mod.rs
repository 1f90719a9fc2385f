//! App images on the host: made from an ELF file by espflash, read by the agent's own verifier, and
//! weighed; and what a file is that may be none.

mod bootloader;
mod build;
mod difference;
pub mod inspect;
mod memory;
pub mod parts;
mod read;
mod restate;
mod sizes;

pub use bootloader::{Board, bootloader, bootloader_for, of_espflash, with_flash_size};
pub use build::{BuildError, from_elf};
pub use difference::{Difference, differences};
pub use memory::Place;
pub use read::{Bytes, read};
pub use restate::{RestateError, restate};
pub use sizes::{Segment, segments, sizes};
