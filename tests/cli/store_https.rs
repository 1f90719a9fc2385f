//! A store on a web server: real requests over real TLS, and everything that goes wrong on the way.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use cargo_esp_ota::error::{Exit, Explained};
use cargo_esp_ota::release::keys::Role;
use cargo_esp_ota::release::plan::{Existing, Upload};
use cargo_esp_ota::release::store::{Access, Credentials, Patience, Store, StoreError};

use crate::authority::{Authority, valid};
use crate::dav_server::{DavServer, Fault, Manner, local};

const CLAIM: &str = "metadata/1.targets.json";
const IMAGE: &str = "targets/ab.thermostat-esp32c3-1.0.0.bin";
/// `ci` and `right`, as HTTP says them.
const BASIC: &str = "Basic Y2k6cmlnaHQ=";

fn basic(user: &str, password: &str) -> Option<Credentials> {
    Some(Credentials::Basic { user: user.into(), password: password.into() })
}

/// A store that does not wait for long.
pub(crate) fn opened(server: &DavServer, credentials: Option<Credentials>) -> Store {
    waiting(server, credentials, Duration::from_secs(20))
}

/// The same; it waits for the next byte for so long.
fn waiting(server: &DavServer, credentials: Option<Credentials>, stall: Duration) -> Store {
    let patience = Patience {
        connect: Duration::from_secs(20),
        stall,
        pause: Duration::from_millis(1),
        retries: 4,
    };
    let access = Access { roots: vec![server.root()], credentials, patience };
    Store::open(&server.store(), "".as_ref(), access).unwrap()
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn put(store: &Store, path: &str, bytes: &[u8], existing: Existing) -> Result<(), StoreError> {
    wait(store.upload(&Upload { path: path.into(), bytes: bytes.to_vec(), existing }))
}

fn claim(store: &Store, bytes: &[u8]) -> Result<(), StoreError> {
    put(store, CLAIM, bytes, Existing::Lost)
}

fn image(store: &Store, bytes: &[u8]) -> Result<(), StoreError> {
    put(store, IMAGE, bytes, Existing::Repair)
}

#[track_caller]
fn refused(result: Result<(), StoreError>, exit: Exit, words: &str) {
    let error = result.unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(error.exit(), exit, "{error}");
    assert!(error.help().is_some(), "{error}");
}

#[test]
fn a_file_is_written_read_and_removed() {
    let server = DavServer::start();
    let store = opened(&server, None);
    assert!(!wait(store.exists(IMAGE)).unwrap());
    assert_eq!(wait(store.read(IMAGE)).unwrap(), None);
    image(&store, b"one").unwrap();
    assert!(wait(store.exists(IMAGE)).unwrap());
    assert_eq!(wait(store.read(IMAGE)).unwrap().unwrap(), b"one");
    wait(store.remove(IMAGE)).unwrap();
    wait(store.remove(IMAGE)).unwrap();
    assert!(server.files().is_empty());
}

#[test]
fn an_image_that_is_there_is_not_sent_again_and_a_damaged_one_is() {
    let server = DavServer::start();
    let store = opened(&server, None);
    image(&store, b"one").unwrap();
    image(&store, b"one").unwrap();
    assert_eq!(server.count("PUT", IMAGE), 1);
    image(&store, b"two").unwrap();
    assert_eq!(server.files()[IMAGE], b"two");
}

#[test]
fn how_much_was_sent_is_told() {
    let server = DavServer::start();
    let store = opened(&server, None);
    let bytes = vec![7; 1_300_000];
    let told = Mutex::new(Vec::new());
    let upload = Upload { path: IMAGE.into(), bytes: bytes.clone(), existing: Existing::Repair };
    wait(store.upload_with(&upload, &|sent| told.lock().unwrap().push(sent))).unwrap();
    assert_eq!(server.files()[IMAGE], bytes);
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted(), "{told:?}");
    assert_eq!(told.last(), Some(&1_300_000));
}

#[test]
fn the_highest_number_is_found_without_a_listing() {
    let server = DavServer::start();
    let store = opened(&server, None);
    for number in 3..=5 {
        let path = format!("metadata/{number}.snapshot.json");
        put(&store, &path, b"{}", Existing::Lost).unwrap();
    }
    assert_eq!(wait(store.highest(Role::Snapshot, 2)).unwrap(), Some(5));
    assert_eq!(wait(store.highest(Role::Snapshot, 5)).unwrap(), None);
    assert_eq!(wait(store.highest(Role::Targets, 2)).unwrap(), None);
}

