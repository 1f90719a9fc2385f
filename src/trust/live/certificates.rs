//! Rules about the chain that a host shows.

use jiff::Timestamp;

use super::finding::{Check, Code, Finding};
use super::gather::Seen;
use crate::error::Exit;
use crate::trust::chain::{Chain, Link, Route};
use crate::trust::distrust::{Distrust, is_impostor};
use crate::trust::refusal::Refusal;
use crate::trust::root::PinnedRoot;
use crate::trust::standing::days_between;

/// Bytes of the buffer that mbedtls reads a record into (`MBEDTLS_SSL_IN_CONTENT_LEN`); a chain that
/// is larger never arrives.
pub const LARGEST_CHAIN: usize = 16 * 1024;

/// Days in which a new root reaches every device: a release has to be made, and to be taken by
/// devices that are off for a season.
pub const ROOT_NOTICE: i64 = 365;

/// Everything that the certificates tell.
pub fn judge(seen: &Seen, min_days: i64) -> Vec<Check> {
    let trust = trust(seen);
    let Ok(chain) = &seen.chain else { return vec![trust] };
    let why = "no pinned root anchors the chain";
    let Some((root, route)) = best(seen) else {
        let exit = Exit::Trust;
        return vec![
            trust,
            name(seen),
            Check::not_made("spare", why, exit),
            Check::not_made("days", why, exit),
            device(chain, None),
            size(chain, None),
            tls(seen),
        ];
    };
    vec![
        trust,
        name(seen),
        spare(seen, root),
        days(route, root, seen.now, min_days),
        device(chain, Some(route)),
        size(chain, Some(seen)),
        tls(seen),
    ]
}

/// The way that stands longest: a device needs no other.
fn best(seen: &Seen) -> Option<(&PinnedRoot, &Route)> {
    let end = |root: &PinnedRoot, route: &Route| {
        let ends = route.links.iter().map(|link| link.not_after).chain([root.not_after()]);
        ends.min().unwrap_or(Timestamp::MIN)
    };
    seen.anchors().max_by_key(|(root, route)| end(root, route))
}

fn trust(seen: &Seen) -> Check {
    let finding = match (&seen.fault, &seen.chain) {
        (_, Err(distrust)) => Some(of(distrust)),
        (Some(fault), Ok(_)) if is_impostor(fault) && !has_weak_key(seen) => Some(Finding::new(
            Code::KeyMismatch,
            "the server does not hold the key of the certificate that it shows",
            "give the server the key and the certificate that belong together",
        )),
        (Some(fault), Ok(_)) => Some(Finding::new(
            Code::ChainUnsupported,
            format!("the handshake broke off after the certificates: {fault}"),
            "let the server use a certificate with a key that devices can verify",
        )),
        (None, Ok(_)) if seen.anchors().next().is_some() => None,
        (None, Ok(chain)) => Some(reason(seen, chain)),
    };
    let anchors: Vec<String> =
        seen.anchors().map(|(root, _)| format!("`{}`", root.subject())).collect();
    let message = match finding {
        None => format!("anchored by {}", anchors.join(" and ")),
        Some(_) => format!("devices do not trust `{}`", seen.endpoint),
    };
    Check::made("trust", message, finding.into_iter().collect())
}

/// Whether a key that is too weak explains a signature that could not be verified.
fn has_weak_key(seen: &Seen) -> bool {
    let links = seen.chain.as_ref().map(Chain::links).unwrap_or_default();
    links.first().is_some_and(|leaf| leaf.refusal.is_some())
}

/// Why no root anchors the chain: what is wrong on the way to one, or that there is none.
fn reason(seen: &Seen, chain: &Chain) -> Finding {
    let told = seen.routes.iter().filter_map(|(_, route)| route.as_ref().err());
    let mut told = told.filter(|distrust| **distrust != Distrust::Unrelated);
    if let Some(distrust) = told.next() {
        let weak = chain.links().iter().find_map(|link| Some((link, link.refusal.as_ref()?)));
        return match (distrust, weak) {
            // To webpki a key that is too short is a signature that does not hold.
            (Distrust::BadSignature | Distrust::UnsupportedSignature, Some((link, refusal))) => {
                unsupported(link, refusal)
            }
            _ => of(distrust),
        };
    }
    let pinned: Vec<String> =
        seen.routes.iter().map(|(root, _)| format!("`{}`", root.subject())).collect();
    Finding::new(
        Code::ChainUnanchored,
        format!(
            "its chain ends below `{}`, and pinned are {}",
            chain.top_issuer(),
            if pinned.is_empty() { "none".to_owned() } else { pinned.join(", ") }
        ),
        "let the server show a whole chain under a pinned root again; a new root goes into a release \
         first, and `cargo esp-ota ca plan --new FILE` says when the certificate may follow",
    )
}

fn of(distrust: &Distrust) -> Finding {
    let code = match distrust {
        Distrust::Unrelated => Code::ChainUnanchored,
        Distrust::Ended { .. } => Code::ChainEnded,
        Distrust::NotYetValid { .. } => Code::ChainNotYetValid,
        Distrust::OtherName { .. } => Code::WrongName,
        Distrust::BadSignature => Code::ChainForged,
        Distrust::UnsupportedSignature | Distrust::CriticalExtension => Code::ChainUnsupported,
        Distrust::NotForServers | Distrust::CaAsServer | Distrust::ServerAsCa => Code::WrongPurpose,
        Distrust::NameConstraint => Code::NameConstraint,
        Distrust::PathLength | Distrust::Malformed(_) => Code::ChainMalformed,
    };
    Finding::new(code, distrust.to_string(), distrust.help())
}

