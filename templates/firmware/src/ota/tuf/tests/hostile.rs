//! Every lie a server, a cache or the thief of one key can tell, and what it is called.

use super::Device;
use super::repository::{Repository, canonical, public, signature};
use alloc::format;
use alloc::vec::Vec;
use serde_json::{Value as Json, json};

const ROLES: [&str; 3] = ["timestamp", "snapshot", "targets"];

/// What a fresh device says to the repository.
fn fresh(repository: &mut Repository) -> alloc::string::String {
    let error = Device::of(repository).refresh(repository).unwrap_err();
    assert!(error.is_trust(), "{error}");
    error.code()
}

#[test]
fn a_signature_by_another_key_does_not_count() {
    for role in ROLES {
        let mut repository = Repository::new();
        repository.signers.insert(role, [9].into());
        repository.publish();
        assert_eq!(fresh(&mut repository), format!("threshold-{role}"));
        // Under the id of the right key.
        let message = canonical(repository.signed(role));
        let id = repository.root["roles"][role]["keyids"][0].clone();
        repository.twist(role, |document| {
            document["signatures"] = json!([{ "keyid": id, "sig": signature(9, &message) }]);
        });
        assert_eq!(fresh(&mut repository), format!("threshold-{role}"));
    }
}

#[test]
fn the_key_of_another_role_does_not_count() {
    for (role, seed) in [("timestamp", 3), ("snapshot", 2), ("targets", 3)] {
        let mut repository = Repository::new();
        repository.signers.insert(role, [seed].into());
        repository.publish();
        assert_eq!(fresh(&mut repository), format!("threshold-{role}"));
    }
}

#[test]
fn a_change_of_one_byte_undoes_a_signature() {
    for role in ROLES {
        let mut repository = Repository::new();
        repository.twist(role, |document| document["signed"]["x"] = json!(""));
        assert_eq!(fresh(&mut repository), format!("threshold-{role}"));
    }
}

#[test]
fn a_threshold_of_2_of_3_needs_two_different_keys() {
    for (signers, good) in [
        (&[51, 52][..], true),
        (&[53, 51], true),
        (&[51, 52, 53], true),
        (&[52], false),
        (&[], false),
        (&[52, 9], false),
    ] {
        let mut repository = Repository::new();
        repository.set_keys("snapshot", 2, &[51, 52, 53]);
        repository.publish_root();
        repository.signers.insert("snapshot", signers.to_vec());
        repository.publish();
        let expected = if good { "ok" } else { "threshold-snapshot" };
        assert_eq!(Device::of(&repository).code(&mut repository), expected, "{signers:?}");
    }
}

#[test]
fn more_signatures_wanted_than_there_are_keys_can_never_be_met() {
    let mut repository = Repository::new();
    repository.set_keys("snapshot", 3, &[51, 52]);
    repository.publish_root();
    repository.publish();
    assert_eq!(fresh(&mut repository), "threshold-snapshot");
}

#[test]
fn one_key_under_two_ids_counts_once() {
    let mut repository = Repository::new();
    repository.set_keys("snapshot", 2, &[51, 52]);
    repository.root["keys"]["key-52"]["keyval"]["public"] = json!(public(51).to_uppercase());
    repository.publish_root();
    let message = canonical(&repository.snapshot);
    repository.twist("snapshot", |document| {
        let signatures: Vec<Json> = ["key-51", "key-52"]
            .map(|id| json!({ "keyid": id, "sig": signature(51, &message) }))
            .into();
        document["signatures"] = json!(signatures);
    });
    assert_eq!(fresh(&mut repository), "threshold-snapshot");
}

#[test]
fn one_id_listed_twice_in_a_role_counts_once() {
    let mut repository = Repository::new();
    repository.set_keys("snapshot", 2, &[51, 51]);
    repository.publish_root();
    repository.signers.insert("snapshot", [51].into());
    repository.publish();
    assert_eq!(fresh(&mut repository), "threshold-snapshot");
}

#[test]
fn one_id_that_signs_twice_is_refused_even_if_both_are_good() {
    for role in ROLES {
        let mut repository = Repository::new();
        repository.twist(role, |document| {
            let first = document["signatures"][0].clone();
            document["signatures"].as_array_mut().unwrap().push(first);
        });
        assert_eq!(fresh(&mut repository), format!("duplicate-signature-{role}"));
    }
}

#[test]
fn a_broken_signature_beside_enough_good_ones_is_ignored() {
    for broken in ["", "zz", "00", &"00".repeat(64), &"ff".repeat(64), &"00".repeat(65)] {
        let mut repository = Repository::new();
        repository.set_keys("timestamp", 1, &[61, 62]);
        repository.publish_root();
        repository.publish();
        repository.twist("timestamp", |document| {
            document["signatures"][0]["sig"] = json!(broken);
        });
        assert_eq!(Device::of(&repository).code(&mut repository), "ok", "{broken}");
    }
}

