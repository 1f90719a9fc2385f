//! Runs a plan on all cores, or one case with its trace.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::board::{AsShipped, Board};
use super::case::Case;
use super::error::FaultsError;
use super::invariant::Invariant;
use super::plan::Plan;
use super::player::Player;
use super::script::Verdict;
use super::start::Start;
use super::subject::Subject;
use super::summary::{Failure, Summary};
use crate::virtual_device::parallel;

/// Cases that a worker takes at once: they mostly have one start, so that a device is set up rarely.
const BATCH: usize = 64;

/// Runs every case of the plan on `workers` threads. `progress` hears how many are done.
pub fn run(
    subject: &Subject,
    plan: &Plan,
    workers: usize,
    progress: impl Fn(usize) + Sync,
) -> Summary {
    run_on(subject, plan, &AsShipped, workers, progress)
}

pub(super) fn run_on(
    subject: &Subject,
    plan: &Plan,
    board: &impl Board,
    workers: usize,
    progress: impl Fn(usize) + Sync,
) -> Summary {
    let done = AtomicUsize::new(0);
    let batches: Vec<_> = plan.cases.chunks(BATCH).collect();
    let counted = parallel::map(&batches, workers, |_, batch| {
        let mut summary = Summary::default();
        let mut player: Option<(usize, Player<'_, _>)> = None;
        for (case, index, family) in *batch {
            let Some(start) = plan.starts.get(*index) else { continue };
            let ready = match &mut player {
                Some((at, ready)) if at == index => ready,
                other => &mut other.insert((*index, Player::new(subject, start, board))).1,
            };
            let verdict = ready.play(case);
            summary.count(case, *family, failure(case, verdict));
        }
        let before = done.fetch_add(batch.len(), Ordering::Relaxed);
        progress(before.saturating_add(batch.len()));
        summary
    });
    let mut summary = Summary { sampled: plan.sampled.clone(), ..Summary::default() };
    counted.into_iter().for_each(|part| summary.merge(part));
    summary
}

fn failure(case: &Case, verdict: Verdict) -> Option<Failure> {
    let (invariant, detail) = match verdict {
        Verdict::Survived => return None,
        Verdict::Lost(broken) => (broken.invariant, broken.detail),
        Verdict::Unreached => {
            let detail = "the planned fault is not reached: the update is not the same every time";
            (Invariant::Completes, detail.into())
        }
    };
    Some(Failure { seed: case.to_string(), invariant, detail })
}

/// One case, replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Every power-on, decision, flash operation and poll, in order.
    pub trace: Vec<String>,
    /// The rule that was broken, if one was.
    pub failure: Option<Failure>,
}

/// Replays one case and tells all of it.
///
/// # Errors
///
/// [`FaultsError::Start`] and [`FaultsError::Unreached`].
pub fn replay(subject: &Subject, case: &Case) -> Result<Replay, FaultsError> {
    let start = Start::prepare(subject, case.place)?;
    let mut player = Player::new(subject, &start, &AsShipped);
    player.trace = Some(Vec::new());
    let verdict = player.play(case);
    if verdict == Verdict::Unreached {
        return Err(FaultsError::Unreached { seed: case.to_string() });
    }
    let trace = player.trace.take().unwrap_or_default();
    Ok(Replay { trace, failure: failure(case, verdict) })
}
