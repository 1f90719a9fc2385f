//! What every command has at hand: output, the place it runs in, the time, the environment.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::stamp::{self, StampError};
use crate::config::{ConfigError, Overrides, Project};
use crate::error::{Exit, Explained, Failure};
use crate::output::Output;
use crate::release::keys::location::{Platform, configuration_folder};
use crate::release::store::{Access, Credentials, Store};

/// The surroundings of one run.
#[derive(Debug)]
pub struct Context {
    /// Standard output and standard error.
    pub output: Output,
    /// `--config`.
    pub config: Option<PathBuf>,
}

/// The surroundings are not what a command needs.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// No home folder in the environment.
    #[error("the environment names no home folder")]
    NoHome,
    /// The async runtime could not start.
    #[error("the network runtime could not start")]
    Runtime(#[source] io::Error),
    /// An input file could not be read.
    #[error("`{}` could not be read", file.display())]
    Input {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("`{}` could not be written", file.display())]
    Output {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Explained for ContextError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoHome | Self::Input { .. } => Exit::Project,
            Self::Runtime(_) | Self::Output { .. } => Exit::Output,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("set `HOME`, or `XDG_CONFIG_HOME` to an absolute path".into()),
            Self::Input { source, .. } => match source.kind() {
                io::ErrorKind::FileTooLarge | io::ErrorKind::IsADirectory => {
                    Some("name another file".into())
                }
                _ => Some("check the path, and that you may read it".into()),
            },
            Self::Output { .. } => {
                Some("check the path, and that you may write there; the disk may be full".into())
            }
            Self::Runtime(_) => None,
        }
    }

    fn location(&self) -> Option<crate::error::Location> {
        match self {
            Self::Input { file, .. } => {
                Some(crate::error::Location { file: file.clone(), line: None, column: None })
            }
            Self::NoHome | Self::Runtime(_) | Self::Output { .. } => None,
        }
    }
}

impl Context {
    /// The project this run is in, with `overrides` applied; says with `-v` what holds and why.
    pub fn project(&self, overrides: &Overrides) -> Result<Project, Failure> {
        let here = std::env::current_dir()
            .map_err(|source| ContextError::Input { file: ".".into(), source })?;
        Ok(self.told(Project::load(self.config.as_deref(), &here, overrides, &variable)?))
    }

    fn told(&self, project: Project) -> Project {
        for setting in project.settings() {
            self.output.detail(setting);
        }
        project
    }

    /// The same, for commands that need no project: `None` outside of one. A project that cannot
    /// be read is no reason to go on without it.
    pub fn project_if_any(&self, overrides: &Overrides) -> Result<Option<Project>, Failure> {
        let here = std::env::current_dir()
            .map_err(|source| ContextError::Input { file: ".".into(), source })?;
        match Project::load(self.config.as_deref(), &here, overrides, &variable) {
            Err(ConfigError::NoProject(_)) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(project) => Ok(Some(self.told(project))),
        }
    }

    /// The user's folder for keys and the bench root.
    pub fn configuration_folder(&self) -> Result<PathBuf, Failure> {
        Ok(configuration_folder(Platform::HERE, os_variable).ok_or(ContextError::NoHome)?)
    }

    /// The project's store: the one way in which commands open it. Only one over a network needs
    /// the project's roots and the environment's credentials.
    pub fn store(&self, project: &Project) -> Result<Store, Failure> {
        let place = &project.store.value;
        let access = if Store::is_remote(place) {
            let roots = super::ca::project_roots(project, self.now())?;
            Access {
                roots: roots.iter().map(|root| root.der().clone()).collect(),
                credentials: Credentials::from_environment(variable)?,
                ..Access::default()
            }
        } else {
            Access::default()
        };
        Ok(Store::open(place, &project.folder, access)?)
    }

    /// The wall clock, by which expiry and certificates are judged.
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// The time to write into what is made: `SOURCE_DATE_EPOCH`, else the wall clock. Nothing is
    /// judged by it.
    pub fn stamp(&self) -> Result<Timestamp, StampError> {
        stamp::stamp(os_variable(stamp::VARIABLE).as_deref(), self.now())
    }
}

/// An environment variable as text; one that is not UTF-8 counts as not set.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// An environment variable.
pub(super) fn os_variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// A runtime for the commands that talk to a network or to `tough`.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, ContextError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ContextError::Runtime)
}

/// Reads an input file.
pub(super) fn read(file: &Path, limit: u64) -> Result<Vec<u8>, ContextError> {
    crate::disk::read(file, limit)
        .map_err(|source| ContextError::Input { file: file.to_owned(), source })
}

/// Replaces an output file in one step, making its folder where needed.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), ContextError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| crate::disk::replace(file, bytes, crate::disk::Readers::Umask))
        .map_err(|source| ContextError::Output { file: file.to_owned(), source })
}

/// Puts files into a folder, all or none, over whatever is there.
pub(super) fn place(folder: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<(), ContextError> {
    crate::disk::place(folder, files)
        .map_err(|crate::disk::Misplaced { file, source }| ContextError::Output { file, source })
}
