//! The metadata that this tool's own agent accepts, in the words of a release.

use crate::agent::tuf;
use crate::release::custom::Caps;

/// The caps of an image with this agent, for its release to state. `release` knows no agent, and
/// the agent no release: here both are known.
pub fn of_own_agent() -> Caps {
    let tuf::Caps { root, timestamp, snapshot, targets, .. } = tuf::Caps::default();
    let cap = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    Caps {
        root: cap(root),
        timestamp: cap(timestamp),
        snapshot: cap(snapshot),
        targets: cap(targets),
    }
}
