//! The firmware around the agent, as `main.rs` of the template has it.

use embedded_storage::nor_flash::NorFlash;

use crate::agent::trial::Boot;
use crate::virtual_device::flash::FlashHandle;

/// What lies between the agent and its chip, and in which order things happen.
///
/// There is one right way, [`AsShipped`]. Tests have wrong ones, to prove that these are found.
pub(super) trait Board: Sync {
    /// The flash as the agent sees it.
    type Flash: NorFlash + Clone;

    /// Joins the agent to its chip, once per start.
    fn flash(&self, chip: &FlashHandle) -> Self::Flash;

    /// Whether the radio starts before the trial is armed.
    fn starts_radio_first(&self) -> bool {
        false
    }

    /// Whether the app gives up at once on such a boot and resets the chip.
    fn resets_on(&self, _: Boot) -> bool {
        false
    }
}

/// The firmware as `init` writes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AsShipped;

impl Board for AsShipped {
    type Flash = FlashHandle;

    fn flash(&self, chip: &FlashHandle) -> FlashHandle {
        chip.clone()
    }
}
