//! The smallest app image that a bootloader starts: what a device runs before its first release.
//!
//! It has one segment with nothing but an app descriptor, laid out as `esp_image_format.h` and
//! `esp_app_desc.h` of ESP-IDF say. No code is in it, because no image is executed here.

use sha2::{Digest, Sha256};

use crate::agent::image::{DESCRIPTOR_MAGIC, MAGIC};
use crate::chip::Chip;

/// Older than every release: no semantic version has a lower precedence.
pub const VERSION: &str = "0.0.0-0";

/// `sizeof(esp_app_desc_t)`.
const DESCRIPTOR: usize = 256;
/// `ESP_ROM_CHECKSUM_INITIAL`.
const CHECKSUM_SEED: u8 = 0xef;
/// Checksum and digest end at a multiple of this.
const BLOCK: usize = 16;

/// The image for `chip`. Its app descriptor states [`VERSION`].
pub fn image(chip: Chip) -> Vec<u8> {
    let mut descriptor = Vec::with_capacity(DESCRIPTOR);
    descriptor.extend(DESCRIPTOR_MAGIC.to_le_bytes());
    descriptor.extend([0; 12]); // secure_version and two reserved words
    descriptor.extend(VERSION.as_bytes());
    descriptor.resize(DESCRIPTOR, 0);

    // magic, segments, SPI mode, SPI speed and size, entry point, WP pin and drive settings
    let mut image = vec![MAGIC, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    image.extend(chip.image_id().to_le_bytes());
    // the former min_chip_rev, the lowest and the highest revision (any), reserved, hash appended
    image.extend([0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 1]);
    image.extend(0_u32.to_le_bytes()); // load address
    image.extend(u32::try_from(DESCRIPTOR).unwrap_or(0).to_le_bytes());
    image.extend(&descriptor);
    let padded = image.len().saturating_add(1).next_multiple_of(BLOCK);
    image.resize(padded.saturating_sub(1), 0);
    image.push(descriptor.iter().fold(CHECKSUM_SEED, |sum, byte| sum ^ byte));
    image.extend(Sha256::digest(&image));
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chip_s_bootloader_starts_it() {
        for chip in Chip::ALL {
            let info = crate::image::read(&image(chip), Some(chip)).unwrap();
            assert_eq!(info.descriptor.unwrap().version(), VERSION);
            assert_eq!(info.check_revision(0), Ok(()));
            assert_eq!(info.check_revision(9999), Ok(()));
        }
    }
}
