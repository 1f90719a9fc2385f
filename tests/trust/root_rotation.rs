//! The chain of roots: which new root a device follows, how far, and what it keeps of the way.

use serde_json::json;

use crate::device::{Accepted, Device, failed, refused};
use crate::key::Key::{self, Ed25519, P256};
use crate::repository::Repository;
use crate::rude_server::{self, RudeServer, Script};
use crate::world::World;

const A: Key = Ed25519(61);
const B: Key = P256(62);
const C: Key = Ed25519(63);
const D: Key = P256(64);
const E: Key = Ed25519(65);
const F: Key = Ed25519(66);
const STRANGER: Key = Ed25519(99);

/// A version of the root: its threshold, its keys, and who signed it.
type Version = (u64, &'static [Key], &'static [Key]);

/// Publishes these versions of the root one after the other, and lets a device that embeds the
/// first read them. All but the last have to be good; the last is, or is refused as a forgery.
async fn follows(versions: &[Version], last_is_good: bool) {
    let mut repository = Repository::new();
    for (index, (threshold, keys, signers)) in versions.iter().enumerate() {
        repository.set_keys("root", *threshold, keys);
        repository.signers.insert("root", signers.to_vec());
        if index == 0 { repository.publish_root() } else { repository.next_root() }
    }
    let mut world = World::of(repository).await;
    let verdict = world.refresh().await;
    let newest = u64::try_from(versions.len()).unwrap();
    if last_is_good {
        assert_eq!(verdict, Accepted, "{versions:?}");
        assert_eq!(world.memory().root, newest);
        assert_eq!(world.trusted().root_version, newest);
    } else {
        assert_eq!(verdict, refused("threshold-root"), "{versions:?}");
        // The embedded root is not stored.
        assert_eq!(world.memory().root, if newest == 2 { 0 } else { newest - 1 });
    }
}

#[tokio::test]
async fn one_key_is_replaced_in_one_step_if_both_sign() {
    follows(&[(1, &[A], &[A]), (1, &[B], &[A, B])], true).await;
    follows(&[(1, &[A], &[A]), (1, &[B], &[STRANGER, B, A])], true).await;
}

#[tokio::test]
async fn after_the_step_the_new_key_is_enough() {
    follows(&[(1, &[A], &[A]), (1, &[B], &[A, B]), (1, &[B], &[B])], true).await;
}

#[tokio::test]
async fn a_new_root_without_the_old_key_is_refused() {
    follows(&[(1, &[A], &[A]), (1, &[B], &[B])], false).await;
    follows(&[(1, &[A], &[A]), (1, &[B], &[B, C, STRANGER])], false).await;
}

#[tokio::test]
async fn a_new_root_without_its_own_key_is_refused() {
    follows(&[(1, &[A], &[A]), (1, &[B], &[A])], false).await;
    follows(&[(1, &[A], &[A]), (1, &[B], &[A, C, STRANGER])], false).await;
}

#[tokio::test]
async fn the_old_key_has_no_say_after_the_step() {
    follows(&[(1, &[A], &[A]), (1, &[B], &[A, B]), (1, &[B], &[A])], false).await;
    follows(&[(1, &[A], &[A]), (1, &[B], &[A, B]), (1, &[A], &[A])], false).await;
}

#[tokio::test]
async fn a_key_is_replaced_in_two_steps_with_both_in_force_between() {
    follows(&[(1, &[A], &[A]), (1, &[A, B], &[A]), (1, &[B], &[B])], true).await;
    follows(&[(1, &[A], &[A]), (1, &[A, B], &[A]), (1, &[B], &[A])], false).await;
}

#[tokio::test]
async fn a_key_may_come_back() {
    let there = [(1, &[A][..], &[A][..]), (1, &[B], &[A, B]), (1, &[A], &[A, B])];
    follows(&there, true).await;
}

#[tokio::test]
async fn any_two_of_three_may_sign_the_same_keys_again() {
    let keys = &[A, B, C];
    follows(&[(2, keys, &[A, B]), (2, keys, &[B, C]), (2, keys, &[C, A])], true).await;
    follows(&[(2, keys, &[A, B]), (2, keys, &[B, C]), (2, keys, &[C])], false).await;
}

#[tokio::test]
async fn one_of_three_lost_keys_is_replaced_by_the_other_two() {
    // C is lost.
    follows(&[(2, &[A, B, C], &[A, B, C]), (2, &[A, B, D], &[A, B])], true).await;
    follows(&[(2, &[A, B, C], &[A, B, C]), (2, &[A, B, D], &[A, D])], false).await;
    follows(&[(2, &[A, B, C], &[A, B, C]), (2, &[A, B, D], &[D, STRANGER])], false).await;
}

#[tokio::test]
async fn two_of_three_lost_keys_are_the_end_of_the_chain() {
    follows(&[(2, &[A, B, C], &[A, B, C]), (2, &[A, D, E], &[A, D, E])], false).await;
}

#[tokio::test]
async fn all_three_keys_are_replaced_at_once_by_two_thresholds() {
    let from = (2, &[A, B, C][..], &[A, B][..]);
    follows(&[from, (2, &[D, E, F], &[A, C, D, F])], true).await;
    follows(&[from, (2, &[D, E, F], &[A, D, E, F])], false).await;
    follows(&[from, (2, &[D, E, F], &[A, B, C, F])], false).await;
}

#[tokio::test]
async fn all_three_keys_are_replaced_one_after_the_other() {
    follows(
        &[
            (2, &[A, B, C], &[A, B]),
            (2, &[D, B, C], &[B, C]),
            (2, &[D, E, C], &[D, C]),
            (2, &[D, E, F], &[D, E]),
        ],
        true,
    )
    .await;
}

