//! Whether what is published still reaches the host: each release by the roots that *it* pins.

use serde::Serialize;

use super::finding::{Check, Code, Finding};
use super::gather::Seen;
use super::known::Known;
use crate::trust::root;

/// A published release, as far as roots go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What people call it: `1.2.0 for esp32c3`.
    pub name: String,
    /// SHA-256 of each root it pins, lower-case hex.
    pub roots: Vec<String>,
    /// Whether no device runs it any more.
    pub retired: bool,
}

/// Whether devices with a release reach the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reaches")]
pub enum Reach {
    /// They do.
    Yes {
        /// Subjects of the roots that anchor the chain.
        by: Vec<String>,
    },
    /// They do not.
    No {
        /// Subjects of the roots they pin.
        pinned: Vec<String>,
    },
    /// Some of their roots are fingerprints that nobody here has a certificate for, and no other one
    /// anchors the chain.
    Unknown {
        /// The fingerprints.
        unknown: Vec<String>,
    },
}

/// Works it out for one release.
pub fn reach(seen: &Seen, known: &Known, release: &Standing) -> Reach {
    let (mut by, mut pinned, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for sha256 in &release.roots {
        let Some(der) = known.find(sha256) else {
            unknown.push(sha256.clone());
            continue;
        };
        // One that must not be pinned (any more) is none that a device takes.
        let subject = match root::check(der, seen.now) {
            Ok(root) => root.subject().to_owned(),
            Err(_) => continue,
        };
        let anchors = seen.fault.is_none()
            && seen
                .chain
                .as_ref()
                .is_ok_and(|chain| chain.proves(&seen.endpoint, der, seen.now).is_ok());
        if anchors {
            by.push(subject.clone());
        }
        pinned.push(subject);
    }
    match (by.is_empty(), unknown.is_empty()) {
        (false, _) => Reach::Yes { by },
        (true, true) => Reach::No { pinned },
        (true, false) => Reach::Unknown { unknown },
    }
}

/// What is said where no release is found in `place`. `status` is the answer of the host, where it
/// hides the list.
pub fn none(url: &str, place: &str, status: Option<u16>) -> Check {
    let message = format!("nothing is published in {place}");
    let served = status.map(|status| format!(", and `{url}` serves none ({status})"));
    let finding = Finding::new(
        Code::NothingPublished,
        format!("{message}{}", served.unwrap_or_default()),
        "before the first release accept it with `--allow nothing-published`; else look where the \
         releases are: `store` in `esp-ota.toml`, and what the host serves",
    );
    Check::made("releases", message, vec![finding])
}

/// What is wrong with the releases.
pub fn judge(reaches: &[(Standing, Reach)]) -> Check {
    let mut findings = Vec::new();
    let (retired, counted): (Vec<_>, Vec<_>) = reaches.iter().partition(|(it, _)| it.retired);
    for (release, reach) in counted {
        match reach {
            Reach::Yes { .. } => {}
            Reach::No { pinned } => findings.push(Finding::new(
                Code::ReleaseStranded,
                format!(
                    "devices with {} do not trust the host: it pins {}",
                    release.name,
                    if pinned.is_empty() {
                        "no root that is valid".to_owned()
                    } else {
                        pinned.join(", ")
                    }
                ),
                "let the server show a chain under a root of that release until no device runs it \
                 any more",
            )),
            Reach::Unknown { unknown } => findings.push(Finding::new(
                Code::ReleaseUnknownRoots,
                format!(
                    "whether devices with {} reach the host is unknown: SHA-256 {}",
                    release.name,
                    unknown.join(", ")
                ),
                "pass the certificates that it pins with `--candidates FILE`",
            )),
        }
    }
    let mut message = match reaches.len() {
        1 => "1 published release".to_owned(),
        count => format!("{count} published releases"),
    };
    if !retired.is_empty() {
        message.push_str(&format!(", {} of them retired", retired.len()));
    }
    if findings.is_empty() {
        message.push_str(if retired.is_empty() {
            ", each reaches the host"
        } else {
            ", each other one reaches the host"
        });
    }
    Check::made("releases", message, findings)
}
