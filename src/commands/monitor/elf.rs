//! The ELF file in which addresses are looked up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Options;
use crate::commands::{Context, build, context};
use crate::config::Overrides;
use crate::error::Failure;

/// Folders and files of cargo's that are looked at.
const MOST_ENTRIES: usize = 10_000;
/// How the names of Rust's targets for these chips begin.
const TARGETS: [&str; 2] = ["riscv32", "xtensa"];

/// An ELF file: its path and its bytes.
#[derive(Debug)]
pub(super) struct Elf {
    pub(super) file: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Whether somebody has named it, so that one that cannot be used is a failure.
    pub(super) is_named: bool,
}

/// Reads the file that is named, or the newest that cargo has built in the project around where that
/// can be what runs.
pub(super) fn find(context: &Context, options: &Options) -> Result<Option<Elf>, Failure> {
    if let Some(file) = &options.elf {
        let bytes = context::read(file, build::LARGEST_ELF)?;
        return Ok(Some(Elf { file: file.clone(), bytes, is_named: true }));
    }
    if options.is_other_program {
        context.output.detail("addresses are not looked up: the app has no ELF file here");
        return Ok(None);
    }
    // A project that cannot be read is no reason not to watch a device.
    let Ok(Some(project)) = context.project_if_any(&Overrides::default()) else { return Ok(None) };
    let target = context::os_variable("CARGO_TARGET_DIR").map(PathBuf::from);
    let Some(file) = newest(&target.unwrap_or_else(|| project.path(Path::new("target")))) else {
        return Ok(None);
    };
    match context::read(&file, build::LARGEST_ELF) {
        Ok(bytes) => Ok(Some(Elf { file, bytes, is_named: false })),
        Err(error) => {
            context.output.detail(format_args!("addresses are not looked up: {error}"));
            Ok(None)
        }
    }
}

/// The program that was built last: `target/riscv32imc-unknown-none-elf/release/NAME`.
fn newest(target: &Path) -> Option<PathBuf> {
    let of_chips = folders(target).filter(|folder| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        TARGETS.iter().any(|target| name.starts_with(target))
    });
    let profiles = of_chips.flat_map(|folder| folders(&folder));
    let programs = profiles.flat_map(|folder| entries(&folder)).filter_map(|file| {
        let meta = fs::metadata(&file).ok().filter(fs::Metadata::is_file)?;
        let is_program = file.extension().is_none() && is_elf(&file);
        let built = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        is_program.then_some((built, file))
    });
    programs.max().map(|(_, file)| file)
}

fn folders(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    entries(folder).filter(|entry| entry.is_dir())
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().take(MOST_ENTRIES);
    entries.flatten().map(|entry| entry.path())
}

fn is_elf(file: &Path) -> bool {
    let mut start = [0; 4];
    let read =
        fs::File::open(file).and_then(|mut file| io::Read::read_exact(&mut file, &mut start));
    read.is_ok() && start == *b"\x7fELF"
}
