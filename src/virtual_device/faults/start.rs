//! Devices where updates begin, prepared once and copied for each case.
//!
//! Whatever came before is done by the agent itself: an earlier update, a release that fell back.

use embedded_storage::nor_flash::NorFlash;
use semver::Version;

use super::board::AsShipped;
use super::case::{App, Place, Scenario};
use super::error::FaultsError;
use super::network::Network;
use super::player::{Player, Session, Stop};
use super::subject::Subject;
use crate::agent::layout::{Region, Running};
use crate::agent::otadata::{Entry, Label, SECTOR, State};
use crate::agent::trial::Boot;
use crate::virtual_device::flash::{FlashFault, FlashHandle, VirtualFlash};
use crate::virtual_device::{Hardware, VirtualDevice};

/// Power-ons in which an earlier update is over.
const ENOUGH: usize = 8;

/// A device before the update.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) hardware: Hardware,
    pub(super) flash: VirtualFlash,
    /// Where it runs from.
    running: Running,
    /// The image that was confirmed last, or that the cable installed.
    pub(super) confirmed: Version,
}

impl Start {
    /// Brings a device to this place.
    pub(super) fn prepare(subject: &Subject, place: Place) -> Result<Self, FaultsError> {
        let failed = |reason: String| FaultsError::Start { place: place.to_string(), reason };
        let (table, size) = subject.table(place.has_factory);
        if !table.has_otadata {
            return Err(failed("the table has no otadata partition".into()));
        }
        let hardware = Hardware {
            chip: subject.project.chip,
            chip_revision: subject.chip_revision,
            table,
            nvs: subject.project.nvs,
            rollback: place.rollback(),
        };
        let mut flash = VirtualFlash::new(usize::try_from(size).unwrap_or(usize::MAX));
        let written = write(&mut flash, subject, place, &hardware);
        written.map_err(|fault| failed(format!("the first image does not go in: {fault}")))?;
        let confirmed = match place.scenario {
            Scenario::Later => subject.previous().version.clone(),
            Scenario::First
            | Scenario::AfterFallback
            | Scenario::LastResort
            | Scenario::GivenUp => subject.cable().version.clone(),
        };
        let mut start = Self { hardware, flash, confirmed, running: Running::Factory };
        let app = match place.scenario {
            Scenario::First | Scenario::LastResort | Scenario::GivenUp => None,
            Scenario::Later => Some(App::Good),
            Scenario::AfterFallback => Some(App::Rejects),
        };
        if let Some(app) = app {
            start.flash.record();
            start.flash = start.run_update(subject, app).map_err(failed)?;
        }
        start.flash.record();
        let copy = FlashHandle::new(start.flash.clone());
        let device = VirtualDevice::new(copy, hardware, subject.firmware.clone());
        start.running = device.boot().map_err(|fault| failed(fault.to_string()))?.running;
        Ok(start)
    }

    /// The slot that the release goes to.
    pub(super) fn next_slot(&self) -> Option<Region> {
        let layout = &self.hardware.table.layout;
        let next = match self.running {
            Running::Factory => 0,
            Running::Slot(slot) => slot.saturating_add(1).checked_rem(layout.slot_count())?,
        };
        layout.slot(next)
    }

    /// The update before the one under test.
    fn run_update(&self, subject: &Subject, app: App) -> Result<VirtualFlash, String> {
        let earlier = subject.earlier();
        let mut player = Player::new(&earlier, self, &AsShipped);
        for _ in 0..ENOUGH {
            let mut network = Network::new(Some(&subject.before), &subject.before, None);
            match player.power_on(app, &mut network) {
                Ok(session) if is_over(&session, &earlier, app) => {
                    return Ok(player.flash().with(|flash| flash.clone()));
                }
                Ok(_) => {}
                Err(Stop::PowerCut) => return Err("the power went away".into()),
                Err(Stop::Broken(broken)) => return Err(broken.detail),
            }
        }
        Err(format!("the update to {} does not end", subject.previous().version))
    }
}

/// Whether the device is where its earlier update should bring it.
fn is_over(session: &Session, earlier: &Subject, app: App) -> bool {
    let wanted = match app {
        App::Good => earlier.release(),
        App::Rejects | App::Hangs => earlier.cable(),
    };
    session.is_up_to_date()
        && session.boot == Some(Boot::Settled)
        && session.version == wanted.version
}

/// The flash as the cable and what came after left it.
fn write(
    flash: &mut VirtualFlash,
    subject: &Subject,
    place: Place,
    hardware: &Hardware,
) -> Result<(), FlashFault> {
    let layout = &hardware.table.layout;
    let slot = |index| layout.slot(index).ok_or(FlashFault::OutOfBounds);
    let cable = &subject.cable().bytes;
    if let Some(factory) = layout.factory {
        program(flash, factory, cable)?;
    }
    let entries = match (place.scenario, place.has_factory) {
        (Scenario::First | Scenario::Later | Scenario::AfterFallback, true) => [None, None],
        (Scenario::First | Scenario::Later | Scenario::AfterFallback, false) => {
            program(flash, slot(0)?, cable)?;
            [Some(Entry::new(1, State::Valid, Label::Ok)), None]
        }
        (Scenario::LastResort, _) => {
            // The newer image is selected, and damaged in its middle.
            program(flash, slot(0)?, cable)?;
            let mut damaged = subject.previous().bytes.clone();
            let middle = damaged.len() / 2;
            damaged.iter_mut().skip(middle).take(16).for_each(|byte| *byte = 0);
            program(flash, slot(1)?, &damaged)?;
            [None, Some(Entry::new(2, State::Valid, Label::Ok))]
        }
        (Scenario::GivenUp, _) => {
            program(flash, slot(0)?, cable)?;
            [
                Some(Entry::new(1, State::Aborted, Label::Trial)),
                Some(Entry::new(2, State::Invalid, Label::Blank)),
            ]
        }
    };
    for (at, entry) in
        [layout.otadata, layout.otadata.saturating_add(SECTOR)].into_iter().zip(entries)
    {
        if let Some(entry) = entry {
            flash.write(at, &entry.encode())?;
        }
    }
    Ok(())
}

/// Writes an image over erased flash.
fn program(flash: &mut VirtualFlash, region: Region, image: &[u8]) -> Result<(), FlashFault> {
    match u32::try_from(image.len()) {
        Ok(len) if len <= region.len => flash.write(region.start, image),
        _ => Err(FlashFault::OutOfBounds),
    }
}
