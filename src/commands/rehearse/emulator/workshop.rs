//! A copy of the project in which everything that is trusted is of the bench.
//!
//! The firmware is the project's own, built with its feature `emulator` in place of the radio. Its
//! pinned root, its TUF root and its version are changed, which must not happen in the project
//! itself. What cargo makes is kept between runs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use semver::Version;
use toml_edit::{DocumentMut, Item, value};

use super::{EmulateError, FOLDER};
use crate::chip::Chip;
use crate::commands::build::{self, ROOT_FILE};
use crate::commands::{Context, ContextError, ca, context, init};
use crate::config::{self, Project};
use crate::emulator::bench::Bench;
use crate::error::Failure;
use crate::trust::source;

/// Manifests have a few kilobytes.
const LARGEST_MANIFEST: u64 = 1024 * 1024;
/// A file of a firmware; what is larger is no source.
const LARGEST_FILE: u64 = 64 * 1024 * 1024;
/// More files than any firmware has.
const MOST_FILES: usize = 20_000;
/// Where the copy pins its root.
const ROOT: &str = "certs/bench-root.pem";
/// What cargo is told: the template's feature for emulated chips, and no radio.
const FEATURES: [&str; 3] = ["--no-default-features", "--features", "emulator"];
/// The chip that the feature is for: Ethernet at its addresses.
const EMULATED: Chip = Chip::Esp32c3;
/// Not copied: what cargo has made.
const MADE: &str = "target";
/// Stands in every private key that is kept as text.
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

/// The copy, and the project it is made from.
#[derive(Debug)]
pub(super) struct Workshop<'a> {
    project: &'a Project,
    folder: PathBuf,
    manifest: DocumentMut,
    version: Version,
}

impl<'a> Workshop<'a> {
    /// Looks whether the firmware can be built for an emulated chip. Nothing is written.
    pub(super) fn open(project: &'a Project) -> Result<Self, Failure> {
        let file = project.path(Path::new("Cargo.toml"));
        if !file.is_file() {
            return Err(EmulateError::NoFirmware(file).into());
        }
        let text = context::read(&file, LARGEST_MANIFEST)?;
        let manifest: DocumentMut = String::from_utf8_lossy(&text).parse().map_err(|source| {
            EmulateError::Manifest { file: file.clone(), source: Box::new(source) }
        })?;
        if let Some(key) = inherited(manifest.as_item(), "") {
            return Err(EmulateError::Workspace { file, key }.into());
        }
        let chip = project.chip.value;
        if chip != EMULATED {
            return Err(EmulateError::NoEthernet { chip, emulated: EMULATED }.into());
        }
        let has_feature = manifest
            .get("features")
            .and_then(Item::as_table_like)
            .is_some_and(|features| features.contains_key("emulator"));
        if !has_feature {
            return Err(EmulateError::NoFeature(file).into());
        }
        let stated = manifest.get("package").and_then(|package| package.get("version"));
        let version = stated.and_then(Item::as_str).and_then(|text| Version::parse(text).ok());
        let version = version.ok_or(EmulateError::Version(file))?;
        let folder = project.folder.join(FOLDER).join("project");
        Ok(Self { project, folder, manifest, version })
    }

    /// The version that the project's sources have.
    pub(super) fn version(&self) -> &Version {
        &self.version
    }

    /// Copies the project and replaces what it trusts.
    pub(super) fn furnish(&self, bench: &Bench) -> Result<(), Failure> {
        self.copy()?;
        self.write(Path::new(ROOT), source::pem(&bench.root).as_bytes())?;
        self.write(Path::new(ROOT_FILE), &bench.tuf_root)?;
        self.write(Path::new(config::FILE), self.settings()?.as_bytes())?;
        let copy = init::project(&self.folder)?;
        ca::write_sources(&copy, std::slice::from_ref(&bench.root))?;
        Ok(())
    }

    /// Builds the copy under a version, and gives the app image.
    pub(super) fn build(&self, context: &Context, version: &Version) -> Result<Vec<u8>, Failure> {
        let manifest = manifest(&self.manifest, version, &self.home()?);
        self.write(Path::new("Cargo.toml"), manifest.to_string().as_bytes())?;
        let bench = self.project.folder.join(FOLDER);
        let target = absolute(&bench.join("build"))?;
        let mut arguments: Vec<OsString> = FEATURES.iter().map(OsString::from).collect();
        arguments.extend(["--target-dir".into(), target.into_os_string()]);
        let output = bench.join(format!("{version}.bin"));
        let copy = init::project(&self.folder)?;
        let built = build::build(context, &copy, None, Some(output), &arguments)?;
        let expected = version.to_string();
        if built.version == expected {
            Ok(built.image)
        } else {
            Err(EmulateError::OtherVersion { expected, found: built.version }.into())
        }
    }