#[test]
fn a_number_is_given_once_and_the_loser_leaves_nothing() {
    let server = DavServer::start();
    let store = opened(&server, None);
    claim(&store, b"first").unwrap();
    refused(claim(&store, b"second"), Exit::Rejected, "another publish was faster");
    let files = server.files();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[CLAIM], b"first");
}

#[test]
fn whoever_is_faster_between_a_look_and_the_write_keeps_the_number() {
    let server = DavServer::start();
    let store = opened(&server, None);
    let faster = |files: &mut crate::dav_server::Files| {
        files.insert(CLAIM.into(), b"faster".to_vec());
    };
    server.fail("MOVE", "", Fault::Meanwhile(faster), 1);
    refused(claim(&store, b"slower"), Exit::Rejected, "another publish was faster");
    assert_eq!(server.files()[CLAIM], b"faster");
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let server = DavServer::start();
    let store = opened(&server, None);
    for (method, path) in [("PUT", IMAGE), ("GET", IMAGE), ("PUT", "staged"), ("MOVE", "staged")] {
        server.fail(method, path, Fault::Status(503, None), 2);
    }
    image(&store, b"one").unwrap();
    claim(&store, b"ours").unwrap();
    assert_eq!(server.count("PUT", IMAGE), 3);
    assert_eq!(server.files()[CLAIM], b"ours");
}

#[test]
fn a_server_that_stays_in_trouble_is_given_up() {
    let server = DavServer::start();
    server.fail("PUT", "", Fault::Status(503, None), 100);
    let store = opened(&server, None);
    refused(image(&store, b"one"), Exit::Network, "answers 503 to PUT `targets/ab");
    assert_eq!(server.count("PUT", IMAGE), 5);
}

#[test]
fn a_server_is_left_alone_for_as_long_as_it_asks() {
    let server = DavServer::start();
    server.fail("GET", "", Fault::Status(429, Some(("retry-after", "1"))), 1);
    let began = Instant::now();
    wait(opened(&server, None).read(IMAGE)).unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));

    let server = DavServer::start();
    server.fail("GET", "", Fault::Status(503, Some(("retry-after", "3600"))), 9);
    let read = wait(opened(&server, None).read(IMAGE)).map(drop);
    refused(read, Exit::Network, "answers 503 to GET");
    assert_eq!(server.count("GET", ""), 1);
}

#[test]
fn a_connection_that_breaks_in_the_middle_of_a_file_is_made_again() {
    let server = DavServer::start();
    server.fail("PUT", "", Fault::Cut, 2);
    let store = opened(&server, None);
    let bytes = vec![3; 1_000_000];
    image(&store, &bytes).unwrap();
    assert_eq!(server.files()[IMAGE], bytes);
}

#[test]
fn our_own_file_is_not_taken_for_somebody_else_s_where_the_answer_was_lost() {
    let server = DavServer::start();
    for method in ["PUT", "MOVE"] {
        server.fail(method, "", Fault::AnswerLost, 1);
    }
    let store = opened(&server, None);
    claim(&store, b"ours").unwrap();
    assert_eq!(server.files().into_iter().collect::<Vec<_>>(), [(CLAIM.into(), b"ours".to_vec())]);

    let server = DavServer::with(Manner { is_conditional: true, ..Manner::default() });
    server.fail("MOVE", "", Fault::Status(405, None), 1);
    server.fail("PUT", CLAIM, Fault::AnswerLost, 1);
    claim(&opened(&server, None), b"ours").unwrap();
}

#[test]
fn a_server_that_does_nothing_is_given_up_and_a_slow_one_is_not() {
    let server = DavServer::start();
    server.fail("GET", "", Fault::Slow(Duration::from_millis(200)), 1);
    let store = waiting(&server, None, Duration::from_millis(600));
    wait(store.read(IMAGE)).unwrap();
    server.fail("PUT", "", Fault::Slow(Duration::from_secs(60)), 5);
    refused(image(&store, b"one"), Exit::Network, "neither took nor sent a byte");
}

#[test]
fn a_server_that_cannot_move_is_written_to_carefully() {
    for is_conditional in [false, true] {
        let server = DavServer::with(Manner { is_conditional, ..Manner::default() });
        server.fail("MOVE", "", Fault::Status(405, None), 100);
        let store = opened(&server, None);
        claim(&store, b"first").unwrap();
        assert_eq!(server.files().len(), 1);
        refused(claim(&store, b"second"), Exit::Rejected, "another publish was faster");
        assert_eq!(server.files()[CLAIM], b"first");
    }
}

