//! The slot choice of ESP-IDF's second-stage bootloader, with and without app rollback.
//!
//! A model of `bootloader_utility.c` (`bootloader_utility_get_selected_boot_partition`,
//! `bootloader_utility_load_boot_image`), its surprises included: the modulus is the *count* of
//! slots while the index is the subtype; a bad CRC is not looked at before the first decision; a
//! broken image falls down to lower slots before higher ones. Every step is recorded, because
//! "why does it boot that" is what people ask.

use serde::Serialize;

use crate::agent::layout::{Layout, Region, Running};
use crate::agent::otadata::{self, Entry, Label, State};

/// `CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE` of a bootloader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// Off, as in the bootloaders that espflash flashes.
    Off,
    /// On.
    On,
}

/// The partitions the bootloader looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootTable {
    /// Slots, factory and the place of `otadata`.
    pub layout: Layout,
    /// Rows of a slot subtype: the modulus of the sequence number. More than the layout has slots
    /// where two rows claim one subtype.
    pub slot_rows: u32,
    /// Whether there is an `otadata` partition at all.
    pub has_otadata: bool,
    /// The `test` app, the last thing tried.
    pub test: Option<Region>,
}

/// What gets started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The `factory` partition.
    Factory,
    /// Slot `ota_N`.
    Slot(u32),
    /// The `test` partition.
    Test,
    /// Nothing is bootable: the chip resets for ever.
    None,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Factory => f.pad("factory"),
            Self::Slot(index) => f.pad(&format!("ota_{index}")),
            Self::Test => f.pad("test"),
            Self::None => f.pad("none"),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Target {
    /// The partition the agent runs from, if this target runs an agent.
    pub fn running(self) -> Option<Running> {
        match self {
            Self::Factory => Some(Running::Factory),
            Self::Slot(index) => Some(Running::Slot(index)),
            Self::Test | Self::None => None,
        }
    }
}

/// The outcome of one start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// What gets started.
    pub target: Target,
    /// Entries the bootloader rewrites on its way, by sector, in the order of the writes.
    pub writes: Vec<(usize, Entry)>,
    /// Each step of the decision, in words.
    pub steps: Vec<String>,
}

/// Decides what starts. `is_bootable` verifies the image of a partition as the bootloader does.
pub fn start(
    table: &BootTable,
    entries: &[Entry; 2],
    rollback: Rollback,
    is_bootable: impl FnMut(Region) -> bool,
) -> Start {
    let mut run = Run { table, entries: *entries, writes: Vec::new(), steps: Vec::new() };
    let (first, initial) = run.choose(rollback);
    let target = run.load(first, is_bootable);
    if let (Target::Slot(index), true) = (target, initial) {
        let entry = Entry::new(index.saturating_add(1), State::Valid, Label::Blank);
        run.say(format!("otadata was empty: writes {{{}, VALID}} into entry 0", entry.sequence));
        run.writes.push((0, entry));
    }
    Start { target, writes: run.writes, steps: run.steps }
}

/// Index of the first partition to try; -1 stands for factory, as in ESP-IDF.
const FACTORY: i64 = -1;

struct Run<'a> {
    table: &'a BootTable,
    entries: [Entry; 2],
    writes: Vec<(usize, Entry)>,
    steps: Vec<String>,
}

