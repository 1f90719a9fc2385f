//! Metadata whose time is over: when it is refused, and what a device keeps although it is.

use serde_json::json;

use cargo_esp_ota::agent::clock::unix_seconds;

use crate::device::{Accepted, refused};
use crate::repository::{EXPIRES, Repository};
use crate::world::World;

/// A moment within the time of test metadata, at which one role expires.
const SOON: &str = "2091-01-01T00:00:00Z";

/// With what a device remembers of timestamp, snapshot and targets when it is refused.
const ROLES: [(&str, [u64; 3]); 4] = [
    ("root", [0, 0, 0]),
    ("timestamp", [0, 0, 0]),
    ("snapshot", [1, 1, 0]),
    ("targets", [1, 1, 1]),
];

#[tokio::test]
async fn each_role_is_good_until_the_second_in_which_it_expires() {
    let soon = unix_seconds(SOON).unwrap();
    for (role, online) in ROLES {
        let mut repository = Repository::new();
        repository[role]["expires"] = json!(SOON);
        repository.publish_root();
        repository.publish();
        let mut world = World::of(repository).await;
        world.device.sntp = Some(soon);
        assert_eq!(world.refresh().await, refused(format!("expired-{role}")));
        assert_eq!(world.online(), online);
        world.device.sntp = Some(soon - 1);
        assert_eq!(world.refresh().await, Accepted, "{role}");
    }
}

#[tokio::test]
async fn what_was_good_yesterday_is_refused_today() {
    let soon = unix_seconds(SOON).unwrap();
    for (role, _) in ROLES {
        let mut repository = Repository::new();
        repository[role]["expires"] = json!(SOON);
        repository.publish_root();
        repository.publish();
        let mut world = World::of(repository).await;
        assert_eq!(world.refresh().await, Accepted);
        world.device.sntp = Some(soon);
        assert_eq!(world.refresh().await, refused(format!("expired-{role}")));
        assert_eq!(world.online(), [1, 1, 1], "what it knew it still knows");
    }
}

#[tokio::test]
async fn a_new_release_that_has_expired_already_is_refused() {
    for (role, _) in ROLES {
        let mut world = World::new().await;
        assert_eq!(world.refresh().await, Accepted);
        world.repository[role]["expires"] = json!("2089-12-31T23:59:59Z");
        if role == "root" {
            world.repository.next_root()
        } else {
            world.repository.publish_next()
        }
        assert_eq!(world.refresh().await, refused(format!("expired-{role}")));
    }
}

#[tokio::test]
async fn a_server_frozen_in_time_is_found_out_and_forgiven() {
    let mut repository = Repository::new();
    repository["root"]["expires"] = json!("2110-01-01T00:00:00Z");
    repository.publish_root();
    let mut world = World::of(repository).await;
    assert_eq!(world.refresh().await, Accepted);
    world.device.sntp = unix_seconds(EXPIRES);
    assert_eq!(world.refresh().await, refused("expired-timestamp"));
    for role in ["timestamp", "snapshot", "targets"] {
        world.repository[role]["expires"] = json!("2100-01-01T00:00:00Z");
    }
    world.repository.publish_next();
    assert_eq!(world.refresh().await, Accepted);
}

/// A device may lie in a box for years: its timestamp, snapshot, targets and root have expired, and
/// what the server has now is good.
#[tokio::test]
async fn expired_memories_do_not_stop_a_device() {
    let mut repository = Repository::new();
    for (role, _) in ROLES {
        repository[role]["expires"] = json!(SOON);
    }
    repository.publish_root();
    repository.publish();
    let mut world = World::of(repository).await;
    assert_eq!(world.refresh().await, Accepted);
    for (role, _) in ROLES {
        world.repository[role]["expires"] = json!(EXPIRES);
    }
    world.repository.next_root();
    world.repository.publish_next();
    world.device.sntp = unix_seconds("2095-01-01T00:00:00Z");
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!((world.memory().root, world.online()), (2, [2, 2, 2]));
}

#[tokio::test]
async fn an_expired_root_on_the_way_to_a_good_one_does_not_matter() {
    let mut world = World::new().await;
    world.repository["root"]["expires"] = json!("2080-01-01T00:00:00Z");
    world.repository.next_root();
    world.repository.next_root();
    assert_eq!(world.refresh().await, refused("expired-root"));
    assert_eq!(world.memory().root, 3, "it is proven, and kept");
    world.repository["root"]["expires"] = json!(EXPIRES);
    world.repository.next_root();
    assert_eq!(world.first_refresh().await, Accepted);
    assert_eq!(world.memory().root, 4);
}

#[tokio::test]
async fn an_expired_timestamp_or_snapshot_is_no_way_around_the_rollback_check() {
    let mut world = World::new().await;
    world.repository.publish_next();
    assert_eq!(world.refresh().await, Accepted);
    world.repository["timestamp"]["version"] = json!(1);
    world.repository["timestamp"]["expires"] = json!(SOON);
    world.repository.put_signed("timestamp");
    world.device.sntp = unix_seconds(SOON);
    assert_eq!(world.refresh().await, refused("rollback-timestamp"));
}

#[tokio::test]
async fn an_end_that_is_no_time_is_refused() {
    for (role, _) in ROLES {
        for end in [
            json!("never"),
            json!(""),
            json!("2099-01-01"),
            json!("2099-02-30T00:00:00Z"),
            json!("2099-01-01T00:00:00+02:00"),
            json!(4_070_908_800_u64),
            json!(null),
        ] {
            let mut world = World::new().await;
            world.repository[role]["expires"] = end.clone();
            if role == "root" {
                world.repository.next_root();
            } else {
                world.repository.publish();
            }
            let expected = refused(format!("invalid-{role}"));
            assert_eq!(world.refresh().await, expected, "{role} {end}");
        }
    }
}
