//! The cargo project that is there already: what it is built on, and for which chip.
//!
//! Its files are read and nothing is run: cargo would fetch an index, and a project that does not
//! build yet is as welcome as any.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, TableLike};

use super::InitError;
use super::dependency::{Dependency, at, texts};
use super::manifest_edit::MARK_PATH;
use crate::chip::Chip;
use crate::commands::context;
use crate::error::{Failure, Location};

/// A manifest larger than this is something else.
const LARGEST: u64 = 1024 * 1024;
/// Crates of firmware that runs on ESP-IDF and has std.
const ESP_IDF: [&str; 3] = ["esp-idf-svc", "esp-idf-hal", "esp-idf-sys"];
/// What cargo takes where nothing is said.
const FIRST_EDITION: &str = "2015";

/// What the firmware is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// esp-hal: the agent runs on it.
    EspHal,
    /// ESP-IDF: only the host side is for it.
    EspIdf,
}

/// A package with its manifest, and what cargo adds to it from elsewhere.
#[derive(Debug)]
pub(super) struct CargoProject {
    pub(super) file: PathBuf,
    pub(super) text: String,
    pub(super) document: DocumentMut,
    pub(super) base: Base,
    /// The manifest of the workspace, where that is another one.
    workspace: Option<DocumentMut>,
    settings: Settings,
}

impl CargoProject {
    /// Reads the project in `folder`. `None` where there is no `Cargo.toml`.
    pub(super) fn find(folder: &Path) -> Result<Option<Self>, Failure> {
        let file = folder.join("Cargo.toml");
        if file.symlink_metadata().is_err() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&context::read(&file, LARGEST)?).into_owned();
        let document: DocumentMut =
            text.parse().map_err(|error| malformed(&file, &text, &error))?;
        if document.get("package").is_none_or(|it| !it.is_table_like()) {
            let members = texts(at(document.as_item(), &["workspace", "members"]));
            return Err(InitError::NoPackage { file, members }.into());
        }
        let here = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let workspace = if document.contains_key("workspace") { None } else { workspace(&here) };
        let settings = Settings::above(&here);
        let on_esp_idf = settings.target().is_some_and(|it| it.ends_with("-espidf"))
            || ESP_IDF.iter().any(|package| depends_on(&document, package));
        let base = match (on_esp_idf, depends_on(&document, "esp-hal")) {
            (true, _) => Base::EspIdf,
            (false, true) => Base::EspHal,
            (false, false) => return Err(InitError::NoFirmware(file).into()),
        };
        Ok(Some(Self { file, text, document, base, workspace, settings }))
    }

    /// The name of the package.
    pub(super) fn name(&self) -> Option<&str> {
        at(self.document.as_item(), &["package", "name"])?.as_str()
    }

    /// The edition of Rust that the package is written in.
    pub(super) fn edition(&self) -> &str {
        match at(self.document.as_item(), &["package", "edition"]) {
            Some(own) if own.is_str() => own.as_str(),
            Some(_) => self.of_workspace(&["package", "edition"]).and_then(Item::as_str),
            None => None,
        }
        .unwrap_or(FIRST_EDITION)
    }

    /// What wrote the update agent into this project, if anything did.
    pub(super) fn generated_by(&self) -> Option<&str> {
        at(self.document.as_item(), &MARK_PATH)?.get("generated-by")?.as_str()
    }

    /// Whether it could have the update agent, and does not.
    pub(super) fn lacks_device_side(&self) -> bool {
        self.base == Base::EspHal && self.generated_by().is_none()
    }

    /// A dependency by its name in the source, with what the workspace says of it.
    pub(super) fn dependency(&self, name: &str) -> Option<Dependency> {
        let item = dependency_tables(&self.document).find_map(|table| table.get(name))?;
        Some(Dependency::read(item, self.of_workspace(&["dependencies", name])))
    }

    fn of_workspace(&self, path: &[&str]) -> Option<&Item> {
        let manifest = self.workspace.as_ref().unwrap_or(&self.document);
        at(manifest.get("workspace")?, path)
    }

    /// The chip that the firmware is for, where the project says so.
    pub(super) fn chip(&self) -> Result<Option<Chip>, InitError> {
        let said = match self.base {
            Base::EspIdf => self.settings.chip(),
            Base::EspHal => self.chip_feature()?,
        };
        Ok(said.or_else(|| chip_of(self.settings.target()?)))
    }

    /// esp-hal takes the chip as a feature.
    fn chip_feature(&self) -> Result<Option<Chip>, InitError> {
        let features = self.dependency("esp-hal").map(|it| it.features).unwrap_or_default();
        if let Some(chip) = features.iter().find_map(|feature| chip_named(feature)) {
            return Ok(Some(chip));
        }
        let enables_chip = |it: &String| it.strip_prefix("esp-hal/").and_then(chip_named).is_some();
        let own = self.document.get("features").and_then(Item::as_table_like);
        let mut own = own.into_iter().flat_map(TableLike::iter);
        match own.find(|(_, enables)| texts(Some(enables)).iter().any(enables_chip)) {
            Some((feature, _)) => Err(InitError::ChipByFeature {
                file: self.file.clone(),
                feature: feature.to_owned(),
            }),
            None => Ok(None),
        }
    }

    /// Whether cargo's own settings hold this text somewhere.
    pub(super) fn settings_hold(&self, text: &str) -> bool {
        self.settings.0.iter().any(|document| document.to_string().contains(text))
    }
}

