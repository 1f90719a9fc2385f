//! What can be wrong with a project's settings.

use std::io;
use std::path::PathBuf;

use super::Origin;
use crate::error::{Exit, Explained, Location};

/// Why there is no usable project.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No `esp-ota.toml` here or above.
    #[error("there is no `{file}` in `{}` or a folder above it", .0.display(), file = super::FILE)]
    NoProject(PathBuf),
    /// The file could not be read.
    #[error("`{}` could not be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("`{location}` is wrong: {message}")]
    Malformed {
        /// Where.
        location: Location,
        /// What the TOML reader says.
        message: String,
        /// The key that was likely meant.
        meant: Option<&'static str>,
    },
    /// A required key is missing.
    #[error("`{}` does not say `{key}`", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// An environment variable does not parse.
    #[error("`{variable}` in the environment is wrong")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// Why.
        #[source]
        message: Text,
    },
    /// Devices are never pointed at an unauthenticated server.
    #[error("`{key}` is `{url}`, which is no HTTPS URL (from {origin})")]
    NotHttps {
        /// The key.
        key: &'static str,
        /// What it holds.
        url: String,
        /// Who set it.
        origin: Origin,
    },
}

/// A cause that is only words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Text(pub(super) String);

impl Explained for ConfigError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoProject(_)
            | Self::Read { .. }
            | Self::Malformed { .. }
            | Self::Missing { .. }
            | Self::Environment { .. }
            | Self::NotHttps { .. } => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoProject(_) => Some(
                "run it in a project, pass `--config FILE`, or make one with `cargo esp-ota init`"
                    .into(),
            ),
            Self::Malformed { meant: Some(key), .. } => Some(format!("did you mean `{key}`?")),
            Self::Missing { key, .. } => Some(format!("add a line such as `{key} = \"…\"`")),
            Self::NotHttps { .. } => {
                Some("write `https://host/path`, without user, query or fragment".into())
            }
            Self::Read { source, .. } => match source.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::FileTooLarge => None,
                _ => Some("check the path, and that you may read it".into()),
            },
            Self::Environment { variable, .. } => {
                Some(format!("correct `{variable}`, or unset it"))
            }
            Self::Malformed { .. } => None,
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Malformed { location, .. } => Some(location.clone()),
            Self::Read { file, .. } | Self::Missing { file, .. } => {
                Some(Location { file: file.clone(), line: None, column: None })
            }
            Self::NoProject(_) | Self::Environment { .. } | Self::NotHttps { .. } => None,
        }
    }
}
