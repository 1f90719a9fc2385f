//! What a line means.

use std::fmt;

use serde::Serialize;

/// Something that a device said of its start, its updates or its end. JSON has it as `event`, with the
/// variant as `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event {
    /// The ROM starts, and says why.
    Reset {
        /// Such as `POWERON` or `RTC_SW_SYS_RST`.
        reason: String,
        /// What it starts: `SPI_FAST_FLASH_BOOT`, or a loader.
        mode: String,
    },
    /// The ROM waits for a host that flashes it.
    Download,
    /// The bootloader starts an app.
    Boots {
        /// Where the app is in flash.
        offset: u32,
        /// The partition there, where the bootloader has listed it.
        slot: Option<String>,
    },
    /// The ROM or the bootloader found something wrong.
    BootTrouble {
        /// In its words.
        reason: String,
    },
    /// The firmware says what it is.
    Runs {
        /// Its product.
        product: String,
        /// Its version.
        version: String,
        /// The slot it runs from.
        slot: String,
    },
    /// The image is on trial, and has to confirm itself.
    OnTrial {
        /// Whether the bootloader waits for that as well.
        bootloader_rollback: bool,
    },
    /// The image is settled: there is nothing to confirm.
    Settled,
    /// The image runs although nothing selects it.
    LastResort,
    /// The image has confirmed itself.
    Confirmed,
    /// It could not, and tries again.
    NotConfirmed {
        /// Why.
        reason: String,
    },
    /// A last resort could not settle, and tries again.
    NotSettled {
        /// Why.
        reason: String,
    },
    /// A release was tried, and this older one runs again.
    FellBack {
        /// The release that was tried.
        version: String,
    },
    /// The image's own test said no, and it is settled: it stays.
    SelfTestFailed,
    /// The device restarts on purpose.
    Restarts {
        /// Why.
        reason: String,
    },
    /// The metadata passed every check.
    Verified {
        /// Version of the TUF root in force.
        root: u64,
        /// Where the time came from.
        clock: String,
    },
    /// A newer release is there.
    Found {
        /// Its version.
        version: String,
        /// Its bytes.
        size: u32,
    },
    /// A part of it is there.
    Progress {
        /// Bytes so far.
        received: u32,
        /// Bytes of the release, where they were said before.
        size: Option<u32>,
    },
    /// The release is in its slot, and starts at the next reset.
    Installed {
        /// Its version.
        version: String,
        /// Its slot.
        slot: String,
    },
    /// There is nothing newer.
    UpToDate,
    /// There is something newer that came to nothing before: a pause before the next try.
    Waiting,
    /// When the first look for a release comes.
    FirstLook {
        /// In so many seconds.
        seconds: u64,
    },
    /// Where releases come from.
    Channel {
        /// The channel.
        channel: String,
        /// The server.
        url: String,
    },
    /// Reports that nobody has taken.
    ReportsWait {
        /// How many.
        count: u32,
        /// Why, as the firmware writes it.
        reason: String,
    },
    /// A setting that cannot be used.
    Setting {
        /// Which, and why.
        problem: String,
    },
    /// There will be no updates until something is mended.
    NoUpdates {
        /// Why.
        reason: String,
    },
    /// Something came to nothing, most often an update, and the device goes on as it is.
    Trouble {
        /// Why.
        reason: String,
    },
    /// The network comes, goes, or does not come.
    Network {
        /// In the firmware's words.
        state: String,
    },
    /// TLS or the clock say why a connection fails.
    Connection {
        /// In the firmware's words.
        reason: String,
    },
    /// The program ended by itself: a panic, an exception, a watchdog.
    Crash {
        /// Where, or why.
        reason: String,
    },
}

/// How an event is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// A step that went well.
    Good,
    /// For information.
    Plain,
    /// Worth a look.
    Warning,
    /// Bad news.
    Bad,
}

