//! The agent: one poll from metadata to a selected slot, and the verdict at the end of a trial.

use alloc::string::{String, ToString};

use embedded_storage::nor_flash::NorFlash;
use semver::Version;

use super::clock::{Clock, Source};
use super::history::{self, Pending, Rejections};
use super::install::{self, InstallError, Wanted};
use super::layout::{Layout, Running};
use super::ports::{Store, StoreError, Transport};
use super::release::Identity;
use super::trial::{self, Boot, FlashError};
use super::tuf::{self, Caps};

/// What a firmware knows of itself: all of it fixed at build time or read from the chip.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Product, channel, chip, device and running version.
    pub identity: Identity,
    /// `esp_chip_id_t` of this chip.
    pub chip_id: u16,
    /// Revision of this chip: major times 100 plus minor.
    pub chip_revision: u16,
    /// The TUF root this firmware was built with.
    pub embedded_root: &'a [u8],
    /// Build time in Unix seconds: the least the clock can be.
    pub build_time: u64,
    /// Largest metadata files.
    pub caps: Caps,
    /// Whether the chip encrypts its flash. Plain writes would then be garbage to the bootloader.
    pub has_flash_encryption: bool,
}

/// Something worth a line on the serial console and a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A release was tried and this older one runs again.
    FellBack {
        /// Version of the release that was tried.
        version: String,
    },
    /// The metadata passed every check.
    Verified {
        /// Version of the TUF root in force.
        root: u64,
        /// Where the time came from.
        clock: Source,
    },
    /// A newer release is there and gets downloaded.
    Found {
        /// Its version.
        version: String,
        /// Its bytes.
        len: u32,
    },
    /// That many bytes of the release were taken in.
    Progress {
        /// Bytes so far.
        received: u32,
    },
    /// The release is in its slot and starts at the next reset.
    Installed {
        /// Its version.
        version: String,
        /// Its slot.
        slot: u32,
    },
}

/// What a poll came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing newer for this device.
    UpToDate,
    /// A release was installed: reset to start it.
    Installed,
}

/// Why a poll came to nothing. The device goes on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The running image is on trial itself.
    OnTrial,
    /// Flash encryption is on: nothing was erased.
    FlashEncrypted,
    /// The metadata was refused or not to be had.
    Metadata(tuf::Error),
    /// The release was refused or not to be had.
    Install(InstallError),
    /// The agent's memory could not be read or written.
    Store,
}

impl Error {
    /// Kebab-case reason for reports.
    pub fn code(&self) -> String {
        match self {
            Self::OnTrial => "on-trial".into(),
            Self::FlashEncrypted => "flash-encrypted".into(),
            Self::Metadata(error) => error.code(),
            Self::Install(error) => error.code().into(),
            Self::Store => "store".into(),
        }
    }

    /// Whether somebody said something that cannot be believed, as against bad weather.
    pub fn is_trust(&self) -> bool {
        match self {
            Self::Metadata(error) => error.is_trust(),
            Self::Install(error) => error.is_trust(),
            Self::OnTrial | Self::FlashEncrypted | Self::Store => false,
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::OnTrial => f.write_str("the running image is on trial itself"),
            Self::FlashEncrypted => f.write_str("flash encryption is on"),
            Self::Metadata(error) => error.fmt(f),
            Self::Install(error) => error.fmt(f),
            Self::Store => f.write_str("the agent's memory could not be read or written"),
        }
    }
}

impl core::error::Error for Error {}

impl From<tuf::Error> for Error {
    fn from(error: tuf::Error) -> Self {
        Self::Metadata(error)
    }
}

impl From<InstallError> for Error {
    fn from(error: InstallError) -> Self {
        Self::Install(error)
    }
}

impl From<StoreError> for Error {
    fn from(StoreError: StoreError) -> Self {
        Self::Store
    }
}

impl From<FlashError> for Error {
    fn from(FlashError: FlashError) -> Self {
        Self::Install(InstallError::Flash)
    }
}

/// The agent of one device, from its start to its reset.
#[derive(Debug)]
pub struct Agent<'a, F, S> {
    flash: F,
    store: S,
    layout: Layout,
    running: Running,
    boot: Boot,
    settings: Settings<'a>,
}

impl<'a, F: NorFlash, S: Store> Agent<'a, F, S> {
    /// Takes over after [`trial::start`], which has decided what this boot is.
    pub fn new(
        flash: F,
        store: S,
        layout: Layout,
        running: Running,
        boot: Boot,
        settings: Settings<'a>,
    ) -> Self {
        Self { flash, store, layout, running, boot, settings }
    }

