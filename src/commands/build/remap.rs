//! Paths of this computer, kept out of a firmware that has to be the same everywhere.
//!
//! They get into an image twice: as the file names of panics, and, through the debug information,
//! into the hash of the ELF file that stands in the app descriptor. So where `SOURCE_DATE_EPOCH`
//! asks for the same bytes, rustc is told to write other names. Elsewhere it is not: cargo would
//! compile everything anew whenever a plain `cargo build` and this one take turns.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::commands::context::os_variable;

/// What cargo takes flags from, in its order; only the first that is there counts.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// `CARGO_ENCODED_RUSTFLAGS`, and what it holds already.
    Encoded(String),
    /// `[target]` of cargo's settings.
    Target,
    /// `[build]` of cargo's settings.
    Build,
}

/// Between two flags in `CARGO_ENCODED_RUSTFLAGS`.
const SEPARATOR: char = '\u{1f}';
const ENCODED: &str = "CARGO_ENCODED_RUSTFLAGS";
const PLAIN: &str = "RUSTFLAGS";

/// Where the sources of a build lie here.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Cargo's home, where it unpacks packages.
    pub(super) cargo_home: Option<PathBuf>,
    /// The source of the toolchain's library, and the name that its compiled files give it.
    pub(super) library: Option<(PathBuf, String)>,
    /// Root of the workspace, and where cargo puts what it builds.
    pub(super) workspace: Workspace,
}

/// What `cargo metadata` says of folders.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Workspace {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    #[serde(default)]
    build_directory: Option<PathBuf>,
}

impl Places {
    /// Asks cargo and rustc, which `command` prepares for the project's folder.
    ///
    /// # Errors
    ///
    /// What could not be asked.
    pub(super) fn find(
        cargo: &Path,
        command: impl Fn(&OsStr) -> Command,
        cargo_home: Option<PathBuf>,
    ) -> Result<Self, String> {
        let answer = |program: &OsStr, arguments: &[&str]| {
            let done = command(program).args(arguments).output().ok()?;
            done.status.success().then_some(done.stdout)
        };
        let metadata = ["metadata", "--no-deps", "--format-version", "1"];
        let workspace = answer(cargo.as_os_str(), &metadata)
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or("`cargo metadata` does not say where the project is")?;
        let rustc = os_variable("RUSTC").unwrap_or_else(|| "rustc".into());
        let text = |arguments: &[&str]| String::from_utf8(answer(&rustc, arguments)?).ok();
        let library =
            text(&["--print", "sysroot"]).zip(text(&["-vV"])).map(|(sysroot, version)| {
                let hash = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
                let source = Path::new(sysroot.trim_end()).join("lib/rustlib/src/rust");
                (source, format!("/rustc/{}", hash.unwrap_or("unknown")))
            });
        let library = Some(library.ok_or("`rustc` does not say where its library is")?);
        Ok(Self { cargo_home, library, workspace })
    }

    /// A flag for each, in rustc's order: the last that fits a path counts.
    fn flags(&self, target_dir: Option<PathBuf>) -> Vec<String> {
        let (source, name) = self.library.clone().unzip();
        let linked = source.as_ref().and_then(|it| it.canonicalize().ok());
        let name = name.as_deref().unwrap_or_default();
        let Workspace { workspace_root, target_directory, build_directory } = &self.workspace;
        [
            (self.cargo_home.clone(), "/cargo"),
            (source, name),
            (linked, name),
            (Some(workspace_root.clone()), "/project"),
            (Some(target_directory.clone()), "/project/target"),
            (build_directory.clone(), "/project/target"),
            (target_dir, "/project/target"),
        ]
        .into_iter()
        .filter_map(|(from, to)| {
            let from = from.filter(|from| from.is_absolute())?;
            Some(format!("--remap-path-prefix={}={to}", from.to_str()?))
        })
        .collect()
    }
}

/// What a run of cargo gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Addition {
    /// Arguments.
    pub(super) arguments: Vec<String>,
    /// A variable.
    pub(super) variable: Option<(&'static str, String)>,
}

