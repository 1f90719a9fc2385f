//! An image under another version: the same program, for the part of an older release.

use sha2::{Digest, Sha256};

use crate::agent::image::DESCRIPTOR_OFFSET;

/// Offset of the version in `esp_app_desc_t` and its length, with the NUL.
const VERSION: (usize, usize) = (16, 32);
/// Bytes of the appended SHA-256.
const DIGEST: usize = 32;

/// The image with `version` in its app descriptor, checksum and digest made good. `None` where the
/// bytes are no image with a descriptor, or the version has more than 31 bytes.
pub(super) fn relabel(image: &[u8], version: &str) -> Option<Vec<u8>> {
    let mut image = image.to_vec();
    let (offset, len) = VERSION;
    let start = usize::try_from(DESCRIPTOR_OFFSET).ok()?.checked_add(offset)?;
    let field = image.get_mut(start..start.checked_add(len)?)?;
    if version.len() >= len {
        return None;
    }
    let xor = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum ^ byte);
    let before = xor(field);
    field.fill(0);
    field.iter_mut().zip(version.bytes()).for_each(|(to, from)| *to = from);
    let change = before ^ xor(field);
    let digest = image.len().checked_sub(DIGEST)?;
    // The checksum is the XOR of all segment bytes and stands right before the digest.
    *image.get_mut(digest.checked_sub(1)?)? ^= change;
    let sha = Sha256::digest(image.get(..digest)?);
    image.get_mut(digest..)?.copy_from_slice(&sha);
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Chip;

    #[test]
    fn the_bootloader_takes_the_image_under_its_new_version() {
        let image = crate::virtual_device::tests::image("1.2.3");
        let other = relabel(&image, "0.0.0-rehearsal.1").unwrap();
        let info = crate::image::read(&other, Some(Chip::Esp32c3)).unwrap();
        assert_eq!(info.descriptor.unwrap().version(), "0.0.0-rehearsal.1");
        assert_eq!(other.len(), image.len());
        assert_eq!(relabel(&other, "1.2.3").unwrap(), image, "and back");
    }

    #[test]
    fn what_cannot_be_relabelled_is_said() {
        assert_eq!(relabel(&[0xe9; 64], "1.0.0"), None);
        let image = crate::virtual_device::tests::image("1.2.3");
        assert_eq!(relabel(&image, &"9".repeat(32)), None);
        assert!(relabel(&image, &"9".repeat(31)).is_some());
    }
}
