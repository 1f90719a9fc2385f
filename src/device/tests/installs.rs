//! Installs on devices in any state, with the power cut at every step.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{Board, MOMENTS, any_entry, blank};
use crate::agent::otadata::{ENTRY, Entry, LAST_SEQUENCE, Label, State};
use crate::chip::Chip;
use crate::device::flash::{FlashReader, FlashWriter};
use crate::device::install::{self, InstallError, Plan, Wanted};
use crate::device::{Depth, DeviceError, Known, Survey};
use crate::error::{Exit, Explained};
use crate::image;
use crate::partition::{self, Kind, Table};
use crate::virtual_device::bootloader::{Rollback, Target};
use crate::virtual_device::flash::{Cut, VirtualFlash};

const TABLE: usize = 0x8000;
const OTADATA: usize = 0xe000;
const SLOT: usize = 0x1_0000;

/// A small image that boots and is told from others by a byte: one segment of two sectors.
fn app(mark: u8) -> Vec<u8> {
    const BODY: usize = 8192;
    let mut image = vec![0; 24 + 8 + BODY + 16];
    (image[0], image[1], image[23]) = (0xe9, 1, 1);
    image[12] = u8::try_from(Chip::Esp32c3.image_id()).unwrap();
    image[28..32].copy_from_slice(&u32::try_from(BODY).unwrap().to_le_bytes());
    image[32 + 5000] = mark;
    let end = image.len() - 1;
    image[end] = 0xef ^ mark;
    let digest = Sha256::digest(&image);
    image.extend_from_slice(&digest);
    image
}

fn table(slots: u8, has_factory: bool) -> Table {
    let at = |place: usize| u32::try_from(place).unwrap();
    let mut rows = vec![partition::Entry::new("otadata", Kind::OTADATA, at(OTADATA), 0x2000)];
    let mut place = SLOT;
    if has_factory {
        rows.push(partition::Entry::new("factory", Kind::FACTORY, at(place), at(SLOT)));
        place += SLOT;
    }
    for slot in 0..slots {
        let kind = Kind::slot(slot).unwrap();
        rows.push(partition::Entry::new(&format!("ota_{slot}"), kind, at(place), at(SLOT)));
        place += SLOT;
    }
    Table { entries: rows }
}

/// A device with this table, these entries, and an image with its number as a mark in each app
/// partition that `whole` has a true for.
fn device(table: &Table, entries: [Entry; 2], whole: &[bool]) -> Board {
    let mut bytes = vec![0xff; 8 * SLOT];
    let encoded = partition::encode(table).unwrap();
    bytes[TABLE..TABLE + encoded.len()].copy_from_slice(&encoded);
    for (entry, at) in entries.iter().zip([OTADATA, OTADATA + 0x1000]) {
        bytes[at..at + ENTRY].copy_from_slice(&entry.encode());
    }
    for (index, is_whole) in whole.iter().enumerate().filter(|(_, whole)| **whole) {
        let at = (index + 1) * SLOT;
        let image = app(u8::try_from(index).unwrap());
        bytes[at..at + image.len()].copy_from_slice(&image);
        assert!(is_whole);
    }
    Board(VirtualFlash::with_contents(bytes))
}

fn wanted(table: &Table) -> Wanted {
    let app = app(0xaa);
    Wanted {
        chip: Chip::Esp32c3,
        table: table.clone(),
        table_offset: 0x8000,
        others: Vec::new(),
        known: Known::new("the app".into(), &app).unwrap(),
        app,
        slot: None,
        allows_data_loss: false,
    }
}

/// Everything that `flash` does with table and app.
fn install(board: &mut Board, wanted: &Wanted) -> Result<Plan, InstallError> {
    let plan = install::plan(board, wanted)?;
    for part in [&plan.app, &plan.table] {
        install::write(board, part, &mut |_| {})?;
    }
    let survey = install::look(board, wanted)?;
    install::choose(board, survey, plan.slot)?;
    Ok(plan)
}

