//! What is erased before the install, which somebody has to say twice.

use super::FlashError;
use super::target::Place;
use crate::commands::Context;
use crate::error::Failure;

/// What can be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Erase {
    /// The records of which slot boots.
    Otadata,
    /// The settings, and whatever else programs keep there.
    Nvs,
    /// The whole flash chip.
    All,
}

impl Erase {
    /// The word in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Otadata => "otadata",
            Self::Nvs => "nvs",
            Self::All => "all",
        }
    }

    /// In words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Otadata => "the records of which slot boots",
            Self::Nvs => "all settings and whatever else programs keep in `nvs`",
            Self::All => "the whole flash chip",
        }
    }
}

/// Asks, unless `is_sure`. Where nobody can be asked, nothing is erased.
pub(super) fn ask(
    context: &Context,
    erase: Erase,
    places: &[Place],
    is_sure: bool,
) -> Result<(), Failure> {
    if is_sure {
        return Ok(());
    }
    let boards = match places {
        [Place::Cable(chosen, _)] => format!("the device at {}", chosen.name),
        [Place::File(file)] => format!("`{}`", file.display()),
        several => format!("{} devices", several.len()),
    };
    let dialogue = context.output.dialogue().ok_or(FlashError::NobodyToAsk)?;
    match dialogue.confirm(format_args!("Erase {} of {boards}?", erase.what())) {
        Some(true) => Ok(()),
        Some(false) | None => Err(FlashError::NotErased.into()),
    }
}
