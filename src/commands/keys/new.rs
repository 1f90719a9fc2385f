//! `keys new`: the signing keys of a product and the TUF root that names them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::commands::build::ROOT_FILE;
use crate::commands::{Context, context};
use crate::config::{Name, Overrides, Project};
use crate::error::{Exit, Explained, Failure, Location};
use crate::output::{Paint, Report, Tone};
use crate::release::keys::{KeyError, KeyFolder, NewKeys, PublishKeys, Role, Supplied};
use crate::release::root::{ROOT_DAYS, new_root};

/// Make a signing key for every TUF role, and the root metadata that firmware embeds
#[derive(Debug, clap::Args)]
pub(super) struct New {}

/// The project has a root of trust already.
#[derive(Debug, thiserror::Error)]
#[error("`{}` exists: devices that embed it accept no other root", .0.display())]
pub(super) struct RootExists(PathBuf);

impl Explained for RootExists {
    fn exit(&self) -> Exit {
        Exit::Rejected
    }

    fn help(&self) -> Option<String> {
        Some("keep it; if no device was built with it, remove it and run this again".into())
    }

    fn location(&self) -> Option<Location> {
        Some(Location { file: self.0.clone(), line: None, column: None })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct KeysReport {
    folder: PathBuf,
    roles: Vec<&'static str>,
    root: PathBuf,
}

impl New {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {} = self;
        let project = context.project(&Overrides::default())?;
        let folder = new(&context.configuration_folder()?, &project, context.now())?;
        let report = KeysReport {
            folder,
            roles: Role::ALL.map(Role::name).to_vec(),
            root: project.path(Path::new(ROOT_FILE)),
        };
        context.output.answer(&report, Exit::Success)
    }
}

/// Makes keys and root, and gives the folder of the keys.
///
/// Where the keys exist but the root does not, as after a crash between the two, the root is made
/// from the keys that are there.
fn new(configuration: &Path, project: &Project, now: Timestamp) -> Result<PathBuf, Failure> {
    let file = project.path(Path::new(ROOT_FILE));
    if file.exists() {
        return Err(RootExists(file).into());
    }
    let (folder, root) = make(configuration, &project.product.value, now)?;
    context::write(&file, &root)?;
    Ok(folder)
}

/// Makes keys and the root that names them; gives the folder of the keys and the root's bytes.
pub(in crate::commands) fn make(
    configuration: &Path,
    product: &Name,
    now: Timestamp,
) -> Result<(PathBuf, Vec<u8>), Failure> {
    let folder = KeyFolder::new(configuration, product.as_str())?;
    let supplied = Supplied::from_environment(context::variable);
    let keys = match folder.create(&supplied) {
        Err(KeyError::Exists(_)) => existing(&folder, &supplied)?,
        other => other?,
    };
    let root = context::runtime()?.block_on(new_root(&keys, now, ROOT_DAYS))?;
    Ok((folder.path().to_owned(), root))
}

fn existing(folder: &KeyFolder, supplied: &Supplied) -> Result<NewKeys, KeyError> {
    let publish: PublishKeys = folder.load_for_publish(supplied)?;
    Ok(NewKeys { root: folder.load(Role::Root, supplied)?, publish })
}

impl Report for KeysReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let folder = paint.tone(Tone::Strong, self.folder.display());
        writeln!(out, "private keys ({}) in {folder}", self.roles.join(", "))?;
        writeln!(out, "  keep a copy: without them no device that runs now can ever be updated")?;
        writeln!(out, "TUF root for the firmware in `{}`", self.root.display())
    }
}
