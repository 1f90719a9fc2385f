//! The root that a project starts with: from a file, or looked up at a live server.

use std::path::{Path, PathBuf};

use super::plan::ask;
use super::{Init, InitError};
use crate::commands::Context;
use crate::commands::ca::CaError;
use crate::error::Failure;
use crate::output::Dialogue;
use crate::trust::{Candidates, Endpoint, PinnedRoot, anchor, root};

/// The roots that the command line names, or that somebody types. One that a server led to is
/// pinned only when a person or `--yes` has said so.
pub(super) fn gather(
    asked: &Init,
    context: &Context,
    dialogue: Option<Dialogue>,
) -> Result<Vec<PinnedRoot>, Failure> {
    match (&asked.root_ca, dialogue) {
        (Some(source), _) => {
            let roots = read(source, asked, context)?;
            if is_url(source) && !asked.yes {
                confirm_found(&roots, dialogue)?;
            }
            Ok(roots)
        }
        (None, _) if asked.candidates.is_some() => Err(CaError::OnlyForUrl("--candidates").into()),
        (None, Some(dialogue)) => Ok(ask_for_roots(asked, context, dialogue)?),
        (None, None) => Ok(Vec::new()),
    }
}

/// Reads the roots of a file, or finds the one that anchors a server.
pub(super) fn read(
    source: &Path,
    asked: &Init,
    context: &Context,
) -> Result<Vec<PinnedRoot>, Failure> {
    let now = context.now();
    let url = source.to_str().filter(|_| is_url(source));
    let Some(url) = url else {
        if asked.candidates.is_some() {
            return Err(CaError::OnlyForUrl("--candidates").into());
        }
        return Ok(root::read(source, now)?);
    };
    let endpoint = Endpoint::from_url(url)?;
    let candidates = match &asked.candidates {
        Some(file) => Candidates::read(file)?,
        None => Candidates::mozilla(),
    };
    context.output.status(format_args!("asking {endpoint} for its certificates"));
    Ok(vec![anchor::find(&endpoint, &candidates, now)?.root])
}

fn is_url(source: &Path) -> bool {
    source.to_str().is_some_and(|text| text.contains("://"))
}

fn confirm_found(roots: &[PinnedRoot], dialogue: Option<Dialogue>) -> Result<(), Failure> {
    let Some(dialogue) = dialogue else {
        let name = |root: &PinnedRoot| {
            format!("`{}` (SHA-256 {})", root.subject(), root.fingerprint_hex())
        };
        let roots = roots.iter().map(name).collect::<Vec<_>>().join(", ");
        return Err(InitError::UnconfirmedRoot(roots).into());
    };
    match confirm(dialogue, roots)? {
        true => Ok(()),
        false => Err(CaError::Unconfirmed.into()),
    }
}

/// Shows what a person has to compare, and asks.
fn confirm(dialogue: Dialogue, roots: &[PinnedRoot]) -> Result<bool, InitError> {
    for root in roots {
        dialogue.say(root.subject());
        dialogue.say(format_args!("  SHA-256 {}", root.fingerprint_hex()));
        dialogue.say(format_args!("  {}, ends {}", root.key(), root.not_after()));
    }
    let question = if roots.len() == 1 { "Pin it?" } else { "Pin them?" };
    dialogue.confirm(question).ok_or(InitError::Unanswered)
}

fn ask_for_roots(
    asked: &Init,
    context: &Context,
    dialogue: Dialogue,
) -> Result<Vec<PinnedRoot>, InitError> {
    let question = "Root certificate of that server, a file or an https URL?";
    loop {
        let roots = ask(dialogue, question, Some(("later", Vec::new())), |text| {
            read(&at_home(text), asked, context).map_err(|failure| words(&failure))
        })?;
        if roots.is_empty() || confirm(dialogue, &roots)? {
            return Ok(roots);
        }
    }
}

/// A failure in one line.
fn words(failure: &Failure) -> String {
    let causes = failure.causes();
    std::iter::once(failure.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}

/// No shell is there to put the home folder for a tilde.
fn at_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(below), Some(home)) => home.join(below),
        _ => PathBuf::from(text),
    }
}
