//! One rehearsal from power-on to the settled new release, on both kinds of bootloader.

use super::effort::Effort;
use super::error::RehearsalError;
use super::source::{Place, Source};
use super::step::{Boot, Step};
use super::traffic::Traffic;
use super::{Goal, Outcome, Stage, Start};
use crate::agent::agent::{Event, Outcome as Polled};
use crate::agent::image;
use crate::agent::reset::ResetReason;
use crate::agent::trial;
use crate::trust::PinnedRoot;
use crate::virtual_device::bootloader::{self, Rollback, Target};
use crate::virtual_device::flash::{FlashHandle, VirtualFlash};
use crate::virtual_device::{Started, VirtualDevice};

/// What is seen on the way.
pub(super) struct Course<'a> {
    pub(super) stage: &'a Stage,
    pub(super) source: &'a Source<'a>,
    pub(super) steps: Vec<Step>,
    pub(super) traffic: Traffic,
    pub(super) effort: Effort,
}

/// What a device found when it polled.
type Found = Option<(String, u32)>;

impl Course<'_> {
    /// Flashes the image that the device starts with, and goes all the way.
    pub(super) async fn run(
        &mut self,
        begun: &Start,
        goal: Option<&Goal>,
        mut progress: impl FnMut(u32),
    ) -> Result<Outcome, RehearsalError> {
        let device = self.flashed(begun)?;
        let found = {
            let started = self.boot(&device, ResetReason::PowerOn, Boot::Settled)?;
            self.poll(started, &begun.roots, &mut progress).await?
        };
        self.effort = device.flash().with(|flash| Effort::of(flash));
        let (goal, version, slot) = match (goal, found) {
            (None, None) => return Ok(Outcome::UpToDate),
            (Some(goal), Some((version, slot))) if goal.version == version => (goal, version, slot),
            (Some(goal), None) => {
                let (running, expected) = (begun.version.clone(), goal.version.clone());
                return Err(RehearsalError::NotFound { running, expected });
            }
            (goal, Some((found, _))) => {
                let expected = goal.map_or(&begun.version, |goal| &goal.version).clone();
                return Err(RehearsalError::Another { found, expected });
            }
        };
        for rollback in [Rollback::Off, Rollback::On] {
            self.steps.push(Step::bootloader(rollback));
            if !goal.has_agent {
                self.start_only(&device, rollback, slot)?;
                continue;
            }
            // Costs are those of the bootloader that most devices have.
            let spent = self.traffic;
            let copy = self.copy(&device, rollback);
            self.trial(&copy, begun, goal, slot).await?;
            if rollback == Rollback::Off {
                self.effort = copy.flash().with(|flash| Effort::of(flash));
            } else {
                self.traffic = spent;
            }
        }
        Ok(Outcome::Updated { version, slot })
    }

    /// A device as the cable leaves it. Its flash counts from here on.
    fn flashed(&self, start: &Start) -> Result<VirtualDevice, RehearsalError> {
        let size = usize::try_from(self.stage.flash_size).unwrap_or(usize::MAX);
        let blank = self.device(VirtualFlash::new(size), Rollback::Off);
        let failed = |source| RehearsalError::Flash { version: start.version.clone(), source };
        // The table is a parameter here, and nobody reads it from flash.
        blank.flash_over_cable((0, &[]), &start.image).map_err(failed)?;
        let mut contents = blank.flash().with(|flash| flash.contents().to_vec());
        if start.is_in_the_field {
            self.fill_other_slots(&mut contents, &start.image);
        }
        Ok(self.device(VirtualFlash::with_contents(contents), Rollback::Off))
    }

    /// A device that has updated itself before has an old image in each other slot, and every
    /// sector has to be erased.
    fn fill_other_slots(&self, contents: &mut [u8], image: &[u8]) {
        for slot in self.stage.table.layout.slots.iter().skip(1).flatten() {
            let begin = usize::try_from(slot.start).unwrap_or(usize::MAX);
            let room = usize::try_from(slot.len).unwrap_or(0);
            let place = contents.get_mut(begin..).unwrap_or_default().iter_mut().take(room);
            place.zip(image).for_each(|(byte, old)| *byte = *old);
        }
    }

    /// The same device with another bootloader, from here on on a flash of its own.
    fn copy(&self, device: &VirtualDevice, rollback: Rollback) -> VirtualDevice {
        self.device(device.flash().with(|flash| flash.clone()), rollback)
    }

    fn device(&self, flash: VirtualFlash, rollback: Rollback) -> VirtualDevice {
        let hardware = self.stage.hardware(rollback);
        VirtualDevice::new(FlashHandle::new(flash), hardware, self.stage.firmware.clone())
            .with_id(self.stage.device_id.clone())
    }

    /// Switches a device on, which must come up as expected.
    fn boot<'a>(
        &mut self,
        device: &'a VirtualDevice,
        reason: ResetReason,
        expected: Boot,
    ) -> Result<Started<'a>, RehearsalError> {
        let (started, boot, version) = start(device, reason)?;
        self.steps.push(Step::Booted { target: started.target, version: version.clone(), boot });
        if boot == expected {
            Ok(started)
        } else {
            Err(RehearsalError::Boot { version, expected, found: boot })
        }
    }

    /// Lets a settled device ask for something newer.
    async fn poll(
        &mut self,
        started: Started<'_>,
        roots: &[PinnedRoot],
        progress: &mut impl FnMut(u32),
    ) -> Result<Found, RehearsalError> {
        let mut agent = started.agent;
        let mut wire = self.source.open(roots)?;
        let mut events = Vec::new();
        let mut found = None;
        let mut on = |event| match event {
            Event::Progress { received } => progress(received),
            event => events.push(event),
        };
        let polled = agent.poll(&mut wire, None, &mut on).await;
        for event in events {
            match event {
                Event::Verified { root, .. } => self.steps.push(Step::Verified { root }),
                Event::Found { version, len: size } => {
                    self.steps.push(Step::Found { version, size });
                }
                Event::Installed { version, slot } => {
                    found = Some((version.clone(), slot));
                    self.steps.push(Step::Installed { version, slot });
                }
                Event::FellBack { .. } | Event::Progress { .. } => {}
            }
        }
        self.traffic.add(wire.traffic());
        match polled {
            // On a device that has tried nothing before there is no pause.
            Ok(Polled::UpToDate | Polled::Waiting) => self.steps.push(Step::UpToDate),
            Ok(Polled::Installed) => {}
            Err(error) => return Err(RehearsalError::refused(error, wire)),
        }
        Ok(found)
    }

    /// From the reset after the install to the settled release that has nothing more to do.
    async fn trial(
        &mut self,
        device: &VirtualDevice,
        begun: &Start,
        goal: &Goal,
        slot: u32,
    ) -> Result<(), RehearsalError> {
        {
            let mut started = self.boot(device, ResetReason::Software, Boot::Trial)?;
            expect_slot(started.target, slot)?;
            self.fall_back(device, begun)?;
            // What the firmware does before it confirms: the server has to answer, over TLS that
            // leads to a root this very image pins.
            let mut wire = self.source.open(&goal.roots)?;
            let reached = started.agent.reach(&mut wire).await;
            self.traffic.add(wire.traffic());
            let tls = matches!(self.source.place, Place::Url { .. });
            let confirmed = reached.and_then(|()| {
                self.steps.push(Step::Reached { tls });
                started.agent.confirm()
            });
            confirmed.map_err(|error| RehearsalError::refused(error, wire))?;
            self.steps.push(Step::Confirmed);
        }
        let started = self.boot(device, ResetReason::PowerOn, Boot::Settled)?;
        expect_slot(started.target, slot)?;
        match self.poll(started, &goal.roots, &mut |_| {}).await? {
            None => Ok(()),
            Some((again, _)) => Err(RehearsalError::Again { version: goal.version.clone(), again }),
        }
    }

    /// What the next reset would do if the image on trial never confirmed.
    fn fall_back(&mut self, device: &VirtualDevice, begun: &Start) -> Result<(), RehearsalError> {
        let copy = self.copy(device, device.rollback());
        let (started, boot, version) = start(&copy, ResetReason::PowerOn)?;
        self.steps.push(Step::FellBack { target: started.target, version: version.clone() });
        if version == begun.version && boot == Boot::Settled {
            Ok(())
        } else {
            Err(RehearsalError::Boot { version, expected: Boot::Settled, found: boot })
        }
    }

    /// Asks the bootloader alone, for an image without an agent.
    fn start_only(
        &mut self,
        device: &VirtualDevice,
        rollback: Rollback,
        slot: u32,
    ) -> Result<(), RehearsalError> {
        let mut flash = device.flash().clone();
        let table = &self.stage.table;
        let entries = trial::read(&mut flash, &table.layout)
            .map_err(|_| RehearsalError::Start(super::StartFault::NoStore))?;
        let chip = Some(self.stage.chip.image_id());
        let is_bootable = |region| image::verify(&mut flash, region, chip).is_ok();
        let start = bootloader::start(table, &entries, rollback, is_bootable);
        expect_slot(start.target, slot)?;
        self.steps.push(Step::Started { target: start.target });
        Ok(())
    }
}

/// Switches a device on and lets its agent look back: only then is it known what boot this is.
fn start(
    device: &VirtualDevice,
    reason: ResetReason,
) -> Result<(Started<'_>, Boot, String), RehearsalError> {
    let mut started = device.start_after(reason).map_err(RehearsalError::Start)?;
    started.agent.look_back(&mut |_| {}).map_err(RehearsalError::Memory)?;
    let boot = Boot::from(started.agent.boot());
    let version = started.agent.version().to_string();
    Ok((started, boot, version))
}

fn expect_slot(target: Target, slot: u32) -> Result<(), RehearsalError> {
    if target == Target::Slot(slot) {
        Ok(())
    } else {
        Err(RehearsalError::Unbootable { target, slot })
    }
}