fn name(seen: &Seen) -> Check {
    let host = seen.endpoint.host();
    let message = match &seen.name {
        Ok(()) => format!("its certificate is for `{host}`"),
        Err(_) => format!("its certificate is not for `{host}`"),
    };
    let findings = seen.name.as_ref().err().map(of).into_iter().collect();
    Check::made("name", message, findings)
}

fn spare(seen: &Seen, root: &PinnedRoot) -> Check {
    let others: Vec<String> = seen
        .anchors()
        .filter(|(other, _)| other.fingerprint() != root.fingerprint())
        .map(|(other, _)| format!("`{}`", other.subject()))
        .collect();
    if !others.is_empty() {
        let message =
            format!("if `{}` went, {} would still anchor it", root.subject(), others.join(" or "));
        return Check::made("spare", message, Vec::new());
    }
    let pinned = seen.routes.len();
    let words = match pinned {
        1 => "it is the only one that is pinned".to_owned(),
        2 => "the other one that is pinned does not lead there".to_owned(),
        count => {
            format!("none of the {} others that are pinned leads there", count.saturating_sub(1))
        }
    };
    let finding = Finding::new(
        Code::NoSpare,
        format!("if `{}` went, no device could update: {words}", root.subject()),
        "pin a second root with `cargo esp-ota ca add URL|FILE`: another one of this chain, the one \
         that the authority issues from next, or one of your own for an emergency",
    );
    Check::made("spare", format!("only `{}` anchors it", root.subject()), vec![finding])
}

fn days(route: &Route, root: &PinnedRoot, now: Timestamp, min_days: i64) -> Check {
    let mut findings = Vec::new();
    let mut first: Option<(i64, &str)> = None;
    let links = route.links.iter().map(|link| (link.subject.as_str(), link.not_after));
    for (subject, ends) in links.chain([(root.subject(), root.not_after())]) {
        let days = days_between(now, ends);
        if first.is_none_or(|(least, _)| days < least) {
            first = Some((days, subject));
        }
        if days < min_days {
            findings.push(Finding::new(
                Code::EndsSoon,
                format!("`{subject}` has {days} days left, and {min_days} are the least ({ends})"),
                "renew it, and see why that did not happen by itself",
            ));
        }
    }
    let left = days_between(now, root.not_after());
    if left < ROOT_NOTICE && left >= min_days {
        findings.push(Finding::new(
            Code::RootEnds,
            format!("the root `{}` has {left} days left", root.subject()),
            "pin its successor, publish a release that carries both, and only then move the server: \
             `cargo esp-ota ca plan --new FILE`",
        ));
    }
    let message = match first {
        Some((days, subject)) => format!("the first to end is `{subject}`, in {days} days"),
        None => "nothing ends".to_owned(),
    };
    Check::made("days", message, findings)
}

/// What mbedtls would say: it takes no certificate with a critical extension that it does not know,
/// wherever it is in the chain; other certificates matter only on the way to the root.
fn device(chain: &Chain, route: Option<&Route>) -> Check {
    let mut findings = Vec::new();
    for link in chain.links() {
        let Some(refusal) = &link.refusal else { continue };
        let is_used = route.is_none_or(|route| route.links.iter().any(|used| used.is_same(link)));
        if is_used || matches!(refusal, Refusal::CriticalExtension { .. }) {
            findings.push(unsupported(link, refusal));
        }
    }
    let links = route.map_or(chain.links(), |route| &route.links);
    let keys: Vec<String> =
        links.iter().filter_map(|link| link.key).map(|key| key.to_string()).collect();
    Check::made("device", format!("keys of {}", keys.join(" < ")), findings)
}

fn unsupported(link: &Link, refusal: &Refusal) -> Finding {
    Finding::new(
        Code::ChainUnsupported,
        format!("devices cannot verify `{}`: {refusal}", link.subject),
        "let the server use certificates with RSA keys from 2048 bits or ECDSA P-256 or P-384, and \
         SHA-256 or better, from a CA without name constraints",
    )
}

fn size(chain: &Chain, seen: Option<&Seen>) -> Check {
    let bytes = chain.size();
    let count = chain.links().len();
    let mut findings = Vec::new();
    if bytes > LARGEST_CHAIN {
        findings.push(Finding::new(
            Code::ChainTooLarge,
            format!("{bytes} bytes of certificates, and a device takes {LARGEST_CHAIN}"),
            "let the server show its own certificate and what lies between it and the root, no more",
        ));
    }
    if let Some(seen) = seen {
        let is_surplus = |link: &&Link| {
            !seen.anchors().any(|(_, route)| route.links.iter().any(|used| used.is_same(link)))
        };
        let surplus: Vec<_> = chain.links().iter().filter(is_surplus).collect();
        if !surplus.is_empty() {
            let names: Vec<String> =
                surplus.iter().map(|link| format!("`{}`", link.subject)).collect();
            let bytes = surplus.iter().fold(0_usize, |sum, link| sum.saturating_add(link.size()));
            findings.push(Finding::new(
                Code::ChainSurplus,
                format!(
                    "{} lead to no pinned root: {bytes} bytes at each connection",
                    names.join(", ")
                ),
                "leave them out of the server's chain, unless other clients need them",
            ));
        }
    }
    let certificates = if count == 1 { "certificate" } else { "certificates" };
    Check::made("chain-size", format!("{count} {certificates}, {bytes} bytes"), findings)
}

fn tls(seen: &Seen) -> Check {
    let mut findings = Vec::new();
    if !seen.versions.contains(&"1.2") {
        findings.push(Finding::new(
            Code::NoTls12,
            format!("it speaks TLS {} alone", seen.versions.join(", ")),
            "let it accept TLS 1.2 as well: in ESP-IDF, TLS 1.3 is off unless it is switched on",
        ));
    }
    Check::made("tls", format!("TLS {}", seen.versions.join(" and ")), findings)
}
