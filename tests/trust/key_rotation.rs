//! New keys for timestamp, snapshot and targets: in one step, in two, and after a loss.

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
