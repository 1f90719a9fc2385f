//! What can be wrong with the pinned roots of a project.

use std::path::{Path, PathBuf};

use crate::chip::Chip;
use crate::commands::file_list;
use crate::error::{Exit, Explained, Location};

/// What can be wrong with the pinned roots of a project.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Nobody confirmed the fingerprint.
    #[error("nothing was pinned: the fingerprint was not confirmed")]
    Unconfirmed,
    /// Nobody can be asked.
    #[error("{roots} has to be confirmed, and there is no terminal to ask on")]
    NoTerminal {
        /// What would be pinned, with fingerprints.
        roots: String,
    },
    /// An option that says how to reach a server, and there is none.
    #[error("`{0}` is for a URL, and this is a file")]
    OnlyForUrl(&'static str),
    /// The file holds another certificate than was expected.
    #[error("no certificate in `{}` has the fingerprint `{expected}`: {found}", from.display())]
    Fingerprint {
        /// The file or URL.
        from: PathBuf,
        /// What was asked for.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A file of that name is in the way.
    #[error("`{}` exists already and holds something else", .0.display())]
    Exists(PathBuf),
    /// Nothing is pinned.
    #[error("no root certificate is pinned: the firmware could not reach any server")]
    NoRoots,
    /// Generated files are out of date; there is at least one.
    #[error("{} not hold the roots that are pinned now", does(.0))]
    Stale(Vec<PathBuf>),
    /// A URL, and nothing that it could be judged by.
    #[error("there is no project here, and so there are no pinned roots to judge a host by")]
    NothingToTrust,
    /// Nobody said which host.
    #[error("`esp-ota.toml` says no `url`, and so there is no host to check")]
    NoUrl,
    /// A file that is none of the repository's.
    #[error("`{file}` is no path below `{url}`")]
    NotBelow {
        /// As given.
        file: String,
        /// The repository.
        url: String,
    },
    /// A version that is not there.
    #[error("`--retired {0}`: no such version is published")]
    NotPublished(String),
    /// A version that devices may run for as long as nothing newer is there for them.
    #[error(
        "`--retired {version}`: in `{channel}`, no newer release for {chip} is for every device"
    )]
    Current {
        /// The version.
        version: String,
        /// The chip.
        chip: Chip,
        /// The channel.
        channel: String,
    },
    /// Nothing is pinned under this name.
    #[error("`{0}` is neither the fingerprint nor a file of a pinned root")]
    NotPinned(String),
    /// Nothing would be left.
    #[error("no root would be left: the firmware could not reach any server")]
    LastRoot,
    /// Nothing is known about this kind of file.
    #[error("`{}` in `trust.embed` is neither `.rs` nor `.h`", .0.display())]
    Kind(PathBuf),
    /// `esp-ota.toml` cannot be changed.
    #[error("`trust.roots` in `{}` is not a list", .0.display())]
    NotAList(PathBuf),
}

impl Explained for CaError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unconfirmed | Self::Exists(_) | Self::Stale(_) | Self::LastRoot => Exit::Rejected,
            Self::NoTerminal { .. }
            | Self::OnlyForUrl(_)
            | Self::NothingToTrust
            | Self::NotPublished(_)
            | Self::Current { .. }
            | Self::NotPinned(_)
            | Self::NotBelow { .. } => Exit::Usage,
            Self::Fingerprint { .. } => Exit::Trust,
            Self::NoRoots | Self::NoUrl | Self::Kind(_) | Self::NotAList(_) => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unconfirmed => None,
            Self::NoTerminal { .. } => Some(
                "compare the fingerprint with the authority's own page, then pass `--sha256 HEX`"
                    .into(),
            ),
            Self::OnlyForUrl(_) => Some("leave it out, or name a server: `https://…`".into()),
            Self::Fingerprint { .. } => {
                Some("get the certificate from the authority again, and trust neither".into())
            }
            Self::Exists(_) => Some("rename or remove that file".into()),
            Self::NoRoots => Some("pin one with `cargo esp-ota ca add URL|FILE`".into()),
            Self::Stale(_) => Some("run `cargo esp-ota ca embed`".into()),
            Self::NotPublished(_) => Some(
                "name one of `releases` in `cargo esp-ota ca plan --new FILE --format json`".into(),
            ),
            Self::Current { channel, .. } => Some(format!(
                "publish a newer one in `{channel}`, and let its rollout reach 100 percent"
            )),
            Self::NothingToTrust => Some("pass the roots with `--roots FILE`".into()),
            Self::NoUrl => {
                Some("set `url = \"https://…\"` under `[release]`, or pass `--url`".into())
            }
            Self::NotBelow { .. } => {
                Some("name a file as devices would, such as `metadata/timestamp.json`".into())
            }
            Self::NotPinned(_) => Some("take one from `cargo esp-ota ca list`".into()),
            Self::LastRoot => {
                Some("pin its successor first with `cargo esp-ota ca add URL|FILE`".into())
            }
            Self::Kind(_) => Some("name it `….rs` for Rust or `….h` for C and Arduino".into()),
            Self::NotAList(_) => Some("write `roots = []`".into()),
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Stale(files) => files.first().map(|file| at(file)),
            Self::Kind(file) | Self::NotAList(file) => Some(at(file)),
            Self::Unconfirmed
            | Self::NoTerminal { .. }
            | Self::OnlyForUrl(_)
            | Self::Fingerprint { .. }
            | Self::Exists(_)
            | Self::NothingToTrust
            | Self::NotPublished(_)
            | Self::Current { .. }
            | Self::NoUrl
            | Self::NotBelow { .. }
            | Self::NotPinned(_)
            | Self::LastRoot
            | Self::NoRoots => None,
        }
    }
}

fn at(file: &Path) -> Location {
    Location { file: file.to_owned(), line: None, column: None }
}

/// Files as the subject of a sentence, with its verb.
fn does(files: &[PathBuf]) -> String {
    format!("{} {}", file_list(files), if files.len() == 1 { "does" } else { "do" })
}