    /// The folder of the project, whatever folder somebody looks from.
    fn home(&self) -> Result<PathBuf, ContextError> {
        absolute(&self.project.path(Path::new(".")))
    }

    /// `esp-ota.toml` of the copy: what holds in the project, but for its roots. Nothing is left to
    /// flags and variables, which the copy does not see.
    fn settings(&self) -> Result<String, ContextError> {
        let project = self.project;
        let text = |text: &dyn ToString| toml::Value::String(text.to_string());
        let path = |path: &Path| toml::Value::String(path.display().to_string());
        let list = |values: Vec<toml::Value>| toml::Value::Array(values);
        let table = absolute(&project.path(&project.partitions.value))?;
        let codes = project.allow.value.iter().map(|code| text(&code.name()));
        let embed = project.embed.value.iter().map(|file| path(file));
        let partitions = [("file", path(&table)), ("allow", list(codes.collect()))];
        let trust = [("roots", list(vec![text(&ROOT)])), ("embed", list(embed.collect()))];
        let mut release = vec![("channel", text(&project.channel.value))];
        // The device is told another one by its `nvs`, which comes first.
        release.extend(project.url.value.as_ref().map(|url| ("url", text(url))));
        let settings = table_of(vec![
            ("product", text(&project.product.value)),
            ("chip", text(&project.chip.value)),
            ("flash-size", text(&project.flash_size.value)),
            ("partitions", table_of(partitions.into()).into()),
            ("trust", table_of(trust.into()).into()),
            ("release", table_of(release).into()),
        ]);
        Ok(settings.to_string())
    }

    /// Brings the copy up to date: files that are new or differ are written, so that cargo builds
    /// no more than it has to, and files that are gone go.
    fn copy(&self) -> Result<(), Failure> {
        let home = self.project.path(Path::new("."));
        let store = self.project.store.value.strip_prefix("dir:").map(Path::new);
        let mut files = files(&home)?;
        // What is published is no source, and images are large.
        files.retain(|file| store.is_none_or(|store| !file.starts_with(store)));
        for file in &files {
            let bytes = context::read(&home.join(file), LARGEST_FILE)?;
            if !bytes.windows(PRIVATE_KEY.len()).any(|window| window == PRIVATE_KEY) {
                self.write(file, &bytes)?;
            }
        }
        if self.folder.is_dir() {
            let kept = [ROOT, ROOT_FILE, config::FILE, "Cargo.lock"].map(PathBuf::from);
            let left = self::files(&self.folder)?;
            for file in left.iter().filter(|file| !files.contains(*file) && !kept.contains(file)) {
                let file = self.folder.join(file);
                fs::remove_file(&file)
                    .map_err(|source| ContextError::Output { file: file.clone(), source })?;
            }
        }
        Ok(())
    }

    /// Writes a file of the copy, if it is not like that already.
    fn write(&self, file: &Path, bytes: &[u8]) -> Result<(), ContextError> {
        let file = self.folder.join(file);
        match fs::read(&file) {
            Ok(found) if found == bytes => Ok(()),
            Ok(_) | Err(_) => context::write(&file, bytes),
        }
    }
}

fn table_of(pairs: Vec<(&str, toml::Value)>) -> toml::Table {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn absolute(path: &Path) -> Result<PathBuf, ContextError> {
    std::path::absolute(path)
        .map_err(|source| ContextError::Input { file: path.to_owned(), source })
}

/// Every file below `folder` that belongs into a copy. Hidden ones do not: history, secrets in
/// `.env`, and settings of cargo, which the copy finds in the folders above it. Links to folders
/// are not followed: they could lead round in circles.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>, ContextError> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(next) = folders.pop() {
        let place = folder.join(&next);
        let failed = |source| ContextError::Input { file: place.clone(), source };
        for entry in fs::read_dir(&place).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let path = next.join(&name);
            // A module may be called like that, too.
            let is_made = name == MADE
                && (next == Path::new("") || entry.path().join("CACHEDIR.TAG").is_file());
            if is_made || name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(path);
            } else if folder.join(&path).is_file() {
                found.insert(path);
            }
            if found.len() > MOST_FILES {
                return Err(failed(io::Error::other(format!("more than {MOST_FILES} files"))));
            }
        }
    }
    Ok(found)
}

