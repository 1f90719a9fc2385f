//! `keys rotate`: new keys for roles, signed for by the old ones, in two halves.

mod error;
mod public;
mod report;
mod scene;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::commands::build::ROOT_FILE;
use crate::commands::{Context, ca, context};
use crate::config::{Overrides, Project};
use crate::error::{Exit, Failure};
use crate::release::keys::{KeyPlace, Role, SigningKey};
use crate::release::repository::{OnlineKeys, State, View};
use crate::release::root::{ROOT_DAYS, RootFile};
use crate::release::rotation::{Replacement, Request, Rotation, rotate};
use error::RotateError;
use public::Public;
use report::{ChangedKey, RotateReport, SignedRelease};
use scene::Scene;

/// Give roles new keys, signed for by the old ones
#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// Role that gets a new key; may be repeated [default: targets, snapshot and timestamp]
    #[arg(long, value_name = "ROLE", value_enum, conflicts_with = "renew")]
    role: Vec<RoleName>,
    /// Key that goes, where a role has several: its id or the first 8 digits; may be repeated
    #[arg(long, value_name = "ID", requires = "role")]
    key: Vec<String>,
    /// Make a root that is good for longer, with the keys that are there
    #[arg(long)]
    renew: bool,
    /// Root key to sign with beside the one at hand, `-` for standard input; may be repeated, where
    /// the root asks for several
    #[arg(long, value_name = "FILE")]
    root_key: Vec<KeyPlace>,
    /// Folder for the new keys, made for you alone [default: where the others are]
    #[arg(long, value_name = "FOLDER")]
    keys_out: Option<PathBuf>,
    /// Connect here, whatever the host in the URL resolves to
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "offline")]
    connect: Option<SocketAddr>,
    /// Do not look at what devices see at the public URL; one half of a rotation a run
    #[arg(long)]
    offline: bool,
    /// How long to wait until the public URL shows the first half
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    wait: u16,
    /// Sign the published releases again without asking
    #[arg(long)]
    yes: bool,
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

/// How far a rotation came.
#[derive(Debug)]
enum End {
    /// No key is left that is leaving.
    Finished,
    /// The second half was not asked for.
    Half,
    /// The public URL does not show the first half.
    Unseen(String),
}

impl Rotate {
    /// Works the rotation out, lets devices walk it on a copy, then makes it, or as much of it as
    /// devices are ready for.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&Overrides::default())?;
        let runtime = context::runtime()?;
        let scene = runtime.block_on(Scene::of(context, &project, self.keys_out.as_deref()))?;
        let public = self.public(context, &project, &scene)?;
        if let Some(public) = &public {
            runtime.block_on(public.check(&scene.stored()))?;
        }
        let (replacements, rotation) = runtime.block_on(self.work_out(context, &scene))?;
        let files = runtime.block_on(scene.files())?;
        let devices = runtime.block_on(files.play(&rotation, scene.now))?;

