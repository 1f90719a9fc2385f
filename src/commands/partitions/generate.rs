//! `partitions generate`: from what is wanted to a table, with a picture of what came out.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use serde::Serialize;

use super::input::{STANDARD_INPUT, offset};
use super::rows::RowReport;
use super::{LARGEST_FILE, canvas, firmware, show};
use crate::chip::Chip;
use crate::commands::context::variable;
use crate::commands::{Context, ContextError, context};
use crate::config::{ConfigError, Overrides, Project};
use crate::error::{Exit, Explained, Failure};
use crate::flash_size::FlashSize;
use crate::output::{Format, Paint, Report, Screen};
use crate::partition::{
    self, DataRequest, Finding, Generated, Intent, PRESETS, Preset, Reading, Region, Request,
    Severity, Size, SlotRoom, Table,
};

/// Generate a table from what is wanted: slots, data partitions, or a preset
#[derive(Debug, clap::Args)]
#[command(after_help = "Without `rest`, the slots take all that is left; with one, 5/8 of the \
                        flash, or what `--min-slot` and `--image` ask for. A file of another \
                        content is not replaced without `--force`.")]
pub(super) struct Generate {
    /// Chip, whose bootloader has to stay free [default: the project's]
    #[arg(long)]
    chip: Option<Chip>,
    /// Size of the flash chip [default: the project's, or that of the preset]
    #[arg(long, value_name = "SIZE")]
    flash_size: Option<FlashSize>,
    /// Number of OTA slots, 2 to 16
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=16))]
    slots: u8,
    /// Add a factory app of the size of a slot
    #[arg(long)]
    factory: bool,
    /// Data partitions, such as `nvs=24K,spiffs=rest,files:littlefs=1M` [default: nvs=20K]
    #[arg(long, value_name = "NAME=SIZE", value_delimiter = ',')]
    data: Vec<DataRequest>,
    /// A layout known by name, with its own slots and data
    #[arg(long, value_name = "NAME", value_parser = PresetParser, conflicts_with_all = ["slots", "factory", "data"])]
    preset: Option<&'static Preset>,
    /// Least size of a slot, such as `1536K`
    #[arg(long, value_name = "SIZE")]
    min_slot: Option<Size>,
    /// App image that has to fit a slot, and to have room to grow
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Where the table is in flash
    #[arg(long, value_name = "OFFSET", default_value = "0x8000", value_parser = offset)]
    table_offset: u32,
    /// Where to write it: CSV, or binary where the name ends in .bin [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file of `--output`, whatever is in it
    #[arg(long, requires = "output")]
    force: bool,
}

/// Reads the name of a preset, lists those that exist.
#[derive(Clone)]
struct PresetParser;

