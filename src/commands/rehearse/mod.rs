//! `rehearse`: install what is published on a virtual device, from every release in the field.

mod emulator;
mod error;
mod faults;
mod report;
mod scene;
mod stage;
mod words;

use std::net::SocketAddr;
use std::str::FromStr;

use semver::Version;

use super::{Context, context, project_agent};
use crate::agent;
use crate::config::{Origin, Overrides};
use crate::error::{Exit, Failure};
use crate::release::rules::Release;
use crate::virtual_device::rehearsal::{Rehearsal, Start, pinned_by, rehearse};
pub use error::RehearseError;
use report::{Outcome, RehearseReport, StartReport};
use scene::Scene;
pub(super) use stage::{goal, stage};

/// Install what is published on a virtual device, from every release in the field
#[derive(Debug, clap::Args)]
pub struct Rehearse {
    /// Version that the device starts with, or `none`; repeatable [default: each one published, and
    /// none]
    #[arg(long, value_name = "VERSION")]
    from: Vec<From>,
    /// Read through the staged timestamp: what an interrupted `publish` left for devices
    #[arg(long)]
    staged: bool,
    /// Read from the public URL over HTTPS, with the pinned roots alone; implied by `--url`
    #[arg(long, conflicts_with = "store")]
    public: bool,
    /// Connect here, whatever the host in the URL resolves to; implies `--public`
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "store")]
    connect: Option<SocketAddr>,
    /// Succeed although some releases are not rehearsed with their own agent
    #[arg(long)]
    accept_agent_drift: bool,
    #[command(flatten)]
    faults: faults::Options,
    #[command(flatten)]
    emulator: emulator::Options,
    #[command(flatten)]
    project: Overrides,
}

/// What a device starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    /// No release yet.
    None,
    /// A published release.
    Version(Version),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::None);
        }
        let version = Version::parse(text.strip_prefix('v').unwrap_or(text));
        version.map(Self::Version).map_err(|error| format!("neither `none` nor a version: {error}"))
    }
}

impl Rehearse {
    /// Rehearses from each start, whatever comes out of the others.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&self.project)?;
        let is_url_given = matches!(project.url.origin, Origin::Flag(_));
        let is_public = self.public || self.connect.is_some() || is_url_given;
        if let Some(emulator) = self.emulator.emulator {
            let public = (is_public, self.connect);
            let published = emulator::Published { public, is_staged: self.staged };
            return self.emulator.run(context, &project, emulator, &published);
        }
        if project_agent(&project)?.is_some_and(|digest| digest != agent::digest()) {
            context.output.warn(
                "`src/ota` differs from this tool's agent: the next release would not be rehearsed \
                 with its own agent",
            );
        }
        let runtime = context::runtime()?;
        let scene = Scene::gather(context, project, (is_public, self.connect), self.staged);
        let scene = runtime.block_on(scene)?.with_a_release()?;
        if self.faults.faults {
            return self.faults.run(context, &scene, self.accept_agent_drift);
        }
        let starts = starts(&self.from, &scene)?;
        let mut reports = Vec::new();
        for start in starts {
            reports.push(runtime.block_on(one(context, &scene, start)));
        }
        let report = RehearseReport::new(&scene, reports);
        let exit = report.exit(self.accept_agent_drift);
        context.output.answer(&report, exit)
    }
}

/// The starts that were asked for; `None` is a device that has no release yet.
fn starts<'a>(asked: &[From], scene: &'a Scene) -> Result<Vec<Option<&'a Release>>, RehearseError> {
    let releases = &scene.fleet.releases;
    if asked.is_empty() {
        return Ok(std::iter::once(None).chain(releases.iter().map(Some)).collect());
    }
    let find = |from: &From| match from {
        From::None => Ok(None),
        From::Version(version) => {
            let version = version.to_string();
            let found = releases.iter().find(|release| release.custom.version == version);
            found.map(Some).ok_or_else(|| RehearseError::NotPublished {
                version,
                published: releases.iter().map(|it| it.custom.version.clone()).collect(),
            })
        }
    };
    asked.iter().map(find).collect()
}

/// One rehearsal, from one start.
async fn one(context: &Context, scene: &Scene, start: Option<&Release>) -> StartReport {
    let mut report = StartReport::new(scene, start);
    if let Some(reason) = report.not_rehearsed(start) {
        report.outcome = Outcome::NotRehearsed { reason };
        return report;
    }
    context.output.status(match start {
        Some(release) => format!("rehearsing from {}", release.custom.version),
        None => "rehearsing from no release".to_owned(),
    });
    let goal = scene.goal_for(start);
    let source = scene.source();
    let mut stage = scene.stage.clone();
    stage.chip_revision = report.chip_revision;
    let begun = match start {
        None => Ok(Start::first_install(stage.chip, scene.roots.clone())),
        Some(release) => {
            let (known, _) = pinned_by(release, &scene.roots);
            Start::published(&source, release, known, &scene.roots).await
        }
    };
    let begun = match begun {
        Ok(begun) => begun,
        Err(error) => {
            report.failed(error.into());
            return report;
        }
    };
    let total = goal.map_or(0, |release| release.length);
    let goal = goal.map(|release| stage::goal(release, &scene.roots));
    let bar = context.output.progress("installing", total);
    let progress = |received| bar.at(u64::from(received));
    let seen: Rehearsal = rehearse(&stage, &source, &begun, goal.as_ref(), progress).await;
    drop(bar);
    report.seen(seen, scene);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_version_or_none() {
        assert_eq!("none".parse(), Ok(From::None));
        for text in ["1.2.0", "v1.2.0"] {
            assert_eq!(text.parse(), Ok(From::Version(Version::new(1, 2, 0))), "{text}");
        }
        for text in ["", "1.2", "latest", "vv1.2.0"] {
            assert!(text.parse::<From>().is_err(), "{text}");
        }
    }
}