/// What starts with either bootloader: the mark of its image.
fn starts(board: &mut Board) -> [Option<u8>; 2] {
    let survey = Survey::read(board, None, Depth::Whole, &[]).unwrap();
    [Rollback::Off, Rollback::On].map(|rollback| {
        let target = survey.start(&survey.entries, rollback).target;
        let region = survey.region(target)?;
        Some(board.read(region.start + 32 + 5000, 1).unwrap()[0])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_there_the_app_boots_and_a_cut_anywhere_leaves_something_that_boots(
        entries in [any_entry(), any_entry()],
        slots in 1..=3u8,
        has_factory: bool,
        whole in prop::collection::vec(any::<bool>(), 4),
        seed: u64,
    ) {
        let table = table(slots, has_factory);
        let partitions = usize::from(slots) + usize::from(has_factory);
        let before = device(&table, entries, &whole[..partitions]);
        let wanted = wanted(&table);
        let old = starts(&mut Board(before.0.clone()));

        let mut done = Board(before.0.clone());
        let plan = install(&mut done, &wanted).unwrap();
        prop_assert_eq!(starts(&mut done), [Some(0xaa); 2]);
        let is_settled = plan.as_it_is.as_ref().is_some_and(|it| it.report().trial == "settled");
        // One image has to stay, and there are two slots.
        prop_assert!(!is_settled || !plan.overwrites || old[0] != old[1] || slots == 1);
        // Nothing is written a second time.
        let operations = done.0.operations();
        prop_assert_eq!(install(&mut done, &wanted).unwrap().slot, plan.slot);
        prop_assert_eq!(done.0.operations(), operations);

        for operation in 0..operations {
            for moment in MOMENTS {
                let mut cut = Board(before.0.clone());
                cut.0.cut_at(Cut { operation, moment, seed });
                let _ = install(&mut cut, &wanted);
                cut.0.power_on();
                for (old, now) in old.into_iter().zip(starts(&mut cut)) {
                    // Nothing is none of what boots, where something booted and there was a slot to
                    // spare.
                    if old.is_some() && !plan.overwrites {
                        prop_assert!(now.is_some(), "{moment:?} of {operation}");
                    }
                    // Never a mix: the mark is that of an image that was there, or of the app.
                    let is_one = now.is_none_or(|mark| mark == 0xaa || usize::from(mark) < partitions);
                    prop_assert!(is_one, "{moment:?} of {operation}: {now:?}");
                    // A settled device boots what it booted or the app, and nothing else.
                    if is_settled && !plan.overwrites {
                        prop_assert!(now == old || now == Some(0xaa), "{moment:?} of {operation}");
                    }
                }
                install(&mut cut, &wanted).unwrap();
                prop_assert_eq!(starts(&mut cut), [Some(0xaa); 2]);
            }
        }
    }

    #[test]
    fn no_flash_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..0x3000), at in 0..0x2_0000usize) {
        let mut flash = vec![0xff; 8 * SLOT];
        flash[at..at + bytes.len()].copy_from_slice(&bytes);
        let mut board = Board(VirtualFlash::with_contents(flash));
        install(&mut board, &wanted(&table(2, false))).unwrap();
        prop_assert_eq!(starts(&mut board), [Some(0xaa); 2]);
    }
}

fn settled(number: u32) -> Entry {
    Entry::new(number, State::Valid, Label::Ok)
}

#[test]
fn a_blank_device_gets_the_first_slot_and_one_that_runs_the_other() {
    let table = table(2, false);
    let mut board = Board(VirtualFlash::with_contents(vec![0xff; 8 * SLOT]));
    assert_eq!(install(&mut board, &wanted(&table)).unwrap().slot, Target::Slot(0));
    for (number, next) in [(1, 1), (2, 0)] {
        let mut board = device(&table, [settled(number), blank()], &[true, true]);
        let plan = install(&mut board, &wanted(&table)).unwrap();
        assert_eq!((plan.slot, plan.overwrites), (Target::Slot(next), false));
    }
}

#[test]
fn an_image_on_trial_goes_and_the_one_that_it_falls_back_to_stays() {
    let table = table(2, false);
    let trial = Entry::new(2, State::New, Label::Install);
    let mut board = device(&table, [settled(1), trial], &[true, true]);
    assert_eq!(install(&mut board, &wanted(&table)).unwrap().slot, Target::Slot(1));
}

#[test]
fn an_app_that_is_in_a_slot_already_is_only_chosen() {
    let table = table(2, false);
    let mut board = device(&table, [settled(2), blank()], &[false, true]);
    let app = app(0xaa);
    let at = SLOT;
    let mut bytes = board.0.contents().to_vec();
    bytes[at..at + app.len()].copy_from_slice(&app);
    board = Board(VirtualFlash::with_contents(bytes));
    let plan = install(&mut board, &wanted(&table)).unwrap();
    assert_eq!((plan.slot, plan.app.is_there), (Target::Slot(0), true));
    assert_eq!(board.0.operations(), 2, "one entry: an erase and a write");
}

#[test]
fn the_slot_that_somebody_names_is_taken_and_factory_too() {
    let table = table(2, true);
    for slot in [Target::Factory, Target::Slot(0), Target::Slot(1)] {
        let mut board = device(&table, [settled(1), settled(2)], &[true, true, true]);
        let mut wanted = wanted(&table);
        wanted.slot = Some(slot);
        let plan = install(&mut board, &wanted).unwrap();
        assert_eq!((plan.slot, plan.overwrites), (slot, slot == Target::Slot(1)), "{slot}");
        assert_eq!(starts(&mut board), [Some(0xaa); 2], "{slot}");
    }
}

#[test]
fn numbers_that_are_used_up_are_no_obstacle() {
    let table = table(2, false);
    let mut board = device(&table, [settled(LAST_SEQUENCE), blank()], &[true, true]);
    install(&mut board, &wanted(&table)).unwrap();
    assert_eq!(starts(&mut board), [Some(0xaa); 2]);
}

