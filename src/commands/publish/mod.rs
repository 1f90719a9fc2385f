//! `publish`: sign, stage, rehearse, and only then let devices see it.

mod deliver;
mod error;
mod fleet;
mod offer;
mod preview;
mod refresh;
mod rehearsal;
mod report;
mod reproduce;
mod revert;
mod tidy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use semver::Version;

use super::{Context, build, ca, context, project_agent};
use crate::agent;
use crate::config::{Origin, Overrides, Project};
use crate::error::{Exit, Failure};
use crate::release::custom::WHOLE_FLEET;
use crate::release::keys::{KeyArgument, KeyFolder, PublishKeys, Supplied};
use crate::release::plan::Plan;
use crate::release::repository::{Expiry, NewRelease, RepositoryError, State, Terms, View};
use crate::release::rules;
use crate::release::store::Store;
use crate::trust::PinnedRoot;
use deliver::Outside;
pub(super) use deliver::{Delivered, Delivery};
pub use error::PublishError;
use preview::Preview;
use report::ImageReport;
pub(super) use report::PublishReport;
use reproduce::Reproduced;
use revert::Revert;

/// Sign a release, rehearse it and publish it
#[derive(Debug, clap::Args)]
pub struct Publish {
    /// App images, one for each chip [default: build the firmware first]
    images: Vec<PathBuf>,
    /// Version, where the images state none; with `--revert`, that of the new release [default there:
    /// the next one]
    #[arg(long = "release-version", value_name = "VERSION")]
    version: Option<String>,
    /// Publish the content of this older release again, under a newer version
    #[arg(long, value_name = "VERSION", value_parser = super::rollout::version,
        conflicts_with = "images")]
    revert: Option<Version>,
    /// Share of the devices that may take it
    #[arg(long, value_name = "PERCENT", default_value_t = WHOLE_FLEET,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    rollout: u8,
    /// Publish although `src/ota` of the project is not the agent that rehearses
    #[arg(long)]
    accept_agent_drift: bool,
    /// Sign what is published again, so that it is good for longer; needs the snapshot and timestamp
    /// keys alone
    #[arg(long, conflicts_with_all = ["images", "version", "rollout", "accept_agent_drift", "revert"])]
    refresh: bool,
    /// Build twice, the second time from nothing, and publish only what has the same bytes; needs
    /// `SOURCE_DATE_EPOCH`
    #[arg(long, conflicts_with_all = ["images", "revert", "refresh"])]
    reproduce: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Take this key, for `targets`, `snapshot` or `timestamp`, from a file, or with `ROLE=-` from
    /// standard input; repeatable [default: the keys of the product]
    #[arg(long = "key", value_name = "ROLE=FILE")]
    keys: Vec<KeyArgument>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    project: Overrides,
}

/// Where a release is verified from.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(in crate::commands) struct Reading {
    /// Verify from the public URL also where the store is a folder; implied by `--url` and
    /// `--connect`
    #[arg(long)]
    public: bool,
    /// Connect here, whatever the host in the URL resolves to
    #[arg(long, value_name = "ADDRESS:PORT")]
    connect: Option<SocketAddr>,
}

