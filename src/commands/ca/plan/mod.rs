//! `ca plan`: in which order a new root and a new certificate reach devices, and whether it is time.

mod report;
mod steps;

use std::net::SocketAddr;
use std::path::PathBuf;

use super::published;
use super::sources::{project_roots, stale_sources};
use super::{CaError, Context, RootReport};
use crate::config::{Overrides, Project};
use crate::error::{Exit, Failure};
use crate::release::rules::Release as Listed;
use crate::trust::live::{
    self, Check, Known, Reach, Seen, Severity, certificates, releases, worst,
};
use crate::trust::{Endpoint, PinnedRoot, root};
use report::PlanReport;
use steps::{Facts, Release, is_safe, steps};

/// Plan a change of root: in which order to release and to switch the server's certificate
#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    /// PEM file with the new root
    #[arg(long, value_name = "FILE")]
    new: PathBuf,
    /// URL that devices read releases from [default: the project's]
    #[arg(long, value_name = "URL", value_parser = crate::config::https_url)]
    url: Option<String>,
    /// Server with the new certificate, to try it before devices do
    #[arg(long, value_name = "ADDRESS:PORT")]
    connect: Option<SocketAddr>,
    /// Version that no device runs any more; may be repeated
    #[arg(long, value_name = "VERSION")]
    retired: Vec<String>,
    /// PEM file with roots that published releases pin and the project does not any more; those that
    /// Mozilla trusts are known
    #[arg(long, value_name = "FILE")]
    candidates: Vec<PathBuf>,
}

impl Plan {
    /// Says what is to be done, and refuses to call the switch safe before its time.
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let overrides = Overrides { url: self.url.clone(), ..Overrides::default() };
        let project = context.project(&overrides)?;
        let now = context.now();
        let new = root::read(&self.new, now)?;
        let pinned = project_roots(&project, now)?;
        let published = published::read(context, &project, None)?;
        published.check_retired(&self.retired)?;
        let staged = match self.connect {
            Some(address) => Some(self.try_out(context, &project, address, &new)?),
            None => None,
        };
        let all: Vec<PinnedRoot> = pinned.iter().chain(&new).cloned().collect();
        let known = published::known(&all, &self.candidates)?;
        let list: Vec<Release> = published
            .releases
            .iter()
            .map(|release| {
                let seen = staged.as_ref().map(|(seen, _)| seen);
                self.release(release, &published.releases, &new, seen, &known)
            })
            .collect();
        let checks = staged.map(|(_, checks)| checks);
        let trial = checks.as_ref().map(|checks| exit(checks));
        let facts = Facts {
            file: &self.new.display().to_string(),
            pinned: is_pinned(&project, &pinned, &new)?,
            releases: &list,
            rehearsal: trial.map(|exit| exit == Exit::Success),
        };
        let steps = steps(&facts);
        let safe = is_safe(&steps);
        let verdict = if safe { Exit::Success } else { Exit::Rejected };
        let exit = worst(trial.into_iter().chain([verdict]));
        let report = PlanReport {
            new: new.iter().map(RootReport::new).collect(),
            read_from: published.read_from,
            releases: list,
            rehearsal: checks,
            steps,
            safe,
        };
        context.output.answer(&report, exit)
    }

    /// Looks at the new certificate, through the new root alone.
    fn try_out(
        &self,
        context: &Context,
        project: &Project,
        address: SocketAddr,
        new: &[PinnedRoot],
    ) -> Result<(Seen, Vec<Check>), Failure> {
        let url = project.url.value.clone().ok_or(CaError::NoUrl)?;
        let endpoint = Endpoint::from_url(&url)?.at(Some(address));
        context.output.status(format_args!("asking {endpoint}"));
        let seen = live::look(&endpoint, new, context.now())?;
        let mut checks = certificates::judge(&seen, 0);
        // One new root has no spare, and need not have one.
        checks.retain(|check| check.check != "spare");
        Ok((seen, checks))
    }

    fn release(
        &self,
        release: &Listed,
        listed: &[Listed],
        new: &[PinnedRoot],
        seen: Option<&Seen>,
        known: &Known,
    ) -> Release {
        let custom = &release.custom;
        let new: Vec<String> = new.iter().map(PinnedRoot::fingerprint_hex).collect();
        let staged: Option<Reach> =
            seen.map(|seen| releases::reach(seen, known, &published::standing(release, &[])));
        Release {
            version: custom.version.clone(),
            chip: custom.chip.to_string(),
            channels: custom.channels.clone(),
            rollout_percent: custom.rollout.percent,
            has_new: custom.roots.iter().any(|root| new.contains(root)),
            has_other: custom.roots.iter().any(|root| !new.contains(root)),
            current_in: published::current_in(release, listed),
            retired: self.retired.contains(&custom.version),
            staged,
        }
    }
}

/// Whether the next build carries the new root.
fn is_pinned(
    project: &Project,
    pinned: &[PinnedRoot],
    new: &[PinnedRoot],
) -> Result<bool, Failure> {
    let has = |root: &PinnedRoot| pinned.iter().any(|it| it.fingerprint() == root.fingerprint());
    Ok(new.iter().all(has) && stale_sources(project, pinned)?.is_empty())
}

fn exit(checks: &[Check]) -> Exit {
    worst(checks.iter().map(|check| check.exit(Severity::Error)))
}
