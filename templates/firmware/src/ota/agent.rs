//! The agent: one poll from metadata to a selected slot, and the verdict at the end of a trial.

use alloc::string::{String, ToString};

use embedded_storage::nor_flash::NorFlash;
use semver::Version;

use super::clock::Clock;
use super::history::{self, Network, Notes, Pending};
use super::install::{self, Wanted};
use super::layout::{Layout, Running};
use super::otadata::Entry;
use super::ports::{ReportSink, Store, Transport, TransportError};
use super::rejections::{End, Rejections};
use super::release::Identity;
use super::reports::{Delivery, Report, Reports, What};
use super::reset::ResetReason;
use super::resume;
use super::stated;
use super::trial::{self, Boot};
use super::tuf::{self, Caps};

pub use super::outcome::{Error, Event, Outcome};

/// A file that every repository has, small and never cached: asking for it shows that the update
/// server can be reached.
const PROBE: &str = "metadata/timestamp.json";

/// What a firmware knows of itself: all of it fixed at build time or read from the chip.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// Product, channel, chip, device and running version.
    pub identity: Identity,
    /// `esp_chip_id_t` of this chip.
    pub chip_id: u16,
    /// Revision of this chip: major times 100 plus minor.
    pub chip_revision: u16,
    /// Why the chip started this time.
    pub reset_reason: ResetReason,
    /// The TUF root this firmware was built with.
    pub embedded_root: &'a [u8],
    /// Build time in Unix seconds: the least the clock can be.
    pub build_time: u64,
    /// SHA-256 over the files of this agent, where the build knew it: for reports.
    pub agent: Option<&'a str>,
    /// Largest metadata files.
    pub caps: Caps,
    /// Whether the chip encrypts its flash. Plain writes would then be garbage to the bootloader.
    pub has_flash_encryption: bool,
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
    /// Why the last poll came to nothing: said once, until something else happens.
    said: Option<Report>,
}

/// What one poll has learned so far, for its report.
struct Run {
    clock: Clock,
    version: Option<String>,
    slot: Option<u32>,
}

impl<'a, F: NorFlash, S: Store> Agent<'a, F, S> {
    /// Takes over after [`trial::start`], which has decided what this boot is. What runs is the
    /// version that the image in flash states, whatever `settings` say of it.
    pub fn new(
        mut flash: F,
        store: S,
        layout: Layout,
        running: Running,
        boot: Boot,
        mut settings: Settings<'a>,
    ) -> Self {
        if let Some(version) = stated::version(&mut flash, &layout, running) {
            settings.identity.version = version;
        }
        Self { flash, store, layout, running, boot, settings, said: None }
    }

    /// What this boot is. [`Agent::look_back`] may still find that it is a trial.
    pub fn boot(&self) -> Boot {
        self.boot
    }

    /// The version that runs.
    pub fn version(&self) -> &Version {
        &self.settings.identity.version
    }

    /// The channel it follows.
    pub fn channel(&self) -> &str {
        &self.settings.identity.channel
    }

    /// Looks back, once after start and before the radio: did the release that was installed last
    /// come to stay? Afterwards [`Agent::boot`] is final.
    pub fn look_back(&mut self, on: &mut impl FnMut(Event)) -> Result<(), Error> {
        if self.settings.has_flash_encryption {
            return Ok(());
        }
        let Some(mut pending) = history::pending(&mut self.store)? else { return Ok(()) };
        let entries = trial::read(&mut self.flash, &self.layout)?;
        if self.boot == Boot::Settled && self.is_running(&pending, &entries) {
            let torn = trial::start_torn(&mut self.flash, &self.layout, self.running)?;
            self.boot = torn.map_or(Boot::Settled, Boot::Trial);
        }
        if let Boot::Trial(trial) = self.boot {
            if trial.sequence() == pending.sequence {
                let bootloader_rollback = trial.bootloader_rollback;
                pending.notes = Notes { started: true, bootloader_rollback, ..pending.notes };
                history::set_pending(&mut self.store, &pending)?;
            }
            return Ok(());
        }
        match (self.is_running(&pending, &entries), self.boot) {
            // Confirmed, but the power went before that was written down here.
            (true, Boot::Settled) => self.close(&pending),
            // On a last resort it is for `confirm` to say so.
            (true, Boot::LastResort | Boot::Trial(_)) => Ok(()),
            (false, _) => self.fell_back(pending, &entries, on),
        }
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
        let clock = Clock::new(self.settings.build_time, network_time);
        let mut run = Run { clock, version: None, slot: None };
        let outcome = self.attempt(transport, &mut run, on).await;
        let what = match &outcome {
            Ok(Outcome::UpToDate | Outcome::Waiting) => {
                self.said = None;
                return outcome;
            }
            Ok(Outcome::Installed) => What::Installed,
            Err(error) if error.is_refusal() => What::Refused,
            Err(_) => What::Failed,
        };
        let report = Report {
            slot: run.slot,
            reason: outcome.as_ref().err().map(Error::code),
            clock: run.clock.source(),
            ..self.report(what, run.version)
        };
        if self.said.as_ref() != Some(&report) {
            self.queue(report.clone());
            self.said = Some(report);
        }
        outcome
    }

