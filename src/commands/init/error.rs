//! Why `init` made nothing. Whatever it says, nothing was written.

use std::path::PathBuf;

use super::manifest_edit::Clash;
use super::template::TemplateError;
use crate::chip::Chip;
use crate::commands::file_list;
use crate::error::{Exit, Explained, Location};
use crate::flash_size::FlashSize;
use crate::partition;

/// Why no project was made. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Neither the package nor the folder has a name for a product.
    #[error("the folder's name `{0}` is no product name")]
    NoProduct(String),
    /// The chip has no Wi-Fi.
    #[error("`{0}` has no Wi-Fi, which the firmware would update over")]
    NoWifi(Chip),
    /// The chip of the cargo project has no Wi-Fi.
    #[error(
        "`{}` is for `{chip}`, which has no Wi-Fi for the firmware to update over",
        file.display()
    )]
    NoWifiHere {
        /// The manifest.
        file: PathBuf,
        /// The chip.
        chip: Chip,
    },
    /// The cargo project does not say for which chip it is.
    #[error("`{}` does not say for which chip the firmware is", .0.display())]
    NoChip(PathBuf),
    /// One manifest for several chips.
    #[error(
        "`{}` chooses the chip by its feature `{feature}`, and the update agent's modules are \
         written for one chip",
        file.display()
    )]
    ChipByFeature {
        /// The manifest.
        file: PathBuf,
        /// One of the features.
        feature: String,
    },
    /// There is no table for this flash size.
    #[error("there is no partition table with two slots for {0} of flash")]
    NoTable(FlashSize),
    /// A table could not be worded.
    #[error("the partition table could not be written down")]
    Table(#[source] partition::CsvError),
    /// Files are in the way.
    #[error("these files exist already: {}", file_list(.0))]
    Exists(Vec<PathBuf>),
    /// The table that is there is not one for updates.
    #[error("`{}` exists already, and is no table that updates could use", file.display())]
    OtherTable {
        /// The table.
        file: PathBuf,
        /// Why.
        #[source]
        why: Words,
    },
    /// A manifest is no TOML.
    #[error("`{location}` is wrong: {message}")]
    Malformed {
        /// Where.
        location: Location,
        /// What the TOML reader says.
        message: String,
    },
    /// A workspace, and no package.
    #[error("`{}` is a workspace without a package of its own", file.display())]
    NoPackage {
        /// The manifest.
        file: PathBuf,
        /// Its members.
        members: Vec<String>,
    },
    /// No firmware that this tool knows.
    #[error("`{}` depends on neither `esp-hal` nor `esp-idf-svc`", .0.display())]
    NoFirmware(PathBuf),
    /// Versions that do not go together.
    #[error(
        "`{}` does not fit the update agent's modules: {}",
        file.display(),
        clashes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Clashes {
        /// The manifest.
        file: PathBuf,
        /// All of them.
        clashes: Vec<Clash>,
    },
    /// Two places say different things.
    #[error("{said_by} says `{said}`, but `{}` says `{found}`", file.display())]
    Differs {
        /// The option or the file that says one thing.
        said_by: String,
        /// What it says.
        said: String,
        /// The file that says another.
        file: PathBuf,
        /// What that says.
        found: String,
    },
    /// The project pins other roots.
    #[error("`{}` pins other roots than `{}`", file.display(), asked.display())]
    OtherRoots {
        /// `--root-ca`.
        asked: PathBuf,
        /// `esp-ota.toml`.
        file: PathBuf,
    },
    /// Nobody can confirm the root that a server led to.
    #[error("{0} has to be confirmed, and there is no terminal to ask on")]
    UnconfirmedRoot(String),
    /// Another version of this tool wrote the modules, and some of them are gone.
    #[error(
        "`{}` has the modules of {theirs}, and these are missing: {}",
        file.display(),
        file_list(missing)
    )]
    OtherVersion {
        /// The manifest.
        file: PathBuf,
        /// Which version of the tool.
        theirs: String,
        /// What is missing.
        missing: Vec<PathBuf>,
    },
    /// The terminal ended in the middle of the questions.
    #[error("nothing was written: a question was not answered")]
    Unanswered,
    /// The changes were refused.
    #[error("nothing was written: the changes were not confirmed")]
    Unconfirmed,
    /// Nobody can be asked.
    #[error("the changes have to be confirmed, and there is no terminal to ask on")]
    NoTerminal,
    /// A template of this tool is wrong.
    #[error("the template `{file}` is broken")]
    Template {
        /// Its name.
        file: &'static str,
        /// Why.
        source: TemplateError,
    },
}

