//! What can be wrong with a project's settings.

use std::io;
use std::path::PathBuf;

use super::Origin;
use crate::agent::url::UrlError;
use crate::error::{Exit, Explained, Location};
use crate::partition::{Code, UnknownCode};

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
    /// `partitions.allow` names a code that does not exist.
    #[error("`{location}` is wrong: `{}` is not the code of a finding", unknown.name)]
    UnknownCode {
        /// Where.
        location: Location,
        /// The name, and the code that was likely meant.
        unknown: UnknownCode,
    },
    /// `partitions.allow` names a code of tables that nothing can be built from.
    #[error(
        "`{location}` is wrong: `{code}` cannot be allowed, because ESP-IDF refuses such a table"
    )]
    NotAllowable {
        /// Where.
        location: Location,
        /// The code.
        code: Code,
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
    /// The agent's own reader refuses it.
    #[error("`{key}` is `{url}`, which devices do not take (from {})", from(*origin, place.as_ref()))]
    Url {
        /// The key.
        key: &'static str,
        /// What it holds.
        url: String,
        /// Who set it.
        origin: Origin,
        /// Where, in the file.
        place: Option<Location>,
        /// Why.
        source: UrlError,
    },
}

/// The help with every URL.
pub(super) const URL_HELP: &str = "write `https://host/path`, without user, query or fragment";

/// Who set a value, and where in the file.
fn from(origin: Origin, place: Option<&Location>) -> String {
    place.map_or_else(|| origin.to_string(), |place| format!("`{place}`"))
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
            | Self::UnknownCode { .. }
            | Self::NotAllowable { .. }
            | Self::Missing { .. }
            | Self::Environment { .. }
            | Self::Url { .. } => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoProject(_) => Some(
                "run it in a project, pass `--config FILE`, or make one with `cargo esp-ota init`"
                    .into(),
            ),
            Self::Malformed { meant: Some(key), .. } => Some(format!("did you mean `{key}`?")),
            Self::UnknownCode { unknown: UnknownCode { meant: Some(code), .. }, .. } => {
                Some(format!("did you mean `{code}`?"))
            }
            Self::UnknownCode { .. } => {
                Some("`cargo esp-ota partitions explain` lists the codes".into())
            }
            Self::NotAllowable { code, .. } => Some(format!(
                "correct the table; `cargo esp-ota partitions explain {code}` says how"
            )),
            Self::Missing { key, .. } => Some(format!("add a line such as `{key} = \"…\"`")),
            Self::Url { .. } => Some(URL_HELP.into()),
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
            Self::Malformed { location, .. }
            | Self::UnknownCode { location, .. }
            | Self::NotAllowable { location, .. } => Some(location.clone()),
            Self::Read { file, .. } | Self::Missing { file, .. } => {
                Some(Location { file: file.clone(), line: None, column: None })
            }
            Self::Url { place, .. } => place.clone(),
            Self::NoProject(_) | Self::Environment { .. } => None,
        }
    }
}
