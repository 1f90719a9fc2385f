//! From what was written to what holds: each setting from its strongest source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::raw::{Placed, Raw};
use super::{ConfigError, Name, Overrides, Project};
use crate::agent::url::Url;
use crate::flash_size::FlashSize;

/// Where a setting came from, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A command-line option.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// `esp-ota.toml`.
    File,
    /// Nothing was said.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Environment(name) => write!(f, "`{name}`"),
            Self::File => write!(f, "`{}`", super::FILE),
            Self::Default => write!(f, "the default"),
        }
    }
}

/// A value that knows who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value in force.
    pub value: T,
    /// Who set it.
    pub origin: Origin,
}

/// The sources above the file.
pub(super) struct Layers<'a> {
    pub(super) overrides: &'a Overrides,
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Layers<'_> {
    /// Flag, then environment, then file.
    fn pick<T: FromStr<Err: fmt::Display>>(
        &self,
        flag: (&'static str, Option<T>),
        variable: &'static str,
        file: Option<T>,
    ) -> Result<Option<Setting<T>>, ConfigError> {
        if let (name, Some(value)) = flag {
            return Ok(Some(Setting { value, origin: Origin::Flag(name) }));
        }
        if let Some(text) = (self.environment)(variable).filter(|text| !text.is_empty()) {
            let value = text.parse().map_err(|error: T::Err| ConfigError::Environment {
                variable,
                message: super::error::Text(error.to_string()),
            })?;
            return Ok(Some(Setting { value, origin: Origin::Environment(variable) }));
        }
        Ok(file.map(|value| Setting { value, origin: Origin::File }))
    }

    /// The same for a URL that devices are given: one that their own code takes.
    fn url(
        &self,
        key: &'static str,
        flag: (&'static str, Option<String>),
        variable: &'static str,
        file: Option<Placed>,
    ) -> Result<Option<Setting<String>>, ConfigError> {
        let (text, place) = file.map(|Placed { text, place }| (text, place)).unzip();
        let picked = self.pick(flag, variable, text)?;
        if let Some(Setting { value, origin }) = &picked
            && let Err(source) = Url::parse(value)
        {
            let place = place.filter(|_| *origin == Origin::File);
            let (url, origin) = (value.clone(), *origin);
            return Err(ConfigError::Url { key, url, origin, place, source });
        }
        Ok(picked)
    }
}

impl<T> Setting<T> {
    fn default(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }

    fn optional(setting: Option<Self>) -> Setting<Option<T>> {
        match setting {
            Some(Self { value, origin }) => Setting { value: Some(value), origin },
            None => Setting::default(None),
        }
    }
}

pub(super) fn resolve(
    file: PathBuf,
    raw: Raw,
    layers: &Layers<'_>,
) -> Result<Project, ConfigError> {
    let flags = layers.overrides.clone();
    let missing = |key| ConfigError::Missing { file: file.clone(), key };
    let list = |value: Option<Vec<PathBuf>>, or: &[&str]| match value {
        Some(value) => Setting { value, origin: Origin::File },
        None => Setting::default(or.iter().map(PathBuf::from).collect()),
    };
    let product = layers.pick(("", None), "ESP_OTA_PRODUCT", raw.product)?;
    let chip = layers.pick(("--chip", flags.chip), "ESP_OTA_CHIP", raw.chip)?;
    let flash_size =
        layers.pick(("--flash-size", flags.flash_size), "ESP_OTA_FLASH_SIZE", raw.flash_size)?;
    let partitions = layers.pick(
        ("--partitions", flags.partitions),
        "ESP_OTA_PARTITIONS",
        raw.partitions.file,
    )?;
    let url = layers.url("release.url", ("--url", flags.url), "ESP_OTA_URL", raw.release_url)?;
    let store = layers.pick(("--store", flags.store), "ESP_OTA_STORE", raw.release.store)?;
    let plain_channel = raw.release.channel.clone().unwrap_or_else(Name::stable);
    let channel =
        layers.pick(("--channel", flags.channel), "ESP_OTA_CHANNEL", raw.release.channel)?;
    let report = layers.url("report.url", ("", None), "ESP_OTA_REPORT_URL", raw.report_url)?;
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    Ok(Project {
        folder,
        product: product.ok_or_else(|| missing("product"))?,
        chip: chip.ok_or_else(|| missing("chip"))?,
        flash_size: flash_size.unwrap_or_else(|| Setting::default(FlashSize::DEFAULT)),
        partitions: partitions.unwrap_or_else(|| Setting::default("partitions.csv".into())),
        allow: match raw.partitions.allow {
            Some(value) => Setting { value, origin: Origin::File },
            None => Setting::default(Vec::new()),
        },
        roots: list(raw.trust.roots, &[]),
        embed: list(raw.trust.embed, &["src/roots.rs"]),
        url: Setting::optional(url),
        store: store.unwrap_or_else(|| Setting::default("dir:dist".into())),
        channel: channel.unwrap_or_else(|| Setting::default(Name::stable())),
        plain_channel,
        keep: match raw.release.keep {
            Some(keep) => Setting { value: Some(keep), origin: Origin::File },
            None => Setting::default(None),
        },
        report_url: Setting::optional(report),
        file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Chip;
    use crate::error::Explained;

    const FILE: &str = "product = \"a\"\nchip = \"esp32c3\"\n";

    fn load(
        text: &str,
        overrides: &Overrides,
        env: &[(&str, &str)],
    ) -> Result<Project, ConfigError> {
        let raw = super::super::raw::parse(Path::new("x/esp-ota.toml"), text)?;
        let environment = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        resolve("x/esp-ota.toml".into(), raw, &Layers { overrides, environment: &environment })
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let env = [("ESP_OTA_CHIP", "esp32c6")];
        let flag = Overrides { chip: Some(Chip::Esp32s3), ..Overrides::default() };
        let none = Overrides::default();
        let chip = |overrides, env| load(FILE, overrides, env).unwrap().chip;
        assert_eq!(
            chip(&flag, &env),
            Setting { value: Chip::Esp32s3, origin: Origin::Flag("--chip") }
        );
        assert_eq!(chip(&none, &env).origin, Origin::Environment("ESP_OTA_CHIP"));
        assert_eq!(chip(&none, &[]), Setting { value: Chip::Esp32c3, origin: Origin::File });
        let project = load(FILE, &none, &[]).unwrap();
        assert_eq!(project.flash_size.origin, Origin::Default);
        assert_eq!(project.channel.value.as_str(), "stable");
    }

    #[test]
    fn a_bad_environment_variable_is_named() {
        let error = load(FILE, &Overrides::default(), &[("ESP_OTA_CHIP", "pdp11")]).unwrap_err();
        assert_eq!(error.to_string(), "`ESP_OTA_CHIP` in the environment is wrong");
    }

    #[test]
    fn what_devices_would_not_take_is_refused_with_its_place_and_their_reason() {
        for (url, reason) in [
            ("http://a.example", "it does not begin with `https://`"),
            ("a.example", "it does not begin with `https://`"),
            ("https://", "its host is neither a name nor an IPv4 address"),
            ("https://[::1]/a", "its host is neither a name nor an IPv4 address"),
            ("https://a..example", "its host is neither a name nor an IPv4 address"),
            ("https://0x7f.1/", "its host is neither a name nor an IPv4 address"),
            ("https://a.example:/", "its port is no number from 1 to 65535"),
            ("https://a.example:70000/", "its port is no number from 1 to 65535"),
            ("https://u@a.example", "it holds credentials"),
            ("https://a.example/?q", "it has a query or a fragment"),
            (
                "https://a.example/a/../b",
                "its path has to be percent-encoded, without `.` and `..`",
            ),
            ("https://a.example/a%2", "its path has to be percent-encoded, without `.` and `..`"),
            ("https://a.example/{a}", "its path has to be percent-encoded, without `.` and `..`"),
            (&format!("https://a.example/{}", "a".repeat(238)), "it is longer than 255 bytes"),
        ] {
            for table in ["release", "report"] {
                let text = format!("{FILE}[{table}]\nurl = \"{url}\"\n");
                let error = load(&text, &Overrides::default(), &[]).unwrap_err();
                let place = error.location().unwrap();
                assert_eq!((place.line, place.column), (Some(4), Some(7)), "{url}");
                let ConfigError::Url { key, source, .. } = error else { panic!("{url}") };
                assert_eq!(
                    (key.to_owned(), source.to_string()),
                    (format!("{table}.url"), reason.into())
                );
            }
            // A good one in the file is no reason to point at it.
            let text = format!("{FILE}[release]\nurl = \"https://a.example\"\n");
            let error = load(&text, &Overrides::default(), &[("ESP_OTA_URL", url)]).unwrap_err();
            assert_eq!(error.location(), None);
            assert!(error.to_string().ends_with("(from `ESP_OTA_URL`)"), "{error}");
        }
        for url in ["https://a.example", "https://192.168.1.7:8443/a/b/", "https://a_b.example/~u"]
        {
            let text = format!("{FILE}[release]\nurl = \"{url}\"\n");
            let project = load(&text, &Overrides::default(), &[]).unwrap();
            assert_eq!(project.url.value.as_deref(), Some(url));
        }
    }
}
