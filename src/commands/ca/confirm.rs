//! The question whether roots may be pinned. The one place that asks a person.

use std::io::{self, IsTerminal, Write};

use super::CaError;
use crate::trust::PinnedRoot;

/// Shows what a person has to compare, and asks.
pub(in crate::commands) fn confirm(roots: &[PinnedRoot]) -> Result<(), CaError> {
    if !io::stdin().is_terminal() {
        let name = |root: &PinnedRoot| {
            format!("`{}` (SHA-256 {})", root.subject(), root.fingerprint_hex())
        };
        let roots = roots.iter().map(name).collect::<Vec<_>>().join(", ");
        return Err(CaError::NoTerminal { roots });
    }
    let mut terminal = io::stderr().lock();
    let mut answer = String::new();
    let asked = roots
        .iter()
        .try_for_each(|root| {
            writeln!(terminal, "{}", root.subject())?;
            writeln!(terminal, "  SHA-256 {}", root.fingerprint_hex())?;
            writeln!(terminal, "  {}, ends {}", root.key(), root.not_after())
        })
        .and_then(|()| {
            write!(terminal, "Pin {}? [y/N] ", if roots.len() == 1 { "it" } else { "them" })
        })
        .and_then(|()| terminal.flush())
        .and_then(|()| io::stdin().read_line(&mut answer));
    match (asked, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(CaError::Unconfirmed),
    }
}
