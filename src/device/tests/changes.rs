//! `switch` and `repair`, on any pair of entries, with the power cut at every step.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{Board, MOMENTS, any_entry, blank};
use crate::agent::otadata::{self, ENTRY, Entry, LAST_SEQUENCE, Label, State};
use crate::device::slots::{Change, ChangeError, apply, repair, switch};
use crate::device::{Depth, Survey};
use crate::error::{Exit, Explained};
use crate::partition::{self, Kind, Table};
use crate::virtual_device::bootloader::{Rollback, Target};
use crate::virtual_device::flash::{Cut, VirtualFlash};

const TABLE: usize = 0x8000;
const OTADATA: usize = 0xe000;
const SLOT: usize = 0x1_0000;

/// A small image that boots: one segment of 256 zeros, so that the XOR over it is the seed.
fn image() -> Vec<u8> {
    let mut image = vec![0; 24 + 8 + 256 + 16];
    (image[0], image[1], image[23]) = (0xe9, 1, 1);
    image[28..32].copy_from_slice(&256u32.to_le_bytes());
    image[303] = 0xef;
    let digest = Sha256::digest(&image);
    image.extend_from_slice(&digest);
    image
}

/// A device with so many slots, all of them bootable but those that are named.
fn board(slots: u8, broken: &[u8], entries: [Entry; 2]) -> Board {
    let mut rows = vec![partition::Entry::new("otadata", Kind::OTADATA, 0xe000, 0x2000)];
    for slot in 0..slots {
        let start = u32::try_from((usize::from(slot) + 1) * SLOT).unwrap();
        let size = u32::try_from(SLOT).unwrap();
        rows.push(partition::Entry::new(
            &format!("ota_{slot}"),
            Kind::slot(slot).unwrap(),
            start,
            size,
        ));
    }
    let table = Table { entries: rows };
    let mut bytes = vec![0xff; (usize::from(slots) + 1) * SLOT];
    let encoded = partition::encode(&table).unwrap();
    bytes[TABLE..TABLE + encoded.len()].copy_from_slice(&encoded);
    for (entry, at) in entries.iter().zip([OTADATA, OTADATA + 0x1000]) {
        bytes[at..at + ENTRY].copy_from_slice(&entry.encode());
    }
    for slot in (0..slots).filter(|slot| !broken.contains(slot)) {
        let at = (usize::from(slot) + 1) * SLOT;
        let image = image();
        bytes[at..at + image.len()].copy_from_slice(&image);
    }
    Board(VirtualFlash::with_contents(bytes))
}

fn survey(board: &mut Board) -> Survey {
    Survey::read(board, None, Depth::Whole, &[]).unwrap()
}

