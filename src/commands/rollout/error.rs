//! Why a rollout stays as it is.

use crate::error::{Exit, Explained};

/// A change that is not made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolloutError {
    /// Nothing for these devices is published.
    #[error("{store} has no release of `{product}` for {chip} in `{channel}`")]
    Nothing {
        /// Where.
        store: String,
        /// The product.
        product: String,
        /// The chip, or `any chip`.
        chip: String,
        /// The channel.
        channel: String,
    },
    /// The version that was asked for is not there.
    #[error("`{version}` is not listed in `{channel}`, which has {}", list(listed))]
    NotListed {
        /// The version asked for.
        version: String,
        /// Where it was looked for.
        channel: String,
        /// What is there, oldest first.
        listed: Vec<String>,
    },
    /// Chips have different newest versions.
    #[error("the newest release of `{channel}` depends on the chip: {}", newest.join(", "))]
    Several {
        /// The channel.
        channel: String,
        /// Version and chip of each, in words.
        newest: Vec<String>,
    },
    /// A release that nobody takes would be taken without ever having been rehearsed.
    #[error("`{version}` for {chip} is at 0 %, and devices take the newer `{newer}`")]
    Overtaken {
        /// The version asked for.
        version: String,
        /// Its chip.
        chip: String,
        /// What devices take.
        newer: String,
    },
}

fn list(versions: &[String]) -> String {
    let versions: Vec<String> = versions.iter().map(|it| format!("`{it}`")).collect();
    versions.join(", ")
}

impl Explained for RolloutError {
    fn exit(&self) -> Exit {
        match self {
            Self::Nothing { .. }
            | Self::NotListed { .. }
            | Self::Several { .. }
            | Self::Overtaken { .. } => Exit::Rejected,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::Nothing { .. } => "see what is listed: `cargo esp-ota rollout show`".into(),
            Self::NotListed { .. } => "name one of these with `--release-version`".into(),
            Self::Several { .. } => {
                "name one with `--release-version`, or one chip with `--chip`".into()
            }
            Self::Overtaken { newer, .. } => {
                format!("halt `{newer}` first: only what devices would take next can be rehearsed")
            }
        })
    }
}
