//! The order of a change of root, and how far a project has come in it. Pure.

use serde::Serialize;

use crate::trust::live::Reach;

/// A published release, as far as the change goes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Release {
    pub(super) version: String,
    pub(super) chip: String,
    /// Whether it pins the new root.
    pub(super) has_new: bool,
    /// Whether it pins another root, by which it reaches the host until the change.
    pub(super) has_other: bool,
    /// Whether no other release for the chip is newer.
    pub(super) is_newest: bool,
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

/// The newest release for each chip has to carry both roots.
fn release(facts: &Facts<'_>) -> Step {
    let newest = || facts.releases.iter().filter(|release| release.is_newest);
    let alone: Vec<String> = newest()
        .filter(|release| release.has_new && !release.has_other)
        .map(Release::name)
        .collect();
    let missing: Vec<String> =
        newest().filter(|release| !release.has_new).map(Release::name).collect();
    let (progress, message) = if facts.releases.is_empty() {
        (Progress::Next, "publish a release with both roots; nothing is published yet".to_owned())
    } else if !alone.is_empty() {
        let message = format!(
            "{} pins the new root alone: its devices reach no server before the change",
            alone.join(", ")
        );
        (Progress::Failed, message)
    } else if missing.is_empty() {
        (Progress::Done, "the newest release for each chip has both roots".to_owned())
    } else {
        let message =
            format!("publish a release with both roots; the newest is {}", missing.join(", "));
        (Progress::Next, message)
    };
    let command = (progress != Progress::Done).then(|| "cargo esp-ota publish".to_owned());
    Step { step: "release", progress, message, command }
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

    fn release(version: &str, has_new: bool, is_newest: bool) -> Release {
        Release {
            version: version.into(),
            chip: "esp32c3".into(),
            has_new,
            has_other: true,
            is_newest,
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
