//! What is put through the faults: the project's table and images, in a repository of its own.
//!
//! The update under test brings the newest published image, byte for byte. The two images before it
//! are the published ones where there are any; where there are not, they are the newest one under a
//! lower version. The repository around them is signed by the real release code, in memory, with
//! throw-away keys: they and the time are fixed, so that every run writes the same bytes to flash.

use jiff::Timestamp;
use semver::Version;

use super::error::FaultsError;
use super::network::{File, Files};
use crate::agent::image;
use crate::agent::layout::Region;
use crate::chip::Chip;
use crate::image::restate;
use crate::release::custom::{Custom, Rollout, VersionSource, WHOLE_FLEET};
use crate::release::keys::{NewKeys, PublishKeys, SigningKey};
use crate::release::plan::LIVE_TIMESTAMP;
use crate::release::repository::{Expiry, NewRelease, State, Terms, View};
use crate::release::root::new_root;
use crate::release::store::Store;
use crate::virtual_device::Firmware;
use crate::virtual_device::bootloader::BootTable;
use crate::virtual_device::caps;
use crate::virtual_device::flash::VirtualFlash;

/// Versions of derived images: below all that people publish.
const DERIVED: [&str; 2] = ["0.0.0-rehearsal.1", "0.0.0-rehearsal.2"];
/// The time at which everything happens, in Unix seconds: 2026-01-01. Any would do.
const NOW: i64 = 1_767_225_600;
/// Days for which the metadata is good. `tough` goes by the clock on the wall, so they must not run
/// out: a hundred years.
const DAYS: u32 = 36_500;
/// Flash is erased and apps are placed in units of this.
const BLOCK: u32 = 0x1_0000;

/// What a project brings.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its partitions.
    pub table: BootTable,
    /// Its `nvs` partition.
    pub nvs: Region,
    /// Bytes of its flash.
    pub flash_size: u32,
    /// Its chip.
    pub chip: Chip,
    /// The product.
    pub product: String,
    /// The channel its devices follow.
    pub channel: String,
    /// The published images for product, chip and channel by rising version. At least one.
    pub images: Vec<(Version, Vec<u8>)>,
}

/// One of the images.
#[derive(Clone, Debug)]
pub struct Image {
    /// The version it states.
    pub version: Version,
    /// Whether it was made from the newest one, as there was no such release.
    pub is_derived: bool,
    pub(super) bytes: Vec<u8>,
}

/// Everything the cases share.
#[derive(Debug)]
pub struct Subject {
    pub(super) project: Project,
    /// What the cable installs, what devices took before, and what they are offered now.
    images: [Image; 3],
    /// Lowest revision of the chip that all images run on.
    pub(super) chip_revision: u16,
    pub(super) firmware: Firmware,
    /// The repository before the update was published, and after.
    pub(super) before: Files,
    pub(super) after: Files,
}

impl Subject {
    /// Prepares images and repository. Writes the repository to a temporary folder on the way.
    ///
    /// # Errors
    ///
    /// An image that is none, or a version that cannot be published.
    pub async fn prepare(project: Project) -> Result<Self, FaultsError> {
        let images = images(&project)?;
        let mut chip_revision = 0;
        for image in &images {
            let region = Region { start: 0, len: u32::try_from(image.bytes.len()).unwrap_or(0) };
            let mut flash = VirtualFlash::with_contents(image.bytes.clone());
            let info = image::verify(&mut flash, region, Some(project.chip.image_id())).map_err(
                |source| FaultsError::Image { version: image.version.to_string(), source },
            )?;
            chip_revision = chip_revision.max(info.min_chip_revision);
        }
        let [_, previous, release] = &images;
        let mut repository = Repository::new(&project).await?;
        let before = repository.publish(previous).await?;
        let after = repository.publish(release).await?;
        let firmware = Firmware {
            product: project.product.clone(),
            channel: project.channel.clone(),
            root: repository.root,
            build_time: NOW.unsigned_abs(),
        };
        Ok(Self { project, images, chip_revision, firmware, before, after })
    }

    /// What the cable installed.
    pub fn cable(&self) -> &Image {
        let [cable, _, _] = &self.images;
        cable
    }

    /// What devices took, or did not, before the update under test.
    pub fn previous(&self) -> &Image {
        let [_, previous, _] = &self.images;
        previous
    }

    /// What the update under test brings.
    pub fn release(&self) -> &Image {
        let [_, _, release] = &self.images;
        release
    }

    /// The update before the one under test, as a subject of its own.
    pub(super) fn earlier(&self) -> Self {
        let [cable, previous, _] = self.images.clone();
        Self {
            project: self.project.clone(),
            images: [cable.clone(), cable, previous],
            chip_revision: self.chip_revision,
            firmware: self.firmware.clone(),
            before: self.before.clone(),
            after: self.before.clone(),
        }
    }

