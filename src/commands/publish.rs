//! `publish`: sign, stage, rehearse, and only then let devices see it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::build;
use super::rehearse::{goal, stage};
use super::{Context, ca, context, project_agent};
use crate::agent;
use crate::agent::image::{ImageError, ImageInfo};
use crate::agent::tuf;
use crate::chip::Chip;
use crate::config::{Overrides, Project};
use crate::error::{Exit, Explained, Failure, Location};
use crate::image;
use crate::output::{Paint, Report, Tone};
use crate::release::custom::{Caps, Custom, Rollout, VersionSource, WHOLE_FLEET};
use crate::release::keys::{KeyFolder, Supplied};
use crate::release::repository::{Expiry, NewRelease, RepositoryError, State, Terms, View};
use crate::release::store::Store;
use crate::trust::PinnedRoot;
use crate::virtual_device::rehearsal::{
    Outcome, Place, RehearsalError, Source, Stage, Start, aim, rehearse,
};

/// ESP-IDF maps no larger image; a merged flash dump may have this size too.
const LARGEST_IMAGE: u64 = 16 * 1024 * 1024;

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
    /// It is no app image, or a damaged one.
    #[error("`{}` is no app image that a device could boot", file.display())]
    Image {
        /// The file.
        file: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// The file is shorter than the image that its header begins.
    #[error("`{}` ends after {size} of {image} bytes", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Bytes of the file.
        size: u32,
        /// Bytes of the image.
        image: u32,
    },
    /// There are bytes behind the image.
    #[error("`{}` has {extra} bytes behind the image: it is a merged or padded file", file.display())]
    Trailing {
        /// The file.
        file: PathBuf,
        /// How many.
        extra: u64,
    },
    /// It does not fit a slot.
    #[error("`{}` has {image} bytes, but slot `{slot}` has {room}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Bytes of the image.
        image: u32,
        /// Name of the slot.
        slot: String,
        /// Bytes of the slot.
        room: u32,
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
            // Bytes that do not match their own digest were changed by somebody or something.
            Self::Image { source: ImageError::Checksum | ImageError::Digest, .. } => Exit::Trust,
            Self::Image { .. }
            | Self::Truncated { .. }
            | Self::Trailing { .. }
            | Self::TooLarge { .. }
            | Self::Version { .. }
            | Self::AgentDrift => Exit::Rejected,
            Self::Rehearsal(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Image { source: ImageError::Magic(0x7f), .. } => {
                Some("this is an ELF file: `cargo esp-ota build --elf FILE` makes an image".into())
            }
            Self::Image { .. } | Self::Truncated { .. } | Self::Trailing { .. } => {
                Some("make the image with `cargo esp-ota build`".into())
            }
            Self::TooLarge { .. } => Some("make the program smaller or the slots larger".into()),
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
            Self::Image { file, .. }
            | Self::Truncated { file, .. }
            | Self::Trailing { file, .. }
            | Self::TooLarge { file, .. } => {
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
    let image = context::read(offered.file, LARGEST_IMAGE)?;
    let info = inspect(project, &stage, offered.file, &image)?;
    // Nothing is known of the fleet: the lowest revision the image is made for has to take it.
    stage.chip_revision = info.min_chip_revision;
    let custom = custom(project, &info, &roots, offered)?;
    let folder = KeyFolder::new(&context.configuration_folder()?, project.product.value.as_str())?;
    let keys = folder.load_for_publish(&Supplied::from_environment(context::variable))?;
    let store = Store::parse(&project.store.value, &project.folder)?;
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

fn inspect(
    project: &Project,
    stage: &Stage,
    file: &Path,
    bytes: &[u8],
) -> Result<ImageInfo, PublishError> {
    let info = image::read(bytes, Some(project.chip.value)).map_err(|source| match source {
        ImageError::Length { image, partition: size } => {
            PublishError::Truncated { file: file.to_owned(), size, image }
        }
        source => PublishError::Image { file: file.to_owned(), source },
    })?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    match size.checked_sub(u64::from(info.len)) {
        Some(0) => {}
        extra => {
            let file = file.to_owned();
            return Err(PublishError::Trailing { file, extra: extra.unwrap_or(0) });
        }
    }
    for (index, slot) in stage.table.layout.slots.iter().enumerate() {
        if let Some(slot) = slot.filter(|slot| slot.len < info.len) {
            return Err(PublishError::TooLarge {
                file: file.to_owned(),
                image: info.len,
                slot: format!("ota_{index}"),
                room: slot.len,
            });
        }
    }
    Ok(info)
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
    let caps = tuf::Caps::default();
    let cap = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
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
        caps: Caps {
            root: cap(caps.root),
            timestamp: cap(caps.timestamp),
            snapshot: cap(caps.snapshot),
            targets: cap(caps.targets),
        },
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