/// A cause that is only words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Words(pub(super) String);

impl Explained for InitError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoProduct(_)
            | Self::NoWifi(_)
            | Self::NoChip(_)
            | Self::NoTable(_)
            | Self::UnconfirmedRoot(_)
            | Self::NoTerminal => Exit::Usage,
            Self::NoWifiHere { .. }
            | Self::ChipByFeature { .. }
            | Self::Exists(_)
            | Self::OtherTable { .. }
            | Self::Clashes { .. }
            | Self::Differs { .. }
            | Self::OtherRoots { .. }
            | Self::OtherVersion { .. }
            | Self::Unanswered
            | Self::Unconfirmed => Exit::Rejected,
            Self::Malformed { .. } | Self::NoPackage { .. } | Self::NoFirmware(_) => Exit::Project,
            Self::Table(_) | Self::Template { .. } => Exit::Output,
        }
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoProduct(_) => "pass `--product NAME`".into(),
            Self::NoWifi(_) => "choose another chip with `--chip`".into(),
            Self::NoChip(_) => "pass `--chip`".into(),
            Self::ChipByFeature { .. } => {
                "name the chip in the features of `esp-hal` itself, then run this again".into()
            }
            Self::NoTable(_) => "pass the real `--flash-size`".into(),
            Self::Exists(_) => "move them away, or choose another folder".into(),
            Self::OtherTable { file, .. } => format!(
                "move it away and get one, or mend it: `cargo esp-ota partitions check {}`",
                file.display()
            ),
            Self::NoPackage { members, .. } if members.is_empty() => {
                "name the folder of the firmware: `cargo esp-ota init FOLDER`".into()
            }
            Self::NoPackage { members, .. } => {
                let members: Vec<_> = members.iter().map(|it| format!("`{it}`")).collect();
                format!(
                    "name the folder of the firmware, `cargo esp-ota init FOLDER`: the members are \
                     {}",
                    members.join(", ")
                )
            }
            Self::NoFirmware(_) => {
                "make a new firmware in a folder of its own: `cargo esp-ota init NAME`".into()
            }
            Self::Clashes { .. } => "change it to that, then run this again".into(),
            Self::Differs { file, .. } => {
                format!("make the two agree; `{}` is what holds", file.display())
            }
            Self::OtherRoots { asked, .. } => {
                format!("pin another with `cargo esp-ota ca add {}`", asked.display())
            }
            Self::UnconfirmedRoot(_) => {
                "compare the fingerprint with the authority's own page, then pass `--yes`".into()
            }
            Self::OtherVersion { .. } => {
                "take them from your version control; files of another version do not go with those \
                 that are there"
                    .into()
            }
            Self::Unanswered => "`--yes` asks nothing, and takes what is offered".into(),
            Self::NoTerminal => "look at the difference, then pass `--yes`".into(),
            Self::NoWifiHere { .. } | Self::Unconfirmed | Self::Malformed { .. } => return None,
            Self::Table(_) | Self::Template { .. } => {
                "this is a mistake in cargo-esp-ota: please report it".into()
            }
        })
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Malformed { location, .. } => Some(location.clone()),
            Self::NoWifiHere { file, .. }
            | Self::NoChip(file)
            | Self::ChipByFeature { file, .. }
            | Self::OtherTable { file, .. }
            | Self::NoPackage { file, .. }
            | Self::NoFirmware(file)
            | Self::Clashes { file, .. }
            | Self::Differs { file, .. }
            | Self::OtherRoots { file, .. }
            | Self::OtherVersion { file, .. } => {
                Some(Location { file: file.clone(), line: None, column: None })
            }
            Self::NoProduct(_)
            | Self::NoWifi(_)
            | Self::NoTable(_)
            | Self::Table(_)
            | Self::Exists(_)
            | Self::UnconfirmedRoot(_)
            | Self::Unanswered
            | Self::Unconfirmed
            | Self::NoTerminal
            | Self::Template { .. } => None,
        }
    }
}
