//! What is wrong with an image, found out on an emulated chip.

use super::machine::Session;
use crate::virtual_device::bootloader::Target;

/// Why an image must not be released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bootloader did not say that it started anything.
    #[error("the bootloader did not say that it started anything")]
    NothingStarted,
    /// The bootloader started something else.
    #[error("the bootloader started {found}, not {expected}")]
    OtherStarted {
        /// What should have been started.
        expected: Target,
        /// What was.
        found: Target,
    },
    /// The trial was not armed in time.
    #[error(
        "the image did not arm its trial within {seconds} s: its entry of `otadata` says {state}, \
         label `{label}`"
    )]
    NotArmed {
        /// How long.
        seconds: u64,
        /// State of the entry.
        state: String,
        /// Label of the entry.
        label: String,
    },
    /// The chip was reset before the trial was armed.
    #[error(
        "the image reset the chip before it had armed its trial: its entry of `otadata` says \
         {state}, label `{label}`"
    )]
    ResetEarly {
        /// State of the entry.
        state: String,
        /// Label of the entry.
        label: String,
    },
    /// After the power came back, the bootloader would not choose the previous image.
    #[error("the next reset would start {found}, not {expected}")]
    WrongChoice {
        /// What should be next.
        expected: Target,
        /// What is.
        found: Target,
    },
    /// The firmware did not get as far in time.
    #[error("{what} within {seconds} s")]
    TooLate {
        /// What it did not do.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// The chip was reset where it should have gone on.
    #[error("{0}: it reset the chip")]
    Reset(String),
    /// Flash is not what it should be.
    #[error("{0}")]
    Flash(String),
    /// An image on trial was confirmed although its server was away.
    #[error("{version} confirmed itself although the update server was away")]
    ConfirmedAlone {
        /// The version.
        version: String,
    },
    /// Another version says that it runs.
    #[error("{found} runs, not {expected}")]
    OtherRuns {
        /// What should run.
        expected: String,
        /// What runs.
        found: String,
    },
}

impl Fault {
    /// A word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NothingStarted => "nothing-started",
            Self::OtherStarted { .. } => "other-started",
            Self::NotArmed { .. } => "not-armed",
            Self::ResetEarly { .. } => "reset-early",
            Self::WrongChoice { .. } => "wrong-choice",
            Self::TooLate { .. } => "too-late",
            Self::Reset(_) => "reset",
            Self::Flash(_) => "flash",
            Self::ConfirmedAlone { .. } => "confirmed-alone",
            Self::OtherRuns { .. } => "other-runs",
        }
    }
}

/// What a rehearsal came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong; `None` where all was well.
    pub fault: Option<Fault>,
    /// The last lines of the serial port before that.
    pub serial: Vec<String>,
}

impl Verdict {
    /// All was well.
    pub(super) fn passed() -> Self {
        Self::default()
    }

    /// Something is wrong, and this is what was seen last.
    pub(super) fn failed(fault: Fault, session: Session) -> Self {
        Self { fault: Some(fault), serial: session.last }
    }
}
