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

/// The user's own file that roots were read from.
#[derive(Debug)]
pub(super) struct From<'a> {
    pub(super) file: &'a Path,
    /// Whether all that is in it is to be pinned.
    pub(super) is_whole: bool,
}

/// A file of roots that is to be in the project.
struct RootFile {
    /// As `esp-ota.toml` has it.
    relative: PathBuf,
    /// What it has to hold; `None` where it does.
    pem: Option<String>,
}

/// Writes roots into the project and names them in `esp-ota.toml`; gives their paths there. Nothing is
/// written before everything is known to be possible, and no file is written over that somebody else
/// made.
pub(super) fn pin(
    project: &Project,
    from: Option<&From<'_>>,
    roots: &[PinnedRoot],
) -> Result<Vec<PathBuf>, Failure> {
    let text = context::read(&project.file, LARGEST_SETTINGS)?;
    let mut settings = String::from_utf8_lossy(&text).into_owned();
    let files = match from.and_then(|from| in_one(project, from, roots)) {
        Some(file) => vec![file],
        None => each(project, roots)?,
    };
    for file in &files {
        settings = with_root(&settings, &file.relative)
            .ok_or_else(|| CaError::NotAList(project.file.clone()))?;
    }
    for file in &files {
        file.write(project)?;
    }
    context::write(&project.file, settings.as_bytes())?;
    Ok(files.into_iter().map(|file| file.relative).collect())
}

/// A file of the same name as the one they came in, where that can be: it is that very file, and all
/// of it is meant, or nothing else has the name.
fn in_one(project: &Project, from: &From<'_>, roots: &[PinnedRoot]) -> Option<RootFile> {
    let relative = Path::new(FOLDER).join(from.file.file_name()?);
    let path = project.path(&relative);
    if is_same_file(&path, from.file) {
        return from.is_whole.then_some(RootFile { relative, pem: None });
    }
    let pem: String = roots.iter().map(source::pem).collect();
    let is_free = std::fs::read(&path).map_or(true, |bytes| bytes == pem.as_bytes());
    is_free.then_some(RootFile { relative, pem: Some(pem) })
}

/// A file for each, named after it.
fn each(project: &Project, roots: &[PinnedRoot]) -> Result<Vec<RootFile>, CaError> {
    let mut files = Vec::new();
    for root in roots {
        let (relative, pem) = (Path::new(FOLDER).join(file_name(root)), source::pem(root));
        let path = project.path(&relative);
        if std::fs::read(&path).is_ok_and(|bytes| bytes != pem.as_bytes()) {
            return Err(CaError::Exists(path));
        }
        files.push(RootFile { relative, pem: Some(pem) });
    }
    Ok(files)
}

impl RootFile {
    fn write(&self, project: &Project) -> Result<(), ContextError> {
        match &self.pem {
            Some(pem) => context::write(&project.path(&self.relative), pem.as_bytes()),
            None => Ok(()),
        }
    }
}

/// A file name made of the common name, and of the fingerprint, since names of roots are not
/// unique: `isrg-root-x1-96bcec06.pem`.
fn file_name(root: &PinnedRoot) -> PathBuf {
    const LONGEST: usize = 40;
    let subject = root.subject();
    let name = subject.rsplit_once("CN=").map_or(subject, |(_, name)| name);
    let mut words = String::new();
    for c in name.chars().take(LONGEST) {
        match c {
            c if c.is_ascii_alphanumeric() => words.push(c.to_ascii_lowercase()),
            _ if words.is_empty() || words.ends_with('-') => {}
            _ => words.push('-'),
        }
    }
    let digest: String = root.fingerprint_hex().chars().take(8).collect();
    let words = words.trim_matches('-');
    let words = if words.is_empty() { "root" } else { words };
    format!("{words}-{digest}.pem").into()
}

/// Whether two paths lead to one file.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Takes a file of roots out of the project, or leaves `roots` in it. A file that [`pin`] could have
/// written is changed, or removed with its last root; any other is somebody's own and stays as it is:
/// what is left of it gets files of its own.
pub(super) fn unpin(
    project: &Project,
    relative: &Path,
    roots: &[PinnedRoot],
) -> Result<(), Failure> {
    let path = project.path(relative);
    let is_ours = relative.parent() == Some(Path::new(FOLDER))
        && std::fs::read(&path).is_ok_and(|bytes| is_plain(&bytes));
    if is_ours && !roots.is_empty() {
        let pem: String = roots.iter().map(source::pem).collect();
        return Ok(context::write(&path, pem.as_bytes())?);
    }
    let text = context::read(&project.file, LARGEST_SETTINGS)?;
    let not_a_list = || CaError::NotAList(project.file.clone());
    let mut settings =
        without_root(&String::from_utf8_lossy(&text), relative).ok_or_else(not_a_list)?;
    for file in each(project, roots)? {
        settings = with_root(&settings, &file.relative).ok_or_else(not_a_list)?;
        file.write(project)?;
    }
    context::write(&project.file, settings.as_bytes())?;
    if is_ours {
        std::fs::remove_file(&path)
            .map_err(|source| ContextError::Output { file: path, source })?;
    }
    Ok(())
}

/// Whether a file is PEM and nothing else, as this tool writes it: no comment of anybody's is in it.
fn is_plain(bytes: &[u8]) -> bool {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::parse_many(bytes).is_ok_and(|sections| {
        let again: String =
            sections.iter().map(|section| pem::encode_config(section, config)).collect();
        again.as_bytes() == bytes
    })
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
