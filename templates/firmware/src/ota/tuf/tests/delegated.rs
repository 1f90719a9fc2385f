//! Metadata of delegated roles: never followed, and still neither lost nor set back.

use super::super::STATE_KEY;
use super::Device;
use super::repository::Repository;
use alloc::format;
use serde_json::json;

/// A repository whose snapshot lists these files with these versions.
fn listing(files: &[(&str, u64)]) -> Repository {
    let mut repository = Repository::new();
    list(&mut repository, files);
    repository
}

/// Publishes a snapshot that lists these files beside targets.json, and no others.
fn list(repository: &mut Repository, files: &[(&str, u64)]) {
    repository.snapshot["meta"] = json!({});
    for (name, version) in files {
        repository.snapshot["meta"][name] = json!({ "version": version });
    }
    repository.publish_next();
}

#[test]
fn delegated_metadata_may_stay_grow_and_be_added() {
    let mut repository = listing(&[("a.json", 3)]);
    let mut device = Device::of(&repository);
    assert_eq!(device.code(&mut repository), "ok");
    for files in [&[("a.json", 3)][..], &[("a.json", 4)], &[("b.json", 1), ("a.json", 4)]] {
        list(&mut repository, files);
        assert_eq!(device.code(&mut repository), "ok", "{files:?}");
        assert_eq!(device.code(&mut repository), "ok", "{files:?} once more");
    }
}

#[test]
fn delegated_metadata_neither_disappears_nor_goes_back() {
    let trusted = [("a.json", 3), ("b.json", 2)];
    for (files, expected) in [
        (&[][..], "missing-targets"),
        (&[("a.json", 3)], "missing-targets"),
        (&[("a.json", 3), ("B.json", 2)], "missing-targets"),
        (&[("a.json", 2), ("b.json", 2)], "rollback-targets"),
        (&[("a.json", 9), ("b.json", 1)], "rollback-targets"),
    ] {
        let mut repository = listing(&trusted);
        let mut device = Device::of(&repository);
        assert_eq!(device.code(&mut repository), "ok");
        let before = device.store.values[STATE_KEY].clone();
        list(&mut repository, files);
        assert_eq!(device.code(&mut repository), expected, "{files:?}");
        let after = &device.store.values[STATE_KEY];
        assert_eq!(after[17..25], before[17..25], "targets.json is not believed either");
        assert_eq!(after[50..], before[50..]);
        list(&mut repository, &trusted);
        assert_eq!(device.code(&mut repository), "ok", "the honest repository is taken again");
    }
}

#[test]
fn other_keys_of_the_snapshot_may_list_anew() {
    let mut repository = listing(&[("a.json", 3)]);
    let mut device = Device::of(&repository);
    assert_eq!(device.code(&mut repository), "ok");
    repository.set_keys("snapshot", 1, &[51]);
    repository.next_root();
    list(&mut repository, &[]);
    assert_eq!(device.code(&mut repository), "ok");
    assert_eq!(device.store.values[STATE_KEY].len(), 50);
}

#[test]
fn sixteen_delegated_roles_are_remembered_and_no_more() {
    let names: alloc::vec::Vec<_> = (0..17).map(|number| format!("{number}.json")).collect();
    let files: alloc::vec::Vec<_> = names.iter().map(|name| (name.as_str(), 7)).collect();
    let mut repository = listing(&files[..16]);
    let mut device = Device::of(&repository);
    assert_eq!(device.code(&mut repository), "ok");
    list(&mut repository, &files[..15]);
    assert_eq!(device.code(&mut repository), "missing-targets", "the last is remembered as well");
    list(&mut repository, &files);
    assert_eq!(device.code(&mut repository), "too-many-delegations-snapshot");
}

#[test]
fn a_listed_version_is_a_number_of_1_or_more() {
    for bad in [json!({}), json!({ "version": 0 }), json!({ "version": "1" }), json!(1)] {
        let mut repository = Repository::new();
        repository.snapshot["meta"]["a.json"] = bad;
        repository.publish();
        let mut device = Device::of(&repository);
        assert_eq!(device.code(&mut repository), "invalid-snapshot");
    }
}

#[test]
fn memory_of_any_other_length_is_damaged() {
    let mut repository = Repository::new();
    let mut device = Device::of(&repository);
    assert_eq!(device.code(&mut repository), "ok");
    let stored = device.store.values[STATE_KEY].clone();
    for (more, good) in [(0, true), (1, false), (15, false), (17, false), (17 * 16, false)] {
        let mut longer = stored.clone();
        longer.resize(stored.len() + more, 0);
        device.store.values.insert(STATE_KEY.into(), longer);
        assert_eq!(device.code(&mut repository) == "ok", good, "{more} bytes more");
    }
}
