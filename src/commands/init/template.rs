//! The firmware that `init` writes: its files, and the few places where text is filled in.
//!
//! Substitution only. Unknown, unclosed and unused names are errors with a line; variants of the
//! firmware are separate files, not conditions. What a cargo project that is there already gets of
//! it is said here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use toml_edit::DocumentMut;

use super::InitError;
use crate::agent;
use crate::chip::Chip;
use crate::config::{self, Name};

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
    /// The manifest is no TOML.
    #[error("{0}")]
    Manifest(String),
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

/// The manifest of a new project. Another's gets its dependencies and features.
const MANIFEST: &[File] = files!["Cargo.toml" <- "Cargo.toml.in"];

/// What a new project gets besides the modules. Files with text to fill in end in `.in`; a folder
/// with a real `Cargo.toml` would be left out of the published crate.
const PROJECT: &[File] = files![
    "README.md" <- "README.md.in",
    ".cargo/config.toml" <- "cargo-config.toml.in",
    ".gitignore" <- "gitignore.in",
    ".rustfmt.toml" <- "rustfmt.toml.in",
    "build.rs" <- "build.rs",
    "src/main.rs" <- "src/main.rs",
    "src/heap.rs" <- "src/heap.rs.in",
    "src/net/mod.rs" <- "src/net/mod.rs",
    "src/net/station.rs" <- "src/net/station.rs",
    "src/platform/panic.rs" <- "src/platform/panic.rs",
];

/// The modules around the agent: whatever the rest of a firmware is, it needs these.
const MODULES: &[File] = files![
    "src/platform/mod.rs" <- "src/platform/mod.rs",
    "src/platform/c_library.rs" <- "src/platform/c_library.rs",
    "src/platform/unused.rs" <- "src/platform/unused.rs",
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

/// Dependencies that only files of new projects use: another one has its own panic handler, and a
/// radio or none.
pub(super) const DEPENDENCIES_OF_NEW_PROJECTS: &[&str] = &["esp-backtrace", "esp-radio"];
/// Features likewise.
pub(super) const FEATURES_OF_NEW_PROJECTS: &[&str] = &["default", "wifi"];

/// What a manifest says of the tool that wrote the modules.
pub(super) const MARK: &str = concat!("cargo-esp-ota ", env!("CARGO_PKG_VERSION"));

/// A line for a file that `init` does not touch, because it is its owner's.
pub(super) struct Line {
    /// Where in the file.
    pub(super) place: &'static str,
    /// The line.
    pub(super) code: &'static str,
    /// Where this text is in the file, the line is there already.
    pub(super) sign: &'static str,
}

/// For the root of the crate, where the modules are declared.
pub(super) const ROOT_LINES: &[Line] = &[Line {
    place: "the agent and its modules allocate",
    code: "extern crate alloc;",
    sign: "extern crate alloc",
}];

/// The agent's own module.
pub(super) const AGENT: &str = "ota";
/// What stands before it, where the compiler would miss whoever uses it.
pub(super) const AGENT_ATTRIBUTE: &str = "#[expect(dead_code, unused_imports, reason = \
                                          \"`cargo esp-ota` uses more of it than a device\")]";

/// For `main`.
pub(super) const MAIN_LINES: &[Line] = &[
    Line {
        place: "outside of functions: version and name, for the bootloader and for `build`",
        code: "esp_bootloader_esp_idf::esp_app_desc!();",
        sign: "esp_app_desc!",
    },
    Line {
        place: "first thing after `esp_hal::init`, before heap, radio and all that could fail",
        code: "let boot = updates::start(board.FLASH, board.RTC_TIMER);",
        sign: "updates::start(",
    },
    Line {
        place: "once there is a heap, which needs some 100 KB for TLS",
        code: "let updates = updates::open(boot);",
        sign: "updates::open(",
    },
    Line {
        place: "once there is a network stack; `updates.wifi` is the network that the device was given",
        code: "spawner.spawn(updates::run(updates, stack, self_test).expect(\"it is started once\"));",
        sign: "updates::run(",
    },
];

/// The build script of a project that has none. One that is there gets the body of its `main`.
pub(super) const BUILD_SCRIPT: &str = include_str!("../../../templates/firmware/build-existing.rs");
/// Where this is in a build script, the body is there already.
pub(super) const BUILD_SIGN: &str = "BUILD_TIME";

/// For `.cargo/config.toml`.
pub(super) const CARGO_LINES: &[Line] = &[
    Line {
        place: "so that `cargo run` puts it into a slot, and lets that boot",
        code: "runner = \"cargo esp-ota flash --monitor --elf\"",
        sign: "cargo esp-ota flash",
    },
    Line {
        place: "for `rustflags`: SHA-256 and SHA-512 without unrolled loops, some 50 KB less",
        code: "\"--cfg\", 'sha2_backend_soft=\"compact\"'",
        sign: "sha2_backend_soft",
    },
];

/// Every file of a new firmware, the agent included.
pub(super) fn new_project(values: &Values<'_>) -> Result<Vec<(PathBuf, String)>, InitError> {
    let is_xtensa = values.chip.target().starts_with("xtensa");
    let toolchain = if is_xtensa { XTENSA_TOOLCHAIN } else { RISCV_TOOLCHAIN };
    let mut files = rendered(&[MANIFEST, PROJECT, toolchain], values)?;
    files.extend(modules(values)?);
    Ok(files)
}

/// The modules that `main` declares, the agent included.
pub(super) fn modules(values: &Values<'_>) -> Result<Vec<(PathBuf, String)>, InitError> {
    let mut files = rendered(&[MODULES, cores(values.chip)], values)?;
    for (name, text) in agent::sources() {
        files.push((PathBuf::from("src/ota").join(name), text.to_owned()));
    }
    Ok(files)
}

/// Names of the modules that `main` declares.
pub(super) fn module_names() -> BTreeSet<&'static str> {
    let files = MODULES.iter().map(|file| file.path).chain([config::source::FILE, "src/roots.rs"]);
    let names = files.filter_map(|path| {
        let name = path.strip_prefix("src/")?.split('/').next()?;
        Some(name.strip_suffix(".rs").unwrap_or(name))
    });
    names.chain([AGENT]).collect()
}

