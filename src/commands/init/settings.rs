//! The files that belong to this tool, whatever the firmware is.

use std::path::{Path, PathBuf};

use super::InitError;
use super::error::Words;
use super::plan::Plan;
use crate::commands::partitions;
use crate::config::{self, Project};
use crate::error::Failure;
use crate::partition;
use crate::trust::source;

/// The roots as source.
pub(super) const ROOTS: &str = "src/roots.rs";
/// The roots as PEM.
const CERTIFICATES: &str = "certs/root.pem";

/// A file that a project has to have.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Whether one that is there is as good, whatever it holds.
    pub(super) or_any: bool,
}

impl Wanted {
    pub(super) fn new(path: impl Into<PathBuf>, text: String) -> Self {
        Self { path: path.into(), text, or_any: false }
    }
}

/// Settings, partition table and generated source of a project without settings.
///
/// A cargo project in `folder` may have a partition table that carries updates: it stays.
pub(super) fn new(
    folder: &Path,
    plan: &Plan,
    is_cargo_project: bool,
) -> Result<Vec<Wanted>, Failure> {
    let settings = project_file(plan);
    let project = Project::parse(&folder.join(config::FILE), &settings)?;
    let table = project.path(&project.partitions.value);
    let has_table = is_cargo_project && table.exists();
    if has_table && let Err(failure) = partitions::project_table(&project) {
        let why = Words(failure.to_string());
        return Err(InitError::OtherTable { file: table, why }.into());
    }
    let mut files = generated(plan, &project)?;
    files.iter_mut().for_each(|file| {
        file.or_any = has_table && file.path == project.partitions.value;
    });
    files.insert(0, Wanted::new(config::FILE, settings));
    if !plan.roots.is_empty() {
        let pem = plan.roots.iter().map(source::pem).collect();
        files.push(Wanted::new(CERTIFICATES, pem));
    }
    Ok(files)
}

/// What a project with settings may have lost. Files that are there stay.
pub(super) fn of_known(plan: &Plan, project: &Project) -> Result<Vec<Wanted>, Failure> {
    let mut files = generated(plan, project)?;
    files.iter_mut().for_each(|file| file.or_any = true);
    Ok(files)
}

fn generated(plan: &Plan, project: &Project) -> Result<Vec<Wanted>, Failure> {
    let size = plan.flash_size.bytes();
    let table = if plan.has_filesystem {
        partition::standard(size)
    } else {
        partition::no_filesystem(size)
    };
    let table = table.ok_or(InitError::NoTable(plan.flash_size))?;
    let table = partition::to_csv(&table).map_err(InitError::Table)?;
    Ok(vec![
        Wanted::new(config::source::FILE, config::source::rust(project)),
        Wanted::new(&project.partitions.value, table),
        Wanted::new(ROOTS, source::rust(&plan.roots)),
    ])
}

fn project_file(plan: &Plan) -> String {
    let Plan { product, chip, flash_size, roots, .. } = plan;
    let roots = if roots.is_empty() { String::new() } else { format!("\"{CERTIFICATES}\"") };
    let url = match &plan.url {
        Some(url) => format!("url = \"{url}\""),
        None => format!("# url = \"https://updates.example.com/{product}\""),
    };
    format!(
        "# Settings of `cargo esp-ota` for this firmware.\n\
         product = \"{product}\"\n\
         chip = \"{chip}\"\n\
         flash-size = \"{flash_size}\"\n\
         partitions = \"partitions.csv\"\n\
         \n\
         [trust]\n\
         # Root certificates that devices accept; `cargo esp-ota ca add FILE` pins another.\n\
         roots = [{roots}]\n\
         embed = [\"{ROOTS}\"]\n\
         \n\
         [release]\n\
         # What devices read.\n\
         {url}\n\
         # Where `cargo esp-ota publish` writes.\n\
         store = \"dir:dist\"\n\
         channel = \"stable\"\n"
    )
}
