//! What a well-behaved repository gives, and what is asked of it.

use super::super::super::clock::Source;
use super::super::super::ports::TransportError;
use super::super::Kind;
use super::Device;
use super::repository::{Repository, hex};
use serde_json::json;

#[test]
fn a_first_refresh_asks_for_each_role_once_and_in_order() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    let trusted = device.refresh(&mut repository).unwrap();
    assert_eq!(
        repository.server.asked,
        [
            "metadata/2.root.json",
            "metadata/timestamp.json",
            "metadata/1.snapshot.json",
            "metadata/1.targets.json"
        ]
    );
    assert_eq!((trusted.root_version, trusted.consistent_snapshot), (1, true));
    let target = trusted.targets.find("t-1.1.0.bin").unwrap();
    assert_eq!((target.length(), target.sha256()), (9, Some([0xab; 32])));
    assert!(trusted.targets.find("t-9.9.9.bin").is_none());
    assert_eq!(device.versions(), [1, 1, 1]);
}

#[test]
fn without_consistent_snapshots_files_have_plain_names() {
    let mut repository = Repository::new();
    repository.root["consistent_snapshot"] = json!(false);
    repository.publish_root();
    let mut device = Device::of(&repository);
    let trusted = device.refresh(&mut repository).unwrap();
    assert_eq!(repository.server.asked[2..], ["metadata/snapshot.json", "metadata/targets.json"]);
    let target = trusted.targets.find("t-1.1.0.bin").unwrap();
    assert_eq!(target.path(false).as_deref(), Some("targets/t-1.1.0.bin"));
}

#[test]
fn listed_lengths_and_hashes_are_met_by_what_is_served() {
    let mut repository = Repository::new();
    repository.listed = true;
    repository.publish();
    assert_eq!(Device::of(&repository).code(&mut repository), "ok");
}

#[test]
fn an_unchanged_repository_is_read_again_without_an_error() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    for _ in 0..3 {
        assert!(device.refresh(&mut repository).unwrap().targets.find("t-1.1.0.bin").is_some());
    }
    assert_eq!(device.versions(), [1, 1, 1]);
}

#[test]
fn what_is_remembered_is_one_root_and_50_bytes() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    device.refresh(&mut repository).unwrap();
    assert_eq!(device.store.values.keys().collect::<alloc::vec::Vec<_>>(), ["tuf_state"]);
    assert_eq!(device.store.values["tuf_state"].len(), 50);
    repository.next_root();
    device.refresh(&mut repository).unwrap();
    assert_eq!(device.store.values["tuf_root"], repository.server.files["metadata/2.root.json"]);
    assert_eq!(device.store.values.len(), 2);
}

#[test]
fn unknown_fields_are_ignored_and_still_signed() {
    let mut repository = Repository::new();
    repository.targets["x-later"] = json!({ "b": [1, { "z": null, "a": true }], "a": "\"\\" });
    repository.publish();
    assert_eq!(Device::of(&repository).code(&mut repository), "ok");
    repository.twist("targets", |document| document["signed"]["x-later"] = json!(0));
    assert_eq!(Device::of(&repository).code(&mut repository), "threshold-targets");
}

#[test]
fn a_body_of_unknown_length_is_read_to_its_end() {
    let mut repository = Repository::new();
    repository.targets["x-long"] = json!("x".repeat(20_000));
    repository.publish();
    repository.server.chunked = true;
    assert_eq!(Device::of(&repository).code(&mut repository), "ok");
}

#[test]
fn a_body_that_breaks_off_is_the_network_and_not_an_attack() {
    let mut repository = Repository::new();
    repository.server.broken_after = Some(700);
    let error = Device::of(&repository).refresh(&mut repository).unwrap_err();
    assert_eq!((error.code().as_str(), error.kind()), ("unreachable", Kind::Network));
    assert!(!error.is_trust());
}

#[test]
fn a_server_that_cannot_prove_itself_is_a_matter_of_trust() {
    let mut repository = Repository::new();
    let failure = Err(TransportError::Untrusted);
    repository.server.failures.insert("metadata/timestamp.json".into(), failure);
    let error = Device::of(&repository).refresh(&mut repository).unwrap_err();
    assert_eq!((error.code().as_str(), error.is_trust()), ("untrusted-tls", true));
}

