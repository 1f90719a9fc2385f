//! An image under another version: the same program, checksum and digest made good.
//!
//! The version is text in the app descriptor (`esp_app_desc_t`), which the first segment begins
//! with; checksum and SHA-256 cover it. Every other byte stays. The SHA-256 of the ELF file in the
//! descriptor stays, too: it says which program this is.

use sha2::{Digest, Sha256};

use super::read::read;
use crate::agent::image::{DESCRIPTOR_OFFSET, ImageError};

/// Offset of the version in the descriptor and its length, with the NUL.
const VERSION: (usize, usize) = (16, 32);
/// Bytes of the appended SHA-256.
const DIGEST: usize = 32;

/// Why an image cannot be given another version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestateError {
    /// It is no sound image.
    #[error("it is no sound app image")]
    Image(#[source] ImageError),
    /// Something follows the image: a signature over it would be wrong then.
    #[error("{0} bytes follow the image, which a signature would be about")]
    Trailing(usize),
    /// There is no place for a version.
    #[error("it has no app descriptor that could state a version")]
    NoDescriptor,
    /// The version is longer than its field.
    #[error("`{0}` has more than the 31 bytes that an app descriptor has room for")]
    TooLong(String),
}

/// The image with `version` in its app descriptor.
///
/// # Errors
///
/// Whatever is no sound image with an app descriptor, alone in its file.
pub fn restate(image: &[u8], version: &str) -> Result<Vec<u8>, RestateError> {
    let info = read(image, None).map_err(RestateError::Image)?;
    let length = usize::try_from(info.len).unwrap_or(usize::MAX);
    match image.len().saturating_sub(length) {
        0 => {}
        more => return Err(RestateError::Trailing(more)),
    }
    if info.descriptor.is_none() {
        return Err(RestateError::NoDescriptor);
    }
    let (_, room) = VERSION;
    if version.len() >= room {
        return Err(RestateError::TooLong(version.to_owned()));
    }
    patched(image, version).ok_or(RestateError::NoDescriptor)
}

fn patched(image: &[u8], version: &str) -> Option<Vec<u8>> {
    let mut image = image.to_vec();
    let (offset, len) = VERSION;
    let start = usize::try_from(DESCRIPTOR_OFFSET).ok()?.checked_add(offset)?;
    let field = image.get_mut(start..start.checked_add(len)?)?;
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
    use proptest::prelude::*;

    use super::*;
    use crate::chip::Chip;
    use crate::image::inspect::testing::app as image;

    proptest! {
        #[test]
        fn only_version_checksum_and_digest_change(version in "[0-9a-z.-]{1,31}") {
            let old = image("1.2.3");
            let new = restate(&old, &version).unwrap();
            let info = read(&new, Some(Chip::Esp32c3)).unwrap();
            let descriptor = info.descriptor.unwrap();
            prop_assert_eq!(descriptor.version(), version.as_str());
            let field = 0x20 + 16..0x20 + 48;
            let tail = old.len().saturating_sub(33)..old.len();
            for (at, (old, new)) in old.iter().zip(&new).enumerate() {
                prop_assert!(old == new || field.contains(&at) || tail.contains(&at), "byte {at}");
            }
            prop_assert_eq!(new.len(), old.len());
            // The same version is the same image, and so is the way there and back.
            prop_assert_eq!(restate(&new, &version).unwrap(), new.clone());
            prop_assert_eq!(restate(&new, "1.2.3").unwrap(), old);
        }
    }

    #[test]
    fn what_cannot_state_a_version_is_said() {
        let old = image("1.2.3");
        assert!(restate(&old, &"9".repeat(31)).is_ok());
        let long = "9".repeat(32);
        assert_eq!(restate(&old, &long), Err(RestateError::TooLong(long.clone())));
        let mut signed = old.clone();
        signed.extend([0xe7; 4096]);
        assert_eq!(restate(&signed, "1.0.0"), Err(RestateError::Trailing(4096)));
        let mut damaged = old.clone();
        damaged[100] ^= 1;
        let error = RestateError::Image(ImageError::Checksum);
        assert_eq!(restate(&damaged, "1.0.0"), Err(error));
        assert!(matches!(restate(&[0xe9; 64], "1.0.0"), Err(RestateError::Image(_))));
        assert!(matches!(restate(&[], "1.0.0"), Err(RestateError::Image(_))));
        // A descriptor's magic word that is none: sound all the same.
        let mut bare = old;
        bare[0x20] ^= 1;
        let end = bare.len() - 33;
        bare[end] ^= 1;
        let digest = Sha256::digest(&bare[..=end]);
        bare[end + 1..].copy_from_slice(&digest);
        assert_eq!(restate(&bare, "1.0.0"), Err(RestateError::NoDescriptor));
    }
}
