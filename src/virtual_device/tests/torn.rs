//! A write torn so badly that it looks like something else: another tool's settled entry.

use super::bench::{App, Bench, Faults, Memory, Repository, image};
use crate::agent::agent::Outcome;
use crate::agent::otadata::{Entry, Label, State};
use crate::agent::trial::{self, Boot};
use crate::virtual_device::bootloader::Rollback;
use crate::virtual_device::flash::{Cut, Moment, VirtualFlash};
use crate::virtual_device::tear::Tear;

/// The first and the last of the eight words of an entry: sequence number and CRC, nothing else.
const NUMBER_AND_CRC: Tear = Tear::Words(0b1000_0001);

fn run(bench: &Bench, repository: &Repository, app: App) -> super::bench::Ran {
    bench.run(&mut Memory::new(repository, Faults::default()), |_| app).unwrap()
}

/// Cuts the power inside the program operation of the `nth` write to `otadata` from now on.
fn torn_at(repository: &Repository, rollback: Rollback, nth: usize) -> Bench {
    let runs = |bench: &Bench| {
        for _ in 0..3 {
            let memory = &mut Memory::new(repository, Faults::default());
            if bench.run(memory, |_| App::Confirms).is_err() || !powered(bench) {
                return;
            }
        }
    };
    let whole = Bench::new(&repository.root, rollback);
    whole.device.flash().with(VirtualFlash::record);
    runs(&whole);
    let operation = whole.device.flash().with(|flash| {
        let mut programs = flash.log().iter().enumerate().filter(|(_, operation)| {
            (0xe000..0x10000).contains(&operation.start) && !operation.is_erase
        });
        u64::try_from(programs.nth(nth).unwrap().0).unwrap()
    });
    let bench = Bench::new(&repository.root, rollback);
    let cut = Cut { operation, moment: Moment::Torn(NUMBER_AND_CRC), seed: 0 };
    bench.device.flash().with(|flash| {
        flash.record();
        flash.cut_at(cut);
    });
    runs(&bench);
    assert!(!powered(&bench), "the cut strikes");
    bench.device.flash().with(VirtualFlash::power_on);
    bench
}

fn powered(bench: &Bench) -> bool {
    bench.device.flash().with(|flash| flash.is_powered())
}

#[test]
fn an_install_torn_into_the_likeness_of_a_settled_entry_is_still_a_trial() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    for rollback in [Rollback::Off, Rollback::On] {
        let bench = torn_at(&repository, rollback, 0);
        let likeness = Entry::new(2, State::Undefined, Label::Blank);
        assert_eq!(bench.entries()[1], likeness, "{rollback:?}: exactly that flash content");

        let mut agent = bench.device.start().unwrap().agent;
        assert_eq!(agent.boot(), Boot::Settled, "without the memory nobody can tell");
        agent.look_back(&mut |_| {}).unwrap();
        assert!(matches!(agent.boot(), Boot::Trial(_)));
        assert_eq!(bench.entries()[1], Entry::new(2, State::Aborted, Label::Trial));
        drop(agent);
        // It hung: the old one is back, and the release gets its other chances.
        assert_eq!(run(&bench, &repository, App::Hangs).version, "1.0.0");
        assert_eq!(run(&bench, &repository, App::Hangs).polled, Some(Ok(Outcome::Installed)));
        assert_eq!(run(&bench, &repository, App::Confirms).version, "1.1.0");
        assert_eq!(bench.entries()[1].label, Label::Ok);
    }
}

#[test]
fn arming_and_confirming_torn_in_the_same_way_lead_to_another_trial() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    for nth in [1, 2] {
        let bench = torn_at(&repository, Rollback::Off, nth);
        assert_eq!(bench.entries()[1], Entry::new(2, State::Undefined, Label::Blank), "{nth}");
        let mut agent = bench.device.start().unwrap().agent;
        agent.look_back(&mut |_| {}).unwrap();
        assert!(matches!(agent.boot(), Boot::Trial(_)), "write {nth}");
        agent.confirm().unwrap();
        assert_eq!(bench.entries()[1], Entry::new(2, State::Valid, Label::Ok));
    }
}

#[test]
fn an_entry_of_another_tool_stays_settled_beside_an_install_of_ours() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    let bench = Bench::new(&repository.root, Rollback::Off);
    assert_eq!(run(&bench, &repository, App::Hangs).polled, Some(Ok(Outcome::Installed)));
    // Somebody flashes another image by cable now: a higher number, no label.
    let [_, ours] = bench.entries();
    let theirs = Entry::new(3, State::Undefined, Label::Blank);
    let bench = bench.with_entries(&repository.root, [theirs, ours], Rollback::Off);
    let mut agent = bench.device.start().unwrap().agent;
    agent.look_back(&mut |_| {}).unwrap();
    assert_eq!((agent.boot(), agent.version().to_string()), (Boot::Settled, "1.0.0".into()));
    let entries = trial::read(&mut bench.device.flash().clone(), &super::bench::layout()).unwrap();
    assert_eq!(entries, [theirs, ours]);
}