#[test]
fn what_boots_under_another_table_stays_until_the_app_is_there() {
    let mut old = table(1, true);
    old.entries.remove(0);
    old.entries.truncate(1);
    let mut board = device(&old, [blank(); 2], &[true]);
    // The new table's ota_0 is where the old one's factory is.
    let plan = install(&mut board, &wanted(&table(2, false))).unwrap();
    assert_eq!((plan.slot, plan.boots_now), (Target::Slot(1), Target::Factory));
    assert_eq!(starts(&mut board), [Some(0xaa); 2]);
}

#[track_caller]
fn refused(board: &mut Board, wanted: &Wanted, words: &str) {
    let before = board.0.contents().to_vec();
    let error = install(board, wanted).unwrap_err();
    assert_eq!((error.exit(), error.to_string()), (Exit::Rejected, words.to_owned()));
    assert!(error.help().is_some());
    assert_eq!(board.0.contents(), before);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let two = table(2, false);
    let mut board = device(&two, [settled(1), blank()], &[true, true]);
    let mut asked = wanted(&two);
    asked.slot = Some(Target::Slot(2));
    refused(&mut board, &asked, "the table has no `ota_2`: there is `ota_0`, `ota_1`");
    asked.slot = Some(Target::Factory);
    refused(&mut board, &asked, "the table has no `factory`: there is `ota_0`, `ota_1`");
    let mut asked = wanted(&two);
    asked.app.resize(SLOT + 1, 0xff);
    refused(&mut board, &asked, "the app has 65537 bytes, and `ota_0` has room for 65536");
    let mut asked = wanted(&two);
    asked.table.entries.remove(0);
    refused(
        &mut board,
        &asked,
        "the table has no `otadata` partition, so nothing could choose the slot",
    );
    let mut asked = wanted(&two);
    asked.table.entries[2].size = 0x10_0000;
    refused(
        &mut board,
        &asked,
        "the table needs 0x120000 bytes of flash, and the chip has 0x80000",
    );
}

#[test]
fn an_app_for_a_later_revision_of_the_chip_is_refused() {
    let mut asked = wanted(&table(2, false));
    let board = |revision| image::Board { revision, crystal: None };
    for revision in [None, Some(0), Some(3)] {
        install::suits(&asked, board(revision)).unwrap();
    }
    asked.app[15..17].copy_from_slice(&101_u16.to_le_bytes());
    for revision in [None, Some(101), Some(300)] {
        install::suits(&asked, board(revision)).unwrap();
    }
    let error = install::suits(&asked, board(Some(4))).unwrap_err();
    let words = "the app needs revision v1.1 of the chip, and this one is v0.4";
    assert_eq!((error.exit(), error.to_string()), (Exit::Rejected, words.to_owned()));
    assert!(error.help().is_some());
}

#[test]
fn data_that_a_table_would_lose_stay_unless_that_is_allowed() {
    let mut old = table(2, false);
    old.entries.push(partition::Entry::new("nvs", Kind::NVS, 0x9000, 0x5000));
    let mut new = table(2, false);
    new.entries.push(partition::Entry::new("nvs", Kind::NVS, 0x9000, 0x4000));
    let mut board = device(&old, [settled(1), blank()], &[true, true]);
    let mut asked = wanted(&new);
    refused(
        &mut board,
        &asked,
        "the new table loses data that are on the device: the settings in `nvs` lose their end",
    );
    asked.allows_data_loss = true;
    assert_eq!(install(&mut board, &asked).unwrap().losses.len(), 1);
    assert_eq!(starts(&mut board), [Some(0xaa); 2]);
}

#[test]
fn what_is_written_and_is_something_else_then_is_found() {
    struct Worn(Board);
    impl FlashReader for Worn {
        fn size(&self) -> u32 {
            self.0.size()
        }
        fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>, DeviceError> {
            self.0.read(offset, length)
        }
        fn md5(&mut self, offset: u32, length: u32) -> Result<[u8; 16], DeviceError> {
            self.0.md5(offset, length)
        }
    }
    impl FlashWriter for Worn {
        fn erase(&mut self, offset: u32, length: u32) -> Result<(), DeviceError> {
            self.0.erase(offset, length)
        }
        fn write(
            &mut self,
            offset: u32,
            bytes: &[u8],
            told: &mut dyn FnMut(u32),
        ) -> Result<(), DeviceError> {
            let mut bytes = bytes.to_vec();
            bytes[7] &= 0x7f;
            bytes[7] ^= 0x40;
            self.0.write(offset, &bytes, told)
        }
    }
    let table = table(2, false);
    let asked = wanted(&table);
    let mut worn = Worn(device(&table, [settled(1), blank()], &[true, true]));
    let plan = install::plan(&mut worn, &asked).unwrap();
    let error = install::write(&mut worn, &plan.app, &mut |_| {}).unwrap_err();
    let words = "app at 0x20000 reads back as other bytes than were written";
    assert_eq!((error.exit(), error.to_string()), (Exit::Device, words.to_owned()));
    // And what is not the app is not chosen, even by somebody who goes on.
    let survey = install::look(&mut worn, &asked).unwrap();
    assert!(survey.slot_of(&asked.known).is_none());
    assert!(matches!(install::choose(&mut worn, survey, plan.slot), Err(InstallError::Change(_))));
    assert_eq!(starts(&mut worn.0), [Some(0); 2]);
}