/// The neutral point verifies a signature of zeros over anything.
#[test]
fn a_weak_key_signs_nothing() {
    let mut repository = Repository::new();
    let neutral = format!("01{}", "00".repeat(31));
    repository.root["keys"]["key-2"]["keyval"]["public"] = json!(neutral);
    repository.publish_root();
    repository.twist("timestamp", |document| {
        document["signatures"][0]["sig"] = json!(format!("{neutral}{}", "00".repeat(32)));
    });
    assert_eq!(fresh(&mut repository), "threshold-timestamp");
}

#[test]
fn a_threshold_of_zero_is_not_a_root() {
    for threshold in [json!(0), json!(-1), json!("1"), json!(null)] {
        let mut repository = Repository::new();
        let mut device = Device::of(&repository);
        repository.root["roles"]["timestamp"]["threshold"] = threshold;
        repository.next_root();
        assert_eq!(device.code(&mut repository), "invalid-root");
    }
}

#[test]
fn no_role_goes_back_to_an_older_version() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    let old = repository.server.clone();
    repository.publish_next();
    repository.publish_next();
    device.refresh(&mut repository).unwrap();
    // All of it replayed as it was.
    let mut replayed = Repository { server: old, ..repository.clone() };
    assert_eq!(device.code(&mut replayed), "rollback-timestamp");
    // A new timestamp that lists an older snapshot, and a new snapshot that lists older targets.
    repository.set_version("timestamp", 9);
    repository.set_version("snapshot", 2);
    repository.publish();
    assert_eq!(device.code(&mut repository), "rollback-snapshot");
    repository.set_version("snapshot", 9);
    repository.set_version("targets", 2);
    repository.publish();
    assert_eq!(device.code(&mut repository), "rollback-targets");
    assert_eq!(device.versions(), [9, 9, 3]);
    // The same version again is none.
    repository.set_version("targets", 3);
    repository.publish();
    assert_eq!(device.code(&mut repository), "ok");
}

#[test]
fn targets_must_not_disappear_from_the_snapshot() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    device.refresh(&mut repository).unwrap();
    repository.publish_next();
    repository.snapshot["meta"] = json!({ "other.json": { "version": 2 } });
    let document = repository.document("snapshot");
    repository.put("snapshot", document);
    assert_eq!(device.code(&mut repository), "missing-targets");
    assert_eq!(device.versions(), [2, 2, 1]);
}

#[test]
fn a_timestamp_that_changes_without_a_new_version_is_not_heard() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    device.refresh(&mut repository).unwrap();
    repository.timestamp["meta"]["snapshot.json"]["version"] = json!(100);
    let document = repository.document("timestamp");
    repository.put("timestamp", document);
    assert_eq!(device.code(&mut repository), "ok");
    assert_eq!(repository.server.asked[2], "metadata/1.snapshot.json");
    assert_eq!(device.versions(), [1, 1, 1]);
}

#[test]
fn files_of_different_releases_do_not_mix() {
    for role in ["snapshot", "targets"] {
        let mut repository = Repository::new();
        let old = repository.document(role);
        repository.publish_next();
        repository.server.files.insert(format!("metadata/2.{role}.json"), old);
        assert_eq!(fresh(&mut repository), format!("version-mismatch-{role}"));
    }
}

#[test]
fn a_file_with_another_hash_or_length_than_listed_is_refused() {
    for role in ["snapshot", "targets"] {
        let mut repository = Repository::new();
        repository.listed = true;
        repository.publish();
        let path = format!("metadata/1.{role}.json");
        let good = repository.server.files[&path].clone();

        let swapped: Vec<u8> =
            good.iter().map(|byte| if *byte == b' ' { b'\t' } else { *byte }).collect();
        repository.server.files.insert(path.clone(), swapped);
        assert_eq!(fresh(&mut repository), format!("hash-mismatch-{role}"));

        for changed in [[&good[..], b" "].concat(), good[..good.len().saturating_sub(1)].to_vec()] {
            for chunked in [false, true] {
                repository.server.files.insert(path.clone(), changed.clone());
                repository.server.chunked = chunked;
                assert_eq!(fresh(&mut repository), format!("length-mismatch-{role}"));
            }
        }
    }
}

#[test]
fn each_listed_hash_counts_and_one_we_cannot_compute_is_no_proof() {
    for (hashes, code) in [
        (json!({ "sha512": "00".repeat(64) }), "hash-mismatch-targets"),
        (json!({ "sha256": "00".repeat(32) }), "hash-mismatch-targets"),
        (json!({ "blake9": "00" }), "invalid-snapshot"),
        (json!({}), "invalid-snapshot"),
        (json!({ "sha256": "00" }), "invalid-snapshot"),
        (json!([]), "invalid-snapshot"),
    ] {
        let mut repository = Repository::new();
        repository.snapshot["meta"]["targets.json"]["hashes"] = hashes.clone();
        let document = repository.document("snapshot");
        repository.put("snapshot", document);
        assert_eq!(fresh(&mut repository), code, "{hashes}");
    }
}

