//! Emulated chips: the real image, executed, and judged by what it leaves in flash.
//!
//! The virtual device runs this tool's copy of the agent and never executes an image. Here it is
//! the other way round: an emulator, which is somebody else's program, executes bootloader and
//! image as a chip would. [`boot`] finds out whether an image arms its trial before anything in it
//! can go wrong, from the very bytes that are published; [`update`] lets a firmware update itself
//! over real TLS, with power cuts in the middle.
//!
//! Words on the serial port say when to look. What counts is the flash afterwards.

pub mod bench;
pub mod boot;
pub mod error;
pub mod fault;
mod find;
pub mod flash_image;
pub mod kind;
pub mod machine;
mod run;
pub mod serial;
mod settings;
pub mod update;

pub use error::EmulatorError;
pub use fault::{Fault, Verdict};
pub use find::Program;
pub use flash_image::FlashImage;
pub use kind::Emulator;
pub use machine::Machine;

/// What somebody is told of a rehearsal while it goes on: one line for each thing that was seen.
pub trait Narrator {
    /// Something begins that takes a while.
    fn begins(&mut self, what: &str);
    /// Something was seen, and it was right.
    fn seen(&mut self, what: String);
}

#[cfg(test)]
mod tests;
