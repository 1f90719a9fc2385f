//! The order of a change of root, and how far a project has come in it. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::release::custom::WHOLE_FLEET;
use crate::trust::live::Reach;

/// A published release, as far as the change goes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Release {
    pub(super) version: String,
    pub(super) chip: String,
    pub(super) channels: Vec<String>,
    pub(super) rollout_percent: u8,
    /// Whether it pins the new root.
    pub(super) has_new: bool,
    /// Whether it pins another root, by which it reaches the host until the change.
    pub(super) has_other: bool,
    /// The channels in which no newer release for the chip is there for every device.
    pub(super) current_in: Vec<String>,
    /// Whether the user says that no device runs it any more.
    pub(super) retired: bool,
    /// Whether it reaches the host with the new certificate, where that was asked.
    pub(super) staged: Option<Reach>,
}

impl Release {
    /// Whether its devices lose the host by the change.
    fn is_lost(&self) -> bool {
        match &self.staged {
            Some(Reach::Yes { .. }) => false,
            Some(Reach::No { .. } | Reach::Unknown { .. }) => true,
            None => !self.has_new,
        }
    }

    fn name(&self) -> String {
        format!("{} for {}", self.version, self.chip)
    }
}

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Progress {
    /// Nothing is left to do.
    Done,
    /// To be done now.
    Next,
    /// Not yet: something before it is not done.
    Later,
    /// Was tried, and is not good.
    Failed,
}

/// One step of the change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Step {
    pub(super) step: &'static str,
    pub(super) progress: Progress,
    pub(super) message: String,
    pub(super) command: Option<String>,
}

/// What is known.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    /// The file with the new root.
    pub(super) file: &'a str,
    /// Whether the project pins it, and its generated source holds it.
    pub(super) pinned: bool,
    pub(super) releases: &'a [Release],
    /// How the new certificate did, where it was asked for.
    pub(super) rehearsal: Option<bool>,
}

/// The steps in order.
pub(super) fn steps(facts: &Facts<'_>) -> Vec<Step> {
    let mut steps = vec![pin(facts), release(facts), wait(facts), rehearse(facts)];
    let mut open = false;
    for step in &mut steps {
        // One thing at a time, but a failure is said wherever it is, and the new certificate can
        // be tried at any time.
        match step.progress {
            Progress::Next if open && step.step != "rehearse" => step.progress = Progress::Later,
            Progress::Next | Progress::Failed | Progress::Later => open = true,
            Progress::Done => {}
        }
    }
    let is_safe = steps.iter().all(|step| step.progress == Progress::Done);
    steps.push(Step {
        step: "switch",
        progress: if is_safe { Progress::Next } else { Progress::Later },
        message: if is_safe {
            "let the server show the new certificate".to_owned()
        } else {
            "the server keeps its certificate until every step before is done".to_owned()
        },
        command: None,
    });
    steps.push(Step {
        step: "verify",
        progress: Progress::Later,
        message:
            "see that every release reaches the host; the old root may go with a later release"
                .to_owned(),
        command: Some("cargo esp-ota ca check".to_owned()),
    });
    steps
}

/// Whether the certificate may be changed now.
pub(super) fn is_safe(steps: &[Step]) -> bool {
    steps.iter().any(|step| step.step == "switch" && step.progress == Progress::Next)
}

fn pin(facts: &Facts<'_>) -> Step {
    let (progress, message) = if facts.pinned {
        (Progress::Done, "the project pins the new root beside the old one")
    } else {
        (Progress::Next, "pin the new root beside the old one")
    };
    let command = (!facts.pinned).then(|| format!("cargo esp-ota ca add {}", facts.file));
    Step { step: "pin", progress, message: message.to_owned(), command }
}