/// The manifest of a new project, for what others need of it.
pub(super) fn manifest(values: &Values<'_>) -> Result<DocumentMut, InitError> {
    parsed(rendered(&[MANIFEST], values)?.into_iter().map(|(_, text)| text).collect())
}

/// The same with its holes, for what does not depend on chip and product.
pub(super) fn unfilled_manifest() -> Result<DocumentMut, InitError> {
    parsed(MANIFEST.iter().map(|file| file.text).collect())
}

fn parsed(text: String) -> Result<DocumentMut, InitError> {
    text.parse().map_err(|error: toml_edit::TomlError| InitError::Template {
        file: "Cargo.toml.in",
        source: TemplateError::Manifest(error.to_string()),
    })
}

fn rendered(
    lists: &[&'static [File]],
    values: &Values<'_>,
) -> Result<Vec<(PathBuf, String)>, InitError> {
    let names = BTreeMap::from([
        ("product", values.product.to_string()),
        ("chip", values.chip.to_string()),
        ("target", values.chip.target().to_owned()),
        ("heap_kb", heap_kb(values.chip).to_string()),
        ("tool_version", env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let mut files = Vec::new();
    for File { path, name, text } in lists.iter().copied().flatten() {
        let text = if name.ends_with(".in") {
            fill(text, &names).map_err(|source| InitError::Template { file: name, source })?
        } else {
            (*text).to_owned()
        };
        files.push((PathBuf::from(path), text));
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
fn fill(template: &str, values: &BTreeMap<&str, String>) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(template.len());
    for (index, text) in template.split_inclusive('\n').enumerate() {
        let line = index.saturating_add(1);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, tail) = after.split_once("}}").ok_or(TemplateError::Unclosed { line })?;
            let value = values
                .get(name)
                .ok_or_else(|| TemplateError::Unknown { line, name: name.to_owned() })?;
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
        let fill = |text| fill(text, &values);
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
            let files = new_project(&Values { chip, product: &product }).unwrap();
            for (path, text) in &files {
                assert!(!text.contains("{{"), "{chip}: {}", path.display());
            }
            let manifest = &files[0].1;
            let manifest: toml::Table = manifest.parse().unwrap();
            assert_eq!(manifest["package"]["name"].as_str(), Some("thermostat"));
            let mark = &manifest["package"]["metadata"]["esp-ota"]["generated-by"];
            assert_eq!(mark.as_str(), Some(MARK));
        }
    }

    #[test]
    fn what_is_filled_in_is_used_somewhere() {
        let all = [MANIFEST, PROJECT, RISCV_TOOLCHAIN, XTENSA_TOOLCHAIN, MODULES];
        let text: String = all.into_iter().flatten().map(|file| file.text).collect();
        for name in ["product", "chip", "target", "heap_kb", "tool_version"] {
            assert!(text.contains(&format!("{{{{{name}}}}}")), "{name}");
        }
    }

    #[test]
    fn main_declares_the_modules_and_no_line_is_for_what_is_not_there() {
        let main = PROJECT.iter().find(|file| file.path == "src/main.rs").unwrap().text;
        for name in module_names() {
            assert!(main.contains(&format!("\nmod {name};\n")), "{name}");
        }
        assert!(main.contains(&format!("\n{AGENT_ATTRIBUTE}\nmod ota;\n")));
        for Line { code, sign, .. } in ROOT_LINES.iter().chain(MAIN_LINES) {
            assert!(main.contains(code) && code.contains(sign), "{code}");
        }
        let product: Name = "thermostat".parse().unwrap();
        let manifest = manifest(&Values { chip: Chip::Esp32c3, product: &product }).unwrap();
        let modules = modules(&Values { chip: Chip::Esp32c3, product: &product }).unwrap();
        let source: String = modules.into_iter().map(|(_, text)| text).collect();
        let lines = MAIN_LINES.iter().map(|line| line.code);
        let source = source + &lines.collect::<String>() + "esp_alloc:: esp_rtos::";
        for (name, _) in manifest["dependencies"].as_table().unwrap() {
            let is_used = source.contains(&format!("{}::", name.replace('-', "_")))
                || source.contains(&format!("{} as _", name.replace('-', "_")));
            let is_for_new_ones = DEPENDENCIES_OF_NEW_PROJECTS.contains(&name);
            assert!(is_used != is_for_new_ones, "{name}");
        }
    }
}
