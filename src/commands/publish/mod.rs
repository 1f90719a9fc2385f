//! `publish`: sign, stage, rehearse, and only then let devices see it.

mod deliver;
mod error;
mod offer;
mod report;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Context, build, ca, context, project_agent};
use crate::agent;
use crate::config::{Origin, Overrides, Project};
use crate::error::{Exit, Failure};
use crate::release::custom::WHOLE_FLEET;
use crate::release::keys::{KeyFolder, Supplied};
use crate::release::repository::{Expiry, RepositoryError, State, Terms, View};
use crate::release::rules;
use crate::release::store::Store;
use deliver::{Delivery, Outside};
pub use error::PublishError;
use report::ImageReport;
pub(super) use report::PublishReport;

/// Sign a release, rehearse it and publish it
#[derive(Debug, clap::Args)]
pub struct Publish {
    /// App images, one for each chip [default: build the firmware first]
    images: Vec<PathBuf>,
    /// Version, where the images state none
    #[arg(long = "release-version", value_name = "VERSION")]
    version: Option<String>,
    /// Share of the devices that may take it
    #[arg(long, value_name = "PERCENT", default_value_t = WHOLE_FLEET,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    rollout: u8,
    /// Publish although `src/ota` of the project is not the agent that rehearses
    #[arg(long)]
    accept_agent_drift: bool,
    /// Verify from the public URL also where the store is a folder; implied by `--connect`
    #[arg(long)]
    public: bool,
    /// Connect here, whatever the host in the URL resolves to
    #[arg(long, value_name = "ADDRESS:PORT")]
    connect: Option<SocketAddr>,
    #[command(flatten)]
    project: Overrides,
}

impl Publish {
    /// Publishes one release.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&self.project)?;
        let images = if self.images.is_empty() {
            vec![build::build(context, &project, None, None, &[])?.file]
        } else {
            self.images
        };
        let agent = project_agent(&project)?;
        let drifted = agent.as_ref().is_some_and(|digest| *digest != agent::digest());
        if drifted && !self.accept_agent_drift {
            return Err(PublishError::AgentDrift.into());
        }
        let is_url_given = matches!(project.url.origin, Origin::Flag(_));
        let release = Release {
            files: images.iter().map(PathBuf::as_path).collect(),
            version: self.version.as_deref(),
            agent,
            percent: self.rollout,
            is_public: self.public || self.connect.is_some() || is_url_given,
            connect_to: self.connect,
        };
        let mut report = publish(context, &project, &release)?;
        if drifted {
            report.rehearsed_with_own_agent = false;
            context.output.warn("not rehearsed with its own agent: `src/ota` was changed");
        }
        context.output.answer(&report, Exit::Success)
    }
}

/// What is to be published.
#[derive(Debug)]
struct Release<'a> {
    /// The app images.
    files: Vec<&'a Path>,
    /// Their version, where they state none.
    version: Option<&'a str>,
    /// Digest of the agent in them; `None` where there is none.
    agent: Option<String>,
    /// The share of devices that may take it.
    percent: u8,
    /// Whether it has to be verified from the public URL.
    is_public: bool,
    connect_to: Option<SocketAddr>,
}

/// Publishes a release to the project's store.
fn publish(
    context: &Context,
    project: &Project,
    offered: &Release<'_>,
) -> Result<PublishReport, Failure> {
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
    let folder = KeyFolder::new(&context.configuration_folder()?, project.product.value.as_str())?;
    let keys = folder.load_for_publish(&Supplied::from_environment(context::variable))?;
    let store = context.store(project)?;
    let outside = outside(project, offered.is_public, offered.connect_to)?;

    context::runtime()?.block_on(async {
        let state = load(context, &store, &root, now).await?;
        let channel = project.channel.value.as_str();
        let terms = Terms { now, expiry: Expiry::default(), plain_channel: channel };
        let plan = state.publish(&keys, releases.clone(), terms).await?;
        let (store, root, roots) = (&store, &root, &roots);
        let delivery = Delivery { context, project, store, root, roots, outside, now };
        let delivered = delivery.deliver(&state, &plan).await?;
        let mut version = String::new();
        let mut images = Vec::new();
        for release in &releases {
            let (chip, sha256) = (release.custom.chip, release.sha256());
            version =
                rules::version(&release.custom.version).map_err(RepositoryError::from)?.to_string();
            let path = format!("{chip}/firmware.bin");
            images.push(ImageReport {
                chip,
                size: release.image.len(),
                published: plan.added.iter().any(|it| it.custom.chip == chip),
                sha256,
                plain: plan.plain.iter().any(|upload| upload.path == path).then_some(path),
            });
        }
        Ok(PublishReport {
            product: project.product.value.to_string(),
            channel: channel.to_owned(),
            version,
            published: !plan.is_published(),
            images,
            delivered,
            rehearsed_with_own_agent: true,
            store: project.store.value.clone(),
            verified_from: outside.map(|outside| outside.url.to_owned()),
        })
    })
}

/// Where a release is verified from. What is in a folder is on no host yet, unless somebody says
/// so; every other store has a public URL, and there is no way round it.
pub(super) fn outside(
    project: &Project,
    is_asked: bool,
    connect_to: Option<SocketAddr>,
) -> Result<Option<Outside<'_>>, PublishError> {
    if !is_asked && project.store.value.starts_with("dir:") {
        return Ok(None);
    }
    let url = project.url.value.as_deref().ok_or(PublishError::NoUrl)?;
    Ok(Some(Outside { url, connect_to }))
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
