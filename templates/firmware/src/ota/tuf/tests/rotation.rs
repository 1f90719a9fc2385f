//! New keys: honest rotations, stolen keys, and the recovery from both.

use super::super::STATE_KEY;
use super::Device;
use super::repository::{Repository, public};
use alloc::format;
use alloc::vec::Vec;
use serde_json::json;
use sha2::{Digest, Sha256};

fn at(repository: &Repository, device: &mut Device) -> (alloc::string::String, u64) {
    let code = device.code(&mut repository.clone());
    let stored = device.store.values.get("tuf_root").map_or(1, |root| {
        serde_json::from_slice::<serde_json::Value>(root).unwrap()["signed"]["version"]
            .as_u64()
            .unwrap()
    });
    (code, stored)
}

#[test]
fn the_root_is_followed_from_1_to_3_through_new_keys() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    // Version 2 introduces key 11, signed by the old and the new key; version 3 has only the new.
    repository.set_keys("root", 1, &[11]);
    repository.signers.insert("root", [1, 11].into());
    repository.next_root();
    repository.signers.insert("root", [11].into());
    repository.next_root();
    assert_eq!(at(&repository, &mut device), ("ok".into(), 3));
}

#[test]
fn a_new_root_needs_the_old_and_the_new_threshold() {
    type Keys = (&'static [u8], u64);
    let cases: [(Keys, Keys, &[u8], bool); 10] = [
        ((&[1], 1), (&[11], 1), &[11], false),
        ((&[1], 1), (&[11], 1), &[1], false),
        ((&[1], 1), (&[11], 1), &[1, 11], true),
        ((&[1], 1), (&[11], 1), &[9, 11, 8, 1], true),
        ((&[1, 11, 12], 2), (&[1, 11, 13], 2), &[1, 11], true),
        ((&[1, 11, 12], 2), (&[1, 11, 13], 2), &[11, 13], false),
        ((&[1, 11, 12], 2), (&[1, 11, 13], 2), &[11, 12], false),
        ((&[1, 11, 12], 2), (&[1, 11, 13], 2), &[11, 12, 13], true),
        ((&[1, 11, 12], 1), (&[1, 11, 12], 2), &[11], false),
        ((&[1, 11, 12], 2), (&[1, 11, 12], 1), &[11], false),
    ];
    for (old, new, signers, good) in cases {
        let mut repository = Repository::new();
        repository.set_keys("root", old.1, old.0);
        repository.publish_root();
        let mut device = Device::of(&repository);
        repository.set_keys("root", new.1, new.0);
        repository.signers.insert("root", signers.to_vec());
        repository.next_root();
        let expected = if good { ("ok".into(), 2) } else { ("threshold-root".into(), 1) };
        assert_eq!(at(&repository, &mut device), expected, "{old:?} {new:?} {signers:?}");
    }
}

#[test]
fn each_root_is_kept_as_soon_as_it_is_verified() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    repository.next_root();
    repository.signers.insert("root", [9].into());
    repository.next_root();
    assert_eq!(at(&repository, &mut device), ("threshold-root".into(), 2));
}

#[test]
fn a_root_of_another_version_than_its_name_is_refused() {
    for version in [1, 3, 4, u64::MAX] {
        let mut repository = Repository::new();
        let mut device = Device::of(&repository);
        repository.set_version("root", version);
        let document = repository.document("root");
        repository.server.files.insert("metadata/2.root.json".into(), document);
        assert_eq!(at(&repository, &mut device), ("version-mismatch-root".into(), 1), "{version}");
    }
}

#[test]
fn a_gap_between_roots_ends_the_chain_before_it() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    repository.next_root();
    repository.next_root();
    repository.server.files.remove("metadata/2.root.json");
    assert_eq!(at(&repository, &mut device), ("ok".into(), 1));
}

#[test]
fn only_403_and_404_mean_that_there_is_no_newer_root() {
    for (status, code) in [
        (403, "ok"),
        (404, "ok"),
        (500, "status-500"),
        (503, "status-503"),
        (410, "status-410"),
        (429, "status-429"),
        (301, "status-301"),
        (204, "status-204"),
        (206, "status-206"),
    ] {
        let mut repository = Repository::new();
        repository.server.failures.insert("metadata/2.root.json".into(), Ok(status));
        assert_eq!(Device::of(&repository).code(&mut repository), code);
    }
}

