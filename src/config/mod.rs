//! The project: `esp-ota.toml`, found, read and resolved.
//!
//! A setting comes from a flag, else from the environment (`ESP_OTA_…`), else from the file, else
//! from a built-in default, and remembers which of them it was.

mod error;
mod name;
mod raw;
mod resolve;
pub mod source;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

pub use error::ConfigError;
pub use name::{Name, NameError};
pub use raw::meant;
pub use resolve::{Origin, Setting};

use crate::agent::url::Url;
use crate::chip::Chip;
use crate::disk;
use crate::flash_size::FlashSize;
use crate::partition::Code;
use resolve::Layers;

/// Name of the file.
pub const FILE: &str = "esp-ota.toml";
/// An `esp-ota.toml` larger than this is something else.
const LARGEST_FILE: u64 = 64 * 1024;

/// Settings given on the command line, the strongest of all.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Project settings (default: esp-ota.toml)")]
pub struct Overrides {
    /// Chip, such as `esp32c3`
    #[arg(long, value_name = "CHIP")]
    pub chip: Option<Chip>,
    /// Size of the flash chip, such as `4MB`
    #[arg(long, value_name = "SIZE")]
    pub flash_size: Option<FlashSize>,
    /// Partition table as CSV
    #[arg(long, value_name = "FILE")]
    pub partitions: Option<PathBuf>,
    /// URL that devices read releases from
    #[arg(long, value_name = "URL", value_parser = https_url)]
    pub url: Option<String>,
    /// Where releases are written to, such as `dir:dist`
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
    /// Release channel
    #[arg(long, value_name = "NAME")]
    pub channel: Option<Name>,
}

/// A resolved project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Folder of `esp-ota.toml`, empty where that is the current one; relative paths start here.
    pub folder: PathBuf,
    /// The file itself, as the user would name it.
    pub file: PathBuf,
    /// What is updated.
    pub product: Setting<Name>,
    /// The chip.
    pub chip: Setting<Chip>,
    /// Size of its flash.
    pub flash_size: Setting<FlashSize>,
    /// The partition table.
    pub partitions: Setting<PathBuf>,
    /// Codes of findings about the partition table that the project accepts.
    pub allow: Setting<Vec<Code>>,
    /// Pinned root certificates.
    pub roots: Setting<Vec<PathBuf>>,
    /// Files that `ca embed` generates.
    pub embed: Setting<Vec<PathBuf>>,
    /// URL that devices read.
    pub url: Setting<Option<String>>,
    /// Where `publish` writes.
    pub store: Setting<String>,
    /// The channel that `publish` releases to.
    pub channel: Setting<Name>,
    /// The channel whose releases `<chip>/firmware.bin` follows: that of the file. A release to another
    /// one, by flag or variable, is none for clients that fetch a plain URL.
    pub plain_channel: Name,
    /// How many releases of each chip and channel stay listed; `None`: all.
    pub keep: Setting<Option<NonZeroU32>>,
    /// Where devices send reports.
    pub report_url: Setting<Option<String>>,
}

impl Project {
    /// Reads `file`, or finds `esp-ota.toml` in `start`, the folder the command runs in, or the
    /// nearest folder above.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when there is none, or with the line and column of what is wrong in it.
    pub fn load(
        file: Option<&Path>,
        start: &Path,
        overrides: &Overrides,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let file = match file {
            Some(file) => file.to_owned(),
            None => {
                let found = find(start).ok_or_else(|| ConfigError::NoProject(start.to_owned()))?;
                // What is in the folder the user is in needs no path in front of its name.
                found.strip_prefix(start).map_or(found.clone(), Path::to_owned)
            }
        };
        let text = disk::read_text(&file, LARGEST_FILE)
            .map_err(|source| ConfigError::Read { file: file.clone(), source })?;
        let raw = raw::parse(&file, &text)?;
        resolve::resolve(file, raw, &Layers { overrides, environment })
    }

    /// The project that `text` describes, with nothing above it: no flags, no environment.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let layers = Layers { overrides: &Overrides::default(), environment: &|_| None };
        resolve::resolve(file.to_owned(), raw::parse(file, text)?, &layers)
    }

    /// A path from `esp-ota.toml`, as seen from where the command runs.
    pub fn path(&self, relative: &Path) -> PathBuf {
        self.folder.join(relative)
    }

    /// Every setting with its value and origin, for `-v`.
    pub fn settings(&self) -> Vec<String> {
        let paths = |paths: &[PathBuf]| {
            let texts: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            format!("[{}]", texts.join(", "))
        };
        let line = |name: &str, value: &dyn std::fmt::Display, origin: &Origin| {
            format!("{name} {value}, from {origin}")
        };
        let codes: Vec<_> = self.allow.value.iter().map(|code| code.name()).collect();
        let codes = format!("[{}]", codes.join(", "));
        let keep = self.keep.value.map_or("(all)".to_owned(), |keep| keep.to_string());
        let optional = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".into());
        vec![
            line("product", &self.product.value, &self.product.origin),
            line("chip", &self.chip.value, &self.chip.origin),
            line("flash-size", &self.flash_size.value, &self.flash_size.origin),
            line("partitions", &self.partitions.value.display(), &self.partitions.origin),
            line("partitions.allow", &codes, &self.allow.origin),
            line("trust.roots", &paths(&self.roots.value), &self.roots.origin),
            line("trust.embed", &paths(&self.embed.value), &self.embed.origin),
            line("release.url", &optional(&self.url.value), &self.url.origin),
            line("release.store", &without_user(&self.store.value), &self.store.origin),
            line("release.channel", &self.channel.value, &self.channel.origin),
            line("release.keep", &keep, &self.keep.origin),
            line("report.url", &optional(&self.report_url.value), &self.report_url.origin),
        ]
    }
}

/// An address as it may be shown: a secret does not belong there, and is not repeated.
fn without_user(address: &str) -> String {
    match address.split_once("//").zip(address.rsplit_once('@')) {
        Some(((scheme, _), (_, host))) => format!("{scheme}//…@{host}"),
        None => address.to_owned(),
    }
}

/// Takes a URL from the command line.
///
/// # Errors
///
/// Whatever devices would not take, in the words of their own reader.
pub fn https_url(text: &str) -> Result<String, String> {
    match Url::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; {}", error::URL_HELP)),
    }
}

fn find(start: &Path) -> Option<PathBuf> {
    start.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file())
}
