//! From what was written to what holds: each setting from its strongest source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::raw::Raw;
use super::{ConfigError, Name, Overrides, Project};
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
    let url = layers.pick(("--url", flags.url), "ESP_OTA_URL", raw.release.url)?;
    let store = layers.pick(("--store", flags.store), "ESP_OTA_STORE", raw.release.store)?;
    let channel =
        layers.pick(("--channel", flags.channel), "ESP_OTA_CHANNEL", raw.release.channel)?;
    let report = layers.pick(("", None), "ESP_OTA_REPORT_URL", raw.report.url)?;
    for (key, setting) in [("release.url", &url), ("report.url", &report)] {
        if let Some(setting) = setting.as_ref().filter(|setting| !is_https(&setting.value)) {
            let url = setting.value.clone();
            return Err(ConfigError::NotHttps { key, url, origin: setting.origin });
        }
    }
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
        report_url: Setting::optional(report),
        file,
    })
}

/// Whether devices could be given this URL: HTTPS with a host, no user, query or fragment, and no
/// character that would need escaping in TOML, Rust or an HTTP request.
pub(super) fn is_https(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let host = rest.split('/').next().unwrap_or_default();
    !host.is_empty()
        && url.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\"\\<>".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Chip;

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
    fn plain_http_is_refused_for_devices() {
        for url in ["http://a.example", "https://", "ftp://a", "https://u@a.example", "a.example"] {
            let text = format!("{FILE}[release]\nurl = \"{url}\"\n");
            let error = load(&text, &Overrides::default(), &[]).unwrap_err();
            assert!(matches!(error, ConfigError::NotHttps { .. }), "{url}");
        }
    }
}
