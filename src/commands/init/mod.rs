//! `init`: a project that can update itself, in a new folder or in an existing one.

mod template;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::build::ROOT_FILE;
use super::{Context, ContextError, context, file_list, keys};
use crate::chip::Chip;
use crate::config::{self, Name, Overrides, Project};
use crate::error::{Exit, Explained, Failure, Location};
use crate::flash_size::FlashSize;
use crate::output::{Paint, Report, Tone};
use crate::partition;
use crate::trust::{PinnedRoot, root, source};
use template::{Values, firmware_files};

/// Make an OTA-ready firmware project
#[derive(Debug, clap::Args)]
pub struct Init {
    /// Folder of the project
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Chip
    #[arg(long, default_value_t = Chip::Esp32c3)]
    chip: Chip,
    /// Size of the flash chip
    #[arg(long, value_name = "SIZE", default_value_t = FlashSize::DEFAULT)]
    flash_size: FlashSize,
    /// Product name [default: the name of the folder]
    #[arg(long, value_name = "NAME")]
    product: Option<Name>,
    /// URL that devices read releases from; can be set later in `esp-ota.toml`
    #[arg(long, value_name = "URL", value_parser = config::https_url)]
    url: Option<String>,
    /// PEM file with the root certificate to pin; `ca add` pins more
    #[arg(long, value_name = "FILE")]
    root_ca: Option<PathBuf>,
    /// Larger slots, no file system partition
    #[arg(long)]
    no_filesystem: bool,
    /// Make no signing keys
    #[arg(long)]
    no_keys: bool,
}

/// Why no project was made. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The folder's name is no product name.
    #[error("the folder's name `{0}` is no product name")]
    NoProduct(String),
    /// The chip has no Wi-Fi.
    #[error("`{0}` has no Wi-Fi, which the firmware would update over")]
    NoWifi(Chip),
    /// There is no table for this flash size.
    #[error("there is no partition table with two slots for {0} of flash")]
    NoTable(FlashSize),
    /// A table could not be worded.
    #[error("the partition table could not be written down")]
    Table(#[source] partition::CsvError),
    /// Files are in the way.
    #[error("these files exist already: {}", file_list(.0))]
    Exists(Vec<PathBuf>),
    /// A template of this tool is wrong.
    #[error("the template `{file}` is broken")]
    Template {
        /// Its name.
        file: &'static str,
        /// Why.
        source: template::TemplateError,
    },
}

impl Explained for InitError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoProduct(_) | Self::NoWifi(_) | Self::NoTable(_) => Exit::Usage,
            Self::Exists(_) => Exit::Rejected,
            Self::Table(_) | Self::Template { .. } => Exit::Output,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoProduct(_) => Some("pass `--product NAME`".into()),
            Self::NoWifi(_) => Some("choose another chip with `--chip`".into()),
            Self::NoTable(_) => Some("pass the real `--flash-size`".into()),
            Self::Exists(_) => Some("move them away, or choose another folder".into()),
            Self::Table(_) | Self::Template { .. } => {
                Some("this is a mistake in cargo-esp-ota: please report it".into())
            }
        }
    }

    fn location(&self) -> Option<Location> {
        None
    }
}

/// What a project is made of.
#[derive(Clone, Debug)]
struct Plan {
    chip: Chip,
    flash_size: FlashSize,
    product: Name,
    url: Option<String>,
    roots: Vec<PinnedRoot>,
    has_filesystem: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct InitReport {
    folder: PathBuf,
    product: String,
    chip: Chip,
    files: Vec<PathBuf>,
    firmware: bool,
    keys: Option<PathBuf>,
    pinned: usize,
    next: Vec<String>,
}

impl Init {
    /// Makes keys and writes the project. Whatever can be refused is refused before that.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let product = match self.product {
            Some(product) => product,
            None => folder_name(&self.dir)?,
        };
        let roots = match &self.root_ca {
            Some(file) => root::read(file, context.now())?,
            None => Vec::new(),
        };
        let plan = Plan {
            chip: self.chip,
            flash_size: self.flash_size,
            product,
            url: self.url,
            roots,
            has_filesystem: !self.no_filesystem,
        };
        let firmware = !self.dir.join("Cargo.toml").exists();
        let mut files = files(&plan, firmware)?;
        let root = (!self.no_keys).then_some(Path::new(ROOT_FILE));
        let paths = files.iter().map(|(path, _)| path.as_path());
        refuse_existing(&self.dir, paths.chain(root))?;
        let keys = if self.no_keys {
            None
        } else {
            let configuration = context.configuration_folder()?;
            let (folder, root) = keys::make(&configuration, &plan.product, context.now())?;
            files.push((ROOT_FILE.into(), root));
            Some(folder)
        };
        for (path, bytes) in &files {
            context::write(&self.dir.join(path), bytes)?;
        }
        let report = InitReport {
            folder: self.dir.clone(),
            product: plan.product.to_string(),
            chip: plan.chip,
            files: files.into_iter().map(|(path, _)| path).collect(),
            firmware,
            keys,
            pinned: plan.roots.len(),
            next: next_steps(&self.dir, &plan, self.no_keys),
        };
        context.output.answer(&report, Exit::Success)
    }
}

