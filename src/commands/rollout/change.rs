//! `rollout set` and `rollout halt`: another share for what is listed.

use std::collections::BTreeSet;

use semver::Version;

use super::pick::{Wanted, pick, version};
use super::report::{ChangeReport, Changed};
use super::share::Share;
use super::{RolloutError, plain};
use crate::chip::Chip;
use crate::commands::publish::{Delivered, Delivery, Reading, keys, load, outside};
use crate::commands::{Context, build, ca, context};
use crate::config::{Origin, Overrides, Project};
use crate::error::{Exit, Failure};
use crate::release::custom::Rollout;
use crate::release::keys::KeyArgument;
use crate::release::repository::{Changes, Expiry, Terms};
use crate::release::rules::Release;
use crate::virtual_device::rehearsal::aim;

/// Give a release to another share of the devices
#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// Share of the devices, such as `25%`
    #[arg(value_name = "PERCENT")]
    share: Share,
    #[command(flatten)]
    which: Which,
}

/// Give a release to no device any more; those that have it keep it
#[derive(Debug, clap::Args)]
pub(super) struct Halt {
    #[command(flatten)]
    which: Which,
}

/// Which release, and how its change is seen.
#[derive(Debug, clap::Args)]
struct Which {
    /// Version [default: the newest of the channel, for every chip]
    #[arg(long = "release-version", value_name = "VERSION", value_parser = version)]
    version: Option<Version>,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take this key, for `targets`, `snapshot` or `timestamp`, from a file, or with `ROLE=-` from
    /// standard input; repeatable [default: the keys of the product]
    #[arg(long = "key", value_name = "ROLE=FILE")]
    keys: Vec<KeyArgument>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    project: Overrides,
}

impl Set {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        change(context, self.share, &self.which)
    }
}

impl Halt {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        change(context, Share::NONE, &self.which)
    }
}

fn change(context: &Context, share: Share, which: &Which) -> Result<Exit, Failure> {
    let project = context.project(&which.project)?;
    let now = context.now();
    let root = build::tuf_root(&project)?;
    let roots = ca::project_roots(&project, now)?;
    let (folder, supplied) = keys(context, &project, &which.keys)?;
    let keys = folder.load_for_publish(&supplied)?;
    let store = context.store(&project)?;
    let outside = outside(&project, which.reading)?;
    let (product, channel) = (project.product.value.as_str(), project.channel.value.as_str());

    let report = context::runtime()?.block_on(async {
        let state = load(context, &store, &root, now).await?;
        let wanted = Wanted {
            product,
            channel,
            chip: asked_chip(&project),
            version: which.version.as_ref(),
            store: &project.store.value,
        };
        let picked = pick(state.releases(), &wanted)?;
        for release in &picked {
            raisable(state.releases(), release, share)?;
        }
        let rollouts: Vec<(String, Rollout)> = picked
            .iter()
            .filter(|release| release.custom.rollout.percent != share.percent())
            .map(|release| {
                // The seed stays: devices that were included before stay included.
                let seed = release.custom.rollout.seed.clone();
                (release.custom.file_name(), Rollout { percent: share.percent(), seed })
            })
            .collect();
        let stamp = context.stamp()?;
        let plain_channel = project.plain_channel.as_str();
        let terms = Terms { now: stamp, expiry: Expiry::default(), plain_channel };
        let changes = Changes { rollouts, ..Changes::default() };
        let mut plan = state.next(&keys, changes, terms).await?;
        let listed = if plan.is_published() { state.releases() } else { plan.releases.as_slice() };
        let chips: BTreeSet<Chip> = picked.iter().map(|release| release.custom.chip).collect();
        let listed = listed.to_vec();
        let plain =
            plain::follow(context, &store, &listed, (product, plain_channel), &chips, &mut plan)
                .await?;
        let delivered = if which.dry_run {
            Delivered::default()
        } else {
            let (store, root, roots) = (&store, &root, &roots);
            let project = &project;
            let delivery = Delivery { context, project, store, root, roots, outside, now };
            delivery.deliver(&state, &plan).await?
        };
        delivered.warn_of_agents(context);
        delivered.warn_of_gaps(context);
        Ok::<_, Failure>(ChangeReport {
            product: product.to_owned(),
            channel: channel.to_owned(),
            dry_run: which.dry_run,
            changed: !plan.is_published() || !plain.is_empty(),
            releases: picked.iter().map(|release| Changed::new(release, share)).collect(),
            plain,
            delivered,
            store: project.store.value.clone(),
            verified_from: outside.map(|outside| outside.url.to_owned()),
        })
    })?;
    context.output.answer(&report, Exit::Success)
}

/// The chip on the command line. That of the project file is the one that it builds for, and other
/// chips have releases, too.
fn asked_chip(project: &Project) -> Option<Chip> {
    matches!(project.chip.origin, Origin::Flag(_)).then_some(project.chip.value)
}

/// Whether a share can be raised: a release at 0 percent need not have been rehearsed, and only one
/// that devices take next can be.
fn raisable(listed: &[Release], release: &Release, share: Share) -> Result<(), RolloutError> {
    let custom = &release.custom;
    if custom.rollout.percent > 0 || share == Share::NONE {
        return Ok(());
    }
    let mut newer = None;
    for channel in &custom.channels {
        let fleet = aim(listed, &custom.product, custom.chip, channel);
        let place = |wanted: &Release| fleet.releases.iter().position(|it| it == wanted);
        match fleet.goal.as_ref().filter(|goal| place(goal) > place(release)) {
            Some(goal) => newer = Some(goal.custom.version.clone()),
            None => return Ok(()),
        }
    }
    newer.map_or(Ok(()), |newer| {
        let (version, chip) = (custom.version.clone(), custom.chip.to_string());
        Err(RolloutError::Overtaken { version, chip, newer })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::custom::tests::listed as release;

    fn raised(listed: &[Release], at: usize, share: &str) -> Result<(), RolloutError> {
        raisable(listed, &listed[at], share.parse().unwrap())
    }

    #[test]
    fn what_was_never_rehearsed_is_given_to_devices_only_as_the_newest() {
        let listed = [release("1.0.0", 0), release("1.1.0", 10), release("1.2.0", 0)];
        assert!(matches!(raised(&listed, 0, "10"), Err(RolloutError::Overtaken { .. })));
        assert_eq!(raised(&listed, 0, "0"), Ok(()));
        assert_eq!(raised(&listed, 1, "100"), Ok(()));
        assert_eq!(raised(&listed, 2, "1"), Ok(()));
        let halted = [release("1.0.0", 0), release("1.1.0", 0)];
        assert_eq!(raised(&halted, 0, "10"), Ok(()));
    }

    #[test]
    fn one_channel_where_it_is_the_newest_is_enough() {
        let mut both = release("1.0.0", 0);
        both.custom.channels = vec!["beta".into(), "stable".into()];
        let mut beta = release("1.1.0", 100);
        beta.custom.channels = vec!["beta".into()];
        assert_eq!(raised(&[both.clone(), beta], 0, "10"), Ok(()));
        assert!(raised(&[both, release("1.1.0", 100)], 0, "10").is_ok());
    }
}
