//! What can be wrong with a signing key, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::Role;
use super::pem::PemError;
use crate::error::{Exit, Explained, Location};

/// A signing key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum KeyError {
    #[error("`{0}` is no product name")]
    Product(String),
    #[error("no signing key for the {role} role: `{path}` does not exist")]
    Missing { role: Role, path: PathBuf },
    #[error("`{0}` exists already")]
    Exists(PathBuf),
    #[error("`{path}` lies in the git work tree `{tree}`, which does not ignore it")]
    InGit { path: PathBuf, tree: PathBuf },
    #[error("`{path}` is open to others (mode {mode:03o}, expected 600)")]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot use the signing key in `{place}`")]
    Unusable {
        /// File or environment variable.
        place: String,
        source: KeyTextError,
    },
    #[error(
        "the {role} key in `{place}` is encrypted, and the new one would not be: there is no \
         passphrase"
    )]
    Weaker { role: Role, place: String },
    #[error("cannot write `{path}`")]
    Write { path: PathBuf, source: io::Error },
    #[error("the operating system gives no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("cannot encode a new key")]
    Encode(#[source] pkcs8::Error),
    #[error("cannot work out the id of a key")]
    Id(#[source] Box<tough::schema::Error>),
}

/// What is wrong with the text of a key.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct KeyTextError(#[from] PemError);

impl KeyTextError {
    fn wants_passphrase(&self) -> bool {
        match self.0 {
            PemError::NoPassphrase | PemError::Passphrase(_) => true,
            PemError::Malformed(_) => false,
        }
    }
}

impl Explained for KeyError {
    fn exit(&self) -> Exit {
        match self {
            Self::Product(_)
            | Self::Missing { .. }
            | Self::OpenToOthers { .. }
            | Self::Read { .. }
            | Self::Weaker { .. }
            | Self::Unusable { .. } => Exit::Project,
            Self::Exists(_) | Self::InGit { .. } => Exit::Rejected,
            Self::Write { .. } | Self::Random(_) | Self::Encode(_) | Self::Id(_) => Exit::Output,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Product(_) => Some(
                "use lower-case letters, digits, `-`, `_` and `.` for `product` in `esp-ota.toml`"
                    .into(),
            ),
            Self::Missing { role, .. } => Some(format!(
                "bring it back from your copy, or pass it in `{}`: devices in the field \
                 trust no other",
                role.variable()
            )),
            Self::Exists(path) => Some(format!(
                "keep it, for devices trust it; if none does, move the folder `{}` away and run \
                 `cargo esp-ota keys new` again",
                path.parent().unwrap_or(path).display()
            )),
            Self::InGit { path, tree } => Some(format!(
                "let git ignore `{}`, or set `XDG_CONFIG_HOME` to a folder outside `{}`",
                path.display(),
                tree.display()
            )),
            Self::OpenToOthers { path, .. } => {
                Some(format!("close it with `chmod 600 {}`", path.display()))
            }
            Self::Unusable { source, .. } => Some(if source.wants_passphrase() {
                "set `ESP_OTA_KEY_PASSPHRASE` to the passphrase of the key".into()
            } else {
                "restore the key from your backup; `openssl pkey -in FILE -noout` shows whether a \
                 file is sound"
                    .into()
            }),
            Self::Weaker { .. } => Some(
                "set `ESP_OTA_KEY_PASSPHRASE`: the new key is encrypted with it, whatever the old \
                 one opens with"
                    .into(),
            ),
            Self::Read { .. } | Self::Write { .. } => {
                Some("check the folder of the keys, and that it is yours".into())
            }
            Self::Random(_) | Self::Encode(_) | Self::Id(_) => None,
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Exists(path)
            | Self::Missing { path, .. }
            | Self::InGit { path, .. }
            | Self::OpenToOthers { path, .. }
            | Self::Read { path, .. }
            | Self::Write { path, .. } => {
                Some(Location { file: path.clone(), line: None, column: None })
            }
            Self::Product(_)
            | Self::Unusable { .. }
            | Self::Weaker { .. }
            | Self::Random(_)
            | Self::Encode(_)
            | Self::Id(_) => None,
        }
    }
}