impl Run<'_> {
    fn say(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    /// Picks where to begin, and whether the first start is to be written down.
    fn choose(&mut self, rollback: Rollback) -> (i64, bool) {
        let count = self.table.slot_rows;
        let factory = self.table.layout.factory.is_some();
        if !self.table.has_otadata {
            self.say("no otadata partition: begins with factory");
            return (FACTORY, false);
        }
        if rollback == Rollback::On {
            self.abort_pending();
        }
        let [first, second] = self.entries;
        if (first.is_discarded() && second.is_discarded()) || count == 0 {
            self.say("no entry selects a slot: both are blank or given up");
            if factory {
                self.say("begins with factory");
                return (FACTORY, false);
            }
            self.say("no factory partition: begins with ota_0");
            let empty = |entry: Entry| !entry.is_sound();
            return (0, empty(first) && empty(second));
        }
        let Some(index) = otadata::active(&self.entries) else {
            self.say("no entry is sound");
            self.say(if factory {
                "begins with factory"
            } else {
                "no factory partition: tries every slot"
            });
            return (FACTORY, false);
        };
        let entry = if index == 0 { first } else { second };
        let slot = entry.slot(count).unwrap_or(0);
        self.say(format!(
            "entry {index} has the highest sound sequence {} ({}): ({} - 1) mod {count} = ota_{slot}",
            entry.sequence,
            entry.state.name(),
            entry.sequence,
        ));
        if rollback == Rollback::On && entry.state == State::New {
            self.say("first start of this image: NEW becomes PENDING_VERIFY");
            self.rewrite(index, Entry { state: State::PendingVerify, ..entry });
        }
        (i64::from(slot), false)
    }

    /// A bootloader with rollback gives up what did not confirm since the last start.
    fn abort_pending(&mut self) {
        for (index, entry) in self.entries.into_iter().enumerate() {
            if entry.state == State::PendingVerify {
                self.say(format!(
                    "entry {index} was not confirmed: PENDING_VERIFY becomes ABORTED"
                ));
                self.rewrite(index, Entry { state: State::Aborted, ..entry });
            }
        }
    }

    fn rewrite(&mut self, index: usize, entry: Entry) {
        if let Some(place) = self.entries.get_mut(index) {
            *place = entry;
        }
        self.writes.push((index, entry));
    }

    /// Tries the chosen partition, then lower ones down to factory, then higher ones, then test.
    fn load(&mut self, first: i64, mut is_bootable: impl FnMut(Region) -> bool) -> Target {
        let count = i64::from(self.table.slot_rows);
        let down = (FACTORY..=first).rev();
        let up = first.saturating_add(1)..count;
        for index in down.chain(up) {
            let (region, target) = match u32::try_from(index) {
                Ok(slot) => (self.table.layout.slot(slot), Target::Slot(slot)),
                Err(_) => (self.table.layout.factory, Target::Factory),
            };
            let Some(region) = region else { continue };
            if is_bootable(region) {
                self.say(format!("{target} holds a bootable image: starts it"));
                return target;
            }
            self.say(format!("{target} is not bootable"));
        }
        match self.table.test {
            Some(region) if is_bootable(region) => {
                self.say("only the test app is bootable: starts it");
                Target::Test
            }
            _ => {
                self.say("nothing is bootable: the chip resets for ever");
                Target::None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLANK: [u8; 32] = [0xff; 32];

    fn table(slots: &[u32], factory: bool) -> BootTable {
        let mut layout = Layout { otadata: 0xe000, ..Layout::default() };
        for (place, start) in layout.slots.iter_mut().zip(slots) {
            *place = Some(Region { start: *start, len: 0x1000 });
        }
        layout.factory = factory.then_some(Region { start: 0xf0000, len: 0x1000 });
        BootTable { layout, slot_rows: layout.slot_count(), has_otadata: true, test: None }
    }

    fn blank() -> Entry {
        Entry::decode(&BLANK)
    }

    fn entry(sequence: u32, state: State) -> Entry {
        Entry::new(sequence, state, Label::Blank)
    }

    fn boots(table: &BootTable, entries: [Entry; 2], rollback: Rollback) -> Start {
        start(table, &entries, rollback, |_| true)
    }

    #[test]
    fn blank_otadata_starts_factory_or_the_first_slot_and_writes_it_down() {
        let with = boots(&table(&[1, 2], true), [blank(); 2], Rollback::Off);
        assert_eq!((with.target, with.writes), (Target::Factory, vec![]));
        let without = boots(&table(&[1, 2], false), [blank(); 2], Rollback::Off);
        assert_eq!(without.target, Target::Slot(0));
        assert_eq!(without.writes, [(0, entry(1, State::Valid))]);
    }

    #[test]
    fn no_otadata_row_begins_with_factory() {
        let table = BootTable { has_otadata: false, ..table(&[1, 2], true) };
        let high = [entry(2, State::Valid), blank()];
        assert_eq!(boots(&table, high, Rollback::Off).target, Target::Factory);
    }

    #[test]
    fn the_higher_sound_sequence_wins() {
        let table = table(&[1, 2], false);
        let both = [entry(3, State::Valid), entry(4, State::Undefined)];
        assert_eq!(boots(&table, both, Rollback::Off).target, Target::Slot(1));
        let aborted = [entry(3, State::Valid), entry(4, State::Aborted)];
        assert_eq!(boots(&table, aborted, Rollback::Off).target, Target::Slot(0));
    }

    #[test]
    fn a_bad_crc_with_a_plausible_sequence_tries_every_partition_and_writes_nothing() {
        let torn = Entry { crc: 0, ..entry(2, State::Valid) };
        let without = boots(&table(&[1, 2], false), [torn, blank()], Rollback::Off);
        assert_eq!((without.target, without.writes), (Target::Slot(0), vec![]));
        let with = boots(&table(&[1, 2], true), [torn, blank()], Rollback::Off);
        assert_eq!(with.target, Target::Factory);
    }

    #[test]
    fn a_broken_image_falls_down_before_it_falls_up() {
        let table = table(&[1, 2, 3], true);
        let second = [entry(2, State::Valid), blank()];
        let without = |bad: &[u32]| {
            let bad = bad.to_vec();
            start(&table, &second, Rollback::Off, move |region| !bad.contains(&region.start)).target
        };
        assert_eq!(without(&[2]), Target::Slot(0));
        assert_eq!(without(&[2, 1]), Target::Factory);
        assert_eq!(without(&[2, 1, 0xf0000]), Target::Slot(2));
        assert_eq!(without(&[2, 1, 0xf0000, 3]), Target::None);
    }

    #[test]
    fn rollback_gives_a_new_image_one_start() {
        let table = table(&[1, 2], false);
        let entries = [entry(1, State::Valid), entry(2, State::New)];
        let first = boots(&table, entries, Rollback::On);
        assert_eq!(first.target, Target::Slot(1));
        assert_eq!(first.writes, [(1, entry(2, State::PendingVerify))]);
        let pending = [entry(1, State::Valid), entry(2, State::PendingVerify)];
        let second = boots(&table, pending, Rollback::On);
        assert_eq!(second.target, Target::Slot(0));
        assert_eq!(second.writes, [(1, entry(2, State::Aborted))]);
    }

    #[test]
    fn without_rollback_new_and_pending_are_just_good() {
        let table = table(&[1, 2], false);
        for state in [State::New, State::PendingVerify] {
            let entries = [entry(1, State::Valid), entry(2, state)];
            let start = boots(&table, entries, Rollback::Off);
            assert_eq!((start.target, start.writes), (Target::Slot(1), vec![]));
        }
    }

    #[test]
    fn the_count_is_the_modulus_even_across_a_gap() {
        let mut gap = table(&[1, 2, 3], false);
        gap.layout.slots[1] = None;
        gap.slot_rows = 2;
        // ota_0 and ota_2: two slots. Sequence 2 means index 1, an empty row: ota_2 never boots.
        let entries = [entry(2, State::Valid), blank()];
        assert_eq!(boots(&gap, entries, Rollback::Off).target, Target::Slot(0));
    }

    #[test]
    fn sequence_zero_wraps_below_zero() {
        let entries = [entry(0, State::Valid), blank()];
        // 0xffffffff mod 2 = 1
        assert_eq!(boots(&table(&[1, 2], false), entries, Rollback::Off).target, Target::Slot(1));
    }

    #[test]
    fn both_given_up_writes_nothing_down() {
        let entries = [entry(1, State::Aborted), entry(2, State::Invalid)];
        let start = boots(&table(&[1, 2], false), entries, Rollback::Off);
        assert_eq!((start.target, start.writes), (Target::Slot(0), vec![]));
    }

    #[test]
    fn the_test_app_is_the_last_resort() {
        let table = BootTable { test: Some(Region { start: 9, len: 1 }), ..table(&[1], false) };
        let entries = [entry(1, State::Valid), blank()];
        let start = start(&table, &entries, Rollback::Off, |region| region.start == 9);
        assert_eq!(start.target, Target::Test);
    }
}
