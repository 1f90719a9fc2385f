//! `init`: a project that can update itself, in a new folder or in an existing one.

mod by_hand;
mod cargo_project;
mod dependency;
mod error;
mod manifest_edit;
mod plan;
mod report;
mod requirement;
mod roots;
mod settings;
mod template;
mod work;

use std::path::{Path, PathBuf};

use super::build::ROOT_FILE;
use super::{Context, context, keys};
use crate::chip::Chip;
use crate::config::{self, Name, Overrides, Project};
use crate::error::{Exit, Failure};
use crate::flash_size::FlashSize;
use cargo_project::{Base, CargoProject};
pub use error::InitError;
use plan::Plan;
use report::{InitReport, next_steps};
use work::Work;

/// Make an OTA-ready firmware project, or make the cargo project that is there OTA-ready
///
/// On a terminal it asks for what is missing. Nothing is written before all is known and sound.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// Folder of the project
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Chip, one with Wi-Fi [default: that of the cargo project, else esp32c3]
    #[arg(long)]
    chip: Option<Chip>,
    /// Size of the flash chip [default: 4MB]
    #[arg(long, value_name = "SIZE")]
    flash_size: Option<FlashSize>,
    /// Product name [default: the name of the package, else of the folder]
    #[arg(long, value_name = "NAME")]
    product: Option<Name>,
    /// URL that devices read releases from; can be set later in `esp-ota.toml`
    #[arg(long, value_name = "URL", value_parser = config::https_url)]
    url: Option<String>,
    /// PEM file with the root certificate to pin, or URL of a server whose root is looked up;
    /// `ca add` pins more
    #[arg(long, value_name = "FILE|URL")]
    root_ca: Option<PathBuf>,
    /// For a URL: PEM file to look the root up in [default: the roots that Mozilla trusts]
    #[arg(long, value_name = "FILE")]
    candidates: Option<PathBuf>,
    /// Larger slots, no file system partition
    #[arg(long)]
    no_filesystem: bool,
    /// Make no signing keys
    #[arg(long)]
    no_keys: bool,
    /// Do not ask: take the defaults, pin the root that was found, and change `Cargo.toml`
    #[arg(long)]
    yes: bool,
}

impl Init {
    /// Makes keys and writes the project. Whatever can be refused is refused before that.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let cargo = CargoProject::find(&self.dir)?;
        // Before anything is asked: no answer would help.
        for cargo in cargo.iter().filter(|cargo| cargo.lacks_device_side()) {
            manifest_edit::refuse_clashes(cargo, &template::unfilled_manifest()?)?;
        }
        let known = self.known_project(cargo.as_ref())?;
        let dialogue = context.output.dialogue().filter(|_| !self.yes);
        let plan = match (&cargo, &known) {
            (Some(cargo), Some(project)) => Plan::known(&self, cargo, project, context)?,
            _ => Plan::new(&self, cargo.as_ref(), dialogue, context)?,
        };
        let (folder, with_keys) = (&self.dir, !self.no_keys);
        let work = match &cargo {
            None => Work::for_new(folder, &plan, with_keys)?,
            Some(cargo) => {
                Work::for_cargo_project(folder, &plan, cargo, known.as_ref(), with_keys)?
            }
        };
        self.confirm(context, &work)?;
        let (keys, root) = if work.makes_keys {
            let configuration = context.configuration_folder()?;
            let (folder, root) = keys::make(&configuration, &plan.product, context.now())?;
            (Some(folder), Some(root))
        } else {
            (None, None)
        };
        let written = work.files(root);
        context::place(folder, &written)?;
        let has_keys = self.dir.join(ROOT_FILE).exists();
        let is_esp_hal = |cargo: &&CargoProject| cargo.base == Base::EspHal;
        let report = InitReport {
            folder: folder.clone(),
            product: plan.product.to_string(),
            chip: plan.chip,
            base: report::base(cargo.as_ref()),
            files: work.paths(),
            kept: work.kept,
            changed: work.manifest.into_iter().map(Into::into).collect(),
            firmware: cargo.as_ref().is_none_or(|cargo| is_esp_hal(&cargo)),
            keys,
            pinned: plan.roots.len(),
            by_hand: match cargo.as_ref().filter(is_esp_hal) {
                Some(cargo) => by_hand::missing(folder, cargo),
                None => Vec::new(),
            },
            next: next_steps(&self, &plan, has_keys),
        };
        context.output.answer(&report, Exit::Success)
    }

    /// The settings of a cargo project that has some.
    fn known_project(&self, cargo: Option<&CargoProject>) -> Result<Option<Project>, Failure> {
        let has_settings = cargo.is_some() && self.dir.join(config::FILE).exists();
        has_settings.then(|| project(&self.dir)).transpose()
    }

    /// Shows what would change in files of the user, and asks. New files are not asked about.
    fn confirm(&self, context: &Context, work: &Work) -> Result<(), InitError> {
        let Some(change) = &work.manifest else { return Ok(()) };
        context.output.status(change.difference.trim_end());
        for line in report::file_lines(&work.paths()) {
            context.output.status(format_args!("new:{line}"));
        }
        match (self.yes, context.output.dialogue()) {
            (true, _) => Ok(()),
            (false, None) => Err(InitError::NoTerminal),
            (false, Some(dialogue)) => match dialogue.confirm("Change and add these files?") {
                Some(true) => Ok(()),
                Some(false) => Err(InitError::Unconfirmed),
                None => Err(InitError::Unanswered),
            },
        }
    }
}

/// Reads a project that was just written. The surroundings must not change what it says.
pub(super) fn project(folder: &Path) -> Result<Project, Failure> {
    let file = folder.join(config::FILE);
    Ok(Project::load(Some(&file), folder, &Overrides::default(), &|_| None)?)
}
