//! `check`: everything that can be checked without a board, with one exit code for CI.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::{Context, build, ca, context, partitions, project_agent};
use crate::agent;
use crate::config::{Overrides, Project};
use crate::error::{Exit, Failure, Location};
use crate::output::{Annotation, Level, Paint, Report, Tone};
use crate::release::keys::Role;
use crate::release::repository::{RepositoryError, State, View, verify_images};

/// Run every check that needs no board
#[derive(Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    project: Overrides,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Ok,
    Warning,
    Failed,
    Skipped,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line {
    check: &'static str,
    outcome: Outcome,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    caused_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Debug, Serialize)]
struct CheckReport {
    checks: Vec<Line>,
}

impl Check {
    /// Runs all checks, whatever comes out of each.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&self.project)?;
        let checks = vec![
            line("partitions", partition_table(&project)),
            line("roots", roots(context, &project)),
            line("embedded-roots", embedded(context, &project)),
            line("settings", settings(&project)),
            line("agent", agent_drift(&project)),
            line("repository", repository(context, &project)),
        ];
        let report = CheckReport { checks };
        let exit = report.exit();
        context.output.answer(&report, exit)
    }
}

/// Days before the end of signed metadata from which on it is worth a warning.
const DAYS: i64 = 30;
/// The same for the root, whose key lies somewhere safe.
const ROOT_DAYS: i64 = 180;
const HOURS_OF_A_DAY: i64 = 24;
const REFRESH: &str = "sign it again with `cargo esp-ota publish --refresh`";

type Checked = Result<(Outcome, String), Failure>;

fn ok(message: impl Into<String>) -> Checked {
    Ok((Outcome::Ok, message.into()))
}

fn line(check: &'static str, checked: Checked) -> Line {
    match checked {
        Ok((outcome, message)) => Line {
            check,
            outcome,
            message,
            caused_by: Vec::new(),
            help: None,
            location: None,
            exit: Exit::Success,
        },
        Err(failure) => Line {
            check,
            outcome: Outcome::Failed,
            message: failure.to_string(),
            caused_by: failure.causes(),
            help: failure.help(),
            location: failure.location(),
            exit: failure.exit(),
        },
    }
}

fn partition_table(project: &Project) -> Checked {
    let (table, report) = partitions::project_table(project)?;
    let slots = table.slots().len();
    match report.findings.iter().filter(|finding| !finding.allowed).count() {
        0 => ok(format!("{slots} slots, sound")),
        1 => Ok((Outcome::Warning, format!("{slots} slots, 1 finding below an error"))),
        count => Ok((Outcome::Warning, format!("{slots} slots, {count} findings below an error"))),
    }
}

fn roots(context: &Context, project: &Project) -> Checked {
    let roots = ca::project_roots(project, context.now())?;
    match roots.iter().map(|root| root.not_after()).min() {
        Some(first) => ok(format!("{} pinned, the first ends {first}", roots.len())),
        None => Err(ca::CaError::NoRoots.into()),
    }
}

fn embedded(context: &Context, project: &Project) -> Checked {
    if project.roots.value.is_empty() {
        return Ok((Outcome::Skipped, "there are no roots to embed".into()));
    }
    ca::check_embedded(project, context.now())?;
    ok("the generated source holds the pinned roots")
}

fn settings(project: &Project) -> Checked {
    match build::stale_settings(project)? {
        None => ok("the firmware is built with the settings of `esp-ota.toml`"),
        Some((file, _)) => Ok((
            Outcome::Warning,
            format!("`{}` is older than `esp-ota.toml`; `build` rewrites it", file.display()),
        )),
    }
}

fn agent_drift(project: &Project) -> Checked {
    match project_agent(project)? {
        Some(digest) if digest == agent::digest() => ok("the project has this tool's own agent"),
        Some(_) => Ok((
            Outcome::Warning,
            "`src/ota` differs from this tool's agent: releases are not rehearsed with it".into(),
        )),
        None => Ok((Outcome::Skipped, "there is no `src/ota` in the project".into())),
    }
}

fn repository(context: &Context, project: &Project) -> Checked {
    let root = build::tuf_root(project)?;
    let store = context.store(project)?;
    let now = context.now();
    let state = context::runtime()?.block_on(async {
        let state = State::load(&store, &root, View::Live, now).await?;
        verify_images(&store, state.releases()).await?;
        Ok::<_, RepositoryError>(state)
    })?;
    let place = &project.store.value;
    let found = match state.releases().len() {
        0 if !state.is_live() => {
            return Ok((Outcome::Skipped, format!("nothing is published in {place}")));
        }
        1 => format!("1 release in {place}, signed and current, and its image is there"),
        count => {
            format!("{count} releases in {place}, signed and current, and their images are there")
        }
    };
    Ok(match ending(&state, now) {
        Some(ending) => (Outcome::Warning, format!("{found}; {ending}")),
        None => (Outcome::Ok, found),
    })
}

/// What ends soon: long before devices refuse everything, and with time to fetch the key.
fn ending(state: &State, now: Timestamp) -> Option<String> {
    let soon = |role: Role, days: i64| {
        let end = state.ends(role)?;
        let left = end.duration_since(now).as_hours() / HOURS_OF_A_DAY;
        (left < days).then_some((end, left))
    };
    let words = |(role, (end, left)): (Role, (Timestamp, i64)), remedy: &str| {
        format!("the {role} metadata ends in {left} days, on {end}: {remedy}")
    };
    let of = |role, days, remedy| Some(words((role, soon(role, days)?), remedy));
    of(Role::Root, ROOT_DAYS, "sign a newer one with `cargo esp-ota keys rotate --renew`")
        .or_else(|| of(Role::Timestamp, DAYS, REFRESH))
        .or_else(|| of(Role::Snapshot, DAYS, REFRESH))
        .or_else(|| of(Role::Targets, DAYS, "publish a release, or refresh with the targets key"))
}

impl CheckReport {
    /// A breach of trust outweighs a broken project, and that an answer of no.
    fn exit(&self) -> Exit {
        let exits: Vec<Exit> = self.checks.iter().map(|line| line.exit).collect();
        [Exit::Trust, Exit::Project]
            .into_iter()
            .find(|exit| exits.contains(exit))
            .or_else(|| exits.into_iter().find(|exit| *exit != Exit::Success))
            .unwrap_or(Exit::Success)
    }
}

impl Report for CheckReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        for line in &self.checks {
            let word = match line.outcome {
                Outcome::Ok => paint.tone(Tone::Good, "ok"),
                Outcome::Warning => paint.tone(Tone::Warning, "warning"),
                Outcome::Failed => paint.tone(Tone::Bad, "failed"),
                Outcome::Skipped => paint.tone(Tone::Faint, "skipped"),
            };
            writeln!(out, "{}: {word}: {}", line.check, line.message)?;
            for cause in &line.caused_by {
                writeln!(out, "  caused by: {cause}")?;
            }
            if let Some(help) = &line.help {
                writeln!(out, "  help: {help}")?;
            }
        }
        Ok(())
    }

    fn annotations(&self) -> Vec<Annotation> {
        let bad = self.checks.iter().filter_map(|line| {
            let level = match line.outcome {
                Outcome::Failed => Level::Error,
                Outcome::Warning => Level::Warning,
                Outcome::Ok | Outcome::Skipped => return None,
            };
            let message = match &line.help {
                Some(help) => format!("{}\nhelp: {help}", line.message),
                None => line.message.clone(),
            };
            let location = line.location.clone();
            Some(Annotation { level, location, title: line.check.to_owned(), message })
        });
        bad.collect()
    }
}
