//! No fault of a small project loses the device, and every case replays.

use std::collections::BTreeSet;

use semver::Version;

use super::super::plan::MOST_CASES;
use super::super::*;
use crate::chip::Chip;
use crate::virtual_device::bootloader::BootTable;
use crate::virtual_device::tests::{FLASH, NVS, image, layout, runtime};

fn project(versions: &[&str]) -> Project {
    let image = |version: &&str| (version.parse::<Version>().unwrap(), image(version));
    Project {
        table: BootTable { layout: layout(), slot_rows: 2, has_otadata: true, test: None },
        nvs: NVS,
        flash_size: u32::try_from(FLASH).unwrap(),
        chip: Chip::Esp32c3,
        product: "bench".into(),
        channel: "stable".into(),
        images: versions.iter().map(image).collect(),
    }
}

pub(super) fn subject() -> Subject {
    runtime().block_on(Subject::prepare(project(&["1.1.0"]))).unwrap()
}

/// A share of all cases that takes seconds; `rehearse --faults` runs all of them.
const FEW: usize = 200;

#[test]
fn no_fault_loses_a_device_and_every_run_is_the_same() {
    let subject = subject();
    let plan = Plan::make(&subject, FEW, 2).unwrap();
    let summary = run(&subject, &plan, 2, |_| {});
    assert_eq!(summary.failures, []);
    assert_eq!(summary.total.cases, u64::try_from(plan.len()).unwrap());
    let fault = &summary.axes["fault"];
    assert_eq!(fault.len(), family::Family::ALL.len(), "every family is met: {fault:?}");
    assert_eq!(summary.axes["scenario"].len(), 5);
    for axis in ["bootloader", "factory"] {
        assert_eq!(summary.axes[axis].len(), 2, "{axis}");
    }

    let again = Plan::make(&subject, FEW, 1).unwrap();
    assert_eq!(again.cases, plan.cases);
    let seeds: BTreeSet<String> = plan.cases.iter().map(|(case, _, _)| case.to_string()).collect();
    assert_eq!(seeds.len(), plan.len(), "a seed names one case");
}

#[test]
fn a_large_run_is_bounded_and_says_what_it_left_out() {
    let subject = subject();
    let places = [Case { ..seed("first/no-rollback/no-factory/good/none") }.place];
    let families = [family::Family::TornWords, family::Family::Image];
    let plan = Plan::on(&subject, &board::AsShipped, &places, &families, 1000, 1).unwrap();
    let [words, image] = plan.sampled[..] else { panic!("{:?}", plan.sampled) };
    assert_eq!((words.cases, image.cases), (200, plan.len() - 200));
    assert!(words.possible > 2000, "{words:?}");
    assert!(image.possible <= 160 && image.cases == image.possible, "{image:?}");
    let all =
        Plan::on(&subject, &board::AsShipped, &places, &families, MOST_CASES.get(), 1).unwrap();
    assert!(all.sampled.iter().all(|family| family.cases == family.possible));
}

fn seed(text: &str) -> Case {
    text.parse().unwrap()
}

#[test]
fn a_seed_tells_every_step_and_is_the_same_every_time() {
    let subject = subject();
    let whole = seed("later/no-rollback/no-factory/good/none");
    let families = [family::Family::Otadata];
    let places = [whole.place];
    let plan =
        Plan::on(&subject, &board::AsShipped, &places, &families, MOST_CASES.get(), 1).unwrap();
    // The first operation on otadata is the erase before the switch.
    let is_torn = |case: &&Case| case.to_string().contains(":inside:") && case.app == whole.app;
    let case = *plan.cases.iter().map(|(case, _, _)| case).find(is_torn).unwrap();
    let first = replay(&subject, &case).unwrap();
    assert_eq!(first.failure, None);
    assert_eq!(replay(&subject, &case).unwrap(), first);
    let trace = first.trace.join("\n");
    for part in [
        "bootloader: entry 1 has the highest sound sequence 2",
        "agent: 0.0.0-rehearsal.2 runs, settled",
        "the power goes away",
        "agent erases 4096 bytes of otadata at 0xe000",
        "agent programs 32 bytes of nvs",
        "agent erases ota_0 from 0x10000",
        "agent: polls: a release was installed",
        "agent: 1.1.0 runs, on trial",
        "app: confirms",
        "agent: polls: nothing newer",
    ] {
        assert!(trace.contains(part), "no `{part}` in\n{trace}");
    }
}

