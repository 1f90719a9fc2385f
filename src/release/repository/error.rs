//! What can be wrong with the release repository, and what to do about it.

use std::error::Error;

use tough::TransportErrorKind;

use crate::error::{Exit, Explained, Location};
use crate::release::keys::Role;
use crate::release::rules::Refused;
use crate::release::store::StoreError;

/// The repository could not be read, or the next state of it could not be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum RepositoryError {
    #[error("the TUF root is not root metadata")]
    RootFormat(#[source] serde_json::Error),
    #[error("the TUF root is not signed by its own keys")]
    RootSignature(#[source] Box<tough::schema::Error>),
    #[error("root {version} does not follow the one before it")]
    RootChain { version: u64, source: Box<dyn Error + Send + Sync> },
    #[error("the TUF root expired on {0}")]
    RootExpired(jiff::Timestamp),
    #[error("the {role} metadata of the release repository has expired")]
    Expired { role: String },
    #[error("the release repository does not verify against the TUF root")]
    Untrusted(#[source] Box<tough::error::Error>),
    #[error("the release repository cannot be read")]
    Unreadable(#[source] Box<tough::error::Error>),
    #[error("the release repository is not whole: `{0}` is missing")]
    MetadataMissing(String),
    #[error("`{0}` is listed by the metadata and missing in the store")]
    ImageMissing(String),
    #[error("`{path}` is not the file that was signed: its SHA-256 is {found}")]
    ImageDamaged { path: String, found: String },
    #[error("what the metadata says about `{target}` cannot be understood")]
    Custom { target: String, source: serde_json::Error },
    #[error("`{0}` is not published")]
    NotListed(String),
    #[error("`{file}` is numbered far above the live version, which is {live}")]
    Jump { file: String, live: u64 },
    #[error("the version numbers of the {role} metadata are used up")]
    UsedUp { role: Role },
    #[error(
        "the key `{key}` may not sign for the {role} role: the TUF root lists {}",
        list(trusted)
    )]
    KeyNotInRoot { role: Role, key: String, trusted: Vec<String> },
    #[error("{keys} of {threshold} signatures that the TUF root asks for the {role} role")]
    Threshold { role: Role, keys: usize, threshold: u64 },
    #[error("cannot sign the {role} metadata")]
    Sign { role: Role, source: Box<dyn Error + Send + Sync> },
    #[error("the {role} metadata would not be plain ASCII")]
    NotAscii { role: Role },
    #[error("cannot encode the {role} metadata")]
    Encode { role: Role, source: Box<dyn Error + Send + Sync> },
    #[error("an expiry in {days} days lies beyond the calendar")]
    Expiry { days: u32 },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(keys: &[String]) -> String {
    if keys.is_empty() {
        "none".to_owned()
    } else {
        keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
    }
}

impl Explained for RepositoryError {
    fn exit(&self) -> Exit {
        match self {
            Self::RootFormat(_)
            | Self::Unreadable(_)
            | Self::MetadataMissing(_)
            | Self::Custom { .. }
            | Self::Sign { .. }
            | Self::Encode { .. }
            | Self::Expiry { .. } => Exit::Project,
            Self::RootSignature(_)
            | Self::RootChain { .. }
            | Self::RootExpired(_)
            | Self::Expired { .. }
            | Self::Untrusted(_)
            | Self::ImageDamaged { .. }
            | Self::Jump { .. }
            | Self::UsedUp { .. }
            | Self::KeyNotInRoot { .. }
            | Self::Threshold { .. } => Exit::Trust,
            Self::ImageMissing(_) | Self::NotListed(_) | Self::NotAscii { .. } => Exit::Rejected,
            Self::Refused(error) => error.exit(),
            Self::Store(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::RootFormat(_) | Self::RootSignature(_) => {
                Some("restore `trust/root.json` from version control".into())
            }
            Self::RootExpired(_) => {
                Some("sign a newer one with `cargo esp-ota keys rotate --renew`".into())
            }
            Self::RootChain { version, .. } => Some(format!(
                "find out who wrote `metadata/{version}.root.json`; devices refuse it"
            )),
            Self::Expired { .. } => Some(
                "sign it again with `cargo esp-ota publish --refresh`, or publish a release".into(),
            ),
            Self::Untrusted(_) => Some(
                "compare `[release] store` in `esp-ota.toml` and `trust/root.json`: the store \
                 holds another repository, or somebody changed it"
                    .into(),
            ),
            Self::MetadataMissing(_) => Some(
                "restore the store from a copy, or find out which publish was interrupted".into(),
            ),
            Self::ImageMissing(_) | Self::ImageDamaged { .. } => Some(
                "put the file back: `cargo esp-ota publish` with the same image repairs it".into(),
            ),
            Self::Custom { .. } => {
                Some("use the version of `cargo esp-ota` that published it, or a newer one".into())
            }
            Self::Jump { file, .. } => {
                Some(format!("find out who wrote `{file}` into the store; this tool did not"))
            }
            Self::KeyNotInRoot { role, .. } | Self::Threshold { role, .. } => Some(format!(
                "sign with the {role} key that was made together with `trust/root.json`"
            )),
            Self::Expiry { .. } => Some("choose fewer days".into()),
            Self::NotListed(_) => Some("see what is: `cargo esp-ota rollout show`".into()),
            Self::Unreadable(_)
            | Self::UsedUp { .. }
            | Self::Sign { .. }
            | Self::NotAscii { .. }
            | Self::Encode { .. } => None,
            Self::Refused(error) => error.help(),
            Self::Store(error) => error.help(),
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Store(error) => error.location(),
            Self::RootFormat(_)
            | Self::RootSignature(_)
            | Self::RootChain { .. }
            | Self::RootExpired(_)
            | Self::Expired { .. }
            | Self::Untrusted(_)
            | Self::Unreadable(_)
            | Self::MetadataMissing(_)
            | Self::ImageMissing(_)
            | Self::ImageDamaged { .. }
            | Self::Custom { .. }
            | Self::NotListed(_)
            | Self::Jump { .. }
            | Self::UsedUp { .. }
            | Self::KeyNotInRoot { .. }
            | Self::Threshold { .. }
            | Self::Sign { .. }
            | Self::NotAscii { .. }
            | Self::Encode { .. }
            | Self::Expiry { .. }
            | Self::Refused(_) => None,
        }
    }
}

impl RepositoryError {
    /// Sorts what `tough`'s client refused: run out, not judged, or wrong.
    pub(super) fn from_client(error: tough::error::Error) -> Self {
        match error {
            tough::error::Error::ExpiredMetadata { role, .. } => {
                Self::Expired { role: role.to_string() }
            }
            // `tough` reports a wrong hash as a transport error too: only the cause tells.
            tough::error::Error::Transport { ref source, .. }
                if source.source().is_some_and(|cause| cause.is::<StoreError>()) =>
            {
                Self::Unreadable(Box::new(error))
            }
            tough::error::Error::Transport { ref source, .. }
                if source.kind() == TransportErrorKind::FileNotFound =>
            {
                Self::MetadataMissing(source.url().to_owned())
            }
            // Its type is open-ended; whatever else stops a TUF client is a matter of trust.
            other => Self::Untrusted(Box::new(other)),
        }
    }
}
