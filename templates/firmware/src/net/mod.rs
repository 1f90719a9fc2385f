//! The network: an interface, an address by DHCP, and the tasks that keep both alive.

#[cfg(feature = "wifi")]
mod station;

use embassy_executor::Spawner;
use embassy_net::{Config, Runner, Stack, StackResources};
use esp_hal::rng::Rng;
use static_cell::StaticCell;

/// One for DHCP, one for DNS, one for the update server, one for SNTP, and two to spare for you.
const SOCKETS: usize = 6;

#[cfg(feature = "emulator")]
use crate::platform::emulator::OpenEth as Interface;
#[cfg(feature = "wifi")]
use esp_radio::wifi::Interface;

/// Starts Wi-Fi, if this device knows a network. The stack has no address before it is connected.
#[cfg(feature = "wifi")]
pub fn start(
    spawner: Spawner,
    radio: esp_hal::peripherals::WIFI<'static>,
    network: Option<&crate::ota::settings::Wifi>,
) -> Stack<'static> {
    station::start(spawner, radio, network);
    stack(spawner, Interface::station())
}

/// Starts the Ethernet of an emulated board.
#[cfg(feature = "emulator")]
pub fn start(
    spawner: Spawner,
    rng: esp_hal::peripherals::RNG<'static>,
    noise: esp_hal::peripherals::ADC1<'static>,
) -> Stack<'static> {
    // Without a radio, the random numbers need another source of noise, for as long as they are used.
    static NOISE: StaticCell<esp_hal::rng::TrngSource<'static>> = StaticCell::new();
    NOISE.init(esp_hal::rng::TrngSource::new(rng, noise));
    stack(spawner, Interface::new(crate::platform::mac_address()))
}

fn stack(spawner: Spawner, interface: Interface) -> Stack<'static> {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let rng = Rng::new();
    let seed = u64::from(rng.random()) << 32 | u64::from(rng.random());
    let config = Config::dhcpv4(Default::default());
    let (stack, runner) =
        embassy_net::new(interface, config, RESOURCES.init(StackResources::new()), seed);
    spawner.spawn(run(runner).expect("it is started once"));
    stack
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, Interface>) -> ! {
    runner.run().await
}
