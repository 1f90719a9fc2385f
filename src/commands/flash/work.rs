//! What is done to the flash of one device: erased, judged, written, and looked at again.

use std::time::Instant;

use super::FlashError;
use super::erase::Erase;
use super::kept::Kept;
use super::order::Order;
use super::report::{DeviceReport, PartReport};
use crate::device::flash::FlashWriter;
use crate::device::install::{
    self, Facts, InstallError, Part, Plan, SecondStage, Settings, secure,
};
use crate::device::serial::Security;
use crate::error::Failure;
use crate::output::Lines;
use crate::partition::Kind;
use crate::virtual_device::bootloader::Target;

/// What is written to one device.
#[derive(Debug)]
pub(super) struct Decision {
    plan: Plan,
    bootloader: Option<Part>,
    settings: Settings,
}

impl Decision {
    /// The app first: until the last part is there, nothing that boots now is missing.
    fn in_order(&self) -> impl Iterator<Item = &Part> {
        let parts = [Some(&self.plan.app), self.bootloader.as_ref(), Some(&self.plan.table)];
        parts.into_iter().flatten()
    }

    /// Whether anything but the choice of the slot is written.
    pub(super) fn writes(&self) -> bool {
        self.in_order().any(|part| !part.is_there) || !self.settings.parts.is_empty()
    }
}

/// One device under way.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) lines: &'a Lines,
    pub(super) order: &'a Order,
    /// Stands before what is said of it.
    pub(super) label: &'a str,
    pub(super) report: DeviceReport,
    /// Where its settings are kept while they are written; `None` for a file.
    pub(super) kept: Option<Kept>,
}

impl Work<'_> {
    /// Whether the chip would start the app.
    pub(super) fn admit(&mut self, security: Option<&Security>) -> Result<(), Failure> {
        let what = format!("the app {}", self.order.wanted.known.name);
        let admission = secure::admit(security, &what, &self.order.wanted.app)?;
        self.report.notes.extend(admission.unproven());
        Ok(())
    }

    /// Erases what somebody wants to be erased, unless the device is refused anyway.
    pub(super) fn erase(&self, flash: &mut dyn FlashWriter) -> Result<(), Failure> {
        let Order { wanted, erase, dry_run, .. } = self.order;
        install::fits(flash.size(), wanted)?;
        let Some(erase) = erase.filter(|_| !dry_run) else { return Ok(()) };
        let region = match erase {
            Erase::All => Some((0, flash.size())),
            Erase::Otadata => wanted.table.otadata().map(|it| (it.offset, it.size)),
            Erase::Nvs => wanted.table.nvs().map(|it| (it.offset, it.size)),
        };
        self.lines.status(format_args!("{}erasing {}", self.label, erase.what()));
        if let Some((offset, length)) = region {
            flash.erase(offset, length)?;
        }
        match &self.kept {
            Some(kept) if erase != Erase::Otadata => Ok(kept.forget()?),
            Some(_) | None => Ok(()),
        }
    }

    /// Looks at the device and decides what is written.
    pub(super) fn decide(
        &mut self,
        flash: &mut dyn FlashWriter,
        facts: &Facts,
    ) -> Result<Decision, Failure> {
        let Order { wanted, bootloader, given, .. } = self.order;
        let plan = install::plan(flash, wanted)?;
        let SecondStage { part: bootloader, notes } =
            install::second_stage(flash, wanted, &plan, bootloader, facts)?;
        let kept = self.kept.as_ref().and_then(Kept::read);
        let settings = install::settings(flash, wanted, &plan, given, kept.as_deref())?;
        self.report.notes.extend(notes);
        self.report.chip = Some(self.order.chip());
        self.report.slot = Some(plan.slot);
        self.report.dry_run = self.order.dry_run;
        self.report.settings = given.names();
        for loss in &plan.losses {
            self.report.notes.push(format!("{loss}, as `--allow-data-loss` allows"));
        }
        if plan.overwrites {
            self.report.notes.push(match plan.boots_now {
                Target::None => format!("{} was written over", plan.slot),
                now => format!("{now} was what booted: until the end of the install nothing did"),
            });
        }
        let has_keys = wanted.table.find(Kind::NVS_KEYS).is_some();
        if has_keys && !given.is_empty() {
            let words = "the table has `nvs_keys`: a program that encrypts `nvs` does not find \
                         settings that are written in clear";
            self.report.notes.push(words.to_owned());
        }
        let decision = Decision { plan, bootloader, settings };
        if self.order.dry_run {
            for part in decision.in_order() {
                self.report.parts.push(PartReport::new(part, None));
            }
            self.report.parts.extend(PartReport::of_pages(&decision.settings.parts, None));
        }
        Ok(decision)
    }

    /// Writes, and lets the app boot.
    pub(super) fn carry_out(
        &mut self,
        flash: &mut dyn FlashWriter,
        mut decision: Decision,
    ) -> Result<(), Failure> {
        for part in decision.in_order() {
            let begin = Instant::now();
            if !part.is_there {
                let label = format!("{}{}", self.label, part.what);
                let progress = self.lines.progress(&label, part.length().into());
                install::write(flash, part, &mut |done| progress.at(done.into()))?;
            }
            let took = (!part.is_there).then(|| milliseconds(begin));
            self.report.parts.push(PartReport::new(part, took));
        }
        self.settings(flash, &decision.settings)?;
        let Order { wanted, .. } = self.order;
        let survey = match decision.plan.as_it_is.take() {
            Some(survey) if !decision.writes() => survey,
            Some(_) | None => install::look(flash, wanted)?,
        };
        let (changes, survey) = install::choose(flash, survey, decision.plan.slot)?;
        self.report.otadata = changes.iter().map(Into::into).collect();
        let mut slots = survey.report();
        slots.chip = Some(self.order.chip().to_string());
        self.report.slots = Some(slots);
        Ok(())
    }

    fn settings(
        &mut self,
        flash: &mut dyn FlashWriter,
        settings: &Settings,
    ) -> Result<(), Failure> {
        if settings.parts.is_empty() {
            return match &self.kept {
                Some(kept) => Ok(kept.forget()?),
                None => Ok(()),
            };
        }
        if let Some(kept) = &self.kept {
            kept.write(&settings.to_keep())?;
        }
        let begin = Instant::now();
        for page in &settings.parts {
            install::write(flash, page, &mut |_| {}).map_err(|source| self.broken_off(source))?;
        }
        self.report.parts.extend(PartReport::of_pages(&settings.parts, Some(milliseconds(begin))));
        match &self.kept {
            Some(kept) => Ok(kept.forget()?),
            None => Ok(()),
        }
    }

    fn broken_off(&self, source: InstallError) -> Failure {
        match &self.kept {
            Some(kept) => FlashError::BrokenOff { kept: kept.file().to_owned(), source }.into(),
            None => source.into(),
        }
    }
}

fn milliseconds(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}
