//! `ca check`: how a host answers requests, each misbehaviour on its own.

use crate::authority::Authority;
use crate::harness::Project;
use crate::scripted::Scripted;
use crate::shape::{CaCheck, HostCheck};

const SIZE: usize = 1000;

fn body() -> Vec<u8> {
    (0..SIZE).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// What a good host does; a test changes one thing.
#[derive(Clone)]
struct Manners {
    etag: Option<&'static str>,
    extra: String,
    ranges: bool,
    shift: usize,
    past_end: u16,
    heeds_if_range: bool,
    date: Option<String>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            etag: Some("\"one\""),
            extra: String::new(),
            ranges: true,
            shift: 0,
            past_end: 416,
            heeds_if_range: true,
            date: Some(httpdate::fmt_http_date(std::time::SystemTime::now())),
        }
    }
}

impl Manners {
    fn answer(&self, request: &str) -> Vec<u8> {
        let header = |name: &str| {
            let lines = request.lines().filter_map(|line| line.split_once(": "));
            lines.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
        };
        let from = header("Range").and_then(|range| {
            range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
        });
        let is_same = header("If-Range").is_none_or(|tag| Some(tag.as_str()) == self.etag);
        let partial = from.filter(|_| self.ranges && (is_same || !self.heeds_if_range));
        let (status, range, bytes) = match partial {
            Some(from) if from >= SIZE => (self.past_end, None, Vec::new()),
            Some(from) => {
                let from = from + self.shift;
                let range = format!("bytes {from}-{}/{SIZE}", SIZE - 1);
                (206, Some(range), body()[from..].to_vec())
            }
            None => (200, None, body()),
        };
        let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", bytes.len());
        let all = [
            ("ETag", self.etag.map(str::to_owned)),
            ("Content-Range", range),
            ("Date", self.date.clone()),
        ];
        for (name, value) in all {
            if let Some(value) = value {
                head += &format!("{name}: {value}\r\n");
            }
        }
        [(head + &self.extra + "\r\n").into_bytes(), bytes].concat()
    }
}

/// Checks a host that answers like this.
#[track_caller]
fn asked(answer: impl Fn(&str) -> Vec<u8> + Send + 'static, more: &[&str], code: i32) -> CaCheck {
    let root = Authority::root("Root");
    let project = Project::new().file("roots.pem", root.pem());
    let host = Scripted::start(root.leaf(&[]), answer);
    let arguments = [
        "ca",
        "check",
        "-q",
        "--format",
        "json",
        "--url",
        "https://updates.test/t",
        "--roots",
        "roots.pem",
        "--file",
        "a.bin",
        "--connect",
        &host.address,
    ];
    let mut found = None;
    project
        .run(arguments.into_iter().chain(more.iter().copied()))
        .exits(code)
        .json(|report: CaCheck| found = Some(report))
        .stderr("");
    found.unwrap()
}

/// The check that has findings beside `spare`, and their codes.
#[track_caller]
fn found(manners: Manners, code: i32) -> Vec<(String, String)> {
    let report = asked(move |request| manners.answer(request), &[], code);
    let all = report.checks.iter().filter(|check| check.check != "spare");
    all.flat_map(|check| check.findings.iter().map(|it| (check.check.clone(), it.code.clone())))
        .collect()
}

fn outcome<'a>(report: &'a CaCheck, name: &str) -> &'a HostCheck {
    report.checks.iter().find(|check| check.check == name).unwrap()
}

fn one(check: &str, code: &str) -> Vec<(String, String)> {
    vec![(check.to_owned(), code.to_owned())]
}

#[test]
fn good_manners_are_ok() {
    assert_eq!(found(Manners::default(), 0), []);
}

#[test]
fn redirects_are_counted_and_followed_by_nobody_else() {
    let answer = |request: &str| {
        let line = request.lines().next().unwrap();
        assert!(line == "GET /t/a.bin HTTP/1.1", "{line}");
        b"HTTP/1.1 302 Found\r\nLocation: https://localhost:1/b.bin\r\nContent-Length: 0\r\n\r\n"
            .to_vec()
    };
    let report = asked(answer, &[], 1);
    let redirects = outcome(&report, "redirects");
    assert_eq!((redirects.message.as_str(), redirects.outcome.as_str()), ("1 redirect", "failed"));
    assert_eq!(
        redirects.findings[0].message,
        "`/t/a.bin` answered 302: to https://localhost:1/b.bin"
    );
    assert_eq!(outcome(&report, "range").outcome, "not-made");
}

