//! How many keys have to sign, and everything that must not count as one more.

use serde_json::json;

use crate::device::{Accepted, Verdict, refused};
use crate::key::Key::{self, Ed25519, P256};
use crate::repository::{ONLINE, Repository};
use crate::world::World;

const ROLES: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

const A: Key = Ed25519(51);
const B: Key = P256(52);
const C: Key = Ed25519(53);
const STRANGER: Key = Ed25519(99);

/// A repository in which `role` needs `threshold` of `keys`, all of whom sign. Of the root, version
/// 2 does; version 1 is the one that the device embeds. Lists hold no hashes: signatures alone are
/// between the attack and the device.
fn with_keys(role: &'static str, threshold: u64, keys: &[Key]) -> Repository {
    let mut repository = Repository::new();
    repository.lists_hashes = false;
    let mut signers = repository.signers["root"].clone();
    repository.set_keys(role, threshold, keys);
    if role == "root" {
        signers.extend_from_slice(keys);
        repository.signers.insert("root", signers);
    }
    repository.next_root();
    repository.publish();
    repository
}

/// What a new device says where `signers` signed for a role that needs 2 of A, B and C.
async fn two_of_three(role: &'static str, signers: &[Key]) -> Verdict {
    let mut repository = with_keys(role, 2, &[A, B, C]);
    let mut all = signers.to_vec();
    if role == "root" {
        // The key of version 1 has to sign as well.
        all.push(Ed25519(1));
    }
    repository.signers.insert(role, all);
    if role == "root" {
        repository.publish_root();
    } else {
        repository.publish();
    }
    World::of(repository).await.refresh().await
}

#[tokio::test]
async fn any_two_of_three_are_enough() {
    for role in ROLES {
        for signers in [&[A, B][..], &[C, A], &[B, C], &[A, B, C], &[STRANGER, C, B]] {
            assert_eq!(two_of_three(role, signers).await, Accepted, "{role} {signers:?}");
        }
    }
}

#[tokio::test]
async fn one_of_three_is_not_enough() {
    for role in ROLES {
        for signers in [&[A][..], &[C], &[], &[B, STRANGER], &[STRANGER, Ed25519(98)]] {
            let verdict = two_of_three(role, signers).await;
            assert_eq!(verdict, refused(format!("threshold-{role}")), "{signers:?}");
        }
    }
}

#[tokio::test]
async fn a_lost_signature_is_noticed_by_a_device_that_was_content_before() {
    for role in ONLINE {
        let mut world = World::of(with_keys(role, 3, &[A, B, C])).await;
        assert_eq!(world.refresh().await, Accepted);
        world.repository.signers.get_mut(role).unwrap().pop();
        world.repository.publish_next();
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
    }
}

#[tokio::test]
async fn more_signatures_than_there_are_keys_can_never_be_had() {
    for role in ONLINE {
        let mut world = World::of(with_keys(role, 4, &[A, B, C])).await;
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
        assert_eq!(world.memory().root, 2, "the root is followed, so that the next can heal it");
        world.repository.set_keys(role, 3, &[A, B, C]);
        world.repository.next_root();
        assert_eq!(world.refresh().await, Accepted);
    }
}

#[tokio::test]
async fn one_key_listed_many_times_counts_once() {
    for role in ONLINE {
        let mut repository = with_keys(role, 2, &[A; 9]);
        repository.signers.insert(role, [A].into());
        repository.publish();
        let mut world = World::of(repository).await;
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
    }
}

