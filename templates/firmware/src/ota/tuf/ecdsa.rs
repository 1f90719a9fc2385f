//! ECDSA on the curve P-256 over SHA-256: what key services and hardware tokens sign with (TUF
//! specification, section 4.2.1, scheme `ecdsa-sha2-nistp256`).
//!
//! The public key is PEM text of a SubjectPublicKeyInfo (RFC 5480), the signature hexadecimal DER.

use super::super::json::{Text, Value, canonical};
use alloc::string::String;
use p256::ecdsa::{Signature, VerifyingKey, signature::DigestVerifier};
use p256::pkcs8::DecodePublicKey;
use sha2::{Digest, Sha256};

/// The scheme, and the key type of older metadata.
pub(super) const SCHEME: &str = "ecdsa-sha2-nistp256";

/// Longest public key read, in characters. openssl's PEM has 178; the rest is for line ends of two
/// characters and text before the key.
const LONGEST_PEM: usize = 512;
/// Longest signature, in bytes: a sequence of two integers of 32 bytes and a sign byte each.
const LONGEST_SIGNATURE: usize = 72;

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
        VerifyingKey::from_public_key_pem(&pem).ok().map(Self)
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
