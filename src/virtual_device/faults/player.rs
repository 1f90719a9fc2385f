//! One device, from power-on to reset, watched at every step.

use semver::Version;

use super::board::Board;
use super::case::App;
use super::invariant::{Broken, Invariant};
use super::network::Network;
use super::start::Start;
use super::subject::{Image, Subject};
use crate::agent::agent::{Error, Event, Outcome};
use crate::agent::layout::{Region, Running};
use crate::agent::otadata::{self, ENTRY, Entry, SECTOR};
use crate::agent::trial::Boot;
use crate::virtual_device::device::Booted;
use crate::virtual_device::flash::{FlashHandle, Operation};
use crate::virtual_device::{StartFault, VirtualDevice};
use futures_util::FutureExt;

/// Polls for which a device stays on while the agent puts a release off that failed before.
const MOST_POLLS: usize = 64;

/// Why a power-on did not run to its reset.
#[derive(Debug)]
pub(super) enum Stop {
    /// The planned power cut struck.
    PowerCut,
    /// A rule is broken.
    Broken(Broken),
}

/// How one power-on went.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) version: Version,
    /// What the boot was at the end; `None` where the app died before it knew.
    pub(super) boot: Option<Boot>,
    pub(super) polled: Option<Result<Outcome, Error>>,
}

impl Session {
    pub(super) fn installed(&self) -> bool {
        self.polled == Some(Ok(Outcome::Installed))
    }

    pub(super) fn is_up_to_date(&self) -> bool {
        self.polled == Some(Ok(Outcome::UpToDate)) && self.boot == Some(Boot::Settled)
    }
}

/// A device on a board, and the eyes on it.
pub(super) struct Player<'a, B> {
    pub(super) subject: &'a Subject,
    pub(super) start: &'a Start,
    board: &'a B,
    device: VirtualDevice,
    /// The lines of the trace, where one is wanted.
    pub(super) trace: Option<Vec<String>>,
    /// The image that was confirmed last, and one whose confirmation the power may have undone.
    confirmed: (Version, Option<Version>),
    /// Operations that were looked at already.
    seen: usize,
}

impl<'a, B: Board> Player<'a, B> {
    pub(super) fn new(subject: &'a Subject, start: &'a Start, board: &'a B) -> Self {
        let flash = FlashHandle::new(start.flash.clone());
        let device = VirtualDevice::new(flash, start.hardware, subject.firmware.clone());
        let confirmed = (start.confirmed.clone(), None);
        Self { subject, start, board, device, trace: None, confirmed, seen: 0 }
    }

    /// Puts the device back to its start.
    pub(super) fn rewind(&mut self) {
        self.flash().with(|flash| flash.rewind(&self.start.flash));
        self.confirmed = (self.start.confirmed.clone(), None);
        self.seen = 0;
    }

    pub(super) fn flash(&self) -> &FlashHandle {
        self.device.flash()
    }

    fn is_powered(&self) -> bool {
        self.flash().with(|flash| flash.is_powered())
    }

    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    /// One power-on. `app` is what the image under test does; all others are good.
    pub(super) fn power_on(
        &mut self,
        app: App,
        network: &mut Network<'_>,
    ) -> Result<Session, Stop> {
        let booted = self.device.boot();
        self.look_at_operations("bootloader")?;
        let booted = match booted {
            Ok(booted) => booted,
            Err(StartFault::PowerCut) => return Err(Stop::PowerCut),
            Err(fault) => {
                self.say(|| format!("nothing runs: {fault}"));
                return Err(broken(Invariant::Boots, fault.to_string()));
            }
        };
        for step in &booted.steps {
            self.say(|| format!("bootloader: {step}"));
        }
        let subject = self.subject;
        let image = subject.image(&booted.version).ok_or_else(|| {
            broken(Invariant::OnlyPublished, format!("{} was never published", booted.version))
        })?;
        self.is_intact(booted.running, image, Invariant::OnlyPublished)?;
        let ran = self.run(app, &booted, network);
        self.look_at_operations("agent")?;
        self.is_intact(booted.running, image, Invariant::RunningIntact)?;
        ran
    }

