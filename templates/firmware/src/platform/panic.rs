//! After a panic the chip starts again, as with ESP-IDF: in the field there is nobody to press
//! reset. A project that was there before the update agent has a handler of its own instead.

use esp_backtrace as _;
use esp_hal::delay::Delay;
use esp_hal::system::software_reset;

use crate::platform::READING_TIME_MS;

#[expect(unsafe_code, reason = "esp-backtrace calls this by its name")]
#[unsafe(no_mangle)]
extern "Rust" fn custom_halt() -> ! {
    Delay::new().delay_millis(READING_TIME_MS);
    software_reset()
}
