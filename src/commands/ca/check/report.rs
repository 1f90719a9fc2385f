//! What `ca check` has to say.

use std::io::{self, Write};
use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::super::published::Published;
use crate::output::{Annotation, Level, Paint, Report, Tone};
use crate::release::rules::Release as Listed;
use crate::trust::live::{Check, Finding, Outcome, Reach, Seen, Severity, Standing};
use crate::trust::standing::days_between;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CheckReport {
    url: String,
    address: Option<SocketAddr>,
    tls: Vec<&'static str>,
    chain: Vec<Link>,
    roots: Vec<Root>,
    releases: Option<Releases>,
    checks: Vec<Check>,
}

/// A certificate that the host shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Link {
    subject: String,
    issuer: String,
    key: Option<String>,
    not_after: Timestamp,
    days_left: i64,
    size: usize,
}

/// A pinned root.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Root {
    subject: String,
    sha256: String,
    not_after: Timestamp,
    days_left: i64,
    anchors: bool,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Releases {
    read_from: String,
    list: Vec<Release>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Release {
    version: String,
    chip: String,
    channels: Vec<String>,
    rollout_percent: u8,
    retired: bool,
    #[serde(flatten)]
    reach: Reach,
}

impl CheckReport {
    pub(super) fn new(
        url: String,
        seen: &Seen,
        releases: Option<(Published, Vec<(Standing, Reach)>)>,
        checks: Vec<Check>,
    ) -> Self {
        let links = seen.chain.as_ref().map(|chain| chain.links()).unwrap_or_default();
        let chain = links.iter().map(|link| Link {
            subject: link.subject.clone(),
            issuer: link.issuer.clone(),
            key: link.key.map(|key| key.to_string()),
            not_after: link.not_after,
            days_left: days_between(seen.now, link.not_after),
            size: link.size(),
        });
        let roots = seen.routes.iter().map(|(root, route)| Root {
            subject: root.subject().to_owned(),
            sha256: root.fingerprint_hex(),
            not_after: root.not_after(),
            days_left: days_between(seen.now, root.not_after()),
            anchors: route.is_ok() && seen.fault.is_none(),
            reason: route.as_ref().err().map(ToString::to_string),
        });
        let releases = releases.map(|(published, reaches)| Releases {
            read_from: published.read_from,
            list: published.releases.into_iter().zip(reaches).map(Release::new).collect(),
        });
        Self {
            url,
            address: seen.address,
            tls: seen.versions.clone(),
            chain: chain.collect(),
            roots: roots.collect(),
            releases,
            checks,
        }
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().flat_map(|check| &check.findings).filter(|finding| !finding.allowed)
    }
}

impl Release {
    fn new((release, (standing, reach)): (Listed, (Standing, Reach))) -> Self {
        let custom = release.custom;
        Self {
            version: custom.version,
            chip: custom.chip.to_string(),
            channels: custom.channels,
            rollout_percent: custom.rollout.percent,
            retired: standing.retired,
            reach,
        }
    }
}

impl Report for CheckReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let address = self.address.map(|address| format!(" at {address}")).unwrap_or_default();
        writeln!(out, "{}{address}", paint.tone(Tone::Strong, &self.url))?;
        for check in &self.checks {
            let word = match check.outcome {
                Outcome::Ok => paint.tone(Tone::Good, "ok"),
                Outcome::Warning => paint.tone(Tone::Warning, "warning"),
                Outcome::Failed => paint.tone(Tone::Bad, "failed"),
                Outcome::NotMade => paint.tone(Tone::Bad, "not made"),
                Outcome::Skipped => paint.tone(Tone::Faint, "skipped"),
            };
            writeln!(out, "{}: {word}: {}", check.check, check.message)?;
            for finding in &check.findings {
                let word = match (finding.allowed, finding.severity) {
                    (true, _) => paint.tone(Tone::Faint, "allowed"),
                    (false, Severity::Error) => paint.tone(Tone::Bad, "error"),
                    (false, Severity::Warning) => paint.tone(Tone::Warning, "warning"),
                    (false, Severity::Note) => paint.tone(Tone::Faint, "note"),
                };
                writeln!(out, "  {word}: {} ({})", finding.message, finding.code)?;
                if !finding.allowed {
                    writeln!(out, "    help: {}", finding.help)?;
                }
            }
        }
        Ok(())
    }

    fn annotations(&self) -> Vec<Annotation> {
        let found = self.findings().map(|finding| Annotation {
            level: match finding.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
                Severity::Note => Level::Notice,
            },
            location: None,
            title: finding.code.name().to_owned(),
            message: format!("{}\nhelp: {}", finding.message, finding.help),
        });
        let not_made = self.checks.iter().filter(|check| check.outcome == Outcome::NotMade);
        let not_made = not_made.map(|check| Annotation {
            level: Level::Error,
            location: None,
            title: "not-made".to_owned(),
            message: format!("`{}` could not be checked: {}", check.check, check.message),
        });
        found.chain(not_made).collect()
    }
}
