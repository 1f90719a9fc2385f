//! ECDSA on the curve P-256 over SHA-256: what key services and hardware tokens sign with (TUF
//! specification, section 4.2.1, scheme `ecdsa-sha2-nistp256`).
//!
//! The public key is PEM text of a SubjectPublicKeyInfo (RFC 5480), the signature hexadecimal DER.

use super::super::json::{Text, Value, canonical};
use alloc::string::String;
use p256::ecdsa::{Signature, VerifyingKey, signature::DigestVerifier};
use sha2::{Digest, Sha256};

/// The scheme, and the key type of older metadata.
pub(super) const SCHEME: &str = "ecdsa-sha2-nistp256";

/// Longest public key read, in characters. openssl's PEM has 178; the rest is for line ends of two
/// characters and text before the key.
const LONGEST_PEM: usize = 512;
/// Longest signature, in bytes: a sequence of two integers of 32 bytes and a sign byte each.
const LONGEST_SIGNATURE: usize = 72;

/// All that stands before the point in a SubjectPublicKeyInfo (RFC 5480, sections 2 and 2.1.1):
/// `SEQUENCE { SEQUENCE { id-ecPublicKey, secp256r1 }, BIT STRING { no unused bits, … } }`. DER leaves
/// no choice, so a comparison reads it; a reader of all ASN.1 takes 15 KB of flash.
const BEFORE_POINT: [u8; 26] = *b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The same before a point of which only one coordinate is written, 32 bytes shorter.
const BEFORE_COMPRESSED_POINT: [u8; 26] = *b"\x30\x39\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x22\x00";
/// A point (SEC 1, section 2.3.3): a byte that says how it is written, and two coordinates.
const LONGEST_POINT: usize = 65;
const COMPRESSED_POINT: usize = 33;

/// A point of the curve, and not the one at infinity. Two of them are equal when the points are,
/// however they were spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(VerifyingKey);

impl Key {
    /// Reads PEM text; `None` for anything but one point of this curve.
    pub(super) fn read(public: Text<'_>) -> Option<Self> {
        let mut pem = String::new();
        pem.extend(public.characters().take(LONGEST_PEM.saturating_add(1)));
        if pem.len() > LONGEST_PEM {
            return None;
        }
        let mut der = [0; BEFORE_POINT.len() + LONGEST_POINT];
        let (label, der) = pem_rfc7468::decode(pem.as_bytes(), &mut der).ok()?;
        let (before, point) = der.split_first_chunk()?;
        let is_right = match point.len() {
            LONGEST_POINT => *before == BEFORE_POINT,
            COMPRESSED_POINT => *before == BEFORE_COMPRESSED_POINT,
            _ => false,
        };
        let key = VerifyingKey::from_sec1_bytes(point).ok();
        key.filter(|_| is_right && label == "PUBLIC KEY").map(Self)
    }

    /// `Some` where `signature` is this key's over the canonical form of `signed`.
    pub(super) fn verify(&self, signed: Value<'_>, signature: Text<'_>) -> Option<()> {
        let mut der = [0; LONGEST_SIGNATURE];
        let signature = Signature::from_der(signature.hex_into(&mut der)?).ok()?;
        let hash = |digest: &mut Sha256| {
            canonical::write(signed, &mut |bytes| Digest::update(digest, bytes));
            Ok(())
        };
        self.0.verify_digest(hash, &signature).ok()
    }
}
