//! A firmware onto a device, over a cable: what is written, and what must not be.

pub mod bootloader;
pub mod moved;
pub mod rollback;
pub mod secure;
pub mod signature;