#[test]
fn a_file_over_its_cap_is_refused_whether_or_not_it_says_so() {
    let mut repository = Repository::new();
    for (path, role) in [
        ("metadata/2.root.json", "root"),
        ("metadata/timestamp.json", "timestamp"),
        ("metadata/1.snapshot.json", "snapshot"),
        ("metadata/1.targets.json", "targets"),
    ] {
        for chunked in [false, true] {
            let mut repository = repository.clone();
            repository.server.chunked = chunked;
            repository.server.files.insert(path.into(), [b' '; 70_000].to_vec());
            assert_eq!(fresh(&mut repository), format!("too-large-{role}"));
        }
    }
    // A length that is listed does not raise the cap.
    repository.snapshot["meta"]["targets.json"]["length"] = json!(u64::MAX);
    let document = repository.document("snapshot");
    repository.put("snapshot", document);
    assert_eq!(fresh(&mut repository), "too-large-targets");
}

#[test]
fn a_file_of_exactly_its_cap_is_taken() {
    let mut repository = Repository::new();
    let mut document = repository.document("timestamp");
    document.resize(4096, b' ');
    for chunked in [false, true] {
        repository.server.chunked = chunked;
        repository.put("timestamp", document.clone());
        assert_eq!(Device::of(&repository).code(&mut repository), "ok");
        let longer = [&document[..], b" "].concat();
        repository.put("timestamp", longer);
        assert_eq!(fresh(&mut repository), "too-large-timestamp");
    }
}

#[test]
fn metadata_of_one_role_does_not_pass_for_another() {
    let mut repository = Repository::new();
    // The same key signs both, and the content fits both.
    repository.set_keys("snapshot", 1, &[2]);
    repository.publish_root();
    repository.snapshot["meta"] = json!({ "snapshot.json": { "version": 1 } });
    let document = repository.document("snapshot");
    repository.put("timestamp", document);
    assert_eq!(fresh(&mut repository), "wrong-type-timestamp");
}

#[test]
fn another_major_version_of_the_specification_is_refused() {
    for (version, code) in [
        ("2.0.0", "spec-version-targets"),
        ("0.9", "spec-version-targets"),
        ("1", "spec-version-targets"),
        ("10.0.0", "spec-version-targets"),
        ("1.1.0", "ok"),
        ("1.0", "ok"),
    ] {
        let mut repository = Repository::new();
        repository.targets["spec_version"] = json!(version);
        repository.publish();
        assert_eq!(Device::of(&repository).code(&mut repository), code, "{version}");
    }
}

#[test]
fn signed_nonsense_is_named_as_such() {
    for (role, field, value) in [
        ("timestamp", "version", json!(0)),
        ("timestamp", "version", json!("1")),
        ("timestamp", "expires", json!("never")),
        ("timestamp", "expires", json!(1)),
        ("targets", "expires", json!("2030-01-01")),
        ("targets", "targets", json!([])),
        ("targets", "targets", json!({ "t": {} })),
        ("targets", "targets", json!({ "t": { "length": -1, "hashes": {} } })),
        ("targets", "targets", json!({ "t": { "length": 1, "hashes": { "sha256": "0" } } })),
    ] {
        let mut repository = Repository::new();
        repository.signed(role)[field] = value.clone();
        repository.publish();
        assert_eq!(fresh(&mut repository), format!("invalid-{role}"), "{field}: {value}");
    }
}

#[test]
fn text_that_two_readers_could_read_differently_is_refused() {
    let mut repository = Repository::new();
    let good = repository.document("timestamp");
    let text = core::str::from_utf8(&good).unwrap();
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    for (document, code) in [
        (text.replacen("\"version\": 1", "\"version\": 1, \"version\": 1", 1), "duplicate-key"),
        (
            text.replacen("\"version\": 1", "\"version\": 1, \"versi\\u006fn\": 9", 1),
            "duplicate-key",
        ),
        (text.replacen("\"version\": 1", "\"version\": 1.0", 1), "malformed"),
        (text.replacen("\"version\": 1", "\"version\": 1e0", 1), "malformed"),
        (text.replacen("\"version\": 1", "\"version\": 99999999999999999999", 1), "malformed"),
        (format!("{text}{text}"), "malformed"),
        (text.replace(':', " "), "malformed"),
        ("\u{feff}{}".into(), "malformed"),
        (nested, "nested-too-deep"),
        ("[".repeat(4000), "nested-too-deep"),
        ("{}".into(), "invalid"),
        ("[]".into(), "invalid"),
    ] {
        repository.put("timestamp", document.clone().into_bytes());
        assert_eq!(fresh(&mut repository), format!("{code}-timestamp"), "{document:.60}");
    }
    repository.put("timestamp", b"\"\xff\"".to_vec());
    assert_eq!(fresh(&mut repository), "malformed-timestamp");
}

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let mut repository = Repository::new();
    let good = repository.document("timestamp");
    for length in (0..good.len()).step_by(23) {
        repository.put("timestamp", good[..length].to_vec());
        assert_eq!(fresh(&mut repository), "malformed-timestamp");
    }
}
