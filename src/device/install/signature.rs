//! Signatures of Secure Boot behind an image: where they are, and what they prove.
//!
//! Version 2, as ESP-IDF, the ROMs and `espsecure` have it: the image is padded to a sector, and a
//! sector follows with up to three blocks of 1216 bytes. A block has the digest of everything before
//! the sector, a public key, a signature over the digest and a CRC-32. Version 1, of early ESP32s, is
//! 68 bytes right behind the image.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use esp_nvs::platform::software_crc32;
use sha2::{Digest, Sha256, Sha384};

use crate::agent::image::ImageError;
use crate::error::Exit;
use crate::hex;
use crate::image;

/// Where the signatures begin: at a multiple of this, which is their room, too.
const SECTOR: usize = 4096;
/// Bytes of a block, most blocks, and what of a block its CRC covers.
const BLOCK: usize = 1216;
const MOST_BLOCKS: usize = 3;
const COVERED: usize = 1196;
/// `ETS_SECURE_BOOT_V2_SIGNATURE_MAGIC`.
const MAGIC: u8 = 0xe7;
/// Bytes of version 1: a number, which is 0, and a signature.
const V1: usize = 68;
/// Bytes of a number of RSA-3072.
const RSA: usize = 384;

/// What is behind an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// Nothing, or padding.
    No,
    /// Secure Boot v1. What it proves cannot be told: the key is not in it.
    V1,
    /// Secure Boot v2, by each of these.
    V2(Vec<Signer>),
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// `RSA-3072`, `ECDSA P-256`.
    pub scheme: &'static str,
    /// SHA-256 of the public key, lower-case hexadecimal: what a chip that trusts it has in eFuse.
    pub key_digest: String,
    /// Whether the signature was verified with the key that stands beside it.
    pub is_verified: bool,
}

/// Why a signature is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// What is signed is no sound image.
    #[error("it is no sound image")]
    Image(#[source] ImageError),
    /// The file ends in the sector of the signatures.
    #[error("the file ends within the signature, {0} bytes too early")]
    Cut(usize),
    /// Something stands behind the image, or behind the signatures.
    #[error("{0} bytes of something else follow it")]
    Trailing(usize),
    /// A block makes no sense.
    #[error("signature block {0} is damaged: its CRC does not match")]
    Crc(usize),
    /// A block has a scheme that is not known here.
    #[error("signature block {0} has a scheme that is not known here")]
    Scheme(usize),
    /// The digest in a block is not that of the image.
    #[error("signature block {0} is about other bytes: its digest is not the image's")]
    Digest(usize),
    /// The signature is not by the key beside it.
    #[error("signature block {0} does not verify with its own key")]
    Signature(usize),
}

impl BadSignature {
    /// Bytes that do not match what was signed were changed by somebody or something.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Image(ImageError::Checksum | ImageError::Digest)
            | Self::Crc(_)
            | Self::Digest(_)
            | Self::Signature(_) => Exit::Trust,
            Self::Image(_) | Self::Cut(_) | Self::Trailing(_) | Self::Scheme(_) => Exit::Rejected,
        }
    }
}

