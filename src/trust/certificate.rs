//! What a certificate says, read in one way wherever it comes from: a file or a live server.

use std::fmt;

use jiff::Timestamp;
use x509_parser::prelude::{ASN1Time, ParsedExtension, X509Certificate, X509Name};
use x509_parser::public_key::PublicKey;

use crate::trust::refusal::Refusal;

/// Shortest RSA key, in bits: NIST SP 800-131A and the CA/Browser Forum's baseline, section 6.1.5.
pub const SMALLEST_RSA_BITS: usize = 2048;

/// Most characters of a name that are shown. RFC 5280 allows 64 for a common name and as many for
/// an organisation; a hostile certificate may hold thousands.
const LONGEST_NAME: usize = 160;

/// A kind of public key that the device's TLS library verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// RSA with a modulus of this many bits.
    Rsa(usize),
    /// ECDSA on the curve P-256.
    EcdsaP256,
    /// ECDSA on the curve P-384.
    EcdsaP384,
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::EcdsaP256 => f.pad("ECDSA P-256"),
            Self::EcdsaP384 => f.pad("ECDSA P-384"),
        }
    }
}

/// The kind of key it holds.
pub(super) fn key_type(certificate: &X509Certificate<'_>) -> Result<KeyType, Refusal> {
    let information = certificate.public_key();
    let algorithm = &information.algorithm.algorithm;
    let unsupported = |key: String| Refusal::UnsupportedKey { key };
    match information.parsed() {
        Ok(PublicKey::RSA(key)) => match modulus_bits(key.modulus) {
            bits if bits < SMALLEST_RSA_BITS => Err(Refusal::WeakKey { bits }),
            bits => Ok(KeyType::Rsa(bits)),
        },
        Ok(PublicKey::EC(_)) => {
            let curve = information.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            match curve.map(|oid| oid.to_id_string()) {
                // RFC 5480, section 2.1.1.1.
                Some(oid) if oid == "1.2.840.10045.3.1.7" => Ok(KeyType::EcdsaP256),
                Some(oid) if oid == "1.3.132.0.34" => Ok(KeyType::EcdsaP384),
                Some(oid) => Err(unsupported(format!("ECDSA on curve {oid}"))),
                None => Err(unsupported("ECDSA on an unnamed curve".to_owned())),
            }
        }
        Ok(_) | Err(_) => Err(unsupported(match algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".to_owned(),
            "1.3.101.113" => "Ed448".to_owned(),
            oid => oid.to_owned(),
        })),
    }
}

/// Length of the modulus without leading zeros.
fn modulus_bits(modulus: &[u8]) -> usize {
    let mut significant = modulus.iter().skip_while(|byte| **byte == 0);
    let Some(first) = significant.next() else { return 0 };
    let top = usize::try_from(u8::BITS.saturating_sub(first.leading_zeros())).unwrap_or(0);
    significant.count().saturating_mul(8).saturating_add(top)
}

/// The usual name of a signature algorithm whose hash is broken; `None` for every other one.
pub(super) fn broken_signature(algorithm: &str) -> Option<&'static str> {
    match algorithm {
        // RFC 8017, appendix C; RFC 3279, section 2.2.
        "1.2.840.113549.1.1.2" => Some("md2WithRSAEncryption"),
        "1.2.840.113549.1.1.4" => Some("md5WithRSAEncryption"),
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => Some("sha1WithRSAEncryption"),
        "1.2.840.10045.4.1" => Some("ecdsa-with-SHA1"),
        _ => None,
    }
}

/// The first critical extension that the device's TLS library does not know, by its object
/// identifier.
pub(super) fn unknown_critical(certificate: &X509Certificate<'_>) -> Option<String> {
    let unknown = certificate.extensions().iter().find(|extension| {
        extension.critical
            && !matches!(
                extension.parsed_extension(),
                ParsedExtension::BasicConstraints(_)
                    | ParsedExtension::KeyUsage(_)
                    | ParsedExtension::ExtendedKeyUsage(_)
                    | ParsedExtension::SubjectAlternativeName(_)
            )
    })?;
    Some(unknown.oid.to_id_string())
}

/// A name on one line, without anything that moves a cursor. Whoever made the certificate chose it.
pub(super) fn printable(name: &X509Name<'_>) -> String {
    let name = name.to_string();
    let mut shown = String::new();
    for character in name.chars().take(LONGEST_NAME) {
        match character {
            '"' | '\'' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    if name.chars().nth(LONGEST_NAME).is_some() {
        shown.push_str("...");
    }
    shown
}

/// RFC 5280 writes "no end" as 9999-12-31T23:59:59Z, a day beyond what jiff holds.
pub(super) fn timestamp(time: ASN1Time) -> Timestamp {
    Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::MAX)
}
