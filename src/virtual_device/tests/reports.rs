//! Reports: what is in them, when they are dropped, and that they reach a real HTTPS server.

use std::cell::RefCell;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::bench::{App, Bench, Collector, Faults, Memory, Repository, image, now, runtime};
use super::memory;
use crate::agent::clock::Source;
use crate::agent::ports::TransportError;
use crate::agent::release::Identity;
use crate::agent::reports::{Report, Reports, Trouble, What};
use crate::agent::reset::ResetReason;
use crate::trust::root;
use crate::virtual_device::bootloader::Rollback;
use crate::virtual_device::flash::{Cut, FlashHandle, Moment, VirtualFlash};
use crate::virtual_device::tls_transport::{Options, TlsTransport};

fn repository() -> Repository {
    Repository::with(&[("1.1.0", image("1.1.0"))])
}

fn identity() -> Identity {
    Identity {
        product: "bench".into(),
        channel: "stable".into(),
        chip: "esp32c3".into(),
        device_id: "240ac4000001".into(),
        version: semver::Version::new(1, 0, 0),
    }
}

fn report(what: What, version: &str, reason: Option<&str>) -> Report {
    Report {
        what,
        version: Some(version.into()),
        from: "1.0.0".into(),
        slot: Some(1),
        reason: reason.map(Into::into),
        reset: None,
        bootloader_rollback: None,
        clock: Source::Date,
    }
}

fn flash() -> FlashHandle {
    FlashHandle::new(VirtualFlash::new(0x10000))
}

#[test]
fn the_json_is_a_promise() {
    let fell_back = Report {
        reset: Some(ResetReason::Watchdog),
        bootloader_rollback: Some(false),
        clock: Source::Floor,
        ..report(What::FellBack, "1.1.0", Some("no-verdict"))
    };
    assert_eq!(
        fell_back.json(&identity(), Some("abc")),
        "{\"schema\":1,\"product\":\"bench\",\"chip\":\"esp32c3\",\"device\":\"240ac4000001\",\
         \"channel\":\"stable\",\"event\":\"fell-back\",\"version\":\"1.1.0\",\"from\":\"1.0.0\",\
         \"slot\":\"ota_1\",\"reason\":\"no-verdict\",\"reset-reason\":\"watchdog\",\
         \"agent\":\"abc\",\"bootloader-rollback\":\"no\",\"clock\":\"floor\"}"
    );
    let refused = Report { version: None, slot: None, ..report(What::Refused, "", Some("x")) };
    assert_eq!(
        refused.json(&identity(), None),
        "{\"schema\":1,\"product\":\"bench\",\"chip\":\"esp32c3\",\"device\":\"240ac4000001\",\
         \"channel\":\"stable\",\"event\":\"refused\",\"version\":null,\"from\":\"1.0.0\",\
         \"slot\":null,\"reason\":\"x\",\"reset-reason\":null,\
         \"agent\":null,\"bootloader-rollback\":null,\"clock\":\"date\"}"
    );
}

#[test]
fn texts_are_escaped_and_cut() {
    let odd = Identity { product: "a\"\\\n\u{e9}".into(), ..identity() };
    let long = Identity { channel: "\u{e9}".repeat(100), ..odd };
    let json = report(What::Failed, "1.1.0", None).json(&long, None);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["product"], "a\"\\\n\u{e9}");
    assert_eq!(read["channel"], "\u{e9}".repeat(32));
}

#[test]
fn a_report_of_another_release_s_agent_names_none() {
    let agent = |report: Report| {
        let json = report.json(&identity(), Some("abc"));
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["agent"].clone()
    };
    assert_eq!(agent(report(What::Installed, "1.1.0", None)), "abc");
    assert_eq!(agent(report(What::Confirmed, "1.0.0", None)), "abc");
    assert!(agent(report(What::Confirmed, "1.1.0", None)).is_null());
    let by_another = Report { from: "0.9.0".into(), ..report(What::Installed, "1.0.0", None) };
    assert!(agent(by_another).is_null());
}

#[test]
fn the_same_report_waits_once_and_costs_no_wear() {
    let flash = flash();
    let mut store = memory::open(&flash);
    let failed = || report(What::Failed, "1.1.0", Some("unreachable"));
    Reports::default().add(&mut store, failed()).unwrap();
    let before = flash.with(|flash| flash.operations());
    for _ in 0..1000 {
        let mut reports = Reports::load(&mut memory::open(&flash)).unwrap();
        reports.add(&mut store, failed()).unwrap();
        assert_eq!(reports.waiting(), [failed()]);
    }
    assert_eq!(flash.with(|flash| flash.operations()), before);
}

