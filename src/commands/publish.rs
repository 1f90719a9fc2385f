//! `publish`: sign, stage, rehearse, and only then let devices see it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::build;
use super::rehearse::{goal, stage};
use super::{Context, ca, context, inspect, project_agent};
use crate::agent;
use crate::agent::image::ImageInfo;
use crate::chip::Chip;
use crate::config::{Overrides, Project};
use crate::error::{Exit, Explained, Failure, Location};
use crate::image::inspect::{MOST_BYTES, Unfit, app_image};
use crate::output::{Paint, Report, Tone};
use crate::release::custom::{Custom, Rollout, VersionSource, WHOLE_FLEET};
use crate::release::keys::{KeyFolder, Supplied};
use crate::release::repository::{Expiry, NewRelease, RepositoryError, State, Terms, View};
use crate::release::store::Store;
use crate::trust::PinnedRoot;
use crate::virtual_device::caps;
use crate::virtual_device::rehearsal::{
    Outcome, Place, RehearsalError, Source, Start, aim, rehearse,
};

/// Sign a release, rehearse it and publish it
#[derive(Debug, clap::Args)]
pub struct Publish {
    /// App image [default: build the firmware first]
    image: Option<PathBuf>,
    /// Version, where the image states none
    #[arg(long = "release-version", value_name = "VERSION")]
    version: Option<String>,
    /// Publish although `src/ota` of the project is not the agent that rehearses
    #[arg(long)]
    accept_agent_drift: bool,
    #[command(flatten)]
    project: Overrides,
}

/// Why an image must not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is no app image of this project that a device could boot; the words are those of
    /// `inspect`.
    #[error("`{}` must not be published", file.display())]
    Unfit {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Unfit,
    },
    /// The image states no version, or another than was given.
    #[error("the image states version `{stated}`, not `{given}`")]
    Version {
        /// In the app descriptor.
        stated: String,
        /// On the command line.
        given: String,
    },
    /// The project changed its agent.
    #[error(
        "the project's own agent in `src/ota` cannot be rehearsed: it differs from this tool's"
    )]
    AgentDrift,
    /// The device's own agent would not end up with it.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
}