/// Reads a project that was just written. The surroundings must not change what it says.
pub(super) fn project(folder: &Path) -> Result<Project, Failure> {
    let file = folder.join(config::FILE);
    Ok(Project::load(Some(&file), folder, &Overrides::default(), &|_| None)?)
}

fn folder_name(folder: &Path) -> Result<Name, Failure> {
    let absolute = std::path::absolute(folder)
        .map_err(|source| ContextError::Input { file: folder.to_owned(), source })?;
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    Ok(name.parse().map_err(|_| InitError::NoProduct(name))?)
}

/// Every file but the TUF root. A folder with a `Cargo.toml` has a firmware of its own.
fn files(plan: &Plan, with_firmware: bool) -> Result<Vec<(PathBuf, Vec<u8>)>, Failure> {
    if !plan.chip.has_wifi() {
        return Err(InitError::NoWifi(plan.chip).into());
    }
    let mut files = project_files(plan)?;
    if with_firmware {
        files.extend(firmware_files(&Values { chip: plan.chip, product: &plan.product })?);
    }
    Ok(files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect())
}

/// Refuses a folder in which one of these files exists, and names all that do.
fn refuse_existing<'a>(
    folder: &Path,
    files: impl Iterator<Item = &'a Path>,
) -> Result<(), InitError> {
    let files = files.map(|path| folder.join(path));
    let in_the_way: Vec<PathBuf> = files.filter(|file| file.symlink_metadata().is_ok()).collect();
    if in_the_way.is_empty() { Ok(()) } else { Err(InitError::Exists(in_the_way)) }
}

/// The files that belong to this tool, whatever the firmware is.
fn project_files(plan: &Plan) -> Result<Vec<(PathBuf, String)>, Failure> {
    let size = plan.flash_size.bytes();
    let table = if plan.has_filesystem {
        partition::standard(size)
    } else {
        partition::no_filesystem(size)
    };
    let table = table.ok_or(InitError::NoTable(plan.flash_size))?;
    let table = partition::to_csv(&table).map_err(InitError::Table)?;
    let settings = project_file(plan);
    let project = Project::parse(Path::new(config::FILE), &settings)?;
    let mut files = vec![
        (config::FILE.into(), settings),
        (config::source::FILE.into(), config::source::rust(&project)),
        ("partitions.csv".into(), table),
        ("src/roots.rs".into(), source::rust(&plan.roots)),
    ];
    if !plan.roots.is_empty() {
        files.push(("certs/root.pem".into(), plan.roots.iter().map(source::pem).collect()));
    }
    Ok(files)
}

fn project_file(plan: &Plan) -> String {
    let Plan { product, chip, flash_size, roots, .. } = plan;
    let roots = if roots.is_empty() { "" } else { "\"certs/root.pem\"" };
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
         embed = [\"src/roots.rs\"]\n\
         \n\
         [release]\n\
         # What devices read.\n\
         {url}\n\
         # Where `cargo esp-ota publish` writes.\n\
         store = \"dir:dist\"\n\
         channel = \"stable\"\n"
    )
}

fn next_steps(folder: &Path, plan: &Plan, no_keys: bool) -> Vec<String> {
    let mut steps = Vec::new();
    if folder != Path::new(".") {
        steps.push(format!("cd {}", folder.display()));
    }
    if plan.url.is_none() {
        steps.push("set `url` in `esp-ota.toml`".into());
    }
    if plan.roots.is_empty() {
        steps.push("cargo esp-ota ca add ROOT.pem".into());
    }
    if no_keys {
        steps.push("cargo esp-ota keys new".into());
    }
    steps.extend(["cargo esp-ota build".into(), "cargo esp-ota publish".into()]);
    steps
}

impl Report for InitReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let product = paint.tone(Tone::Strong, &self.product);
        writeln!(out, "project {product} for {} in `{}`", self.chip, self.folder.display())?;
        let agent = |file: &&PathBuf| file.starts_with("src/ota");
        for file in self.files.iter().filter(|file| !agent(file)) {
            writeln!(out, "  {}", file.display())?;
        }
        match self.files.iter().filter(agent).count() {
            0 => {}
            count => writeln!(out, "  src/ota/: the update agent, {count} files")?,
        }
        if !self.firmware {
            writeln!(out, "  the firmware is yours: only the host side was added")?;
        }
        if let Some(keys) = &self.keys {
            writeln!(out, "signing keys in {}: keep a copy", keys.display())?;
        }
        writeln!(out, "next:")?;
        self.next.iter().try_for_each(|step| writeln!(out, "  {step}"))
    }
}