/// What to add to `cargo build` with these arguments, in this folder.
///
/// # Errors
///
/// Why nothing can be added without the loss of somebody's own flags.
pub(super) fn addition(
    places: &Places,
    settings: &[PathBuf],
    arguments: &[OsString],
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Addition, String> {
    let place = place(settings, arguments, variables)?;
    let flags = places.flags(target_dir(arguments));
    let setting = |key: &str| {
        let flags = toml::Value::from(flags.clone());
        Addition { arguments: vec!["--config".into(), format!("{key}={flags}")], variable: None }
    };
    Ok(match place {
        Place::Encoded(mut text) => {
            for flag in &flags {
                if !text.is_empty() {
                    text.push(SEPARATOR);
                }
                text.push_str(flag);
            }
            Addition { variable: Some((ENCODED, text)), ..Addition::default() }
        }
        Place::Target => setting("target.'cfg(all())'.rustflags"),
        Place::Build => setting("build.rustflags"),
    })
}

/// `--target-dir` among cargo's arguments.
fn target_dir(arguments: &[OsString]) -> Option<PathBuf> {
    let text = |argument: &OsString| argument.to_str().map(str::to_owned);
    let mut arguments = arguments.iter();
    let found = loop {
        let argument = text(arguments.next()?)?;
        if argument == "--target-dir" {
            break text(arguments.next()?)?;
        }
        if let Some(folder) = argument.strip_prefix("--target-dir=") {
            break folder.to_owned();
        }
    };
    std::path::absolute(found).ok()
}

fn place(
    settings: &[PathBuf],
    arguments: &[OsString],
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Place, String> {
    let mut encoded = None;
    let mut plain = None;
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let is_setting = name.starts_with("CARGO_") && name.ends_with("_RUSTFLAGS");
        if name == ENCODED || name == PLAIN {
            let value = value.into_string().map_err(|_| format!("`{name}` is no text"))?;
            *(if name == ENCODED { &mut encoded } else { &mut plain }) = Some(value);
        } else if is_setting {
            return Err(format!("`{name}` is set"));
        }
    }
    if let Some(encoded) = encoded {
        return Ok(Place::Encoded(encoded));
    }
    if let Some(plain) = plain {
        let separator = SEPARATOR.to_string();
        return Ok(Place::Encoded(plain.split_whitespace().collect::<Vec<_>>().join(&separator)));
    }
    let is_config = |argument: &OsString| {
        argument.to_str().is_none_or(|it| it == "--config" || it.starts_with("--config="))
    };
    if arguments.iter().any(is_config) {
        return Err("cargo gets settings by `--config`".into());
    }
    let (mut below_target, mut below_build) = (false, false);
    for file in settings {
        let unreadable = || format!("`{}` cannot be read", file.display());
        let text = std::fs::read_to_string(file).map_err(|_| unreadable())?;
        let table: toml::Table = text.parse().map_err(|_| unreadable())?;
        if table.contains_key("include") {
            return Err(format!("`{}` includes other files", file.display()));
        }
        let has_flags = |table: &toml::Value| table.get("rustflags").is_some();
        below_build |= table.get("build").is_some_and(has_flags);
        let targets = table.get("target").and_then(toml::Value::as_table);
        below_target |= targets.is_some_and(|targets| targets.values().any(has_flags));
    }
    match (below_target, below_build) {
        (true, true) => Err("cargo's settings have `rustflags` below `target` and `build`".into()),
        (true, false) => Ok(Place::Target),
        (false, _) => Ok(Place::Build),
    }
}

/// The files of settings that cargo reads in `folder`.
pub(super) fn settings(folder: &Path, cargo_home: Option<&Path>) -> Vec<PathBuf> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let folders = folder.ancestors().map(|folder| folder.join(".cargo"));
    let mut files: Vec<PathBuf> = folders
        .chain(cargo_home.map(Path::to_owned))
        .flat_map(|folder| ["config", "config.toml"].map(|name| folder.join(name)))
        .filter(|file| file.is_file())
        .collect();
    files.sort();
    files.dedup();
    files
}

/// Cargo's home by its variable, else below the user's.
pub(super) fn cargo_home(variable: Option<&OsStr>) -> Option<PathBuf> {
    match variable.filter(|value| !value.is_empty()) {
        Some(folder) => std::path::absolute(folder).ok(),
        None => Some(std::env::home_dir()?.join(".cargo")),
    }
}

