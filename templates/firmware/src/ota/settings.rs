//! What the first flash over USB wrote into NVS for this one device: Wi-Fi, and what it overrides.
//!
//! Namespace `esp_ota`: `wifi_ssid`, `wifi_psk`, `url` and `channel` are strings, `poll_s` is a
//! `u32`. All may be missing. A value that cannot be used is none and a [`Problem`] to print:
//! nothing bad is taken for nothing, least of all a bad passphrase for an open network.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use embedded_storage::nor_flash::NorFlash;

use super::nvs_store::{NvsStore, Unread, WIFI_PSK};
use super::url::{Url, UrlError};

/// Longest SSID in bytes (IEEE 802.11, section 9.4.2.2).
pub const LONGEST_SSID: usize = 32;
/// Lengths of a passphrase (IEEE 802.11, section J.4). The key itself is 64 hexadecimal digits.
const PASSPHRASE: core::ops::RangeInclusive<usize> = 8..=63;
const KEY_DIGITS: usize = 64;
/// Longest name of a channel: that of `channel` in `esp-ota.toml`.
const LONGEST_CHANNEL: usize = 32;
/// Seconds between two polls, where nothing else is set.
pub const DEFAULT_POLL: u32 = 3600;
/// Less, and the chip does little but shake hands.
pub const SHORTEST_POLL: u32 = 10;
/// A week. More, and a device could sleep through an expiry (90 days) that `check` warned of.
pub const LONGEST_POLL: u32 = 7 * 24 * 3600;

/// The settings of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The network to join.
    pub wifi: Option<Wifi>,
    /// The repository, instead of the one that the image was built for.
    pub url: Option<Url>,
    /// The channel, instead of the one that the image was built for.
    pub channel: Option<String>,
    /// Seconds between two polls, from [`SHORTEST_POLL`] to [`LONGEST_POLL`].
    pub poll_seconds: u32,
    /// What could not be used.
    pub problems: Vec<Problem>,
}

/// A network to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wifi {
    ssid: String,
    psk: Option<Psk>,
}

/// A passphrase, or the key in hexadecimal. It is not shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Psk(String);

/// Why a setting is not used. It never holds the value, which may be a secret in the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The setting of this name could not be read from flash.
    Unreadable(&'static str),
    /// The setting of this name is there as something else than a text or a number, as it should be.
    Kind(&'static str),
    /// `wifi_ssid` is no SSID.
    Ssid,
    /// `wifi_psk` is neither a passphrase nor a key.
    Psk,
    /// There is a `wifi_psk`, and no `wifi_ssid`.
    PskAlone,
    /// There is a trace of a `wifi_psk`, and none that can be read.
    PskLost,
    /// `url` is no URL that a device may use.
    Url(UrlError),
    /// `channel` is no name.
    Channel,
    /// `poll_s` is out of range.
    Poll(u32),
}

impl Settings {
    /// Reads all settings.
    pub fn read<F: NorFlash>(store: &mut NvsStore<F>) -> Self {
        let mut problems = Vec::new();
        let wifi = used(wifi(store), &mut problems);
        let url = used(url(store), &mut problems);
        let channel = used(channel(store), &mut problems);
        let asked = used(number(store, "poll_s"), &mut problems).unwrap_or(DEFAULT_POLL);
        let poll_seconds = asked.clamp(SHORTEST_POLL, LONGEST_POLL);
        if poll_seconds != asked {
            problems.push(Problem::Poll(asked));
        }
        Self { wifi, url, channel, poll_seconds, problems }
    }
}

impl Wifi {
    /// A network with the key it is under, or an open one.
    ///
    /// # Errors
    ///
    /// [`Problem::Ssid`] and [`Problem::Psk`].
    pub fn new(ssid: String, psk: Option<String>) -> Result<Self, Problem> {
        // A driver written in C would take the part before a zero byte for the whole.
        if !(1..=LONGEST_SSID).contains(&ssid.len()) || ssid.contains('\0') {
            return Err(Problem::Ssid);
        }
        Ok(Self { ssid, psk: psk.map(Psk::new).transpose()? })
    }

    /// Name of the network.
    #[must_use]
    pub fn ssid(&self) -> &str {
        &self.ssid
    }

    /// `None` for an open network.
    #[must_use]
    pub fn psk(&self) -> Option<&Psk> {
        self.psk.as_ref()
    }
}

impl Psk {
    fn new(text: String) -> Result<Self, Problem> {
        let is_passphrase = PASSPHRASE.contains(&text.len())
            && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let is_key = text.len() == KEY_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_passphrase || is_key { Ok(Self(text)) } else { Err(Problem::Psk) }
    }

    /// The secret.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(…)")
    }
}

