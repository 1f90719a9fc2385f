//! Signing keys: Ed25519, one per TUF role, held in memory and used through `tough`'s traits.

pub mod error;
pub mod folder;
mod git;
pub mod location;
mod pem;
mod supplied;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use aws_lc_rs::rand::SecureRandom;
use ed25519_dalek::Signer;
use tough::async_trait;
use tough::key_source::KeySource;
use tough::schema::RoleType;
use tough::schema::key::{Ed25519Key, Ed25519Scheme, Key};
use tough::sign::Sign;

use crate::hex;
pub use error::KeyError;
pub use folder::{Adopted, Held, KeyFolder};
pub use supplied::{KeyArgument, KeyPlace, Supplied};

/// A TUF role: what a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Says which keys the other roles have. Kept offline.
    Root,
    /// Says which images exist.
    Targets,
    /// Says which metadata belongs together.
    Snapshot,
    /// Says what is newest.
    Timestamp,
}

impl Role {
    /// Every role, in the order in which they trust each other.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// The name in metadata and of the key file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    /// The environment variable that holds the key's PEM text, for CI.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Root => "ESP_OTA_KEY_ROOT",
            Self::Targets => "ESP_OTA_KEY_TARGETS",
            Self::Snapshot => "ESP_OTA_KEY_SNAPSHOT",
            Self::Timestamp => "ESP_OTA_KEY_TIMESTAMP",
        }
    }

    /// The same role in `tough`'s words.
    pub const fn tough(self) -> RoleType {
        match self {
            Self::Root => RoleType::Root,
            Self::Targets => RoleType::Targets,
            Self::Snapshot => RoleType::Snapshot,
            Self::Timestamp => RoleType::Timestamp,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A private key. Its `Debug` form shows the public half only.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// The keys a publish signs with.
#[derive(Clone, Debug)]
pub struct PublishKeys {
    /// Signs the list of images.
    pub targets: SigningKey,
    /// Signs the list of metadata.
    pub snapshot: SigningKey,
    /// Signs what is newest.
    pub timestamp: SigningKey,
}

/// All keys of a new product.
#[derive(Clone, Debug)]
pub struct NewKeys {
    /// Signs the root metadata.
    pub root: SigningKey,
    /// The keys that are needed for every release.
    pub publish: PublishKeys,
}

impl SigningKey {
    /// Makes a key from the operating system's random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Random)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// A key that anybody can make again, for repositories that nobody shall trust.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The id under which TUF metadata lists the public key: lower-case hexadecimal.
    pub fn id(&self) -> Result<String, KeyError> {
        let id = self.public().key_id().map_err(|source| KeyError::Id(Box::new(source)))?;
        Ok(hex::lower(&id))
    }

    /// The public key as TUF metadata lists it.
    pub fn public(&self) -> Key {
        Key::Ed25519 {
            keyval: Ed25519Key {
                public: self.0.verifying_key().to_bytes().to_vec().into(),
                _extra: HashMap::new(),
            },
            scheme: Ed25519Scheme::Ed25519,
            _extra: HashMap::new(),
        }
    }
}

impl NewKeys {
    /// Makes a key for every role.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self {
            root: SigningKey::generate()?,
            publish: PublishKeys {
                targets: SigningKey::generate()?,
                snapshot: SigningKey::generate()?,
                timestamp: SigningKey::generate()?,
            },
        })
    }

    /// The key of a role.
    pub const fn of(&self, role: Role) -> &SigningKey {
        match role {
            Role::Root => &self.root,
            Role::Targets => &self.publish.targets,
            Role::Snapshot => &self.publish.snapshot,
            Role::Timestamp => &self.publish.timestamp,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}

#[async_trait]
impl Sign for SigningKey {
    fn tuf_key(&self) -> Key {
        self.public()
    }

    async fn sign(
        &self,
        message: &[u8],
        _: &(dyn SecureRandom + Sync),
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        Ok(self.0.sign(message).to_vec())
    }
}

#[async_trait]
impl KeySource for SigningKey {
    async fn as_sign(&self) -> Result<Box<dyn Sign>, Box<dyn Error + Send + Sync>> {
        Ok(Box::new(self.clone()))
    }

    async fn write(&self, _: &str, _: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        Err("a signing key is written once, by `cargo esp-ota keys new`".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_print_shows_no_secret() {
        let key = SigningKey(ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
        let text = format!("{key:?}");
        assert!(text.contains("Ed25519") && !text.contains("7, 7, 7, 7"), "{text}");
    }

    #[test]
    fn no_two_roles_share_a_key_or_a_name() {
        let keys = NewKeys::generate().unwrap();
        for (i, one) in Role::ALL.into_iter().enumerate() {
            for other in Role::ALL.into_iter().skip(i + 1) {
                assert_ne!(keys.of(one).public(), keys.of(other).public());
                assert_ne!(one.name(), other.name());
                assert_ne!(one.variable(), other.variable());
            }
        }
    }
}
