//! Updates: the trial of this image before anything else, then the way to the update server.
//!
//! [`start`] comes first in `main`, [`open`] when there is a heap, [`run`] when there is a network.

mod connection;
#[cfg(feature = "tls-clock")]
mod sntp;

use alloc::string::ToString;
use embassy_net::Stack;
use embassy_time::{Duration, Timer, with_timeout};
use esp_hal::peripherals::{FLASH, RTC_TIMER};
use esp_hal::rng::Rng;
use esp_println::println;
use static_cell::StaticCell;

use crate::ota::agent::{Agent, Error, Event, Outcome, Settings};
use crate::ota::history::Network;
use crate::ota::nvs_store::NvsStore;
use crate::ota::ports::TransportError;
use crate::ota::release::Identity;
use crate::ota::reset::ResetReason;
use crate::ota::settings::{self, Wifi};
use crate::ota::trial::{self, Boot};
use crate::ota::tuf::Caps;
use crate::ota::url::Url;
use crate::platform::{self, Fault, Flash, Partitions, Watchdog};
use crate::{ota_config, roots, tls};
use connection::Connections;

/// Between two tries to reach the server during a trial, which has five minutes.
const TRIAL_PAUSE: Duration = Duration::from_secs(10);
/// How long an address may take to come before it counts as missing.
const NETWORK_WAIT: Duration = Duration::from_secs(15);
/// Looks at the table and at `otadata` before they count as unreadable.
const LOOKS: u32 = 3;
/// How long a message needs to get out of the serial port.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Bytes of a download between two lines about it.
const PROGRESS_STEP: u32 = 128 * 1024;

/// What this boot is: decided before there is a heap.
pub struct Started {
    flash: &'static Flash,
    watchdog: Watchdog,
    found: Result<(Partitions, Boot), Fault>,
}

/// The agent of this device, and what it was told of its network.
pub struct Updates {
    /// The network that this device was given.
    pub wifi: Option<Wifi>,
    device: Option<Device>,
}

struct Device {
    agent: Agent<'static, &'static Flash, NvsStore<&'static Flash>>,
    watchdog: Watchdog,
    url: Option<Url>,
    poll: Duration,
}

/// Finds out what this boot is, and arms the trial of an image that nobody has confirmed: from here
/// on any reset brings the previous one back. Call it first thing after `esp_hal::init`.
pub fn start(flash: FLASH<'static>, timer: RTC_TIMER<'static>) -> Started {
    static SHARED: StaticCell<Flash> = StaticCell::new();
    // Before the first look at flash, which could hang, too.
    let watchdog = Watchdog::armed(timer);
    let flash: &'static Flash = SHARED.init(Flash::new(flash));
    let mut found = find(flash);
    for _ in 1..LOOKS {
        if found.is_err() {
            found = find(flash);
        }
    }
    Started { flash, watchdog, found }
}

fn find(mut flash: &Flash) -> Result<(Partitions, Boot), Fault> {
    if platform::has_flash_encryption() {
        return Err(Fault::Encrypted);
    }
    let partitions = platform::partitions(flash)?;
    let boot = trial::start(&mut flash, &partitions.layout, partitions.running)?;
    Ok((partitions, boot))
}

/// Opens the agent's memory and reads the settings of this device. Needs a heap.
///
/// Where that cannot be done, an image on trial restarts into the previous one. Any other starts once
/// more, and then runs on without updates and without what `nvs` says of the network.
pub fn open(started: Started) -> Updates {
    let Started { flash, mut watchdog, found } = started;
    let fault = match found {
        Ok((partitions, boot)) => match device(flash, partitions, boot) {
            Ok((agent, settings)) => {
                // Only a trial has a deadline. Whatever else runs must never be reset by it.
                if !matches!(agent.boot(), Boot::Trial(_)) {
                    watchdog.disarm();
                }
                let settings::Settings { wifi, url, poll_seconds, .. } = settings;
                let poll = Duration::from_secs(poll_seconds.into());
                let url = url.or_else(built_in_url);
                return Updates { wifi, device: Some(Device { agent, watchdog, url, poll }) };
            }
            Err(fault) if matches!(boot, Boot::Trial(_)) => platform::stop(&fault),
            Err(fault) => fault,
        },
        Err(fault) => fault,
    };
    // Perhaps another start helps, once: a bootloader with rollback then leaves an image that nobody
    // could put on trial.
    if !matches!(fault, Fault::Encrypted) && platform::reset_reason() != ResetReason::Software {
        platform::stop(&fault);
    }
    println!("updates: {fault}: none until that is mended");
    watchdog.disarm();
    Updates { wifi: None, device: None }
}

