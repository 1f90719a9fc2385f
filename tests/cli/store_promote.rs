//! Going live on a web server: what may happen to others meanwhile, and to the answers.

use cargo_esp_ota::error::{Exit, Explained};
use cargo_esp_ota::release::plan::{Existing, Plan, Upload};
use cargo_esp_ota::release::store::{Store, StoreError};

use crate::dav_server::{DavServer, Fault, Files, Manner};
use crate::store_https::{opened, wait};

const LIVE: &str = "metadata/timestamp.json";
const PLAIN: &str = "esp32c3/firmware.bin";

/// What a publish with this number writes.
fn plan(number: u64, base: Option<&[u8]>) -> Plan {
    let timestamp = format!("timestamp {number}").into_bytes();
    let upload =
        |path: String, bytes: &[u8], existing| Upload { path, bytes: bytes.into(), existing };
    let snapshot = format!("metadata/{number}.snapshot.json");
    let staged = "metadata/staged/timestamp.json".to_owned();
    Plan {
        uploads: vec![
            upload(snapshot, b"{}", Existing::Lost),
            upload(staged, &timestamp, Existing::Newest(number)),
        ],
        timestamp: Some(timestamp),
        base: base.map(<[u8]>::to_vec),
        plain: vec![upload(PLAIN.to_owned(), &[0, 1, 2], Existing::Repair)],
        ..Plan::default()
    }
}

fn staged(server: &DavServer, plan: &Plan) -> Store {
    let store = opened(server, None);
    wait(store.stage(plan)).unwrap();
    store
}

#[track_caller]
fn rejected(result: Result<(), StoreError>, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.exit(), Exit::Rejected, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

/// Another publisher that goes live.
fn another(files: &mut Files) {
    files.insert(LIVE.into(), b"another".to_vec());
}

#[test]
fn a_staged_plan_goes_live_and_nothing_waits_any_more() {
    let server = DavServer::start();
    let first = plan(1, None);
    let store = staged(&server, &first);
    assert!(!server.files().contains_key(LIVE));
    wait(store.promote(&first)).unwrap();
    let names: Vec<String> = server.files().into_keys().collect();
    assert_eq!(names, [PLAIN, "metadata/1.snapshot.json", LIVE]);

    let second = plan(2, Some(b"timestamp 1"));
    wait(store.stage(&second)).unwrap();
    wait(store.promote(&second)).unwrap();
    assert_eq!(server.files()[LIVE], b"timestamp 2");
}

#[test]
fn the_newest_claim_wins_and_the_older_one_stages_nothing_over_it() {
    let server = DavServer::start();
    let (older, newer) = (plan(1, None), plan(2, None));
    let store = staged(&server, &older);
    wait(store.stage(&newer)).unwrap();
    rejected(wait(store.promote(&older)), "`metadata/2.snapshot.json` is a later publish's claim");
    let [_, late] = &older.uploads[..] else { panic!() };
    rejected(wait(store.upload(late)), "`metadata/2.snapshot.json` is a later publish's claim");
    assert!(!server.files().contains_key(LIVE));
    wait(store.promote(&newer)).unwrap();
    assert_eq!(server.files()[LIVE], b"timestamp 2");
}

#[test]
fn what_is_not_as_this_publish_left_it_does_not_go_live() {
    for (path, words) in [
        ("metadata/1.snapshot.json", "`metadata/1.snapshot.json` is not as this publish wrote it"),
        ("metadata/staged/timestamp.json", "the staged timestamp is not the one"),
        (LIVE, "the live timestamp changed"),
    ] {
        let server = DavServer::start();
        let plan = plan(1, None);
        let store = staged(&server, &plan);
        let other = Upload { path: path.into(), bytes: vec![9], existing: Existing::Replace };
        wait(store.upload(&other)).unwrap();
        rejected(wait(store.promote(&plan)), words);
        assert_eq!(server.files().get(LIVE), (path == LIVE).then(|| vec![9]).as_ref());
        assert!(!server.files().contains_key(PLAIN));
    }
}

#[test]
fn a_timestamp_whose_answer_is_lost_is_live_all_the_same() {
    let server = DavServer::start();
    let plan = plan(1, None);
    let store = staged(&server, &plan);
    server.fail("PUT", LIVE, Fault::AnswerLost, 1);
    wait(store.promote(&plan)).unwrap();
    assert_eq!(server.count("PUT", LIVE), 1);
}

#[test]
fn a_timestamp_that_did_not_come_through_is_sent_again_while_nobody_else_published() {
    let server = DavServer::start();
    let plan = plan(1, None);
    let store = staged(&server, &plan);
    server.fail("PUT", LIVE, Fault::Status(503, None), 2);
    wait(store.promote(&plan)).unwrap();
    assert_eq!((server.count("PUT", LIVE), &server.files()[LIVE][..]), (3, &b"timestamp 1"[..]));

    let server = DavServer::start();
    let store = staged(&server, &plan);
    server.fail("PUT", LIVE, Fault::Usurped(another), 1);
    rejected(wait(store.promote(&plan)), "the live timestamp changed");
    assert_eq!((server.count("PUT", LIVE), &server.files()[LIVE][..]), (1, &b"another"[..]));

    // Whoever claims a number while this one waits is the newer one.
    let server = DavServer::start();
    let store = staged(&server, &plan);
    let claims = |files: &mut Files| {
        files.insert("metadata/2.snapshot.json".into(), b"{}".to_vec());
    };
    server.fail("PUT", LIVE, Fault::Usurped(claims), 1);
    rejected(wait(store.promote(&plan)), "is a later publish's claim");
    assert!(!server.files().contains_key(LIVE));
}

#[test]
fn a_server_with_tags_refuses_to_overwrite_what_came_between() {
    let server = DavServer::with(Manner { is_conditional: true, ..Manner::default() });
    let first = plan(1, None);
    let store = staged(&server, &first);
    wait(store.promote(&first)).unwrap();
    let second = plan(2, Some(b"timestamp 1"));
    wait(store.stage(&second)).unwrap();
    server.fail("PUT", LIVE, Fault::Meanwhile(another), 1);
    rejected(wait(store.promote(&second)), "the live timestamp changed");
    assert_eq!(server.files()[LIVE], b"another");
}

#[test]
fn a_server_whose_tags_do_not_hold_is_written_to_without_them() {
    let server = DavServer::start();
    let first = plan(1, None);
    let store = staged(&server, &first);
    wait(store.promote(&first)).unwrap();
    let second = plan(2, Some(b"timestamp 1"));
    wait(store.stage(&second)).unwrap();
    server.fail("PUT", LIVE, Fault::Status(412, None), 1);
    wait(store.promote(&second)).unwrap();
    assert_eq!(server.files()[LIVE], b"timestamp 2");
}
