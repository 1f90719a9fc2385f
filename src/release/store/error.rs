//! What can go wrong with a store, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::{WebDavError, access};
use crate::error::{Exit, Explained, Location};

/// A store could not be named, read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum StoreError {
    #[error("`{0}` names no store that this version can write")]
    Scheme(String),
    #[error("the credentials for the store cannot be used: {0}")]
    Credentials(&'static str),
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write `{path}`")]
    Write { path: PathBuf, source: io::Error },
    #[error("`{0}` exists already: another publish was faster")]
    Lost(String),
    #[error("`{0}` in the store is another root than the trusted one")]
    OtherRoot(String),
    #[error("`{path}` is not the listed image, so `{copy}` stays as it was")]
    NotTheImage { path: String, copy: String },
    #[error("the live timestamp changed since this publish began")]
    Overtaken,
    #[error("the live timestamp is another publish's, which went live at the same moment")]
    Overwritten,
    #[error("`{0}` is a later publish's claim")]
    LaterClaim(String),
    #[error("`{0}` is not as this publish wrote it: another one was at work")]
    Changed(String),
    #[error("the staged timestamp is not the one that this publish wrote")]
    NotStaged,
    #[error(transparent)]
    WebDav(Box<WebDavError>),
}

impl From<WebDavError> for StoreError {
    fn from(error: WebDavError) -> Self {
        Self::WebDav(Box::new(error))
    }
}

impl StoreError {
    /// Whether the same may come through a moment later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::WebDav(error) if error.is_passing())
    }

    /// Whether the server found another file than the one that was meant to be replaced.
    pub(super) fn is_precondition(&self) -> bool {
        match self {
            Self::WebDav(error) => matches!(**error, WebDavError::Precondition { .. }),
            _ => false,
        }
    }
}

impl Explained for StoreError {
    fn exit(&self) -> Exit {
        match self {
            Self::Scheme(_) | Self::Credentials(_) | Self::Read { .. } => Exit::Project,
            Self::Write { .. } => Exit::Output,
            Self::Lost(_)
            | Self::Overtaken
            | Self::LaterClaim(_)
            | Self::Changed(_)
            | Self::Overwritten
            | Self::NotStaged => Exit::Rejected,
            Self::WebDav(error) => error.exit(),
            Self::OtherRoot(_) | Self::NotTheImage { .. } => Exit::Trust,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Scheme(_) => Some(
                "name a folder or an https address in `esp-ota.toml`: `store = \"dir:dist\"`"
                    .into(),
            ),
            Self::WebDav(error) => error.help(),
            Self::Overwritten => Some(
                "devices may have seen either; run `cargo esp-ota publish` again to see what is \
                 published"
                    .into(),
            ),
            Self::Credentials(_) => Some(format!(
                "set `{}` and `{}`, or `{}` alone",
                access::USER,
                access::PASSWORD,
                access::TOKEN
            )),
            Self::Lost(_)
            | Self::Overtaken
            | Self::LaterClaim(_)
            | Self::Changed(_)
            | Self::NotStaged => {
                Some("nothing was made visible; run `cargo esp-ota publish` again".into())
            }
            Self::OtherRoot(_) => Some(
                "publish into the store that belongs to `trust/root.json`, or into an empty one"
                    .into(),
            ),
            Self::NotTheImage { .. } => Some(
                "put the file back: `cargo esp-ota publish` with the same image repairs it".into(),
            ),
            Self::Read { .. } => {
                Some("check the folder of the store, and that you may read it".into())
            }
            Self::Write { .. } => {
                Some("check the folder of the store, and that you may write there".into())
            }
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Read { path, .. } | Self::Write { path, .. } => {
                Some(Location { file: path.clone(), line: None, column: None })
            }
            Self::Scheme(_)
            | Self::Credentials(_)
            | Self::Lost(_)
            | Self::OtherRoot(_)
            | Self::NotTheImage { .. }
            | Self::Overtaken
            | Self::LaterClaim(_)
            | Self::Changed(_)
            | Self::Overwritten
            | Self::NotStaged => None,
            Self::WebDav(error) => error.location(),
        }
    }
}
