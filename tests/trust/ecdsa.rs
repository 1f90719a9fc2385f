//! ECDSA P-256 in every role: what counts as a key and as a signature, and what only looks like one.

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value as Json, json};

use crate::device::{Accepted, Verdict, refused};
use crate::key::Key::{self, Ed25519, P256};
use crate::key::{hex, pem};
use crate::repository::{ONLINE, Repository};
use crate::world::World;

const KEY: Key = P256(80);

/// A repository in which one role is signed by [`KEY`] alone; its lists hold no hashes.
fn with_key(role: &'static str) -> Repository {
    let mut repository = Repository::new();
    repository.lists_hashes = false;
    repository.set_keys(role, 1, &[KEY]);
    repository.publish_root();
    repository.publish();
    repository
}

/// What a new device says where the signature of a role is another one.
async fn with_signature(role: &'static str, signature: &str) -> Verdict {
    let mut repository = with_key(role);
    repository.twist(role, |document| document["signatures"][0]["sig"] = json!(signature));
    World::of(repository).await.refresh().await
}

#[tokio::test]
async fn each_role_may_have_one() {
    let mut repository = Repository::new();
    for (role, number) in [("root", 81), ("timestamp", 82), ("snapshot", 83), ("targets", 84)] {
        repository.set_keys(role, 1, &[P256(number)]);
    }
    repository.publish_root();
    repository.publish();
    repository.next_root();
    let mut world = World::of(repository).await;
    assert_eq!(world.refresh().await, Accepted);
    assert_eq!(world.memory().root, 2);
}

#[tokio::test]
async fn the_older_name_of_the_key_type_is_read() {
    let mut repository = with_key("timestamp");
    repository["root"]["keys"][KEY.id()]["keytype"] = json!("ecdsa-sha2-nistp256");
    repository.publish_root();
    assert_eq!(World::of(repository).await.refresh().await, Accepted);
}

#[tokio::test]
async fn a_signature_over_something_else_does_not_count() {
    for role in ONLINE {
        let other = KEY.signature(&json!({ "_type": role }));
        assert_eq!(with_signature(role, &other).await, refused(format!("threshold-{role}")));
        let foreign = P256(89).signature(&with_key(role)[role]);
        assert_eq!(with_signature(role, &foreign).await, refused(format!("threshold-{role}")));
    }
}

#[tokio::test]
async fn what_only_looks_like_a_signature_does_not_count() {
    let good = KEY.signature(&with_key("snapshot")["snapshot"]);
    assert_eq!(with_signature("snapshot", &good).await, Accepted);
    let both = |r: &str, s: &str| {
        let integer = |value: &str| format!("02{:02x}{value}", value.len() / 2);
        let inside = integer(r) + &integer(s);
        format!("30{:02x}{inside}", inside.len() / 2)
    };
    // The order of the curve's group (SEC 2, section 2.4.2), with the zero that keeps it positive.
    let order = "00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    for bad in [
        String::new(),
        "30".into(),
        "zz".repeat(70),
        "00".repeat(64),
        "5a".repeat(71),
        both("00", "00"),
        both("01", "00"),
        both(order, order),
        format!("{good}00"),
        good[..good.len() - 2].to_owned(),
        format!("{}00", "30".repeat(10_000)),
    ] {
        let verdict = with_signature("snapshot", &bad).await;
        // The last one is larger than any snapshot.
        let code = if bad.len() > 8192 { "too-large-snapshot" } else { "threshold-snapshot" };
        assert_eq!(verdict, refused(code), "{bad:.80}");
    }
}

/// A device knows one curve with one hash. Everything else is a key of an unknown kind.
#[tokio::test]
async fn a_key_of_another_curve_hash_or_form_counts_for_nothing() {
    let p384 = pem(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
    let own = KEY.public()["keyval"]["public"].as_str().unwrap().to_owned();
    let changes: [(&str, Json); 9] = [
        ("/keyval/public", json!(p384)),
        ("/keyval/public", json!(own.replace("PUBLIC", "PRIVATE"))),
        ("/keyval/public", json!(own.replace('A', "B"))),
        ("/keyval/public", json!(own.lines().nth(1).unwrap())),
        ("/keyval/public", json!(format!("{own}{own}"))),
        ("/keyval/public", json!(hex(&[4; 65]))),
        ("/keyval/public", json!("")),
        ("/scheme", json!("ecdsa-sha2-nistp384")),
        ("/keytype", json!("ed25519")),
    ];
    for (pointer, value) in changes {
        let mut repository = with_key("targets");
        let entry = &mut repository["root"]["keys"][KEY.id()];
        *entry.pointer_mut(pointer).unwrap() = value.clone();
        repository.publish_root();
        let verdict = World::of(repository).await.refresh().await;
        assert_eq!(verdict, refused("threshold-targets"), "{value}");
    }
}

#[tokio::test]
async fn both_kinds_make_up_one_threshold() {
    for signers in [&[KEY, Ed25519(80)][..], &[Ed25519(80), P256(81)]] {
        let mut repository = Repository::new();
        repository.set_keys("targets", 2, &[KEY, Ed25519(80), P256(81)]);
        repository.publish_root();
        repository.signers.insert("targets", signers.to_vec());
        repository.publish();
        assert_eq!(World::of(repository).await.refresh().await, Accepted);
    }
}
