//! What a boot is: settled, trial or last resort; and what an install does first.

use super::bench::{App, Bench, FLASH, Faults, Memory, NVS, Repository, image, layout, runtime};
use crate::agent::agent::{Error, Event, Outcome};
use crate::agent::install::{self, InstallError};
use crate::agent::layout::Running;
use crate::agent::nvs_store::NvsStore;
use crate::agent::otadata::{ENTRY, Entry, LAST_SEQUENCE, Label, State};
use crate::agent::trial::{self, Boot};
use crate::virtual_device::bootloader::Rollback;
use crate::virtual_device::flash::{FlashHandle, VirtualFlash};

fn blank() -> Entry {
    Entry::decode(&[0xff; ENTRY])
}

fn flash_with(entries: [Entry; 2]) -> VirtualFlash {
    let mut bytes = vec![0xff; FLASH];
    for (at, entry) in [0xe000, 0xf000].into_iter().zip(entries) {
        bytes[at..at + ENTRY].copy_from_slice(&entry.encode());
    }
    VirtualFlash::with_contents(bytes)
}

/// What a start from slot 0 makes of an entry for slot 0.
fn boot_of(state: State, label: Label) -> Boot {
    let mut flash = flash_with([Entry::new(1, state, label), blank()]);
    trial::start(&mut flash, &layout(), Running::Slot(0)).unwrap()
}

#[test]
fn only_valid_with_our_label_is_our_confirmation() {
    assert_eq!(boot_of(State::Valid, Label::Ok), Boot::Settled);
    for (state, label) in [
        (State::Valid, Label::Install),
        (State::Valid, Label::Trial),
        (State::Valid, Label::Foreign([7; 20])),
        (State::New, Label::Ok),
        (State::Undefined, Label::Ok),
        (State::New, Label::Install),
        (State::Unknown(9), Label::Blank),
    ] {
        assert!(matches!(boot_of(state, label), Boot::Trial(_)), "{state:?} {label:?}");
    }
}

#[test]
fn entries_of_other_tools_count_as_settled_unless_the_bootloader_waits() {
    for state in [State::Valid, State::Undefined, State::New] {
        assert_eq!(boot_of(state, Label::Blank), Boot::Settled, "{state:?}");
    }
    let Boot::Trial(trial) = boot_of(State::PendingVerify, Label::Blank) else { panic!() };
    assert!(trial.bootloader_rollback);
}

#[test]
fn a_trial_marks_its_own_entry_and_touches_nothing_else() {
    let old = Entry::new(1, State::Valid, Label::Ok);
    let mut flash = flash_with([old, Entry::new(2, State::New, Label::Install)]);
    let boot = trial::start(&mut flash, &layout(), Running::Slot(1)).unwrap();
    let Boot::Trial(trial) = boot else { panic!() };
    assert!(!trial.bootloader_rollback);
    let entries = trial::read(&mut flash, &layout()).unwrap();
    assert_eq!(entries, [old, Entry::new(2, State::Aborted, Label::Trial)]);
    assert_eq!(flash.erases().iter().sum::<u32>(), 1);

    trial::confirm(&mut flash, &layout(), trial).unwrap();
    let entries = trial::read(&mut flash, &layout()).unwrap();
    assert_eq!(entries, [old, Entry::new(2, State::Valid, Label::Ok)]);
}

#[test]
fn a_settled_boot_writes_nothing() {
    let mut flash = flash_with([Entry::new(1, State::Valid, Label::Ok), blank()]);
    trial::start(&mut flash, &layout(), Running::Slot(0)).unwrap();
    assert_eq!(trial::start(&mut flash, &layout(), Running::Factory), Ok(Boot::Settled));
    assert_eq!(flash.operations(), 0);
}

#[test]
fn an_image_that_nothing_selects_is_the_last_resort_and_settles_on_confirm() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    for rollback in [Rollback::Off, Rollback::On] {
        let both_given_up = [
            Entry::new(1, State::Aborted, Label::Trial),
            Entry::new(2, State::Invalid, Label::Blank),
        ];
        let bench = Bench::new(&repository.root, rollback);
        let bench = bench.with_entries(&repository.root, both_given_up, rollback);
        let mut agent = bench.device.start().unwrap().agent;
        assert_eq!(agent.boot(), Boot::LastResort);
        agent.confirm().unwrap();
        assert_eq!(agent.boot(), Boot::Settled);
        assert!(bench.entries().contains(&Entry::new(3, State::Valid, Label::Ok)));
        let again = bench.device.start().unwrap().agent;
        assert_eq!(again.boot(), Boot::Settled);
    }
}