/// Finds and verifies what is behind an image.
///
/// Whether a chip trusts the keys is not told by this: it knows them by what is in its eFuses.
///
/// # Errors
///
/// Where there is something, and it is no good.
pub fn signature(bytes: &[u8]) -> Result<Signed, BadSignature> {
    let info = image::read(bytes, None).map_err(BadSignature::Image)?;
    let end = usize::try_from(info.len).unwrap_or(usize::MAX);
    let rest = bytes.get(end..).unwrap_or_default();
    if rest.iter().all(|byte| matches!(byte, 0x00 | 0xff)) {
        return Ok(Signed::No);
    }
    if is_v1(rest) {
        return Ok(Signed::V1);
    }
    let start = end.checked_next_multiple_of(SECTOR).unwrap_or(usize::MAX);
    let sector = bytes.get(start..).unwrap_or_default();
    let begins = bytes.get(end..start.min(bytes.len())).unwrap_or_default();
    if sector.first() != Some(&MAGIC) || begins.iter().any(|byte| !matches!(byte, 0x00 | 0xff)) {
        return Err(BadSignature::Trailing(rest.len()));
    }
    match sector.len().checked_sub(SECTOR) {
        None => return Err(BadSignature::Cut(SECTOR.saturating_sub(sector.len()))),
        Some(0) => {}
        Some(more) => return Err(BadSignature::Trailing(more)),
    }
    let signed = bytes.get(..start).unwrap_or_default();
    let mut signers = Vec::new();
    for (index, block) in sector.chunks_exact(BLOCK).take(MOST_BLOCKS).enumerate() {
        if block.iter().any(|byte| !matches!(byte, 0x00 | 0xff)) {
            signers.push(signer(index, block, signed)?);
        }
    }
    Ok(Signed::V2(signers))
}

/// 68 bytes, the first four of them 0, and not only padding behind them.
fn is_v1(rest: &[u8]) -> bool {
    rest.len() == V1 && rest.starts_with(&[0; 4])
}

/// A block of a sector, about the bytes before it.
fn signer(index: usize, block: &[u8], signed: &[u8]) -> Result<Signer, BadSignature> {
    let covered = part(block, 0, COVERED);
    let crc = software_crc32(0, covered).to_le_bytes();
    if part(block, COVERED, crc.len()) != crc {
        return Err(BadSignature::Crc(index));
    }
    // Magic, version, and of ECDSA which SHA-2.
    match covered.first_chunk::<3>() {
        Some([MAGIC, 2, _]) => rsa(index, block, signed),
        Some([MAGIC, 3, 0]) => match part(block, 36, 1) {
            // P-192, which nothing here can verify.
            [1] => {
                expect_digest(index, block, &Sha256::digest(signed))?;
                let key_digest = hex::lower(&Sha256::digest(part(block, 36, 65)));
                Ok(Signer { scheme: "ECDSA P-192", key_digest, is_verified: false })
            }
            [2] => {
                expect_digest(index, block, &Sha256::digest(signed))?;
                let curve: &dyn VerificationAlgorithm = &ECDSA_P256_SHA256_FIXED;
                ecdsa(index, block, signed, ("ECDSA P-256", curve, 36, 32))
            }
            _ => Err(BadSignature::Scheme(index)),
        },
        Some([MAGIC, 3, 1]) if part(block, 52, 1) == [3] => {
            expect_digest(index, block, &Sha384::digest(signed))?;
            let curve: &dyn VerificationAlgorithm = &ECDSA_P384_SHA384_FIXED;
            ecdsa(index, block, signed, ("ECDSA P-384", curve, 52, 48))
        }
        _ => Err(BadSignature::Scheme(index)),
    }
}

/// The digest in a block stands behind its four bytes of head.
fn expect_digest(index: usize, block: &[u8], digest: &[u8]) -> Result<(), BadSignature> {
    let is_same = part(block, 4, digest.len()) == digest;
    if is_same { Ok(()) } else { Err(BadSignature::Digest(index)) }
}

/// Modulus, exponent, two numbers that speed the ROM up, and the signature; little-endian.
fn rsa(index: usize, block: &[u8], signed: &[u8]) -> Result<Signer, BadSignature> {
    const KEY: usize = 36;
    const KEY_SIZE: usize = 2 * RSA + 8;
    expect_digest(index, block, &Sha256::digest(signed))?;
    let n = reversed(part(block, KEY, RSA));
    let e = reversed(part(block, KEY + RSA, 4));
    let signature = reversed(part(block, KEY + KEY_SIZE, RSA));
    let e: Vec<u8> = e.into_iter().skip_while(|byte| *byte == 0).collect();
    RsaPublicKeyComponents { n: &n, e: &e }
        .verify(&RSA_PSS_2048_8192_SHA256, signed, &signature)
        .map_err(|_| BadSignature::Signature(index))?;
    let key_digest = hex::lower(&Sha256::digest(part(block, KEY, KEY_SIZE)));
    Ok(Signer { scheme: "RSA-3072", key_digest, is_verified: true })
}

