//! Each thing that a server can do wrong has a reason of its own, which reaches the report and is
//! described in `docs/reference/agent-reasons.md`.

use std::collections::BTreeSet;

use super::bench::{App, Bench, Faults, Memory, Repository, image, image_for, now, runtime};
use super::errors::errors;
use crate::agent::agent::Error;
use crate::agent::image::ImageError;
use crate::agent::install::InstallError;
use crate::agent::ports::TransportError;
use crate::agent::tuf::{self, Refusal, Role};
use crate::chip::Chip;
use crate::virtual_device::bootloader::Rollback;

fn repository() -> Repository {
    Repository::with(&[("1.1.0", image("1.1.0"))])
}

/// What a device at 1.0.0 reports of one poll.
fn told(repository: &Repository, faults: Faults) -> String {
    let bench = Bench::new(&repository.root, Rollback::Off);
    bench.run(&mut Memory::new(repository, faults), |_| App::Hangs).unwrap();
    let heard = bench.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard[0].clone()
}

#[test]
fn every_wrong_server_has_a_reason_of_its_own_that_reaches_the_report() {
    let whole = Faults::default();
    let down = |error| Faults { down: Some(error), ..whole };
    let drops = |error| Faults { drops_after: Some(100), drops_as: Some(error), ..whole };
    let mut swapped = repository();
    swapped.target("1.1.0")[5000] ^= 1;
    let other_chip = Repository::with(&[("1.1.0", image_for(Chip::Esp32c6, "1.1.0", 9000))]);
    let other_product = Repository::with(&[("1.1.0-kettle", image("1.1.0-kettle"))]);
    let good = repository();
    let mut seen = BTreeSet::new();
    for (repository, faults, expected) in [
        (&good, down(TransportError::Unreachable), "failed - unreachable"),
        (&good, down(TransportError::TooSlow), "failed - too-slow"),
        (&good, down(TransportError::Untrusted), "refused - untrusted-tls"),
        (&good, drops(TransportError::Truncated), "failed 1.1.0 truncated"),
        (&good, Faults { status: Some(302), ..whole }, "failed 1.1.0 status-302"),
        (&good, Faults { status: Some(503), ..whole }, "failed 1.1.0 status-503"),
        (&good, Faults { appends: 1, ..whole }, "refused 1.1.0 length-mismatch-target"),
        (
            &good,
            Faults { appends: 9999, unannounced: true, ..whole },
            "refused 1.1.0 endless-target",
        ),
        (&good, Faults { truncates: 1, unannounced: true, ..whole }, "refused 1.1.0 short-target"),
        (&swapped, whole, "refused 1.1.0 hash-mismatch-target"),
        (&other_chip, whole, "refused 1.1.0 image-chip"),
        (&other_product, whole, "refused - foreign-product"),
    ] {
        let told = told(repository, faults);
        assert_eq!(told, expected);
        assert!(seen.insert(told.rsplit(' ').next().unwrap().to_owned()), "{told} twice");
    }
}

#[test]
fn replayed_older_expired_and_foreign_metadata_are_told_apart() {
    let older = repository();
    let newer = Repository::with(&[("1.1.0", image("1.1.0")), ("1.2.0", image("1.2.0"))]);
    let bench = Bench::new(&newer.root, Rollback::Off);
    {
        let mut agent = bench.device.start().unwrap().agent;
        let year = 366 * 24 * 3600;
        let late = u64::try_from(now().as_second()).unwrap() + year;
        let mut memory = Memory::new(&newer, Faults::default());
        let mut quiet = |_| {};
        let polled = agent.poll(&mut memory, Some(late), &mut quiet);
        runtime().block_on(polled).unwrap_err();
        runtime().block_on(agent.deliver(&mut &bench.collector)).unwrap();
    }
    // This one is seen to the end, and what is older is known from then on.
    let stops = Faults { down: None, status: Some(404), ..Faults::default() };
    bench.run(&mut Memory::new(&newer, stops), |_| App::Hangs).unwrap();
    bench.run(&mut Memory::new(&older, Faults::default()), |_| App::Hangs).unwrap();
    assert_eq!(
        bench.heard(),
        ["refused - expired-timestamp", "failed 1.2.0 status-404", "refused - rollback-timestamp"]
    );
}

/// Every code that the agent can report.
fn codes() -> BTreeSet<String> {
    // A trial is not reported before its end, and the ends of trials have no error.
    let reported = errors().into_iter().filter(|error| *error != Error::OnTrial);
    let ends = ["self-test", "no-verdict", "no-network", "interrupted"];
    reported.map(|error| described(&error.code())).chain(ends.map(str::to_owned)).collect()
}

/// How the page writes a code that is made of parts.
fn described(code: &str) -> String {
    for (start, written) in [
        ("status-", "status-N"),
        ("stored-root-", "stored-root-…"),
        ("embedded-root-", "embedded-root-…"),
    ] {
        if code.starts_with(start) {
            return written.to_owned();
        }
    }
    code.replace("-root", "-ROLE")
}

#[test]
fn every_reason_is_described_and_every_described_reason_exists() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/agent-reasons.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, tables) = page.split_once("## Reasons of `fell-back`").unwrap();
    let rows = tables.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let described: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(described, codes());
}

#[test]
fn a_reason_says_once_whether_it_is_a_refusal() {
    let refused = Error::Metadata(tuf::Error::Refused(Role::Timestamp, Refusal::Hash));
    assert!(refused.is_refusal() && refused.is_trust());
    let mistake = Error::Install(InstallError::Image(ImageError::Checksum));
    assert!(mistake.is_refusal() && !mistake.is_trust());
    for weather in [
        Error::Metadata(tuf::Error::Status(503)),
        Error::Install(InstallError::Transport(TransportError::Truncated)),
        Error::Install(InstallError::FlashDigest),
        Error::Store,
    ] {
        assert!(!weather.is_refusal() && !weather.is_trust(), "{weather}");
    }
}
