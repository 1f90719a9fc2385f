//! What is to be written: worked out and refused in full before anything is.

use std::io::ErrorKind::{FileTooLarge, IsADirectory};
use std::path::{Path, PathBuf};

use similar::TextDiff;

use super::cargo_project::{Base, CargoProject};
use super::plan::Plan;
use super::settings::{self, Wanted};
use super::template::{self, Values};
use super::{InitError, by_hand, manifest_edit};
use crate::commands::ContextError;
use crate::commands::build::ROOT_FILE;
use crate::config::Project;
use crate::error::Failure;

const MANIFEST: &str = "Cargo.toml";
/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// Everything that `init` is about to do, and what it leaves.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Files that are not there yet, by their paths below the folder.
    pub(super) new: Vec<(PathBuf, String)>,
    /// Files that are there and stay as they are.
    pub(super) kept: Vec<PathBuf>,
    /// The manifest with what it lacks, where it lacks something.
    pub(super) manifest: Option<Change>,
    /// Whether signing keys and the TUF root are to be made.
    pub(super) makes_keys: bool,
}

/// A file of the user that is to hold something else.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// The difference, as `diff -u` writes it.
    pub(super) difference: String,
}

impl Work {
    /// For a folder without a cargo project: a firmware and all around it.
    pub(super) fn for_new(folder: &Path, plan: &Plan, with_keys: bool) -> Result<Self, Failure> {
        let mut wanted = settings::new(folder, plan, false)?;
        let firmware = template::new_project(&values(plan))?;
        wanted.extend(firmware.into_iter().map(|(path, text)| Wanted::new(path, text)));
        Self::sorted(folder, wanted, Vec::new(), with_keys, false)
    }

    /// For a cargo project, which may have some or all of it already.
    pub(super) fn for_cargo_project(
        folder: &Path,
        plan: &Plan,
        cargo: &CargoProject,
        known: Option<&Project>,
        with_keys: bool,
    ) -> Result<Self, Failure> {
        let mut wanted = match known {
            Some(project) => settings::of_known(plan, project)?,
            None => settings::new(folder, plan, true)?,
        };
        let mut change = None;
        let mut rivals = Vec::new();
        let mut modules = Vec::new();
        if cargo.base == Base::EspHal {
            let mark = cargo.generated_by();
            modules = template::modules(&values(plan))?;
            wanted.extend(modules.iter().map(|(path, text)| Wanted {
                path: path.clone(),
                text: text.clone(),
                // What this tool has written is its owner's since then.
                or_any: mark.is_some(),
            }));
            if mark.is_none() {
                change = manifest_change(cargo, plan)?;
                rivals = rival_files(&wanted);
                if !by_hand::has_build_script(folder, cargo) {
                    let script = template::BUILD_SCRIPT.to_owned();
                    wanted.push(Wanted::new(by_hand::BUILD_FILE, script));
                }
            }
        }
        let rivals = rivals.into_iter().map(|rival| folder.join(rival));
        let rivals = rivals.filter(|rival| rival.exists()).collect();
        let mut work = Self::sorted(folder, wanted, rivals, with_keys, known.is_some())?;
        work.refuse_mixture(cargo, &modules)?;
        work.manifest = change;
        Ok(work)
    }

    /// Tells the files that are missing from those that stay, and refuses all that are in the way.
    fn sorted(
        folder: &Path,
        wanted: Vec<Wanted>,
        mut in_the_way: Vec<PathBuf>,
        with_keys: bool,
        or_any_root: bool,
    ) -> Result<Self, Failure> {
        let mut work = Self::default();
        for Wanted { path, text, or_any } in wanted {
            let file = folder.join(&path);
            if file.symlink_metadata().is_err() {
                work.new.push((path, text));
            } else if or_any || holds(&file, &text)? {
                work.kept.push(path);
            } else {
                in_the_way.push(file);
            }
        }
        let root = folder.join(ROOT_FILE);
        match (with_keys, root.symlink_metadata().is_ok()) {
            (false, _) => {}
            (true, false) => work.makes_keys = true,
            (true, true) if or_any_root => work.kept.push(ROOT_FILE.into()),
            (true, true) => in_the_way.push(root),
        }
        if in_the_way.is_empty() { Ok(work) } else { Err(InitError::Exists(in_the_way).into()) }
    }

    /// Files of two versions of this tool do not go together.
    fn refuse_mixture(
        &self,
        cargo: &CargoProject,
        modules: &[(PathBuf, String)],
    ) -> Result<(), InitError> {
        let Some(theirs) = cargo.generated_by().filter(|mark| *mark != template::MARK) else {
            return Ok(());
        };
        let is_module = |path: &&PathBuf| modules.iter().any(|(module, _)| module == *path);
        let missing: Vec<PathBuf> =
            self.new.iter().map(|(path, _)| path).filter(is_module).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (file, theirs) = (cargo.file.clone(), theirs.to_owned());
        Err(InitError::OtherVersion { file, theirs, missing })
    }

    /// The files that are new, by their paths below the folder.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let root = self.makes_keys.then(|| ROOT_FILE.into());
        self.new.iter().map(|(path, _)| path.clone()).chain(root).collect()
    }

    /// The files to write, in order: the manifest last, because it says that the others are there.
    pub(super) fn files(&self, root: Option<Vec<u8>>) -> Vec<(PathBuf, Vec<u8>)> {
        let new = self.new.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes()));
        let (manifest, mut files): (Vec<_>, Vec<_>) =
            new.partition(|(path, _)| path == Path::new(MANIFEST));
        files.extend(root.map(|root| (PathBuf::from(ROOT_FILE), root)));
        files.extend(manifest);
        let change = self.manifest.iter().map(|it| (it.path.clone(), it.text.clone().into_bytes()));
        files.extend(change);
        files
    }
}

fn values(plan: &Plan) -> Values<'_> {
    Values { chip: plan.chip, product: &plan.product }
}

/// Files that would be the same modules to the compiler: `src/tls/mod.rs` beside `src/tls.rs`.
fn rival_files(wanted: &[Wanted]) -> Vec<PathBuf> {
    let both = template::module_names().into_iter().flat_map(|name| {
        [format!("src/{name}.rs"), format!("src/{name}/mod.rs")].map(PathBuf::from)
    });
    both.filter(|file| wanted.iter().all(|wanted| wanted.path != *file)).collect()
}

fn manifest_change(cargo: &CargoProject, plan: &Plan) -> Result<Option<Change>, Failure> {
    let text = manifest_edit::complete(cargo, &template::manifest(&values(plan))?)?;
    if text == cargo.text {
        return Ok(None);
    }
    let difference = TextDiff::from_lines(cargo.text.as_str(), text.as_str())
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&format!("a/{MANIFEST}"), &format!("b/{MANIFEST}"))
        .to_string();
    Ok(Some(Change { path: MANIFEST.into(), text, difference }))
}

/// Whether a file holds exactly this text.
fn holds(file: &Path, text: &str) -> Result<bool, ContextError> {
    let limit = u64::try_from(text.len()).unwrap_or(u64::MAX);
    match crate::disk::read(file, limit) {
        Ok(bytes) => Ok(bytes == text.as_bytes()),
        Err(error) if matches!(error.kind(), FileTooLarge | IsADirectory) => Ok(false),
        Err(source) => Err(ContextError::Input { file: file.to_owned(), source }),
    }
}
