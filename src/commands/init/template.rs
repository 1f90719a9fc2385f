//! The firmware that `init` writes: its files, and the few places where text is filled in.
//!
//! Substitution only. Unknown, unclosed and unused names are errors with a line; variants of the
//! firmware are separate files, not conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::InitError;
use crate::agent;
use crate::chip::Chip;
use crate::config::Name;

/// What is filled in.
pub(super) struct Values<'a> {
    pub(super) chip: Chip,
    pub(super) product: &'a Name,
}

/// Why a template could not be filled in.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// `{{` without `}}` in the same line.
    #[error("line {line} has an opening `{{{{` without its end")]
    Unclosed {
        /// Line, from 1.
        line: usize,
    },
    /// Nothing of that name is known.
    #[error("line {line} names `{name}`, which nobody knows")]
    Unknown {
        /// Line, from 1.
        line: usize,
        /// The name.
        name: String,
    },
}

/// A file of the firmware: where it goes, what it is called here, and its text.
struct File {
    path: &'static str,
    name: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($path:literal <- $name:literal),* $(,)?) => {
        &[$(File {
            path: $path,
            name: $name,
            text: include_str!(concat!("../../../templates/firmware/", $name)),
        }),*]
    };
}

/// What a new project gets besides the modules. Files with text to fill in end in `.in`; a folder
/// with a real `Cargo.toml` would be left out of the published crate.
const PROJECT: &[File] = files![
    "Cargo.toml" <- "Cargo.toml.in",
    "README.md" <- "README.md.in",
    ".cargo/config.toml" <- "cargo-config.toml.in",
    ".gitignore" <- "gitignore.in",
    ".rustfmt.toml" <- "rustfmt.toml.in",
    "build.rs" <- "build.rs",
    "src/main.rs" <- "src/main.rs",
    "src/heap.rs" <- "src/heap.rs.in",
    "src/net/mod.rs" <- "src/net/mod.rs",
    "src/net/station.rs" <- "src/net/station.rs",
];

/// The modules around the agent: whatever the rest of a firmware is, it needs these.
const MODULES: &[File] = files![
    "src/platform/mod.rs" <- "src/platform/mod.rs",
    "src/platform/c_library.rs" <- "src/platform/c_library.rs",
    "src/platform/wall_clock.rs" <- "src/platform/wall_clock.rs",
    "src/platform/emulator/mod.rs" <- "src/platform/emulator/mod.rs",
    "src/platform/emulator/open_eth.rs" <- "src/platform/emulator/open_eth.rs",
    "src/platform/emulator/printf.rs" <- "src/platform/emulator/printf.rs",
    "src/tls.rs" <- "src/tls.rs",
    "src/updates/mod.rs" <- "src/updates/mod.rs",
    "src/updates/connection.rs" <- "src/updates/connection.rs",
    "src/updates/sntp.rs" <- "src/updates/sntp.rs",
];

/// rustup fetches the target for the RISC-V chips; espup's toolchain for Xtensa brings its own.
const RISCV_TOOLCHAIN: &[File] = files!["rust-toolchain.toml" <- "rust-toolchain.toml.in"];
const XTENSA_TOOLCHAIN: &[File] = files!["rust-toolchain.toml" <- "rust-toolchain-xtensa.toml.in"];

const ONE_CORE: &[File] = files!["src/platform/cores.rs" <- "src/platform/cores.rs"];
const TWO_CORES: &[File] = files!["src/platform/cores.rs" <- "src/platform/cores-two.rs"];

