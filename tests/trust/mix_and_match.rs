//! Files that are each signed and do not belong together.

use serde_json::{Value as Json, json};

use crate::device::{Accepted, refused};
use crate::repository::Repository;
use crate::world::World;

/// Does something to the hashes of an entry.
type Change = fn(&mut Json);

const LISTED: [(&str, &str); 2] = [("snapshot", "timestamp"), ("targets", "snapshot")];

/// Two releases whose lists hold versions alone.
async fn by_version_alone() -> World {
    let mut repository = Repository::new();
    repository.lists_hashes = false;
    repository.publish();
    repository.publish_next();
    World::of(repository).await
}

#[tokio::test]
async fn the_file_of_another_release_under_the_right_name_is_refused() {
    for (role, _) in LISTED {
        let mut world = by_version_alone().await;
        let old = world.repository.files[&format!("metadata/1.{role}.json")].clone();
        world.repository.put(role, old);
        assert_eq!(world.refresh().await, refused(format!("version-mismatch-{role}")));
    }
}

#[tokio::test]
async fn a_file_that_is_newer_than_listed_is_refused_as_well() {
    for (role, _) in LISTED {
        let mut world = by_version_alone().await;
        world.repository[role]["version"] = json!(3);
        let newer = world.repository.document(role);
        world.repository.files.insert(format!("metadata/2.{role}.json"), newer);
        assert_eq!(world.refresh().await, refused(format!("version-mismatch-{role}")));
    }
}

#[tokio::test]
async fn without_consistent_names_a_file_of_another_release_is_refused_too() {
    for (role, _) in LISTED {
        let mut repository = Repository::new();
        repository["root"]["consistent_snapshot"] = json!(false);
        repository.lists_hashes = false;
        repository.publish_root();
        repository.publish();
        let old = repository.files[&format!("metadata/{role}.json")].clone();
        let mut world = World::of(repository).await;
        assert_eq!(world.refresh().await, Accepted);
        world.repository.publish_next();
        world.repository.put(role, old);
        assert_eq!(world.refresh().await, refused(format!("version-mismatch-{role}")));
    }
}

/// Signed by the right key, of the right version, and not the one that was listed.
#[tokio::test]
async fn another_file_of_the_same_version_is_refused_by_its_hash() {
    for (role, _) in LISTED {
        let mut world = World::new().await;
        // As long as before.
        world.repository[role]["expires"] = json!("2098-01-01T00:00:00Z");
        world.repository.put_signed(role);
        assert_eq!(world.refresh().await, refused(format!("hash-mismatch-{role}")));
    }
}

#[tokio::test]
async fn each_of_two_hashes_counts() {
    for (role, lister) in LISTED {
        for algorithm in ["sha256", "sha512"] {
            let mut world = World::new().await;
            let entry = &mut world.repository[lister]["meta"][format!("{role}.json")];
            let digits = entry["hashes"][algorithm].as_str().unwrap().len();
            entry["hashes"][algorithm] = json!("0".repeat(digits));
            publish_lister(&mut world.repository, lister);
            assert_eq!(world.refresh().await, refused(format!("hash-mismatch-{role}")));
        }
    }
}

#[tokio::test]
async fn one_good_hash_is_enough_and_one_that_nobody_can_compute_is_none() {
    for (role, lister) in LISTED {
        let invalid = refused(format!("invalid-{lister}"));
        let cases: [(Change, _); 8] = [
            (|hashes| *hashes = json!({ "sha256": hashes["sha256"] }), Accepted),
            (|hashes| *hashes = json!({ "sha512": hashes["sha512"] }), Accepted),
            (|hashes| hashes["blake9"] = json!("00"), Accepted),
            (|hashes| *hashes = json!({ "blake9": "00" }), invalid.clone()),
            (|hashes| *hashes = json!({}), invalid.clone()),
            (|hashes| *hashes = json!("none"), invalid.clone()),
            (|hashes| hashes["sha256"] = json!("00"), invalid.clone()),
            (|hashes| hashes["sha256"] = json!(null), invalid),
        ];
        for (index, (change, expected)) in cases.into_iter().enumerate() {
            let mut world = World::new().await;
            change(&mut world.repository[lister]["meta"][format!("{role}.json")]["hashes"]);
            publish_lister(&mut world.repository, lister);
            assert_eq!(world.refresh().await, expected, "{role}, case {index}");
        }
    }
}

#[tokio::test]
async fn a_list_that_is_none_is_refused() {
    for (role, lister) in LISTED {
        let file = format!("{role}.json");
        // A snapshot may list no targets: what that means is told elsewhere.
        let unlisted = if lister == "timestamp" { "invalid-timestamp" } else { "missing-targets" };
        let invalid = format!("invalid-{lister}");
        for (meta, code) in [
            (json!([]), &*invalid),
            (json!(null), &invalid),
            (json!({ &file: {} }), &invalid),
            (json!({ &file: { "version": 0 } }), &invalid),
            (json!({ &file: { "version": "1" } }), &invalid),
            (json!({ &file: { "version": 1, "length": "1" } }), &invalid),
            (json!({ &file: { "version": 1, "length": -1 } }), &invalid),
            (json!({ "other.json": { "version": 1 } }), unlisted),
            (json!({}), unlisted),
        ] {
            let mut world = World::new().await;
            world.repository[lister]["meta"] = meta.clone();
            publish_lister(&mut world.repository, lister);
            assert_eq!(world.refresh().await, refused(code), "{meta}");
        }
    }
}

/// Signs a lister as it is, and everything above it.
fn publish_lister(repository: &mut Repository, lister: &str) {
    if lister == "snapshot" {
        repository.publish_snapshot();
    } else {
        repository.put_signed("timestamp");
    }
}
