//! How a host answers requests: what a device asks of it, and what a broken download needs.

use jiff::Timestamp;
use url::Url;

use super::finding::{Check, Code, Finding};
use crate::agent::clock::http_date;
use crate::agent::http::LARGEST_HEAD;
use crate::error::Exit;
use crate::trust::endpoint::Endpoint;
use crate::trust::exchange::{Answer, Client, ExchangeError, shown};
use crate::trust::root::PinnedRoot;

/// Most headers that the agent takes (`http/head.rs`).
const MOST_HEADERS: usize = 64;
/// Bytes of a body that are looked at.
const SAMPLE: usize = 512;
/// Where a range begins, in files that are long enough.
const OFFSET: u64 = 16;
/// Most redirects that are counted.
const MOST_HOPS: usize = 10;
/// A tag that no file has.
const OTHER_TAG: &str = "\"esp-ota-another-file\"";
/// Seconds that a server's clock may be off. Certificates and metadata live for days.
const CLOCK: i64 = 60 * 60;

/// What a host answered about one file.
#[derive(Debug)]
pub struct Behaviour {
    /// The path that was asked for.
    pub target: String,
    /// To a request for the whole file.
    pub whole: Answer,
    /// Where redirects lead, one after the other.
    pub hops: Vec<String>,
    /// To requests for parts, where the file is there and says how long it is.
    pub parts: Option<Parts>,
}

/// What a device makes of a file, before it reads the first byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// It reads it.
    Open,
    /// It is not there; the status of the answer.
    Missing(u16),
    /// It does not take such an answer: a redirect, or a head that is too large.
    Closed,
}

/// Asks for `url` as a device does that wants to read it.
pub fn door(
    endpoint: &Endpoint,
    url: &Url,
    roots: &[PinnedRoot],
    now: Timestamp,
) -> Result<Door, ExchangeError> {
    let client = Client::new(endpoint.clone(), roots, now)?;
    let answer = client.get(&target(url), &[], 0)?;
    Ok(match answer.status {
        200 if !is_too_large(&answer) && coding(&answer).is_none() => Door::Open,
        // Some stores say 403 for what is not there.
        status @ (403 | 404) => Door::Missing(status),
        _ => Door::Closed,
    })
}

fn is_too_large(answer: &Answer) -> bool {
    answer.head_bytes > LARGEST_HEAD || answer.header_count() > MOST_HEADERS
}

