//! One core: while flash is written, nobody reads from it.

use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;

pub(super) fn flash(peripheral: FLASH<'static>) -> FlashStorage<'static> {
    FlashStorage::new(peripheral)
}
