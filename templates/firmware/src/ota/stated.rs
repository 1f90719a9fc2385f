//! The version that runs: what the image in the running slot states of itself.
//!
//! Not what the compiler was told: a release can be the content of an older one under a new version
//! (`cargo esp-ota publish --revert`). Its program would take the old version for its own, and
//! install itself for ever.

use embedded_storage::nor_flash::ReadNorFlash;
use semver::Version;

use super::image::{DESCRIPTOR_OFFSET, Descriptor, MAGIC};
use super::layout::{Layout, Running};

/// Word-aligned, so that esp-storage needs no bounce buffer.
#[repr(C, align(4))]
struct Word([u8; 4]);
#[repr(C, align(4))]
struct Begin([u8; 256]);

/// Reads the version from the app descriptor in flash; `None` where there is no descriptor, where it
/// states no semantic version, and where flash cannot be read, or is encrypted.
///
/// The image is not verified: the bootloader has done that, and started it.
pub fn version<F: ReadNorFlash>(
    flash: &mut F,
    layout: &Layout,
    running: Running,
) -> Option<Version> {
    let region = layout.region(running)?;
    let mut word = Word([0; 4]);
    flash.read(region.start, &mut word.0).ok()?;
    let mut begin = Begin([0; 256]);
    flash.read(region.start.checked_add(DESCRIPTOR_OFFSET)?, &mut begin.0).ok()?;
    let [magic, ..] = word.0;
    let descriptor = Descriptor::decode(&begin.0).filter(|_| magic == MAGIC)?;
    parse(descriptor.version())
}

/// A version as firmwares state it: semantic, with or without a leading `v`.
pub fn parse(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}
