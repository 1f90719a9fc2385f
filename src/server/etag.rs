//! Strong entity tags: the SHA-256 of a file's content, remembered while the file stays the same.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// Most files remembered; then the memory starts anew. A repository of a few hundred releases fits.
const MOST_FILES: usize = 1024;

/// A file younger than this is not remembered. It may be written again within the same tick of the
/// file system's clock and keep its length: FAT counts in 2 s.
const TICK: Duration = Duration::from_secs(2);

/// Bytes hashed at a time.
const CHUNK: usize = 64 * 1024;

/// Entity tags by file.
#[derive(Debug, Default)]
pub(super) struct Tags(Mutex<HashMap<PathBuf, (Stamp, String)>>);

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self { length: metadata.len(), modified: metadata.modified().ok(), inode }
    }

    fn is_settled(self) -> bool {
        self.modified
            .and_then(|modified| SystemTime::now().duration_since(modified).ok())
            .is_some_and(|age| age > TICK)
    }
}

impl Tags {
    /// The tag of the open `file`, quotes included. Leaves the file at its start.
    pub(super) fn tag(&self, path: &Path, file: &mut File) -> io::Result<String> {
        let stamp = Stamp::of(&file.metadata()?);
        if let Some((known, tag)) = self.lock().get(path)
            && *known == stamp
        {
            return Ok(tag.clone());
        }
        let tag = format!("\"{}\"", digest(file)?);
        file.rewind()?;
        // A file that changed while it was hashed is not remembered either.
        if stamp.is_settled() && Stamp::of(&file.metadata()?) == stamp {
            let mut known = self.lock();
            if known.len() >= MOST_FILES {
                known.clear();
            }
            known.insert(path.to_owned(), (stamp, tag.clone()));
        }
        Ok(tag)
    }

    /// A map is whole even if a thread died with it in hand.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Stamp, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SHA-256 of the rest of the file in lower-case hex.
fn digest(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = file.read(&mut buffer)?;
        match buffer.get(..count) {
            Some([]) | None => break,
            Some(bytes) => hasher.update(bytes),
        }
    }
    Ok(crate::hex::lower(&hasher.finalize()))
}

/// Whether `tag` is in a list as `If-None-Match` and `If-Match` carry it. `*` is any.
/// Our tags hold no comma, so a foreign one with a comma cannot be taken for ours.
pub(super) fn listed(list: &str, tag: &str, comparison: Comparison) -> bool {
    list.split(',').map(str::trim).any(|entry| {
        entry == "*"
            || match comparison {
                Comparison::Strong => entry == tag,
                Comparison::Weak => entry.strip_prefix("W/").unwrap_or(entry) == tag,
            }
    })
}

/// How tags are compared (RFC 9110, section 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// A weak tag equals nothing.
    Strong,
    /// A weak tag equals the strong one of the same text.
    Weak,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tag(tags: &Tags, path: &Path) -> String {
        tags.tag(path, &mut File::open(path).unwrap()).unwrap()
    }

    /// Makes the file look a minute old.
    fn settle(path: &Path, now: SystemTime) {
        let time = now.checked_sub(Duration::from_secs(60)).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn the_tag_is_the_digest_in_quotes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        // FIPS 180-4's own example.
        let abc = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
        assert_eq!(tag(&Tags::default(), &path), abc);
    }

    #[test]
    fn a_settled_file_is_hashed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "abc").unwrap();
        settle(&path, SystemTime::now());
        let tags = Tags::default();
        let first = tag(&tags, &path);
        assert_eq!(tags.lock().len(), 1);
        assert_eq!(tag(&tags, &path), first);
    }

    #[test]
    fn a_rewrite_of_the_same_length_within_a_tick_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let tags = Tags::default();
        fs::write(&path, "abc").unwrap();
        let time = path.metadata().unwrap().modified().unwrap();
        let first = tag(&tags, &path);
        fs::write(&path, "xyz").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_ne!(tag(&tags, &path), first);
    }

    #[cfg(unix)]
    #[test]
    fn a_replacement_with_the_same_time_and_length_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (path, next) = (folder.path().join("file"), folder.path().join("next"));
        fs::write(&path, "abc").unwrap();
        fs::write(&next, "xyz").unwrap();
        let now = SystemTime::now();
        settle(&path, now);
        settle(&next, now);
        let tags = Tags::default();
        let first = tag(&tags, &path);
        fs::rename(&next, &path).unwrap();
        assert_ne!(tag(&tags, &path), first);
    }

    #[test]
    fn lists_are_searched_weakly_or_strongly() {
        let weak = |list| listed(list, "\"a\"", Comparison::Weak);
        let strong = |list| listed(list, "\"a\"", Comparison::Strong);
        assert!(weak("\"a\"") && weak("W/\"a\"") && weak("\"b\" , \"a\"") && weak("*"));
        assert!(strong("\"a\"") && strong("*") && !strong("W/\"a\""));
        assert!(!weak("\"b\"") && !weak("a") && !weak("") && !weak("\"a\"b"));
    }
}
