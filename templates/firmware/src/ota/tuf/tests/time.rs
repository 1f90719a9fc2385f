//! Expiry, freezing, and lies about the time.

use super::super::super::clock::{Source, unix_seconds};
use super::Device;
use super::repository::Repository;
use alloc::format;
use serde_json::json;

/// Of everything in the test repository, 2030-01-01.
const EXPIRES: u64 = 1_893_456_000;

#[test]
fn each_role_is_refused_from_the_second_it_expires() {
    for (role, versions) in [
        ("root", [0, 0, 0]),
        ("timestamp", [0, 0, 0]),
        ("snapshot", [1, 1, 0]),
        ("targets", [1, 1, 1]),
    ] {
        let mut repository = Repository::new();
        repository.signed(role)["expires"] = json!("2029-01-01T00:00:00Z");
        repository.publish_root();
        repository.publish();
        let expires = unix_seconds("2029-01-01T00:00:00Z").unwrap();
        let mut device = Device::of(&repository);
        device.sntp = expires.checked_sub(1);
        assert_eq!(device.clone().code(&mut repository), "ok", "{role}");
        device.sntp = Some(expires);
        assert_eq!(device.code(&mut repository), format!("expired-{role}"));
        assert_eq!(device.versions(), versions, "{role}");
    }
}

#[test]
fn an_expired_root_on_the_way_does_not_matter() {
    let mut repository = Repository::new();
    repository.root["expires"] = json!("2027-01-02T00:00:00Z");
    repository.publish_root();
    let mut device = Device::of(&repository);
    device.sntp = Some(1_830_000_000);
    assert_eq!(device.clone().code(&mut repository), "expired-root");
    repository.next_root();
    repository.root["expires"] = json!("2030-01-01T00:00:00Z");
    repository.next_root();
    assert_eq!(device.refresh(&mut repository).unwrap().root_version, 3);
}

#[test]
fn an_expired_newest_root_is_remembered_although_it_is_refused() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    repository.root["expires"] = json!("2026-01-01T00:00:00Z");
    repository.next_root();
    assert_eq!(device.code(&mut repository), "expired-root");
    assert_eq!(device.store.values["tuf_root"], repository.server.files["metadata/2.root.json"]);
    assert_eq!(device.versions(), [0, 0, 0]);
}

#[test]
fn a_repository_frozen_in_time_is_refused_once_it_expires() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    assert_eq!(device.code(&mut repository), "ok");
    repository.server.dates = [Some(EXPIRES), None];
    assert_eq!(device.code(&mut repository), "expired-root");
    repository.root["expires"] = json!("2040-01-01T00:00:00Z");
    repository.next_root();
    assert_eq!(device.code(&mut repository), "expired-timestamp");
}

#[test]
fn a_far_future_date_stops_one_run_and_leaves_nothing_behind() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    assert_eq!(device.code(&mut repository), "ok");
    let before = device.store.values.clone();
    repository.server.dates = [Some(u64::MAX); 2];
    assert_eq!(device.code(&mut repository), "expired-root");
    assert_eq!(device.clock.source(), Source::Date);
    assert_eq!(device.store.values, before);
    repository.server.dates = [None; 2];
    assert_eq!(device.code(&mut repository), "ok");
}

#[test]
fn a_far_future_sntp_answer_stops_one_run_as_well() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    device.sntp = Some(u64::MAX);
    assert_eq!(device.code(&mut repository), "expired-root");
    assert!(device.store.values.is_empty());
    device.sntp = None;
    assert_eq!(device.code(&mut repository), "ok");
}

#[test]
fn a_past_date_does_not_revive_what_expired_below_the_floor() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    repository.timestamp["x-signed-at"] = json!("2029-06-01T00:00:00Z");
    repository.publish();
    assert_eq!(device.code(&mut repository), "ok");
    repository.targets["expires"] = json!("2029-05-31T00:00:00Z");
    repository.publish_next();
    repository.server.dates = [Some(1_000_000_000); 2];
    device.sntp = Some(5);
    assert_eq!(device.code(&mut repository), "expired-targets");
    assert_eq!(device.clock.source(), Source::Floor);
}

#[test]
fn only_the_first_answer_of_a_run_tells_the_time() {
    let mut repository = Repository::new();
    repository.server.dates = [None, Some(u64::MAX)];
    assert_eq!(Device::of(&repository).code(&mut repository), "ok");
}

#[test]
fn the_floor_comes_from_verified_timestamps_alone() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    repository.twist("timestamp", |document| {
        document["signed"]["x-signed-at"] = json!("2029-12-01T00:00:00Z");
    });
    assert_eq!(device.code(&mut repository), "threshold-timestamp");
    assert!(device.store.values.is_empty());
    // Signed, but nonsense: after its own end, not a time, not there at all.
    for nonsense in [json!("2030-01-01T00:00:00Z"), json!("soon"), json!(7), json!(null)] {
        repository.timestamp["x-signed-at"] = nonsense;
        repository.publish();
        assert_eq!(device.clone().code(&mut repository), "ok");
        let mut device = device.clone();
        device.refresh(&mut repository).unwrap();
        assert_eq!(device.clock.now(), super::BUILT);
    }
}

#[test]
fn an_older_signing_time_does_not_lower_the_floor() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    device.refresh(&mut repository).unwrap();
    let before = device.clock.now();
    repository.timestamp["x-signed-at"] = json!("2027-01-15T00:00:00Z");
    repository.publish_next();
    for _ in 0..2 {
        device.refresh(&mut repository).unwrap();
        assert_eq!(device.clock.now(), before);
    }
}