    async fn attempt<T: Transport>(
        &mut self,
        transport: &mut T,
        run: &mut Run,
        on: &mut impl FnMut(Event),
    ) -> Result<Outcome, Error> {
        if self.settings.has_flash_encryption {
            return Err(Error::FlashEncrypted);
        }
        let Settings { identity, embedded_root, caps, .. } = &self.settings;
        let trusted =
            tuf::refresh(transport, &mut self.store, embedded_root, &mut run.clock, caps).await?;
        on(Event::Verified { root: trusted.root_version, clock: run.clock.source() });

        let mut rejections = Rejections::load(&mut self.store)?;
        let selection = trusted.select(identity, |sha256| rejections.contains(sha256));
        drop(trusted);
        let Some(release) = selection.candidate else {
            return selection.foreign.map_or(Ok(Outcome::UpToDate), |it| Err(Error::Foreign(it)));
        };
        let version = release.version.to_string();
        run.version = Some(version.clone());
        if rejections.must_wait(&mut self.store, &release.sha256)? {
            return Ok(Outcome::Waiting);
        }
        on(Event::Found { version: version.clone(), len: release.length });
        run.slot = install::other_slot(&self.layout, self.running).ok();
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
            &mut self.store,
            &self.layout,
            self.running,
            &wanted,
            transport,
            &mut |received| on(Event::Progress { received }),
        )
        .await?;
        let pending = Pending {
            sha256: release.sha256,
            sequence: installed.sequence,
            slot: installed.slot,
            version: version.clone(),
            from: identity.version.to_string(),
            notes: Notes::default(),
        };
        history::set_pending(&mut self.store, &pending)?;
        install::switch(&mut self.flash, &self.layout, installed)?;
        // From here on the release is installed, whatever else can be written down.
        let _ = resume::forget(&mut self.store);
        on(Event::Installed { version, slot: installed.slot });
        Ok(Outcome::Installed)
    }

    /// Asks for the update server, during a trial: the confirm policy wants it reached over
    /// authenticated TLS. Any answer will do, since only the right server can give one.
    ///
    /// While this fails, keep trying. If the network stays away, the deadline of the trial ends
    /// it, and because that is noted here, the release is not held guilty of it.
    pub async fn reach<T: Transport>(&mut self, transport: &mut T) -> Result<(), Error> {
        let answer = transport.get(PROBE, 0, None).await;
        self.note_network(match answer {
            Ok(_) => Network::Quiet,
            Err(TransportError::Untrusted) => Network::Untrusted,
            Err(
                TransportError::Unreachable
                | TransportError::Truncated
                | TransportError::TooSlow
                | TransportError::HeadTooLarge,
            ) => Network::Away,
        })?;
        Ok(answer.map(drop).map_err(tuf::Error::from)?)
    }

    /// Notes, during a trial, what is known of the way to the update server: for a firmware that
    /// has no network to ask with [`Agent::reach`]. Only a change is written.
    pub fn note_network(&mut self, network: Network) -> Result<(), Error> {
        let Boot::Trial(trial) = self.boot else { return Ok(()) };
        let Some(mut pending) = history::pending(&mut self.store)? else { return Ok(()) };
        if pending.sequence == trial.sequence() && pending.notes.network != network {
            pending.notes.network = network;
            history::set_pending(&mut self.store, &pending)?;
        }
        Ok(())
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
        let Some(pending) = history::pending(&mut self.store)? else { return Ok(()) };
        let entries = trial::read(&mut self.flash, &self.layout)?;
        if self.is_running(&pending, &entries) { self.close(&pending) } else { Ok(()) }
    }

    /// The running image says of itself that it is bad. On trial it is never taken again; reset
    /// afterwards to start the previous one. A settled image has nothing to fall back to.
    pub fn reject(&mut self) -> Result<(), Error> {
        if let Boot::Trial(trial) = self.boot
            && let Some(pending) = history::pending(&mut self.store)?
            && pending.sequence == trial.sequence()
        {
            Rejections::load(&mut self.store)?.reject(&mut self.store, &pending.sha256)?;
        }
        Ok(())
    }

    /// Posts the reports that wait. Call it whenever there is a network, also during a trial.
    pub async fn deliver<R: ReportSink>(&mut self, sink: &mut R) -> Result<Delivery, Error> {
        let mut reports = Reports::load(&mut self.store)?;
        let Settings { identity, agent, .. } = &self.settings;
        let body = |report: &Report| report.json(identity, *agent);
        Ok(reports.deliver(&mut self.store, sink, body).await?)
    }

    /// The reports that wait for a server to take them.
    pub fn reports(&mut self) -> Result<Reports, Error> {
        Ok(Reports::load(&mut self.store)?)
    }

    /// Whether the pending release is the one that runs: by the number of its entry, or by its
    /// version where a last resort had to write another entry.
    fn is_running(&self, pending: &Pending, entries: &[Entry; 2]) -> bool {
        let own = trial::own(entries, &self.layout, self.running);
        own.is_some_and(|(_, entry)| entry.sequence == pending.sequence)
            || pending.version == history::cut(&self.settings.identity.version.to_string())
    }

    /// A trial ended well.
    fn close(&mut self, pending: &Pending) -> Result<(), Error> {
        self.queue(Report {
            from: pending.from.clone(),
            slot: Some(pending.slot),
            bootloader_rollback: Some(pending.notes.bootloader_rollback),
            ..self.report(What::Confirmed, Some(pending.version.clone()))
        });
        Rejections::load(&mut self.store)?.forget(&mut self.store, &pending.sha256)?;
        Ok(history::clear_pending(&mut self.store)?)
    }

    /// A trial ended, and the release is not what runs now.
    fn fell_back(
        &mut self,
        pending: Pending,
        entries: &[Entry; 2],
        on: &mut impl FnMut(Event),
    ) -> Result<(), Error> {
        let Pending { sha256, sequence, notes, .. } = pending;
        let mut rejections = Rejections::load(&mut self.store)?;
        // Without an entry of that number the trial was never armed, or that was torn: only the
        // power can have done it, at the worst moment, and the release is as good as before.
        let was_tried = notes.started
            || entries.iter().any(|entry| entry.is_sound() && entry.sequence == sequence);
        let (reason, end) = match notes.network {
            _ if rejections.has_rejected_itself(&sha256) => ("self-test", None),
            _ if !was_tried => ("interrupted", None),
            Network::Away => ("no-network", Some(End::NoNetwork)),
            Network::Untrusted => ("untrusted-tls", Some(End::NoVerdict)),
            Network::Quiet => ("no-verdict", Some(End::NoVerdict)),
        };
        if let Some(end) = end {
            rejections.count(&mut self.store, &sha256, end, sequence)?;
        }
        let what = if was_tried { What::FellBack } else { What::Failed };
        self.queue(Report {
            slot: Some(pending.slot),
            reason: Some(reason.into()),
            reset: Some(self.settings.reset_reason),
            bootloader_rollback: notes.started.then_some(notes.bootloader_rollback),
            ..self.report(what, Some(pending.version.clone()))
        });
        if was_tried {
            on(Event::FellBack { version: pending.version });
        }
        Ok(history::clear_pending(&mut self.store)?)
    }

    fn report(&self, what: What, version: Option<String>) -> Report {
        Report {
            what,
            version: version.map(|version| history::cut(&version).into()),
            from: history::cut(&self.settings.identity.version.to_string()).into(),
            slot: None,
            reason: None,
            reset: None,
            bootloader_rollback: None,
            clock: super::clock::Source::Floor,
        }
    }

    /// A report that cannot be kept is lost: it must not keep the device from anything.
    fn queue(&mut self, report: Report) {
        if let Ok(mut reports) = Reports::load(&mut self.store) {
            let _ = reports.add(&mut self.store, report);
        }
    }
}