#[test]
fn a_cut_that_is_never_reached_is_an_error_and_not_a_survival() {
    let far = seed("first/rollback/factory/good/power:100000:before");
    let error = replay(&subject(), &far).unwrap_err();
    assert!(matches!(error, FaultsError::Unreached { .. }), "{error}");
    let never = seed("first/rollback/factory/good/power:10:before+100000:before");
    assert!(matches!(replay(&subject(), &never).unwrap_err(), FaultsError::Unreached { .. }));
}

#[test]
fn published_images_are_taken_as_they_are_and_missing_ones_are_derived() {
    let part = |image: &subject::Image| (image.version.to_string(), image.is_derived);
    let parts = |versions: &[&str]| {
        let subject = runtime().block_on(Subject::prepare(project(versions))).unwrap();
        [subject.cable(), subject.previous(), subject.release()].map(part)
    };
    let of = |version: &str, is_derived| (version.to_owned(), is_derived);
    let (low, lower) = ("0.0.0-rehearsal.2", "0.0.0-rehearsal.1");
    assert_eq!(parts(&["1.1.0"]), [of(lower, true), of(low, true), of("1.1.0", false)]);
    assert_eq!(
        parts(&["1.0.0", "1.1.0"]),
        [of(lower, true), of("1.0.0", false), of("1.1.0", false)]
    );
    assert_eq!(
        parts(&["0.9.0", "1.0.0", "1.1.0", "2.0.0"]),
        [of("1.0.0", false), of("1.1.0", false), of("2.0.0", false)]
    );
    let none = runtime().block_on(Subject::prepare(project(&[])));
    assert!(matches!(none.unwrap_err(), FaultsError::NoRelease));
}

#[test]
fn a_factory_partition_is_added_behind_the_flash_or_taken_away() {
    let subject = subject();
    let (without, size) = subject.table(false);
    assert_eq!((without.layout.factory, size), (None, 0x30000));
    let (with, size) = subject.table(true);
    assert_eq!((with.layout.factory.unwrap().start, size), (0x30000, 0x40000));

    let mut own = project(&["1.1.0"]);
    own.table.layout.factory = own.table.layout.slot(0);
    let subject = runtime().block_on(Subject::prepare(own)).unwrap();
    assert_eq!(subject.table(true), (subject.project.table, 0x30000));
    assert_eq!(subject.table(false).0.layout.factory, None);
}

#[test]
fn a_table_that_cannot_carry_updates_is_refused_with_its_reason() {
    let mut one_slot = project(&["1.1.0"]);
    one_slot.table.layout.slots[1] = None;
    one_slot.table.slot_rows = 1;
    let subject = runtime().block_on(Subject::prepare(one_slot)).unwrap();
    let error = Plan::make(&subject, FEW, 2).unwrap_err();
    assert!(matches!(&error, FaultsError::Start { .. }), "{error}");
}

/// What the engine has found once, from places and in operations that the small run above may not
/// meet: an entry of `otadata` whose label and state are lost and whose number and CRC are not.
#[test]
fn a_torn_entry_without_its_label_does_not_make_an_image_confirmed() {
    let subject = subject();
    let places = [
        "first/no-rollback/no-factory",
        "after-fallback/rollback/no-factory",
        "given-up/no-rollback/factory",
    ];
    let places: Vec<_> = places.map(|place| seed(&format!("{place}/hangs/none")).place).into();
    let families = [family::Family::TornWords];
    let mut plan = Plan::on(&subject, &board::AsShipped, &places, &families, 1_000_000, 2).unwrap();
    // Words 0 and 7 are number and CRC, 1 and 2 begin the label, 6 is the state. A program that
    // writes the former only, and an erase that takes the latter only.
    let is_nameless = |case: &Case| {
        let text = case.to_string();
        [":words:129", ":words:70", ":words:126"].iter().any(|end| text.ends_with(end))
    };
    plan.cases.retain(|(case, _, _)| case.app == case::App::Hangs && is_nameless(case));
    assert!(plan.len() >= 30, "{}", plan.len());
    assert_eq!(run(&subject, &plan, 2, |_| {}).failures, []);
}