#[test]
fn an_install_settles_first_where_the_bootloader_fell_back_by_itself() {
    // Slot 1 is selected and empty, so slot 0 runs; slot 0's own entry is gone.
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    let bench = Bench::new(&repository.root, Rollback::Off);
    let selects_slot_1 = Entry::new(2, State::Valid, Label::Ok);
    let bench = bench.with_entries(&repository.root, [blank(), selects_slot_1], Rollback::Off);
    let mut agent = bench.device.start().unwrap().agent;
    assert_eq!(agent.boot(), Boot::LastResort);
    let mut memory = Memory::new(&repository, Faults::default());
    let polled = runtime().block_on(agent.poll(&mut memory, None, &mut |_| {}));
    assert_eq!(polled, Ok(Outcome::Installed));
    // 3 selects slot 0 and settles it; 4 selects slot 1 and installs.
    assert_eq!(
        bench.entries(),
        [Entry::new(3, State::Valid, Label::Ok), Entry::new(4, State::New, Label::Install)]
    );
}

#[test]
fn an_install_never_touches_the_entry_of_the_running_slot() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    let bench = Bench::new(&repository.root, Rollback::Off);
    let before = bench.device.flash().with(|flash| flash.erases()[0xe]);
    let [own, _] = bench.entries();
    let ran = bench.run(&mut Memory::new(&repository, Faults::default()), |_| App::Hangs).unwrap();
    assert_eq!(ran.polled, Some(Ok(Outcome::Installed)));
    assert_eq!(bench.entries()[0], own);
    assert_eq!(bench.device.flash().with(|flash| flash.erases()[0xe]), before);
}

#[test]
fn a_used_up_counter_refuses_the_install_before_anything_is_erased() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    let bench = Bench::new(&repository.root, Rollback::Off);
    let last = Entry::new(LAST_SEQUENCE - 1, State::Valid, Label::Ok);
    // 0xfffffffd selects slot 0; slot 1 would need 0xfffffffe, which is there but discarded.
    let used = Entry::new(LAST_SEQUENCE, State::Aborted, Label::Trial);
    let bench = bench.with_entries(&repository.root, [last, used], Rollback::Off);
    let ran = bench.run(&mut Memory::new(&repository, Faults::default()), |_| App::Hangs).unwrap();
    assert_eq!(ran.polled, Some(Err(Error::Install(InstallError::SequenceExhausted))));
    assert_eq!(bench.entries(), [last, used]);
    let slot_1 = bench.device.flash().with(|flash| flash.contents()[0x20000..0x30000].to_vec());
    assert!(slot_1.iter().all(|byte| *byte == 0xff));
}

#[test]
fn a_trial_does_not_install_anything() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    let bench = Bench::new(&repository.root, Rollback::Off);
    let memory = &mut Memory::new(&repository, Faults::default());
    bench.run(memory, |_| App::Hangs).unwrap();
    let mut agent = bench.device.start().unwrap().agent;
    assert!(matches!(agent.boot(), Boot::Trial(_)));
    let polled = runtime().block_on(agent.poll(memory, None, &mut |_| {}));
    assert_eq!(polled, Err(Error::OnTrial));
}

#[test]
fn a_release_that_rejects_itself_is_never_taken_again_and_an_older_one_is_reported() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    for rollback in [Rollback::Off, Rollback::On] {
        let bench = Bench::new(&repository.root, rollback);
        let run = || {
            bench.run(&mut Memory::new(&repository, Faults::default()), |_| App::Rejects).unwrap()
        };
        assert_eq!(run().polled, Some(Ok(Outcome::Installed)));
        assert_eq!(run().version, "1.1.0");
        let back = run();
        assert_eq!(back.version, "1.0.0");
        assert_eq!(back.polled, Some(Ok(Outcome::UpToDate)));
        assert!(back.events.contains(&Event::FellBack { version: "1.1.0".into() }));
        assert!(!run().events.contains(&Event::FellBack { version: "1.1.0".into() }), "said once");
    }
}

#[test]
fn three_slots_take_turns_and_a_single_one_is_refused() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    let flash = FlashHandle::new(flash_with([Entry::new(1, State::Valid, Label::Ok), blank()]));
    let mut store = NvsStore::open(flash.clone(), NVS).unwrap();
    let before = flash.with(|flash| flash.operations());
    let mut one = layout();
    one.slots[1] = None;
    let mut memory = Memory::new(&repository, Faults::default());
    let wanted = install::Wanted {
        path: "x",
        len: 1,
        sha256: [0; 32],
        chip_id: 5,
        chip_revision: 0,
        min_chip_revision: 0,
    };
    let running = Running::Slot(0);
    let fetched = runtime().block_on(install::fetch(
        &mut flash.clone(),
        &mut store,
        &one,
        running,
        &wanted,
        &mut memory,
        &mut |_| {},
    ));
    assert_eq!(fetched, Err(InstallError::NoOtherSlot));
    assert_eq!(flash.with(|flash| flash.operations()), before);
}
