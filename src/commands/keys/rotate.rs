//! `keys rotate`: new keys for roles, signed for by the old ones.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::error::RotateError;
use super::scratch::{self, Walk};
use crate::commands::build::{ROOT_FILE, tuf_root};
use crate::commands::{Context, context};
use crate::config::{Overrides, Project};
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report, Tone};
use crate::release::keys::{KeyFolder, Role, SigningKey, Supplied};
use crate::release::repository::{OnlineKeys, State, View};
use crate::release::root::{self, ROOT_DAYS, RootFile};
use crate::release::rotation::{Replacement, Request, Rotation, rotate};
use crate::release::store::Store;

/// Give roles new keys, signed for by the old ones
#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// Role that gets a new key; may be repeated [default: targets, snapshot and timestamp]
    #[arg(long, value_name = "ROLE", value_enum, conflicts_with = "renew")]
    role: Vec<RoleName>,
    /// Make a root that is good for longer, with the keys that are there
    #[arg(long)]
    renew: bool,
    /// Root key to sign with beside the one at hand, where the root asks for several; may be
    /// repeated
    #[arg(long, value_name = "FILE")]
    root_key: Vec<PathBuf>,
    /// Say what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleName {
    Root,
    Targets,
    Snapshot,
    Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RotateReport {
    dry_run: bool,
    /// Versions of the new roots.
    roots: Vec<u64>,
    /// Until when the newest is good.
    expires: String,
    file: PathBuf,
    store: String,
    /// Whether what is published was signed again.
    signed_again: bool,
    changed: Vec<ChangedKey>,
    devices: Vec<Walk>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ChangedKey {
    role: &'static str,
    old: Option<String>,
    /// `null` where nothing was written: the next run makes another.
    new: Option<String>,
    file: PathBuf,
    /// Where the old key is kept, if it was here.
    retired: Option<PathBuf>,
    /// The variable that still holds the old key, if one does.
    variable: Option<&'static str>,
}

/// Everything that a rotation is worked out from.
struct Scene {
    folder: KeyFolder,
    supplied: Supplied,
    store: Store,
    trusted: RootFile,
    newest: RootFile,
    live: State,
    now: Timestamp,
}

impl Rotate {
    /// Works the rotation out, lets devices walk it on a copy, then makes it.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&Overrides::default())?;
        let runtime = context::runtime()?;
        let scene = runtime.block_on(Scene::of(context, &project))?;
        let roles = self.roles(&scene)?;
        let replacements = scene.replacements(&roles)?;
        let root_keys = scene.root_keys(&self.root_key, &replacements)?;
        let online = scene.online(&replacements)?;
        let request = Request {
            newest: &scene.newest,
            live: Some(&scene.live),
            replacements: &replacements,
            root_keys: &root_keys,
            online: online.as_ref(),
            renew: self.renew,
            now: scene.now,
            root_days: ROOT_DAYS,
        };
        let rotation = runtime.block_on(rotate(&request))?;
        let embedded = runtime.block_on(scene.embedded())?;
        let walk = scratch::play(&scene.store, &embedded, &rotation, scene.now);
        let devices = runtime.block_on(walk)?;

        let mut report = RotateReport::new(&project, &scene, &rotation, devices, self.dry_run);
        let file = project.path(Path::new(ROOT_FILE));
        if !self.dry_run {
            for (role, replacement) in &replacements {
                if scene.folder.next(*role, &scene.supplied)?.is_none() {
                    scene.folder.keep_next(*role, &replacement.new, &scene.supplied)?;
                }
            }
            runtime.block_on(scene.write(&rotation))?;
        }
        for (role, replacement) in &replacements {
            let retired = if self.dry_run {
                None
            } else {
                scene.folder.adopt_next(*role, &scene.supplied)?
            };
            report.changed.push(ChangedKey {
                role: role.name(),
                old: replacement.old.clone(),
                new: if self.dry_run { None } else { Some(replacement.new.id()?) },
                file: scene.folder.file(*role),
                retired,
                variable: scene.supplied.has(*role).then_some(role.variable()),
            });
        }
        let newest = rotation.roots.last().unwrap_or(&scene.newest);
        if !self.dry_run && newest.bytes != scene.trusted.bytes {
            context::write(&file, &newest.bytes)?;
        }
        context.output.answer(&report, Exit::Success)
    }

    /// The roles that get a new key, with those that an interrupted rotation left half done.
    fn roles(&self, scene: &Scene) -> Result<BTreeSet<Role>, Failure> {
        let mut roles: BTreeSet<Role> = match (self.renew, &self.role[..]) {
            (true, _) => BTreeSet::new(),
            (false, []) => [Role::Targets, Role::Snapshot, Role::Timestamp].into(),
            (false, named) => named.iter().map(|name| name.role()).collect(),
        };
        for role in Role::ALL {
            if scene.folder.next(role, &scene.supplied)?.is_some() {
                roles.insert(role);
            }
        }
        Ok(roles)
    }
}