#[test]
fn a_run_follows_so_many_roots_and_the_next_goes_on() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    device.caps.rotations = 3;
    for _ in 0..4 {
        repository.next_root();
    }
    assert_eq!(at(&repository, &mut device), ("too-many-rotations-root".into(), 4));
    assert_eq!(at(&repository, &mut device), ("ok".into(), 5));
}

#[test]
fn a_newer_embedded_root_wins_over_an_older_stored_one() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    repository.next_root();
    device.refresh(&mut repository).unwrap();
    repository.next_root();
    device.embedded = repository.document("root");
    assert_eq!(device.refresh(&mut repository).unwrap().root_version, 3);
    assert_eq!(repository.server.asked[0], "metadata/4.root.json");
    device.embedded = repository.server.files["metadata/1.root.json"].clone();
    assert_eq!(device.refresh(&mut repository).unwrap().root_version, 3);
}

#[test]
fn every_other_role_takes_new_keys_from_the_root() {
    for role in ["timestamp", "snapshot", "targets"] {
        let mut repository = Repository::new();
        let mut device = Device::of(&repository);
        device.refresh(&mut repository).unwrap();
        // Two steps: two of three new keys, then one other.
        repository.set_keys(role, 2, &[21, 22, 23]);
        repository.next_root();
        assert_eq!(device.clone().code(&mut repository), format!("threshold-{role}"));
        repository.signers.insert(role, [23, 21].into());
        repository.publish_next();
        assert_eq!(device.code(&mut repository), "ok", "{role}");
        repository.set_keys(role, 1, &[24]);
        repository.next_root();
        repository.signers.insert(role, [21, 22, 23].into());
        repository.publish_next();
        assert_eq!(device.clone().code(&mut repository), format!("threshold-{role}"));
        repository.signers.insert(role, [24].into());
        repository.publish();
        assert_eq!(device.code(&mut repository), "ok", "{role}");
    }
}

#[test]
fn versions_run_up_by_a_thief_are_forgotten_with_the_stolen_keys() {
    for role in ["timestamp", "snapshot"] {
        let mut repository = Repository::new();
        let mut device = Device::of(&repository);
        for version in ["timestamp", "snapshot", "targets"] {
            repository.set_version(version, 1_000_000);
        }
        repository.timestamp["x-signed-at"] = json!("2029-12-31T00:00:00Z");
        repository.publish();
        assert_eq!(device.code(&mut repository), "ok");
        assert_eq!(device.versions(), [1_000_000; 3]);

        for version in ["timestamp", "snapshot", "targets"] {
            repository.set_version(version, 2);
        }
        repository.timestamp["x-signed-at"] = json!("2027-03-01T00:00:00Z");
        repository.publish();
        assert_eq!(device.clone().code(&mut repository), "rollback-timestamp");
        repository.set_keys(role, 1, &[31]);
        repository.next_root();
        repository.publish();
        assert_eq!(device.code(&mut repository), "ok", "{role}");
        assert_eq!(device.versions(), [2; 3]);
        assert_eq!(device.clock.now(), 1_803_859_200, "the date is forgotten as well");
    }
}

#[test]
fn new_root_or_targets_keys_forget_nothing() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    repository.publish_next();
    device.refresh(&mut repository).unwrap();
    repository.set_keys("root", 1, &[11]);
    repository.signers.insert("root", [1, 11].into());
    repository.set_keys("targets", 1, &[14]);
    repository.next_root();
    for role in ["timestamp", "snapshot", "targets"] {
        repository.set_version(role, 1);
    }
    repository.publish();
    assert_eq!(device.code(&mut repository), "rollback-timestamp");
}

#[test]
fn a_cut_between_the_new_root_and_the_rest_does_not_lose_the_recovery() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    repository.set_version("timestamp", 1_000_000);
    repository.publish();
    device.refresh(&mut repository).unwrap();
    repository.set_keys("timestamp", 1, &[31]);
    repository.next_root();
    repository.set_version("timestamp", 2);
    repository.publish();
    device.store.writes_left = Some(1);
    assert_eq!(device.code(&mut repository), "store");
    device.store.writes_left = None;
    assert_eq!(device.code(&mut repository), "ok");
}