    /// The app, in the order of the template's `main.rs`.
    fn run(
        &mut self,
        app: App,
        booted: &Booted,
        network: &mut Network<'_>,
    ) -> Result<Session, Stop> {
        let version = booted.version.clone();
        let is_under_test = version == self.subject.release().version;
        let app = if is_under_test { app } else { App::Good };
        let ended = |boot, polled| Ok(Session { version, boot, polled });
        if self.board.starts_radio_first() && app == App::Hangs {
            return ended(None, None);
        }
        // What the agent borrows must not be part of `self`, which keeps watching.
        let device = self.device.clone();
        let mut agent = match device.run(booted, self.board.flash(device.flash())) {
            Ok(agent) => agent,
            Err(StartFault::PowerCut) if !self.is_powered() => return Err(Stop::PowerCut),
            // The template says why and resets.
            Err(StartFault::PowerCut) => return ended(None, None),
            Err(fault) => return Err(broken(Invariant::Boots, fault.to_string())),
        };
        let boot = agent.boot();
        self.look_at_operations("agent")?;
        self.say(|| format!("agent: {} runs, {}", booted.version, standing(boot)));
        // The template prints errors and goes on; a cut is one that it does not survive.
        let looked =
            agent.look_back(&mut |event| self.say(|| format!("agent: {}", happened(&event))));
        self.survived(looked)?;
        self.look_at_operations("agent")?;
        let boot = agent.boot();
        if app == App::Hangs {
            self.say(|| format!("app: dies in the radio driver, {}", standing(boot)));
            return ended(Some(boot), None);
        }
        if self.board.resets_on(boot) {
            self.say(|| "app: resets the chip".into());
            return ended(Some(boot), None);
        }
        if let (Boot::Trial(_), App::Rejects) = (boot, app) {
            let rejected = agent.reject();
            self.survived(rejected)?;
            self.look_at_operations("agent")?;
            self.say(|| "app: rejects itself and resets the chip".into());
            return ended(Some(boot), None);
        }
        if let Boot::Trial(_) = boot {
            let reached = agent.reach(network).now_or_never().unwrap_or(Err(Error::Store));
            let is_there = reached.is_ok();
            self.survived(reached)?;
            if !is_there {
                // The watchdog ends this trial.
                return ended(Some(boot), None);
            }
        }
        self.confirmed.1 = Some(booted.version.clone());
        let confirmed = agent.confirm();
        self.survived(confirmed)?;
        if let boot @ (Boot::Trial(_) | Boot::LastResort) = agent.boot() {
            return ended(Some(boot), None);
        }
        self.confirmed = (booted.version.clone(), None);
        self.look_at_operations("agent")?;
        if boot != Boot::Settled {
            self.say(|| "app: confirms".into());
        }

        let own = self.own_entry(booted.running);
        let mut installed = None;
        let mut on = |event| {
            if let Event::Installed { version, .. } = event {
                installed = Some(version);
            }
        };
        let mut polled = Ok(Outcome::Waiting);
        for _ in 0..MOST_POLLS {
            if polled != Ok(Outcome::Waiting) {
                break;
            }
            // A server in memory never lets one wait.
            let poll = agent.poll(network, None, &mut on).now_or_never();
            polled = poll.unwrap_or(Err(Error::Store));
        }
        self.look_at_operations("agent")?;
        self.say(|| match polled {
            Ok(outcome) => format!("agent: polls: {}", came_to(outcome)),
            Err(error) => format!("agent: polls: {error} (`{}`)", error.code()),
        });
        self.keeps_entry(own, booted.running)?;
        if !self.is_powered() {
            return Err(Stop::PowerCut);
        }
        let delivered = agent.deliver(network).now_or_never();
        self.survived(delivered.map_or(Err(Error::Store), |delivered| delivered.map(drop)))?;
        if polled == Ok(Outcome::Installed) {
            self.selects_what_was_signed(installed)?;
        }
        let boot = agent.boot();
        ended(Some(boot), Some(polled))
    }

    fn survived(&mut self, result: Result<(), Error>) -> Result<(), Stop> {
        if !self.is_powered() {
            return Err(Stop::PowerCut);
        }
        if let Err(error) = result {
            self.say(|| format!("agent: {error}"));
        }
        Ok(())
    }

    /// Whether this image was confirmed last, as far as anybody can know.
    pub(super) fn was_confirmed_last(&self, version: &Version) -> bool {
        self.confirmed.0 == *version || self.confirmed.1.as_ref() == Some(version)
    }

    fn region(&self, running: Running) -> Option<Region> {
        self.start.hardware.table.layout.region(running)
    }

    /// Whether the partition holds this image.
    fn is_intact(&self, running: Running, image: &Image, rule: Invariant) -> Result<(), Stop> {
        let region = self.region(running);
        let start = region.and_then(|region| usize::try_from(region.start).ok()).unwrap_or(0);
        let is_intact = self.flash().with(|flash| {
            flash.contents().get(start..).is_some_and(|slot| slot.starts_with(&image.bytes))
        });
        let differs = || format!("{running:?} does not hold the bytes of {}", image.version);
        if is_intact { Ok(()) } else { Err(broken(rule, differs())) }
    }

