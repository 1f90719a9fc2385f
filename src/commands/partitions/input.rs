//! A table from wherever it is: a file, standard input or the project.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::LARGEST_FILE;
use crate::chip::Chip;
use crate::commands::{Context, ContextError, context};
use crate::config::{Overrides, Project};
use crate::error::Failure;
use crate::flash_size::FlashSize;
use crate::partition::{self, ExtraSubtypes, Options, Reading, SecureBoot};

/// Stands for standard input, where a file is expected.
pub(super) const STANDARD_INPUT: &str = "-";

/// Which table, and what it is judged against.
#[derive(Debug, clap::Args)]
pub(super) struct Input {
    /// Table as CSV or binary, `-` for standard input [default: the project's]
    file: Option<PathBuf>,
    /// Chip, for the rules that differ [default: the project's]
    #[arg(long)]
    chip: Option<Chip>,
    /// Size of the flash chip [default: the project's; without one, no size rule]
    #[arg(long, value_name = "SIZE")]
    flash_size: Option<FlashSize>,
    /// Where the table is in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000", value_parser = offset)]
    table_offset: u32,
    /// Alignment rules of Secure Boot
    #[arg(long, value_enum)]
    secure_boot: Option<SecureBootVersion>,
    /// Where a `bootloader, primary` row is, as gen_esp32part.py takes it
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    primary_bootloader_offset: Option<u32>,
    /// Where a `bootloader, recovery` row is, as gen_esp32part.py takes it
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    recovery_bootloader_offset: Option<u32>,
    /// The bootloader has anti-rollback switched on
    #[arg(long)]
    anti_rollback: bool,
    /// Words for subtypes beside ESP-IDF's own, between semicolons: `app, my_app, 0x40; …`
    #[arg(long, value_name = "ENTRIES", default_value = "", hide_default_value = true)]
    extra_partition_subtypes: ExtraSubtypes,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SecureBootVersion {
    V1,
    V2,
}

/// A table as far as it could be read.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The file, as the user named it.
    pub(super) file: PathBuf,
    /// What is in it.
    pub(super) reading: Reading,
    /// What it is judged against.
    pub(super) options: Options,
    /// The file as it is.
    pub(super) bytes: Vec<u8>,
    /// The project, where the table is the project's own.
    pub(super) project: Option<Project>,
}

/// Reads `0x8000` or `32768`.
pub(in crate::commands) fn offset(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|error| error.to_string())
}

/// The environment, for `$VAR` in a table. What is not UTF-8 cannot stand in one.
pub(super) fn variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl Input {
    /// Reads the table.
    pub(super) fn load(self, context: &Context) -> Result<Loaded, Failure> {
        let mut options = Options {
            chip: self.chip,
            flash_size: self.flash_size.map(FlashSize::bytes),
            table_offset: self.table_offset,
            secure_boot: self.secure_boot.map(|version| match version {
                SecureBootVersion::V1 => SecureBoot::V1,
                SecureBootVersion::V2 => SecureBoot::V2,
            }),
            primary_bootloader_offset: self.primary_bootloader_offset,
            recovery_bootloader_offset: self.recovery_bootloader_offset,
            anti_rollback: self.anti_rollback,
            extra_subtypes: self.extra_partition_subtypes,
            variables: variables(),
        };
        let mut own = None;
        let file = match self.file {
            Some(file) => file,
            None => {
                let overrides = Overrides {
                    chip: self.chip,
                    flash_size: self.flash_size,
                    ..Overrides::default()
                };
                let project = context.project(&overrides)?;
                options.chip = Some(project.chip.value);
                options.flash_size = Some(project.flash_size.value.bytes());
                let file = project.path(&project.partitions.value);
                own = Some(project);
                file
            }
        };
        let bytes = if file == Path::new(STANDARD_INPUT) {
            crate::disk::read_bounded(io::stdin().lock(), LARGEST_FILE)
                .map_err(|source| ContextError::Input { file: file.clone(), source })?
        } else {
            context::read(&file, LARGEST_FILE)?
        };
        let reading = partition::read(&bytes, Some(&file), &options);
        Ok(Loaded { file, reading, options, bytes, project: own })
    }
}
