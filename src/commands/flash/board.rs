//! One device: reached, made what is ordered, and left running.

use super::kept::Kept;
use super::order::Order;
use super::report::DeviceReport;
use super::target::Place;
use super::work::Work;
use crate::commands::{context, slots};
use crate::device::flash::Dump;
use crate::device::install::{self, Facts};
use crate::device::serial::{Cable, Connect};
use crate::device::slots::SecurityReport;
use crate::error::Failure;
use crate::output::Lines;

/// Makes a device what is ordered, and notes in `report` what it found and did. `label` stands before
/// what is said of it.
pub(super) fn install(
    lines: &Lines,
    order: &Order,
    place: &Place,
    label: &str,
    report: &mut DeviceReport,
) -> Result<(), Failure> {
    let mut work = Work { lines, order, label, report, kept: None };
    match place {
        Place::Cable(chosen, how) => {
            lines.status(format_args!("{label}connecting to {}", chosen.name));
            let how = Connect { chip: Some(order.chip()), ..how.clone() };
            let mut cable = Cable::connect(chosen, &how.for_a_look())?;
            let security = cable.security().copied();
            work.admit(security.as_ref())?;
            let mac = cable.mac()?;
            work.kept = Some(Kept::of(&order.folder, &mac));
            work.report.mac = Some(mac);
            cable.refuse_secure_boot_v1()?;
            let facts = Facts { board: cable.board()?, security };
            install::suits(&order.wanted, facts.board)?;
            if !order.dry_run && !order.given.is_empty() {
                cable = cable.for_much(chosen, &how)?;
            }
            let decision = work.decide(&mut cable, &facts)?;
            if !order.dry_run {
                if decision.writes() || order.erase.is_some() {
                    cable = cable.for_much(chosen, &how)?;
                }
                work.carry_out(&mut cable, decision)?;
            }
            if let Some(slots) = &mut work.report.slots {
                slots.security = security.as_ref().map(SecurityReport::from);
            }
        }
        Place::File(file) => {
            let size = usize::try_from(order.flash_size.bytes()).unwrap_or(usize::MAX);
            let bytes = match file.exists() {
                true => context::read(file, slots::LARGEST_DUMP)?,
                false => vec![0xff; size],
            };
            let mut dump = Dump::new(bytes);
            let decision = work.decide(&mut dump, &Facts::default())?;
            if !order.dry_run {
                work.carry_out(&mut dump, decision)?;
                context::write(file, dump.bytes())?;
            }
        }
    }
    Ok(())
}