/// In each channel, for each chip, every device has to be able to take a release with both roots.
fn release(facts: &Facts<'_>) -> Step {
    let current = || facts.releases.iter().filter(|release| !release.current_in.is_empty());
    let alone: Vec<String> = current()
        .filter(|release| release.has_new && !release.has_other)
        .map(Release::name)
        .collect();
    let (mut missing, mut partial) = (Vec::new(), Vec::new());
    for (channel, releases) in by_channel(facts.releases) {
        // Oldest first.
        let Some(newest) = releases.last() else { continue };
        let has_all = releases.iter().all(|release| release.has_new);
        let has_whole = releases.iter().any(|release| release.rollout_percent >= WHOLE_FLEET);
        let name = format!("{} in `{channel}`", newest.name());
        match newest.has_new {
            true if has_all && has_whole => {}
            true => partial.push(format!("{name} ({} percent)", newest.rollout_percent)),
            false => missing.push(name),
        }
    }
    let (progress, message) = if facts.releases.is_empty() {
        (Progress::Next, "publish a release with both roots; nothing is published yet".to_owned())
    } else if !alone.is_empty() {
        let message = format!(
            "{} pins the new root alone: its devices reach no server before the change",
            alone.join(", ")
        );
        (Progress::Failed, message)
    } else if !missing.is_empty() {
        let message =
            format!("publish a release with both roots; the newest is {}", missing.join(", "));
        (Progress::Next, message)
    } else if !partial.is_empty() {
        let message =
            format!("let the rollout of {} reach 100 percent", partial.join(", and that of "));
        (Progress::Next, message)
    } else {
        (Progress::Done, "for each chip and channel the newest release has both roots".to_owned())
    };
    let command = (progress != Progress::Done && partial.is_empty())
        .then(|| "cargo esp-ota publish".to_owned());
    Step { step: "release", progress, message, command }
}

/// What devices may run for as long as nothing newer comes, by channel and chip.
fn by_channel(releases: &[Release]) -> Vec<(&str, Vec<&Release>)> {
    let mut found: BTreeMap<(&str, &str), Vec<&Release>> = BTreeMap::new();
    for release in releases {
        for channel in &release.current_in {
            found.entry((channel, &release.chip)).or_default().push(release);
        }
    }
    found.into_iter().map(|((channel, _), releases)| (channel, releases)).collect()
}

/// Devices have to take that release.
fn wait(facts: &Facts<'_>) -> Step {
    let lost = |release: &&Release| !release.retired && release.is_lost();
    let names: Vec<String> = facts.releases.iter().filter(lost).map(Release::name).collect();
    let (progress, message) = if names.is_empty() && !facts.releases.is_empty() {
        (
            Progress::Done,
            "every release that devices may still run reaches the new certificate".to_owned(),
        )
    } else if names.is_empty() {
        (Progress::Next, "let every device take the release".to_owned())
    } else {
        let message = format!(
            "devices with {} would lose the server; once no device runs it any more, say so with \
             `--retired VERSION`",
            names.join(", ")
        );
        (Progress::Next, message)
    };
    Step { step: "wait", progress, message, command: None }
}