impl RoleName {
    const fn role(self) -> Role {
        match self {
            Self::Root => Role::Root,
            Self::Targets => Role::Targets,
            Self::Snapshot => Role::Snapshot,
            Self::Timestamp => Role::Timestamp,
        }
    }
}

impl Scene {
    async fn of(context: &Context, project: &Project) -> Result<Self, Failure> {
        let bytes = tuf_root(project)?;
        let store = context.store(project)?;
        let trusted = root::read(&bytes)?;
        let chain = root::chain(&store, &bytes).await?;
        let live = State::load_for_rotation(&store, &bytes).await?;
        Ok(Self {
            folder: KeyFolder::new(
                &context.configuration_folder()?,
                project.product.value.as_str(),
            )?,
            supplied: Supplied::from_environment(context::variable),
            newest: chain.last().unwrap_or(&trusted).clone(),
            trusted,
            store,
            live,
            now: context.now(),
        })
    }

    /// A new key for each role, and which of the old ones it takes the place of.
    fn replacements(&self, roles: &BTreeSet<Role>) -> Result<BTreeMap<Role, Replacement>, Failure> {
        let mut found = BTreeMap::new();
        for role in roles {
            let new = match self.folder.next(*role, &self.supplied)? {
                Some(left) => left,
                None => SigningKey::generate()?,
            };
            let new_id = new.id()?;
            let (_, mut listed) = self.newest.keys(*role);
            listed.retain(|id| *id != new_id);
            let held = self.folder.held(*role, &self.supplied)?;
            let held = held.map(|key| key.id()).transpose()?;
            let old = match (&listed[..], held) {
                ([], _) => None,
                // Lost or stolen: it goes all the same.
                ([only], _) => Some(only.clone()),
                (_, Some(held)) if listed.contains(&held) => Some(held),
                (several, _) => {
                    let count = several.len();
                    return Err(RotateError::WhichKey { role: *role, count }.into());
                }
            };
            found.insert(*role, Replacement { old, new });
        }
        Ok(found)
    }

    /// Every root key at hand; without any, the one that is missing is named.
    fn root_keys(
        &self,
        more: &[PathBuf],
        replacements: &BTreeMap<Role, Replacement>,
    ) -> Result<Vec<SigningKey>, Failure> {
        let mut keys = Vec::new();
        for file in more {
            keys.push(KeyFolder::load_from(Role::Root, file, &self.supplied)?);
        }
        match self.folder.held(Role::Root, &self.supplied)? {
            Some(key) => keys.push(key),
            None if keys.is_empty() => {
                self.folder.load(Role::Root, &self.supplied)?;
            }
            None => {}
        }
        keys.extend(replacements.get(&Role::Root).map(|replacement| replacement.new.clone()));
        Ok(keys)
    }