fn built_in_url() -> Option<Url> {
    // What is written there was read by the same rules on the host.
    ota_config::URL.and_then(|url| Url::parse(url).ok())
}

type Memory = NvsStore<&'static Flash>;

fn device(
    flash: &'static Flash,
    partitions: Partitions,
    boot: Boot,
) -> Result<(Agent<'static, &'static Flash, Memory>, settings::Settings), Fault> {
    let Partitions { layout, nvs, running } = partitions;
    let mut store = NvsStore::open(flash, nvs.ok_or(Fault::Missing("nvs"))?)?;
    let settings = settings::Settings::read(&mut store);
    for problem in &settings.problems {
        println!("settings: {problem}");
    }
    let channel = settings.channel.clone().unwrap_or_else(|| ota_config::CHANNEL.to_string());
    let identity = Identity {
        product: ota_config::PRODUCT.into(),
        channel,
        chip: ota_config::CHIP.into(),
        device_id: platform::device_id(),
        version: env!("CARGO_PKG_VERSION").parse()?,
    };
    let facts = Settings {
        identity,
        chip_id: ota_config::CHIP_ID,
        chip_revision: platform::chip_revision(),
        reset_reason: platform::reset_reason(),
        embedded_root: include_bytes!("../../trust/root.json"),
        build_time: platform::BUILD_TIME,
        agent: option_env!("ESP_OTA_AGENT"), // `cargo esp-ota build` says so
        caps: Caps::default(),
        has_flash_encryption: false,
    };
    let mut agent = Agent::new(flash, store, layout, running, boot, facts);
    // Not the version it was compiled as: that of a release that brings back an older one is newer.
    let (version, slot) = (agent.version(), platform::slot_name(running));
    println!("{} {version} runs from {slot}", ota_config::PRODUCT);
    // Before the radio: this may find that the boot is a trial after all.
    if let Err(error) = agent.look_back(&mut narrator()) {
        println!("updates: {error}");
    }
    println!("updates: this image is {}", agent.boot());
    Ok((agent, settings))
}

/// Ends the trial of this image, then looks for the next release, again and again.
///
/// Confirmed is an image that has a network, has reached the update server over authenticated TLS,
/// and passed its own `self_test`: it can be updated again, then.
#[embassy_executor::task]
pub async fn run(updates: Updates, stack: Stack<'static>, self_test: fn() -> bool) {
    let Updates { wifi, device: Some(mut device) } = updates else { return };
    let connections = match tls::Client::new(roots::ROOTS) {
        Ok(tls) => Connections::new(stack, tls),
        // Without a way to the server no trial can end well: the watchdog ends it.
        Err(fault) => return println!("updates: {fault}"),
    };
    let Some(url) = device.url.take() else {
        return println!("updates: there is no update server: set `url` in `esp-ota.toml`");
    };
    if let Some(wifi) = wifi {
        println!("updates: network `{}`", wifi.ssid());
    }
    println!("updates: channel {} of {url}", device.agent.channel());
    // A trial has been to the server when it ends, and a last resort has no time to lose.
    let is_settled = device.agent.boot() == Boot::Settled;
    while matches!(device.agent.boot(), Boot::Trial(_)) {
        if let Err(error) = device.judge(&connections, &url, self_test).await {
            println!("updates: not confirmed yet: {error}");
            Timer::after(TRIAL_PAUSE).await;
        }
    }
    // Also where the image was confirmed, and not all of that could be written down.
    device.watchdog.disarm();
    if is_settled {
        connections.wait_for_network().await;
        connections.network_time().await;
        device.report(&connections).await;
        let pause = first_poll(&platform::device_id(), device.poll);
        println!("updates: the first look for a release is in {} s", pause.as_secs());
        Timer::after(pause).await;
    }
    loop {
        connections.wait_for_network().await;
        // A last resort settles when it can. Until then it looks for a release like any other.
        if device.agent.boot() == Boot::LastResort
            && let Err(error) = device.judge(&connections, &url, self_test).await
        {
            println!("updates: not settled yet: {error}");
        }
        let now = connections.network_time().await;
        device.report(&connections).await;
        device.poll(&connections, &url, now).await;
        Timer::after(spread(device.poll)).await;
    }
}

