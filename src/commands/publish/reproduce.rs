//! `publish --reproduce`: the same source twice, and the same bytes, or it is not published.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::chip::Chip;
use crate::commands::{Context, ContextError, build, context, stamp};
use crate::config::Project;
use crate::error::{Exit, Explained, Failure};
use crate::image::{Difference, differences};
use crate::output::{Paint, Report, Tone};

/// Where the second build puts everything, below the project.
const SECOND: &str = "target/esp-ota/reproduce";
/// Differences that people are shown: the first lead to the cause.
const SHOWN: usize = 12;

/// The second build cannot be compared with the first.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not set, so two builds would state two times", stamp::VARIABLE)]
pub(super) struct NoStamp;

impl Explained for NoStamp {
    fn exit(&self) -> Exit {
        Exit::Project
    }

    fn help(&self) -> Option<String> {
        Some(format!(
            "set it to a time that others can know: `export {}=$(git log -1 --format=%ct)`",
            stamp::VARIABLE
        ))
    }
}

/// What came out of it.
pub(super) enum Reproduced {
    /// The image, made twice with the same bytes.
    Same(PathBuf),
    /// Two images.
    Differs(DifferenceReport),
}

/// Where two builds differ.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct DifferenceReport {
    product: String,
    chip: Chip,
    version: String,
    /// Always `false`.
    reproduced: bool,
    first: BuiltImage,
    second: BuiltImage,
    differences: Vec<Difference>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct BuiltImage {
    file: PathBuf,
    size: usize,
    sha256: String,
}

/// Builds as `publish` does, then once more from nothing.
///
/// The first is what would be published, whatever cargo had of it already: a stale part of it shows
/// as a difference to a clean build, too.
pub(super) fn build_twice(context: &Context, project: &Project) -> Result<Reproduced, Failure> {
    if context::os_variable(stamp::VARIABLE).is_none() {
        return Err(NoStamp.into());
    }
    let first = build::build(context, project, None, None, &[])?;
    let folder = project.path(Path::new(SECOND));
    let gone = std::fs::remove_dir_all(&folder);
    if let Some(source) = gone.err().filter(|it| it.kind() != io::ErrorKind::NotFound) {
        return Err(ContextError::Output { file: folder, source }.into());
    }
    context.output.status(format_args!("once more, from nothing, in `{}`", folder.display()));
    // Cargo runs in the project's folder.
    let arguments = [OsString::from("--target-dir"), OsString::from(SECOND)];
    let image = folder.join(first.file.file_name().unwrap_or_default());
    let second = build::build(context, project, None, Some(image), &arguments)?;
    let chip = project.chip.value;
    let differences = differences(&first.image, &second.image, chip);
    if differences.is_empty() {
        return Ok(Reproduced::Same(first.file));
    }
    Ok(Reproduced::Differs(DifferenceReport {
        product: project.product.value.to_string(),
        chip,
        version: first.version.clone(),
        reproduced: false,
        first: BuiltImage::of(first),
        second: BuiltImage::of(second),
        differences,
    }))
}

impl BuiltImage {
    fn of(built: build::Built) -> Self {
        let sha256 = crate::image::inspect::digest(&built.image);
        Self { size: built.image.len(), sha256, file: built.file }
    }
}

impl Report for DifferenceReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Self { product, version, chip, first, second, differences, .. } = self;
        let title = paint.tone(Tone::Strong, "two builds of the same source are not the same");
        writeln!(out, "{product} {version} for {chip}: {title}; nothing was published")?;
        for BuiltImage { file, size, sha256 } in [first, second] {
            writeln!(out, "  {}: {size} bytes, SHA-256 {sha256}", file.display())?;
        }
        for Difference { offset, length, place, address } in differences.iter().take(SHOWN) {
            let address = address.map_or(String::new(), |it| format!(", {it:#010x} on the device"));
            writeln!(out, "  {offset:#08x}: {length} bytes in {place}{address}")?;
        }
        match differences.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more"),
        }
    }
}
