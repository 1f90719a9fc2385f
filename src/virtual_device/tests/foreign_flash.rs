//! Flash as espflash, ESP-IDF or an accident left it: the device takes the update all the same, or
//! says why it does not.

use proptest::prelude::*;

use super::bench::{App, Bench, Faults, Memory, OTADATA, Repository, image};
use crate::agent::agent::Outcome;
use crate::agent::layout::{Layout, Region};
use crate::agent::otadata::{ENTRY, Entry, LAST_SEQUENCE, Label, State};
use crate::virtual_device::bootloader::{BootTable, Rollback};
use crate::virtual_device::flash::VirtualFlash;

const FLASH: usize = 0x60000;
const SLOT: u32 = 0x10000;
/// Power-ons until an update has to be through: settle, install, trial, confirmed.
const ENOUGH: usize = 5;

/// Where apps stand: `ota_0` at 0x10000, `ota_1` at 0x20000 and so on, factory behind them all.
fn table(slots: &[u32], factory: bool) -> BootTable {
    let region = |index: u32| Region { start: SLOT * (index + 1), len: SLOT };
    let mut layout = Layout { otadata: OTADATA, ..Layout::default() };
    for index in slots {
        layout.slots[usize::try_from(*index).unwrap()] = Some(region(*index));
    }
    layout.factory = factory.then(|| region(4));
    BootTable { layout, slot_rows: layout.slot_count(), has_otadata: true, test: None }
}

/// A chip with 1.0.0 in every app partition named, and these entries.
fn flash(images: &[Region], entries: [[u8; ENTRY]; 2]) -> VirtualFlash {
    let mut bytes = vec![0xff; FLASH];
    let mut put = |at: u32, content: &[u8]| {
        let at = usize::try_from(at).unwrap();
        bytes[at..at + content.len()].copy_from_slice(content);
    };
    for region in images {
        put(region.start, &image("1.0.0"));
    }
    put(OTADATA, &entries[0]);
    put(OTADATA + 0x1000, &entries[1]);
    VirtualFlash::with_contents(bytes)
}

/// Powers the device on until 1.1.0 runs confirmed and finds nothing newer, or a poll is refused:
/// `Ok` or the reason.
fn update(bench: &Bench, repository: &Repository) -> Result<(), String> {
    let mut versions = Vec::new();
    for _ in 0..ENOUGH {
        let memory = &mut Memory::new(repository, Faults::default());
        let Ok(ran) = bench.run(memory, |_| App::Confirms) else {
            // The power is on: the image on a last resort cannot write the entry it needs.
            let mut agent = bench.device.start().expect("something boots").agent;
            return Err(agent.confirm().expect_err("the second time as the first").code());
        };
        match ran.polled {
            Some(Err(error)) => return Err(error.code()),
            Some(Ok(Outcome::UpToDate)) if ran.version == "1.1.0" => return Ok(()),
            Some(Ok(_)) | None => versions.push(ran.version),
        }
    }
    panic!("no update and no reason after {ENOUGH} power-ons: {versions:?}");
}

fn repository() -> Repository {
    Repository::with(&[("1.1.0", image("1.1.0"))])
}

const BLANK: [u8; ENTRY] = [0xff; ENTRY];

fn entry(sequence: u32, state: State) -> [u8; ENTRY] {
    Entry::new(sequence, state, Label::Blank).encode()
}

fn labelled(sequence: u32, state: State, label: Label) -> [u8; ENTRY] {
    Entry::new(sequence, state, label).encode()
}

fn torn(sequence: u32) -> [u8; ENTRY] {
    Entry { crc: 0xffff_0000, ..Entry::new(sequence, State::Valid, Label::Blank) }.encode()
}

#[test]
fn what_other_tools_leave_in_otadata_does_not_stop_an_update() {
    let repository = repository();
    let foreign = Label::Foreign(*b"somebody else's word");
    for (what, entries) in [
        ("blank", [BLANK, BLANK]),
        ("espflash's and ESP-IDF's first install", [entry(1, State::Undefined), BLANK]),
        ("written by the bootloader", [entry(1, State::Valid), BLANK]),
        ("both torn", [torn(1), torn(2)]),
        ("one torn", [entry(1, State::Valid), torn(2)]),
        ("all zeroes", [[0; ENTRY]; 2]),
        ("ABORTED on both", [entry(1, State::Aborted), entry(2, State::Aborted)]),
        ("INVALID on both", [entry(3, State::Invalid), entry(2, State::Invalid)]),
        ("both for one slot", [entry(1, State::Valid), entry(3, State::Valid)]),
        ("both the same", [entry(1, State::Valid), entry(1, State::Valid)]),
        ("sequence 0", [entry(0, State::Valid), BLANK]),
        ("sequence 0 twice", [entry(0, State::Undefined), entry(0, State::Undefined)]),
        ("foreign labels", [labelled(1, State::Valid, foreign), BLANK]),
        (
            "a foreign label on the newer",
            [entry(1, State::Valid), labelled(3, State::New, foreign)],
        ),
        ("the bootloader waits", [entry(1, State::PendingVerify), BLANK]),
        ("an unknown state", [entry(1, State::Unknown(77)), BLANK]),
        ("near the end of the counter", [entry(LAST_SEQUENCE - 3, State::Valid), BLANK]),
    ] {
        for factory in [false, true] {
            for rollback in [Rollback::Off, Rollback::On] {
                let table = table(&[0, 1], factory);
                let apps: Vec<Region> =
                    table.layout.slots.into_iter().flatten().chain(table.layout.factory).collect();
                let bench =
                    Bench::with_table(flash(&apps, entries), table, &repository.root, rollback);
                assert_eq!(update(&bench, &repository), Ok(()), "{what}, {factory} {rollback:?}");
            }
        }
    }
}

