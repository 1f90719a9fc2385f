//! `keys list`: which keys count, where their private halves are, and until when what they signed
//! is good.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::commands::build::{ROOT_FILE, tuf_root};
use crate::commands::{Context, context};
use crate::config::{Overrides, Project};
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report, Tone};
use crate::release::keys::{KeyFolder, KeyPlace, Role, Supplied};
use crate::release::repository::State;
use crate::release::root;

/// Show the keys that count, where they are, and until when what they signed is good
#[derive(Debug, clap::Args)]
pub(super) struct List {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ListReport {
    product: String,
    file: PathBuf,
    /// Version of the root in the file.
    root: u64,
    /// Version of the newest one: that of the store, where it has a newer one.
    newest: u64,
    folder: PathBuf,
    roles: Vec<RoleKeys>,
    /// Keys that no role has: retired ones, ones of an interrupted rotation, and files that cannot
    /// be read.
    others: Vec<Other>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RoleKeys {
    role: &'static str,
    threshold: u64,
    /// Of the metadata that is published; of the root for the root role.
    expires: Option<String>,
    keys: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    id: String,
    /// A file or an environment variable; `null` where its private half is not here.
    place: Option<String>,
}

#[derive(Debug, Serialize)]
struct Other {
    file: PathBuf,
    /// `null` where the file cannot be read as a key.
    id: Option<String>,
}

impl List {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {} = self;
        let project = context.project(&Overrides::default())?;
        let report = gather(context, &project)?;
        context.output.answer(&report, Exit::Success)
    }
}

fn gather(context: &Context, project: &Project) -> Result<ListReport, Failure> {
    let bytes = tuf_root(project)?;
    let store = context.store(project)?;
    let folder = KeyFolder::new(&context.configuration_folder()?, project.product.value.as_str())?;
    let supplied = Supplied::from_environment(context::variable);
    let (chain, live) = context::runtime()?.block_on(async {
        let chain = root::chain(&store, &bytes).await?;
        Ok::<_, Failure>((chain, State::load_for_rotation(&store, &bytes).await?))
    })?;
    let trusted = root::read(&bytes)?;
    let newest = chain.last().unwrap_or(&trusted);
    let held = held(&folder, &supplied)?;
    let place = |id: &str| held.iter().find(|(_, key)| key.as_deref() == Some(id));
    let roles = Role::ALL.map(|role| {
        let (threshold, ids) = newest.keys(role);
        let expires = match role {
            Role::Root => Some(newest.expires()),
            Role::Targets | Role::Snapshot | Role::Timestamp => live.ends(role),
        };
        let keys = ids.into_iter().map(|id| {
            let place = place(&id).map(|(place, _)| place.clone());
            Listed { id, place }
        });
        let keys = keys.collect();
        RoleKeys { role: role.name(), threshold, expires: expires.map(|end| end.to_string()), keys }
    });
    let counts = |id: &Option<String>| {
        let is_listed = |id: &String| roles.iter().any(|it| it.keys.iter().any(|k| k.id == *id));
        id.as_ref().is_some_and(is_listed)
    };
    let others = held.iter().filter(|(_, id)| !counts(id));
    let others = others.map(|(place, id)| Other { file: place.into(), id: id.clone() });
    Ok(ListReport {
        product: project.product.value.to_string(),
        file: project.path(Path::new(ROOT_FILE)),
        root: trusted.version(),
        newest: newest.version(),
        folder: folder.path().to_owned(),
        others: others.collect(),
        roles: roles.into(),
    })
}

/// Every key at hand: where it is, and its id where it could be read.
fn held(folder: &KeyFolder, supplied: &Supplied) -> Result<Vec<(String, Option<String>)>, Failure> {
    let mut found = Vec::new();
    for role in Role::ALL.into_iter().filter(|role| supplied.has(*role)) {
        let key = folder.load(role, supplied)?;
        found.push((role.variable().to_owned(), Some(key.id()?)));
    }
    for file in folder.files()? {
        let place = KeyPlace::File(file.clone());
        let key = KeyFolder::load_at(Role::Root, &place, supplied, io::empty()).ok();
        let id = key.and_then(|key| key.id().ok());
        found.push((file.display().to_string(), id));
    }
    Ok(found)
}

impl Report for ListReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let root = paint.tone(Tone::Strong, format_args!("root {}", self.root));
        writeln!(out, "{root} of {}, in `{}`", self.product, self.file.display())?;
        if self.newest != self.root {
            writeln!(
                out,
                "  the store has root {}: `cargo esp-ota keys export -o {}` brings it here",
                self.newest,
                self.file.display()
            )?;
        }
        for role in &self.roles {
            let count = role.keys.len();
            let end = match &role.expires {
                Some(end) => format!("good until {end}"),
                None => "nothing published".to_owned(),
            };
            writeln!(out, "{}: {} of {count}, {end}", role.role, role.threshold)?;
            for key in &role.keys {
                let place = match &key.place {
                    Some(place) => place.clone(),
                    None => paint.tone(Tone::Faint, "not here"),
                };
                writeln!(out, "  {}  {place}", key.id)?;
            }
        }
        for other in &self.others {
            let file = other.file.display();
            match &other.id {
                Some(id) => writeln!(out, "not in use: {id}  {file}")?,
                None => writeln!(out, "cannot be read, encrypted or damaged: {file}")?,
            }
        }
        Ok(())
    }
}
