//! Why there is no bench root, or no certificate under it.

use std::io;
use std::path::PathBuf;

use crate::error::{Exit, Explained, Location};
use crate::trust::bench::ROOT_FILE;
use crate::trust::refusal::RootError;

/// The bench root could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file or folder could not be written.
    #[error("`{}` could not be written", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is there and could not be read.
    #[error("`{}` could not be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The root is there and its key is not.
    #[error("the key of the bench root, `{}`, is missing", path.display())]
    KeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Others on this computer can read the key.
    #[error("`{}` is readable by others (mode {mode:03o}, not 600)", path.display())]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key is no key.
    #[error("`{}` holds no private key", path.display())]
    KeyMalformed {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: rcgen::Error,
    },
    /// Key and certificate are of different roots.
    #[error("`{}` is not the key of `{ROOT_FILE}` beside it", path.display())]
    KeyMismatch {
        /// The key's file.
        path: PathBuf,
    },
    /// The root cannot be used.
    #[error("the bench root cannot be used")]
    Root(#[source] RootError),
    /// A certificate for nobody.
    #[error("a server certificate needs at least one name or address")]
    NoNames,
    /// The library refused to make the certificate.
    #[error("the certificate could not be made")]
    Make(#[source] rcgen::Error),
}

impl Explained for BenchError {
    fn exit(&self) -> Exit {
        match self {
            Self::Write { .. } => Exit::Output,
            Self::Read { .. }
            | Self::KeyMissing { .. }
            | Self::KeyExposed { .. }
            | Self::KeyMalformed { .. }
            | Self::Make(_) => Exit::Project,
            Self::KeyMismatch { .. } => Exit::Trust,
            Self::Root(source) => source.exit(),
            Self::NoNames => Exit::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Write { .. } | Self::Read { .. } | Self::Make(_) => None,
            Self::KeyMissing { path }
            | Self::KeyMalformed { path, .. }
            | Self::KeyMismatch { path } => Some(format!(
                "put the key back, or remove `{}` and run `cargo esp-ota serve` for a new root, which \
                 the devices on the desk must then pin",
                path.parent().unwrap_or(path).display()
            )),
            Self::KeyExposed { path, .. } => Some(format!("run `chmod 600 {}`", path.display())),
            Self::Root(source) => source.location().map(|root| {
                format!(
                    "remove `{}` and run `cargo esp-ota serve` for a new root, which the devices on \
                     the desk must then pin",
                    root.file.display()
                )
            }),
            Self::NoNames => Some("name the host: `cargo esp-ota serve --host ADDRESS`".to_owned()),
        }
    }

    fn location(&self) -> Option<Location> {
        let file = match self {
            Self::Write { path, .. }
            | Self::Read { path, .. }
            | Self::KeyMissing { path }
            | Self::KeyExposed { path, .. }
            | Self::KeyMalformed { path, .. }
            | Self::KeyMismatch { path } => path.clone(),
            Self::Root(source) => return source.location(),
            Self::NoNames | Self::Make(_) => return None,
        };
        Some(Location { file, line: None, column: None })
    }
}