impl clap::builder::TypedValueParser for PresetParser {
    type Value = &'static Preset;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Self::Value, clap::Error> {
        if let Some(preset) = value.to_str().and_then(Preset::from_name) {
            return Ok(preset);
        }
        // clap words the refusal, and suggests the nearest name.
        let names = PRESETS.iter().map(|preset| PossibleValue::new(preset.name));
        let names = clap::builder::PossibleValuesParser::new(names);
        names.parse_ref(command, argument, value).and_then(|name| {
            Preset::from_name(&name)
                .ok_or_else(|| clap::Error::new(clap::error::ErrorKind::InvalidValue))
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value = |preset: &Preset| PossibleValue::new(preset.name).help(preset.about);
        Some(Box::new(PRESETS.iter().map(value)))
    }
}

/// Why no table is written.
#[derive(Debug, thiserror::Error)]
enum GenerateError {
    #[error("the size of the flash is not known")]
    FlashSize(#[source] ConfigError),
    #[error("{}", .0.message)]
    Image(Box<Finding>),
    #[error("`{}` exists already and holds something else", .0.display())]
    Exists(PathBuf),
}

impl Explained for GenerateError {
    fn exit(&self) -> Exit {
        match self {
            Self::FlashSize(_) => Exit::Usage,
            Self::Image(_) => Exit::Rejected,
            Self::Exists(_) => Exit::Output,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::FlashSize(_) => {
                Some("pass `--flash-size`, such as `--flash-size 4MB`, or `--preset`".into())
            }
            Self::Image(finding) => finding.help.clone(),
            Self::Exists(file) => Some(format!(
                "pass `--force` to replace `{}`, or write to another file and see \
                 `cargo esp-ota partitions diff`",
                file.display()
            )),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct GenerateReport {
    chip: Option<Chip>,
    flash_size: u32,
    table_offset: u32,
    preset: Option<&'static str>,
    output: Option<PathBuf>,
    changed: bool,
    rows: Vec<RowReport>,
    slots: Vec<SlotReport>,
    image: Option<ImageReport>,
    /// Bytes that belong to nothing.
    unused: u64,
    findings: Vec<Finding>,
    csv: String,
    #[serde(skip)]
    regions: Vec<Region>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct SlotReport {
    name: String,
    offset: u32,
    size: u32,
    /// What the image leaves, where there is one.
    free: Option<i64>,
    free_percent: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ImageReport {
    file: PathBuf,
    size: u32,
}

impl Generate {
    pub(super) fn run(mut self, context: &Context) -> Result<Exit, Failure> {
        let output = self.output.take().filter(|file| file != Path::new(STANDARD_INPUT));
        let force = self.force;
        let (request, image) = self.request(context)?;
        let made = partition::generate(&request)?;
        let mut report = GenerateReport::new(&request, &made, image);
        for finding in made.report.findings.iter().filter(|it| it.severity >= Severity::Warning) {
            let help = finding.help.as_ref().map_or_else(String::new, |help| format!(": {help}"));
            context.output.warn(format_args!("[{}] {}{help}", finding.code, finding.message));
        }
        match output {
            Some(file) => {
                let is_binary = file.extension().is_some_and(|it| it.eq_ignore_ascii_case("bin"));
                let bytes = match is_binary {
                    true => partition::encode(&made.table)?,
                    false => made.csv.into_bytes(),
                };
                report.changed = write(&file, &bytes, force)?;
                report.output = Some(file);
            }
            // The CSV is the answer; what explains it must not get into it.
            None if context.output.format() != Format::Json => {
                let mut text = Vec::new();
                let drawn = report.explain(&mut text, Paint::PLAIN, Screen::of_status());
                drawn.map_err(|source| ContextError::Output { file: "-".into(), source })?;
                context.output.status(String::from_utf8_lossy(&text).trim_end());
            }
            None => {}
        }
        context.output.answer(&report, Exit::Success)
    }

    fn request(self, context: &Context) -> Result<(Request, Option<ImageReport>), Failure> {
        let (chip, flash_size) = self.hardware(context)?;
        let intent = match self.preset {
            Some(preset) => Intent::Preset(preset),
            None => Intent::Slots { slots: self.slots, factory: self.factory, data: self.data },
        };
        let image = self.image.map(|file| measure(file, chip)).transpose()?;
        let request = Request {
            chip,
            table_offset: self.table_offset,
            least_slot: self.min_slot.and_then(|size| u32::try_from(size.0).ok()),
            image: image.as_ref().map(|it| (it.file.display().to_string(), it.size)),
            ..Request::new(flash_size, intent)
        };
        Ok((request, image))
    }

    /// Chip and flash size: as typed, else the project's, else the preset's.
    fn hardware(&self, context: &Context) -> Result<(Option<Chip>, u32), Failure> {
        if let (Some(chip), Some(flash_size)) = (self.chip, self.flash_size) {
            return Ok((Some(chip), flash_size.bytes()));
        }
        let here = std::env::current_dir()
            .map_err(|source| ContextError::Input { file: ".".into(), source })?;
        let overrides =
            Overrides { chip: self.chip, flash_size: self.flash_size, ..Overrides::default() };
        match Project::load(context.config.as_deref(), &here, &overrides, &variable) {
            Ok(project) => Ok((Some(project.chip.value), project.flash_size.value.bytes())),
            Err(none @ ConfigError::NoProject(_)) => {
                let typed = self.flash_size.map(FlashSize::bytes);
                match typed.or(self.preset.map(|preset| preset.flash_size)) {
                    Some(flash_size) => Ok((self.chip, flash_size)),
                    None => Err(GenerateError::FlashSize(none).into()),
                }
            }
            Err(wrong) => Err(wrong.into()),
        }
    }
}

/// An app image, verified, and its bytes.
fn measure(file: PathBuf, chip: Option<Chip>) -> Result<ImageReport, Failure> {
    let options = partition::Options { chip, ..partition::Options::default() };
    let nothing = Reading::from(&Table::default());
    let (measured, findings) = firmware::measure(file, &nothing, &options, None)?;
    match findings.into_iter().next() {
        Some(finding) => Err(GenerateError::Image(finding.into()).into()),
        None => {
            let size = u32::try_from(measured.size).unwrap_or(u32::MAX);
            Ok(ImageReport { file: measured.file, size })
        }
    }
}

/// Writes the table; says whether there was anything to write.
fn write(file: &Path, bytes: &[u8], force: bool) -> Result<bool, Failure> {
    match std::fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => match context::read(file, LARGEST_FILE) {
            Ok(before) if before == bytes => return Ok(false),
            _ if !force => return Err(GenerateError::Exists(file.to_owned()).into()),
            _ => {}
        },
        Ok(_) => {
            let source = io::Error::new(io::ErrorKind::IsADirectory, "it is not a file");
            return Err(ContextError::Output { file: file.to_owned(), source }.into());
        }
        Err(_) => {}
    }
    context::write(file, bytes)?;
    Ok(true)
}

impl GenerateReport {
    fn new(request: &Request, made: &Generated, image: Option<ImageReport>) -> Self {
        let reading = Reading::from(&made.table);
        let rooms: Vec<SlotRoom> = image
            .as_ref()
            .map(|image| partition::headroom(&reading, image.size.into()))
            .unwrap_or_default();
        let slot = |entry: &partition::Entry| {
            let name = entry.label.to_string();
            let room = rooms.iter().find(|room| room.name == name);
            SlotReport {
                offset: entry.offset,
                size: entry.size,
                free: room.map(|room| room.free),
                free_percent: room.map(|room| room.free_percent),
                name,
            }
        };
        let regions = partition::regions(&made.table, &request.options());
        Self {
            chip: request.chip,
            flash_size: request.flash_size,
            table_offset: request.table_offset,
            preset: match &request.intent {
                Intent::Preset(preset) => Some(preset.name),
                Intent::Slots { .. } => None,
            },
            output: None,
            changed: false,
            rows: made.table.entries.iter().map(RowReport::from).collect(),
            slots: made.table.slots().into_iter().map(slot).collect(),
            image,
            unused: show::unused(&regions),
            findings: made.report.findings.clone(),
            csv: made.csv.clone(),
            regions,
        }
    }

    /// The picture, and how much room the slots have.
    fn explain(&self, out: &mut dyn Write, paint: Paint, screen: Screen) -> io::Result<()> {
        canvas::draw(out, paint, &self.regions, screen)?;
        if let Some(slot) = self.slots.first() {
            let (count, size) = (self.slots.len(), Size(slot.size.into()));
            writeln!(out, "{count} slots, each for images up to {size} ({} bytes)", slot.size)?;
        }
        if let Some(image) = &self.image {
            let (file, size) = (image.file.display(), image.size);
            writeln!(out, "`{file}` has {} ({size} bytes), and leaves free", Size(size.into()))?;
            for slot in &self.slots {
                let free = u64::try_from(slot.free.unwrap_or(0)).unwrap_or(0);
                let percent = slot.free_percent.unwrap_or(0.0);
                writeln!(out, "  {}: {free} bytes, {percent}%", slot.name)?;
            }
        }
        match self.unused {
            0 => Ok(()),
            unused => writeln!(out, "unused: {} of {}", Size(unused), Size(self.flash_size.into())),
        }
    }
}

impl Report for GenerateReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let Some(file) = &self.output else { return out.write_all(self.csv.as_bytes()) };
        self.explain(out, paint, Screen::of_answer())?;
        let file = file.display();
        if self.changed {
            writeln!(out, "wrote {file}")
        } else {
            writeln!(out, "{file} holds this table already")
        }
    }
}
