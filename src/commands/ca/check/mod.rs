//! `ca check`: will devices that pin these roots update from the live host?

mod report;

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use url::Url;

use super::published::{self, Published, Way};
use super::sources::project_roots;
use super::{CaError, Context};
use crate::commands::ContextError;
use crate::commands::context::variable;
use crate::config::{self, ConfigError, Overrides, Project};
use crate::error::{Exit, Failure};
use crate::release::plan::LIVE_TIMESTAMP;
use crate::trust::live::behaviour::{self, Door};
use crate::trust::live::{
    self, Check as Answer, Code, Reach, Seen, Severity, Standing, certificates, releases, worst,
};
use crate::trust::{Endpoint, PinnedRoot, root};
use report::CheckReport;

/// Check the host that devices update from: its certificates, and how it answers
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// URL that devices read releases from [default: the project's]
    #[arg(long, value_name = "URL", value_parser = config::https_url)]
    url: Option<String>,
    /// Connect here, whatever the name in the URL resolves to; the server still has to prove its name
    #[arg(long, value_name = "ADDRESS:PORT")]
    connect: Option<SocketAddr>,
    /// PEM file with the roots that devices pin; may be repeated [default: the project's]
    #[arg(long, value_name = "FILE")]
    roots: Vec<PathBuf>,
    /// PEM file with roots that published releases pin and the project does not any more; those that
    /// Mozilla trusts are known
    #[arg(long, value_name = "FILE")]
    candidates: Vec<PathBuf>,
    /// Version that no device runs any more, so that its roots do not matter; may be repeated
    #[arg(long, value_name = "VERSION")]
    retired: Vec<String>,
    /// File below the URL to ask for [default: a published image, else `metadata/timestamp.json`]
    #[arg(long, value_name = "PATH")]
    file: Option<String>,
    /// Fewest days that each certificate may have left
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    min_days: u16,
    /// Accept findings of this code, other than breaches of trust; may be repeated
    #[arg(long, value_name = "CODE", value_parser = allowable)]
    allow: Vec<Code>,
    /// Reject a host with findings of this severity too
    #[arg(long, value_enum)]
    deny: Option<Deny>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Deny {
    Warnings,
}

/// A code that a user may accept.
fn allowable(text: &str) -> Result<Code, String> {
    let code: Code = text.parse()?;
    if code.is_allowable() {
        Ok(code)
    } else {
        Err(format!("`{code}` is a breach of trust, which cannot be accepted"))
    }
}

/// What the questions are about.
struct Subject {
    project: Option<Project>,
    url: String,
    endpoint: Endpoint,
    roots: Vec<PinnedRoot>,
}

/// What is published, or why that is not known.
enum Listing {
    Known(Published),
    Unknown(Answer),
}

