//! Which slot an app goes into, so that what boots now stays until something else boots.

use crate::agent::layout::Region;
use crate::agent::otadata::{self, ENTRY, Entry};
use crate::device::flash::SECTOR;
use crate::device::{Known, Survey, boot_table, overlap};
use crate::partition::Table;
use crate::virtual_device::bootloader::{BootTable, Rollback, Target};

/// The slot that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) target: Target,
    pub(super) region: Region,
    /// Whether the device needs what is there now for booting.
    pub(super) is_needed: bool,
}

/// The slots of a table, and a device that has it, another one, or none.
#[derive(Debug)]
pub(super) struct Slots<'a> {
    boot: BootTable,
    now: Option<&'a Survey>,
    /// Whether the device has this table.
    is_same: bool,
    /// Where that lies which has to stay.
    needed: Vec<Region>,
}

impl<'a> Slots<'a> {
    pub(super) fn new(table: &Table, now: Option<&'a Survey>, is_same: bool) -> Self {
        let mut needed = now.map(needed).unwrap_or_default();
        if let Some(now) = now.filter(|_| !is_same) {
            // Without these what boots now would not be found, or not be chosen.
            let otadata = Region { start: now.boot.layout.otadata, len: SECTOR.saturating_mul(2) };
            needed.extend(Some(otadata).filter(|_| now.boot.has_otadata));
            needed.push(Region { start: now.table_offset, len: SECTOR });
        }
        Self { boot: boot_table(table), now, is_same, needed }
    }

    /// Every app partition that can be chosen.
    pub(super) fn targets(&self) -> Vec<Target> {
        let slots = (0u32..).zip(self.boot.layout.slots).filter(|(_, slot)| slot.is_some());
        let factory = self.boot.layout.factory.map(|_| Target::Factory);
        factory.into_iter().chain(slots.map(|(index, _)| Target::Slot(index))).collect()
    }

    /// The slot of that name, if there is one.
    pub(super) fn named(&self, target: Target) -> Option<Choice> {
        let region = match target {
            Target::Slot(index) => self.boot.layout.slot(index)?,
            Target::Factory => self.boot.layout.factory?,
            Target::Test | Target::None => return None,
        };
        let is_needed = self.needed.iter().any(|needed| overlap(*needed, region));
        Some(Choice { target, region, is_needed })
    }

    /// The slot that has the app already, else the next one that the device does not need, else
    /// the first.
    pub(super) fn choose(&self, app: &Known) -> Option<Choice> {
        let next = self.now.filter(|_| self.is_same).map(|now| starts(now, &now.entries));
        if let Some(slot) = self.now.filter(|_| self.is_same).and_then(|now| now.slot_of(app)) {
            return self.named(slot);
        }
        let count = self.boot.layout.slot_count();
        let first = match next {
            Some([Target::Slot(index), _]) => index.saturating_add(1),
            Some(_) | None => 0,
        };
        let in_turn = (0..count)
            .filter_map(|step| first.saturating_add(step).checked_rem(count))
            .filter_map(|index| self.named(Target::Slot(index)));
        let all: Vec<Choice> = in_turn.collect();
        all.iter().find(|choice| !choice.is_needed).or(all.first()).copied()
    }
}

/// What starts without rollback in the bootloader, and what with it.
fn starts(survey: &Survey, entries: &[Entry; 2]) -> [Target; 2] {
    [Rollback::Off, Rollback::On].map(|rollback| survey.start(entries, rollback).target)
}

/// Where that lies which has to stay: what boots now, or, while that is on trial, what it falls
/// back to.
fn needed(now: &Survey) -> Vec<Region> {
    let mut entries = now.entries;
    if now.report().trial == "trial"
        && let Some(deciding) = otadata::active(&entries).and_then(|index| entries.get_mut(index))
    {
        *deciding = Entry::decode(&[0xff; ENTRY]);
    }
    starts(now, &entries).into_iter().filter_map(|target| now.region(target)).collect()
}
