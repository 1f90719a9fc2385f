//! `build`: firmware → app image, checked against every slot.

mod cargo;
mod dates;
mod error;
mod messages;
mod published;
mod remap;
mod report;
mod trouble;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Context, ca, context, partitions, project_agent};
use crate::config::{Overrides, Project, source};
use crate::error::{Exit, Failure};
use crate::image;
use crate::image::parts::{self, Origins};
use crate::partition::Table;
use cargo::{Compiled, cargo_build};
use dates::CertificateDates;
pub use error::BuildError;
use report::{BuildReport, PartReport, Section, Slot};

/// An ELF file with all debug information of a large firmware.
pub(super) const LARGEST_ELF: u64 = 512 * 1024 * 1024;
/// The generated settings have half a kilobyte.
const LARGEST_SETTINGS: u64 = 1024 * 1024;
/// The TUF root that the firmware embeds.
pub(super) const ROOT_FILE: &str = "trust/root.json";
/// Metadata of TUF roots has a few kilobytes.
const LARGEST_ROOT: u64 = 64 * 1024;

/// Build the firmware into an app image that fits every slot
#[derive(Debug, clap::Args)]
pub struct Build {
    /// Take this ELF file instead of running cargo
    #[arg(long, value_name = "FILE", conflicts_with = "cargo_arguments")]
    elf: Option<PathBuf>,
    /// Where to write the image [default: target/esp-ota/PRODUCT-CHIP-VERSION.bin]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also print the bytes of each part: TLS, Wi-Fi, the update agent and so on
    #[arg(long)]
    parts: bool,
    /// Arguments for `cargo build`, such as `-- --features mine`
    #[arg(last = true, value_name = "ARGUMENTS")]
    cargo_arguments: Vec<OsString>,
    #[command(flatten)]
    project: Overrides,
}

/// An image that fits, and what is known of it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) image: Vec<u8>,
    pub(super) file: PathBuf,
    pub(super) version: String,
    smallest_slot: (String, u32),
    slots: Vec<Slot>,
    /// The project that the image names in its app descriptor.
    named: String,
    /// The program it was made from.
    elf: Vec<u8>,
    /// What cargo said, where cargo ran.
    compiled: Option<Compiled>,
}

impl Build {
    /// Builds, converts, checks, writes.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&self.project)?;
        let built =
            build(context, &project, self.elf.as_deref(), self.output, &self.cargo_arguments)?;
        let chip = project.chip.value;
        let parts = parts::parts(&built.elf, &built.image, chip, &built.origins(context))?;
        let sections = image::sizes(&built.image, chip);
        let size = built.image.len();
        let (published, not_compared) = published::compare(
            context,
            &project,
            &tuf_root(&project)?,
            u64::try_from(size).unwrap_or(u64::MAX),
            &sections,
        );
        let certificate_dates = built.certificate_dates();
        let (slot, slot_size) = built.smallest_slot;
        let report = BuildReport {
            file: built.file,
            version: built.version,
            size,
            smallest_slot: slot,
            slot_size,
            free: slot_size.saturating_sub(u32::try_from(size).unwrap_or(u32::MAX)),
            slots: built.slots,
            sections: sections.into_iter().map(Section::from).collect(),
            published,
            not_compared,
            parts: parts.map(|shares| shares.into_iter().map(PartReport::from).collect()),
            certificate_dates,
            shows_parts: self.parts,
        };
        context.output.answer(&report, Exit::Success)
    }
}

impl Built {
    /// Whose code is in the program: what cargo said, else what the program says.
    fn origins(&self, context: &Context) -> Origins {
        let mut origins = self.compiled.as_ref().map(|it| it.origins(context)).unwrap_or_default();
        if origins.own_crates.is_empty() && !self.named.is_empty() {
            origins.own_crates.push(self.named.replace('-', "_"));
        }
        origins
    }

    fn certificate_dates(&self) -> CertificateDates {
        self.compiled.as_ref().map_or(CertificateDates::Unknown, |it| it.dates)
    }
}