impl Problem {
    fn unread(key: &'static str, why: Unread) -> Self {
        match why {
            Unread::Flash => Self::Unreadable(key),
            Unread::Kind => Self::Kind(key),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(key) => write!(f, "`{key}` could not be read from flash"),
            Self::Kind("poll_s") => f.write_str("`poll_s` is no `u32`"),
            Self::Kind(key) => write!(f, "`{key}` is no text"),
            Self::Ssid => write!(f, "`wifi_ssid` is not of 1 to {LONGEST_SSID} bytes"),
            Self::Psk => f.write_str(
                "`wifi_psk` is neither 8 to 63 characters of ASCII nor 64 hexadecimal digits",
            ),
            Self::PskAlone => f.write_str("there is a `wifi_psk` and no `wifi_ssid`"),
            Self::PskLost => f.write_str(
                "`wifi_psk` is damaged or was taken out, and its network is not joined without it: \
                 erase `nvs` and write the settings anew",
            ),
            Self::Url(error) => write!(f, "`url` cannot be used: {error}"),
            Self::Channel => write!(
                f,
                "`channel` is no name of lower-case letters, digits, `-` and `_`, {LONGEST_CHANNEL} \
                 at most"
            ),
            Self::Poll(asked) => write!(
                f,
                "`poll_s` is {asked}, and has to be from {SHORTEST_POLL} to {LONGEST_POLL}"
            ),
        }
    }
}

impl core::error::Error for Problem {}

/// What was read, or nothing and a problem.
fn used<T>(read: Result<Option<T>, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    read.unwrap_or_else(|problem| {
        problems.push(problem);
        None
    })
}

fn wifi<F: NorFlash>(store: &mut NvsStore<F>) -> Result<Option<Wifi>, Problem> {
    let psk = text(store, WIFI_PSK)?;
    if psk.is_none() && store.has_trace_of_psk() {
        // An open network of the same name may be anybody's.
        return Err(Problem::PskLost);
    }
    match text(store, "wifi_ssid")? {
        Some(ssid) => Wifi::new(ssid, psk).map(Some),
        None if psk.is_some() => Err(Problem::PskAlone),
        None => Ok(None),
    }
}

fn url<F: NorFlash>(store: &mut NvsStore<F>) -> Result<Option<Url>, Problem> {
    text(store, "url")?.map(|text| Url::parse(&text)).transpose().map_err(Problem::Url)
}

fn channel<F: NorFlash>(store: &mut NvsStore<F>) -> Result<Option<String>, Problem> {
    let channel = text(store, "channel")?;
    let is_name = channel.as_deref().is_none_or(is_channel);
    if is_name { Ok(channel) } else { Err(Problem::Channel) }
}

/// Whether a channel can have this name: as `channel` in `esp-ota.toml`.
#[must_use]
pub fn is_channel(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= LONGEST_CHANNEL
        && name.bytes().next().is_some_and(is_plain)
        && name.bytes().all(|byte| is_plain(byte) || byte == b'-' || byte == b'_')
}

fn text<F: NorFlash>(
    store: &mut NvsStore<F>,
    key: &'static str,
) -> Result<Option<String>, Problem> {
    store.text_setting(key).map_err(|why| Problem::unread(key, why))
}

fn number<F: NorFlash>(store: &mut NvsStore<F>, key: &'static str) -> Result<Option<u32>, Problem> {
    store.number_setting(key).map_err(|why| Problem::unread(key, why))
}
