//! Keys that sign the metadata of tests: real ones, each told from the others by a number.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex};

use ed25519_dalek::pkcs8::EncodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey as _};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::canonical::canonical;

/// A signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Ed25519 with this byte, 32 times, as its seed.
    Ed25519(u8),
    /// ECDSA P-256, made by aws-lc when it is first used, and kept for the run.
    P256(u8),
}

use Key::{Ed25519, P256};

impl Key {
    /// The entry under `keys` of a root.
    pub(crate) fn public(self) -> Json {
        match self {
            Ed25519(seed) => json!({
                "keytype": "ed25519",
                "scheme": "ed25519",
                "keyval": { "public": hex(ed25519(seed).verifying_key().as_bytes()) },
            }),
            P256(number) => json!({
                "keytype": "ecdsa",
                "scheme": "ecdsa-sha2-nistp256",
                "keyval": { "public": pem(&p256(number)) },
            }),
        }
    }

    /// The private key as other tools read it: PKCS#8, DER.
    pub(crate) fn pkcs8(self) -> Vec<u8> {
        match self {
            Ed25519(seed) => ed25519(seed).to_pkcs8_der().unwrap().as_bytes().to_vec(),
            P256(number) => p256(number).serialize_der(),
        }
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
            Ed25519(seed) => hex(&ed25519(seed).sign(message.as_bytes()).to_bytes()),
            P256(number) => hex(&p256(number).sign(message.as_bytes()).unwrap()),
        }
    }
}

fn ed25519(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn p256(number: u8) -> Arc<KeyPair> {
    static MADE: LazyLock<Mutex<BTreeMap<u8, Arc<KeyPair>>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap();
    let key = made
        .entry(number)
        .or_insert_with(|| Arc::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()));
    Arc::clone(key)
}

/// A public key as PEM, with the line ends that most tools write.
pub(crate) fn pem(key: &KeyPair) -> String {
    let pem = pem::Pem::new("PUBLIC KEY", key.subject_public_key_info());
    pem::encode_config(&pem, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