#[test]
fn a_used_up_counter_is_refused_by_name() {
    let repository = repository();
    for rollback in [Rollback::Off, Rollback::On] {
        let table = table(&[0, 1], false);
        let apps: Vec<Region> = table.layout.slots.into_iter().flatten().collect();
        // 0xfffffffe selects slot 1, which runs: slot 0 would need a number beyond it.
        let entries = [entry(LAST_SEQUENCE, State::Valid), BLANK];
        let bench = Bench::with_table(flash(&apps, entries), table, &repository.root, rollback);
        assert_eq!(update(&bench, &repository), Err("sequence-exhausted".into()), "{rollback:?}");
        assert!(bench.device.start().is_ok(), "it boots what it booted before");
    }
}

#[test]
fn three_slots_take_their_turns_and_a_gap_is_refused_by_name() {
    let repository = repository();
    for rollback in [Rollback::Off, Rollback::On] {
        for (slots, sequence, answer) in [
            (&[0, 1, 2][..], 1, Ok(())),
            (&[0, 1, 2], 2, Ok(())),
            (&[0, 1, 2], 3, Ok(())),
            (&[0, 2], 1, Err("no-other-slot".to_owned())),
            (&[0], 1, Err("no-other-slot".to_owned())),
        ] {
            let table = table(slots, false);
            let apps: Vec<Region> = table.layout.slots.into_iter().flatten().collect();
            let entries = [entry(sequence, State::Valid), BLANK];
            let bench = Bench::with_table(flash(&apps, entries), table, &repository.root, rollback);
            assert_eq!(update(&bench, &repository), answer, "{slots:?} {sequence} {rollback:?}");
        }
    }
}

/// Entries as they come: noise, and whole entries with a few bits the wrong way.
fn any_entry() -> impl Strategy<Value = [u8; ENTRY]> {
    let number =
        prop_oneof![0..9u32, Just(LAST_SEQUENCE), LAST_SEQUENCE - 4..=LAST_SEQUENCE, any::<u32>()];
    let state = prop_oneof![0..6u32, Just(u32::MAX), any::<u32>()];
    let label = prop_oneof![
        Just(Label::Blank),
        Just(Label::Install),
        Just(Label::Trial),
        Just(Label::Ok),
        any::<[u8; 20]>().prop_map(Label::Foreign),
    ];
    let written = (number, state, label, any::<[u8; ENTRY]>(), 0..4u8).prop_map(
        |(sequence, state, label, noise, kind)| {
            let whole = Entry::new(sequence, State::from_word(state), label).encode();
            match kind {
                // Some bits are not programmed yet.
                0 => std::array::from_fn(|index| whole[index] | noise[index]),
                _ => whole,
            }
        },
    );
    prop_oneof![6 => written, 1 => any::<[u8; ENTRY]>(), 1 => Just(BLANK)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_stands_in_otadata_the_update_completes_or_names_its_reason(
        first in any_entry(),
        second in any_entry(),
        factory: bool,
        three: bool,
        with_rollback: bool,
    ) {
        let repository = REPOSITORY.with(Repository::clone);
        let slots: &[u32] = if three { &[0, 1, 2] } else { &[0, 1] };
        let table = table(slots, factory);
        let apps: Vec<Region> =
            table.layout.slots.into_iter().flatten().chain(table.layout.factory).collect();
        let rollback = if with_rollback { Rollback::On } else { Rollback::Off };
        let flash = flash(&apps, [first, second]);
        let bench = Bench::with_table(flash, table, &repository.root, rollback);
        match update(&bench, &repository) {
            Ok(()) => {}
            Err(reason) => {
                prop_assert_eq!(reason, "sequence-exhausted");
                let top = [first, second].map(|bytes| Entry::decode(&bytes));
                let top = top.iter().filter(|entry| entry.is_sound()).map(|entry| entry.sequence);
                prop_assert!(top.max() > Some(LAST_SEQUENCE - 8), "the counter is not used up");
            }
        }
    }
}

thread_local! {
    /// Signing takes longer than an update.
    static REPOSITORY: Repository = repository();
}
