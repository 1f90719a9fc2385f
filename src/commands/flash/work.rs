//! What is done to the flash of one device: erased, judged, written, and looked at again.

use std::time::Instant;

use super::FlashError;
use super::erase::Erase;
use super::kept::Kept;
use super::order::Order;
use super::report::{DeviceReport, PartReport};
use crate::device::flash::{Erased, FlashReader, FlashWriter};
use crate::device::install::{
    self, Copy, Facts, InstallError, Part, Plan, SecondStage, Settings, secure,
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
    /// The app first: until the last part is there, nothing that boots now is missing. A table that
    /// moves is there before the bootloader that looks for it.
    fn in_order(&self) -> impl Iterator<Item = &Part> {
        let [mut second, mut third] = [self.bootloader.as_ref(), Some(&self.plan.table)];
        if self.plan.old_table().is_some() {
            std::mem::swap(&mut second, &mut third);
        }
        [Some(&self.plan.app), second, third].into_iter().flatten()
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
    pub(super) report: &'a mut DeviceReport,
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

    /// What somebody wants to be erased first.
    fn erased(&self, size: u32) -> Option<(u32, u32)> {
        let table = &self.order.wanted.table;
        let row = match self.order.erase? {
            Erase::All => return Some((0, size)),
            Erase::Otadata => table.otadata(),
            Erase::Nvs => table.nvs(),
        };
        row.map(|row| (row.offset, row.size))
    }

    /// Looks at the device and decides what is written. What is refused is refused here, before
    /// anything is erased.
    pub(super) fn decide(
        &mut self,
        flash: &mut dyn FlashReader,
        facts: &Facts,
    ) -> Result<Decision, Failure> {
        let Order { wanted, bootloader, given, erase, dry_run, .. } = self.order;
        self.report.chip = Some(self.order.chip());
        self.report.dry_run = *dry_run;
        install::fits(flash.size(), wanted)?;
        let mut flash = Erased::new(flash, self.erased(flash.size()));
        let flash: &mut dyn FlashReader = &mut flash;
        let plan = install::plan(flash, wanted)?;
        let SecondStage { part: bootloader, notes } =
            install::second_stage(flash, wanted, &plan, bootloader, facts)?;
        let kept = match &self.kept {
            Some(kept) if !matches!(erase, Some(Erase::All | Erase::Nvs)) => kept.read()?,
            Some(_) | None => None,
        };
        let settings = install::settings(flash, wanted, &plan, given, kept.as_deref())?;
        self.report.notes.extend(notes);
        self.report.slot = Some(plan.slot);
        self.report.settings = given.names();
        self.report.erased = erase.map(Erase::name);
        self.note(&plan, &settings);
        let decision = Decision { plan, bootloader, settings };
        if *dry_run {
            for part in decision.in_order() {
                self.report.parts.push(PartReport::new(part, None));
            }
            self.report.parts.extend(PartReport::of_pages(&decision.settings.parts, None));
        }
        Ok(decision)
    }

    fn note(&mut self, plan: &Plan, settings: &Settings) {
        let Order { wanted, given, .. } = self.order;
        let notes = &mut self.report.notes;
        for loss in &plan.losses {
            notes.push(format!("{loss}, as `--allow-data-loss` allows"));
        }
        if plan.overwrites && plan.boots_now != Target::None {
            let meanwhile = match plan.meanwhile {
                Target::None => "nothing boots until the install is over".to_owned(),
                other => format!("{other} boots until the install is over"),
            };
            let note =
                format!("the app goes where {} is, which boots now: {meanwhile}", plan.boots_now);
            // Before it is so, too: the rest of the report is for afterwards.
            self.lines.status(format_args!("{}{note}", self.label));
            notes.push(note);
        }
        if wanted.table.find(Kind::NVS_KEYS).is_some() && !given.is_empty() {
            notes.push(
                "the table has `nvs_keys`: a program that encrypts `nvs` does not find settings \
                 that are written in clear"
                    .to_owned(),
            );
        }
        if settings.is_foreign {
            notes.push(
                "what is in `nvs` is no NVS, and stays: `--erase nvs` makes it new".to_owned(),
            );
        }
        let Some(kept) = &self.kept else { return };
        let file = kept.file().display();
        match settings.copy {
            Copy::None | Copy::Needless => {}
            Copy::Restores(_) => notes.push(format!(
                "a run was broken off while it wrote settings: `nvs` is what it was before, by \
                 `{file}`"
            )),
            Copy::Another => notes.push(format!(
                "`{file}` is of a run that was broken off, and was not used: the device has \
                 written to `nvs` since"
            )),
        }
    }

    /// Erases what somebody wants to be erased.
    fn erase(&self, flash: &mut dyn FlashWriter) -> Result<(), Failure> {
        let Some(erase) = self.order.erase else { return Ok(()) };
        self.lines.status(format_args!("{}erasing {}", self.label, erase.what()));
        if let Some((offset, length)) = self.erased(flash.size()) {
            flash.erase(offset, length)?;
        }
        if erase == Erase::Otadata { Ok(()) } else { self.forget() }
    }

    /// Nothing that was kept is needed any more.
    fn forget(&self) -> Result<(), Failure> {
        match &self.kept {
            Some(kept) => Ok(kept.forget()?),
            None => Ok(()),
        }
    }

    /// Writes, and lets the app boot.
    pub(super) fn carry_out(
        &mut self,
        flash: &mut dyn FlashWriter,
        mut decision: Decision,
    ) -> Result<(), Failure> {
        self.erase(flash)?;
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
        install::forget_old_table(flash, &decision.plan)?;
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
            return if settings.copy == Copy::Needless { self.forget() } else { Ok(()) };
        }
        if let Some(kept) = &self.kept {
            kept.write(&settings.to_keep())?;
        }
        let begin = Instant::now();
        for page in &settings.parts {
            install::write(flash, page, &mut |_| {}).map_err(|source| self.broken_off(source))?;
        }
        self.report.parts.extend(PartReport::of_pages(&settings.parts, Some(milliseconds(begin))));
        self.forget()
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
