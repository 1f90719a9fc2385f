//! `partitions convert`: CSV to binary and back, and CSV to the same CSV with its columns aligned.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::LARGEST_FILE;
use super::input::{Input, Loaded, STANDARD_INPUT};
use crate::commands::{Context, ContextError, context};
use crate::error::{Exit, Explained, Failure, Location};
use crate::output::{Annotation, Format, Level, Paint, Report};
use crate::partition::{self, Code, Finding, Severity, Source};

/// Most rows of a binary table without a digest: one more than with it.
const MOST_BARE_ROWS: usize = 95;

/// Convert a table between CSV and binary, or format a CSV
#[derive(Debug, clap::Args)]
pub(super) struct Convert {
    #[command(flatten)]
    input: Input,
    /// Where to write it, `-` for standard output [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to write [default: by the output's extension; CSV on standard output]
    #[arg(long, value_enum)]
    to: Option<Form>,
    /// Write nothing; reject where the output (the input, without `--output`) would change
    #[arg(long)]
    check: bool,
    /// Leave the digest out of a binary table, as gen_esp32part.py does
    #[arg(long)]
    disable_md5sum: bool,
}

/// The two forms of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    Csv,
    Binary,
}

/// Why nothing is written.
#[derive(Debug, thiserror::Error)]
enum ConvertError {
    #[error("`{}` cannot be converted: {}", file.display(), first.message)]
    Refused { file: PathBuf, first: Box<Finding> },
    #[error("`{}` does not say whether it is to be CSV or binary", .0.display())]
    UnknownForm(PathBuf),
    #[error("a binary table is no text for a terminal")]
    Terminal,
    #[error("a binary table cannot be part of a JSON report")]
    Json,
    #[error("`{}` would be replaced by its other form, and comments and spelling lost", .0.display())]
    OntoItself(PathBuf),
}

impl Explained for ConvertError {
    fn exit(&self) -> Exit {
        match self {
            Self::Refused { .. } => Exit::Rejected,
            Self::UnknownForm(_) | Self::Terminal | Self::Json | Self::OntoItself(_) => Exit::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Refused { file, first } => first.help.clone().or_else(|| {
                Some(format!(
                    "see what is wrong with `cargo esp-ota partitions check {}`",
                    file.display()
                ))
            }),
            Self::UnknownForm(_) => {
                Some("add `--to csv` or `--to binary`, or end its name in .csv or .bin".into())
            }
            Self::Terminal | Self::Json => Some("name a file with `--output FILE`".into()),
            Self::OntoItself(_) => Some("name another file with `--output FILE`".into()),
        }
    }

    fn location(&self) -> Option<Location> {
        match self {
            Self::Refused { file, first } => {
                Some(Location { file: file.clone(), line: first.line, column: first.column })
            }
            Self::UnknownForm(_) | Self::Terminal | Self::Json | Self::OntoItself(_) => None,
        }
    }
}

/// What was written, or would be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ConvertReport {
    input: PathBuf,
    output: Option<PathBuf>,
    to: Form,
    rows: usize,
    size: usize,
    changed: bool,
    /// The CSV, where it goes to standard output.
    csv: Option<String>,
    /// First line of a CSV that would change, from 1.
    #[serde(skip)]
    line: Option<usize>,
    #[serde(skip)]
    is_check: bool,
}

impl Convert {
    pub(super) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let output = self.output.filter(|file| file != Path::new(STANDARD_INPUT));
        let loaded = self.input.load(context)?;
        let is_csv = matches!(loaded.reading.source, Source::Csv { .. });
        let target = match &output {
            None if self.check => Some(loaded.file.clone()),
            other => other.clone(),
        };
        let onto_itself = target.as_ref().is_some_and(|target| is_same(target, &loaded.file));
        let from = if is_csv { Form::Csv } else { Form::Binary };
        let to = match (self.to, &target) {
            (Some(form), _) => form,
            (None, _) if onto_itself => from,
            (None, None) => Form::Csv,
            (None, Some(file)) => by_extension(file)?,
        };
        if onto_itself && to != from && loaded.reading.source != Source::None {
            return Err(ConvertError::OntoItself(loaded.file).into());
        }
        let bytes = convert(&loaded, to, self.disable_md5sum)?;
        if to == Form::Csv && from == Form::Binary {
            warn_of_loss(context, &loaded, &bytes);
        }
        let before = match &target {
            Some(_) if onto_itself => Some(loaded.bytes),
            Some(file) if file.is_file() => Some(context::read(file, LARGEST_FILE)?),
            Some(_) | None => None,
        };
        let changed = before.as_ref() != Some(&bytes);
        let mut report = ConvertReport {
            input: loaded.file,
            output: target,
            to,
            rows: loaded.reading.rows.len(),
            size: bytes.len(),
            changed,
            csv: None,
            line: before.filter(|_| changed).map(|before| first_difference(&before, &bytes)),
            is_check: self.check,
        };
        if self.check {
            let exit = if changed { Exit::Rejected } else { Exit::Success };
            return context.output.answer(&report, exit);
        }
        match &report.output {
            Some(file) if changed => write(file, &bytes)?,
            Some(_) => {}
            None => match (to, context.output.format()) {
                (Form::Binary, Format::Json) => return Err(ConvertError::Json.into()),
                (Form::Binary, _) if context.output.is_terminal() => {
                    return Err(ConvertError::Terminal.into());
                }
                (Form::Csv, Format::Json) => {
                    report.csv = Some(String::from_utf8_lossy(&bytes).into_owned());
                }
                (Form::Csv | Form::Binary, _) => {
                    return context.output.raw(&bytes).map(|()| Exit::Success);
                }
            },
        }
        context.output.answer(&report, Exit::Success)
    }
}

