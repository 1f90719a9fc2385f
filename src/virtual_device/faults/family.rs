//! Cases of one kind, and how large a part of a run they may be.

use serde::Serialize;

/// What the cases of a family have in common. The share is the part of all cases, in hundredths,
/// that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// No fault at all.
    Whole,
    /// A cut at an operation on `otadata`.
    Otadata,
    /// A cut at an operation on the agent's memory.
    Store,
    /// An operation on `otadata` of which chosen words happen.
    TornWords,
    /// An operation on `otadata` of which one bit happens, or all but one.
    TornBits,
    /// A cut while the image is written, where erases begin and end.
    ImageEdges,
    /// A cut while the image is written.
    Image,
    /// Two cuts.
    Double,
    /// A lie of the network.
    Network,
    /// A worn flash cell.
    Worn,
}

impl Family {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 10] = [
        Self::Whole,
        Self::Otadata,
        Self::Store,
        Self::TornWords,
        Self::TornBits,
        Self::ImageEdges,
        Self::Image,
        Self::Double,
        Self::Network,
        Self::Worn,
    ];

    /// Cases of this family in a run of `most`.
    pub(super) fn quota(self, most: usize) -> usize {
        most.saturating_mul(self.share()).div_ceil(100)
    }

    fn share(self) -> usize {
        match self {
            Self::Whole | Self::Worn => 1,
            Self::Network => 6,
            Self::Otadata | Self::ImageEdges => 10,
            Self::Store | Self::Double | Self::TornBits => 12,
            Self::Image => 16,
            Self::TornWords => 20,
        }
    }

    /// The word in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Otadata => "otadata",
            Self::Store => "store",
            Self::TornWords => "torn-words",
            Self::TornBits => "torn-bits",
            Self::ImageEdges => "image-edges",
            Self::Image => "image",
            Self::Double => "double",
            Self::Network => "network",
            Self::Worn => "worn",
        }
    }

    /// The family in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Whole => "without a fault",
            Self::Otadata => "power cuts at otadata",
            Self::Store => "power cuts at the agent's memory",
            Self::TornWords => "torn otadata, word by word",
            Self::TornBits => "torn otadata, bit by bit",
            Self::ImageEdges => "power cuts around erases of the slot",
            Self::Image => "power cuts inside the image",
            Self::Double => "two power cuts",
            Self::Network => "lies of the network",
            Self::Worn => "worn flash",
        }
    }
}