#[tokio::test]
async fn one_key_under_two_ids_counts_once() {
    for role in ONLINE {
        let pem = B.public()["keyval"]["public"].as_str().unwrap().to_owned();
        let point = A.public()["keyval"]["public"].as_str().unwrap().to_owned();
        for (key, spelling) in [
            (A, point.clone()),
            (A, point.to_uppercase()),
            (B, pem.clone()),
            (B, pem.replace('\n', "\r\n")),
            (B, pem.trim_end().to_owned()),
        ] {
            let mut repository = with_keys(role, 2, &[key, C]);
            repository["root"]["keys"][C.id()] = key.public();
            repository["root"]["keys"][C.id()]["keyval"]["public"] = json!(spelling);
            repository.publish_root();
            repository.publish();
            let signature = key.signature(&repository[role]);
            repository.twist(role, |document| {
                document["signatures"] = json!([
                    { "keyid": key.id(), "sig": signature },
                    { "keyid": C.id(), "sig": signature },
                ]);
            });
            let mut world = World::of(repository).await;
            let expected = refused(format!("threshold-{role}"));
            assert_eq!(world.refresh().await, expected, "{spelling}");
        }
    }
}

#[tokio::test]
async fn one_id_that_signs_twice_is_refused_even_beside_enough_others() {
    for role in ROLES {
        let mut repository = with_keys(role, 1, &[A, B]);
        repository.twist(role, |document| {
            let signatures = document["signatures"].as_array_mut().unwrap();
            signatures.push(signatures[0].clone());
        });
        let mut world = World::of(repository).await;
        assert_eq!(world.refresh().await, refused(format!("duplicate-signature-{role}")));
    }
}

#[tokio::test]
async fn two_different_signatures_under_one_id_are_refused_as_well() {
    for role in ROLES {
        let mut repository = with_keys(role, 1, &[A, B]);
        repository.twist(role, |document| {
            let first = document["signatures"][0]["keyid"].clone();
            let signatures = document["signatures"].as_array_mut().unwrap();
            signatures.push(json!({ "keyid": first, "sig": "00".repeat(64) }));
        });
        let mut world = World::of(repository).await;
        assert_eq!(world.refresh().await, refused(format!("duplicate-signature-{role}")));
    }
}

/// Keys that this device cannot verify with are there, and never count.
#[tokio::test]
async fn keys_of_unknown_kinds_do_no_harm_and_count_for_nothing() {
    for role in ONLINE {
        for (field, value) in [
            ("keytype", json!("rsa")),
            ("keytype", json!("")),
            ("scheme", json!("ed448")),
            ("scheme", json!(null)),
            ("keyval", json!({})),
            ("keyval", json!({ "public": "0" })),
            ("keyval", json!({ "public": "zz".repeat(32) })),
        ] {
            let mut repository = with_keys(role, 1, &[A, B]);
            repository["root"]["keys"][B.id()][field] = value.clone();
            repository.publish_root();
            let mut world = World::of(repository).await;
            assert_eq!(world.refresh().await, Accepted, "{role} {field} {value}");

            world.repository.signers.insert(role, [B].into());
            world.repository.publish_next();
            let expected = refused(format!("threshold-{role}"));
            assert_eq!(world.refresh().await, expected, "{field} {value}");
        }
    }
}

#[tokio::test]
async fn an_id_without_a_key_counts_for_nothing() {
    for role in ONLINE {
        let mut repository = with_keys(role, 2, &[A, B]);
        repository["root"]["keys"].as_object_mut().unwrap().remove(&B.id());
        repository.publish_root();
        let mut world = World::of(repository).await;
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
    }
}

#[tokio::test]
async fn a_threshold_of_nothing_is_no_root() {
    for role in ROLES {
        for threshold in [json!(0), json!(-1), json!("1"), json!(null), json!(1.0), json!([1])] {
            let mut repository = Repository::new();
            repository["root"]["roles"][role]["threshold"] = threshold.clone();
            repository.next_root();
            let mut world = World::of(repository).await;
            let code = if threshold == json!(1.0) { "malformed-root" } else { "invalid-root" };
            assert_eq!(world.refresh().await, refused(code), "{role} {threshold}");
        }
    }
}

#[tokio::test]
async fn a_role_that_the_root_does_not_name_is_no_root() {
    for role in ROLES {
        let mut repository = Repository::new();
        repository["root"]["roles"].as_object_mut().unwrap().remove(role);
        repository.next_root();
        let mut world = World::of(repository).await;
        assert_eq!(world.refresh().await, refused("invalid-root"), "{role}");
    }
}
