//! What an honest repository gives, and what is asked of it: the ground on which the attacks stand.

use cargo_esp_ota::agent::tuf::ROOT_KEY;
use serde_json::json;

use crate::device::{Accepted, Memory, failed};
use crate::repository::{Repository, TARGET};
use crate::world::World;

#[tokio::test]
async fn a_first_refresh_asks_for_each_role_once_and_in_order() {
    let mut world = World::new().await;
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(
        world.asked(),
        [
            "/metadata/2.root.json",
            "/metadata/timestamp.json",
            "/metadata/1.snapshot.json",
            "/metadata/1.targets.json"
        ]
    );
    assert_eq!(world.trusted().targets.find(TARGET).unwrap().length(), 8);
    assert!(world.trusted().targets.find("thermostat-9.9.9.bin").is_none());
    // The embedded root is not stored: it is in the firmware.
    assert_eq!(world.memory(), Memory { root: 0, online: [1, 1, 1] });
}

#[tokio::test]
async fn a_later_refresh_goes_on_from_what_the_flash_holds() {
    let mut world = World::new().await;
    world.repository.next_root();
    assert_eq!(world.refresh().await, Accepted);
    world.repository.next_root();
    world.repository.publish_next();
    world.asked();
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(
        world.asked(),
        [
            "/metadata/3.root.json",
            "/metadata/4.root.json",
            "/metadata/timestamp.json",
            "/metadata/2.snapshot.json",
            "/metadata/2.targets.json"
        ]
    );
    let third = &world.repository.files["metadata/3.root.json"];
    assert_eq!(world.device.remembered(ROOT_KEY).as_ref(), Some(third));
    assert_eq!(world.memory(), Memory { root: 3, online: [2, 2, 2] });
}

#[tokio::test]
async fn a_device_that_misses_releases_takes_the_newest() {
    let mut world = World::new().await;
    for release in [1, 4, 5, 9] {
        while world.repository.version("targets") < release {
            world.repository.publish_next();
        }
        assert_eq!(world.refresh().await, Accepted);
        assert_eq!(world.online(), [release; 3]);
    }
}

#[tokio::test]
async fn without_consistent_snapshots_files_have_plain_names() {
    let mut repository = Repository::new();
    repository["root"]["consistent_snapshot"] = json!(false);
    repository.publish_root();
    repository.publish();
    let mut world = World::of(repository).await;
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.asked()[2..], ["/metadata/snapshot.json", "/metadata/targets.json"]);
    let target = world.trusted().targets.find(TARGET).unwrap();
    assert_eq!(target.path(false).unwrap(), format!("targets/{TARGET}"));
}

#[tokio::test]
async fn a_repository_may_begin_and_cease_to_be_consistent() {
    let mut world = World::new().await;
    for is_consistent in [false, true, false] {
        world.repository["root"]["consistent_snapshot"] = json!(is_consistent);
        world.repository.next_root();
        world.repository.publish_next();
        assert_eq!(world.refresh().await, Accepted);
        assert_eq!(world.trusted().consistent_snapshot, is_consistent);
    }
    assert_eq!(world.online(), [4, 4, 4]);
}

#[tokio::test]
async fn plain_names_do_not_serve_where_the_root_says_consistent() {
    for role in ["snapshot", "targets"] {
        let mut world = World::new().await;
        let document = world.repository.files.remove(&format!("metadata/1.{role}.json")).unwrap();
        world.repository.files.insert(format!("metadata/{role}.json"), document);
        assert_eq!(world.refresh().await, failed("status-404"), "{role}");
    }
}

#[tokio::test]
async fn lists_without_lengths_and_hashes_are_enough() {
    let mut repository = Repository::new();
    repository.lists_hashes = false;
    repository.publish();
    let mut world = World::of(repository).await;
    assert_eq!(world.refresh().await, Accepted);
}

#[tokio::test]
async fn a_missing_file_is_a_status_and_no_lie() {
    for (path, online) in [
        ("metadata/timestamp.json", [0, 0, 0]),
        ("metadata/1.snapshot.json", [1, 1, 0]),
        ("metadata/1.targets.json", [1, 1, 1]),
    ] {
        let mut world = World::new().await;
        world.repository.files.remove(path);
        assert_eq!(world.refresh().await, failed("status-404"), "{path}");
        assert_eq!(world.online(), online);
    }
}