#[cfg(unix)] // for the paths
#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places {
            cargo_home: Some("/home/me/.cargo".into()),
            library: Some(("/toolchain/src".into(), "/rustc/0123".into())),
            workspace: Workspace {
                workspace_root: "/home/me/thermo=stat".into(),
                target_directory: "/home/me/thermo=stat/target".into(),
                build_directory: None,
            },
        }
    }

    const FLAGS: [&str; 4] = [
        "--remap-path-prefix=/home/me/.cargo=/cargo",
        "--remap-path-prefix=/toolchain/src=/rustc/0123",
        "--remap-path-prefix=/home/me/thermo=stat=/project",
        "--remap-path-prefix=/home/me/thermo=stat/target=/project/target",
    ];

    /// What is added where cargo's settings hold this text, with these arguments and variables.
    fn added(
        settings: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Addition, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, settings).unwrap();
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        addition(&places(), &[file], &arguments, variables)
    }

    fn by_setting(key: &str) -> Addition {
        let flags = FLAGS.map(|flag| format!("\"{flag}\"")).join(", ");
        let arguments = vec!["--config".into(), format!("{key}=[{flags}]")];
        Addition { arguments, variable: None }
    }

    #[test]
    fn flags_go_where_the_project_s_own_flags_are() {
        let build = by_setting("build.rustflags");
        assert_eq!(added("", &[], &[]), Ok(build));
        let build = by_setting("build.rustflags");
        assert_eq!(added("[build]\nrustflags = [\"-g\"]\n", &["--locked"], &[]), Ok(build));
        let target = "[target.'cfg(target_os = \"none\")']\nrustflags = [\"--cfg\", \"a\"]\n";
        let expected = by_setting("target.'cfg(all())'.rustflags");
        assert_eq!(added(target, &[], &[("PATH", "/bin")]), Ok(expected));
    }

    #[test]
    fn flags_of_the_environment_are_kept_and_come_first() {
        let own = format!("--cfg\u{1f}a b\u{1f}{}", FLAGS.join("\u{1f}"));
        let variable = Some((ENCODED, own));
        assert_eq!(
            added("[build]\nrustflags = []\n", &[], &[(PLAIN, "x"), (ENCODED, "--cfg\u{1f}a b")]),
            Ok(Addition { arguments: Vec::new(), variable })
        );
        let own = format!("-g\u{1f}--cfg\u{1f}a\u{1f}{}", FLAGS.join("\u{1f}"));
        let plain = added("", &[], &[(PLAIN, " -g  --cfg a ")]).unwrap();
        assert_eq!(plain.variable, Some((ENCODED, own)));
        let empty = added("", &[], &[(PLAIN, "")]).unwrap();
        assert_eq!(empty.variable, Some((ENCODED, FLAGS.join("\u{1f}"))));
    }

    #[test]
    fn where_somebody_s_flags_would_be_lost_nothing_is_added() {
        let both =
            "[build]\nrustflags = []\n[target.riscv32imc-unknown-none-elf]\nrustflags = []\n";
        for (settings, arguments, variables) in [
            (both, &[][..], &[][..]),
            ("include = \"other.toml\"", &[], &[]),
            ("no table", &[], &[]),
            ("", &["--config", "build.rustflags=['-g']"], &[]),
            ("", &["--config=a.toml"], &[]),
            ("", &[], &[("CARGO_BUILD_RUSTFLAGS", "-g")]),
            ("", &[], &[("CARGO_TARGET_RISCV32IMC_UNKNOWN_NONE_ELF_RUSTFLAGS", "")]),
        ] {
            assert!(added(settings, arguments, variables).is_err(), "{settings} {arguments:?}");
        }
    }

    #[test]
    fn the_target_folder_of_the_command_line_is_known() {
        for arguments in [&["--target-dir", "/other"][..], &["-v", "--target-dir=/other"]] {
            let Addition { arguments, .. } = added("", arguments, &[]).unwrap();
            assert!(arguments[1].ends_with("\"--remap-path-prefix=/other=/project/target\"]"));
        }
    }

    #[test]
    fn settings_are_looked_for_in_every_folder_above() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        for cargo in ["a/b/.cargo", "a/.cargo", "home"] {
            std::fs::create_dir_all(folder.path().join(cargo)).unwrap();
            std::fs::write(folder.path().join(cargo).join("config.toml"), "").unwrap();
        }
        let found = settings(&inner, Some(&folder.path().join("home")));
        for cargo in ["a/b/.cargo", "a/.cargo", "home"] {
            assert!(found.contains(&folder.path().join(cargo).join("config.toml")), "{cargo}");
        }
    }
}