        let mut report = RotateReport::new(&project, &scene, &rotation, devices);
        report.dry_run = self.dry_run;
        report.url = public.as_ref().map(|public| public.url.to_owned());
        self.confirm(context, &replacements, &report.releases)?;
        let end = if self.dry_run {
            report.would_change(&scene, &replacements);
            End::Finished
        } else {
            self.first_half(&runtime, &project, &scene, &replacements, &rotation, &mut report)?;
            let public = public.as_ref();
            runtime.block_on(self.second_half(context, &project, &scene, public, &rotation))?
        };
        report.end(&rotation, &scene, &end);
        let exit = match end {
            End::Finished | End::Half => Exit::Success,
            End::Unseen(_) => Exit::Rejected,
        };
        context.output.answer(&report, exit)
    }

    /// The way to the public URL, if it is to be asked.
    fn public<'a>(
        &self,
        context: &Context,
        project: &'a Project,
        scene: &Scene,
    ) -> Result<Option<Public<'a>>, Failure> {
        let Some(url) = project.url.value.as_deref().filter(|_| !self.offline) else {
            if scene.live.is_live() {
                let why = if self.offline { "as you say" } else { "there is no `url`" };
                context.output.warn(format_args!(
                    "not compared with what devices see ({why}): a store that is older than that \
                     leads them astray"
                ));
            }
            return Ok(None);
        };
        let pinned = ca::project_roots(project, scene.now)?;
        let (connect_to, now) = (self.connect, scene.now);
        Ok(Some(Public { url, connect_to, pinned, now, store: &project.store.value }))
    }

    /// The keys that change, and all files of the rotation.
    async fn work_out(
        &self,
        context: &Context,
        scene: &Scene,
    ) -> Result<(BTreeMap<Role, Replacement>, Rotation), Failure> {
        let leaving = scene.newest.leaving();
        let is_live = scene.live.is_live();
        if is_live {
            scene.check_thresholds()?;
        }
        let mut replacements = if leaving.is_empty() {
            let roles = self.roles(scene)?;
            scene.replacements(context, &roles, &self.key)?
        } else {
            self.check_half_done(scene, &leaving)?;
            scene.rest(&leaving, false)?
        };
        let root_keys = scene.root_keys(context, &self.root_key, &replacements)?;
        let is_new = leaving.is_empty() && replacements.keys().any(|role| *role != Role::Root);
        let mut signs_again = is_live && is_new;
        let mut rotation = self.rotated(scene, &replacements, &root_keys, None).await?;
        if let (false, true, Some(last)) = (leaving.is_empty(), is_live, &rotation.last)
            && !scene.files().await?.are_good_under(last, scene.now).await?
        {
            // Somebody published with a key that is leaving, or the first half was cut.
            signs_again = true;
            replacements = scene.rest(&leaving, true)?;
        }
        scene.check_new_keys(&replacements, self.keys_out.is_some())?;
        if signs_again {
            let online = scene.online(&replacements, !leaving.is_empty())?;
            let beside = scene.beside(&replacements)?;
            let signing = Some((&online, &beside[..]));
            rotation = self.rotated(scene, &replacements, &root_keys, signing).await?;
        }
        Ok((replacements, rotation))
    }

    async fn rotated(
        &self,
        scene: &Scene,
        replacements: &BTreeMap<Role, Replacement>,
        root_keys: &[SigningKey],
        signing: Option<(&OnlineKeys, &[(Role, SigningKey)])>,
    ) -> Result<Rotation, Failure> {
        let request = Request {
            newest: &scene.newest,
            live: Some(&scene.live),
            replacements,
            root_keys,
            online: signing.map(|(online, _)| online),
            beside: signing.map_or(&[], |(_, beside)| beside),
            renew: self.renew,
            now: scene.now,
            root_days: ROOT_DAYS,
        };
        Ok(rotate(&request).await?)
    }

    /// The roles that get a new key, with those that an interrupted rotation left.
    fn roles(&self, scene: &Scene) -> Result<BTreeSet<Role>, Failure> {
        let mut roles: BTreeSet<Role> = match (self.renew, &self.role[..]) {
            (true, _) => BTreeSet::new(),
            (false, []) => scene::ONLINE.into(),
            (false, named) => named.iter().map(|name| name.role()).collect(),
        };
        roles.extend(scene.begun()?.into_keys());
        Ok(roles)
    }

    /// Refuses another rotation before one that is half done.
    fn check_half_done(
        &self,
        scene: &Scene,
        leaving: &BTreeMap<Role, Vec<String>>,
    ) -> Result<(), RotateError> {
        let is_other = self.role.iter().any(|name| !leaving.contains_key(&name.role()));
        if is_other || !self.key.is_empty() {
            let roles: Vec<&str> = leaving.keys().map(|role| role.name()).collect();
            let (root, leaving) = (scene.newest.version(), roles.join(", "));
            return Err(RotateError::HalfDone { root, leaving });
        }
        Ok(())
    }

    /// A stolen targets key may have put releases there that are none: whoever signs them again
    /// should know them.
    fn confirm(
        &self,
        context: &Context,
        replacements: &BTreeMap<Role, Replacement>,
        releases: &[SignedRelease],
    ) -> Result<(), Failure> {
        let is_replaced = replacements.contains_key(&Role::Targets);
        if self.yes || self.dry_run || !is_replaced || releases.is_empty() {
            return Ok(());
        }
        let count = releases.len();
        let Some(dialogue) = context.output.dialogue() else {
            context.output.warn(format_args!(
                "what is published is signed again (releases: {count}): compare it with what you \
                 released"
            ));
            return Ok(());
        };
        dialogue.say("A stolen key may have released something. What is published:");
        for release in releases {
            dialogue.say(release);
        }
        match dialogue.confirm(format_args!("Sign all {count} again?")) {
            Some(true) => Ok(()),
            Some(false) | None => Err(RotateError::Unconfirmed.into()),
        }
    }

    /// Writes the root that devices follow first and what was signed again, and puts the new keys
    /// into use.
    fn first_half(
        &self,
        runtime: &tokio::runtime::Runtime,
        project: &Project,
        scene: &Scene,
        replacements: &BTreeMap<Role, Replacement>,
        rotation: &Rotation,
        report: &mut RotateReport,
    ) -> Result<(), Failure> {
        for (role, replacement) in replacements {
            if scene.new_keys.next(*role, &scene.supplied)?.is_none() {
                scene.new_keys.keep_next(*role, &replacement.new, &scene.supplied)?;
            }
        }
        runtime.block_on(async {
            scene.store.stage(&rotation.plan).await?;
            if rotation.plan.timestamp.is_some() {
                // Another client's word on the very files, before they go live.
                State::load(&scene.store, &scene.trusted.bytes, View::Staged, scene.now).await?;
            }
            Ok::<_, Failure>(scene.store.promote(&rotation.plan).await?)
        })?;
        let newest = rotation.first.as_ref().unwrap_or(&scene.newest);
        for (role, replacement) in replacements {
            let staying = newest.staying(*role);
            let adopted = scene.new_keys.adopt_next(*role, &scene.supplied, &staying)?;
            report.changed.push(ChangedKey::new(scene, *role, replacement, adopted)?);
        }
        embed(project, scene, newest)
    }

    /// Drops the old keys, once devices see what the new ones signed.
    async fn second_half(
        &self,
        context: &Context,
        project: &Project,
        scene: &Scene,
        public: Option<&Public<'_>>,
        rotation: &Rotation,
    ) -> Result<End, Failure> {
        let (Some(last), Some(upload)) = (&rotation.last, rotation.last_upload()) else {
            return Ok(End::Finished);
        };
        let is_first_new = rotation.first.is_some() || rotation.plan.timestamp.is_some();
        let both = rotation.first.as_ref().unwrap_or(&scene.newest);
        let patience = Duration::from_secs(self.wait.into());
        match public {
            // One half a run: what is between them is somebody else's to see.
            None if is_first_new => return Ok(End::Half),
            Some(_) if is_first_new && self.wait == 0 => return Ok(End::Half),
            None => {}
            Some(public) => {
                if let Err(reason) = public.wait(context, (both, last), patience).await {
                    return Ok(End::Unseen(reason));
                }
            }
        }
        scene.store.upload(&upload).await?;
        embed(project, scene, last)?;
        Ok(End::Finished)
    }
}

/// Gives new firmware the newest root.
fn embed(project: &Project, scene: &Scene, newest: &RootFile) -> Result<(), Failure> {
    if newest.bytes != scene.trusted.bytes {
        context::write(&project.path(Path::new(ROOT_FILE)), &newest.bytes)?;
    }
    Ok(())
}

/// An error and its causes in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}
