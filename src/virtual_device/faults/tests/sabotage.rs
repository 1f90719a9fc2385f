//! Seven ways to do it wrong, each of which the engine has to find and to name.
//!
//! The agent's own files stay as they are: the wrong is done between the agent and its chip, or in
//! the order in which the firmware calls it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::engine::subject;
use crate::agent::otadata::{ENTRY, Entry, Label, SECTOR, State};
use crate::agent::trial::Boot;
use crate::virtual_device::faults::board::{AsShipped, Board};
use crate::virtual_device::faults::case::{App, Case, Fault, Place};
use crate::virtual_device::faults::family::Family;
use crate::virtual_device::faults::invariant::Invariant;
use crate::virtual_device::faults::run::run_on;
use crate::virtual_device::faults::{Plan, Summary};
use crate::virtual_device::flash::{Cut, FlashFault, FlashHandle, Moment};
use crate::virtual_device::tear::Tear;
use crate::virtual_device::tests::OTADATA;

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sabotage {
    /// An install erases the entry of the running slot, too.
    TouchesTheRunningEntry,
    /// The image is hashed as it was written, and not as it stands in flash.
    SkipsTheReadBack,
    /// An entry of `otadata` is programmed in two halves.
    SplitsTheEntry,
    /// The trial is armed when the radio is up.
    ArmsAfterTheRadio,
    /// A last resort resets itself.
    ResetsAsLastResort,
    /// VALID is believed whatever the label says.
    BelievesValid,
    /// Nothing is settled before an install.
    SkipsSettling,
}

/// A board on which one thing is wrong.
struct Wrong(Sabotage);

impl Board for Wrong {
    type Flash = WrongFlash;

    fn flash(&self, chip: &FlashHandle) -> WrongFlash {
        WrongFlash { chip: chip.clone(), sabotage: self.0, memory: Rc::default() }
    }

    fn starts_radio_first(&self) -> bool {
        self.0 == Sabotage::ArmsAfterTheRadio
    }

    fn resets_on(&self, boot: Boot) -> bool {
        self.0 == Sabotage::ResetsAsLastResort && boot == Boot::LastResort
    }
}

/// Flash as a wrong agent would use it.
#[derive(Clone)]
struct WrongFlash {
    chip: FlashHandle,
    sabotage: Sabotage,
    memory: Rc<RefCell<Memory>>,
}

#[derive(Default)]
struct Memory {
    /// What was written into slots since the start, by address.
    written: BTreeMap<u32, Vec<u8>>,
    /// An erase of an `otadata` sector that waits for what will be written there.
    erase: Option<u32>,
    /// A write that was swallowed: the one read that follows shall find it.
    swallowed: Option<(u32, Vec<u8>)>,
}

fn is_otadata(at: u32) -> bool {
    (OTADATA..OTADATA + 2 * SECTOR).contains(&at)
}

fn other(sector: u32) -> u32 {
    if sector == OTADATA { OTADATA + SECTOR } else { OTADATA }
}

impl WrongFlash {
    fn entry(&mut self, at: u32) -> Result<Entry, FlashFault> {
        let mut bytes = [0; ENTRY];
        self.chip.read(at, &mut bytes)?;
        Ok(Entry::decode(&bytes))
    }
}

impl ErrorType for WrongFlash {
    type Error = FlashFault;
}