    /// What this boot is.
    pub fn boot(&self) -> Boot {
        self.boot
    }

    /// Looks back, once after start: did the release that was installed last come to stay?
    ///
    /// A settled image beside a pending release means that the release did not confirm.
    pub fn look_back(&mut self, on: &mut impl FnMut(Event)) -> Result<(), Error> {
        let Some(pending) = history::pending(&mut self.store)? else { return Ok(()) };
        let is_running = pending.version == self.settings.identity.version.to_string();
        match self.boot {
            Boot::Trial(_) => return Ok(()),
            // Confirmed, but the power went before that was written down here.
            Boot::Settled | Boot::LastResort if is_running => {}
            Boot::Settled | Boot::LastResort => {
                let mut rejections = Rejections::load(&mut self.store)?;
                if !rejections.contains(&pending.sha256) {
                    rejections.count(&mut self.store, pending.sha256)?;
                }
                on(Event::FellBack { version: pending.version });
            }
        }
        Ok(history::clear_pending(&mut self.store)?)
    }

    /// Asks the repository for a newer release and installs it. `network_time` is what SNTP said.
    pub async fn poll<T: Transport>(
        &mut self,
        transport: &mut T,
        network_time: Option<u64>,
        on: &mut impl FnMut(Event),
    ) -> Result<Outcome, Error> {
        if let Boot::Trial(_) = self.boot {
            return Err(Error::OnTrial);
        }
        if self.settings.has_flash_encryption {
            return Err(Error::FlashEncrypted);
        }
        let Settings { identity, embedded_root, build_time, caps, .. } = &self.settings;
        let mut clock = Clock::new(*build_time, network_time);
        let trusted =
            tuf::refresh(transport, &mut self.store, embedded_root, &mut clock, caps).await?;
        on(Event::Verified { root: trusted.root_version, clock: clock.source() });

        let rejections = Rejections::load(&mut self.store)?;
        let selection = trusted.select(identity, |sha256| rejections.contains(sha256));
        drop(trusted);
        let Some(release) = selection.candidate else { return Ok(Outcome::UpToDate) };
        let version = release.version.to_string();
        on(Event::Found { version: version.clone(), len: release.length });
        let wanted = Wanted {
            path: &release.path,
            len: release.length,
            sha256: release.sha256,
            chip_id: self.settings.chip_id,
            chip_revision: self.settings.chip_revision,
            min_chip_revision: release.min_chip_revision,
        };
        let installed = install::fetch(
            &mut self.flash,
            &self.layout,
            self.running,
            &wanted,
            transport,
            &mut |received| on(Event::Progress { received }),
        )
        .await?;
        let pending = Pending { sha256: release.sha256, version: version.clone() };
        history::set_pending(&mut self.store, &pending)?;
        install::switch(&mut self.flash, &self.layout, installed)?;
        on(Event::Installed { version, slot: installed.slot });
        Ok(Outcome::Installed)
    }

    /// The running image works: it stays. On a last resort this writes the entry that was missing.
    ///
    /// # Errors
    ///
    /// [`Error::FlashEncrypted`] before anything is written. After [`Error::Store`] the image *is*
    /// confirmed, as [`Agent::boot`] says; only the memory of its trial is still there.
    pub fn confirm(&mut self) -> Result<(), Error> {
        if self.settings.has_flash_encryption && self.boot != Boot::Settled {
            return Err(Error::FlashEncrypted);
        }
        match self.boot {
            Boot::Settled => return Ok(()),
            Boot::Trial(trial) => trial::confirm(&mut self.flash, &self.layout, trial)?,
            Boot::LastResort => install::settle(&mut self.flash, &self.layout, self.running)?,
        }
        self.boot = Boot::Settled;
        Ok(history::clear_pending(&mut self.store)?)
    }

    /// The running image says of itself that it is bad. On trial it is never taken again; reset
    /// afterwards to start the previous one. A settled image has nothing to fall back to.
    pub fn reject(&mut self) -> Result<(), Error> {
        if let Boot::Trial(_) = self.boot
            && let Some(pending) = history::pending(&mut self.store)?
        {
            Rejections::load(&mut self.store)?.reject(&mut self.store, pending.sha256)?;
        }
        Ok(())
    }

    /// The version that runs.
    pub fn version(&self) -> &Version {
        &self.settings.identity.version
    }
}
