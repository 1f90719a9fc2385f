//! A download that the power interrupts goes on where it was, and never into a livelock.

use super::bench::{App, Bench, Faults, Memory, Ran, Repository, image_for};
use super::memory;
use crate::agent::agent::{Error, Outcome};
use crate::agent::install::InstallError;
use crate::agent::ports::TransportError;
use crate::agent::resume::STEP;
use crate::chip::Chip;
use crate::virtual_device::bootloader::Rollback;
use crate::virtual_device::flash::{Cut, Moment, VirtualFlash};

/// Two whole steps and a bit.
const LEN: usize = 0x25000;
/// Where the second slot begins.
const SLOT: usize = 0x40000;

fn repository() -> Repository {
    Repository::with(&[("1.1.0", image_for(Chip::Esp32c3, "1.1.0", LEN))])
}

fn poll(bench: &Bench, repository: &Repository, faults: Faults) -> (Ran, Vec<u32>) {
    let mut memory = Memory::new(repository, faults);
    let ran = bench.run(&mut memory, |_| App::Confirms).unwrap();
    (ran, memory.asked)
}

/// Sectors from the start of the second slot that were erased so far.
fn erased(bench: &Bench) -> u32 {
    let sector = SLOT / 4096;
    bench.device.flash().with(|flash| flash.erases()[sector..].iter().sum())
}

/// A device that lost its server for good after so many bytes of 1.1.0.
fn interrupted(repository: &Repository, bytes: usize) -> Bench {
    let bench = Bench::roomy(&repository.root, Rollback::Off);
    let drops_as = Some(TransportError::TooSlow);
    let faults = Faults { drops_after: Some(bytes), drops_as, ..Faults::default() };
    let (ran, asked) = poll(&bench, repository, faults);
    let slow = InstallError::Transport(TransportError::TooSlow);
    assert_eq!((ran.polled, asked), (Some(Err(Error::Install(slow))), vec![0]));
    bench
}

#[test]
fn the_next_poll_asks_for_what_is_missing_and_for_the_same_file() {
    let repository = repository();
    let step = usize::try_from(STEP).unwrap();
    for (bytes, from) in [(step - 1, 0), (step, STEP), (2 * step + 5, 2 * STEP)] {
        let bench = interrupted(&repository, bytes);
        // `Memory` insists on If-Range with the ETag of the first answer.
        let (ran, asked) = poll(&bench, &repository, Faults::default());
        assert_eq!((ran.polled, asked), (Some(Ok(Outcome::Installed)), vec![from]), "{bytes}");
        let (ran, _) = poll(&bench, &repository, Faults::default());
        assert_eq!(ran.version, "1.1.0");
        let mut store = memory::open(bench.device.flash());
        assert_eq!(memory::get(&mut store, "resume"), None, "forgotten once installed");
    }
}

#[test]
fn a_server_that_cannot_resume_starts_over() {
    let repository = repository();
    let bench = interrupted(&repository, 0x18000);
    let faults = Faults { ignores_ranges: true, ..Faults::default() };
    let (ran, asked) = poll(&bench, &repository, faults);
    assert_eq!((ran.polled, asked), (Some(Ok(Outcome::Installed)), vec![STEP]));
}

#[test]
fn a_torn_sector_inside_the_recorded_part_costs_one_download() {
    let repository = repository();
    let bench = interrupted(&repository, 0x18000);
    let mut bytes = bench.device.flash().with(|flash| flash.contents().to_vec());
    bytes[SLOT + 0x3000] ^= 0xff;
    let sound = VirtualFlash::with_contents(bytes);
    bench.device.flash().with(|flash| *flash = sound);
    let (ran, asked) = poll(&bench, &repository, Faults::default());
    assert_eq!(ran.polled, Some(Err(Error::Install(InstallError::Digest))));
    assert_eq!(asked, [STEP], "only the rest was asked for");
    let (ran, asked) = poll(&bench, &repository, Faults::default());
    assert_eq!((ran.polled, asked), (Some(Ok(Outcome::Installed)), vec![0]));
}

