//! Keys, signatures and thresholds (TUF specification, sections 4.2 and 5).

use super::super::json::{Text, Value, canonical};
use super::ecdsa;
use super::error::Refusal;
use super::metadata::Envelope;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use ed25519_dalek::{Signature, VerifyingKey};

/// A public key of a kind this client can verify with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `ed25519`, scheme `ed25519`: the encoded point. Whether it is one is seen when it is used.
    Ed25519([u8; 32]),
    /// `ecdsa`, scheme `ecdsa-sha2-nistp256`: a point on the curve.
    EcdsaP256(ecdsa::Key),
}

impl Key {
    /// Reads an entry of the root's `keys`. A key type, scheme or encoding that is not known here
    /// gives `None`: such a key exists, and can never count towards a threshold.
    fn read(entry: Value<'_>) -> Option<Self> {
        let text = |name| entry.member(name).and_then(Value::text);
        let (kind, scheme) = (text("keytype")?, text("scheme")?);
        let public = entry.member("keyval")?.member("public")?.text()?;
        if kind == *"ed25519" && scheme == *"ed25519" {
            return public.hex().map(Self::Ed25519);
        }
        // Section 4.2.1 knows the key type `ecdsa`; older metadata names it like the scheme.
        let is_ecdsa = kind == *"ecdsa" || kind == *ecdsa::SCHEME;
        if is_ecdsa && scheme == *ecdsa::SCHEME {
            return ecdsa::Key::read(public).map(Self::EcdsaP256);
        }
        None
    }

    /// Whether `signature` is this key's over the canonical form of `signed`.
    fn verifies(&self, signed: Value<'_>, signature: Text<'_>) -> bool {
        match self {
            Self::Ed25519(point) => ed25519(point, signed, signature).is_some(),
            Self::EcdsaP256(key) => key.verify(signed, signature).is_some(),
        }
    }
}

fn ed25519(point: &[u8; 32], signed: Value<'_>, signature: Text<'_>) -> Option<()> {
    // A point of small order verifies signatures that nobody made (RFC 8032, section 8.9).
    let key = VerifyingKey::from_bytes(point).ok().filter(|key| !key.is_weak())?;
    let signature = Signature::from_bytes(&signature.hex()?);
    let mut verifier = key.verify_stream(&signature).ok()?;
    canonical::write(signed, &mut |bytes| verifier.update(bytes));
    verifier.finalize_and_verify().ok()
}

/// The keys that speak for one role, and how many of them have to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RoleKeys {
    threshold: u64,
    /// Key id and key. Ids are only names: the table in the root says what they stand for.
    keys: Vec<(String, Key)>,
}

impl RoleKeys {
    /// Reads the entry `name` of the root's `roles`, looking its key ids up in `keys`.
    ///
    /// More signatures wanted than keys exist is not an error: such a role can never sign, and
    /// the next root may heal it.
    pub(super) fn read(roles: Value<'_>, name: &str, keys: Value<'_>) -> Option<Self> {
        let role = roles.member(name)?;
        let threshold = role.member("threshold")?.unsigned().filter(|number| *number > 0)?;
        let mut known: Vec<(String, Key)> = Vec::new();
        for id in role.member("keyids")?.elements()? {
            let id = id.text()?.to_string();
            // Listed again it adds nothing, and would cost memory for another key.
            if known.iter().any(|(other, _)| *other == id) {
                continue;
            }
            if let Some(key) = keys.member(&id).and_then(Key::read) {
                known.push((id, key));
            }
        }
        Some(Self { threshold, keys: known })
    }

    /// Whether enough different keys signed. The same key under two ids counts once, and a
    /// signature that does not verify, whatever is wrong with it, does not count at all.
    pub(super) fn verify(&self, envelope: &Envelope<'_>) -> Result<(), Refusal> {
        let mut signers: Vec<&Key> = Vec::new();
        let mut found = 0_u64;
        for (id, signature) in &envelope.signatures {
            let Some((_, key)) = self.keys.iter().find(|(known, _)| *id == **known) else {
                continue;
            };
            if !signers.contains(&key) && key.verifies(envelope.signed, *signature) {
                signers.push(key);
                found = found.saturating_add(1);
                if found >= self.threshold {
                    return Ok(());
                }
            }
        }
        Err(Refusal::Threshold { needed: self.threshold, found })
    }
}
