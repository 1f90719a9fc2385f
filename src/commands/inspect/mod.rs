//! `inspect`: what a file is, and why it must not be published if so.

mod words;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Context, ContextError, context, partitions};
use crate::chip::Chip;
use crate::config::{Overrides, Project};
use crate::error::{Exit, Explained, Failure};
use crate::image::inspect::{
    Elf, Expected, Flash, Image, Inspection, Kind, MOST_BYTES, Note, Slot, Unfit, digest, inspect,
};

use crate::release::rules::{self, Refused};

/// Stands for standard input, where a file is expected.
const STANDARD_INPUT: &str = "-";

/// Codes of notes about a version that only the command line can give.
const VERSION_NOTES: [&str; 4] =
    ["no-descriptor", "version-not-semantic", "version-with-build", "version-between-releases"];

/// Say what a file is, and whether it may be published
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// File of any kind, `-` for standard input
    file: PathBuf,
    /// Chip that an image has to be for [default: the project's, or any]
    #[arg(long)]
    chip: Option<Chip>,
}

/// A reason not to publish.
#[derive(Debug, Serialize)]
struct Problem {
    code: &'static str,
    message: String,
    help: Option<String>,
}

/// What an image leaves of a slot of the project.
#[derive(Debug, Serialize)]
struct Room {
    name: String,
    size: u32,
    /// Below zero where it does not fit.
    free: i64,
}

/// What `inspect` has to say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct InspectReport {
    file: PathBuf,
    kind: Kind,
    evidence: Vec<String>,
    publishable: bool,
    chip: Option<Chip>,
    /// The chip that it has to be for, where one is known.
    expected_chip: Option<Chip>,
    size: usize,
    sha256: String,
    image: Option<Image>,
    elf: Option<Elf>,
    flash: Option<Flash>,
    slots: Vec<Room>,
    problems: Vec<Problem>,
    notes: Vec<Note>,
}

impl Inspect {
    /// Reads the file and reports. Where it must not be published, the first reason is the exit
    /// code.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let overrides = Overrides { chip: self.chip, ..Overrides::default() };
        let expected = match context.project_if_any(&overrides)? {
            Some(project) => expected(&project)?,
            None => Expected { chip: self.chip, slots: Vec::new() },
        };
        let bytes = read(&self.file)?;
        let found = inspect(&bytes, &expected);
        let exit = found.problems.first().map_or(Exit::Success, Explained::exit);
        context.output.answer(&report(self.file, &bytes, found, &expected), exit)
    }
}

/// What an image of a project has to be for: its chip, and each of its slots.
pub(super) fn expected(project: &Project) -> Result<Expected, Failure> {
    let (table, _) = partitions::project_table(project)?;
    let slots = table.slots().into_iter();
    let slots = slots.map(|slot| Slot { name: slot.kind.subtype_text(), size: slot.size });
    Ok(Expected { chip: Some(project.chip.value), slots: slots.collect() })
}

fn read(file: &Path) -> Result<Vec<u8>, ContextError> {
    if file == Path::new(STANDARD_INPUT) {
        return crate::disk::read_bounded(io::stdin().lock(), MOST_BYTES)
            .map_err(|source| ContextError::Input { file: file.to_owned(), source });
    }
    context::read(file, MOST_BYTES)
}

/// What `publish` would say of the version of a good image, which says one.
fn version_note(found: &Inspection) -> Option<Note> {
    let app = found.image.as_ref()?.descriptor.as_ref().filter(|_| found.is_publishable())?;
    let refused = rules::version(&app.version).err()?;
    let code = match refused {
        Refused::Build { .. } => "version-with-build",
        Refused::Describe(_) => "version-between-releases",
        _ => "version-not-semantic",
    };
    let help = refused.help().unwrap_or_default();
    Some(Note { code, message: format!("`publish` takes another version: {refused}; {help}") })
}

fn report(
    file: PathBuf,
    bytes: &[u8],
    mut found: Inspection,
    expected: &Expected,
) -> InspectReport {
    found.notes.extend(version_note(&found));
    let length = found.image.as_ref().and_then(|image| image.length).filter(|_| {
        // Nothing else goes into a slot.
        found.kind == Kind::App
    });
    let slots = expected.slots.iter().zip(length.into_iter().cycle());
    let slots = slots.map(|(slot, length)| Room {
        name: slot.name.clone(),
        size: slot.size,
        free: i64::from(slot.size).saturating_sub_unsigned(length),
    });
    InspectReport {
        file,
        publishable: found.is_publishable(),
        chip: found.chip(),
        expected_chip: expected.chip,
        size: bytes.len(),
        sha256: digest(bytes),
        slots: slots.collect(),
        problems: found.problems.iter().map(Problem::from).collect(),
        kind: found.kind,
        evidence: found.evidence,
        image: found.image,
        elf: found.elf,
        flash: found.flash,
        notes: found.notes,
    }
}

impl InspectReport {
    /// Whether `publish` cannot take the version from the image.
    fn needs_version(&self) -> bool {
        self.notes.iter().any(|note| VERSION_NOTES.contains(&note.code))
    }
}

impl From<&Unfit> for Problem {
    fn from(unfit: &Unfit) -> Self {
        Self { code: unfit.code(), message: unfit.to_string(), help: unfit.help() }
    }
}