/// How an answer is compressed, if it is.
fn coding(answer: &Answer) -> Option<&str> {
    answer.header("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case("identity"))
}

/// What a host answered to requests for parts of a file.
#[derive(Debug)]
pub struct Parts {
    length: u64,
    from: u64,
    range: Answer,
    past_end: Answer,
    /// With the tag of the whole answer, and with another one.
    if_range: Option<(Answer, Answer)>,
}

/// Asks for `url`, and for parts of it.
pub fn ask(
    endpoint: &Endpoint,
    url: &Url,
    roots: &[PinnedRoot],
    now: Timestamp,
) -> Result<Behaviour, ExchangeError> {
    let client = Client::new(endpoint.clone(), roots, now)?;
    let target = target(url);
    let whole = client.get(&target, &[], SAMPLE)?;
    let hops = hops(url, &whole, roots, now);
    let length = whole.header("content-length").and_then(|length| length.parse::<u64>().ok());
    let parts = match length {
        Some(length) if whole.status == 200 && length > 1 => {
            Some(parts(&client, &target, &whole, length)?)
        }
        _ => None,
    };
    Ok(Behaviour { target, whole, hops, parts })
}

fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

fn parts(
    client: &Client,
    target: &str,
    whole: &Answer,
    length: u64,
) -> Result<Parts, ExchangeError> {
    let from = OFFSET.min(length.saturating_sub(1));
    let wanted = format!("bytes={from}-");
    let range = client.get(target, &[("Range", &wanted)], SAMPLE)?;
    let past_end = client.get(target, &[("Range", &format!("bytes={length}-"))], 0)?;
    let if_range = match strong_tag(whole) {
        Some(tag) => {
            let with =
                |tag: &str| client.get(target, &[("Range", &wanted), ("If-Range", tag)], SAMPLE);
            Some((with(tag)?, with(OTHER_TAG)?))
        }
        None => None,
    };
    Ok(Parts { length, from, range, past_end, if_range })
}

/// Follows redirects to count them, as far as the pinned roots lead.
fn hops(url: &Url, first: &Answer, roots: &[PinnedRoot], now: Timestamp) -> Vec<String> {
    let mut hops = Vec::new();
    let (mut url, mut answer) = (url.clone(), first.clone());
    while (300..400).contains(&answer.status) && hops.len() < MOST_HOPS {
        let Some(next) = answer.header("location").and_then(|to| url.join(to).ok()) else { break };
        hops.push(shown(next.as_str()));
        let Ok(endpoint) = Endpoint::from_url(next.as_str()) else { break };
        let asked =
            Client::new(endpoint, roots, now).and_then(|client| client.get(&target(&next), &[], 0));
        let Ok(next_answer) = asked else { break };
        (url, answer) = (next, next_answer);
    }
    hops
}

/// The tag of an answer, where a range may rest on it.
fn strong_tag(answer: &Answer) -> Option<&str> {
    answer.header("etag").filter(|tag| tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'))
}

/// Everything that the answers tell.
pub fn judge(behaviour: &Behaviour, now: Timestamp) -> Vec<Check> {
    let mut checks = vec![redirects(behaviour), head(behaviour, now)];
    match &behaviour.parts {
        Some(parts) => {
            checks.push(range(&behaviour.whole, parts));
            checks.push(etag(&behaviour.whole, parts));
        }
        None => {
            let reason = match behaviour.whole.status {
                200 => format!("`{}` does not say how long it is", behaviour.target),
                status => {
                    format!("`{}` answered {status}: name a file with `--file`", behaviour.target)
                }
            };
            checks.push(Check::not_made("range", reason.clone(), Exit::Rejected));
            checks.push(Check::not_made("etag", reason, Exit::Rejected));
        }
    }
    checks
}

/// What a run reports of a host that could not be asked.
pub fn not_asked(reason: &str, exit: Exit) -> Vec<Check> {
    let names = ["redirects", "head", "range", "etag"];
    names.into_iter().map(|check| Check::not_made(check, reason, exit)).collect()
}

fn redirects(behaviour: &Behaviour) -> Check {
    let Behaviour { hops, target, whole, .. } = behaviour;
    if !(300..400).contains(&whole.status) {
        return Check::made("redirects", format!("none from `{target}`"), Vec::new());
    }
    let count = hops.len();
    let words = if count == 1 { "1 redirect".to_owned() } else { format!("{count} redirects") };
    let finding = Finding::new(
        Code::Redirect,
        format!("`{target}` answered {}: to {}", whole.status, hops.join(", then ")),
        "set `url` to where the files are, and let that place serve them itself",
    );
    Check::made("redirects", words, vec![finding])
}

fn head(behaviour: &Behaviour, now: Timestamp) -> Check {
    let whole = &behaviour.whole;
    let (bytes, count) = (whole.head_bytes, whole.header_count());
    let mut findings = Vec::new();
    if is_too_large(whole) {
        findings.push(Finding::new(
            Code::HeadTooLarge,
            format!(
                "{bytes} bytes and {count} headers, and a device takes {LARGEST_HEAD} bytes and \
                 {MOST_HEADERS} headers"
            ),
            "switch off headers that are for browsers, such as `Content-Security-Policy`, for these \
             files",
        ));
    }
    if let Some(coding) = coding(whole) {
        findings.push(Finding::new(
            Code::Encoded,
            format!("the file came as `{}`", shown(coding)),
            "switch compression off for these files",
        ));
    }
    let date = whole.header("date").and_then(http_date).and_then(|date| i64::try_from(date).ok());
    match date.and_then(|date| Timestamp::from_second(date).ok()) {
        None => findings.push(Finding::new(
            Code::DateMissing,
            "no `Date` header, from which devices without another clock take the time",
            "let the server send one",
        )),
        Some(date) if date.duration_since(now).abs().as_secs() > CLOCK => {
            findings.push(Finding::new(
                Code::DateWrong,
                format!("it says {date}, and it is {now}"),
                "set the server's clock, or this computer's",
            ));
        }
        Some(_) => {}
    }
    Check::made("head", format!("{bytes} bytes, {count} headers"), findings)
}

fn range(whole: &Answer, parts: &Parts) -> Check {
    let mut findings = Vec::new();
    let Parts { length, from, range, past_end, .. } = parts;
    match range.status {
        206 if is_right(range, whole, *from, *length) => {}
        200 => findings.push(Finding::new(
            Code::NoRange,
            format!("the whole file came for `bytes={from}-`"),
            "let the server support ranges (RFC 9110, section 14)",
        )),
        status => findings.push(Finding::new(
            Code::RangeWrong,
            format!(
                "{status} and `{}` came for `bytes={from}-` of {length} bytes",
                shown(range.header("content-range").unwrap_or("no Content-Range"))
            ),
            "look at the caches between the server and you: they mix up parts of files",
        )),
    }
    match past_end.status {
        416 => {}
        206 => findings.push(Finding::new(
            Code::RangeWrong,
            format!("206 came for `bytes={length}-` of {length} bytes"),
            "look at the caches between the server and you: they mix up parts of files",
        )),
        status => findings.push(Finding::new(
            Code::RangePastEnd,
            format!("{status} came for `bytes={length}-` of {length} bytes, and not 416"),
            "nothing has to be done: devices do not ask for it",
        )),
    }
    Check::made("range", format!("{} and {}", range.status, past_end.status), findings)
}

/// Whether a partial answer is the part that was asked for.
fn is_right(range: &Answer, whole: &Answer, from: u64, length: u64) -> bool {
    let last = length.saturating_sub(1);
    let stated = range.header("content-range").map(str::trim);
    let is_stated = stated == Some(&format!("bytes {from}-{last}/{length}"))
        || stated == Some(&format!("bytes {from}-{last}/*"));
    let begin = usize::try_from(from).unwrap_or(usize::MAX);
    let expected = whole.body.get(begin..).unwrap_or_default();
    let compared = expected.len().min(range.body.len());
    is_stated && compared > 0 && expected.get(..compared) == range.body.get(..compared)
}

fn etag(whole: &Answer, parts: &Parts) -> Check {
    let tag = shown(whole.header("etag").unwrap_or("none"));
    let Some((same, other)) = &parts.if_range else {
        let finding = if tag.starts_with("W/") {
            Finding::new(
                Code::WeakEtag,
                format!("`{tag}` is a weak ETag"),
                "let the server send a strong one; proxies make it weak when they compress",
            )
        } else {
            Finding::new(
                Code::NoEtag,
                format!("the ETag is `{tag}`"),
                "let the server send a strong one, as most do for files",
            )
        };
        return Check::made("etag", tag, vec![finding]);
    };
    let mut findings = Vec::new();
    if other.status == 206 {
        findings.push(Finding::new(
            Code::IfRangeIgnored,
            format!("206 came for a range with `If-Range: {OTHER_TAG}`"),
            "let the server heed `If-Range` (RFC 9110, section 13.1.5), or send no ranges: a download \
             would be put together from two files",
        ));
    }
    if parts.range.status == 206 && same.status != 206 {
        findings.push(Finding::new(
            Code::IfRangeRefused,
            format!("{} came for a range of the very same file (`If-Range: {tag}`)", same.status),
            "let every server behind the name send the same ETag for the same bytes",
        ));
    }
    Check::made(
        "etag",
        format!("{tag}, {} with it, {} with another", same.status, other.status),
        findings,
    )
}
