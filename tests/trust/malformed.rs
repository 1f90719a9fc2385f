//! Bytes that are no metadata, or metadata that two readers could read differently.

use serde_json::{Value as Json, json};

use crate::device::{Accepted, Verdict, refused};
use crate::repository::Repository;
use crate::world::World;

/// Each role with the last file that is served for it.
const ROLES: [&str; 4] = ["root", "timestamp", "snapshot", "targets"];

/// What a device says where this is served for a role. Signatures are no matter: all of this is
/// seen before they are.
async fn served(role: &'static str, document: impl Into<Vec<u8>>) -> Verdict {
    let mut repository = Repository::new();
    repository.lists_hashes = false;
    repository["root"]["version"] = json!(2);
    repository.publish();
    repository.put(role, document.into());
    World::of(repository).await.refresh().await
}

/// A good document of a role, as text.
fn good(role: &'static str) -> String {
    let mut repository = Repository::new();
    repository["root"]["version"] = json!(2);
    serde_json::to_string(&serde_json::from_slice::<Json>(&repository.document(role)).unwrap())
        .unwrap()
}

#[tokio::test]
async fn a_key_that_is_there_twice_is_refused_wherever_it_is() {
    for role in ROLES {
        let version = if role == "root" { "\"version\":2" } else { "\"version\":1" };
        for (from, to) in [
            ("\"signed\":{", "\"signed\":{},\"signed\":{".to_owned()),
            ("\"signatures\":[", "\"signatures\":[],\"signatures\":[".to_owned()),
            (version, format!("{version},{version}")),
            (version, format!("{version},\"versi\\u006fn\":9")),
            ("\"keyid\":", "\"keyid\":\"\",\"keyid\":".to_owned()),
            (version, format!("{version},\"x\":{{\"a\":[{{\"b\":0,\"b\":1}}]}}")),
        ] {
            let text = good(role);
            let doubled = text.replacen(from, &to, 1);
            assert_ne!(text, doubled);
            let expected = refused(format!("duplicate-key-{role}"));
            assert_eq!(served(role, doubled).await, expected, "{to}");
        }
    }
}

#[tokio::test]
async fn what_is_not_one_json_document_is_malformed() {
    for role in ROLES {
        let text = good(role);
        for bytes in [
            b"\xff\xfe{}".to_vec(),
            "\u{feff}{}".into(),
            b"{\"signed\":\"\xff\"}".to_vec(),
            b"null null".to_vec(),
            b"not json".to_vec(),
            b"{'signed':{}}".to_vec(),
            text.replace(':', " ").into_bytes(),
            text.replacen(',', ",,", 1).into_bytes(),
            text.replacen('}', ",}", 1).into_bytes(),
            format!("{text}{text}").into_bytes(),
            format!("// {text}\n{text}").into_bytes(),
            text.as_bytes()[..text.len() - 1].to_vec(),
            text.as_bytes()[..text.len() / 2].to_vec(),
        ] {
            let shown = String::from_utf8_lossy(&bytes).chars().take(40).collect::<String>();
            let verdict = served(role, bytes).await;
            assert_eq!(verdict, refused(format!("malformed-{role}")), "{shown}");
        }
    }
}

#[tokio::test]
async fn numbers_that_readers_take_for_different_ones_are_malformed() {
    for role in ROLES {
        let version = if role == "root" { "2" } else { "1" };
        for number in [
            "1.0",
            "1e0",
            "-0",
            "01",
            "+1",
            "0x1",
            "99999999999999999999",
            "1e999",
            "NaN",
            "Infinity",
        ] {
            let text = good(role).replacen(
                &format!("\"version\":{version}}}"),
                &format!("\"version\":{number}}}"),
                1,
            );
            let text = text.replacen(
                &format!("\"version\":{version},"),
                &format!("\"version\":{number},"),
                1,
            );
            let expected = refused(format!("malformed-{role}"));
            assert_eq!(served(role, text).await, expected, "{number}");
        }
    }
}

#[tokio::test]
async fn nesting_has_an_end() {
    for role in ROLES {
        for document in [
            "[".repeat(4000),
            format!("{{\"a\":{}{}}}", "[".repeat(1500), "]".repeat(1500)),
            format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500)),
            format!("{{\"signed\":{},\"signatures\":[]}}", "[".repeat(3000)),
        ] {
            let verdict = served(role, document).await;
            assert_eq!(verdict, refused(format!("nested-too-deep-{role}")));
        }
    }
}

#[tokio::test]
async fn ten_megabytes_of_space_are_too_large() {
    for role in ROLES {
        let mut document = vec![b' '; 10 << 20];
        document.extend_from_slice(good(role).as_bytes());
        assert_eq!(served(role, document).await, refused(format!("too-large-{role}")));
    }
}

#[tokio::test]
async fn parts_that_are_missing_or_of_another_kind_are_invalid() {
    for role in ROLES {
        for (pointer, value) in [
            ("/signed", json!([])),
            ("/signed", json!(null)),
            ("/signed/_type", json!(1)),
            ("/signed/spec_version", json!(1.to_string().len())),
            ("/signatures", json!({})),
            ("/signatures", json!(null)),
            ("/signatures/0", json!("")),
            ("/signatures/0/keyid", json!(7)),
            ("/signatures/0/sig", json!(null)),
        ] {
            let mut document: Json = serde_json::from_str(&good(role)).unwrap();
            *document.pointer_mut(pointer).unwrap() = value.clone();
            let expected = refused(format!("invalid-{role}"));
            assert_eq!(served(role, document.to_string()).await, expected, "{pointer} {value}");
        }
        for document in ["{}", "[]", "1", "\"\"", "null"] {
            let expected = refused(format!("invalid-{role}"));
            assert_eq!(served(role, document).await, expected, "{document}");
        }
    }
}

#[tokio::test]
async fn a_version_that_is_none_is_invalid_although_it_is_signed() {
    for role in ROLES {
        for version in [json!(0), json!(-1), json!("1"), json!(null), json!([1]), json!(true)] {
            let mut repository = Repository::new();
            repository.lists_hashes = false;
            repository[role]["version"] = version.clone();
            let document = repository.document(role);
            let number = if role == "root" { 2 } else { 1 };
            repository[role]["version"] = json!(number);
            if role != "root" {
                repository.publish();
            }
            repository.put(role, document);
            let mut world = World::of(repository).await;
            assert_eq!(world.refresh().await, refused(format!("invalid-{role}")), "{version}");
        }
    }
}

#[tokio::test]
async fn more_signatures_than_any_role_has_are_refused() {
    for role in ROLES {
        let mut document: Json = serde_json::from_str(&good(role)).unwrap();
        let signatures = document["signatures"].as_array_mut().unwrap();
        for index in 0..64 {
            signatures.push(json!({ "keyid": index.to_string(), "sig": "" }));
        }
        let verdict = served(role, document.to_string()).await;
        assert_eq!(verdict, refused(format!("invalid-{role}")));
    }
}

/// Nobody here writes it, and whoever does has to be understood: it is signed as it stands.
#[tokio::test]
async fn text_beyond_ascii_is_read_as_it_is_written() {
    let mut repository = Repository::new();
    repository["targets"]["targets"]["größe-😀.bin"] =
        json!({ "length": 1, "hashes": { "sha256": "00".repeat(32) } });
    repository["targets"]["x-note"] = json!("e\u{301} is not é");
    repository.publish();
    let mut world = World::of(repository).await;
    assert_eq!(world.refresh().await, Accepted);
    let target = world.trusted().targets.find("größe-😀.bin").unwrap();
    assert_eq!(target.path(true), None, "such a name never becomes a path");
}
