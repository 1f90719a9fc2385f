//! Roots that several keys sign, that end, that somebody forged, and that are made at once.

use std::num::NonZeroU64;

use jiff::{SignedDuration, Timestamp};
use tough::key_source::KeySource;

use super::super::{Bench, release};
use super::{ONLINE, Turn, device, poll};
use crate::error::{Exit, Explained};
use crate::release::keys::{NewKeys, Role, SigningKey};
use crate::release::metadata;
use crate::release::plan::{Existing, Upload};
use crate::release::repository::RepositoryError;
use crate::release::root;
use crate::release::store::StoreError;

/// A bench whose root asks for two of two root keys, and the second key.
async fn two_of_two() -> (Bench, SigningKey) {
    let mut bench = Bench::new().await;
    let second = SigningKey::generate().unwrap();
    let mut root = root::trusted(&bench.root).unwrap();
    let id = second.public().key_id().unwrap();
    root.keys.insert(id.clone(), second.public());
    let role = root.roles.get_mut(&Role::Root.tough()).unwrap();
    role.keyids.push(id);
    role.threshold = NonZeroU64::new(2).unwrap();
    let keys: [&dyn KeySource; 2] = [&bench.keys.root, &second];
    bench.root = metadata::seal(Role::Root, &root, &root, &keys).await.unwrap();
    (bench, second)
}

#[tokio::test]
async fn a_threshold_of_the_root_is_asked_of_the_old_keys_and_of_the_new() {
    let (bench, second) = two_of_two().await;
    let mut turn = Turn::new(&bench, &[Role::Root, Role::Targets]).await;
    // The key that goes and the one that comes: one of two, twice.
    let error = turn.rotation().await.unwrap_err();
    assert!(matches!(error, RepositoryError::Threshold { keys: 1, threshold: 2, .. }));
    assert_eq!(error.exit(), Exit::Trust);
    turn.root_keys.push(second.clone());
    let rotation = turn.rotation().await.unwrap();
    let last = rotation.roots().last().unwrap();
    let (threshold, mut keys) = last.keys(Role::Root);
    keys.sort();
    let mut expected = [second.id().unwrap(), turn.replacements[&Role::Root].new.id().unwrap()];
    expected.sort();
    assert_eq!((threshold, keys), (2, expected.to_vec()));
    // A key that no root lists is passed over, and counts for nothing.
    turn.root_keys = vec![SigningKey::generate().unwrap(), turn.root_keys[0].clone()];
    assert!(matches!(turn.rotation().await, Err(RepositoryError::Threshold { keys: 1, .. })));
    turn.root_keys = vec![SigningKey::generate().unwrap()];
    assert!(matches!(turn.rotation().await, Err(RepositoryError::KeyNotInRoot { .. })));
}

#[tokio::test]
async fn a_root_beyond_its_time_is_renewed_and_devices_follow() {
    let mut bench = Bench::new().await;
    let past = Timestamp::now() - SignedDuration::from_hours(24 * 10);
    bench.root = root::new_root(&bench.keys, past, 5).await.unwrap();
    let error = bench.load().await.unwrap_err();
    assert!(matches!(error, RepositoryError::RootExpired(_)));
    assert!(error.help().unwrap().contains("`cargo esp-ota keys rotate --renew`"));
    let turn = Turn::new(&bench, &[]).await;
    assert!(turn.rotation().await.unwrap().roots().next().is_none(), "nothing but to renew");
    let rotation = turn.rotation_at(Timestamp::now(), true).await.unwrap();
    let (Some(renewed), None) = (&rotation.first, &rotation.last) else { panic!("one root") };
    assert!(renewed.expires() > Timestamp::now());
    assert_eq!(renewed.keys(Role::Targets), turn.newest.keys(Role::Targets));
    bench.store.stage(&rotation.plan).await.unwrap();
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    assert_eq!(poll(&bench, &mut device(&bench)).await, 2);
}

#[tokio::test]
async fn a_root_that_somebody_else_put_into_the_store_is_refused() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    let thief = NewKeys::generate().unwrap();
    let turn = Turn::new(&bench, &[Role::Targets]).await;
    let forged = {
        let mut root = turn.newest.root.clone();
        root.version = NonZeroU64::new(2).unwrap();
        let id = thief.root.public().key_id().unwrap();
        root.keys.insert(id.clone(), thief.root.public());
        root.roles.get_mut(&Role::Root.tough()).unwrap().keyids = vec![id];
        metadata::seal(Role::Root, &root, &root, &[&thief.root]).await.unwrap()
    };
    for (bytes, part) in [
        (forged, "does not follow the one before it"),
        (bench.root.clone(), "does not follow the one before it"),
        (b"{}".to_vec(), "does not follow the one before it"),
    ] {
        let path = "metadata/2.root.json".to_owned();
        bench.store.upload(&Upload { path, bytes, existing: Existing::Replace }).await.unwrap();
        let error = root::chain(&bench.store, &bench.root).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(error.exit(), Exit::Trust);
        assert!(error.help().unwrap().contains("metadata/2.root.json"));
    }
}

#[tokio::test]
async fn of_two_rotations_at_once_one_wins() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    let [one, other] = [Turn::new(&bench, &ONLINE).await, Turn::new(&bench, &[Role::Root]).await];
    let (one, other) = (one.rotation().await.unwrap(), other.rotation().await.unwrap());
    bench.store.stage(&one.plan).await.unwrap();
    let error = bench.store.stage(&other.plan).await.unwrap_err();
    assert!(matches!(error, StoreError::Lost(path) if path == "metadata/2.root.json"));
    bench.store.promote(&one.plan).await.unwrap();
    poll(&bench, &mut device(&bench)).await;
}