/// What agents before this one stored: a hash over all keys before the versions.
fn hashed(device: &mut Device, keys: [u8; 2]) {
    let fingerprint = |seed: u8| {
        let public = public(seed);
        let entry = format!(
            r#"{{"keytype":"ed25519","keyval":{{"public":"{public}"}},"scheme":"ed25519"}}"#
        );
        Sha256::digest(Sha256::digest(entry))
    };
    let [timestamp, snapshot] = keys.map(fingerprint);
    let stored = &device.store.values[STATE_KEY];
    let mut before: Vec<u8> = [1].into();
    before.extend(Sha256::new().chain_update(timestamp).chain_update(snapshot).finalize());
    before.extend(&stored[1..33]);
    assert_eq!(before.len(), 65);
    device.store.values.insert(STATE_KEY.into(), before);
}

/// A device whose memory an older agent wrote, at version 1,000,000 of everything, under keys 2
/// and 3 for timestamp and snapshot.
fn of_an_older_agent() -> (Repository, Device) {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    let versions = |repository: &mut Repository, version| {
        for role in ["timestamp", "snapshot", "targets"] {
            repository.set_version(role, version);
        }
        repository.publish();
    };
    versions(&mut repository, 1_000_000);
    assert_eq!(device.code(&mut repository), "ok");
    hashed(&mut device, [2, 3]);
    versions(&mut repository, 1);
    (repository, device)
}

#[test]
fn what_an_older_agent_remembered_still_counts() {
    let (mut repository, device) = of_an_older_agent();
    assert_eq!(device.clone().code(&mut repository), "rollback-timestamp");
    // In the middle of a rotation, too, which that agent would have forgotten it for.
    repository.set_keys("timestamp", 1, &[2, 31]);
    repository.next_root();
    repository.publish();
    assert_eq!(device.clone().code(&mut repository), "rollback-timestamp");
    // And a key that is gone takes its word along.
    repository.set_keys("timestamp", 1, &[31]);
    repository.next_root();
    repository.publish();
    let mut device = device;
    assert_eq!(device.code(&mut repository), "ok");
    assert_eq!(device.store.values[STATE_KEY][0], 2);
}

#[test]
fn what_an_older_agent_remembered_under_keys_that_nobody_knows_is_kept() {
    let (mut repository, mut device) = of_an_older_agent();
    hashed_anew(&mut device);
    assert_eq!(device.code(&mut repository), "rollback-timestamp");
    for role in ["timestamp", "snapshot", "targets"] {
        repository.set_version(role, 1_000_001);
    }
    repository.publish();
    assert_eq!(device.code(&mut repository), "ok");
    // The next change of keys heals whatever it was.
    repository.set_keys("snapshot", 1, &[31]);
    repository.next_root();
    for role in ["timestamp", "snapshot", "targets"] {
        repository.set_version(role, 2);
    }
    repository.publish();
    assert_eq!(device.code(&mut repository), "ok");
}

/// Another fingerprint over the same versions.
fn hashed_anew(device: &mut Device) {
    device.store.values.get_mut(STATE_KEY).unwrap()[1] ^= 1;
}

#[test]
fn of_more_keys_than_are_remembered_a_new_one_forgets_nothing() {
    let mut repository = Repository::new();
    let many: Vec<u8> = (60..76).collect();
    repository.set_keys("timestamp", 1, &many);
    repository.signers.insert("timestamp", [60].into());
    repository.publish_root();
    repository.publish_next();
    let mut device = Device::of(&repository);
    device.caps.root = 16 * 1024;
    assert_eq!(device.code(&mut repository), "ok");
    let more: Vec<u8> = (50..76).collect();
    repository.set_keys("timestamp", 1, &more);
    repository.signers.insert("timestamp", [60].into());
    repository.next_root();
    for role in ["timestamp", "snapshot", "targets"] {
        repository.set_version(role, 1);
    }
    repository.publish();
    assert_eq!(device.code(&mut repository), "rollback-timestamp");
}

#[test]
fn keys_of_kinds_we_do_not_know_exist_and_never_count() {
    let mut repository = Repository::new();
    repository.set_keys("timestamp", 1, &[2, 41, 42, 43]);
    repository.root["keys"]["key-41"]["keytype"] = json!("rsa");
    repository.root["keys"]["key-42"]["scheme"] = json!("ed448");
    repository.root["keys"]["key-43"] = json!("nonsense");
    repository.publish_root();
    repository.publish();
    assert_eq!(Device::of(&repository).code(&mut repository), "ok");
    repository.signers.insert("timestamp", [41, 42, 43].into());
    repository.publish();
    assert_eq!(Device::of(&repository).code(&mut repository), "threshold-timestamp");
    assert_eq!(public(2).len(), 64);
}