impl Check {
    /// Asks, judges, and reports. A host that does not answer is a failure and no report.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let now = context.now();
        let subject = self.subject(context)?;
        let endpoint = &subject.endpoint;
        context.output.status(format_args!("asking {endpoint}"));
        let seen = live::look(endpoint, &subject.roots, now)?;
        let mut checks = certificates::judge(&seen, i64::from(self.min_days));
        let listing = self.listing(context, &subject, &seen);
        checks.extend(self.behaviour(&subject, &seen, &listing, now)?);
        let reaches = match listing {
            Listing::Unknown(check) => {
                checks.push(check);
                None
            }
            Listing::Known(published) => {
                let reaches = self.reaches(&subject, &seen, &published)?;
                checks.push(releases::judge(&reaches));
                Some((published, reaches))
            }
        };
        for check in &mut checks {
            check.allow(&self.allow);
        }
        let limit = if self.deny.is_some() { Severity::Warning } else { Severity::Error };
        let exit = worst(checks.iter().map(|check| check.exit(limit)));
        let report = CheckReport::new(subject.url, &seen, reaches, checks);
        context.output.answer(&report, exit)
    }

    fn subject(&self, context: &Context) -> Result<Subject, Failure> {
        let now = context.now();
        // With both a URL and roots nothing is asked of a project.
        let project = match &self.url {
            Some(_) if !self.roots.is_empty() => None,
            url => Some(project(context, url.as_ref())?),
        };
        let mut roots = Vec::new();
        for file in &self.roots {
            for root in root::read(file, now)? {
                root::refuse_duplicate(file, &roots, &root)?;
                roots.push(root);
            }
        }
        if let (Some(project), true) = (&project, self.roots.is_empty()) {
            roots = project_roots(project, now)?;
        }
        if roots.is_empty() {
            return Err(CaError::NoRoots.into());
        }
        let url = project.as_ref().and_then(|project| project.url.value.clone());
        let url = url.or_else(|| self.url.clone()).ok_or(CaError::NoUrl)?;
        let endpoint = Endpoint::from_url(&url)?.at(self.connect);
        Ok(Subject { project, url, endpoint, roots })
    }

    /// From the URL, where devices can read it; else from the store, so that of a host that lost its
    /// devices can be told which.
    fn listing(&self, context: &Context, subject: &Subject, seen: &Seen) -> Listing {
        let Some(project) = &subject.project else {
            return Listing::Unknown(Answer::skipped("releases", "no project was asked about"));
        };
        match self.published(context, project, subject, seen) {
            Ok(listing) => listing,
            Err(failure) => {
                let exit = failure.exit();
                Listing::Unknown(Answer::not_made("releases", told(&failure), exit))
            }
        }
    }

    fn published(
        &self,
        context: &Context,
        project: &Project,
        subject: &Subject,
        seen: &Seen,
    ) -> Result<Listing, Failure> {
        let Subject { url, endpoint, roots, .. } = subject;
        let way = Way { url, connect_to: self.connect, roots };
        let mut way = seen.is_trusted().then_some(&way);
        let mut hidden = None;
        if way.is_some() {
            let timestamp = below(url, LIVE_TIMESTAMP)?;
            match behaviour::door(endpoint, &timestamp, roots, seen.now)? {
                Door::Open => {}
                Door::Missing(status) => (hidden, way) = (Some(status), None),
                // What is wrong with the answer, other checks say.
                Door::Closed => way = None,
            }
        }
        let published = published::read(context, project, way)?;
        let place = &published.read_from;
        let count = published.releases.len();
        Ok(match (hidden, count) {
            (_, 0) => Listing::Unknown(releases::none(url, place, hidden)),
            (Some(status), _) => {
                let words = format!("{place} has {count}, and `{url}` serves none ({status})");
                Listing::Unknown(Answer::not_made("releases", words, Exit::Rejected))
            }
            (None, _) => Listing::Known(published),
        })
    }

    fn behaviour(
        &self,
        subject: &Subject,
        seen: &Seen,
        listing: &Listing,
        now: Timestamp,
    ) -> Result<Vec<Answer>, Failure> {
        if !seen.is_trusted() {
            return Ok(behaviour::not_asked("devices do not talk to the host", Exit::Trust));
        }
        let file = match (&self.file, listing) {
            (Some(file), _) => file.clone(),
            (None, Listing::Known(Published { releases, .. })) => match releases.last() {
                Some(release) => {
                    format!("targets/{}.{}", release.sha256, release.custom.file_name())
                }
                None => LIVE_TIMESTAMP.to_owned(),
            },
            (None, Listing::Unknown(_)) => LIVE_TIMESTAMP.to_owned(),
        };
        let url = below(&subject.url, &file)?;
        match behaviour::ask(&subject.endpoint, &url, &subject.roots, now) {
            Ok(asked) => Ok(behaviour::judge(&asked, now)),
            Err(error) => {
                let failure = Failure::from(error);
                let words = failure
                    .causes()
                    .into_iter()
                    .fold(failure.to_string(), |words, cause| format!("{words}: {cause}"));
                Ok(behaviour::not_asked(&words, failure.exit()))
            }
        }
    }

    fn reaches(
        &self,
        subject: &Subject,
        seen: &Seen,
        published: &Published,
    ) -> Result<Vec<(Standing, Reach)>, Failure> {
        let known = published::known(&subject.roots, &self.candidates)?;
        published.check_retired(&self.retired)?;
        let standing = |release| published::standing(release, &self.retired);
        let all = published.releases.iter().map(standing);
        Ok(all.map(|release| (release.clone(), releases::reach(seen, &known, &release))).collect())
    }
}

/// A failure and its causes in one line.
fn told(failure: &Failure) -> String {
    let causes = failure.causes().into_iter();
    causes.fold(failure.to_string(), |words, cause| format!("{words}: {cause}"))
}

/// The project that says what is not typed.
fn project(context: &Context, url: Option<&String>) -> Result<Project, Failure> {
    let overrides = Overrides { url: url.cloned(), ..Overrides::default() };
    if url.is_some() && context.config.is_none() {
        let here = std::env::current_dir()
            .map_err(|source| ContextError::Input { file: ".".into(), source })?;
        if let Err(ConfigError::NoProject(_)) = Project::load(None, &here, &overrides, &variable) {
            return Err(CaError::NothingToTrust.into());
        }
    }
    context.project(&overrides)
}

/// The URL of a file below a folder.
fn below(url: &str, file: &str) -> Result<Url, CaError> {
    let folder = format!("{}/", url.trim_end_matches('/'));
    let found = Url::parse(&folder).and_then(|folder| folder.join(file));
    // Whatever is above the folder is another repository's.
    match found {
        Ok(found) if found.as_str().starts_with(&folder) => Ok(found),
        _ => Err(CaError::NotBelow { file: file.to_owned(), url: url.to_owned() }),
    }
}