#[test]
fn another_release_is_not_glued_to_the_first_half_of_this_one() {
    let first = repository();
    let bench = interrupted(&first, 0x18000);
    let other = image_for(Chip::Esp32c3, "1.2.0", LEN);
    let both =
        Repository::with(&[("1.1.0", image_for(Chip::Esp32c3, "1.1.0", LEN)), ("1.2.0", other)]);
    let (ran, asked) = poll(&bench, &both, Faults::default());
    assert_eq!((ran.polled, asked), (Some(Ok(Outcome::Installed)), vec![0]));
    assert_eq!(poll(&bench, &both, Faults::default()).0.version, "1.2.0");
}

#[test]
fn a_record_that_lies_proves_nothing_and_is_forgotten() {
    let repository = repository();
    let bench = interrupted(&repository, 0x18000);
    // The slot is blank; the record still says that a block of it is there.
    let mut bytes = bench.device.flash().with(|flash| flash.contents().to_vec());
    bytes[SLOT..].fill(0xff);
    bench.device.flash().with(|flash| *flash = VirtualFlash::with_contents(bytes));
    let (ran, _) = poll(&bench, &repository, Faults::default());
    assert_eq!(ran.polled, Some(Err(Error::Install(InstallError::Digest))));
    let (ran, asked) = poll(&bench, &repository, Faults::default());
    assert_eq!((ran.polled, asked), (Some(Ok(Outcome::Installed)), vec![0]));
}

#[test]
fn what_is_in_flash_is_not_erased_again() {
    let repository = repository();
    let bench = interrupted(&repository, 0x18000);
    let before = erased(&bench);
    assert_eq!(poll(&bench, &repository, Faults::default()).0.polled, Some(Ok(Outcome::Installed)));
    // The block that was half full, and no other.
    assert_eq!(erased(&bench) - before, 16);
}

/// Cuts around each write of a record, and within it: the update completes, and the download never
/// goes on behind bytes that are not there.
#[test]
fn no_cut_around_a_record_stops_the_update() {
    let repository = repository();
    let whole = Bench::roomy(&repository.root, Rollback::Off);
    whole.device.flash().with(VirtualFlash::record);
    poll(&whole, &repository, Faults::default());
    // Operations on the agent's memory, and those next to them.
    let near: Vec<u64> = whole.device.flash().with(|flash| {
        let in_memory: Vec<bool> = flash
            .log()
            .iter()
            .map(|operation| (0x9000..0xe000).contains(&operation.start))
            .collect();
        let near = |at: usize| {
            let from = at.saturating_sub(2);
            in_memory[from..in_memory.len().min(at + 3)].iter().any(|it| *it)
        };
        let log = (0..in_memory.len()).filter(|at| near(*at));
        log.map(|at| u64::try_from(at).unwrap()).collect()
    });
    assert!(near.len() > 40, "{} operations", near.len());
    for operation in near {
        for moment in [Moment::Before, Moment::Inside, Moment::After] {
            let bench = Bench::roomy(&repository.root, Rollback::Off);
            let cut = Cut { operation, moment, seed: operation };
            bench.device.flash().with(|flash| {
                flash.record();
                flash.cut_at(cut);
            });
            let _ = bench.run(&mut Memory::new(&repository, Faults::default()), |_| App::Confirms);
            assert!(!bench.device.flash().with(|flash| flash.is_powered()), "{cut:?}");
            bench.device.flash().with(VirtualFlash::power_on);
            let versions: Vec<String> =
                (0..4).map(|_| poll(&bench, &repository, Faults::default()).0.version).collect();
            assert_eq!(versions.last().unwrap(), "1.1.0", "{cut:?}: {versions:?}");
        }
    }
}