    /// Bytes of a file of the newest repository; `None` where there is none.
    pub(super) fn file(&self, file: File) -> Option<u32> {
        let newest = self.after.iter().rev().find(|(path, _)| File::of(path) == Some(file));
        newest.filter(|_| file != File::Root).and_then(|(_, bytes)| u32::try_from(bytes.len()).ok())
    }

    /// The image that states this version.
    pub(super) fn image(&self, version: &Version) -> Option<&Image> {
        self.images.iter().find(|image| image.version == *version)
    }

    /// The table with or without a `factory` partition, and the bytes of flash it needs. Where the
    /// project has none, it is put behind the end of its flash.
    pub(super) fn table(&self, has_factory: bool) -> (BootTable, u32) {
        let mut table = self.project.table;
        let end = self.project.flash_size.next_multiple_of(BLOCK);
        match (table.layout.factory, has_factory) {
            (Some(_), true) | (None, false) => {}
            (Some(_), false) => table.layout.factory = None,
            (None, true) => {
                let len = u32::try_from(self.cable().bytes.len()).unwrap_or(0);
                let len = len.next_multiple_of(BLOCK);
                table.layout.factory = Some(Region { start: end, len });
                return (table, end.saturating_add(len));
            }
        }
        (table, self.project.flash_size)
    }
}

fn images(project: &Project) -> Result<[Image; 3], FaultsError> {
    let mut published = project.images.iter().rev();
    let (newest, bytes) = published.next().ok_or(FaultsError::NoRelease)?;
    let release = Image { version: newest.clone(), is_derived: false, bytes: bytes.clone() };
    let mut older = |derived: &str| -> Result<Image, FaultsError> {
        match published.next() {
            Some((version, bytes)) => {
                Ok(Image { version: version.clone(), is_derived: false, bytes: bytes.clone() })
            }
            None => {
                let version = Version::parse(derived).ok().filter(|version| *version < *newest);
                let made = version.zip(restate(bytes, derived).ok());
                let refused = || FaultsError::NotDerived { version: newest.to_string() };
                let (version, bytes) = made.ok_or_else(refused)?;
                Ok(Image { version, is_derived: true, bytes })
            }
        }
    };
    let [lowest, low] = DERIVED;
    let previous = older(low)?;
    let cable = older(lowest)?;
    Ok([cable, previous, release])
}

/// A repository in a temporary folder, for as long as it is signed.
struct Repository<'a> {
    project: &'a Project,
    keys: PublishKeys,
    root: Vec<u8>,
    store: Store,
    files: Files,
    _folder: tempfile::TempDir,
}

impl<'a> Repository<'a> {
    async fn new(project: &'a Project) -> Result<Self, FaultsError> {
        let key = |seed| SigningKey::from_seed([seed; 32]);
        let keys = NewKeys {
            root: key(1),
            publish: PublishKeys { targets: key(2), snapshot: key(3), timestamp: key(4) },
        };
        let root = new_root(&keys, now(), DAYS).await?;
        let folder = tempfile::tempdir().map_err(FaultsError::Folder)?;
        let store = Store::parse(&format!("dir:{}", folder.path().display()), folder.path())?;
        let keys = keys.publish;
        Ok(Self { project, keys, root, store, files: Files::new(), _folder: folder })
    }

    /// Publishes one image and gives all files as they are then.
    async fn publish(&mut self, image: &Image) -> Result<Files, FaultsError> {
        let state = State::load(&self.store, &self.root, View::Live, now()).await?;
        let custom = custom(self.project, &image.version.to_string());
        let release = NewRelease { image: image.bytes.clone(), custom };
        let plain_channel = &self.project.channel;
        let expiry = Expiry { targets: DAYS, snapshot: DAYS, timestamp: DAYS };
        let terms = Terms { now: now(), expiry, plain_channel };
        let plan = state.publish(&self.keys, vec![release], terms).await?;
        self.store.stage(&plan).await?;
        self.store.promote(&plan).await?;
        let timestamp = plan.timestamp.map(|bytes| (LIVE_TIMESTAMP.to_owned(), bytes));
        let uploads = plan.uploads.into_iter().map(|upload| (upload.path, upload.bytes));
        self.files.extend(uploads.chain(timestamp));
        Ok(self.files.clone())
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn custom(project: &Project, version: &str) -> Custom {
    Custom {
        product: project.product.clone(),
        channels: vec![project.channel.clone()],
        chip: project.chip,
        version: version.to_owned(),
        version_source: VersionSource::AppDescriptor,
        secure_version: 0,
        min_chip_revision: 0,
        rollout: Rollout { percent: WHOLE_FLEET, seed: version.to_owned() },
        roots: Vec::new(),
        agent: None,
        caps: caps::of_own_agent(),
    }
}