impl Explained for PublishError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unfit { source, .. } => source.exit(),
            Self::Version { .. } | Self::AgentDrift => Exit::Rejected,
            Self::Rehearsal(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unfit { source, .. } => source.help(),
            Self::Version { .. } => Some("leave `--release-version` out".into()),
            Self::AgentDrift => Some(
                "test it on devices, then pass `--accept-agent-drift`; the release will say so"
                    .into(),
            ),
            Self::Rehearsal(_) => {
                Some("nothing was promoted: devices still see what they saw before".into())
            }
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Unfit { file, .. } => {
                Some(Location { file: file.clone(), line: None, column: None })
            }
            Self::Version { .. } | Self::AgentDrift => None,
            Self::Rehearsal(error) => error.location(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PublishReport {
    product: String,
    chip: Chip,
    channel: String,
    version: String,
    size: usize,
    sha256: String,
    /// `false` where the same bytes were published before.
    published: bool,
    rehearsed: Option<RehearsedReport>,
    rehearsed_with_own_agent: bool,
    store: String,
    plain: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct RehearsedReport {
    slot: u32,
    flash_operations: u64,
}

impl Publish {
    /// Publishes one image.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&self.project)?;
        let file = match self.image {
            Some(file) => file,
            None => build::build(context, &project, None, None, &[])?.file,
        };
        let agent = project_agent(&project)?;
        let drifted = agent.as_ref().is_some_and(|digest| *digest != agent::digest());
        if drifted && !self.accept_agent_drift {
            return Err(PublishError::AgentDrift.into());
        }
        let release = Release { file: &file, version: self.version.as_deref(), agent };
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
pub(super) struct Release<'a> {
    /// The app image.
    pub(super) file: &'a Path,
    /// Its version, where it states none itself.
    pub(super) version: Option<&'a str>,
    /// Digest of the agent in it; `None` where there is none.
    pub(super) agent: Option<String>,
}

/// Publishes an image to the project's store.
pub(super) fn publish(
    context: &Context,
    project: &Project,
    offered: &Release<'_>,
) -> Result<PublishReport, Failure> {
    let now = context.now();
    let root = build::tuf_root(project)?;
    let roots = ca::check_embedded(project, now)?;
    let mut stage = stage(project, &root, now)?;
    let image = context::read(offered.file, MOST_BYTES)?;
    let info = app_image(&image, &inspect::expected(project)?)
        .map_err(|source| PublishError::Unfit { file: offered.file.to_owned(), source })?;
    // Nothing is known of the fleet: the lowest revision the image is made for has to take it.
    stage.chip_revision = info.min_chip_revision;
    let custom = custom(project, &info, &roots, offered)?;
    let folder = KeyFolder::new(&context.configuration_folder()?, project.product.value.as_str())?;
    let keys = folder.load_for_publish(&Supplied::from_environment(context::variable))?;
    let store = context.store(project)?;
    let size = image.len();

    context::runtime()?.block_on(async {
        let state = load(context, &store, &root, now).await?;
        let channel = project.channel.value.as_str();
        let terms = Terms { now, expiry: Expiry::default(), plain_channel: channel };
        let release = NewRelease { image, custom: custom.clone() };
        let sha256 = release.sha256();
        let plan = state.publish(&keys, vec![release], terms).await?;
        let mut rehearsed = None;
        if !plan.is_published() {
            store.stage(&plan).await?;
            context.output.status("staged; rehearsing with the device's own agent");
            let staged = State::load(&store, &root, View::Staged, now).await?;
            let fleet = aim(staged.releases(), project.product.value.as_str(), stage.chip, channel);
            stage.device_id.clone_from(&fleet.device_id);
            let goal = fleet.goal.as_ref().map(|release| goal(release, &roots));
            let source = Source { place: Place::Store(&store), view: View::Staged, now };
            let start = Start::first_install(stage.chip, roots.clone());
            let bar = context.output.progress("rehearsing", u64::try_from(size).unwrap_or(0));
            let progress = |received| bar.at(u64::from(received));
            let seen = rehearse(&stage, &source, &start, goal.as_ref(), progress).await;
            if let Outcome::Updated { slot, .. } = seen.outcome.map_err(PublishError::from)? {
                let flash_operations = seen.effort.operations;
                rehearsed = Some(RehearsedReport { slot, flash_operations });
            }
        }
        store.promote(&plan).await?;
        Ok(PublishReport {
            product: project.product.value.to_string(),
            chip: project.chip.value,
            channel: channel.to_owned(),
            version: plan.added.first().map_or(custom.version, |it| it.custom.version.clone()),
            size,
            sha256,
            published: !plan.is_published(),
            rehearsed,
            rehearsed_with_own_agent: true,
            store: project.store.value.clone(),
            plain: plan.plain.first().map(|upload| upload.path.clone()),
        })
    })
}

/// Reads the live repository. Where its time is over, devices refuse it, but its publisher must not
/// be locked out.
async fn load(
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

fn custom(
    project: &Project,
    info: &ImageInfo,
    roots: &[PinnedRoot],
    offered: &Release<'_>,
) -> Result<Custom, PublishError> {
    let stated = info.descriptor.as_ref().map_or("", |it| it.version());
    let (version, version_source) = match offered.version {
        None => (stated, VersionSource::AppDescriptor),
        Some(given) if stated.is_empty() || semver::Version::parse(stated).is_err() => {
            (given, VersionSource::CommandLine)
        }
        Some(given) if given == stated => (stated, VersionSource::AppDescriptor),
        Some(given) => {
            let (stated, given) = (stated.to_owned(), given.to_owned());
            return Err(PublishError::Version { stated, given });
        }
    };
    Ok(Custom {
        product: project.product.value.to_string(),
        channels: vec![project.channel.value.to_string()],
        chip: project.chip.value,
        version: version.to_owned(),
        version_source,
        secure_version: info.descriptor.as_ref().map_or(0, |it| it.secure_version),
        min_chip_revision: info.min_chip_revision,
        rollout: Rollout { percent: WHOLE_FLEET, seed: version.to_owned() },
        roots: roots.iter().map(PinnedRoot::fingerprint_hex).collect(),
        agent: offered.agent.clone(),
        caps: caps::of_own_agent(),
    })
}

impl Report for PublishReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let version = paint.tone(Tone::Strong, &self.version);
        let Self { product, chip, channel, size, sha256, store, .. } = self;
        if !self.published {
            return writeln!(out, "{product} {version} for {chip} is published already in {store}");
        }
        writeln!(out, "published {product} {version} for {chip} to `{channel}` in {store}")?;
        writeln!(out, "  {size} bytes, SHA-256 {sha256}")?;
        if let Some(rehearsed) = &self.rehearsed {
            writeln!(
                out,
                "  rehearsed: the agent installed it into ota_{} with {} flash operations in all, \
                 and both bootloader models start it",
                rehearsed.slot, rehearsed.flash_operations
            )?;
        }
        match &self.plain {
            Some(path) => writeln!(out, "  plain copy at `{path}`"),
            None => Ok(()),
        }
    }
}