fn rehearse(facts: &Facts<'_>) -> Step {
    let (progress, message) = match facts.rehearsal {
        Some(true) => (Progress::Done, "the new root anchors the new certificate, name included"),
        Some(false) => (Progress::Failed, "devices would not take the new certificate"),
        None => (
            Progress::Next,
            "start a server with the new certificate where no device comes, and try it",
        ),
    };
    let command = (progress != Progress::Done)
        .then(|| format!("cargo esp-ota ca plan --new {} --connect ADDRESS:PORT", facts.file));
    Step { step: "rehearse", progress, message: message.to_owned(), command }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(version: &str, has_new: bool, is_current: bool) -> Release {
        Release {
            version: version.into(),
            chip: "esp32c3".into(),
            channels: vec!["stable".into()],
            rollout_percent: 100,
            has_new,
            has_other: true,
            current_in: if is_current { vec!["stable".into()] } else { Vec::new() },
            retired: false,
            staged: None,
        }
    }

    fn progress(pinned: bool, releases: &[Release], rehearsal: Option<bool>) -> Vec<Progress> {
        let steps = steps(&Facts { file: "new.pem", pinned, releases, rehearsal });
        assert_eq!(is_safe(&steps), steps[4].progress == Progress::Next);
        steps.iter().map(|step| step.progress).take(5).collect()
    }

    use Progress::{Done, Failed, Later, Next};

    #[test]
    fn one_thing_comes_after_the_other_and_the_switch_last() {
        let old = release("1.0.0", false, true);
        let lacking = [old.clone()];
        assert_eq!(progress(false, &lacking, None), [Next, Later, Later, Next, Later]);
        assert_eq!(progress(true, &lacking, None), [Done, Next, Later, Next, Later]);
        let both = [release("1.0.0", false, false), release("1.1.0", true, true)];
        assert_eq!(progress(true, &both, None), [Done, Done, Next, Next, Later]);
        assert_eq!(progress(true, &both, Some(true)), [Done, Done, Next, Done, Later]);
        let mut retired = both.clone();
        retired[0].retired = true;
        assert_eq!(progress(true, &retired, None), [Done, Done, Done, Next, Later]);
        assert_eq!(progress(true, &retired, Some(false)), [Done, Done, Done, Failed, Later]);
        assert_eq!(progress(true, &retired, Some(true)), [Done, Done, Done, Done, Next]);
    }

    fn message(releases: &[Release]) -> String {
        let facts = Facts { file: "new.pem", pinned: true, releases, rehearsal: Some(true) };
        steps(&facts)[1].message.clone()
    }

    #[test]
    fn a_channel_is_not_helped_by_what_another_one_offers() {
        let mut both = [release("1.2.0", false, true), release("1.3.0", true, true)];
        both[1].channels = vec!["beta".into()];
        both[1].current_in = both[1].channels.clone();
        // Whatever a user says of the version.
        both[0].retired = true;
        assert_eq!(progress(true, &both, Some(true)), [Done, Next, Done, Done, Later]);
        assert_eq!(
            message(&both),
            "publish a release with both roots; the newest is 1.2.0 for esp32c3 in `stable`"
        );
        both[1].channels.push("stable".into());
        both[1].current_in = both[1].channels.clone();
        both[0].current_in.clear();
        assert_eq!(progress(true, &both, Some(true)), [Done, Done, Done, Done, Next]);
    }

    #[test]
    fn a_release_for_a_part_of_the_fleet_is_none_for_every_device() {
        let mut both = [release("1.0.0", false, true), release("1.1.0", true, true)];
        both[0].retired = true;
        for percent in [0, 25, 99] {
            both[1].rollout_percent = percent;
            assert_eq!(progress(true, &both, Some(true)), [Done, Next, Done, Done, Later]);
            assert_eq!(
                message(&both),
                format!(
                    "let the rollout of 1.1.0 for esp32c3 in `stable` ({percent} percent) reach 100 \
                     percent"
                )
            );
        }
        // Nor is one that nobody could take before.
        assert_eq!(progress(true, &both[1..], Some(true)), [Done, Next, Done, Done, Later]);
        // One with the new root for all, and a newer one without it for some.
        let mut late = [release("1.1.0", true, true), release("1.2.0", false, true)];
        late[1].rollout_percent = 25;
        assert_eq!(progress(true, &late, Some(true)), [Done, Next, Later, Done, Later]);
        // The newer one may have it as well.
        late[1].has_new = true;
        assert_eq!(progress(true, &late, Some(true)), [Done, Done, Done, Done, Next]);
    }

    #[test]
    fn nothing_published_is_nothing_proven() {
        assert_eq!(progress(true, &[], Some(true)), [Done, Next, Later, Done, Later]);
    }

    #[test]
    fn what_the_new_certificate_proves_outweighs_what_is_pinned() {
        let mut both = [release("1.0.0", false, false), release("1.1.0", true, true)];
        both[0].staged = Some(Reach::Yes { by: vec!["old".into()] });
        both[1].staged = Some(Reach::Yes { by: vec!["new".into()] });
        assert_eq!(progress(true, &both, Some(true)), [Done, Done, Done, Done, Next]);
        both[1].staged = Some(Reach::Unknown { unknown: vec!["ab".into()] });
        assert_eq!(progress(true, &both, Some(true)), [Done, Done, Next, Done, Later]);
    }

    #[test]
    fn a_release_with_the_new_root_alone_is_a_failure_now_and_not_after_the_switch() {
        let mut alone = [release("1.1.0", true, true)];
        alone[0].has_other = false;
        assert_eq!(progress(true, &alone, Some(true)), [Done, Failed, Done, Done, Later]);
    }
}