#[test]
fn where_there_is_no_room_the_oldest_failure_goes_first_and_then_the_oldest() {
    let flash = flash();
    let mut store = memory::open(&flash);
    let mut reports = Reports::default();
    let add = |reports: &mut Reports, store: &mut _, what, number: u32| {
        reports.add(store, report(what, &format!("1.{number}.0"), Some("reason"))).unwrap();
    };
    add(&mut reports, &mut store, What::Installed, 0);
    add(&mut reports, &mut store, What::Failed, 1);
    add(&mut reports, &mut store, What::Refused, 2);
    for number in 3..100 {
        add(&mut reports, &mut store, What::Failed, number);
    }
    let versions = |reports: &Reports| {
        let versions = reports.waiting().iter().map(|it| it.version.clone().unwrap());
        versions.collect::<Vec<_>>()
    };
    let kept = versions(&reports);
    assert!((8..20).contains(&kept.len()), "{kept:?}");
    assert_eq!((kept[0].as_str(), kept.last().unwrap().as_str()), ("1.0.0", "1.99.0"));
    for number in 100..200 {
        add(&mut reports, &mut store, What::Confirmed, number);
    }
    assert!(reports.waiting().iter().all(|it| it.what == What::Confirmed), "{reports:?}");
    assert_eq!(Reports::load(&mut memory::open(&flash)).unwrap(), reports);
}

#[test]
fn a_failure_is_said_once_until_something_else_happens() {
    let repository = repository();
    let bench = Bench::new(&repository.root, Rollback::Off);
    let mut agent = bench.device.start().unwrap().agent;
    let mut poll = |down| {
        let mut memory = Memory::new(&repository, Faults { down, ..Faults::default() });
        let _ = runtime().block_on(agent.poll(&mut memory, None, &mut |_| {}));
        runtime().block_on(agent.deliver(&mut &bench.collector)).unwrap();
    };
    for _ in 0..5 {
        poll(Some(TransportError::Unreachable));
    }
    poll(Some(TransportError::Untrusted));
    poll(Some(TransportError::Unreachable));
    assert_eq!(
        bench.heard(),
        ["failed - unreachable", "refused - untrusted-tls", "failed - unreachable"]
    );
}

#[test]
fn a_report_that_is_not_taken_waits_and_does_not_hold_up_the_others() {
    let flash = flash();
    let mut store = memory::open(&flash);
    let mut reports = Reports::default();
    for version in ["1.1.0", "1.2.0"] {
        reports.add(&mut store, report(What::Installed, version, None)).unwrap();
    }
    let deliver = |answer| {
        let mut store = memory::open(&flash);
        let collector = RefCell::new(Collector { answer, heard: Vec::new() });
        let mut reports = Reports::load(&mut store).unwrap();
        let body = |report: &Report| report.json(&identity(), None);
        let mut sink = &collector;
        let delivery = reports.deliver(&mut store, &mut sink, body);
        let delivery = runtime().block_on(delivery).unwrap();
        (delivery.sent, delivery.left, delivery.trouble, collector.borrow().heard.len())
    };
    assert_eq!(deliver(Ok(500)), (0, 2, Some(Trouble::Status(500)), 2));
    assert_eq!(deliver(Ok(199)), (0, 2, Some(Trouble::Status(199)), 2));
    assert_eq!(deliver(Ok(300)), (0, 2, Some(Trouble::Status(300)), 2));
    for error in [TransportError::Unreachable, TransportError::Untrusted] {
        assert_eq!(deliver(Err(error)), (0, 2, Some(Trouble::Transport(error)), 1));
    }
    assert_eq!(deliver(Ok(299)), (2, 0, None, 2));
    assert_eq!(deliver(Ok(200)), (0, 0, None, 0));
}

