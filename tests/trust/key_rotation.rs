//! New keys for timestamp, snapshot and targets: in one step, in two, and after a loss.

use cargo_esp_ota::agent::tuf::STATE_KEY;
use serde_json::json;

use crate::device::{Accepted, refused};
use crate::key::Key::{self, Ed25519, P256};
use crate::repository::ONLINE;
use crate::world::World;

const OLD: [Key; 3] = [Ed25519(2), Ed25519(3), Ed25519(4)];
const A: Key = P256(71);
const B: Key = Ed25519(72);
const C: Key = Ed25519(73);

/// Each role with its first key.
fn roles() -> impl Iterator<Item = (&'static str, Key)> {
    ONLINE.into_iter().zip(OLD)
}

#[tokio::test]
async fn each_role_takes_a_new_key_in_one_step() {
    for (role, _) in roles() {
        let mut world = World::new().await;
        assert_eq!(world.refresh().await, Accepted);
        world.repository.set_keys(role, 1, &[A]);
        world.repository.next_root();
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted, "{role}");
        assert_eq!(world.online(), [2, 2, 2]);
    }
}

#[tokio::test]
async fn each_role_takes_a_new_key_in_two_steps() {
    for (role, old) in roles() {
        let mut world = World::new().await;
        world.repository.set_keys(role, 1, &[old, A]);
        world.repository.signers.insert(role, [old].into());
        world.repository.next_root();
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted, "{role}: both keys, the old one signs");
        world.repository.signers.insert(role, [A].into());
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted, "{role}: both keys, the new one signs");
        world.repository.set_keys(role, 1, &[A]);
        world.repository.next_root();
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted, "{role}: the new key alone");
    }
}

#[tokio::test]
async fn a_device_that_slept_through_two_rotations_catches_up() {
    for (role, _) in roles() {
        let mut world = World::new().await;
        assert_eq!(world.refresh().await, Accepted);
        for key in [A, B] {
            world.repository.set_keys(role, 1, &[key]);
            world.repository.next_root();
            world.repository.publish_next();
        }
        assert_eq!(world.refresh().await, Accepted, "{role}");
        assert_eq!((world.memory().root, world.online()), (3, [3, 3, 3]));
    }
}

#[tokio::test]
async fn all_roles_take_new_keys_at_once() {
    let mut world = World::new().await;
    assert_eq!(world.refresh().await, Accepted);
    for (role, key) in ONLINE.into_iter().zip([A, B, C]) {
        world.repository.set_keys(role, 1, &[key]);
    }
    world.repository.set_keys("root", 1, &[Ed25519(70)]);
    world.repository.signers.insert("root", [Ed25519(1), Ed25519(70)].into());
    world.repository.next_root();
    world.repository.publish_next();
    assert_eq!(world.refresh().await, Accepted);
}

#[tokio::test]
async fn what_the_old_key_signed_is_refused_from_the_new_root_on() {
    for (role, old) in roles() {
        let mut world = World::new().await;
        assert_eq!(world.refresh().await, Accepted);
        world.repository.set_keys(role, 1, &[A]);
        world.repository.next_root();
        // Published before the rotation, and not signed anew.
        let expected = refused(format!("threshold-{role}"));
        assert_eq!(world.refresh().await, expected);
        // Signed by the thief of the old key.
        world.repository.signers.insert(role, [old].into());
        world.repository.publish_next();
        assert_eq!(world.refresh().await, expected);
        assert_eq!(world.memory().root, 2);
        // The owner goes on.
        world.repository.signers.insert(role, [A].into());
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted, "{role}");
    }
}

#[tokio::test]
async fn a_new_key_is_refused_before_the_root_names_it() {
    for (role, _) in roles() {
        let mut world = World::new().await;
        world.repository.signers.insert(role, [A].into());
        world.repository.publish_next();
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
    }
}

/// Nobody can sign with the key any more; what it signed is still served, and stays good until it
/// expires. The root names another key, and life goes on.
#[tokio::test]
async fn a_lost_key_is_replaced_by_the_root() {
    for (role, _) in roles() {
        let mut world = World::new().await;
        assert_eq!(world.refresh().await, Accepted);
        world.repository.set_keys(role, 2, &[A, B, C]);
        world.repository.next_root();
        world.repository.signers.insert(role, [C, A].into());
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted, "{role}: two of three new keys");
        // One of the three is lost: nothing needs to be done, and one more replaces it.
        world.repository.signers.insert(role, [B, C].into());
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted, "{role}: the other two");
        world.repository.set_keys(role, 2, &[B, C, Ed25519(74)]);
        world.repository.next_root();
        world.repository.signers.insert(role, [B, A].into());
        world.repository.publish_next();
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
        world.repository.signers.insert(role, [Ed25519(74), B].into());
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted, "{role}: the replacement and one other");
    }
}

