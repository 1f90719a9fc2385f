//! Does an image get as far as its update agent? The very bytes that are published, in `ota_1`, as
//! an install leaves them.
//!
//! The bootloaders that espflash flashes have no rollback, so the agent is all that makes a bad
//! image fall back, and it has to run for that. What comes later in the image, radio and all, may
//! fail: by then every reset leads to the previous image. So nothing of that is waited for here.

use std::path::Path;
use std::time::Duration;

use super::fault::{Fault, Verdict};
use super::kind::Network;
use super::machine::{Cut, End, Session, Until};
use super::{EmulatorError, FlashImage, Machine, Narrator, Program};
use crate::chip::Chip;
use crate::device::SlotReport;
use crate::flash_size::FlashSize;
use crate::partition::Table;
use crate::virtual_device::bootloader::Target;

/// The file with the flash of this rehearsal.
pub const FLASH: &str = "flash-boot.bin";
/// Where the previous image is.
pub(super) const OLD: Target = Target::Slot(0);
/// Where the image under test is.
pub(super) const NEW: Target = Target::Slot(1);

/// An emulated device that has `image` in both slots, and boots that in `ota_1` next.
pub fn machine(
    (program, folder): (Program, &Path),
    (chip, size): (Chip, FlashSize),
    table: &Table,
    image: &[u8],
    deadline: Duration,
) -> Result<Machine, EmulatorError> {
    let mut flash = FlashImage::new(chip, size, table)?;
    flash.install(0, image)?;
    flash.install(1, image)?;
    flash.offer()?;
    Machine::new((program, chip), (folder, FLASH), &flash, Network::None, deadline)
}

/// Boots the image, cuts the power, and looks what starts then.
pub async fn rehearse(
    machine: &Machine,
    narrator: &mut dyn Narrator,
) -> Result<Verdict, EmulatorError> {
    narrator.begins("booting the image in ota_1");
    let title = "the image starts in ota_1, installed and never run";
    let session = machine.power_on(title, Until::Armed, Cut::Later).await?;
    let slots = machine.slots()?;
    // An armed trial is the work of the image in ota_1, whatever was printed.
    let fault = not_armed(&slots, session.end, machine.seconds());
    let fault = fault.map(|fault| not_started(&session, NEW).unwrap_or(fault));
    if let Some(fault) = fault.or_else(|| wrong_choice(&slots, OLD)) {
        return Ok(Verdict::failed(fault, session));
    }
    narrator.seen("ota_1 starts, and the image arms its trial".into());

    narrator.begins("cutting the power, and switching on again");
    let title = "the power was cut on trial";
    let session = machine.power_on(title, Until::Loaded, Cut::Later).await?;
    if let Some(fault) = not_started(&session, OLD) {
        return Ok(Verdict::failed(fault, session));
    }
    narrator.seen("after a power cut ota_0 starts".into());
    Ok(Verdict::passed())
}

/// Whether the bootloader has not started what it should, by its own words.
pub(super) fn not_started(session: &Session, expected: Target) -> Option<Fault> {
    match session.started {
        Some(found) if found == expected => None,
        Some(found) => Some(Fault::OtherStarted { expected, found }),
        None => Some(Fault::NothingStarted),
    }
}

/// What keeps the entry of the image in `ota_1` from being that of an armed trial.
pub(super) fn not_armed(slots: &SlotReport, end: End, seconds: u64) -> Option<Fault> {
    let (state, label) = entry(slots);
    match end {
        _ if (state.as_str(), label.as_str()) == ("ABORTED", "trial") => None,
        End::Reset => Some(Fault::ResetEarly { state, label }),
        End::Reached | End::Deadline => Some(Fault::NotArmed { seconds, state, label }),
    }
}

/// Whether the bootloader would choose something else than `expected`.
pub(super) fn wrong_choice(slots: &SlotReport, expected: Target) -> Option<Fault> {
    let found = slots.next_boot.without_rollback;
    (found != expected).then_some(Fault::WrongChoice { expected, found })
}

/// State and label of the entry that selects `ota_1`.
pub(super) fn entry(slots: &SlotReport) -> (String, String) {
    let entry = slots.entries.iter().find(|entry| entry.selects == Some(NEW));
    entry.map_or(("nothing".into(), String::new()), |it| (it.state.into(), it.label.clone()))
}
