//! Wi-Fi as a station: joins the network that the device was given, and joins it again.

use embassy_executor::Spawner;
use embassy_time::{Duration, Timer, with_timeout};
use esp_hal::peripherals::WIFI;
use esp_println::println;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ControllerConfig, WifiController, WifiError,
};

use crate::ota::settings::Wifi;

/// Between two tries to join.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for the network to say whether this device may join.
const LONGEST_JOIN: Duration = Duration::from_secs(60);
/// How often somebody looks whether the network is still there.
const LOOK: Duration = Duration::from_secs(30);

/// Joins `network` and stays in it. Without one this says so, and the device waits: its settings in
/// NVS are written over the cable, as README.md has it.
pub fn start(spawner: Spawner, radio: WIFI<'static>, network: Option<&Wifi>) {
    let Some(network) = network else {
        println!(
            "wifi: this device was given no network: README.md says how to write one into `nvs`"
        );
        return;
    };
    match controller(radio, network) {
        Ok(controller) => spawner.spawn(stay(controller).expect("it is started once")),
        Err(error) => println!("wifi: {error:?}"),
    }
}

fn controller(radio: WIFI<'static>, network: &Wifi) -> Result<WifiController<'static>, WifiError> {
    let authentication = match network.psk() {
        Some(psk) => AuthenticationMethodConfig::Wpa2Personal(psk.reveal().try_into()?),
        None => AuthenticationMethodConfig::Open,
    };
    let station = StationConfig::default()
        .with_ssid(network.ssid().try_into()?)
        .with_authentication(authentication);
    let config = ControllerConfig::default().with_initial_config(Config::Station(station));
    WifiController::new(radio, config)
}

#[embassy_executor::task]
async fn stay(mut controller: WifiController<'static>) -> ! {
    loop {
        // esp-radio drops events when nobody fetches them in time, while flash is erased for one. So
        // every wait for an event has an end. The next begins with a look at the state itself, and
        // is over at once where there is no network.
        match with_timeout(LONGEST_JOIN, controller.connect_async()).await {
            Ok(Ok(_)) => println!("wifi: connected"),
            Ok(Err(error)) => println!("wifi: {error:?}"),
            Err(_) => println!("wifi: no word from the network"),
        }
        while with_timeout(LOOK, controller.wait_for_disconnect_async()).await.is_err() {}
        println!("wifi: not connected");
        Timer::after(PAUSE).await;
    }
}
