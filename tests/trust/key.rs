//! Keys that sign the metadata of tests: real ones, each made of one number.

use std::fmt::Write as _;

use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::canonical::canonical;

/// A signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Ed25519 with this byte, 32 times, as its seed.
    Ed25519(u8),
}

use Key::Ed25519;

impl Key {
    /// The entry under `keys` of a root.
    pub(crate) fn public(self) -> Json {
        match self {
            Ed25519(_) => json!({
                "keytype": "ed25519",
                "scheme": "ed25519",
                "keyval": { "public": self.point() },
            }),
        }
    }

    /// The encoded point of an Ed25519 key, in hexadecimal.
    pub(crate) fn point(self) -> String {
        let Ed25519(seed) = self;
        hex(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes())
    }

    /// The id that the specification computes: SHA-256 over the entry (section 4.2).
    pub(crate) fn id(self) -> String {
        hex(&Sha256::digest(canonical(&self.public())))
    }

    /// Signs the canonical form of `signed`, and gives an entry of `signatures`.
    pub(crate) fn sign(self, signed: &Json) -> Json {
        json!({ "keyid": self.id(), "sig": self.signature(signed) })
    }

    /// The bare signature over the canonical form of `signed`, in hexadecimal.
    pub(crate) fn signature(self, signed: &Json) -> String {
        let message = canonical(signed);
        match self {
            Ed25519(seed) => {
                hex(&SigningKey::from_bytes(&[seed; 32]).sign(message.as_bytes()).to_bytes())
            }
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