#[test]
fn after_any_cut_a_report_waits_or_does_not_and_none_is_torn() {
    let mut prepared = Reports::default();
    let flash = flash();
    for number in 0..6 {
        let report = report(What::Failed, &format!("1.{number}.0"), Some("unreachable"));
        prepared.add(&mut memory::open(&flash), report).unwrap();
    }
    let contents = flash.with(|flash| flash.contents().to_vec());
    let new = || report(What::FellBack, "2.0.0", Some("no-verdict"));
    for operation in 0.. {
        let mut reached = false;
        for moment in [Moment::Before, Moment::Inside, Moment::After] {
            let flash = FlashHandle::new(VirtualFlash::with_contents(contents.clone()));
            let mut store = memory::open(&flash);
            flash.with(|flash| {
                flash.record();
                flash.cut_at(Cut { operation, moment, seed: operation });
            });
            let mut reports = Reports::load(&mut store).unwrap();
            let added = reports.add(&mut store, new());
            let is_off = !flash.with(|flash| flash.is_powered());
            reached |= is_off;
            assert_eq!(added.is_err(), is_off);
            flash.with(VirtualFlash::power_on);
            let found = Reports::load(&mut memory::open(&flash)).unwrap();
            assert!(found == prepared || found == reports, "{operation} {moment:?}: {found:?}");
        }
        if !reached {
            assert!(operation > 3, "{operation} operations");
            break;
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_in_the_store_make_it_panic(bytes in proptest::collection::vec(0u8.., 1..400)) {
        let flash = flash();
        let mut store = memory::open(&flash);
        for key in ["reports", "pending", "rejected", "resume"] {
            crate::agent::ports::Store::set(&mut store, key, &bytes).unwrap();
        }
        let _ = Reports::load(&mut store);
        let _ = crate::agent::history::pending(&mut store);
        let _ = crate::agent::rejections::Rejections::load(&mut store);
        let _ = crate::agent::resume::find(&mut store, &[0; 32], 1);
    }
}

const HOST: &str = "reports.example.com";

/// An HTTPS server that answers each POST with the next of these statuses.
struct Server {
    address: std::net::SocketAddr,
    root: String,
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

async fn server(statuses: Vec<u16>) -> Server {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    leaf.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let config = config(leaf.der().clone(), &key);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&heard);
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        for status in statuses {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(acceptor.accept(stream).await.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(stream.read_line(&mut head).await.unwrap() > 0, "{head}");
            }
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            notes.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
            let answer =
                format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    Server { address, root: authority.pem(), heard }
}

#[test]
fn a_real_server_hears_exactly_the_json_and_a_500_keeps_the_report() {
    let repository = repository();
    let bench = Bench::new(&repository.root, Rollback::Off);
    bench.collector.borrow_mut().answer = Err(TransportError::Unreachable);
    bench.run(&mut Memory::new(&repository, Faults::default()), |_| App::Confirms).unwrap();
    runtime().block_on(async {
        let server = server(vec![500, 204]).await;
        let roots = root::parse(Path::new("root.pem"), server.root.as_bytes(), now()).unwrap();
        let options = Options { connect_to: Some(server.address), ..Options::default() };
        let url = format!("https://{HOST}/reports");
        let mut agent = bench.device.start().unwrap().agent;
        agent.look_back(&mut |_| {}).unwrap();
        let mut wire = TlsTransport::new(&url, &roots, now(), options).unwrap();
        for (status, sent, left) in [(Some(500), 0, 1), (None, 1, 0)] {
            let delivery = agent.deliver(&mut wire).await.unwrap();
            assert_eq!((delivery.sent, delivery.left), (sent, left), "{:?}", wire.last_error());
            assert_eq!(delivery.trouble, status.map(Trouble::Status));
        }
        let heard = server.heard.lock().unwrap().clone();
        let (head, body) = &heard[0];
        assert!(head.starts_with("post /reports http/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("host: {HOST}\r\n")), "{head}");
        assert!(head.contains("content-type: application/json\r\n"), "{head}");
        // The image on trial posts what the one before it wrote: whose agent it was, it cannot know.
        assert_eq!(
            body,
            "{\"schema\":1,\"product\":\"bench\",\"chip\":\"esp32c3\",\
             \"device\":\"240ac4000001\",\"channel\":\"stable\",\"event\":\"installed\",\
             \"version\":\"1.1.0\",\"from\":\"1.0.0\",\"slot\":\"ota_1\",\"reason\":null,\
             \"reset-reason\":null,\"agent\":null,\"bootloader-rollback\":null,\
             \"clock\":\"floor\"}"
        );
        assert_eq!(heard[1].1, *body, "the same again");

        // A stranger hears nothing.
        let options = Options { connect_to: Some(stranger().await), ..Options::default() };
        let mut wire = TlsTransport::new(&url, &roots, now(), options).unwrap();
        agent.confirm().unwrap();
        let delivery = agent.deliver(&mut wire).await.unwrap();
        let untrusted = Some(Trouble::Transport(TransportError::Untrusted));
        assert_eq!((delivery.sent, delivery.left, delivery.trouble), (0, 1, untrusted));
    });
}

/// A server with a certificate of nobody's. Its handshake cannot succeed.
async fn stranger() -> std::net::SocketAddr {
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![HOST.to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = config(leaf.der().clone(), &key);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    address
}

fn config(leaf: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)
        .unwrap()
}