#[tokio::test]
async fn two_roles_may_share_a_key_and_part_again() {
    let mut world = World::new().await;
    for role in ["timestamp", "snapshot"] {
        world.repository.set_keys(role, 1, &[A]);
    }
    world.repository.next_root();
    world.repository.publish_next();
    assert_eq!(world.refresh().await, Accepted);
    world.repository.set_keys("snapshot", 1, &[B]);
    world.repository.next_root();
    world.repository.publish_next();
    assert_eq!(world.refresh().await, Accepted);
}

/// While a root lists the old key and the new one, everything that the old one ever signed is well
/// signed: only the remembered versions tell it from the present.
#[tokio::test]
async fn what_was_replaced_is_not_replayed_while_both_keys_count() {
    for (role, old) in [("timestamp", OLD[0]), ("snapshot", OLD[1])] {
        let mut world = World::new().await;
        let replayed = world.repository.files.clone();
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted);
        world.repository.set_keys(role, 1, &[old, A]);
        world.repository.next_root();
        // The replay is the first that the device hears under the new root.
        let mut files = replayed.clone();
        files.extend(world.repository.files.clone());
        files.insert("metadata/timestamp.json".into(), replayed["metadata/timestamp.json"].clone());
        assert_eq!(world.refresh_from(&files).await, refused("rollback-timestamp"), "{role}");
        assert_eq!((world.memory().root, world.online()), (2, [2, 2, 2]));
        // And again after the new key has signed.
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted, "{role}");
        let second = world.repository.files["metadata/2.root.json"].clone();
        files.insert("metadata/2.root.json".into(), second);
        assert_eq!(world.refresh_from(&files).await, refused("rollback-timestamp"), "{role}");
        assert_eq!(world.online(), [3, 3, 3]);
    }
}

/// A thief who ran the versions up is forgotten with the key, by the root that drops it.
#[tokio::test]
async fn a_key_that_goes_takes_its_word_along_in_two_steps_too() {
    for (role, old) in [("timestamp", OLD[0]), ("snapshot", OLD[1])] {
        let mut world = World::new().await;
        for each in ONLINE {
            world.repository[each]["version"] = json!(1_000_000);
        }
        world.repository.publish();
        assert_eq!(world.refresh().await, Accepted);
        for each in ONLINE {
            world.repository[each]["version"] = json!(2);
        }
        world.repository.set_keys(role, 1, &[old, A]);
        world.repository.next_root();
        world.repository.publish();
        assert_eq!(world.refresh().await, refused("rollback-timestamp"), "{role}: both keys");
        world.repository.set_keys(role, 1, &[A]);
        world.repository.next_root();
        world.repository.publish();
        assert_eq!(world.refresh().await, Accepted, "{role}: the new key alone");
        assert_eq!(world.online(), [2, 2, 2]);
    }
}

#[tokio::test]
async fn one_of_several_keys_that_goes_takes_its_word_along_and_one_that_comes_does_not() {
    let mut world = World::new().await;
    world.repository.set_keys("timestamp", 1, &[OLD[0], A, B]);
    world.repository.next_root();
    world.repository.publish_next();
    assert_eq!(world.refresh().await, Accepted);
    world.repository.set_keys("timestamp", 1, &[B, C, A, OLD[0]]);
    world.repository.next_root();
    for role in ONLINE {
        world.repository[role]["version"] = json!(1);
    }
    world.repository.publish();
    assert_eq!(world.refresh().await, refused("rollback-timestamp"), "one more key");
    world.repository.set_keys("timestamp", 1, &[A, B, C]);
    world.repository.next_root();
    world.repository.publish();
    assert_eq!(world.refresh().await, Accepted, "one key less");
}

#[tokio::test]
async fn a_key_that_changes_its_role_counts_as_gone() {
    let mut world = World::new().await;
    world.repository.publish_next();
    assert_eq!(world.refresh().await, Accepted);
    world.repository.set_keys("timestamp", 1, &[OLD[1]]);
    world.repository.set_keys("snapshot", 1, &[OLD[0]]);
    world.repository.next_root();
    for role in ONLINE {
        world.repository[role]["version"] = json!(1);
    }
    world.repository.publish();
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.online(), [1, 1, 1]);
}

#[tokio::test]
async fn the_memory_of_keys_is_small() {
    let mut world = World::new().await;
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.device.remembered(STATE_KEY).unwrap().len(), 50);
}
