//! A store in a folder of this machine, for any web server to serve.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::disk::{self, Readers};
use crate::release::keys::Role;

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

    pub(super) fn exists(&self, path: &str) -> Result<bool, StoreError> {
        let path = self.folder.join(path);
        path.try_exists().map_err(|source| StoreError::Read { path, source })
    }

    /// The highest number of `metadata/N.<role>.json`.
    pub(super) fn highest(&self, role: Role) -> Result<Option<u64>, StoreError> {
        let path = self.folder.join("metadata");
        let names = fs::read_dir(&path).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()
        });
        match names {
            // A name that is not text is none of ours.
            Ok(names) => Ok(names.iter().filter_map(|name| number(name.to_str()?, role)).max()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
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
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(StoreError::Write { path, source }),
        }
    }
}

/// The number in a name such as `7.targets.json`.
fn number(name: &str, role: Role) -> Option<u64> {
    name.strip_suffix(&format!(".{role}.json"))?.parse().ok()
}

fn make_parent(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_of_a_role_is_found_among_all_names() {
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::new(folder.path().to_owned());
        assert_eq!(store.highest(Role::Targets).unwrap(), None);
        let names = ["9.targets.json", "10.targets.json", "11.snapshot.json", "x.targets.json"];
        for name in names.into_iter().chain([".targets.json", "-1.targets.json", "12.targets"]) {
            store.create_new(&format!("metadata/{name}"), b"").unwrap();
        }
        assert_eq!(store.highest(Role::Targets).unwrap(), Some(10));
        assert_eq!(store.highest(Role::Snapshot).unwrap(), Some(11));
        assert_eq!(store.highest(Role::Root).unwrap(), None);
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let store = Directory::new(folder.path().to_owned());
        store.remove("a/b").unwrap();
        store.replace("a/b", b"1").unwrap();
        assert!(store.exists("a/b").unwrap());
        store.remove("a/b").unwrap();
        assert!(!store.exists("a/b").unwrap());
    }
}