impl Publish {
    /// Publishes one release, or signs the published ones again.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&self.project)?;
        if let Some(to) = &self.revert {
            let revert = Revert {
                to,
                version: self.version.as_deref(),
                percent: self.rollout,
                accept_agent_drift: self.accept_agent_drift,
            };
            let keys = keys(context, &project, &self.keys)?;
            return revert::run(context, &project, &revert, keys, self.reading, self.dry_run);
        }
        if self.refresh {
            let keys = keys(context, &project, &self.keys)?;
            return refresh::run(context, &project, keys, self.reading, self.dry_run);
        }
        let images = if self.reproduce {
            match reproduce::build_twice(context, &project)? {
                Reproduced::Same(file) => vec![file],
                Reproduced::Differs(report) => {
                    return context.output.answer(&report, Exit::Rejected);
                }
            }
        } else if self.images.is_empty() {
            vec![build::build(context, &project, None, None, &[])?.file]
        } else {
            self.images
        };
        let agent = project_agent(&project)?;
        let drifted = agent.as_ref().is_some_and(|digest| *digest != agent::digest());
        if drifted && !self.accept_agent_drift {
            return Err(PublishError::AgentDrift.into());
        }
        let release = Release {
            files: images.iter().map(PathBuf::as_path).collect(),
            version: self.version.as_deref(),
            agent,
            is_drifted: drifted,
            percent: self.rollout,
        };
        let (folder, supplied) = keys(context, &project, &self.keys)?;
        let offer = Offer::read(context, &project, &release, (&folder, &supplied))?;
        let outside = outside(&project, self.reading)?;
        context::runtime()?.block_on(async {
            let store = context.store(&project)?;
            let state = load(context, &store, &offer.root, offer.now).await?;
            let around =
                Around { context, project: &project, store: &store, state: &state, outside };
            match offer.carry_out(&around, self.dry_run).await? {
                Carried::Previewed(preview) => context.output.answer(&preview, Exit::Success),
                Carried::Published(report) => {
                    let reproduced = self.reproduce.then_some(true);
                    let report = PublishReport { reproduced, ..report };
                    context.output.answer(&report, Exit::Success)
                }
            }
        })
    }
}

/// Where a release goes.
struct Around<'a> {
    context: &'a Context,
    project: &'a Project,
    store: &'a Store,
    state: &'a State,
    outside: Option<Outside<'a>>,
}

/// What came of an offer.
enum Carried {
    /// Nothing was written.
    Previewed(Preview),
    Published(PublishReport),
}

/// What is to be published, as it was said.
#[derive(Debug)]
struct Release<'a> {
    /// The app images.
    files: Vec<&'a Path>,
    /// Their version, where they state none.
    version: Option<&'a str>,
    /// Digest of the agent in them; `None` where there is none.
    agent: Option<String>,
    /// Whether that is another agent than the one that rehearses.
    is_drifted: bool,
    /// The share of devices that may take it.
    percent: u8,
}

/// What is to be published, read and found fit.
#[derive(Debug)]
struct Offer {
    now: Timestamp,
    /// The TUF root that firmware embeds.
    root: Vec<u8>,
    /// The TLS roots that it pins.
    roots: Vec<PinnedRoot>,
    releases: Vec<NewRelease>,
    keys: PublishKeys,
    /// Whether the agent in the source is another than the one that rehearses.
    is_drifted: bool,
}

impl Offer {
    fn read(
        context: &Context,
        project: &Project,
        offered: &Release<'_>,
        (folder, supplied): (&KeyFolder, &Supplied),
    ) -> Result<Self, Failure> {
        let now = context.now();
        let root = build::tuf_root(project)?;
        let roots = ca::check_embedded(project, now)?;
        let terms = offer::Terms {
            version: offered.version,
            agent: offered.agent.clone(),
            roots: &roots,
            percent: offered.percent,
        };
        let releases = offer::read(project, &offered.files, &terms)?;
        let keys = folder.load_for_publish(supplied)?;
        Ok(Self { now, root, roots, releases, keys, is_drifted: offered.is_drifted })
    }

    /// Publishes what is offered, or says what would be written.
    async fn carry_out(&self, around: &Around<'_>, is_dry_run: bool) -> Result<Carried, Failure> {
        let Around { context, project, store, state, outside } = *around;
        let plan = self.plan(context, project, state).await?;
        let (version, images) = (self.version()?, self.images(state, &plan));
        if is_dry_run {
            let mut preview = Preview::of(project, store, state, &plan, outside).await?;
            preview.version = Some(version);
            preview.images = images;
            return Ok(Carried::Previewed(preview));
        }
        let (root, roots, now) = (&self.root, &self.roots, self.now);
        let delivery = Delivery { context, project, store, root, roots, outside, now };
        let delivered = delivery.deliver(state, &plan).await?;
        if self.is_drifted {
            context.output.warn("not rehearsed with its own agent: `src/ota` was changed");
        } else {
            delivered.warn_of_agents(context);
        }
        delivered.warn_of_gaps(context);
        Ok(Carried::Published(PublishReport {
            dry_run: false,
            product: project.product.value.to_string(),
            channel: project.channel.value.to_string(),
            version,
            reproduced: None,
            published: !plan.is_published(),
            images,
            rehearsed_with_own_agent: !self.is_drifted && delivered.is_with_own_agent(),
            delivered,
            store: project.store.value.clone(),
            verified_from: outside.map(|outside| outside.url.to_owned()),
        }))
    }

