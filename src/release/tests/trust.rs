//! What a publish must not trust, and what it must not take for a matter of trust.

use std::fs;

use jiff::Timestamp;

use super::{Bench, release};
use crate::error::{Exit, Explained};
use crate::release::keys::{NewKeys, SigningKey};
use crate::release::repository::{Expiry, RepositoryError, State, Terms, View};
use crate::release::root::{ROOT_DAYS, new_root};
use crate::release::store::StoreError;

#[tokio::test]
async fn a_key_that_the_root_does_not_list_exits_6() {
    let mut bench = Bench::new().await;
    for role in ["targets", "snapshot", "timestamp"] {
        let right = bench.keys.clone();
        let wrong = SigningKey::generate().unwrap();
        match role {
            "targets" => bench.keys.publish.targets = wrong,
            "snapshot" => bench.keys.publish.snapshot = wrong,
            // A key of the repository, but of another role.
            _ => bench.keys.publish.timestamp = bench.keys.publish.targets.clone(),
        }
        let error = bench.publish(vec![release("1.0.0")]).await.unwrap_err();
        assert!(
            matches!(&error, RepositoryError::KeyNotInRoot { role: r, .. } if r.name() == role)
        );
        assert_eq!(error.exit(), Exit::Trust);
        assert!(bench.files().is_empty());
        bench.keys = right;
    }
    bench.publish(vec![release("1.0.0")]).await.unwrap();
}

#[tokio::test]
async fn an_expired_timestamp_exits_6() {
    let bench = Bench::new().await;
    let long_ago = "2020-01-01T00:00:00Z".parse().unwrap();
    let plan = bench.plan_at(long_ago, vec![release("1.0.0")]).await.unwrap();
    bench.store.stage(&plan).await.unwrap();
    bench.store.promote(&plan).await.unwrap();
    let error = bench.publish(vec![release("1.1.0")]).await.unwrap_err();
    assert!(matches!(&error, RepositoryError::Expired { role } if role == "timestamp"));
    assert_eq!(error.exit(), Exit::Trust);

    // Its publisher can still read it, and nothing else about it is taken on trust.
    let now = Timestamp::now();
    let state = State::load_overdue(&bench.store, &bench.root, now).await.unwrap();
    assert_eq!(state.releases().len(), 1);
    let file = bench.path("metadata/timestamp.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("2020", "2021")).unwrap();
    let error = State::load_overdue(&bench.store, &bench.root, now).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Trust);
}

#[tokio::test]
async fn not_even_its_publisher_reads_a_repository_whose_root_has_expired() {
    let mut bench = Bench::new().await;
    let then = "2020-01-01T00:00:00Z".parse().unwrap();
    bench.root = new_root(&bench.keys, then, 1).await.unwrap();
    let state = State::load(&bench.store, &bench.root, View::Live, then).await.unwrap();
    let terms = Terms { now: then, expiry: Expiry::default(), plain_channel: "stable" };
    let publish = &bench.keys.publish;
    let plan = state.publish(publish, vec![release("1.0.0")], terms).await.unwrap();
    bench.store.stage(&plan).await.unwrap();
    bench.store.promote(&plan).await.unwrap();
    let error = State::load_overdue(&bench.store, &bench.root, Timestamp::now()).await;
    assert!(matches!(error, Err(RepositoryError::RootExpired(_))));
}

#[tokio::test]
async fn an_expired_root_begins_no_repository() {
    let mut bench = Bench::new().await;
    let then = "2020-01-01T00:00:00Z".parse().unwrap();
    bench.root = new_root(&bench.keys, then, 1).await.unwrap();
    let load = |now: &str| {
        let now = now.parse().unwrap();
        State::load(&bench.store, &bench.root, View::Live, now)
    };
    assert!(load("2020-01-01T23:59:59Z").await.is_ok());
    let error = load("2020-01-02T00:00:00Z").await.unwrap_err();
    assert!(matches!(error, RepositoryError::RootExpired(_)));
    assert_eq!(error.exit(), Exit::Trust);
}

#[tokio::test]
async fn a_repository_of_somebody_else_exits_6() {
    let mut bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    bench.keys = NewKeys::generate().unwrap();
    bench.root = new_root(&bench.keys, Timestamp::now(), ROOT_DAYS).await.unwrap();
    let before = fs::read(bench.path("metadata/1.root.json")).unwrap();
    let error = bench.publish(vec![release("1.1.0")]).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Untrusted(_)));
    assert_eq!(error.exit(), Exit::Trust);

    // Without a live timestamp there is nothing to verify but the root itself.
    fs::remove_file(bench.path("metadata/timestamp.json")).unwrap();
    let error = bench.publish(vec![release("1.1.0")]).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Store(StoreError::OtherRoot(_))));
    assert_eq!(error.exit(), Exit::Trust);
    assert_eq!(fs::read(bench.path("metadata/1.root.json")).unwrap(), before);
}

#[tokio::test]
async fn metadata_that_was_changed_exits_6_and_what_is_gone_is_no_lie() {
    for file in ["metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json"] {
        let bench = Bench::new().await;
        bench.publish(vec![release("1.0.0")]).await.unwrap();
        let text = fs::read_to_string(bench.path(file)).unwrap();
        fs::write(bench.path(file), text.replace("20", "21")).unwrap();
        let error = bench.load().await.unwrap_err();
        assert_eq!(error.exit(), Exit::Trust, "{file} changed: {error}");
        if file != "metadata/timestamp.json" {
            fs::remove_file(bench.path(file)).unwrap();
            let error = bench.load().await.unwrap_err();
            assert_eq!(error.exit(), Exit::Project, "{file} gone: {error}");
        }
    }
}

#[tokio::test]
async fn a_planted_file_number_cannot_use_up_ours() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    fs::write(bench.path("metadata/1001.targets.json"), "").unwrap();
    fs::write(bench.path("metadata/x.targets.json"), "").unwrap();
    bench.publish(vec![release("1.1.0")]).await.unwrap();
    assert!(bench.path("metadata/1002.targets.json").exists());
    fs::write(bench.path("metadata/1003.snapshot.json"), "").unwrap();
    let error = bench.publish(vec![release("1.2.0")]).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Jump { live: 2, .. }), "{error}");
    assert_eq!(error.exit(), Exit::Trust);
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_that_cannot_be_read_is_neither_empty_nor_untrusted() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    for file in ["metadata/2.root.json", "metadata/1.snapshot.json", "metadata/timestamp.json"] {
        let before = fs::read(bench.path(file)).ok();
        let _ = fs::remove_file(bench.path(file));
        // Reading a folder fails, for root as well.
        fs::create_dir(bench.path(file)).unwrap();
        let error = bench.load().await.unwrap_err();
        assert_eq!(error.exit(), Exit::Project, "{file}: {error}");
        fs::remove_dir(bench.path(file)).unwrap();
        if let Some(before) = before {
            fs::write(bench.path(file), before).unwrap();
        }
    }
    assert!(bench.load().await.is_ok());
}
