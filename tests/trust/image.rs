//! App images made by hand from ESP-IDF's description of the format, as small as they can be.

use cargo_esp_ota::chip::Chip;
use sha2::{Digest, Sha256};

/// An image for the ESP32-C3 that states this version: header, one segment that begins with the app
/// descriptor, checksum, SHA-256 (ESP-IDF, `esp_app_format.h` and `esp_app_desc.h`).
pub(crate) fn image(version: &str) -> Vec<u8> {
    let mut segment = vec![0; 5000];
    segment[..4].copy_from_slice(&0xabcd_5432_u32.to_le_bytes());
    segment[16..16 + version.len()].copy_from_slice(version.as_bytes());
    segment[48..58].copy_from_slice(b"thermostat");

    let mut image = vec![0; 24];
    image[..2].copy_from_slice(&[0xe9, 1]);
    image[12..14].copy_from_slice(&Chip::Esp32c3.image_id().to_le_bytes());
    image[17..19].copy_from_slice(&u16::MAX.to_le_bytes());
    image[23] = 1;
    image.extend(0x3c00_0020_u32.to_le_bytes());
    image.extend(u32::try_from(segment.len()).unwrap().to_le_bytes());
    image.extend(&segment);
    let checksum = segment.iter().fold(0xef, |sum, byte| sum ^ byte);
    image.resize((image.len() + 1).next_multiple_of(16) - 1, 0);
    image.push(checksum);
    let digest = Sha256::digest(&image);
    image.extend(digest);
    image
}
