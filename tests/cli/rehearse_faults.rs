//! `rehearse --faults`: a few of its cases, and its contract.

use serde::Deserialize;
use std::collections::BTreeMap;

use crate::harness::Project;
use crate::rehearse::published;

#[derive(Debug, Deserialize)]
struct Count {
    cases: u64,
    lost: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    product: String,
    read_from: String,
    images: Vec<Image>,
    rehearsed_with_own_agent: bool,
    cases: u64,
    lost: u64,
    axes: BTreeMap<String, BTreeMap<String, Count>>,
    sampled: Vec<Sampled>,
    failures: Vec<serde_json::Value>,
    jobs: usize,
    seconds: u64,
    cases_per_second: u64,
}

#[derive(Debug, Deserialize)]
struct Image {
    part: String,
    version: String,
    derived: bool,
}

#[derive(Debug, Deserialize)]
struct Sampled {
    family: String,
    possible: u64,
    cases: u64,
}

#[derive(Debug, Deserialize)]
struct Replay {
    seed: String,
    survived: bool,
    trace: Vec<String>,
}

#[test]
fn every_kind_of_fault_is_survived_and_counted() {
    let project = published(&["1.0.0", "1.1.0"]);
    project
        .run(["rehearse", "--faults", "--cases", "100", "--jobs", "2", "--format", "json", "-q"])
        .exits(0)
        .json(|report: Report| {
            assert_eq!(
                (report.product.as_str(), report.read_from.as_str()),
                ("thermostat", "dir:dist")
            );
            let parts: Vec<_> =
                report.images.iter().map(|it| (&*it.part, &*it.version, it.derived)).collect();
            let derived = ("first install", "0.0.0-rehearsal.1", true);
            let previous = ("earlier update", "1.0.0", false);
            assert_eq!(parts, [derived, previous, ("release under test", "1.1.0", false)]);
            assert!(report.rehearsed_with_own_agent);
            assert!((80..=130).contains(&report.cases), "{}", report.cases);
            assert_eq!((report.lost, report.failures.len()), (0, 0));
            for axis in ["bootloader", "factory", "fault", "image", "moment", "network", "scenario"]
            {
                let values = &report.axes[axis];
                assert!(values.values().all(|count| count.cases > 0 && count.lost == 0), "{axis}");
            }
            let total: u64 = report.axes["scenario"].values().map(|count| count.cases).sum();
            assert_eq!(total, report.cases);
            let words = report.sampled.iter().find(|it| it.family == "torn-words").unwrap();
            assert!(words.cases == 20 && words.possible > 10_000, "{words:?}");
            assert_eq!(report.jobs, 2);
            assert!(report.seconds > 0 && report.cases_per_second <= report.cases);
        })
        .stderr("");
}

#[test]
fn a_seed_is_replayed_with_every_step() {
    let project = published(&["1.1.0"]);
    let seed = "first/no-rollback/no-factory/good/network:image:corrupted:100";
    project
        .run(["rehearse", "--faults", "--seed", seed, "-q"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("hash-mismatch-target")
                && text.contains("agent: polls: a release was installed")
                && text.ends_with("survived\n")
        })
        .stderr("");
    project.run(["rehearse", "--faults", "--seed", seed, "--format", "json", "-q"]).exits(0).json(
        |replay: Replay| {
            assert_eq!((replay.seed.as_str(), replay.survived), (seed, true));
            assert!(replay.trace.len() > 10);
        },
    );
}

#[test]
fn a_seed_of_nothing_is_a_usage_error() {
    let project = published(&["1.1.0"]);
    for fault in ["power:99999:before", "worn:4294967295", "network:image:corrupted:99999999"] {
        let seed = format!("first/rollback/factory/good/{fault}");
        project
            .run(["rehearse", "--faults", "--seed", &seed])
            .exits(2)
            .stderr_is(|text| text.contains("a fault that this project's update never meets"));
    }
    project
        .run(["rehearse", "--faults", "--seed", "first"])
        .exits(2)
        .stderr_is(|text| text.contains("`first` is not the seed of a case"));
    for arguments in [
        &["rehearse", "--seed", "first/rollback/factory/good/none"][..],
        &["rehearse", "--cases", "5"],
        &["rehearse", "--faults", "--from", "none"],
        &["rehearse", "--faults", "--cases", "0"],
        &["rehearse", "--faults", "--jobs", "0"],
        &["rehearse", "--faults", "--jobs", "257"],
    ] {
        let ran = project.run(arguments.iter().copied()).exits(2);
        ran.stdout("").stderr_is(|text| {
            text.contains("--faults") || text.contains("--cases") || text.contains("--jobs")
        });
    }
}

#[test]
fn without_a_release_there_is_nothing_to_try() {
    Project::made()
        .run(["rehearse", "--faults"])
        .exits(1)
        .stderr_is(|text| text.contains("has no release of `thermostat`"));
}