#[tokio::test]
async fn a_higher_threshold_is_met_by_the_root_that_brings_it() {
    follows(&[(1, &[A], &[A]), (2, &[A, B], &[A, B])], true).await;
    follows(&[(1, &[A, B, C], &[C]), (2, &[A, B, C], &[A, B])], true).await;
    follows(&[(1, &[A, B, C], &[C]), (2, &[A, B, C], &[B])], false).await;
}

#[tokio::test]
async fn a_lower_threshold_needs_the_higher_one_once_more() {
    let from = (2, &[A, B, C][..], &[A, B][..]);
    follows(&[from, (1, &[A, B, C], &[B, C]), (1, &[A, B, C], &[C])], true).await;
    follows(&[from, (1, &[A, B, C], &[C])], false).await;
    follows(&[from, (1, &[A], &[A])], false).await;
}

#[tokio::test]
async fn each_root_is_kept_as_soon_as_it_is_proven_byte_for_byte() {
    let mut world = World::new().await;
    world.repository.next_root();
    world.repository.next_root();
    let third = world.repository.files["metadata/3.root.json"].clone();
    world.repository.signers.insert("root", [STRANGER].into());
    world.repository.next_root();
    assert_eq!(world.refresh().await, refused("threshold-root"));
    let kept = world.device.remembered(cargo_esp_ota::agent::tuf::ROOT_KEY);
    assert_eq!(kept, Some(third));
    // It goes on from there, and asks for nothing older.
    world.asked();
    assert_eq!(world.refresh().await, refused("threshold-root"));
    assert_eq!(world.asked(), ["/metadata/4.root.json"]);
}

#[tokio::test]
async fn a_root_of_another_version_than_its_file_name_is_refused() {
    for version in [1, 3, 4, u64::MAX] {
        let mut world = World::new().await;
        world.repository["root"]["version"] = json!(version);
        let document = world.repository.document("root");
        world.repository.files.insert("metadata/2.root.json".into(), document);
        assert_eq!(world.refresh().await, refused("version-mismatch-root"), "{version}");
        assert_eq!(world.memory().root, 0);
    }
}

#[tokio::test]
async fn a_version_left_out_ends_the_chain_before_it() {
    let mut world = World::new().await;
    for _ in 2..=4 {
        world.repository.next_root();
    }
    world.repository.files.remove("metadata/3.root.json");
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!((world.trusted().root_version, world.memory().root), (2, 2));
}

#[tokio::test]
async fn more_roots_than_one_run_follows_are_followed_by_the_next() {
    let mut world = World::new().await;
    let at_once = u64::from(world.device.caps.rotations);
    for _ in 0..=at_once {
        world.repository.next_root();
    }
    assert_eq!(world.refresh().await, refused("too-many-rotations-root"));
    assert_eq!(world.memory().root, at_once + 1);
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.memory().root, at_once + 2);
}

/// Whoever can answer for the server could hide a new root for ever with any of the others.
#[tokio::test]
async fn only_403_and_404_mean_that_there_is_no_newer_root() {
    let repository = Repository::new();
    let script = Script { files: repository.files.clone(), ..Script::default() };
    let server = RudeServer::start(script).await;
    for status in [403, 404] {
        server.tell(|script| {
            script.answers.insert("metadata/2.root.json".into(), rude_server::status(status));
        });
        assert_eq!(Device::of(&repository).refresh(&server.door).await, Accepted, "{status}");
    }
    for status in [201, 204, 206, 301, 302, 304, 307, 400, 401, 410, 429, 500, 502, 503] {
        server.tell(|script| {
            script.answers.insert("metadata/2.root.json".into(), rude_server::status(status));
        });
        let verdict = Device::of(&repository).refresh(&server.door).await;
        let expected = match status {
            // A partial answer that does not say which part is no answer.
            206 => failed("unreachable"),
            _ => failed(format!("status-{status}")),
        };
        assert_eq!(verdict, expected);
    }
}

#[tokio::test]
async fn a_newer_embedded_root_is_used_and_an_older_one_is_not() {
    let mut world = World::new().await;
    world.repository.next_root();
    assert_eq!(world.refresh().await, Accepted);
    world.repository.next_root();
    let first = world.device.embedded_root.clone();
    world.device.embedded_root = world.repository.files["metadata/3.root.json"].clone();
    world.asked();
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.asked()[0], "/metadata/4.root.json");
    world.repository.next_root();
    assert_eq!(world.refresh().await, Accepted);
    world.device.embedded_root = first;
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.trusted().root_version, 4);
}

#[tokio::test]
async fn a_firmware_with_no_good_root_asks_nobody() {
    let mut forged = Repository::new();
    forged.signers.insert("root", [STRANGER].into());
    forged.publish_root();
    let mut unsigned = Repository::new();
    unsigned.twist("root", |document| document["signatures"] = json!([]));
    let mut world = World::new().await;
    for (root, code) in [
        (b"not json".to_vec(), "embedded-root-malformed"),
        (b"{}".to_vec(), "embedded-root-invalid"),
        (world.repository.document("targets"), "embedded-root-wrong-type"),
        (forged.files["metadata/1.root.json"].clone(), "embedded-root-threshold"),
        (unsigned.files["metadata/1.root.json"].clone(), "embedded-root-threshold"),
    ] {
        world.device.embedded_root = root;
        assert_eq!(world.refresh().await, failed(code));
        assert_eq!(world.asked(), [""; 0]);
    }
}
