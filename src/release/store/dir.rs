//! A store in a folder of this machine, for any web server to serve.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::disk::{self, Readers};

/// The largest file a store holds. No ESP32 maps more than 32 MiB of flash; the rest is room.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// A folder. It is made when the first file is written.
#[derive(Clone, Debug)]
pub struct Directory {
    folder: PathBuf,
}

impl Directory {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.folder.join(path);
        let bytes = File::open(&path).and_then(|file| disk::read_bounded(file, LARGEST_FILE));
        match bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Read { path, source }),
        }
    }

    pub(super) fn list(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let path = self.folder.join(folder);
        let names = fs::read_dir(&path).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()
        });
        match names {
            // A name that is not text is none of ours.
            Ok(names) => Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(StoreError::Read { path, source }),
        }
    }

    pub(super) fn create_new(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let file = self.folder.join(path);
        // Apart from the file: a file in place of a folder exists too, but nobody published it.
        if let Err(source) = make_parent(&file) {
            return Err(StoreError::Write { path: file, source });
        }
        match disk::create_new(&file, bytes, Readers::Umask) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::Lost(path.to_owned()))
            }
            Err(source) => Err(StoreError::Write { path: file, source }),
        }
    }

    pub(super) fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let file = self.folder.join(path);
        make_parent(&file)
            .and_then(|()| disk::replace(&file, bytes, Readers::Umask))
            .map_err(|source| StoreError::Write { path: file, source })
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), StoreError> {
        let path = self.folder.join(path);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Write { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let to = self.folder.join(to);
        disk::rename(&self.folder.join(from), &to)
            .map_err(|source| StoreError::Write { path: to, source })
    }
}

fn make_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)
}