/// The manifest of the copy: another version, a workspace of its own, and dependencies that are
/// found from where the copy is.
fn manifest(original: &DocumentMut, version: &Version, home: &Path) -> DocumentMut {
    let mut manifest = original.clone();
    if let Some(package) = manifest.get_mut("package").and_then(Item::as_table_like_mut) {
        package.insert("version", value(version.to_string()));
    }
    if !manifest.contains_key("workspace") {
        manifest.insert("workspace", Item::Table(toml_edit::Table::new()));
    }
    rebase(manifest.as_item_mut(), home);
    manifest
}

/// Makes each `path` that leads out of the project absolute.
fn rebase(item: &mut Item, home: &Path) {
    if let Some(tables) = item.as_array_of_tables_mut() {
        for table in tables.iter_mut() {
            table.iter_mut().for_each(|(_, item)| rebase(item, home));
        }
        return;
    }
    let Some(table) = item.as_table_like_mut() else { return };
    for (key, item) in table.iter_mut() {
        match item.as_str() {
            Some(path) if key == "path" && path.starts_with("..") => {
                *item = value(home.join(path).display().to_string());
            }
            Some(_) => {}
            None => rebase(item, home),
        }
    }
}

/// The first key that takes its value from a workspace.
fn inherited(item: &Item, name: &str) -> Option<String> {
    let table = item.as_table_like()?;
    table.iter().find_map(|(key, item)| match item.as_bool() {
        Some(true) if key == "workspace" => Some(name.to_owned()),
        _ => inherited(item, key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "\
[package]
name = \"thermostat\" # the product
version = \"1.2.3-rc.1\"

[dependencies]
inside = { path = \"inside\" }
outside = { version = \"1\", path = \"../outside\" }

[target.'cfg(all())'.dependencies]
also = { path = \"../also\" }

[[bin]]
name = \"thermostat\"
path = \"src/main.rs\"

[patch.crates-io]
patched = { path = \"../../patched\" }
";

    fn parsed(text: &str) -> DocumentMut {
        text.parse().unwrap()
    }

    #[test]
    fn the_manifest_of_the_copy_differs_in_what_has_to_differ() {
        let home = Path::new("/home/me/thermostat");
        let changed = manifest(&parsed(MANIFEST), &Version::new(1, 2, 4), home).to_string();
        let expected = MANIFEST
            .replace("1.2.3-rc.1", "1.2.4")
            .replace("\"../outside\"", "\"/home/me/thermostat/../outside\"")
            .replace("\"../also\"", "\"/home/me/thermostat/../also\"")
            .replace("\"../../patched\"", "\"/home/me/thermostat/../../patched\"");
        assert_eq!(changed, format!("{expected}\n[workspace]\n"));
        // A workspace of its own stays what it is.
        let own = format!("{MANIFEST}\n[workspace]\nmembers = [\"inside\"]\n");
        let changed = manifest(&parsed(&own), &Version::new(1, 2, 4), home).to_string();
        assert!(changed.ends_with("\n[workspace]\nmembers = [\"inside\"]\n"), "{changed}");
    }

    #[test]
    fn what_comes_from_a_workspace_is_found_wherever_it_stands() {
        let inherits = |text: &str| inherited(parsed(text).as_item(), "");
        assert_eq!(inherits(MANIFEST), None);
        assert_eq!(inherits("[workspace]\nmembers = []\n"), None);
        for (text, key) in [
            ("[package]\nversion.workspace = true\n", "version"),
            ("[dependencies]\nlog = { workspace = true }\n", "log"),
            ("[target.x.dependencies.log]\nworkspace = true\n", "log"),
            ("[lints]\nworkspace = true\n", "lints"),
        ] {
            assert_eq!(inherits(text).as_deref(), Some(key), "{text}");
        }
    }

    #[test]
    fn what_is_made_and_what_is_hidden_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        let made = ["target/debug/x", "lib/target/CACHEDIR.TAG", "lib/target/x"];
        let hidden = [".git/HEAD", ".env", "src/.swp", ".cargo/config.toml"];
        let sources = ["src/main.rs", "src/target/mod.rs"];
        for file in made.into_iter().chain(hidden).chain(sources) {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, b"").unwrap();
        }
        let found = files(folder.path()).unwrap();
        assert_eq!(found, BTreeSet::from(sources.map(PathBuf::from)));
    }
}
