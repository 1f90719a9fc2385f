//! Many files at once: all of them, or none.
//!
//! They are written in full beside where they belong, and moved there only then. A new folder
//! appears in one step. In a folder that is there already each file does, in the given order, and
//! what was moved is taken back where a later one fails. A power cut between two moves leaves the
//! first files and not the last, so the last should be the one that says that all are there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A file could not be written or moved into place. Nothing is left of the others.
#[derive(Debug)]
pub struct Misplaced {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Puts files into a folder, by their paths below it, over whatever is there.
pub fn place(folder: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<(), Misplaced> {
    if files.is_empty() {
        return Ok(());
    }
    let mut moves = Moves::default();
    let placed = moves.place(folder, files);
    if placed.is_err() {
        moves.take_back();
    }
    placed
}

/// What was done to the folder so far.
#[derive(Default)]
struct Moves {
    /// New folders, the outermost first.
    made: Vec<PathBuf>,
    /// Where files are now, and where a copy is of what was there before.
    moved: Vec<(PathBuf, Option<PathBuf>)>,
    /// The copies are in here.
    staging: Option<TempDir>,
}

impl Moves {
    fn place(&mut self, folder: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<(), Misplaced> {
        let is_new = folder.symlink_metadata().is_err();
        let beside = if is_new { super::folder(folder) } else { folder };
        let first = files.first().map(|(path, _)| folder.join(path)).unwrap_or_default();
        let failed = |source| Misplaced { file: first.clone(), source };
        self.make_folders(beside).map_err(failed)?;
        let staging = staging_folder(beside).map_err(failed)?;
        let staged = staging.path().to_owned();
        for (path, bytes) in files {
            write_new(&staged.join(path), bytes)
                .map_err(|source| Misplaced { file: folder.join(path), source })?;
        }
        sync_folders(files.iter().map(|(path, _)| staged.join(path))).map_err(failed)?;
        if is_new {
            fs::rename(&staged, folder).map_err(failed)?;
            // It has another name now, and nothing is left to be removed.
            let _ = staging.keep();
            self.moved.push((folder.to_owned(), None));
        } else {
            self.staging = Some(staging);
            for (path, _) in files {
                let file = folder.join(path);
                self.move_one(&staged, path, &file).map_err(|source| Misplaced { file, source })?;
            }
        }
        // Everything is in place: that the disk could not say so is no reason to take it back.
        let _ = sync_folders(self.moved.iter().map(|(file, _)| file.clone()));
        Ok(())
    }

    fn move_one(&mut self, staged: &Path, path: &Path, to: &Path) -> io::Result<()> {
        let from = staged.join(path);
        self.make_folders(super::folder(to))?;
        if to.symlink_metadata().is_err() {
            fs::rename(from, to)?;
            self.moved.push((to.to_owned(), None));
            return Ok(());
        }
        // A link stays a link, and a file keeps its permissions.
        let to = to.canonicalize()?;
        let before = staged.join(format!(".before-{}", self.moved.len()));
        fs::copy(&to, &before)?;
        fs::set_permissions(&from, fs::metadata(&to)?.permissions())?;
        fs::rename(from, &to)?;
        self.moved.push((to, Some(before)));
        Ok(())
    }

    /// Makes a folder and those above it.
    fn make_folders(&mut self, folder: &Path) -> io::Result<()> {
        let is_missing = |it: &&Path| !it.as_os_str().is_empty() && it.symlink_metadata().is_err();
        let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
        for new in missing.into_iter().rev() {
            fs::create_dir(new)?;
            self.made.push(new.to_owned());
        }
        Ok(())
    }

    /// Undoes what was done, as far as that goes: the failure that led here is what is told.
    fn take_back(self) {
        for (file, before) in self.moved.into_iter().rev() {
            let _ = match before {
                Some(before) => fs::rename(before, file),
                None => fs::remove_file(file),
            };
        }
        for folder in self.made.iter().rev() {
            // One that holds something is somebody else's by now.
            let _ = fs::remove_dir(folder);
        }
    }
}

fn staging_folder(beside: &Path) -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".esp-ota-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // It may become the project's own folder: whatever the umask lets.
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder.tempdir_in(beside)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(super::folder(path))?;
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes sure that the folders of these files are on disk.
fn sync_folders(files: impl Iterator<Item = PathBuf>) -> io::Result<()> {
    let by_folder: BTreeSet<PathBuf> = files.map(|file| super::folder(&file).join(".")).collect();
    by_folder.iter().try_for_each(|inside| super::sync_folder(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Vec<(PathBuf, Vec<u8>)> {
        list.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|it| name(it).unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_folder_has_every_file_and_nothing_else_is_left() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        place(&folder, &files(&[("x", "1"), ("src/deep/y", "2")])).unwrap();
        assert_eq!(names(root.path()), ["a"]);
        assert_eq!(names(&root.path().join("a")), ["b"]);
        assert_eq!(names(&folder), ["src", "x"]);
        assert_eq!(fs::read_to_string(folder.join("src/deep/y")).unwrap(), "2");
    }

    #[cfg(unix)]
    #[test]
    fn folders_and_files_have_the_permissions_of_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        place(&root.path().join("new"), &files(&[("x", "1")])).unwrap();
        fs::create_dir(root.path().join("plain")).unwrap();
        fs::write(root.path().join("plain/x"), "1").unwrap();
        let mode = |path: &str| fs::metadata(root.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode("new"), mode("plain"));
        assert_eq!(mode("new/x"), mode("plain/x"));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_replaced_keeps_its_permissions_and_stays_a_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("real"), "old").unwrap();
        fs::set_permissions(root.path().join("real"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real", root.path().join("link")).unwrap();
        place(root.path(), &files(&[("link", "new")])).unwrap();
        assert_eq!(names(root.path()), ["link", "real"]);
        assert!(root.path().join("link").symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(root.path().join("real")).unwrap(), "new");
        let mode = fs::metadata(root.path().join("real")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn where_one_file_cannot_be_placed_none_is() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "old").unwrap();
        fs::write(root.path().join("file"), "in the way").unwrap();
        let list = files(&[("a", "new"), ("src/b", "new"), ("file/c", "new")]);
        let error = place(root.path(), &list).unwrap_err();
        assert_eq!(error.file, root.path().join("file/c"));
        assert_eq!(names(root.path()), ["a", "file"]);
        assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "old");
        let error = place(&root.path().join("file/new"), &files(&[("a", "1")])).unwrap_err();
        assert_eq!(error.file, root.path().join("file/new/a"));
        assert_eq!(names(root.path()), ["a", "file"]);
    }
}