impl Device {
    /// One try to confirm this image.
    async fn judge(
        &mut self,
        connections: &Connections,
        url: &Url,
        self_test: fn() -> bool,
    ) -> Result<(), Error> {
        // Just after the start an address is on its way, and nothing is to be noted yet.
        if with_timeout(NETWORK_WAIT, connections.wait_for_network()).await.is_err() {
            self.agent.note_network(Network::Away)?;
            return Err(Error::Metadata(TransportError::Unreachable.into()));
        }
        let now = connections.network_time().await;
        // Without a time no certificate is valid, and the image is not to blame for that.
        if cfg!(feature = "tls-clock") && now.is_none() {
            self.agent.note_network(Network::Away)?;
            return Err(Error::Metadata(TransportError::Unreachable.into()));
        }
        self.agent.reach(&mut connections.client(url)).await?;
        if self_test() {
            self.agent.confirm()?;
            println!("updates: confirmed");
            return Ok(());
        }
        let noted = self.agent.reject();
        if matches!(self.agent.boot(), Boot::Trial(_)) {
            // Whether or not that could be written down: an image that said no is not asked again.
            platform::restart("the self-test failed on trial");
        }
        println!("updates: the self-test failed, and there is nothing to fall back to");
        noted
    }

    /// Posts what waits to be told, where somebody wants to hear it.
    async fn report(&mut self, connections: &Connections) {
        let Some(url) = ota_config::REPORT_URL.and_then(|url| Url::parse(url).ok()) else { return };
        match self.agent.deliver(&mut connections.client(&url)).await {
            Ok(delivery) if delivery.trouble.is_some() => {
                println!("updates: {} reports wait: {:?}", delivery.left, delivery.trouble);
            }
            Ok(_) => {}
            Err(error) => println!("updates: {error}"),
        }
    }

    /// Looks for a release, and restarts into it.
    async fn poll(&mut self, connections: &Connections, url: &Url, now: Option<u64>) {
        match self.agent.poll(&mut connections.client(url), now, &mut narrator()).await {
            Ok(Outcome::UpToDate) => println!("updates: up to date"),
            Ok(Outcome::Waiting) => println!("updates: a pause before the next try"),
            Ok(Outcome::Installed) => {
                Timer::after(LAST_WORDS).await;
                platform::restart("a new release is installed");
            }
            Err(error) => println!("updates: {error}"),
        }
    }
}

/// Writes a line for each event, but for a download one every 128 KB.
fn narrator() -> impl FnMut(Event) {
    let mut next = PROGRESS_STEP;
    move |event| {
        if let Event::Progress { received } = event {
            if received < next {
                return;
            }
            next = received.saturating_add(PROGRESS_STEP);
        }
        println!("updates: {event}");
    }
}

/// When a device looks for a release after its start: each at its own place in the period, so that a
/// fleet that gets its power back does not come all at once. An emulated board is alone.
fn first_poll(device_id: &str, period: Duration) -> Duration {
    if cfg!(feature = "emulator") {
        return Duration::from_secs(0);
    }
    // FNV-1a: devices whose addresses follow each other are far apart.
    let hash = device_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Duration::from_millis(hash % period.as_millis().max(1))
}

/// Up to a tenth more or less, so that devices that started together do not go on polling together.
fn spread(period: Duration) -> Duration {
    let tenth = period.as_millis() / 10;
    let random = u64::from(Rng::new().random()) % (2 * tenth + 1);
    Duration::from_millis(period.as_millis() - tenth + random)
}