#[test]
fn without_move_the_server_s_own_check_decides_a_race() {
    let server = DavServer::with(Manner { is_conditional: true, ..Manner::default() });
    server.fail("MOVE", "", Fault::Status(501, None), 1);
    let faster = |files: &mut crate::dav_server::Files| {
        files.insert(CLAIM.into(), b"faster".to_vec());
    };
    server.fail("PUT", CLAIM, Fault::Meanwhile(faster), 1);
    let slower = claim(&opened(&server, None), b"slower");
    refused(slower, Exit::Rejected, "another publish was faster");
    assert_eq!(server.files()[CLAIM], b"faster");
}

#[test]
fn a_redirect_is_not_followed_but_said() {
    let server = DavServer::start();
    let elsewhere = Some(("location", "https://cdn.example.com/x"));
    for (method, status) in [("GET", 301), ("PUT", 307)] {
        server.fail(method, "", Fault::Status(status, elsewhere), 1);
    }
    let store = opened(&server, None);
    let words = "is redirected to `https://cdn.example.com/x`";
    refused(wait(store.read(IMAGE)).map(drop), Exit::Project, words);
    refused(image(&store, b"one"), Exit::Project, words);
}

#[test]
fn a_certificate_that_nothing_vouches_for_is_a_matter_of_trust() {
    let server = DavServer::start();
    let others = Access { roots: vec![Authority::root("Another Root").der()], ..Access::default() };
    let store = Store::open(&server.store(), "".as_ref(), others).unwrap();
    refused(image(&store, b"one"), Exit::Trust, "the certificate of `127.0.0.1:");
    assert!(server.files().is_empty());
}

#[test]
fn a_certificate_of_another_time_or_host_is_a_matter_of_trust() {
    let root = Authority::root("Store Root");
    let expired = root.leaf_with(&[], |leaf| {
        local(leaf);
        valid(leaf, -30, -2);
    });
    let early = root.leaf_with(&[], |leaf| {
        local(leaf);
        valid(leaf, 2, 30);
    });
    let strange = root.leaf(&[]);
    for identity in [expired, early, strange] {
        let again = Authority::root("Store Root");
        let server = DavServer::showing(again, identity, Manner::default());
        let access = Access { roots: vec![root.der()], ..Access::default() };
        let store = Store::open(&server.store(), "".as_ref(), access).unwrap();
        refused(wait(store.read(IMAGE)).map(drop), Exit::Trust, "is not trusted");
        assert_eq!(server.count("GET", ""), 0);
    }
}

#[test]
fn who_publishes_is_said_where_it_is_asked() {
    let ask = |authorization| {
        DavServer::with(Manner { authorization: Some(authorization), ..Manner::default() })
    };
    let server = ask(BASIC);
    refused(image(&opened(&server, None), b"1"), Exit::Project, "asks who publishes (401");
    let wrong = opened(&server, basic("ci", "wrong"));
    refused(image(&wrong, b"1"), Exit::Project, "refuses the credentials (401");
    assert!(server.files().is_empty());
    image(&opened(&server, basic("ci", "right")), b"1").unwrap();

    let server = ask("Bearer t0ken");
    image(&opened(&server, Some(Credentials::Bearer("t0ken".into()))), b"1").unwrap();
    assert_eq!(server.files().len(), 1);
}

#[test]
fn what_a_server_has_against_a_file_is_said_with_what_to_do() {
    let cases = [
        (403, Exit::Project, "forbids PUT", "may do there"),
        (404, Exit::Output, "is not in a folder that exists", "create_full_put_path"),
        (405, Exit::Output, "does not take PUT", "dav_methods PUT DELETE MKCOL COPY MOVE;"),
        (409, Exit::Output, "is not in a folder that exists", "create_full_put_path"),
        (413, Exit::Output, "is larger than", "client_max_body_size"),
        (418, Exit::Output, "answers 418 to PUT", "log"),
        (507, Exit::Output, "the disk of", "make room"),
    ];
    for (status, exit, words, help) in cases {
        let server = DavServer::start();
        server.fail("PUT", "", Fault::Status(status, None), 1);
        let error = image(&opened(&server, None), b"1").unwrap_err();
        assert_eq!(error.exit(), exit, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.help().unwrap().contains(help), "{status}");
        assert_eq!(server.count("PUT", ""), 1, "{status} is final");
    }
}

#[test]
fn a_file_that_does_not_end_is_not_read_to_its_end() {
    let server = DavServer::start();
    let store = opened(&server, None);
    put(&store, IMAGE, &vec![0; 64 * 1024 * 1024 + 1], Existing::Replace).unwrap();
    refused(wait(store.read(IMAGE)).map(drop), Exit::Project, "is larger than 67108864 bytes");
}

#[test]
fn nobody_there_is_the_network_s_fault() {
    let server = DavServer::start();
    let store = opened(&server, None);
    drop(server);
    refused(image(&store, b"1"), Exit::Network, "could not be asked: ");
}