impl Event {
    /// Whether it is good news.
    pub fn mood(&self) -> Mood {
        match self {
            Self::Settled | Self::Confirmed | Self::Installed { .. } | Self::UpToDate => Mood::Good,
            Self::Reset { .. }
            | Self::Boots { .. }
            | Self::Runs { .. }
            | Self::OnTrial { .. }
            | Self::Restarts { .. }
            | Self::Verified { .. }
            | Self::Found { .. }
            | Self::Progress { .. }
            | Self::Waiting
            | Self::FirstLook { .. }
            | Self::Channel { .. }
            | Self::Network { .. } => Mood::Plain,
            Self::Download
            | Self::LastResort
            | Self::NotConfirmed { .. }
            | Self::NotSettled { .. }
            | Self::ReportsWait { .. }
            | Self::Setting { .. }
            | Self::Trouble { .. }
            | Self::Connection { .. } => Mood::Warning,
            Self::BootTrouble { .. }
            | Self::FellBack { .. }
            | Self::SelfTestFailed
            | Self::NoUpdates { .. }
            | Self::Crash { .. } => Mood::Bad,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset { reason, mode } => write!(f, "reset: {reason}, starts by {mode}"),
            Self::Download => f.write_str("waits in its serial loader"),
            Self::Boots { offset, slot: None } => write!(f, "boots the app at {offset:#x}"),
            Self::Boots { offset, slot: Some(slot) } => write!(f, "boots {slot} at {offset:#x}"),
            Self::BootTrouble { reason } => write!(f, "boot trouble: {reason}"),
            Self::Runs { product, version, slot } => write!(f, "{product} {version} in {slot}"),
            Self::OnTrial { bootloader_rollback: false } => {
                f.write_str("on trial: any reset before it confirms itself falls back")
            }
            Self::OnTrial { bootloader_rollback: true } => f.write_str(
                "on trial, by the bootloader too: any reset before it confirms itself falls back",
            ),
            Self::Settled => f.write_str("settled: nothing to confirm"),
            Self::LastResort => f.write_str("last resort: runs although nothing selects it"),
            Self::Confirmed => f.write_str("confirmed: this image stays"),
            Self::NotConfirmed { reason } => write!(f, "not confirmed yet: {reason}"),
            Self::NotSettled { reason } => write!(f, "not settled yet: {reason}"),
            Self::FellBack { version } => write!(f, "fell back: {version} did not prove itself"),
            Self::SelfTestFailed => f.write_str("self-test failed, with nothing to fall back to"),
            Self::Restarts { reason } => write!(f, "restarts: {reason}"),
            Self::Verified { root, clock } => {
                write!(f, "metadata verified by root {root}, time by {clock}")
            }
            Self::Found { version, size } => write!(f, "downloads {version}, {size} bytes"),
            Self::Progress { received, size: None } => write!(f, "{received} bytes"),
            Self::Progress { received, size: Some(size) } => {
                write!(f, "{received} of {size} bytes")
            }
            Self::Installed { version, slot } => {
                write!(f, "installed {version} in {slot}: starts at the next reset")
            }
            Self::UpToDate => f.write_str("up to date"),
            Self::Waiting => f.write_str("pauses before the next try"),
            Self::FirstLook { seconds } => write!(f, "looks for a release in {seconds} s"),
            Self::Channel { channel, url } => write!(f, "channel {channel} of {url}"),
            Self::ReportsWait { count, reason } => write!(f, "{count} reports wait: {reason}"),
            Self::Setting { problem } => write!(f, "setting: {problem}"),
            Self::NoUpdates { reason } => write!(f, "no updates: {reason}"),
            Self::Trouble { reason } => write!(f, "trouble: {reason}"),
            Self::Network { state } => write!(f, "network: {state}"),
            Self::Connection { reason } => write!(f, "connection: {reason}"),
            Self::Crash { reason } => write!(f, "crash: {reason}"),
        }
    }
}