/// The TUF root of a project, which its firmware embeds and its releases are verified with.
pub(super) fn tuf_root(project: &Project) -> Result<Vec<u8>, Failure> {
    let file = project.path(Path::new(ROOT_FILE));
    if file.is_file() {
        Ok(context::read(&file, LARGEST_ROOT)?)
    } else {
        Err(BuildError::NoRoot(file).into())
    }
}

/// Makes the image of a project. Everything that can be refused is refused before cargo runs.
pub(super) fn build(
    context: &Context,
    project: &Project,
    elf: Option<&Path>,
    output: Option<PathBuf>,
    cargo_arguments: &[OsString],
) -> Result<Built, Failure> {
    tuf_root(project)?;
    let (table, _) = partitions::project_table(project)?;
    ca::check_embedded(project, context.now())?;
    if let Some((file, text)) = stale_settings(project)? {
        context.output.status(format_args!("`{}` follows `esp-ota.toml`", file.display()));
        context::write(&file, text.as_bytes())?;
    }
    let compiled = match elf {
        Some(_) => None,
        None => {
            // The firmware reads it too, and would say so after minutes.
            context.stamp()?;
            let agent = project_agent(project)?;
            Some(cargo_build(context, project, cargo_arguments, agent.as_deref())?)
        }
    };
    if let Some(compiled) = compiled.as_ref().filter(|it| it.dates == CertificateDates::NotEnforced)
    {
        context.output.remark(dates::remark(compiled.has_clock_feature()));
    }
    let program = compiled.as_ref().map(|it| it.program.as_path()).or(elf).unwrap_or(Path::new(""));
    let elf = context::read(program, LARGEST_ELF)?;
    let chip = project.chip.value;
    let image = image::from_elf(&elf, chip, project.flash_size.value)?;
    let info = image::read(&image, Some(chip))
        .map_err(|source| BuildError::Image { file: program.to_owned(), source })?;
    let smallest_slot = fit(&table, info.len)?;
    let slots = table.slots().into_iter().map(|slot| Slot {
        name: slot.label.to_string(),
        size: slot.size,
        free: slot.size.saturating_sub(info.len),
    });
    let slots = slots.collect();
    let descriptor = info.descriptor.as_ref();
    let version = descriptor.map_or("", |it| it.version()).to_owned();
    let named = descriptor.map_or("", |it| it.project()).to_owned();
    let file = output.unwrap_or_else(|| {
        let name = format!("{}-{chip}-{}.bin", project.product.value, file_part(&version));
        project.folder.join("target").join("esp-ota").join(name)
    });
    context::write(&file, &image)?;
    Ok(Built { image, file, version, smallest_slot, slots, named, elf, compiled })
}

/// The generated settings of the firmware, where they are there and do not say what `esp-ota.toml`
/// says now: the file and what belongs into it. A file without our header is somebody's own.
pub(super) fn stale_settings(project: &Project) -> Result<Option<(PathBuf, String)>, Failure> {
    let file = project.path(Path::new(source::FILE));
    if !file.is_file() {
        return Ok(None);
    }
    let found = context::read(&file, LARGEST_SETTINGS)?;
    let wanted = source::rust(project);
    let is_ours = found.starts_with(source::HEADER.as_bytes());
    Ok((is_ours && found != wanted.as_bytes()).then_some((file, wanted)))
}

/// A version in a file name: whatever a firmware calls itself, it stays in its folder.
fn file_part(version: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-+_".contains(c);
    let part: String = version.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if part.is_empty() { "unversioned".into() } else { part }
}

/// The image has to fit every slot, since every slot gets its turn. Gives the smallest.
fn fit(table: &Table, image: u32) -> Result<(String, u32), BuildError> {
    let slots = table.slots();
    if let Some(slot) = slots.iter().find(|slot| slot.size < image) {
        let fits = slots.iter().find(|slot| slot.size >= image);
        return Err(BuildError::TooLarge {
            image,
            slot: slot.label.to_string(),
            room: slot.size,
            fits: fits.map(|slot| slot.label.to_string()),
        });
    }
    let smallest = table.smallest_slot();
    Ok(smallest.map_or((String::new(), 0), |slot| (slot.label.to_string(), slot.size)))
}
