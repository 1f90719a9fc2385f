//! Metadata that nobody signed, that somebody else signed, or that was changed after it was.

use serde_json::{Value as Json, json};

use crate::device::{Accepted, refused};
use crate::key::Key::Ed25519;
use crate::repository::{ONLINE, Repository};
use crate::world::World;

const ROLES: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

/// A world in which the next root is about to be published, so that every role can be attacked in
/// the same way. Lists hold no hashes: signatures alone are between the attack and the device.
async fn before_the_next_root() -> World {
    let mut repository = Repository::new();
    repository.lists_hashes = false;
    repository.publish();
    let mut world = World::of(repository).await;
    world.repository["root"]["version"] = json!(2);
    world.repository.publish_root();
    world
}

#[tokio::test]
async fn metadata_without_a_signature_is_refused() {
    for role in ROLES {
        let mut world = before_the_next_root().await;
        world.repository.twist(role, |document| document["signatures"] = json!([]));
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
        assert_eq!(world.memory().root, if role == "root" { 0 } else { 2 });
    }
}

#[tokio::test]
async fn a_signature_by_an_unknown_key_does_not_count() {
    for role in ROLES {
        let mut world = before_the_next_root().await;
        world.repository.signers.insert(role, [Ed25519(99)].into());
        world.repository.put_signed(role);
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
    }
}

#[tokio::test]
async fn a_signature_by_an_unknown_key_under_the_id_of_the_right_one_does_not_count() {
    for role in ROLES {
        let mut world = before_the_next_root().await;
        let forged = Ed25519(99).signature(&world.repository[role]);
        world.repository.twist(role, |document| document["signatures"][0]["sig"] = json!(forged));
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
    }
}

#[tokio::test]
async fn the_key_of_one_role_does_not_sign_for_another() {
    for (role, seed) in [("root", 4), ("timestamp", 3), ("snapshot", 2), ("targets", 2)] {
        let mut world = before_the_next_root().await;
        world.repository.signers.insert(role, [Ed25519(seed)].into());
        world.repository.put_signed(role);
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
    }
}

#[tokio::test]
async fn a_field_changed_added_or_removed_after_signing_undoes_the_signature() {
    let changes: [fn(&mut Json); 3] = [
        |signed| signed["expires"] = json!("2099-01-02T00:00:00Z"),
        |signed| signed["x-added"] = json!(null),
        |signed| {
            signed["spec_version"] = json!("1.0.32");
        },
    ];
    for role in ROLES {
        for change in changes {
            let mut world = before_the_next_root().await;
            world.repository.twist(role, |document| change(&mut document["signed"]));
            assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
        }
    }
}

#[tokio::test]
async fn space_and_order_are_not_signed_and_may_change() {
    for role in ROLES {
        let mut world = before_the_next_root().await;
        let document: Json = serde_json::from_slice(&world.repository.document(role)).unwrap();
        let text = format!(
            "\r\n{{\t\"signed\" :{:#},\n\n\"signatures\":{}}} ",
            document["signed"], document["signatures"]
        );
        world.repository.put(role, text.into());
        assert_eq!(world.refresh().await, Accepted, "{role}");
    }
}

#[tokio::test]
async fn the_document_of_one_role_does_not_pass_for_another() {
    for (role, other) in [
        ("root", "targets"),
        ("timestamp", "snapshot"),
        ("snapshot", "timestamp"),
        ("targets", "snapshot"),
    ] {
        let mut world = before_the_next_root().await;
        let document = world.repository.document(other);
        world.repository.put(role, document);
        assert_eq!(world.refresh().await, refused(format!("wrong-type-{role}")));
    }
}

#[tokio::test]
async fn a_type_that_is_none_is_refused_although_it_is_signed() {
    for role in ROLES {
        for name in ["", "Root", "delegation", "timestamp.json"] {
            let mut world = before_the_next_root().await;
            world.repository[role]["_type"] = json!(name);
            world.repository.put_signed(role);
            assert_eq!(world.refresh().await, refused(format!("wrong-type-{role}")));
        }
    }
}

#[tokio::test]
async fn another_specification_is_refused_although_it_is_signed() {
    for role in ROLES {
        let mut world = before_the_next_root().await;
        world.repository[role]["spec_version"] = json!("2.0.0");
        world.repository.put_signed(role);
        assert_eq!(world.refresh().await, refused(format!("spec-version-{role}")));
    }
}

#[tokio::test]
async fn a_bad_signature_beside_enough_good_ones_does_no_harm() {
    let plausible = "5a".repeat(64);
    for bad in ["", "not hexadecimal", "5a", &plausible, &"00".repeat(64), &"ff".repeat(65)] {
        for role in ROLES {
            let mut world = before_the_next_root().await;
            world.repository.twist(role, |document| {
                let signatures = document["signatures"].as_array_mut().unwrap();
                signatures.insert(0, json!({ "keyid": Ed25519(99).id(), "sig": bad }));
            });
            assert_eq!(world.refresh().await, Accepted, "{role}: `{bad}`");
        }
    }
}

/// The neutral point verifies a signature of itself and zeros over anything.
#[tokio::test]
async fn a_weak_key_signs_nothing() {
    let neutral = format!("01{}", "00".repeat(31));
    let mut repository = Repository::new();
    let id = Ed25519(2).id();
    repository["root"]["keys"][&id]["keyval"]["public"] = json!(neutral);
    repository.publish_root();
    repository.twist("timestamp", |document| {
        document["signatures"][0]["sig"] = json!(format!("{neutral}{}", "00".repeat(32)));
    });
    let mut world = World::of(repository).await;
    assert_eq!(world.refresh().await, refused("threshold-timestamp"));
}

#[tokio::test]
async fn fields_that_nobody_knows_are_signed_and_otherwise_ignored() {
    let mut repository = Repository::new();
    for role in ROLES {
        repository[role]["x-later"] = json!({ "b": [1, null, { "z": true }], "a": "\"\\/ \u{7f}" });
    }
    for keys in repository["root"]["keys"].as_object_mut().unwrap().values_mut() {
        // Written by old tools, and never to be believed.
        keys["keyid_hash_algorithms"] = json!(["md5", "none"]);
    }
    repository.publish_root();
    repository.publish();
    let mut world = World::of(repository).await;
    assert_eq!(world.refresh().await, Accepted);
    for role in ONLINE {
        let mut world = before_the_next_root().await;
        world.repository.twist(role, |document| document["signed"]["x-later"] = json!([]));
        assert_eq!(world.refresh().await, refused(format!("threshold-{role}")));
    }
}
