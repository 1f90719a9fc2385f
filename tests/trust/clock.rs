//! Lies about the time. A device has no battery: it starts at its floor, and believes the rest for
//! one run.

use cargo_esp_ota::agent::clock::{Source, unix_seconds};
use serde_json::json;

use crate::device::{Accepted, BUILT, Device, refused};
use crate::repository::Repository;
use crate::rude_server::{RudeServer, Script};

const FAR_FUTURE: &str = "Fri, 31 Dec 9999 23:59:59 GMT";
const LONG_AGO: &str = "Thu, 01 Jan 1970 00:00:01 GMT";

async fn server(repository: &Repository, dates: &[&'static str]) -> RudeServer {
    let script = Script { files: repository.files.clone(), ..Script::default() };
    let server = RudeServer::start(script).await;
    server.says(dates);
    server
}

impl RudeServer {
    fn says(&self, dates: &[&'static str]) {
        self.tell(|script| script.dates = dates.to_vec());
    }

    fn has(&self, repository: &Repository) {
        self.tell(|script| script.files = repository.files.clone());
    }
}

/// `x-signed-at` of a new repository.
fn signed_at() -> u64 {
    unix_seconds("2090-02-01T00:00:00Z").unwrap()
}

#[tokio::test]
async fn a_far_future_date_stops_one_run_and_no_other() {
    let mut repository = Repository::new();
    // Before anything was ever proven, and after.
    for is_new in [true, false] {
        let mut device = Device::of(&repository);
        let server = server(&repository, &[]).await;
        if !is_new {
            assert_eq!(device.refresh(&server.door).await, Accepted);
        }
        let before = device.memory();
        repository.next_root();
        server.has(&repository);
        server.says(&[FAR_FUTURE]);
        for _ in 0..3 {
            assert_eq!(device.refresh(&server.door).await, refused("expired-root"));
            assert_eq!(device.clock.source(), Source::Date);
        }
        assert_eq!(device.memory().online, before.online, "the lie is not remembered");
        repository.publish_next();
        server.has(&repository);
        server.says(&["Sun, 01 Jan 2090 00:00:00 GMT"]);
        assert_eq!(device.refresh(&server.door).await, Accepted, "service is normal again");
        assert_eq!(device.clock.now(), signed_at());
    }
}

#[tokio::test]
async fn a_far_future_network_time_stops_one_run_and_no_other() {
    let repository = Repository::new();
    let server = server(&repository, &[]).await;
    let mut device = Device::of(&repository);
    device.sntp = Some(u64::MAX);
    assert_eq!(device.refresh(&server.door).await, refused("expired-root"));
    assert_eq!(device.clock.source(), Source::Sntp);
    device.sntp = None;
    assert_eq!(device.refresh(&server.door).await, Accepted);
}

#[tokio::test]
async fn a_past_date_revives_nothing_that_expired_before_the_build() {
    for role in ["root", "timestamp", "snapshot", "targets"] {
        let mut repository = Repository::new();
        repository[role]["expires"] = json!("2089-12-31T23:59:59Z");
        repository.publish_root();
        repository.publish();
        let server = server(&repository, &[LONG_AGO]).await;
        let mut device = Device::of(&repository);
        device.sntp = Some(1);
        let verdict = device.refresh(&server.door).await;
        assert_eq!(verdict, refused(format!("expired-{role}")));
    }
}

#[tokio::test]
async fn a_past_date_revives_nothing_that_expired_before_the_last_proven_release() {
    for role in ["timestamp", "snapshot", "targets"] {
        let mut repository = Repository::new();
        repository["timestamp"]["x-signed-at"] = json!("2091-06-01T00:00:00Z");
        repository.publish();
        let server = server(&repository, &[LONG_AGO]).await;
        let mut device = Device::of(&repository);
        assert_eq!(device.refresh(&server.door).await, Accepted);
        assert_eq!(device.clock.source(), Source::Floor);
        // Its end lies after the build and before the floor.
        repository[role]["expires"] = json!("2091-05-31T00:00:00Z");
        repository["timestamp"]["x-signed-at"] = json!(null);
        repository.publish_next();
        server.has(&repository);
        let verdict = device.refresh(&server.door).await;
        assert_eq!(verdict, refused(format!("expired-{role}")));
    }
}

#[tokio::test]
async fn the_signing_time_raises_the_floor_and_survives_a_restart() {
    let mut repository = Repository::new();
    let server = server(&repository, &[]).await;
    let mut device = Device::of(&repository);
    assert_eq!(device.refresh(&server.door).await, Accepted);
    assert_eq!((device.clock.now(), device.clock.source()), (signed_at(), Source::Floor));
    // A release that says nothing of its time does not lower it, nor does one that says less.
    for earlier in [json!(null), json!("2090-01-15T00:00:00Z")] {
        repository["timestamp"]["x-signed-at"] = earlier;
        repository.publish_next();
        server.has(&repository);
        assert_eq!(device.refresh(&server.door).await, Accepted);
        assert_eq!(device.clock.now(), signed_at());
    }
}

#[tokio::test]
async fn a_signing_time_counts_only_once_its_signature_does() {
    let mut repository = Repository::new();
    repository.twist("timestamp", |document| {
        document["signed"]["x-signed-at"] = json!("2098-12-01T00:00:00Z");
    });
    let server = server(&repository, &[]).await;
    let mut device = Device::of(&repository);
    assert_eq!(device.refresh(&server.door).await, refused("threshold-timestamp"));
    repository.publish();
    server.has(&repository);
    assert_eq!(device.refresh(&server.door).await, Accepted);
    assert_eq!(device.clock.now(), signed_at());
}

#[tokio::test]
async fn a_signing_time_that_is_none_or_after_the_end_is_not_heard() {
    for nonsense in
        [json!("soon"), json!(7), json!(null), json!("2099-01-01T00:00:00Z"), json!("9999")]
    {
        let mut repository = Repository::new();
        repository["timestamp"]["x-signed-at"] = nonsense.clone();
        repository.publish();
        let server = server(&repository, &[]).await;
        let mut device = Device::of(&repository);
        for _ in 0..2 {
            assert_eq!(device.refresh(&server.door).await, Accepted, "{nonsense}");
            assert_eq!(device.clock.now(), unix_seconds(BUILT).unwrap());
        }
    }
}

#[tokio::test]
async fn a_date_within_reason_is_used_and_not_kept() {
    let mut repository = Repository::new();
    repository["targets"]["expires"] = json!("2092-01-01T00:00:00Z");
    repository.publish();
    let server = server(&repository, &["Sat, 01 Mar 2092 00:00:00 GMT"]).await;
    let mut device = Device::of(&repository);
    assert_eq!(device.refresh(&server.door).await, refused("expired-targets"));
    assert_eq!(device.clock.source(), Source::Date);
    server.says(&[]);
    assert_eq!(device.refresh(&server.door).await, Accepted);
    assert_eq!(device.clock.now(), signed_at());
}

#[tokio::test]
async fn the_later_of_date_and_network_time_counts() {
    let repository = Repository::new();
    let server = server(&repository, &["Mon, 01 Jan 2091 00:00:00 GMT"]).await;
    let mut device = Device::of(&repository);
    let date = unix_seconds("2091-01-01T00:00:00Z").unwrap();
    for (sntp, source) in [(date - 1, Source::Date), (date + 1, Source::Sntp)] {
        device.sntp = Some(sntp);
        assert_eq!(device.refresh(&server.door).await, Accepted);
        assert_eq!((device.clock.now(), device.clock.source()), (sntp.max(date), source));
    }
}

/// A time that changes within a run could let old and new metadata pass side by side.
#[tokio::test]
async fn only_the_first_answer_of_a_run_tells_the_time() {
    let mut repository = Repository::new();
    repository.next_root();
    let first = "Sat, 01 Apr 2090 00:00:00 GMT";
    let server = server(&repository, &[first, FAR_FUTURE]).await;
    let mut device = Device::of(&repository);
    assert_eq!(device.refresh(&server.door).await, Accepted);
    assert_eq!(device.clock.now(), unix_seconds("2090-04-01T00:00:00Z").unwrap());
}

#[tokio::test]
async fn a_date_that_is_none_is_not_heard() {
    let mut repository = Repository::new();
    repository.next_root();
    for date in ["", "now", "9999-12-31T23:59:59Z", "Fri, 31 Dec 99999 23:59:59 GMT", "-1"] {
        let server = server(&repository, &[date]).await;
        let mut device = Device::of(&repository);
        assert_eq!(device.refresh(&server.door).await, Accepted, "{date}");
        assert_eq!(device.clock.source(), Source::Floor);
    }
}