    /// Both entries as they stand in flash, with the power on or off.
    fn entries(&self) -> [Entry; 2] {
        let base = self.start.hardware.table.layout.otadata;
        [base, base.saturating_add(SECTOR)].map(|at| {
            self.flash().with(|flash| {
                let bytes = usize::try_from(at).ok().and_then(|at| flash.contents().get(at..));
                let bytes = bytes.and_then(|bytes| bytes.first_chunk());
                Entry::decode(bytes.unwrap_or(&[0xff; ENTRY]))
            })
        })
    }

    /// The entry that selects the running slot, and its index.
    fn own_entry(&self, running: Running) -> Option<(usize, Entry)> {
        let entries = self.entries();
        let index = otadata::active(&entries)?;
        let entry = *entries.get(index)?;
        let slot = entry.slot(self.start.hardware.table.layout.slot_count())?;
        (running == Running::Slot(slot)).then_some((index, entry))
    }

    fn keeps_entry(&self, own: Option<(usize, Entry)>, running: Running) -> Result<(), Stop> {
        let Some((index, before)) = own else { return Ok(()) };
        let [first, second] = self.entries();
        let after = if index == 0 { first } else { second };
        if after == before {
            return Ok(());
        }
        let detail = format!("the entry that selects {running:?} was {before:?} and is {after:?}");
        Err(broken(Invariant::RunningIntact, detail))
    }

    /// After an install: the selected slot holds the image of the version that the signed metadata
    /// had announced.
    fn selects_what_was_signed(&self, installed: Option<String>) -> Result<(), Stop> {
        let entries = self.entries();
        let count = self.start.hardware.table.layout.slot_count();
        let entry = otadata::active(&entries).and_then(|index| entries.get(index));
        let slot = entry.and_then(|entry| entry.slot(count)).map(Running::Slot);
        let slot = slot.ok_or_else(|| {
            broken(Invariant::OnlyPublished, "after an install no entry selects a slot")
        })?;
        let version = installed.and_then(|version| Version::parse(&version).ok());
        let image = version.and_then(|version| self.subject.image(&version)).ok_or_else(|| {
            broken(Invariant::OnlyPublished, "what was installed was never published")
        })?;
        self.is_intact(slot, image, Invariant::OnlyPublished)
    }

    /// Checks the operations since the last look, and tells of them.
    fn look_at_operations(&mut self, who: &str) -> Result<(), Stop> {
        let base = usize::try_from(self.start.hardware.table.layout.otadata).unwrap_or(0);
        let sector = usize::try_from(SECTOR).unwrap_or(0);
        let seen = self.seen;
        let new: Vec<Operation> =
            self.flash().with(|flash| flash.log().get(seen..).unwrap_or_default().to_vec());
        self.seen = seen.saturating_add(new.len());
        if self.trace.is_some() {
            self.tell_operations(who, seen, &new);
        }
        let is_entry = |operation: &&Operation| {
            !operation.is_erase
                && (base..base.saturating_add(sector.saturating_mul(2))).contains(&operation.start)
        };
        for operation in new.iter().filter(is_entry) {
            if operation.len != ENTRY || !operation.start.is_multiple_of(sector) {
                let Operation { start, len, .. } = operation;
                let detail = format!("the {who} programs {len} bytes at {start:#x}");
                return Err(broken(Invariant::EntryWhole, detail));
            }
        }
        Ok(())
    }
}

fn happened(event: &Event) -> String {
    match event {
        Event::FellBack { version } => format!("{version} was tried and did not stay"),
        Event::Verified { root, .. } => format!("metadata verified, root {root}"),
        Event::Found { version, len } => format!("{version} is newer, {len} bytes"),
        Event::Progress { received } => format!("{received} bytes"),
        Event::Installed { version, slot } => format!("{version} is in ota_{slot}"),
    }
}

fn came_to(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::UpToDate => "nothing newer for this device",
        Outcome::Waiting => "a pause after a trial that came to nothing",
        Outcome::Installed => "a release was installed",
    }
}

fn standing(boot: Boot) -> &'static str {
    match boot {
        Boot::Settled => "settled",
        Boot::Trial(_) => "on trial",
        Boot::LastResort => "as the last resort",
    }
}

fn broken(invariant: Invariant, detail: impl Into<String>) -> Stop {
    Stop::Broken(Broken::new(invariant, detail))
}
