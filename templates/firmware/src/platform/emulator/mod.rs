//! What an emulated ESP32-C3 has instead of a radio: an Ethernet MAC. And what of a C library the
//! radio's driver would have brought along.

mod open_eth;
mod printf;

pub use open_eth::OpenEth;

/// The reset value of SYSTIMER_CONF_REG on the chip (ESP32-C3 Technical Reference Manual, 10.7),
/// with both counters' clocks on. An emulator may start at 0, and time would stand still.
#[expect(unsafe_code, reason = "a register that esp-hal takes for granted")]
pub fn start_clocks() {
    const SYSTIMER_CONF: *mut u32 = 0x6002_3000 as *mut u32;
    // SAFETY: a register of this address is there, and before esp-hal starts nobody else uses it.
    unsafe { SYSTIMER_CONF.write_volatile(0x4600_0000) };
}
