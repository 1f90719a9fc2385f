//! `ca`: pinned roots, from a PEM file into the project and into generated source.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::{Context, ContextError, context, file_list};
use crate::config::{Overrides, Project};
use crate::error::{Exit, Explained, Failure, Location};
use crate::output::{Paint, Report, Tone};
use crate::trust::{PinnedRoot, root, source};

/// Roots live here, beside `esp-ota.toml`.
const FOLDER: &str = "certs";
/// A generated file of sixteen roots has 200 KiB.
const LARGEST_SOURCE: u64 = 4 * 1024 * 1024;

/// Pin root certificates
#[derive(Debug, clap::Args)]
pub struct Ca {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Add(Add),
    Embed(Embed),
}

/// Pin the root certificates of a PEM file
#[derive(Debug, clap::Args)]
struct Add {
    /// PEM file with one or more root certificates
    file: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Pin only the certificate with this SHA-256 fingerprint; asks no more
    #[arg(long, value_name = "HEX", conflicts_with = "yes")]
    sha256: Option<String>,
}

/// Generate the source that pins the roots in the firmware
#[derive(Debug, clap::Args)]
struct Embed {
    /// Write nothing; fail if a generated file is not up to date
    #[arg(long)]
    check: bool,
}

/// What can be wrong with the pinned roots of a project.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Nobody confirmed the fingerprint.
    #[error("nothing was pinned: the fingerprint was not confirmed")]
    Unconfirmed,
    /// Nobody can be asked.
    #[error("the fingerprint has to be confirmed, and there is no terminal to ask on")]
    NoTerminal,
    /// The file holds another certificate than was expected.
    #[error("no certificate in `{}` has the fingerprint `{expected}`: {found}", file.display())]
    Fingerprint {
        /// The file.
        file: PathBuf,
        /// What was asked for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A file of that name is in the way.
    #[error("`{}` exists already and holds something else", .0.display())]
    Exists(PathBuf),
    /// Nothing is pinned.
    #[error("no root certificate is pinned: the firmware could not reach any server")]
    NoRoots,
    /// A generated file is out of date.
    #[error("`{}` does not hold the roots that are pinned now", .0.display())]
    Stale(PathBuf),
    /// Nothing is known about this kind of file.
    #[error("`{}` in `trust.embed` is neither `.rs` nor `.h`", .0.display())]
    Kind(PathBuf),
    /// `esp-ota.toml` cannot be changed.
    #[error("`trust.roots` in `{}` is not a list", .0.display())]
    NotAList(PathBuf),
}

impl Explained for CaError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unconfirmed | Self::Exists(_) | Self::Stale(_) => Exit::Rejected,
            Self::NoTerminal => Exit::Usage,
            Self::Fingerprint { .. } => Exit::Trust,
            Self::NoRoots | Self::Kind(_) | Self::NotAList(_) => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unconfirmed => None,
            Self::NoTerminal => {
                Some("compare it with the authority's own page, then pass `--sha256 HEX`".into())
            }
            Self::Fingerprint { .. } => {
                Some("get the certificate from the authority again, and trust neither".into())
            }
            Self::Exists(_) => Some("rename your file, or remove that one".into()),
            Self::NoRoots => Some("pin one with `cargo esp-ota ca add FILE`".into()),
            Self::Stale(_) => Some("run `cargo esp-ota ca embed`".into()),
            Self::Kind(_) => Some("name it `….rs` for Rust or `….h` for C and Arduino".into()),
            Self::NotAList(_) => Some("write `roots = []`".into()),
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Stale(file) | Self::Kind(file) | Self::NotAList(file) => {
                Some(Location { file: file.clone(), line: None, column: None })
            }
            Self::Unconfirmed
            | Self::NoTerminal
            | Self::Fingerprint { .. }
            | Self::Exists(_)
            | Self::NoRoots => None,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RootReport {
    subject: String,
    sha256: String,
    key: String,
    not_after: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct AddReport {
    added: Vec<RootReport>,
    file: PathBuf,
    pinned: usize,
    generated: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct EmbedReport {
    pinned: usize,
    generated: Vec<PathBuf>,
    changed: bool,
}

impl Ca {
    /// The word that JSON reports carry.
    pub fn name(&self) -> &'static str {
        match self.action {
            Action::Add(_) => "ca add",
            Action::Embed(_) => "ca embed",
        }
    }

    /// Runs the subcommand.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.action {
            Action::Add(add) => add.run(context),
            Action::Embed(embed) => embed.run(context),
        }
    }
}

impl Add {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&Overrides::default())?;
        let now = context.now();
        let mut new = root::read(&self.file, now)?;
        let pinned = project_roots(&project, now)?;
        if let Some(expected) = &self.sha256 {
            let wanted = expected.to_ascii_lowercase().replace(':', "");
            let found: Vec<String> = new.iter().map(PinnedRoot::fingerprint_hex).collect();
            new.retain(|root| root.fingerprint_hex() == wanted);
            if new.is_empty() {
                let (file, expected) = (self.file, expected.clone());
                return Err(CaError::Fingerprint { file, expected, found: found.join(", ") }.into());
            }
        }
        for root in &new {
            root::refuse_duplicate(&self.file, &pinned, root)?;
        }
        if !self.yes && self.sha256.is_none() {
            confirm(&new)?;
        }
        let added = new.iter().map(root_report).collect();
        let all: Vec<PinnedRoot> = pinned.into_iter().chain(new.iter().cloned()).collect();
        // Whatever cannot be generated is refused while nothing is written yet.
        stale_sources(&project, &all)?;
        let file = add(&project, &self.file, &new)?;
        let generated = write_sources(&project, &all)?;
        let report = AddReport { added, file, pinned: all.len(), generated };
        context.output.answer(&report, Exit::Success)
    }
}

