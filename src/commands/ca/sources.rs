//! The pinned roots of a project, and the generated files that hold them.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::CaError;
use crate::commands::{ContextError, context};
use crate::config::Project;
use crate::error::Failure;
use crate::trust::{PinnedRoot, root, source};

/// A generated file of sixteen roots has 200 KiB.
const LARGEST_SOURCE: u64 = 4 * 1024 * 1024;

/// Reads and checks every pinned root of a project.
pub(in crate::commands) fn project_roots(
    project: &Project,
    now: Timestamp,
) -> Result<Vec<PinnedRoot>, Failure> {
    let mut roots: Vec<PinnedRoot> = Vec::new();
    for file in &project.roots.value {
        let file = project.path(file);
        for root in root::read(&file, now)? {
            root::refuse_duplicate(&file, &roots, &root)?;
            roots.push(root);
        }
    }
    Ok(roots)
}

/// Refuses a project whose firmware would not pin what `esp-ota.toml` says. Gives the roots.
pub(in crate::commands) fn check_embedded(
    project: &Project,
    now: Timestamp,
) -> Result<Vec<PinnedRoot>, Failure> {
    let roots = project_roots(project, now)?;
    if roots.is_empty() {
        return Err(CaError::NoRoots.into());
    }
    let stale = stale_sources(project, &roots)?;
    if stale.is_empty() { Ok(roots) } else { Err(CaError::Stale(stale).into()) }
}

/// The generated files.
pub(super) fn sources(project: &Project) -> Vec<PathBuf> {
    project.embed.value.iter().map(|file| project.path(file)).collect()
}

/// What a generated file should hold.
fn expected(file: &Path, roots: &[PinnedRoot]) -> Result<String, CaError> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => Ok(source::rust(roots)),
        Some("h") => Ok(source::c_header(roots)),
        _ => Err(CaError::Kind(file.to_owned())),
    }
}

/// The generated files that do not hold `roots`.
pub(super) fn stale_sources(
    project: &Project,
    roots: &[PinnedRoot],
) -> Result<Vec<PathBuf>, Failure> {
    let mut stale = Vec::new();
    for file in sources(project) {
        let expected = expected(&file, roots)?;
        match crate::disk::read(&file, LARGEST_SOURCE) {
            Ok(found) if found == expected.as_bytes() => {}
            Ok(_) => stale.push(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => stale.push(file),
            Err(source) => return Err(ContextError::Input { file, source }.into()),
        }
    }
    Ok(stale)
}

/// Writes every generated file.
pub(in crate::commands) fn write_sources(
    project: &Project,
    roots: &[PinnedRoot],
) -> Result<Vec<PathBuf>, Failure> {
    let files = sources(project);
    for file in &files {
        context::write(file, expected(file, roots)?.as_bytes())?;
    }
    Ok(files)
}
