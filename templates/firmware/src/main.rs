//! A device that updates itself, and falls back when a release does not prove itself.

#![no_std]
#![no_main]

extern crate alloc;

use esp_hal::clock::CpuClock;
use esp_hal::delay::Delay;
use esp_println::println;

use ota::agent::{Agent, Settings};
use ota::nvs_store::NvsStore;
use ota::release::Identity;
use ota::trial::{self, Boot};
use ota::tuf::Caps;
use platform::{Fault, Flash, Partitions, Watchdog};

#[expect(dead_code, unused_imports, reason = "polls and reports need a network: none here yet")]
mod ota;
mod ota_config;
mod platform;
mod roots;

esp_bootloader_esp_idf::esp_app_desc!();

/// Whether this image does what it is for. On trial, `false` brings the previous release back, and
/// this one is never taken again: test what the image is responsible for, not the weather.
fn self_test() -> bool {
    true
}

#[esp_hal::main]
fn main() -> ! {
    let board = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    let flash = Flash::new(board.FLASH);
    let mut watchdog = Watchdog::armed(board.RTC_TIMER);
    match start(&flash) {
        Ok(mut agent) => judge(&mut agent, &mut watchdog),
        // No trial is armed, so there is nothing to fall back to by a reset: your firmware runs on,
        // and cannot update itself.
        Err(fault) => {
            println!("updates: {fault}: none until that is mended");
            watchdog.disarm();
        }
    }

    loop {
        // Your firmware goes here.
        Delay::new().delay_millis(1000);
    }
}

type Updates<'a> = Agent<'a, &'a Flash, NvsStore<&'a Flash>>;

/// Finds out what this boot is, before heap, radio and all that could fail: from here on any reset
/// of an image on trial brings the previous one back.
fn start<'a>(mut flash: &'a Flash) -> Result<Updates<'a>, Fault> {
    if platform::has_flash_encryption() {
        return Err(Fault::Encrypted);
    }
    let partitions = platform::partitions(flash)?;
    let boot = trial::start(&mut flash, &partitions.layout, partitions.running)?;
    open(flash, partitions, boot).map_err(|fault| match boot {
        Boot::Trial(_) => platform::stop(&fault),
        Boot::Settled | Boot::LastResort => fault,
    })
}

/// Opens the agent's memory.
fn open(flash: &Flash, partitions: Partitions, boot: Boot) -> Result<Updates<'_>, Fault> {
    let Partitions { layout, nvs, running } = partitions;
    let (version, slot) = (env!("CARGO_PKG_VERSION"), platform::slot_name(running));
    println!("{} {version} runs from {slot}", ota_config::PRODUCT);
    println!(
        "updates: channel {} of {}, {} pinned roots",
        ota_config::CHANNEL,
        ota_config::URL.unwrap_or("no server yet"),
        roots::ROOTS.len()
    );

    esp_alloc::heap_allocator!(size: 96 * 1024);
    let store = NvsStore::open(flash, nvs.ok_or(Fault::Missing("nvs"))?)?;
    let identity = Identity {
        product: ota_config::PRODUCT.into(),
        channel: ota_config::CHANNEL.into(),
        chip: ota_config::CHIP.into(),
        device_id: platform::device_id(),
        version: version.parse()?,
    };
    let settings = Settings {
        identity,
        chip_id: ota_config::CHIP_ID,
        chip_revision: platform::chip_revision(),
        reset_reason: platform::reset_reason(),
        embedded_root: include_bytes!("../trust/root.json"),
        build_time: platform::BUILD_TIME,
        agent: option_env!("ESP_OTA_AGENT"), // `cargo esp-ota build` says so
        caps: Caps::default(),
        has_flash_encryption: false,
    };
    Ok(Agent::new(flash, store, layout, running, boot, settings))
}

/// Looks back at the last update, then ends the trial of this image, if it is on one. Without a
/// network the self-test alone decides. With one, wait until `agent.reach` has found the update
/// server, and go on trying until the watchdog ends the trial: that is not held against the image.
fn judge(agent: &mut Updates<'_>, watchdog: &mut Watchdog) {
    if let Err(error) = agent.look_back(&mut |event| println!("updates: {event:?}")) {
        println!("updates: {error}");
    }
    println!("updates: this image is {}", agent.boot());
    if !matches!(agent.boot(), Boot::Trial(_)) {
        watchdog.disarm();
    }
    let is_good = self_test();
    let verdict = if is_good { agent.confirm() } else { agent.reject() };
    if let Err(error) = verdict {
        println!("updates: {error}");
    }
    match (is_good, agent.boot()) {
        (true, Boot::Settled) => watchdog.disarm(),
        // Not confirmed after all: on trial, the watchdog ends it.
        (true, Boot::Trial(_) | Boot::LastResort) => {}
        (false, Boot::Trial(_)) => platform::restart("the self-test failed on trial"),
        (false, Boot::Settled | Boot::LastResort) => {
            println!("the self-test failed, and there is nothing to fall back to");
        }
    }
}
