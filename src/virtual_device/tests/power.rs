//! The power goes away before, inside and after every single flash operation of an update.

use super::bench::{App, Bench, Faults, Memory, Repository, image};
use crate::agent::agent::Outcome;
use crate::virtual_device::StartFault;
use crate::virtual_device::bootloader::Rollback;
use crate::virtual_device::flash::{Cut, Moment, VirtualFlash};

/// Power-ons after which a healthy device must have finished an interrupted update: boot and
/// install, trial, and one for each write that the cut may have lost.
const ENOUGH: usize = 6;

/// Runs until 1.1.0 is confirmed and up to date. Gives the flash operations after each power-on.
fn update(bench: &Bench, repository: &Repository) -> Vec<u64> {
    let mut operations = Vec::new();
    for _ in 0..ENOUGH {
        let ran = bench.run(&mut Memory::new(repository, Faults::default()), |_| App::Confirms);
        let ran = ran.expect("without a cut every start succeeds");
        operations.push(bench.device.flash().with(|flash| flash.operations()));
        if ran.version == "1.1.0" && ran.polled == Some(Ok(Outcome::UpToDate)) {
            return operations;
        }
    }
    panic!("1.1.0 does not run confirmed after {ENOUGH} power-ons");
}

/// Cuts the power at one operation of the update and checks that the device lives on.
fn survives(repository: &Repository, rollback: Rollback, cut: Cut) {
    let bench = Bench::new(&repository.root, rollback);
    bench.device.flash().with(|flash| flash.cut_at(cut));
    for _ in 0..ENOUGH {
        let ran = bench.run(&mut Memory::new(repository, Faults::default()), |_| App::Confirms);
        if !bench.device.flash().with(|flash| flash.is_powered()) {
            break;
        }
        ran.unwrap_or_else(|fault| panic!("{rollback:?} {cut:?}: {fault} with the power on"));
    }
    assert!(
        !bench.device.flash().with(|flash| flash.is_powered()),
        "{rollback:?} {cut:?} was never reached"
    );
    bench.device.flash().with(VirtualFlash::power_on);
    let version = match bench.device.start() {
        Ok(started) => started.agent.version().to_string(),
        Err(fault) => panic!("{rollback:?} {cut:?}: {fault}"),
    };
    assert!(["1.0.0", "1.1.0"].contains(&version.as_str()), "{rollback:?} {cut:?}: {version}");
    update(&bench, repository);
}

#[test]
fn no_cut_of_an_update_loses_the_device() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    for rollback in [Rollback::Off, Rollback::On] {
        let whole = Bench::new(&repository.root, rollback);
        let first = whole.device.flash().with(|flash| flash.operations());
        let last = *update(&whole, &repository).last().unwrap();
        assert!(last - first > 50, "an update has {} operations", last - first);
        for operation in first..last {
            for moment in [Moment::Before, Moment::Inside, Moment::After] {
                survives(&repository, rollback, Cut { operation, moment, seed: operation });
            }
        }
    }
}

#[test]
fn ten_torn_writes_in_a_row_do_not_lose_the_device_either() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    let bench = Bench::new(&repository.root, Rollback::Off);
    for seed in 0..10u64 {
        let operation = bench.device.flash().with(|flash| flash.operations()) + 7 + seed * 3;
        bench
            .device
            .flash()
            .with(|flash| flash.cut_at(Cut { operation, moment: Moment::Inside, seed }));
        while bench.device.flash().with(|flash| flash.is_powered()) {
            let memory = &mut Memory::new(&repository, Faults::default());
            match bench.run(memory, |_| App::Confirms) {
                Ok(ran) if ran.polled == Some(Ok(Outcome::UpToDate)) => break,
                Ok(_) | Err(StartFault::PowerCut) => {}
                Err(fault) => panic!("cut {seed}: {fault}"),
            }
        }
        bench.device.flash().with(VirtualFlash::power_on);
    }
    update(&bench, &repository);
}

#[test]
fn an_image_that_never_confirms_gives_way_after_one_reset() {
    let repository = Repository::with(&[("1.1.0", image("1.1.0"))]);
    for rollback in [Rollback::Off, Rollback::On] {
        let bench = Bench::new(&repository.root, rollback);
        let run = || {
            bench
                .run(&mut Memory::new(&repository, Faults::default()), |_| App::Hangs)
                .expect("the power stays on")
        };
        // A pause of one poll after the first trial, of four after the second.
        for (trial, pause) in [(1, 0), (2, 1), (3, 4)] {
            for poll in 0..pause {
                assert_eq!(run().polled, Some(Ok(Outcome::Waiting)), "{trial}, poll {poll}");
            }
            let first = run();
            assert_eq!(
                (first.version.as_str(), &first.polled),
                ("1.0.0", &Some(Ok(Outcome::Installed))),
                "{rollback:?}, trial {trial}"
            );
            assert_eq!(run().version, "1.1.0", "{rollback:?}, trial {trial}");
        }
        let after = run();
        assert_eq!(after.version, "1.0.0");
        assert_eq!(after.polled, Some(Ok(Outcome::UpToDate)), "three trials are enough");
    }
}
