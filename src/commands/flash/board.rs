//! One device: looked at, judged, written, and looked at again.

use std::time::Instant;

use super::erase::Erase;
use super::order::Order;
use super::report::{DeviceReport, PartReport};
use super::target::Place;
use crate::commands::{context, slots};
use crate::device::flash::{Dump, FlashWriter};
use crate::device::install::{self, Facts, Part, Plan, SecondStage, secure};
use crate::device::serial::{Cable, Connect, Security};
use crate::device::slots::SecurityReport;
use crate::error::Failure;
use crate::output::Lines;
use crate::virtual_device::bootloader::Target;

/// Makes a device what is ordered. `label` stands before what is said of it.
pub(super) fn install(
    lines: &Lines,
    order: &Order,
    place: &Place,
    label: &str,
) -> Result<DeviceReport, Failure> {
    let mut work = Work { lines, order, label, report: DeviceReport::of(place) };
    match place {
        Place::Cable(chosen, how) => {
            lines.status(format_args!("{label}connecting to {}", chosen.name));
            let how = Connect { chip: Some(order.chip()), ..how.clone() };
            let mut cable = Cable::connect(chosen, &how.for_a_look())?;
            let security = cable.security().copied();
            work.admit(security.as_ref())?;
            work.report.mac = Some(cable.mac()?);
            let facts = Facts { board: cable.board(), security };
            work.erase(&mut cable)?;
            let mut decision = work.decide(&mut cable, &facts)?;
            if !order.dry_run {
                if decision.writes() {
                    cable = cable.for_much(chosen, &how)?;
                }
                work.carry_out(&mut cable, &mut decision)?;
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
            work.erase(&mut dump)?;
            let mut decision = work.decide(&mut dump, &Facts::default())?;
            if !order.dry_run {
                work.carry_out(&mut dump, &mut decision)?;
                context::write(file, dump.bytes())?;
            }
        }
    }
    Ok(work.report)
}

/// What is written to one device, in order.
#[derive(Debug)]
struct Decision {
    plan: Plan,
    bootloader: Option<Part>,
}

impl Decision {
    fn writes(&self) -> bool {
        let parts = [Some(&self.plan.app), Some(&self.plan.table), self.bootloader.as_ref()];
        parts.into_iter().flatten().any(|part| !part.is_there)
    }
}

struct Work<'a> {
    lines: &'a Lines,
    order: &'a Order,
    label: &'a str,
    report: DeviceReport,
}

impl Work<'_> {
    fn erase(&self, flash: &mut dyn FlashWriter) -> Result<(), Failure> {
        install::fits(flash.size(), &self.order.wanted)?;
        let Some(erase) = self.order.erase.filter(|_| !self.order.dry_run) else { return Ok(()) };
        let table = &self.order.wanted.table;
        let regions = match erase {
            Erase::All => vec![(0, flash.size())],
            Erase::Otadata => table.otadata().map(|it| (it.offset, it.size)).into_iter().collect(),
            Erase::Nvs => table.nvs().map(|it| (it.offset, it.size)).into_iter().collect(),
        };
        self.lines.status(format_args!("{}erasing {}", self.label, erase.what()));
        for (offset, length) in regions {
            flash.erase(offset, length)?;
        }
        Ok(())
    }

    /// Whether the chip would start the app.
    fn admit(&mut self, security: Option<&Security>) -> Result<(), Failure> {
        let what = format!("the app {}", self.order.wanted.known.name);
        let admission = secure::admit(security, &what, &self.order.wanted.app)?;
        self.report.notes.extend(admission.unproven());
        Ok(())
    }

    fn decide(&mut self, flash: &mut dyn FlashWriter, facts: &Facts) -> Result<Decision, Failure> {
        let Order { wanted, bootloader, .. } = self.order;
        let plan = install::plan(flash, wanted)?;
        let SecondStage { part: bootloader, notes } =
            install::second_stage(flash, wanted, &plan, bootloader, facts)?;
        self.report.notes.extend(notes);
        self.report.chip = Some(self.order.chip());
        self.report.slot = Some(plan.slot);
        self.report.dry_run = self.order.dry_run;
        for loss in &plan.losses {
            self.report.notes.push(format!("{loss}, as `--allow-data-loss` allows"));
        }
        if plan.overwrites {
            self.report.notes.push(match plan.boots_now {
                Target::None => format!("{} was written over", plan.slot),
                now => format!("{now} was what booted: until the end of the install nothing did"),
            });
        }
        let decision = Decision { plan, bootloader };
        if self.order.dry_run {
            for part in decision.in_order() {
                self.report.parts.push(PartReport::new(part, None));
            }
        }
        Ok(decision)
    }

    fn carry_out(
        &mut self,
        flash: &mut dyn FlashWriter,
        decision: &mut Decision,
    ) -> Result<(), Failure> {
        for part in decision.in_order() {
            let begin = Instant::now();
            if !part.is_there {
                let label = format!("{}{}", self.label, part.what);
                let progress = self.lines.progress(&label, part.length().into());
                install::write(flash, part, &mut |done| progress.at(done.into()))?;
            }
            let took = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
            let took = (!part.is_there).then_some(took);
            self.report.parts.push(PartReport::new(part, took));
        }
        let Order { wanted, .. } = self.order;
        let survey = match decision.plan.as_it_is.take() {
            Some(survey) if !decision.writes() => survey,
            Some(_) | None => install::look(flash, wanted)?,
        };
        let (changes, survey) = install::choose(flash, survey, wanted, decision.plan.slot)?;
        self.report.otadata = changes.iter().map(Into::into).collect();
        let mut slots = survey.report();
        slots.chip = Some(self.order.chip().to_string());
        self.report.slots = Some(slots);
        Ok(())
    }
}

impl Decision {
    /// The app first: until the last part is there, nothing that boots now is missing.
    fn in_order(&self) -> impl Iterator<Item = &Part> {
        [Some(&self.plan.app), self.bootloader.as_ref(), Some(&self.plan.table)]
            .into_iter()
            .flatten()
    }
}
