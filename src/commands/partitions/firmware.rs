//! App images beside a table: read, verified, and measured against its slots.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use crate::agent::image::{ImageError, LARGEST_IMAGE};
use crate::chip::Chip;
use crate::commands::{Context, context};
use crate::config::Project;
use crate::error::Failure;
use crate::image;
use crate::partition::{self, Code, Finding, MinFree, Options, Reading, SlotRoom};

/// The largest image and its signature, with room to say by how much a file is too large.
const LARGEST_FILE: u64 = 4 * 16 * 1024 * 1024;

/// What an image needs and what the slots have.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Measured {
    /// The file.
    pub(super) file: PathBuf,
    /// Its bytes: all of them are written into a slot.
    pub(super) size: usize,
    /// Each app partition; empty where the file is no image.
    pub(super) slots: Vec<SlotRoom>,
}

/// Judges an image: whether it is one, and whether it fits.
pub(super) fn measure(
    file: PathBuf,
    reading: &Reading,
    options: &Options,
    least: Option<MinFree>,
) -> Result<(Measured, Vec<Finding>), Failure> {
    let bytes = context::read(&file, LARGEST_FILE)?;
    let size = bytes.len();
    if let Some(finding) = unfit(&file, &bytes, options.chip) {
        return Ok((Measured { file, size, slots: Vec::new() }, vec![finding]));
    }
    let length = u64::try_from(size).unwrap_or(u64::MAX);
    let findings = partition::judge(reading, &file.display().to_string(), length, least);
    let slots = partition::headroom(reading, length);
    Ok((Measured { file, size, slots }, findings))
}

/// Why a file is no app image that boots.
fn unfit(file: &Path, bytes: &[u8], chip: Option<Chip>) -> Option<Finding> {
    let (why, help) = match image::read(bytes, chip) {
        Ok(info) if info.descriptor.is_some() => return None,
        Ok(_) => (
            "it has no app descriptor, as a bootloader or a merged image".to_owned(),
            "name the app image alone, as `cargo esp-ota build` writes it".to_owned(),
        ),
        Err(error) => (why(error), help(error)),
    };
    let message = format!("`{}` is no app image that boots: {why}", file.display());
    Some(Finding::new(Code::ImageInvalid, message).help(help))
}

fn why(error: ImageError) -> String {
    match error {
        ImageError::Chip { expected, found } => {
            let name =
                |id| Chip::from_image_id(id).map_or(format!("chip id {id}"), |it| it.to_string());
            format!("it is for {}, not for {}", name(found), name(expected))
        }
        ImageError::Length { image, .. } if image > LARGEST_IMAGE => {
            format!("it would have {image} bytes, but the bootloader takes {LARGEST_IMAGE}")
        }
        ImageError::Length { image, partition } => {
            format!("it would have {image} bytes, but the file ends after {partition}")
        }
        other => other.to_string(),
    }
}

fn help(error: ImageError) -> String {
    match error {
        ImageError::Magic(0x7f) => {
            "make an image of the ELF file: `cargo esp-ota build --elf FILE`"
        }
        ImageError::Chip { .. } => "name the image for this chip, or give the real `--chip`",
        _ => "name the app image that `cargo esp-ota build` wrote, or build it again",
    }
    .to_owned()
}

/// The newest image that `build` wrote for the project's product and chip.
pub(super) fn newest_build(context: &Context, project: &Project) -> Option<PathBuf> {
    let folder = project.folder.join("target").join("esp-ota");
    let start = format!("{}-{}-", project.product.value, project.chip.value);
    let entries = std::fs::read_dir(&folder).ok()?;
    let newest = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let is_ours = name.starts_with(&start) && name.ends_with(".bin");
            let metadata = entry.metadata().ok().filter(|it| is_ours && it.is_file())?;
            Some((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), name))
        })
        .max()
        .map(|(_, name)| folder.join(name));
    if let Some(file) = &newest {
        context.output.detail(format_args!("firmware {}, the newest build", file.display()));
    }
    newest
}