    /// The keys that have to sign again what is published, as some of them are new.
    fn online(
        &self,
        replacements: &BTreeMap<Role, Replacement>,
    ) -> Result<Option<OnlineKeys>, Failure> {
        let is_online = |role: &Role| *role != Role::Root;
        if !self.live.is_live() || !replacements.keys().any(is_online) {
            return Ok(None);
        }
        let key = |role| match replacements.get(&role) {
            Some(replacement) => Ok(replacement.new.clone()),
            None => self.folder.load(role, &self.supplied),
        };
        Ok(Some(OnlineKeys {
            targets: replacements.get(&Role::Targets).map(|it| it.new.clone()),
            snapshot: key(Role::Snapshot)?,
            timestamp: key(Role::Timestamp)?,
        }))
    }

    /// The roots that devices of the field may embed.
    async fn embedded(&self) -> Result<Vec<RootFile>, Failure> {
        let mut roots = root::ancestors(&self.store, &self.trusted).await?;
        roots.extend(root::chain(&self.store, &self.trusted.bytes).await?);
        Ok(roots)
    }

    /// Writes in the order in which devices may see the files.
    async fn write(&self, rotation: &Rotation) -> Result<(), Failure> {
        self.store.stage(&rotation.plan).await?;
        if rotation.plan.timestamp.is_some() {
            // Another client's word on the very files, before they go live.
            State::load(&self.store, &self.trusted.bytes, View::Staged, self.now).await?;
        }
        self.store.promote(&rotation.plan).await?;
        Ok(())
    }
}

impl RotateReport {
    fn new(
        project: &Project,
        scene: &Scene,
        rotation: &Rotation,
        devices: Vec<Walk>,
        dry_run: bool,
    ) -> Self {
        let newest = rotation.roots.last().unwrap_or(&scene.newest);
        Self {
            dry_run,
            roots: rotation.roots.iter().map(RootFile::version).collect(),
            expires: newest.expires().to_string(),
            file: project.path(Path::new(ROOT_FILE)),
            store: project.store.value.clone(),
            signed_again: rotation.plan.timestamp.is_some(),
            changed: Vec::new(),
            devices,
        }
    }
}

impl Report for RotateReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let would = if self.dry_run { "would be " } else { "" };
        for key in &self.changed {
            let short = |id: &str| id.get(..16).unwrap_or(id).to_owned();
            let old = key.old.as_deref().map_or("no key".to_owned(), short);
            let new = key.new.as_deref().map_or("a new key".to_owned(), short);
            let (role, new) = (key.role, paint.tone(Tone::Strong, new));
            writeln!(out, "{role}: {old} {would}replaced by {new}, in {}", key.file.display())?;
            if let Some(retired) = &key.retired {
                writeln!(out, "  the old key is kept in {}", retired.display())?;
            }
            if let Some(variable) = key.variable {
                writeln!(out, "  `{variable}` holds the old key: put the new one there")?;
            }
        }
        match &self.roots[..] {
            [] => writeln!(out, "no new root was needed")?,
            roots => {
                let plural = if roots.len() == 1 { "root" } else { "roots" };
                let roots: Vec<String> = roots.iter().map(u64::to_string).collect();
                writeln!(
                    out,
                    "{plural} {} {would}made, good until {}; the newest {would}in `{}` and {}",
                    roots.join(" and "),
                    self.expires,
                    self.file.display(),
                    self.store
                )?;
            }
        }
        if self.signed_again {
            writeln!(out, "what is published {would}signed again")?;
        }
        for device in &self.devices {
            let roots: Vec<String> = device.roots.iter().map(u64::to_string).collect();
            let reads = match device.reads_releases {
                Some(true) => ", and reads the releases",
                Some(false) => ", and refuses the releases as before: publish again",
                None => "",
            };
            let way = roots.join(" → ");
            writeln!(out, "a device with root {}: trusts {way}{reads}", device.embedded)?;
        }
        Ok(())
    }
}