impl ReadNorFlash for WrongFlash {
    const READ_SIZE: usize = FlashHandle::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        self.chip.read(offset, bytes)?;
        match self.sabotage {
            Sabotage::BelievesValid if is_otadata(offset) && bytes.len() == ENTRY => {
                let mut entry = Entry::decode(bytes.first_chunk().unwrap());
                if entry.state == State::Valid {
                    entry.label = Label::Ok;
                }
                bytes.copy_from_slice(&entry.encode());
            }
            Sabotage::SkipsTheReadBack => {
                for (at, data) in &self.memory.borrow().written {
                    for (byte, address) in data.iter().zip(*at..) {
                        let index = address.checked_sub(offset).and_then(|it| it.try_into().ok());
                        if let Some(place) = index.and_then(|index: usize| bytes.get_mut(index)) {
                            *place = *byte;
                        }
                    }
                }
            }
            Sabotage::SkipsSettling => {
                let mut memory = self.memory.borrow_mut();
                if let Some((_, data)) = memory.swallowed.take_if(|(at, _)| *at == offset) {
                    bytes.copy_from_slice(&data);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.chip.capacity()
    }
}

impl NorFlash for WrongFlash {
    const WRITE_SIZE: usize = FlashHandle::WRITE_SIZE;
    const ERASE_SIZE: usize = FlashHandle::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        match self.sabotage {
            Sabotage::TouchesTheRunningEntry if is_otadata(from) => {
                self.chip.erase(other(from), other(from) + SECTOR)?;
            }
            Sabotage::SkipsSettling if is_otadata(from) => {
                self.memory.borrow_mut().erase = Some(from);
                return Ok(());
            }
            _ => {}
        }
        self.memory.borrow_mut().written.retain(|at, _| !(from..to).contains(at));
        self.chip.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        if is_otadata(offset) && self.sabotage == Sabotage::SplitsTheEntry {
            let (first, second) = bytes.split_at(ENTRY / 2);
            self.chip.write(offset, first)?;
            return self.chip.write(offset + 16, second);
        }
        if is_otadata(offset) && self.sabotage == Sabotage::SkipsSettling {
            let entry = Entry::decode(bytes.first_chunk().unwrap());
            let known = [self.entry(OTADATA)?, self.entry(OTADATA + SECTOR)?];
            // A confirmation repeats the number of the trial; settling takes a new one.
            let settles = entry.state == State::Valid
                && known.iter().all(|known| known.sequence != entry.sequence);
            let erase = self.memory.borrow_mut().erase.take();
            if settles {
                self.memory.borrow_mut().swallowed = Some((offset, bytes.to_vec()));
                return Ok(());
            }
            if let Some(sector) = erase {
                self.chip.erase(sector, sector + SECTOR)?;
            }
        }
        if self.sabotage == Sabotage::SkipsTheReadBack && !is_otadata(offset) {
            self.memory.borrow_mut().written.insert(offset, bytes.to_vec());
        }
        self.chip.write(offset, bytes)
    }
}

/// Some case of this family, from this place, breaks this rule on the wrong board and none on the
/// right one. `choose` keeps the test short.
#[track_caller]
fn finds(
    sabotage: Sabotage,
    place: &str,
    family: Family,
    choose: impl Fn(&Case) -> bool,
    rule: Invariant,
) {
    let subject = subject();
    let place = Place::all().find(|known| known.to_string() == place).unwrap();
    let board = Wrong(sabotage);
    // Few enough for seconds, and every case of the families that count here.
    let mut plan = Plan::on(&subject, &board, &[place], &[family], 100_000, 2).unwrap();
    plan.cases.retain(|(case, _, _)| choose(case));
    let broken = |summary: Summary| -> BTreeSet<String> {
        let of_rule = summary.failures.into_iter().filter(|failure| failure.invariant == rule);
        of_rule.map(|failure| failure.seed).collect()
    };
    let wrong = broken(run_on(&subject, &plan, &board, 2, |_| {}));
    let right = broken(run_on(&subject, &plan, &AsShipped, 2, |_| {}));
    let found = wrong.difference(&right).count();
    assert!(found > 0, "{sabotage:?} breaks {rule:?} in none of {} cases", plan.cases.len());
}

const FIRST: &str = "first/no-rollback/no-factory";
const LAST_RESORT: &str = "last-resort/no-rollback/no-factory";

fn all(_: &Case) -> bool {
    true
}

#[test]
fn touching_the_entry_of_the_running_slot_is_found() {
    let sabotage = Sabotage::TouchesTheRunningEntry;
    finds(sabotage, FIRST, Family::Whole, all, Invariant::RunningIntact);
}

#[test]
fn trusting_what_was_written_instead_of_what_flash_holds_is_found() {
    let sabotage = Sabotage::SkipsTheReadBack;
    finds(sabotage, FIRST, Family::Worn, all, Invariant::OnlyPublished);
}

#[test]
fn an_entry_in_two_halves_is_found() {
    finds(Sabotage::SplitsTheEntry, FIRST, Family::Whole, all, Invariant::EntryWhole);
}

#[test]
fn a_trial_armed_after_the_radio_is_found() {
    finds(Sabotage::ArmsAfterTheRadio, FIRST, Family::Whole, all, Invariant::FallsBack);
}

#[test]
fn a_last_resort_that_resets_itself_is_found() {
    let sabotage = Sabotage::ResetsAsLastResort;
    finds(sabotage, LAST_RESORT, Family::Whole, all, Invariant::Completes);
}

#[test]
fn believing_valid_without_its_label_is_found() {
    // All of an entry is written but one bit: NEW without its second bit reads VALID.
    let is_all_but_one = |case: &Case| match case.fault {
        Fault::Power(Cut { moment: Moment::Torn(Tear::AllBut(_)), .. }, None) => {
            case.app == App::Hangs
        }
        _ => false,
    };
    let sabotage = Sabotage::BelievesValid;
    finds(sabotage, FIRST, Family::TornBits, is_all_but_one, Invariant::FallsBack);
}

#[test]
fn an_install_without_settling_first_is_found() {
    finds(Sabotage::SkipsSettling, LAST_RESORT, Family::Whole, all, Invariant::FallsBack);
}