/// Every table of dependencies that end up in the firmware.
pub(super) fn dependency_tables(document: &DocumentMut) -> impl Iterator<Item = &dyn TableLike> {
    let targets = document.get("target").and_then(Item::as_table_like);
    let of_targets = targets.into_iter().flat_map(TableLike::iter);
    let of_targets = of_targets.filter_map(|(_, target)| target.get("dependencies"));
    document.get("dependencies").into_iter().chain(of_targets).filter_map(Item::as_table_like)
}

/// Whether a manifest names a package, under whatever name the source has for it.
fn depends_on(document: &DocumentMut, package: &str) -> bool {
    dependency_tables(document).flat_map(TableLike::iter).any(|(name, item)| {
        at(item, &["package"]).and_then(Item::as_str).unwrap_or(name) == package
    })
}

/// The workspace that a folder may be a member of.
fn workspace(folder: &Path) -> Option<DocumentMut> {
    let manifests = folder.ancestors().skip(1).map(|above| above.join("Cargo.toml"));
    manifests.filter_map(|file| toml(&file)).find(|document| document.contains_key("workspace"))
}

/// Cargo's settings in `.cargo/config.toml`, those of the nearest folder first. What is no TOML is
/// cargo's to report.
#[derive(Debug)]
struct Settings(Vec<DocumentMut>);

impl Settings {
    fn above(folder: &Path) -> Self {
        let files = folder.ancestors().flat_map(|above| {
            ["config.toml", "config"].map(|name| above.join(".cargo").join(name))
        });
        Self(files.filter_map(|file| toml(&file)).collect())
    }

    fn find(&self, path: &[&str]) -> Option<&Item> {
        self.0.iter().find_map(|document| at(document.as_item(), path))
    }

    fn target(&self) -> Option<&str> {
        self.find(&["build", "target"])?.as_str()
    }

    /// The template for ESP-IDF projects sets `MCU`.
    fn chip(&self) -> Option<Chip> {
        let mcu = self.find(&["env", "MCU"])?;
        chip_named(mcu.as_str().or_else(|| at(mcu, &["value"])?.as_str())?)
    }
}

fn toml(file: &Path) -> Option<DocumentMut> {
    crate::disk::read_text(file, LARGEST).ok()?.parse().ok()
}

fn chip_named(name: &str) -> Option<Chip> {
    Chip::ALL.into_iter().find(|chip| chip.name() == name)
}

/// Some targets are those of one chip alone, on ESP-IDF as without it.
fn chip_of(target: &str) -> Option<Chip> {
    let architecture = |target: &str| target.split('-').take(2).collect::<Vec<_>>().join("-");
    let is_xtensa = target.starts_with("xtensa-");
    let mut alike = Chip::ALL
        .into_iter()
        .filter(|chip| is_xtensa && architecture(chip.target()) == architecture(target));
    alike.next()
}

fn malformed(file: &Path, text: &str, error: &toml_edit::TomlError) -> InitError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
    InitError::Malformed {
        location: Location { file: file.to_owned(), line: Some(line), column: Some(column) },
        message: error.message().to_owned(),
    }
}