impl Embed {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&Overrides::default())?;
        let roots = project_roots(&project, context.now())?;
        let stale = stale_sources(&project, &roots)?;
        if let (true, Some(file)) = (self.check, stale.first()) {
            return Err(CaError::Stale(file.clone()).into());
        }
        let generated = if self.check || stale.is_empty() {
            sources(&project)
        } else {
            write_sources(&project, &roots)?
        };
        let report = EmbedReport { pinned: roots.len(), generated, changed: !stale.is_empty() };
        context.output.answer(&report, Exit::Success)
    }
}

/// Reads and checks every pinned root of a project.
pub(super) fn project_roots(project: &Project, now: Timestamp) -> Result<Vec<PinnedRoot>, Failure> {
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
pub(super) fn check_embedded(
    project: &Project,
    now: Timestamp,
) -> Result<Vec<PinnedRoot>, Failure> {
    let roots = project_roots(project, now)?;
    if roots.is_empty() {
        return Err(CaError::NoRoots.into());
    }
    match stale_sources(project, &roots)?.into_iter().next() {
        Some(file) => Err(CaError::Stale(file).into()),
        None => Ok(roots),
    }
}

/// Copies new roots into the project and names the file in `esp-ota.toml`.
pub(super) fn add(
    project: &Project,
    from: &Path,
    roots: &[PinnedRoot],
) -> Result<PathBuf, Failure> {
    let pem: String = roots.iter().map(source::pem).collect();
    let name = from.file_name().unwrap_or_else(|| "root.pem".as_ref());
    let relative = Path::new(FOLDER).join(name);
    let file = project.path(&relative);
    let text = context::read(&project.file, LARGEST_SOURCE)?;
    let changed = with_root(&String::from_utf8_lossy(&text), &relative)
        .ok_or_else(|| CaError::NotAList(project.file.clone()))?;
    match std::fs::read(&file) {
        Ok(bytes) if bytes != pem.as_bytes() && !is_same_file(&file, from) => {
            return Err(CaError::Exists(file).into());
        }
        _ => context::write(&file, pem.as_bytes())?,
    }
    context::write(&project.file, changed.as_bytes())?;
    Ok(relative)
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
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

fn sources(project: &Project) -> Vec<PathBuf> {
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

fn stale_sources(project: &Project, roots: &[PinnedRoot]) -> Result<Vec<PathBuf>, Failure> {
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
pub(super) fn write_sources(
    project: &Project,
    roots: &[PinnedRoot],
) -> Result<Vec<PathBuf>, Failure> {
    let files = sources(project);
    for file in &files {
        context::write(file, expected(file, roots)?.as_bytes())?;
    }
    Ok(files)
}

/// Shows fingerprints and asks.
fn confirm(roots: &[PinnedRoot]) -> Result<(), CaError> {
    if !io::stdin().is_terminal() {
        return Err(CaError::NoTerminal);
    }
    let mut terminal = io::stderr().lock();
    let mut answer = String::new();
    let asked = roots
        .iter()
        .try_for_each(|root| {
            writeln!(terminal, "{}\n  SHA-256 {}", root.subject(), root.fingerprint_hex())
        })
        .and_then(|()| write!(terminal, "Pin it? [y/N] "))
        .and_then(|()| terminal.flush())
        .and_then(|()| io::stdin().read_line(&mut answer));
    match (asked, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(CaError::Unconfirmed),
    }
}

fn root_report(root: &PinnedRoot) -> RootReport {
    RootReport {
        subject: root.subject().to_owned(),
        sha256: root.fingerprint_hex(),
        key: root.key().to_string(),
        not_after: root.not_after(),
    }
}

impl Report for AddReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for root in &self.added {
            writeln!(out, "pinned {}", paint.tone(Tone::Strong, &root.subject))?;
            writeln!(out, "  SHA-256 {}", root.sha256)?;
            writeln!(out, "  {}, ends {}", root.key, root.not_after)?;
        }
        writeln!(out, "{} pinned in all, in {}", self.pinned, file_list(&self.generated))
    }
}

impl Report for EmbedReport {
    fn human(&self, out: &mut dyn Write, _: Paint) -> io::Result<()> {
        let word = if self.changed { "written" } else { "up to date" };
        let roots = if self.pinned == 1 { "root" } else { "roots" };
        writeln!(out, "{} pinned {roots} in {}: {word}", self.pinned, file_list(&self.generated))
    }
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
    fn a_project_without_the_table_gets_one() {
        let text = with_root("product = \"a\"\n", Path::new("certs/b.pem")).unwrap();
        assert_eq!(text, "product = \"a\"\n\n[trust]\nroots = [\"certs/b.pem\"]\n");
        assert_eq!(with_root("trust = 3\n", Path::new("x")), None);
    }
}
