//! The ways this program reads and writes files: bounded, and whole or not at all.

mod together;

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::path::Path;

use tempfile::NamedTempFile;

pub use together::{Misplaced, place};

/// Who may read a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone: a private key.
    Owner,
    /// Whoever the umask lets: a web server has to read what was published.
    Umask,
}

/// Writes a file that must not exist yet; `AlreadyExists` where it does.
pub fn create_new(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    written_beside(path, bytes, readers)?.persist_noclobber(path)?;
    sync_folder(path)
}

/// Replaces a file in one step: readers see the old one or the new one, never a piece.
pub fn replace(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    written_beside(path, bytes, readers)?.persist(path)?;
    sync_folder(path)
}

/// Moves a file within its file system in one step, over whatever is there.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)
}

/// Reads a whole file, refusing a folder and whatever is larger than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    read_bounded(file, limit)
}

/// Reads a UTF-8 file, bounded likewise.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Reads from an open stream, refusing one that is longer than `limit` bytes.
pub fn read_bounded(stream: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")))
    }
}

fn written_beside(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".esp-ota-");
    if let Some(permissions) = permissions(readers) {
        builder.permissions(permissions);
    }
    let mut file = builder.tempfile_in(folder(path))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn permissions(readers: Readers) -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(Permissions::from_mode(match readers {
        Readers::Owner => 0o600,
        Readers::Umask => 0o666,
    }))
}

#[cfg(not(unix))]
fn permissions(_: Readers) -> Option<Permissions> {
    None
}

/// A rename is on disk only when its folder is (`fsync(2)`, notes).
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_never_replaces_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create_new(&path, b"one", Readers::Umask).unwrap();
        let error = create_new(&path, b"two", Readers::Umask).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, b"three", Readers::Umask).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_at_the_limit_is_read_and_one_byte_more_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [0; 4]).unwrap();
        assert_eq!(read_bounded(File::open(&path).unwrap(), 4).unwrap().len(), 4);
        let error = read_bounded(File::open(&path).unwrap(), 3).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_text(&path, 4).unwrap(), "\0\0\0\0");
        assert_eq!(read(folder.path(), 4).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[cfg(unix)]
    #[test]
    fn a_web_server_may_read_what_was_published_and_nobody_else_a_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |readers| {
            let path = folder.path().join(format!("{readers:?}"));
            create_new(&path, b"", readers).unwrap();
            fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode(Readers::Owner), 0o600);
        // Whatever the umask leaves of 0666, which `fs::write` starts from as well.
        fs::write(folder.path().join("plain"), b"").unwrap();
        let plain = fs::metadata(folder.path().join("plain")).unwrap().permissions().mode();
        assert_eq!(mode(Readers::Umask) | 0o100_000, plain);
    }
}
