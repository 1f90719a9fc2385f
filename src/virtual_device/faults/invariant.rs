//! What must hold for every device in every case.

use serde::Serialize;

/// A rule that no fault may break (design, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariant {
    /// At no time is nothing bootable, and what boots can run.
    Boots,
    /// Only published images ever run or get selected, byte for byte.
    OnlyPublished,
    /// The running image and the entry that selects it stay as they are during an install.
    RunningIntact,
    /// An entry of `otadata` is written whole, in one program operation.
    EntryWhole,
    /// If the new image never confirms, the last confirmed one runs after at most two resets.
    FallsBack,
    /// If the new image is good, the update completes.
    Completes,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Boots,
        Self::OnlyPublished,
        Self::RunningIntact,
        Self::EntryWhole,
        Self::FallsBack,
        Self::Completes,
    ];

    /// The rule in words.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Boots => "at no time is nothing bootable",
            Self::OnlyPublished => "only published images run or get selected",
            Self::RunningIntact => {
                "the running image and its entry stay as they are during an install"
            }
            Self::EntryWhole => "an entry of otadata is written whole",
            Self::FallsBack => {
                "without a confirmation the last confirmed image runs after two resets at most"
            }
            Self::Completes => "a good update completes",
        }
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}

impl Broken {
    pub(super) fn new(invariant: Invariant, detail: impl Into<String>) -> Self {
        Self { invariant, detail: detail.into() }
    }
}