fn boots(board: &mut Board) -> [Target; 2] {
    let survey = survey(board);
    [Rollback::Off, Rollback::On].map(|it| survey.start(&survey.entries, it).target)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_switch_boots_the_slot_and_touches_one_sector(
        entries in [any_entry(), any_entry()],
        slots in 1..=4u8,
        wanted in 0..4u32,
    ) {
        let wanted = Target::Slot(wanted % u32::from(slots));
        let mut board = board(slots, &[], entries);
        let found = survey(&mut board);
        match switch(&found, wanted) {
            Ok(changes) => {
                prop_assert!(changes.len() <= 1);
                let before = board.0.erases().iter().sum::<u32>();
                apply(&mut board, &changes).unwrap();
                let after = board.0.erases().iter().sum::<u32>();
                prop_assert_eq!(after - before, u32::try_from(changes.len()).unwrap());
                prop_assert_eq!(boots(&mut board), [wanted; 2]);
                // It stays so, at the next start, too.
                let again = survey(&mut board);
                prop_assert_eq!(switch(&again, wanted).unwrap(), vec![]);
            }
            Err(ChangeError::UsedUp) => {
                let top = entries.iter().filter(|it| it.is_sound()).map(|it| it.sequence).max();
                prop_assert!(top.unwrap() > LAST_SEQUENCE - u32::from(slots));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn a_cut_anywhere_in_a_change_leaves_the_old_choice_or_the_new(
        entries in [any_entry(), any_entry()],
        slots in 2..=3u8,
        wanted in 0..3u32,
        repairs: bool,
        seed: u64,
    ) {
        let whole = board(slots, &[], entries);
        let mut first = Board(whole.0.clone());
        let old = boots(&mut first);
        let found = survey(&mut first);
        let change = |survey: &Survey| -> Result<Vec<Change>, ChangeError> {
            if repairs { repair(survey) } else { switch(survey, Target::Slot(wanted % u32::from(slots))) }
        };
        let Ok(changes) = change(&found) else { return Ok(()) };
        let mut done = Board(whole.0.clone());
        apply(&mut done, &changes).unwrap();
        let new = boots(&mut done);
        for operation in 0..u64::try_from(changes.len() * 2).unwrap() {
            for moment in MOMENTS {
                let mut cut = Board(whole.0.clone());
                cut.0.cut_at(Cut { operation, moment, seed });
                // An erased entry is written by the erase alone.
                let _ = apply(&mut cut, &changes);
                cut.0.power_on();
                // Where the choice hung on the bootloader before, it may be a third slot.
                let is_decided = old[0] == old[1];
                for (index, now) in boots(&mut cut).into_iter().enumerate().filter(|_| is_decided) {
                    prop_assert!(
                        now == old[index] || now == new[index],
                        "cut {moment:?} operation {operation}: {now}, neither {} nor {}", old[index], new[index]
                    );
                }
                let after = survey(&mut cut);
                if let Ok(rest) = change(&after) {
                    apply(&mut cut, &rest).unwrap();
                }
                prop_assert!(boots(&mut cut).iter().all(|target| *target != Target::None));
            }
        }
    }
}

#[test]
fn a_switch_replaces_the_stale_state_that_otatool_keeps() {
    // From {3, VALID}, {2, ABORTED} ESP-IDF's own tool writes {4, ABORTED}, and nothing changes.
    let entries =
        [Entry::new(3, State::Valid, Label::Blank), Entry::new(2, State::Aborted, Label::Blank)];
    let mut board = board(2, &[], entries);
    let changes = switch(&survey(&mut board), Target::Slot(1)).unwrap();
    assert_eq!(changes[0].after, Entry::new(4, State::Valid, Label::Ok));
    apply(&mut board, &changes).unwrap();
    assert_eq!(boots(&mut board), [Target::Slot(1); 2]);
}

#[test]
fn a_slot_that_would_not_boot_is_refused() {
    let entries = [Entry::new(1, State::Valid, Label::Ok), blank()];
    let found = survey(&mut board(2, &[1], entries));
    let error = switch(&found, Target::Slot(1)).unwrap_err();
    assert_eq!(error.to_string(), "`ota_1` would not boot: it is blank");
    assert_eq!(error.exit(), Exit::Rejected);
    let error = switch(&found, Target::Slot(7)).unwrap_err();
    assert_eq!(error.to_string(), "the table has no `ota_7`: there is `ota_0`, `ota_1`");
    let error = switch(&found, Target::Factory).unwrap_err();
    assert!(matches!(error, ChangeError::NoSuchSlot { .. }));
}

#[test]
fn numbers_that_are_used_up_begin_again() {
    // LAST_SEQUENCE selects ota_1 of two.
    assert_eq!(Entry::new(LAST_SEQUENCE, State::Valid, Label::Ok).slot(2), Some(1));
    let entries = [Entry::new(LAST_SEQUENCE, State::Valid, Label::Ok), blank()];
    let mut board = board(2, &[], entries);
    let found = survey(&mut board);
    assert!(matches!(switch(&found, Target::Slot(0)), Err(ChangeError::UsedUp)));
    let changes = repair(&found).unwrap();
    apply(&mut board, &changes).unwrap();
    assert_eq!(boots(&mut board), [Target::Slot(1); 2]);
    let healed = survey(&mut board);
    assert_eq!(otadata::next_sequence(&healed.entries, 0, 2), Some(3));
    assert_eq!(repair(&healed).unwrap(), vec![]);
}

#[test]
fn a_last_resort_is_chosen_by_a_sound_entry_afterwards() {
    // Both entries are given up, and ota_0 starts because there is nothing else.
    let given_up = |number| Entry::new(number, State::Aborted, Label::Trial);
    let mut board = board(2, &[1], [given_up(5), given_up(6)]);
    let changes = repair(&survey(&mut board)).unwrap();
    assert_eq!(changes.len(), 1);
    apply(&mut board, &changes).unwrap();
    assert_eq!(boots(&mut board), [Target::Slot(0); 2]);
    assert_eq!(survey(&mut board).report().trial, "settled");
}

#[test]
fn what_is_on_trial_is_not_confirmed_by_a_repair() {
    let entries =
        [Entry::new(1, State::Valid, Label::Ok), Entry::new(2, State::New, Label::Install)];
    let mut board = board(2, &[], entries);
    assert_eq!(survey(&mut board).report().trial, "trial");
    assert_eq!(repair(&survey(&mut board)).unwrap(), vec![]);
}