/// Whether two names lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(a), Ok(b)) if a == b)
}

fn by_extension(file: &Path) -> Result<Form, ConvertError> {
    let extension = file.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str() {
        Some("csv") => Ok(Form::Csv),
        Some("bin") => Ok(Form::Binary),
        _ => Err(ConvertError::UnknownForm(file.to_owned())),
    }
}

/// The table in its new form. The formatter needs rows that can be read; everything else needs a
/// table that ESP-IDF takes.
fn convert(loaded: &Loaded, to: Form, is_bare: bool) -> Result<Vec<u8>, Failure> {
    let Loaded { file, reading, options, .. } = loaded;
    if let (Source::Csv { text, .. }, Form::Csv) = (&reading.source, to)
        && partition::is_whole(reading)
    {
        return Ok(partition::format(text, &options.variables).into_bytes());
    }
    let report = partition::check(reading, options);
    let may_be_bare = is_bare && to == Form::Binary && reading.rows.len() <= MOST_BARE_ROWS;
    let refused = |finding: &&Finding| {
        finding.code.refused_by_esp_idf() && !(may_be_bare && finding.code == Code::TooManyRows)
    };
    let mut findings = report.findings.iter();
    let first = match report.accepted_by.esp_idf {
        true => None,
        false => findings.clone().find(refused).or_else(|| {
            // ESP-IDF looks at the end of the flash in its own way, so its code does not say.
            findings.find(|finding| finding.code == Code::PastFlash)
        }),
    };
    let unread = reading.findings.iter().find(|it| it.severity == Severity::Error);
    let unread = unread.filter(|_| !partition::is_whole(reading));
    if let Some(first) = first.or(unread) {
        let first = Box::new(first.clone());
        return Err(ConvertError::Refused { file: file.clone(), first }.into());
    }
    let table = reading.table();
    Ok(match (to, is_bare) {
        (Form::Csv, _) => partition::to_csv(&table)?.into_bytes(),
        (Form::Binary, false) => partition::encode(&table)?,
        (Form::Binary, true) => partition::encode_without_digest(&table)?,
    })
}

/// A binary table can hold what ESP-IDF refuses in a CSV, such as rows in another order.
fn warn_of_loss(context: &Context, loaded: &Loaded, csv: &[u8]) {
    let again = partition::read(csv, None, &loaded.options);
    let findings = partition::check(&again, &loaded.options).findings;
    if let Some(first) = findings.iter().find(|finding| finding.code.refused_by_esp_idf()) {
        context.output.warn(format_args!(
            "ESP-IDF takes this table as binary, but refuses it as CSV: {}",
            first.message
        ));
    }
}

/// Replaces the output in one step. Links are followed, and what is no file is not replaced by one.
fn write(file: &Path, bytes: &[u8]) -> Result<(), ContextError> {
    let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let failed = |source| ContextError::Output { file: file.to_owned(), source };
    match fs::metadata(&real) {
        Ok(metadata) if metadata.is_dir() => {
            Err(failed(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")))
        }
        Ok(metadata) if !metadata.is_file() => fs::write(&real, bytes).map_err(failed),
        Ok(_) => context::write(&real, bytes),
        Err(_) => context::write(file, bytes),
    }
}

/// The first line that differs, from 1.
fn first_difference(before: &[u8], after: &[u8]) -> usize {
    let lines = |bytes| <[u8]>::split(bytes, |byte: &u8| *byte == b'\n');
    let same = lines(before).zip(lines(after)).take_while(|(one, other)| one == other);
    same.count().saturating_add(1)
}

impl ConvertReport {
    fn target(&self) -> String {
        self.output.as_ref().map_or(String::new(), |file| file.display().to_string())
    }

    fn remedy(&self) -> String {
        let to = match self.to {
            Form::Csv => "csv",
            Form::Binary => "binary",
        };
        let (input, output) = (self.input.display(), self.target());
        format!("run `cargo esp-ota partitions convert {input} --to {to} --output {output}`")
    }
}

impl Report for ConvertReport {
    fn human(&self, out: &mut dyn Write, _: Paint) -> io::Result<()> {
        let (target, rows, size) = (self.target(), self.rows, self.size);
        let amount = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
        match (self.changed, self.is_check) {
            (false, _) => writeln!(out, "`{target}` is up to date: {amount}, {size} bytes"),
            (true, false) => writeln!(out, "wrote `{target}`: {amount}, {size} bytes"),
            (true, true) => {
                let (input, help) = (self.input.display(), self.remedy());
                let what = match (self.to, self.line) {
                    (_, None) => "does not exist".to_owned(),
                    (Form::Csv, Some(line)) => format!("would change from line {line} on"),
                    (Form::Binary, Some(_)) => format!("is not what `{input}` becomes"),
                };
                writeln!(out, "`{target}` {what}\n  help: {help}")
            }
        }
    }

    fn annotations(&self) -> Vec<Annotation> {
        if !(self.is_check && self.changed) {
            return Vec::new();
        }
        let line = self.line.filter(|_| self.to == Form::Csv);
        let file = self.output.clone().unwrap_or_default();
        vec![Annotation {
            level: Level::Error,
            location: Some(Location { file, line, column: None }),
            title: "partitions convert".to_owned(),
            message: format!("`{}` is out of date\nhelp: {}", self.target(), self.remedy()),
        }]
    }
}
