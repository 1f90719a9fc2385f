//! How trials end without a verdict, and how often a release is tried again.

use super::bench::{App, Bench, Faults, Memory, Ran, Repository, image};
use crate::agent::agent::Outcome;
use crate::agent::ports::TransportError;
use crate::agent::reset::ResetReason;
use crate::virtual_device::bootloader::Rollback;

fn repository() -> Repository {
    Repository::with(&[("1.1.0", image("1.1.0"))])
}

fn run(bench: &Bench, repository: &Repository, app: App, down: Option<TransportError>) -> Ran {
    let faults = Faults { down, ..Faults::default() };
    bench.run(&mut Memory::new(repository, faults), |_| app).unwrap()
}

/// Polls until the release is installed again; gives the number of polls that paused.
fn pauses(bench: &Bench, repository: &Repository) -> u32 {
    for pause in 0..1000 {
        match run(bench, repository, App::Hangs, None).polled {
            Some(Ok(Outcome::Waiting)) => {}
            Some(Ok(Outcome::Installed)) => return pause,
            other => panic!("{other:?} after {pause} pauses"),
        }
    }
    panic!("it is never tried again");
}

#[test]
fn a_release_that_crashes_three_times_is_remembered_and_pauses_grow_before_that() {
    let repository = repository();
    for rollback in [Rollback::Off, Rollback::On] {
        let bench = Bench::new(&repository.root, rollback);
        for pause in [0, 1, 4] {
            assert_eq!(pauses(&bench, &repository), pause, "{rollback:?}");
            assert_eq!(run(&bench, &repository, App::Hangs, None).version, "1.1.0");
        }
        for _ in 0..100 {
            let polled = run(&bench, &repository, App::Hangs, None).polled;
            assert_eq!(polled, Some(Ok(Outcome::UpToDate)));
        }
        let ends = bench.heard().iter().filter(|it| *it == "fell-back 1.1.0 no-verdict").count();
        assert_eq!(ends, 3);
    }
}

#[test]
fn a_server_that_is_down_during_any_number_of_trials_does_not_blacklist_the_release() {
    let repository = repository();
    let bench = Bench::new(&repository.root, Rollback::Off);
    // Each time the server answers polls and is away during the trial: three days, and more.
    for pause in [0, 1, 2, 4, 8, 16, 32, 64, 64, 64] {
        assert_eq!(pauses(&bench, &repository), pause);
        let trial = run(&bench, &repository, App::Reaches, Some(TransportError::Unreachable));
        assert_eq!((trial.version.as_str(), trial.polled), ("1.1.0", None));
    }
    // The server stays, and the release as well.
    assert_eq!(pauses(&bench, &repository), 64);
    assert_eq!(run(&bench, &repository, App::Reaches, None).version, "1.1.0");
    let settled = run(&bench, &repository, App::Hangs, None);
    assert_eq!((settled.version.as_str(), settled.polled), ("1.1.0", Some(Ok(Outcome::UpToDate))));
    let heard = bench.heard();
    assert_eq!(heard.iter().filter(|it| *it == "fell-back 1.1.0 no-network").count(), 10);
    assert_eq!(heard.last().unwrap(), "confirmed 1.1.0 -");
}

#[test]
fn a_server_that_comes_back_before_the_deadline_is_no_outage() {
    let repository = repository();
    let bench = Bench::new(&repository.root, Rollback::Off);
    assert_eq!(pauses(&bench, &repository), 0);
    {
        let mut agent = bench.device.start().unwrap().agent;
        agent.look_back(&mut |_| {}).unwrap();
        for down in [Some(TransportError::TooSlow), Some(TransportError::Unreachable), None] {
            let mut memory = Memory::new(&repository, Faults { down, ..Faults::default() });
            let reached = super::bench::runtime().block_on(agent.reach(&mut memory));
            assert_eq!(reached.is_ok(), down.is_none());
        }
        // And then it crashes, with the network there.
    }
    run(&bench, &repository, App::Hangs, None);
    assert!(bench.heard().contains(&"fell-back 1.1.0 no-verdict".into()), "{:?}", bench.heard());
}

#[test]
fn an_image_that_trusts_the_wrong_roots_is_held_guilty_of_it() {
    let repository = repository();
    let bench = Bench::new(&repository.root, Rollback::Off);
    for _ in 0..3 {
        pauses(&bench, &repository);
        run(&bench, &repository, App::Reaches, Some(TransportError::Untrusted));
    }
    assert_eq!(run(&bench, &repository, App::Hangs, None).polled, Some(Ok(Outcome::UpToDate)));
    let ends = bench.heard().iter().filter(|it| *it == "fell-back 1.1.0 untrusted-tls").count();
    assert_eq!(ends, 3);
}

#[test]
fn a_release_that_crashed_twice_and_then_stays_is_forgiven() {
    let repository = repository();
    let bench = Bench::new(&repository.root, Rollback::Off);
    for _ in 0..2 {
        pauses(&bench, &repository);
        run(&bench, &repository, App::Hangs, None);
    }
    pauses(&bench, &repository);
    run(&bench, &repository, App::Confirms, None);
    let mut agent = bench.device.start().unwrap().agent;
    agent.look_back(&mut |_| {}).unwrap();
    assert_eq!(agent.version().to_string(), "1.1.0");
    let mut store = super::memory::open(bench.device.flash());
    let rejections = crate::agent::rejections::Rejections::load(&mut store).unwrap();
    assert!(!format!("{rejections:?}").contains("trials"), "{rejections:?}");
}

#[test]
fn the_report_of_a_fallback_says_why_the_chip_started() {
    let repository = repository();
    let reasons = [
        (ResetReason::PowerOn, "power-on"),
        (ResetReason::BrownOut, "brown-out"),
        (ResetReason::Watchdog, "watchdog"),
        (ResetReason::Software, "software"),
        (ResetReason::DeepSleep, "deep-sleep"),
        (ResetReason::Unknown, "unknown"),
    ];
    for (rollback, word) in [(Rollback::Off, "no"), (Rollback::On, "yes")] {
        for (reason, name) in reasons {
            let bench = Bench::new(&repository.root, rollback);
            pauses(&bench, &repository);
            run(&bench, &repository, App::Hangs, None);
            let mut memory = Memory::new(&repository, Faults::default());
            bench.run_after(reason, &mut memory, |_| App::Hangs).unwrap();
            let last = bench.collector.borrow().heard.last().unwrap().clone();
            assert!(last.contains(&format!("\"reset-reason\":\"{name}\"")), "{last}");
            assert!(last.contains(&format!("\"bootloader-rollback\":\"{word}\"")), "{last}");
        }
    }
}
