//! `demo --firmware`: the firmware that `init` wrote takes the place of the tiny program.
//!
//! It is compiled as its owner would do it, once for each version. Nothing executes it here: on the
//! virtual device its agent runs from the tool's own copy of the same source.

use std::path::Path;

use toml_edit::{DocumentMut, Item, value};

use crate::commands::context;
use crate::error::{Exit, Explained, Failure};

/// The manifest and the main file of the template have a few kilobytes.
const LARGEST_FILE: u64 = 256 * 1024;
/// The function in which the owner of a firmware says whether an image is any good.
const GOOD: &str = "fn self_test() -> bool {\n    true\n}";
const BAD: &str = "fn self_test() -> bool {\n    false\n}";

/// The firmware is not what the demo expects.
#[derive(Debug, thiserror::Error)]
pub(super) enum FirmwareError {
    #[error("the demo cannot change its `{0}`")]
    Template(&'static str),
    #[error("the firmware could not be built")]
    Build,
}

impl Explained for FirmwareError {
    fn exit(&self) -> Exit {
        match self {
            Self::Template(_) => Exit::Output,
            Self::Build => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Template(_) => {
                Some("this is a mistake in cargo-esp-ota: please report it".into())
            }
            Self::Build => Some(
                "see above what is missing; `demo` without `--firmware` needs no compiler for the \
                 chip"
                    .into(),
            ),
        }
    }
}

/// Makes the firmware in `project` the one of a version, good or bad.
pub(super) fn turn_into(project: &Path, version: &str, is_good: bool) -> Result<(), Failure> {
    let file = project.join("Cargo.toml");
    let manifest = text(&file)?;
    let changed = versioned(&manifest, version).ok_or(FirmwareError::Template("Cargo.toml"))?;
    context::write(&file, changed.as_bytes())?;
    let file = project.join("src").join("main.rs");
    let changed = tested(&text(&file)?, is_good).ok_or(FirmwareError::Template("src/main.rs"))?;
    Ok(context::write(&file, changed.as_bytes())?)
}

fn text(file: &Path) -> Result<String, Failure> {
    let bytes = context::read(file, LARGEST_FILE)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn versioned(manifest: &str, version: &str) -> Option<String> {
    let mut manifest: DocumentMut = manifest.parse().ok()?;
    let package = manifest.get_mut("package").and_then(Item::as_table_like_mut)?;
    package.insert("version", value(version));
    Some(manifest.to_string())
}

fn tested(main: &str, is_good: bool) -> Option<String> {
    let (from, to) = if is_good { (BAD, GOOD) } else { (GOOD, BAD) };
    match (main.contains(from), main.contains(to)) {
        (true, _) => Some(main.replace(from, to)),
        (false, true) => Some(main.to_owned()),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = include_str!("../../../templates/firmware/src/main.rs");
    const MANIFEST: &str = include_str!("../../../templates/firmware/Cargo.toml.in");

    #[test]
    fn the_self_test_of_the_template_can_be_made_to_fail_and_back() {
        assert_eq!(tested(MAIN, true).as_deref(), Some(MAIN));
        let bad = tested(MAIN, false).unwrap();
        assert_eq!(bad.matches(BAD).count(), 1);
        assert_eq!(tested(&bad, false).as_deref(), Some(bad.as_str()));
        assert_eq!(tested(&bad, true).as_deref(), Some(MAIN));
        assert_eq!(tested("fn main() {}", true), None);
    }

    #[test]
    fn the_version_of_the_template_can_be_set_and_nothing_else_changes() {
        let manifest = MANIFEST.replace("{{product}}", "thermostat");
        let changed = versioned(&manifest, "1.2.0").unwrap();
        let expected = manifest.replace("version = \"0.1.0\"", "version = \"1.2.0\"");
        assert_ne!(changed, manifest);
        assert_eq!(changed, expected);
        assert_eq!(versioned("[dependencies]\n", "1.0.0"), None);
    }
}
