//! App images for the benchmarks, laid out as ESP-IDF's `esp_image_format.h` says.

use sha2::{Digest, Sha256};

/// What of an image is headers, padding, checksum and digest.
const ENVELOPE: usize = 24 + 8 + 16 + 32;

/// An image of one segment for the chip with this `chip_id`, mapped at `address`: an app descriptor
/// with the version, then what `fill` gives, up to `size` bytes in all.
pub(crate) fn image(
    version: &str,
    (chip, address): (u16, u32),
    size: usize,
    fill: impl Iterator<Item = u8>,
) -> Vec<u8> {
    let mut segment = 0xabcd_5432_u32.to_le_bytes().to_vec();
    segment.extend([0; 12]);
    segment.extend(version.as_bytes());
    segment.resize(256, 0);
    let length = size.saturating_sub(ENVELOPE).next_multiple_of(4);
    segment.extend(fill.take(length.saturating_sub(segment.len())));
    let mut image = vec![0xe9, 1, 2, 0x20, 0, 0, 0x38, 0x40, 0xee, 0, 0, 0];
    image.extend(chip.to_le_bytes());
    image.extend([0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 1]);
    image.extend(address.to_le_bytes());
    image.extend(u32::try_from(segment.len()).unwrap_or(0).to_le_bytes());
    image.extend(&segment);
    let end = image.len().saturating_add(1).next_multiple_of(16);
    image.resize(end.saturating_sub(1), 0);
    image.push(segment.iter().fold(0xef, |sum, byte| sum ^ byte));
    image.extend(Sha256::digest(&image));
    image
}

/// Bytes that neither compress nor repeat (xorshift32).
pub(crate) fn noise(seed: u32) -> impl Iterator<Item = u8> {
    let next = |state: &u32| {
        let mut state = *state;
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        Some(state)
    };
    std::iter::successors(Some(seed.max(1)), next).skip(1).flat_map(u32::to_le_bytes)
}