#[test]
fn a_missing_file_is_reported_with_its_status() {
    for (path, versions) in [
        ("metadata/timestamp.json", [0, 0, 0]),
        ("metadata/1.snapshot.json", [1, 1, 0]),
        ("metadata/1.targets.json", [1, 1, 1]),
    ] {
        let mut repository = Repository::new();
        repository.server.files.remove(path);
        let mut device = Device::of(&repository);
        let error = device.refresh(&mut repository).unwrap_err();
        assert_eq!((error.code().as_str(), error.kind()), ("status-404", Kind::Network), "{path}");
        assert_eq!(device.versions(), versions, "{path}");
    }
}

#[test]
fn a_store_that_fails_at_any_write_is_an_error_and_the_next_run_heals_it() {
    let mut repository = Repository::new();
    let fresh = Device::of(&repository);
    repository.next_root();
    for writes in 0..3 {
        let mut device = fresh.clone();
        device.store.writes_left = Some(writes);
        let error = device.refresh(&mut repository).unwrap_err();
        assert_eq!((error.code().as_str(), error.kind()), ("store", Kind::Store), "{writes}");
        device.store.writes_left = None;
        assert_eq!(device.code(&mut repository), "ok", "{writes}");
        assert_eq!(device.versions(), [1, 1, 1]);
    }
}

#[test]
fn a_damaged_store_is_said_and_never_taken_for_an_empty_one() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    repository.next_root();
    device.refresh(&mut repository).unwrap();
    for (key, code) in
        [("tuf_root", "stored-root-malformed"), ("tuf_state", "stored-state-damaged")]
    {
        let mut damaged = device.clone();
        damaged.store.values.get_mut(key).unwrap().truncate(40);
        let error = damaged.refresh(&mut repository).unwrap_err();
        assert_eq!((error.code().as_str(), error.kind()), (code, Kind::Store));
    }
    let mut damaged = device.clone();
    damaged.store.values.get_mut("tuf_state").unwrap()[0] = 9;
    assert_eq!(damaged.code(&mut repository), "stored-state-damaged");
    let root = device.store.values.get_mut("tuf_root").unwrap();
    let text = core::str::from_utf8(root).unwrap().replace("2030-01-01", "2031-01-01");
    *root = text.into();
    assert_eq!(device.code(&mut repository), "stored-root-threshold");
}

#[test]
fn an_embedded_root_that_is_none_stops_the_device_before_it_asks_anything() {
    let mut repository = Repository::new();
    let mut unsigned = repository.clone();
    unsigned.signers.insert("root", [9].into());
    unsigned.publish_root();
    for (embedded, code) in [
        (b"{}".to_vec(), "embedded-root-invalid"),
        (repository.document("timestamp"), "embedded-root-wrong-type"),
        (unsigned.server.files["metadata/1.root.json"].clone(), "embedded-root-threshold"),
    ] {
        let mut device = Device::of(&repository);
        device.embedded = embedded;
        let error = device.refresh(&mut repository).unwrap_err();
        assert_eq!((error.code().as_str(), error.kind()), (code, Kind::Firmware));
        assert!(repository.server.asked.is_empty());
    }
}

#[test]
fn the_clock_says_where_the_time_came_from() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    device.refresh(&mut repository).unwrap();
    // 2027-02-01: `x-signed-at` is later than the build.
    assert_eq!((device.clock.now(), device.clock.source()), (1_801_440_000, Source::Floor));
    device.sntp = Some(1_801_440_001);
    device.refresh(&mut repository).unwrap();
    assert_eq!((device.clock.now(), device.clock.source()), (1_801_440_001, Source::Sntp));
    repository.server.dates = [Some(1_801_440_002), Some(u64::MAX)];
    device.refresh(&mut repository).unwrap();
    assert_eq!((device.clock.now(), device.clock.source()), (1_801_440_002, Source::Date));
    assert_eq!(
        hex(&1_801_440_000_u64.to_be_bytes()),
        hex(&device.store.values["tuf_state"][25..33])
    );
}