#[test]
fn a_head_that_is_too_large_for_devices_is_counted() {
    let large =
        Manners { extra: format!("X-Large: {}\r\n", "x".repeat(8192)), ..Manners::default() };
    assert_eq!(found(large, 1), one("head", "head-too-large"));
    let many = Manners { extra: "A: b\r\n".repeat(64), ..Manners::default() };
    assert_eq!(found(many, 1), one("head", "head-too-large"));
    // To the byte: what the answer has without the filler, and the filler.
    let bytes = |extra: &str| {
        let manners = Manners { extra: extra.to_owned(), ..Manners::default() };
        let report =
            asked(move |request| manners.answer(request), &["--allow", "head-too-large"], 0);
        let message = outcome(&report, "head").message.clone();
        message.split_once(' ').unwrap().0.parse::<usize>().unwrap()
    };
    let least = bytes("X: \r\n");
    for (filler, code) in [(8192 - least, 0), (8193 - least, 1)] {
        let extra = format!("X: {}\r\n", "x".repeat(filler));
        let manners = Manners { extra, ..Manners::default() };
        asked(move |request| manners.answer(request), &[], code);
    }
}

#[test]
fn interim_answers_count_with_the_head() {
    let early = |request: &str| {
        let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(8100));
        [hints.into_bytes(), Manners::default().answer(request)].concat()
    };
    let report = asked(early, &[], 1);
    assert_eq!(outcome(&report, "head").findings[0].code, "head-too-large");
    assert_eq!(outcome(&report, "range").outcome, "ok");
}

#[test]
fn compression_and_a_wrong_clock_are_found() {
    let gzip = Manners { extra: "Content-Encoding: gzip\r\n".into(), ..Manners::default() };
    assert_eq!(found(gzip, 1), one("head", "encoded"));
    assert_eq!(found(Manners { date: None, ..Manners::default() }, 0), one("head", "date-missing"));
    let old = Manners { date: Some("Sun, 06 Nov 1994 08:49:37 GMT".into()), ..Manners::default() };
    assert_eq!(found(old, 0), one("head", "date-wrong"));
}

#[test]
fn ranges_that_are_refused_or_wrong_are_found() {
    let none = Manners { ranges: false, ..Manners::default() };
    assert_eq!(
        found(none, 1),
        [
            ("range".to_owned(), "no-range".to_owned()),
            ("range".to_owned(), "range-past-end".to_owned()),
        ]
    );
    let shifted = Manners { shift: 1, ..Manners::default() };
    assert_eq!(found(shifted, 1), one("range", "range-wrong"));
    let past_end = Manners { past_end: 200, ..Manners::default() };
    assert_eq!(found(past_end, 0), one("range", "range-past-end"));
    let past_end = Manners { past_end: 206, ..Manners::default() };
    assert_eq!(found(past_end, 1), one("range", "range-wrong"));
}

#[test]
fn a_range_with_the_right_header_and_other_bytes_is_wrong() {
    let answer = |request: &str| {
        let mut answer = Manners::default().answer(request);
        if answer.starts_with(b"HTTP/1.1 206") {
            let last = answer.len() - 1;
            for byte in &mut answer[last - 900..=last] {
                *byte ^= 1;
            }
        }
        answer
    };
    let report = asked(answer, &[], 1);
    assert_eq!(outcome(&report, "range").findings[0].code, "range-wrong");
}

#[test]
fn tags_that_cannot_be_relied_on_are_found() {
    assert_eq!(found(Manners { etag: None, ..Manners::default() }, 1), one("etag", "no-etag"));
    let weak = Manners { etag: Some("W/\"one\""), ..Manners::default() };
    assert_eq!(found(weak, 1), one("etag", "weak-etag"));
    let ignored = Manners { heeds_if_range: false, ..Manners::default() };
    assert_eq!(found(ignored, 1), one("etag", "if-range-ignored"));
    let count = std::sync::atomic::AtomicUsize::new(0);
    let changing = move |request: &str| {
        let next = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let etag = ["\"a\"", "\"b\""][next % 2];
        let manners = Manners { etag: Some(etag), ..Manners::default() };
        manners.answer(request)
    };
    let report = asked(changing, &[], 1);
    let etag = outcome(&report, "etag");
    assert_eq!(etag.findings[0].code, "if-range-refused");
}

#[test]
fn what_a_host_cannot_do_can_be_accepted() {
    let none = Manners { ranges: false, etag: None, ..Manners::default() };
    let answer = move |request: &str| none.answer(request);
    let report = asked(answer, &["--allow", "no-range", "--allow", "no-etag"], 0);
    assert!(outcome(&report, "range").findings.iter().any(|finding| finding.allowed));
}

#[test]
fn a_host_that_hangs_up_or_talks_nonsense_was_not_judged() {
    for answer in [&b""[..], b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"] {
        let report = asked(move |_| answer.to_vec(), &[], 7);
        for name in ["redirects", "head", "range", "etag"] {
            assert_eq!(outcome(&report, name).outcome, "not-made", "{answer:?}");
        }
        assert_eq!(outcome(&report, "trust").outcome, "ok");
    }
}

#[test]
fn a_file_that_does_not_say_how_long_it_is_cannot_be_judged() {
    let answer = |_: &str| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n".to_vec()
    };
    let report = asked(answer, &[], 1);
    assert_eq!(outcome(&report, "range").message, "`/t/a.bin` does not say how long it is");
}