    async fn plan(
        &self,
        context: &Context,
        project: &Project,
        state: &State,
    ) -> Result<Plan, Failure> {
        let terms = Terms {
            now: context.stamp()?,
            expiry: Expiry::default(),
            plain_channel: project.plain_channel.as_str(),
        };
        let (keys, new, keep) = (&self.keys, self.releases.clone(), project.keep.value);
        Ok(state.publish_and_keep(keys, new, keep, terms).await?)
    }

    /// The version of all images, as the metadata has it.
    fn version(&self) -> Result<String, RepositoryError> {
        let stated = self.releases.first().map_or("", |release| release.custom.version.as_str());
        Ok(rules::version(stated)?.to_string())
    }

    fn images(&self, state: &State, plan: &Plan) -> Vec<ImageReport> {
        // The new list is the whole one, where there is one.
        let listed = if plan.is_published() { state.releases() } else { &plan.releases };
        let report = |release: &NewRelease| {
            let chip = release.custom.chip;
            let (path, sha256) = (format!("{chip}/firmware.bin"), release.sha256());
            let found = listed.iter().find(|it| it.custom.chip == chip && it.sha256 == sha256);
            let rollout_percent = found.map_or(0, |it| it.custom.rollout.percent);
            ImageReport {
                chip,
                size: release.image.len(),
                sha256,
                published: plan.added.iter().any(|it| it.custom.chip == chip),
                rollout_percent,
                plain: plan.plain.iter().any(|upload| upload.path == path).then_some(path),
            }
        };
        self.releases.iter().map(report).collect()
    }
}

/// The signing keys of the project: where they are, what came by the environment, and before both
/// what the command line names.
pub(super) fn keys(
    context: &Context,
    project: &Project,
    named: &[KeyArgument],
) -> Result<(KeyFolder, Supplied), Failure> {
    let folder = KeyFolder::new(&context.configuration_folder()?, project.product.value.as_str())?;
    let supplied = Supplied::from_environment(context::variable);
    Ok((folder, supplied.with_arguments(named, std::io::stdin())?))
}

/// Where a release is verified from. What is in a folder is on no host yet, unless somebody says
/// so; every other store has a public URL, and there is no way round it.
pub(super) fn outside(
    project: &Project,
    reading: Reading,
) -> Result<Option<Outside<'_>>, PublishError> {
    let Reading { public, connect } = reading;
    let is_asked = public || connect.is_some() || matches!(project.url.origin, Origin::Flag(_));
    if !is_asked && project.store.value.starts_with("dir:") {
        return Ok(None);
    }
    let url = project.url.value.as_deref().ok_or(PublishError::NoUrl)?;
    Ok(Some(Outside { url, connect_to: connect }))
}

/// Reads the live repository. Where its time is over, devices refuse it, but its publisher must not
/// be locked out.
pub(super) async fn load(
    context: &Context,
    store: &Store,
    root: &[u8],
    now: Timestamp,
) -> Result<State, RepositoryError> {
    match State::load(store, root, View::Live, now).await {
        Err(RepositoryError::Expired { role }) => {
            context.output.warn(format_args!(
                "the published {role} metadata has expired: devices have refused it since"
            ));
            State::load_overdue(store, root, now).await
        }
        loaded => loaded,
    }
}