/// Every file of a new firmware, the agent included.
pub(super) fn firmware_files(values: &Values<'_>) -> Result<Vec<(PathBuf, String)>, InitError> {
    let is_xtensa = values.chip.target().starts_with("xtensa");
    let toolchain = if is_xtensa { XTENSA_TOOLCHAIN } else { RISCV_TOOLCHAIN };
    let names = BTreeMap::from([
        ("product", values.product.to_string()),
        ("chip", values.chip.to_string()),
        ("target", values.chip.target().to_owned()),
        ("heap_kb", heap_kb(values.chip).to_string()),
        ("tool_version", env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let mut unused: BTreeSet<&str> = names.keys().copied().collect();
    let mut files = Vec::new();
    let project = PROJECT.iter().chain(toolchain);
    for File { path, name, text } in project.chain(MODULES).chain(cores(values.chip)) {
        let text = if name.ends_with(".in") {
            fill(text, &names, &mut unused)
                .map_err(|source| InitError::Template { file: name, source })?
        } else {
            (*text).to_owned()
        };
        files.push((PathBuf::from(path), text));
    }
    debug_assert!(unused.is_empty(), "never filled in: {unused:?}");
    for (name, text) in agent::sources() {
        files.push((PathBuf::from("src/ota").join(name), text.to_owned()));
    }
    Ok(files)
}

/// KB of RAM that the heap gets besides the 60 KB of the bootloader. What the linker has left over
/// is the stack, and the agent takes 14 KB of that.
fn heap_kb(chip: Chip) -> u32 {
    match chip {
        Chip::Esp32c2 => 88,
        Chip::Esp32 | Chip::Esp32s2 => 96,
        Chip::Esp32s3
        | Chip::Esp32c3
        | Chip::Esp32c5
        | Chip::Esp32c6
        | Chip::Esp32c61
        | Chip::Esp32h2
        | Chip::Esp32p4 => 128,
    }
}

/// Chips with two cores have to park one of them while they write flash.
fn cores(chip: Chip) -> &'static [File] {
    match chip {
        Chip::Esp32 | Chip::Esp32s3 | Chip::Esp32p4 => TWO_CORES,
        Chip::Esp32s2
        | Chip::Esp32c2
        | Chip::Esp32c3
        | Chip::Esp32c5
        | Chip::Esp32c6
        | Chip::Esp32c61
        | Chip::Esp32h2 => ONE_CORE,
    }
}

/// Replaces each `{{name}}`. Everything else is copied as it is.
fn fill<'a>(
    template: &str,
    values: &BTreeMap<&'a str, String>,
    unused: &mut BTreeSet<&'a str>,
) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(template.len());
    for (index, text) in template.split_inclusive('\n').enumerate() {
        let line = index.saturating_add(1);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, tail) = after.split_once("}}").ok_or(TemplateError::Unclosed { line })?;
            let value = values
                .get(name)
                .ok_or_else(|| TemplateError::Unknown { line, name: name.to_owned() })?;
            unused.remove(name);
            filled.push_str(before);
            filled.push_str(value);
            rest = tail;
        }
        filled.push_str(rest);
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_in_a_template_is_an_error_with_its_line() {
        let values = BTreeMap::from([("chip", "esp32c3".to_owned())]);
        let fill = |text| fill(text, &values, &mut BTreeSet::new());
        assert_eq!(fill("a {{chip}}\n").unwrap(), "a esp32c3\n");
        assert_eq!(
            fill("// {{chip}}\n#![no_{{sdt}}]\n"),
            Err(TemplateError::Unknown { line: 2, name: "sdt".into() })
        );
        assert_eq!(fill("{{chip\n}}"), Err(TemplateError::Unclosed { line: 1 }));
    }

    #[test]
    fn every_chip_with_wifi_gets_a_firmware_without_holes() {
        let product: Name = "thermostat".parse().unwrap();
        for chip in Chip::ALL.into_iter().filter(|chip| chip.has_wifi()) {
            let files = firmware_files(&Values { chip, product: &product }).unwrap();
            for (path, text) in &files {
                assert!(!text.contains("{{"), "{chip}: {}", path.display());
            }
            let manifest = &files[0].1;
            let manifest: toml::Table = manifest.parse().unwrap();
            assert_eq!(manifest["package"]["name"].as_str(), Some("thermostat"));
        }
    }
}
