//! Roots in the project's files: under `certs/`, and by name in `esp-ota.toml`.

use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::CaError;
use crate::commands::{ContextError, context};
use crate::config::Project;
use crate::error::Failure;
use crate::trust::{PinnedRoot, source};

/// Roots live here, beside `esp-ota.toml`.
const FOLDER: &str = "certs";
/// Bytes of `esp-ota.toml`.
const LARGEST_SETTINGS: u64 = 4 * 1024 * 1024;

/// A file of roots that is to be in the project.
#[derive(Debug)]
pub(super) struct RootFile<'a> {
    /// Its name below `certs/`.
    pub(super) name: PathBuf,
    /// Where the roots were read from, if that was a file: it may be this very file.
    pub(super) from: Option<&'a Path>,
    /// What it holds.
    pub(super) roots: Vec<PinnedRoot>,
}

/// Writes files of roots into the project and names them in `esp-ota.toml`; gives their paths
/// there. Nothing is written before everything is known to be possible.
pub(super) fn pin(project: &Project, files: &[RootFile<'_>]) -> Result<Vec<PathBuf>, Failure> {
    let text = context::read(&project.file, LARGEST_SETTINGS)?;
    let mut settings = String::from_utf8_lossy(&text).into_owned();
    let mut written: Vec<(PathBuf, String)> = Vec::new();
    let mut named = Vec::new();
    for file in files {
        let relative = Path::new(FOLDER).join(&file.name);
        let path = project.path(&relative);
        let pem: String = file.roots.iter().map(source::pem).collect();
        settings = with_root(&settings, &relative)
            .ok_or_else(|| CaError::NotAList(project.file.clone()))?;
        let is_source = file.from.is_some_and(|from| is_same_file(&path, from));
        if std::fs::read(&path).is_ok_and(|bytes| bytes != pem.as_bytes()) && !is_source {
            return Err(CaError::Exists(path).into());
        }
        written.push((path, pem));
        named.push(relative);
    }
    for (path, pem) in &written {
        context::write(path, pem.as_bytes())?;
    }
    context::write(&project.file, settings.as_bytes())?;
    Ok(named)
}

/// Whether two paths lead to one file.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Takes a file of roots out of the project, or leaves `roots` in it. A file that [`pin`] wrote is
/// removed with its last root; one that lies elsewhere is somebody's own, and stays.
pub(super) fn unpin(
    project: &Project,
    relative: &Path,
    roots: &[PinnedRoot],
) -> Result<(), Failure> {
    let path = project.path(relative);
    if !roots.is_empty() {
        let pem: String = roots.iter().map(source::pem).collect();
        return Ok(context::write(&path, pem.as_bytes())?);
    }
    let text = context::read(&project.file, LARGEST_SETTINGS)?;
    let settings = without_root(&String::from_utf8_lossy(&text), relative)
        .ok_or_else(|| CaError::NotAList(project.file.clone()))?;
    context::write(&project.file, settings.as_bytes())?;
    if relative.parent() == Some(Path::new(FOLDER)) {
        std::fs::remove_file(&path)
            .map_err(|source| ContextError::Output { file: path, source })?;
    }
    Ok(())
}

/// Takes a path out of `trust.roots`, leaving every comment where it is. `None` where that is no
/// list.
fn without_root(text: &str, path: &Path) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let roots = document.get_mut("trust")?.as_table_like_mut()?.get_mut("roots")?.as_array_mut()?;
    roots.retain(|known| known.as_str().map(Path::new) != Some(path));
    // The blank that stood before an entry has nothing to stand after when it comes first.
    if let Some(first) = roots.get_mut(0)
        && first.decor().prefix().and_then(|prefix| prefix.as_str()) == Some(" ")
    {
        first.decor_mut().set_prefix("");
    }
    Some(document.to_string())
}

/// Appends a path to `trust.roots`, leaving every comment where it is. `None` where that is no
/// list.
fn with_root(text: &str, path: &Path) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let path = path.to_string_lossy().replace('\\', "/");
    let trust = document.entry("trust").or_insert(Item::Table(Table::new()));
    let roots = trust.as_table_like_mut()?.entry("roots");
    let roots = roots.or_insert(Item::Value(Value::Array(Array::new()))).as_array_mut()?;
    if !roots.iter().any(|known| known.as_str() == Some(&path)) {
        roots.push(path);
    }
    Some(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_a_root_keeps_comments_and_adds_it_once() {
        let text = "# mine\nproduct = \"a\" # yes\n\n[trust]\nroots = [\"certs/a.pem\"] # two\n";
        let once = with_root(text, Path::new("certs/b.pem")).unwrap();
        assert_eq!(
            once,
            "# mine\nproduct = \"a\" # yes\n\n[trust]\n\
             roots = [\"certs/a.pem\", \"certs/b.pem\"] # two\n"
        );
        assert_eq!(with_root(&once, Path::new("certs/b.pem")).unwrap(), once);
    }

    #[test]
    fn removing_a_root_keeps_comments_and_the_others() {
        let text =
            "product = \"a\" # yes\n\n[trust]\n# two\nroots = [\"certs/a.pem\", \"b.pem\"] # x\n";
        assert_eq!(
            without_root(text, Path::new("certs/a.pem")).unwrap(),
            "product = \"a\" # yes\n\n[trust]\n# two\nroots = [\"b.pem\"] # x\n"
        );
        assert_eq!(
            without_root(text, Path::new("b.pem")).unwrap(),
            "product = \"a\" # yes\n\n[trust]\n# two\nroots = [\"certs/a.pem\"] # x\n"
        );
        assert_eq!(without_root("product = \"a\"\n", Path::new("b.pem")), None);
    }

    #[test]
    fn a_project_without_the_table_gets_one() {
        let text = with_root("product = \"a\"\n", Path::new("certs/b.pem")).unwrap();
        assert_eq!(text, "product = \"a\"\n\n[trust]\nroots = [\"certs/b.pem\"]\n");
        assert_eq!(with_root("trust = 3\n", Path::new("x")), None);
    }
}
