//! Lines for files that are their owner's: `main`, the build script and cargo's settings. They are
//! told and not written, because only the owner knows where they go.

use std::path::{Path, PathBuf};

use serde::Serialize;
use toml_edit::Item;

use super::cargo_project::CargoProject;
use super::dependency::at;
use super::template::{
    AGENT, AGENT_ATTRIBUTE, BUILD_SCRIPT, BUILD_SIGN, CARGO_LINES, Line, MAIN_LINES, ROOT_LINES,
    module_names,
};

/// Source files are smaller.
const LARGEST: u64 = 4 * 1024 * 1024;
/// Cargo's own name for it.
pub(super) const BUILD_FILE: &str = "build.rs";
const CARGO_SETTINGS: &str = ".cargo/config.toml";

/// What to put into one file.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ByHand {
    pub(super) file: PathBuf,
    pub(super) lines: Vec<String>,
}

/// Where the source of a package is.
struct Sources {
    /// The root of the library, if there is one: modules are declared there.
    library: Option<PathBuf>,
    main: PathBuf,
}

/// Everything that is not there yet.
pub(super) fn missing(folder: &Path, cargo: &CargoProject) -> Vec<ByHand> {
    let sources = Sources::find(folder, cargo);
    let root = sources.library.as_ref().unwrap_or(&sources.main);
    let mut all = vec![ByHand {
        file: root.clone(),
        lines: root_lines(&read(folder, root), sources.library.is_some()),
    }];
    let mut main = lines(MAIN_LINES, &read(folder, &sources.main));
    if let (Some(_), false) = (&sources.library, main.is_empty()) {
        main.insert(0, format!("use {}::updates;", library_name(cargo)));
    }
    match all.first_mut().filter(|_| sources.library.is_none()) {
        Some(root) => root.lines.extend(main),
        None => all.push(ByHand { file: sources.main, lines: main }),
    }
    let script = build_script(cargo);
    if !read(folder, &script).contains(BUILD_SIGN) {
        all.push(ByHand { file: script, lines: body(BUILD_SCRIPT) });
    }
    let is_missing = |line: &&Line| !cargo.settings_hold(line.sign);
    let settings = CARGO_LINES.iter().filter(is_missing).flat_map(|line| worded("#", line));
    all.push(ByHand { file: CARGO_SETTINGS.into(), lines: settings.collect() });
    all.retain(|file| !file.lines.is_empty());
    all
}

/// The lines between the first and the last line of `main`.
fn body(script: &str) -> Vec<String> {
    let inside = script.lines().filter_map(|line| line.strip_prefix("    "));
    inside.map(str::to_owned).collect()
}

/// Whether cargo runs a build script, or is told not to.
pub(super) fn has_build_script(folder: &Path, cargo: &CargoProject) -> bool {
    at(cargo.document.as_item(), &["package", "build"]).is_some()
        || folder.join(BUILD_FILE).exists()
}

/// The file of the build script: where the manifest says, and else where cargo looks.
fn build_script(cargo: &CargoProject) -> PathBuf {
    let named = at(cargo.document.as_item(), &["package", "build"]).and_then(Item::as_str);
    named.unwrap_or(BUILD_FILE).into()
}

impl Sources {
    fn find(folder: &Path, cargo: &CargoProject) -> Self {
        let path = |item: Option<&Item>| {
            let path = PathBuf::from(item?.get("path")?.as_str()?);
            Some(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path))
        };
        let exists = |name: &str| folder.join(name).is_file().then(|| PathBuf::from(name));
        let first = cargo.document.get("bin").and_then(|bins| bins.get(0));
        let main = path(first).or_else(|| exists("src/main.rs"));
        let main = main.or_else(|| exists("src/bin/main.rs"));
        Self {
            library: path(cargo.document.get("lib")).or_else(|| exists("src/lib.rs")),
            main: main.unwrap_or_else(|| "src/main.rs".into()),
        }
    }
}

/// What the root of the crate has to declare. In a library everything is in use by being public.
fn root_lines(text: &str, is_library: bool) -> Vec<String> {
    let word = if is_library { "pub mod" } else { "mod" };
    let is_declared = |name: &str| text.contains(&format!("mod {name};"));
    let mut names = module_names();
    names.retain(|name| !is_declared(name));
    let mut all = lines(ROOT_LINES, text);
    if !is_library && names.remove(AGENT) {
        all.push(AGENT_ATTRIBUTE.to_owned());
        all.push(format!("mod {AGENT};"));
    }
    let modules: Vec<String> = names.into_iter().map(|name| format!("{word} {name};")).collect();
    all.extend((!modules.is_empty()).then(|| modules.join(" ")));
    all
}

fn lines(all: &[Line], text: &str) -> Vec<String> {
    let missing = all.iter().filter(|line| !text.contains(line.sign));
    missing.flat_map(|line| worded("//", line)).collect()
}

/// The place as a comment, then the line.
fn worded(mark: &str, line: &Line) -> Vec<String> {
    let comment = format!("{mark} {}", line.place);
    std::iter::once(comment).chain(line.code.lines().map(str::to_owned)).collect()
}

fn read(folder: &Path, file: &Path) -> String {
    // A file that is not there holds none of the lines.
    crate::disk::read_text(&folder.join(file), LARGEST).unwrap_or_default()
}

fn library_name(cargo: &CargoProject) -> String {
    let named = at(cargo.document.as_item(), &["lib", "name"]).and_then(Item::as_str);
    named.or(cargo.name()).unwrap_or_default().replace('-', "_")
}
