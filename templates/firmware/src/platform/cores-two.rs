//! Two cores: while flash is written, the other one must not read from it, so it is parked.

use esp_hal::peripherals::FLASH;
use esp_storage::FlashStorage;

pub(super) fn flash(peripheral: FLASH<'static>) -> FlashStorage<'static> {
    FlashStorage::new(peripheral).multicore_auto_park()
}
