//! A device that updates itself, and falls back when a release does not prove itself.

#![no_std]
#![no_main]

extern crate alloc;

mod heap;
mod net;
#[expect(dead_code, unused_imports, reason = "`cargo esp-ota` uses more of it than a device")]
mod ota;
mod ota_config;
#[path = "platform/panic.rs"]
mod panic;
mod platform;
mod roots;
mod tls;
mod updates;

use embassy_executor::Spawner;
use embassy_time::{Duration, Timer};
use esp_hal::clock::CpuClock;
use esp_hal::timer::timg::TimerGroup;

esp_bootloader_esp_idf::esp_app_desc!();

/// Whether this image does what it is for. On trial, `false` brings the previous release back, and
/// this one is never taken again: test what the image is responsible for, not the weather.
fn self_test() -> bool {
    true
}

#[esp_hal::main]
async fn main(spawner: Spawner) -> ! {
    #[cfg(feature = "emulator")]
    platform::emulator::start_clocks();
    let board = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    // Before the heap, the radio and all else that could fail: from here on any reset of an image
    // on trial brings the previous one back.
    let boot = updates::start(board.FLASH, board.RTC_TIMER);
    heap::start();
    let updates = updates::open(boot);

    let timers = TimerGroup::new(board.TIMG0);
    esp_rtos::start(timers.timer0, board.FROM_CPU_INTR0);
    #[cfg(feature = "wifi")]
    let stack = net::start(spawner, board.WIFI, updates.wifi.as_ref());
    #[cfg(feature = "emulator")]
    let stack = net::start(spawner, board.RNG, board.ADC1);
    spawner.spawn(updates::run(updates, stack, self_test).expect("it is started once"));

    loop {
        // Your firmware goes here.
        Timer::after(Duration::from_secs(1)).await;
    }
}
