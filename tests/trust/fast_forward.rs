//! Recovery from a thief who ran the version numbers up: new keys forget what the stolen ones said.

use serde_json::json;

use crate::device::{Accepted, refused};
use crate::key::Key::Ed25519;
use crate::repository::ONLINE;
use crate::world::World;

/// Version numbers that nobody reaches honestly.
const RUN_UP: u64 = u64::MAX - 1;

/// A device that believes in huge versions of these roles, and the repository back at version 2.
async fn run_up(roles: &[&'static str]) -> World {
    let mut world = World::new().await;
    for role in roles {
        world.repository[role]["version"] = json!(RUN_UP);
    }
    world.repository["timestamp"]["x-signed-at"] = json!("2098-12-31T00:00:00Z");
    world.repository.publish();
    assert_eq!(world.refresh().await, Accepted);
    for role in ONLINE {
        world.repository[role]["version"] = json!(2);
    }
    world.repository["timestamp"]["x-signed-at"] = json!("2090-03-01T00:00:00Z");
    world.repository.publish();
    world
}

#[tokio::test]
async fn without_new_keys_the_lower_versions_are_a_rollback() {
    for (roles, code) in [
        (&["timestamp"][..], "rollback-timestamp"),
        (&["snapshot"], "rollback-snapshot"),
        (&["targets"], "rollback-targets"),
    ] {
        let mut world = run_up(roles).await;
        assert_eq!(world.refresh().await, refused(code));
        // Not even under a new root, as long as it names the same keys.
        world.repository.next_root();
        assert_eq!(world.refresh().await, refused(code));
    }
}

#[tokio::test]
async fn a_new_timestamp_key_forgets_the_timestamp() {
    let mut world = run_up(&["timestamp"]).await;
    world.repository.set_keys("timestamp", 1, &[Ed25519(22)]);
    world.repository.next_root();
    world.repository.publish();
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.online(), [2, 2, 2]);
}

#[tokio::test]
async fn a_new_snapshot_key_forgets_the_snapshot() {
    let mut world = run_up(&["snapshot"]).await;
    world.repository.set_keys("snapshot", 1, &[Ed25519(23)]);
    world.repository.next_root();
    world.repository.publish();
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.online(), [2, 2, 2]);
}

/// The version of targets is believed because the snapshot lists it, so it goes with those keys.
#[tokio::test]
async fn new_timestamp_and_snapshot_keys_forget_the_targets() {
    let mut world = run_up(&ONLINE).await;
    world.repository.set_keys("timestamp", 1, &[Ed25519(22)]);
    world.repository.set_keys("snapshot", 1, &[Ed25519(23)]);
    world.repository.set_keys("targets", 1, &[Ed25519(24)]);
    world.repository.next_root();
    world.repository.publish();
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.online(), [2, 2, 2]);
}

#[tokio::test]
async fn new_targets_keys_alone_forget_nothing() {
    let mut world = run_up(&["targets"]).await;
    world.repository.set_keys("targets", 1, &[Ed25519(24)]);
    world.repository.next_root();
    world.repository.publish();
    assert_eq!(world.refresh().await, refused("rollback-targets"));
}

#[tokio::test]
async fn a_date_signed_by_a_thief_is_forgotten_with_the_key() {
    let mut world = run_up(&["timestamp"]).await;
    let signed_then = world.device.clock.now();
    world.repository.set_keys("timestamp", 1, &[Ed25519(22)]);
    world.repository.next_root();
    world.repository.publish();
    assert_eq!(world.refresh().await, Accepted);
    assert!(world.device.clock.now() < signed_then);
}
