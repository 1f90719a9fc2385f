//! What can go wrong with a store, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::error::{Exit, Explained, Location};

/// A store could not be named, read or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum StoreError {
    #[error("`{0}` names no store that this version can write")]
    Scheme(String),
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
    #[error("the staged timestamp is not the one that this publish wrote")]
    NotStaged,
}

impl Explained for StoreError {
    fn exit(&self) -> Exit {
        match self {
            Self::Scheme(_) | Self::Read { .. } => Exit::Project,
            Self::Write { .. } => Exit::Output,
            Self::Lost(_) | Self::Overtaken | Self::NotStaged => Exit::Rejected,
            Self::OtherRoot(_) | Self::NotTheImage { .. } => Exit::Trust,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Scheme(_) => {
                Some("name a folder in `esp-ota.toml`: `store = \"dir:dist\"`".into())
            }
            Self::Lost(_) | Self::Overtaken | Self::NotStaged => {
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
            | Self::Lost(_)
            | Self::OtherRoot(_)
            | Self::NotTheImage { .. }
            | Self::Overtaken
            | Self::NotStaged => None,
        }
    }
}
