//! The settings that a cable install writes for one device, judged by the agent's own rules.

use super::inventory::Value;
use crate::agent::settings::{LONGEST_POLL, Problem, SHORTEST_POLL, Settings, Wifi, is_channel};
use crate::agent::url::Url;

/// Namespace of the settings.
pub(super) const NAMESPACE: &str = "esp_ota";
/// Name of the passphrase.
pub(super) const WIFI_PSK: &str = "wifi_psk";

/// Settings for one device. What is not given stays as it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    wifi: Option<Wifi>,
    url: Option<Url>,
    channel: Option<String>,
    poll_seconds: Option<u32>,
}

/// A value to be written.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Setting {
    Text(String),
    Number(u32),
}

impl Given {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The network to join: with its passphrase or key, or an open one.
    pub fn wifi(&mut self, ssid: String, psk: Option<String>) -> Result<(), Problem> {
        self.wifi = Some(Wifi::new(ssid, psk)?);
        Ok(())
    }

    /// The repository, instead of the one that the image was built for.
    pub fn url(&mut self, text: &str) -> Result<(), Problem> {
        let url = Url::parse(text).and_then(|url| Url::parse(&url.to_string()));
        self.url = Some(url.map_err(Problem::Url)?);
        Ok(())
    }

    /// The channel, instead of the one that the image was built for.
    pub fn channel(&mut self, name: &str) -> Result<(), Problem> {
        self.channel =
            Some(Some(name).filter(|name| is_channel(name)).ok_or(Problem::Channel)?.into());
        Ok(())
    }

    /// Seconds between two polls.
    pub fn poll_seconds(&mut self, seconds: u32) -> Result<(), Problem> {
        let is_in_range = (SHORTEST_POLL..=LONGEST_POLL).contains(&seconds);
        self.poll_seconds =
            Some(Some(seconds).filter(|_| is_in_range).ok_or(Problem::Poll(seconds))?);
        Ok(())
    }

    /// Names of what is given, for a report. A passphrase has a name and no value there.
    pub fn names(&self) -> Vec<&'static str> {
        self.to_write().into_iter().map(|(name, _)| name).collect()
    }

    /// What has to be there in the end.
    pub(super) fn to_write(&self) -> Vec<(&'static str, Setting)> {
        let text = |text: &str| Setting::Text(text.to_owned());
        let wifi = self.wifi.as_ref();
        let psk = wifi.and_then(|wifi| wifi.psk());
        [
            ("wifi_ssid", wifi.map(|wifi| text(wifi.ssid()))),
            (WIFI_PSK, psk.map(|psk| text(psk.reveal()))),
            ("url", self.url.as_ref().map(|url| text(&url.to_string()))),
            ("channel", self.channel.as_deref().map(text)),
            ("poll_s", self.poll_seconds.map(Setting::Number)),
        ]
        .into_iter()
        .filter_map(|(name, setting)| Some((name, setting?)))
        .collect()
    }

    /// What has to be gone in the end.
    pub(super) fn to_remove(&self) -> Option<&'static str> {
        self.is_open().then_some(WIFI_PSK)
    }

    /// Whether a network is given.
    pub(super) fn has_wifi(&self) -> bool {
        self.wifi.is_some()
    }

    /// Whether an open network is given.
    pub(super) fn is_open(&self) -> bool {
        self.wifi.as_ref().is_some_and(|wifi| wifi.psk().is_none())
    }

    /// Whether a device with these settings does what is given.
    pub(super) fn is_used_in(&self, settings: &Settings) -> bool {
        (self.wifi.is_none() || self.wifi == settings.wifi)
            && (self.url.is_none() || self.url == settings.url)
            && (self.channel.is_none() || self.channel == settings.channel)
            && self.poll_seconds.is_none_or(|seconds| seconds == settings.poll_seconds)
    }
}

impl Setting {
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::text(text),
            Self::Number(number) => Value::number(*number),
        }
    }
}
