//! What is kept of a device's settings while they are written: a cut would lose them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::commands::ContextError;
use crate::disk::{self, Readers};

/// Twice the largest `nvs` that anybody has.
const LARGEST: u64 = 32 * 1024 * 1024;

/// The file for one device. Only its owner can read it: there are passphrases in it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    file: PathBuf,
}

impl Kept {
    pub(super) fn of(folder: &Path, mac: &str) -> Self {
        let name: String = mac.chars().filter(char::is_ascii_hexdigit).collect();
        Self { file: folder.join(format!("nvs-{name}.kept")) }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// What an earlier run left because it was broken off.
    pub(super) fn read(&self) -> Result<Option<Vec<u8>>, ContextError> {
        match disk::read(&self.file, LARGEST) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            // Going on would lose it.
            Err(source) => Err(ContextError::Input { file: self.file.clone(), source }),
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), ContextError> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)
            .and_then(|()| disk::replace(&self.file, bytes, Readers::Owner))
            .map_err(|source| ContextError::Output { file: self.file.clone(), source })
    }

    /// Everything is written.
    pub(super) fn forget(&self) -> Result<(), ContextError> {
        match fs::remove_file(&self.file) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(ContextError::Output { file: self.file.clone(), source })
            }
            _ => Ok(()),
        }
    }
}
