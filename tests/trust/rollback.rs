//! Old metadata served again, in every mixture of old and new.

use serde_json::json;

use crate::device::{Accepted, refused};
use crate::repository::Files;
use crate::world::World;

/// A device that has seen version 3 of everything, and what the server had at version 1.
async fn at_version_3() -> (World, Files) {
    let mut world = World::new().await;
    let old = world.repository.files.clone();
    world.repository.publish_next();
    world.repository.publish_next();
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.online(), [3, 3, 3]);
    (world, old)
}

#[tokio::test]
async fn a_mirror_that_replays_last_week_is_refused() {
    let (mut world, old) = at_version_3().await;
    assert_eq!(world.refresh_from(&old).await, refused("rollback-timestamp"));
    assert_eq!(world.online(), [3, 3, 3]);
    assert_eq!(world.refresh().await, Accepted, "the present is still taken");
}

#[tokio::test]
async fn an_older_timestamp_over_newer_files_is_refused() {
    let (mut world, old) = at_version_3().await;
    let mut files = world.repository.files.clone();
    files.insert("metadata/timestamp.json".into(), old["metadata/timestamp.json"].clone());
    assert_eq!(world.refresh_from(&files).await, refused("rollback-timestamp"));
}

#[tokio::test]
async fn a_newer_timestamp_cannot_list_an_older_snapshot() {
    for lists_hashes in [false, true] {
        let (mut world, _) = at_version_3().await;
        world.repository.lists_hashes = lists_hashes;
        world.repository["timestamp"]["version"] = json!(4);
        world.repository["snapshot"]["version"] = json!(2);
        world.repository.publish();
        assert_eq!(world.refresh().await, refused("rollback-snapshot"));
        assert_eq!(world.online(), [3, 3, 3], "nothing of it is kept");
    }
}

#[tokio::test]
async fn a_newer_snapshot_cannot_list_older_targets() {
    for lists_hashes in [false, true] {
        let (mut world, _) = at_version_3().await;
        world.repository.lists_hashes = lists_hashes;
        world.repository["timestamp"]["version"] = json!(4);
        world.repository["snapshot"]["version"] = json!(4);
        world.repository["targets"]["version"] = json!(2);
        world.repository.publish();
        assert_eq!(world.refresh().await, refused("rollback-targets"));
        assert_eq!(world.online(), [4, 4, 3]);
    }
}

#[tokio::test]
async fn the_old_signatures_do_not_fit_under_a_new_version() {
    let (mut world, old) = at_version_3().await;
    let text = str::from_utf8(&old["metadata/timestamp.json"]).unwrap();
    let mut files = world.repository.files.clone();
    let renumbered = text.replacen("\"version\": 1\n", "\"version\": 4\n", 1);
    assert_ne!(text, renumbered);
    files.insert("metadata/timestamp.json".into(), renumbered.into());
    assert_eq!(world.refresh_from(&files).await, refused("threshold-timestamp"));
}

#[tokio::test]
async fn targets_that_vanish_from_the_snapshot_are_missed() {
    let mut world = World::new().await;
    assert_eq!(world.refresh().await, Accepted);
    world.repository["timestamp"]["version"] = json!(2);
    world.repository["snapshot"]["version"] = json!(2);
    world.repository["snapshot"]["meta"] = json!({ "other.json": { "version": 2 } });
    world.repository.publish_snapshot();
    assert_eq!(world.refresh().await, refused("missing-targets"));
    assert_eq!(world.online(), [2, 2, 1]);
}

#[tokio::test]
async fn the_same_versions_again_are_no_rollback() {
    let (mut world, _) = at_version_3().await;
    for _ in 0..2 {
        assert_eq!(world.refresh().await, Accepted);
        assert_eq!(world.online(), [3, 3, 3]);
    }
}

#[tokio::test]
async fn versions_may_leap() {
    let (mut world, _) = at_version_3().await;
    for role in ["timestamp", "snapshot", "targets"] {
        world.repository[role]["version"] = json!(1_000_000);
    }
    world.repository.publish();
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.online(), [1_000_000; 3]);
}

#[tokio::test]
async fn a_timestamp_that_changes_under_its_version_is_not_heard() {
    let (mut world, _) = at_version_3().await;
    world.repository["snapshot"]["version"] = json!(4);
    world.repository.publish();
    world.asked();
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.asked()[2..], ["/metadata/3.snapshot.json", "/metadata/3.targets.json"]);
    assert_eq!(world.online(), [3, 3, 3]);
}

#[tokio::test]
async fn an_older_root_under_the_next_number_is_refused() {
    let mut world = World::new().await;
    let first = world.repository.files["metadata/1.root.json"].clone();
    world.repository.next_root();
    assert_eq!(world.refresh().await, Accepted);
    world.repository.files.insert("metadata/3.root.json".into(), first);
    assert_eq!(world.refresh().await, refused("version-mismatch-root"));
    assert_eq!(world.memory().root, 2);
}

#[tokio::test]
async fn what_was_proven_before_a_lie_is_kept_against_the_next() {
    let mut world = World::new().await;
    let old = world.repository.files.clone();
    world.repository.publish_next();
    world.repository.twist("targets", |document| document["signatures"] = json!([]));
    assert_eq!(world.refresh().await, refused("length-mismatch-targets"));
    assert_eq!(world.online(), [2, 2, 2]);
    assert_eq!(world.refresh_from(&old).await, refused("rollback-timestamp"));
}