/// The number of a curve, then x, y, r and s; little-endian.
fn ecdsa(
    index: usize,
    block: &[u8],
    signed: &[u8],
    (scheme, curve, at, size): (&'static str, &'static dyn VerificationAlgorithm, usize, usize),
) -> Result<Signer, BadSignature> {
    let number = |which: usize| {
        let offset = size.saturating_mul(which).saturating_add(at).saturating_add(1);
        reversed(part(block, offset, size))
    };
    let key = [vec![4], number(0), number(1)].concat();
    let signature = [number(2), number(3)].concat();
    UnparsedPublicKey::new(curve, key)
        .verify(signed, &signature)
        .map_err(|_| BadSignature::Signature(index))?;
    let key_size = size.saturating_mul(2).saturating_add(1);
    let key_digest = hex::lower(&Sha256::digest(part(block, at, key_size)));
    Ok(Signer { scheme, key_digest, is_verified: true })
}

fn part(bytes: &[u8], at: usize, length: usize) -> &[u8] {
    bytes.get(at..at.saturating_add(length)).unwrap_or_default()
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    macro_rules! vector {
        ($name:literal) => {
            include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/vectors/secure_boot/",
                $name
            ))
        };
    }

    pub(in crate::device::install) const PLAIN: &[u8] = vector!("plain.bin");
    pub(in crate::device::install) const RSA3072: &[u8] = vector!("rsa3072.bin");
    pub(in crate::device::install) const V1_SIGNED: &[u8] = vector!("v1.bin");
    const ECDSA256: &[u8] = vector!("ecdsa256.bin");
    const ECDSA384: &[u8] = vector!("ecdsa384.bin");
    const ECDSA192: &[u8] = vector!("ecdsa192.bin");
    const TWO_KEYS: &[u8] = vector!("two-keys.bin");
    const README: &str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/secure_boot/README.md"));

    /// The CRC of a block made good, so that what it covers can be changed.
    #[expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]
    pub(in crate::device::install) fn resealed(mut bytes: Vec<u8>, index: usize) -> Vec<u8> {
        let start = bytes.len() - SECTOR + index * BLOCK;
        let crc = software_crc32(0, &bytes[start..start + COVERED]);
        bytes[start + COVERED..start + COVERED + 4].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// An image signed with a throw-away key, as `espsecure` does it.
    pub(in crate::device::install) fn signed(image: &[u8]) -> Vec<u8> {
        use aws_lc_rs::rand::SystemRandom;
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

        let mut bytes = image.to_vec();
        bytes.resize(image.len().next_multiple_of(SECTOR), 0xff);
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let by_key = key.sign(&SystemRandom::new(), &bytes).unwrap();
        let point = &key.public_key().as_ref()[1..];
        let mut block = vec![MAGIC, 3, 0, 0];
        block.extend(Sha256::digest(&bytes));
        block.push(2);
        for number in [&point[..32], &point[32..], &by_key.as_ref()[..32], &by_key.as_ref()[32..]] {
            block.extend(reversed(number));
        }
        block.resize(BLOCK, 0);
        block.resize(SECTOR, 0xff);
        bytes.extend(block);
        resealed(bytes, 0)
    }

    fn signers(bytes: &[u8]) -> Vec<Signer> {
        match signature(bytes) {
            Ok(Signed::V2(signers)) => signers,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_espsecure_signed_verifies_and_names_the_key_as_espsecure_does() {
        for (bytes, scheme, is_verified) in [
            (RSA3072, "RSA-3072", true),
            (ECDSA256, "ECDSA P-256", true),
            (ECDSA384, "ECDSA P-384", true),
            (ECDSA192, "ECDSA P-192", false),
        ] {
            let [signer] = &signers(bytes)[..] else { panic!("{scheme}") };
            assert_eq!((signer.scheme, signer.is_verified), (scheme, is_verified));
            assert!(README.contains(&signer.key_digest), "{scheme}: {}", signer.key_digest);
        }
        let schemes: Vec<_> = signers(TWO_KEYS).iter().map(|signer| signer.scheme).collect();
        assert_eq!(schemes, ["RSA-3072", "ECDSA P-256"]);
    }

    #[test]
    fn a_plain_image_is_not_signed_and_the_first_version_is_told() {
        assert_eq!(signature(PLAIN), Ok(Signed::No));
        assert_eq!(signature(&[PLAIN, &[0xff; 4096]].concat()), Ok(Signed::No));
        assert_eq!(signature(V1_SIGNED), Ok(Signed::V1));
    }

    #[test]
    fn every_changed_byte_of_a_block_is_refused() {
        for bytes in [RSA3072, ECDSA256, ECDSA384] {
            let start = bytes.len() - SECTOR;
            for at in (0..COVERED + 4).step_by(7) {
                let mut changed = bytes.to_vec();
                changed[start + at] ^= 1;
                let expected = if at == 0 {
                    BadSignature::Trailing(bytes.len() - PLAIN.len())
                } else {
                    BadSignature::Crc(0)
                };
                assert_eq!(signature(&changed), Err(expected), "{at}");
            }
        }
    }

    #[test]
    fn a_block_with_a_right_crc_is_still_verified() {
        let with = |bytes: &[u8], at: usize| {
            let mut changed = bytes.to_vec();
            let start = bytes.len() - SECTOR;
            changed[start + at] ^= 1;
            signature(&resealed(changed, 0)).unwrap_err()
        };
        for bytes in [RSA3072, ECDSA256, ECDSA384, ECDSA192] {
            assert_eq!(with(bytes, 4), BadSignature::Digest(0));
            // The version: what follows has another meaning then, or none.
            with(bytes, 1);
        }
        // The last byte of each signature, and one of each key.
        for (bytes, signature, key) in
            [(RSA3072, 1195, 100), (ECDSA256, 164, 50), (ECDSA384, 244, 60)]
        {
            assert_eq!(with(bytes, signature), BadSignature::Signature(0));
            assert_eq!(with(bytes, key), BadSignature::Signature(0));
        }
    }

    #[test]
    fn the_padding_before_the_signature_is_signed_too() {
        let mut changed = RSA3072.to_vec();
        changed[PLAIN.len()] = 0;
        assert_eq!(signature(&changed), Err(BadSignature::Digest(0)));
        changed[PLAIN.len()] = 7;
        let rest = RSA3072.len() - PLAIN.len();
        assert_eq!(signature(&changed), Err(BadSignature::Trailing(rest)));
        let cut = &RSA3072[..RSA3072.len() - 5];
        assert_eq!(signature(cut), Err(BadSignature::Cut(5)));
        let more = [RSA3072, &[1; 3]].concat();
        assert_eq!(signature(&more), Err(BadSignature::Trailing(3)));
        assert!(matches!(signature(&RSA3072[1..]), Err(BadSignature::Image(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            changes in prop::collection::vec((0usize..8192, any::<u8>()), 0..6),
            length in 0usize..9000,
            reseals in any::<bool>(),
        ) {
            let mut bytes = RSA3072.to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            if reseals {
                bytes = resealed(bytes, 0);
            }
            bytes.resize(length, 0xff);
            let _ = signature(&bytes);
        }

        #[test]
        fn any_changed_byte_of_image_or_block_is_refused(at in 0usize..4096 + COVERED, bit in 0u8..8) {
            let mut bytes = RSA3072.to_vec();
            bytes[at] ^= 1 << bit;
            prop_assert!(!matches!(signature(&bytes), Ok(Signed::V2(_))));
        }
    }
}
