//! Whether a file could be committed by mistake.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The git work tree in which `path` lies without being ignored; `None` where it is safe.
///
/// `path` need not exist. Where git cannot be asked, a path inside a work tree counts as not
/// ignored.
pub(super) fn exposing_work_tree(path: &Path) -> Option<PathBuf> {
    let path = resolved(path);
    let tree = path.ancestors().skip(1).find(|folder| folder.join(".git").exists())?;
    let answer = Command::new("git")
        .arg("-C")
        .arg(tree)
        .args(["check-ignore", "-q", "--"])
        .arg(&path)
        // Set while git runs a hook, and then naming another repository.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match answer {
        Ok(status) if status.success() => None,
        Ok(_) | Err(_) => Some(tree.to_owned()),
    }
}

/// The path with the symbolic links of its existing part followed: what git would see.
fn resolved(path: &Path) -> PathBuf {
    for existing in path.ancestors() {
        if let Ok(real) = fs::canonicalize(existing) {
            return match path.strip_prefix(existing) {
                Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
                Ok(_) | Err(_) => real,
            };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_git_nothing_is_exposed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(exposing_work_tree(&folder.path().join("keys/root.pem")), None);
    }

    #[test]
    fn a_work_tree_exposes_what_it_does_not_ignore() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().canonicalize().unwrap();
        let Ok(status) = Command::new("git").args(["init", "-q"]).arg(&tree).status() else {
            return;
        };
        assert!(status.success());
        let key = tree.join("keys/thermostat/root.pem");
        assert_eq!(exposing_work_tree(&key), Some(tree.clone()));
        fs::write(tree.join(".gitignore"), "/keys/\n").unwrap();
        assert_eq!(exposing_work_tree(&key), None);
        assert_eq!(exposing_work_tree(&tree.join("other.pem")), Some(tree));
    }

    #[test]
    fn a_work_tree_that_git_cannot_judge_exposes_everything() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().canonicalize().unwrap();
        fs::create_dir(tree.join(".git")).unwrap();
        assert_eq!(exposing_work_tree(&tree.join("root.pem")), Some(tree));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_into_a_work_tree_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().canonicalize().unwrap().join("tree");
        fs::create_dir_all(tree.join(".git")).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&tree, &link).unwrap();
        assert_eq!(exposing_work_tree(&link.join("keys/root.pem")), Some(tree));
    }
}
