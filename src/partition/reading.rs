//! A file becomes rows and findings: CSV or binary, whatever it is.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::code::{Code, Severity};
use super::csv::{self, Field, Written};
use super::entry::Entry;
use super::finding::{Finding, Report};
use super::options::Options;
use super::table::Table;
use super::text::{self, Encoding};
use super::{binary, resolve};
use crate::error::{Exit, Explained, Location};

/// Most bytes read as a table. A binary table has 3 KiB, the longest legal CSV some 20 KiB; a file
/// above this is something else, and is not looked at.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;

/// One row, with what only the file knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The row as flash holds it.
    pub entry: Entry,
    /// Its name, uncut.
    pub name: String,
    /// The row in its CSV.
    pub written: Option<Written>,
}

impl Row {
    /// The name for messages: short, and nothing that a terminal would obey.
    pub fn title(&self) -> Cow<'_, str> {
        text::quote(&self.name)
    }

    /// Line and column of a field, in a CSV.
    pub(crate) fn place(&self, field: Field) -> Option<(usize, usize)> {
        self.written.as_ref().map(|written| written.place(field))
    }
}

/// Whether and where a binary table has its digest row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// There is none.
    Missing,
    /// Rows follow that it does not cover.
    BeforeLastRow,
    /// It covers every row.
    Last,
}

/// What a table was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A CSV.
    Csv {
        /// The file, decoded.
        text: String,
        /// Whether it is UTF-8, with or without a byte order mark.
        utf8: bool,
    },
    /// A binary table.
    Binary {
        /// The file.
        bytes: Vec<u8>,
        /// What protects the rows.
        digest: Digest,
    },
    /// Neither, or not a file at all.
    None,
}

/// A file as far as it could be read. Judge it with [`super::check`], or turn it into a
/// [`Table`] with [`Reading::usable_table`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The file, as the user named it.
    pub file: Option<PathBuf>,
    /// The rows that could be read.
    pub rows: Vec<Row>,
    /// What is wrong with the file, short of the rules for tables.
    pub findings: Vec<Finding>,
    /// What it was read from.
    pub source: Source,
}

/// Reads a partition table, telling CSV from binary as gen_esp32part.py does: a binary table begins
/// with `AA 50`. Total: whatever cannot be read is a finding.
pub fn read(bytes: &[u8], file: Option<&Path>, options: &Options) -> Reading {
    let mut findings = Vec::new();
    let (rows, source) = rows(bytes, options, &mut findings);
    Reading { file: file.map(Path::to_owned), rows, findings, source }
}

fn rows(bytes: &[u8], options: &Options, findings: &mut Vec<Finding>) -> (Vec<Row>, Source) {
    if bytes.len() > MOST_BYTES {
        let message =
            format!("{} bytes are no partition table; at most {MOST_BYTES} are read", bytes.len());
        findings.push(
            Finding::new(Code::FileTooLarge, message).help(
                "name the partition table: a CSV, or the 3072 bytes at 0x8000 of a flash dump",
            ),
        );
        return (Vec::new(), Source::None);
    }
    if bytes.starts_with(&binary::MAGIC) {
        let (rows, digest) = binary::decode(bytes, findings);
        return (rows, Source::Binary { bytes: bytes.to_owned(), digest });
    }
    let (encoding, decoded) = text::decode(bytes);
    let text = match decoded {
        Ok(text) => text,
        Err(at) => {
            findings.push(not_text(bytes, encoding, at));
            return (Vec::new(), Source::None);
        }
    };
    if encoding == Encoding::Utf32LittleEndian {
        findings.push(
            Finding::new(
                Code::EncodingUnsupported,
                format!("the file is {}, which ESP-IDF takes for UTF-16", encoding.name()),
            )
            .help("save it as UTF-8"),
        );
    }
    let drafts = csv::read(&text, options, findings);
    (
        resolve::resolve(drafts, options, findings),
        Source::Csv { text, utf8: encoding == Encoding::Utf8 },
    )
}

fn not_text(bytes: &[u8], encoding: Encoding, at: usize) -> Finding {
    let blank = !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0xff);
    let (message, help) = if blank {
        (
            "the file is erased flash: every byte is FF".to_owned(),
            "read the table from where it is: `--table-offset`, usually 0x8000",
        )
    } else if bytes.starts_with(&[0xeb, 0xeb]) {
        (
            "the file is a binary table without rows".to_owned(),
            "generate a table with `cargo esp-ota partitions generate`",
        )
    } else {
        (
            format!(
                "the file is neither a binary table, which begins with AA 50, nor {}: byte {at} \
                 is no text",
                encoding.name()
            ),
            "name a partition table: a CSV in UTF-8, or a binary table",
        )
    };
    Finding::new(Code::NotATable, message).help(help)
}

/// A table that cannot be worked with.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the partition table: {}", .first.message)]
pub struct Unusable {
    file: Option<PathBuf>,
    first: Finding,
}

impl Explained for Unusable {
    fn exit(&self) -> Exit {
        Exit::Project
    }

    fn help(&self) -> Option<String> {
        let help = self.first.help.clone();
        help.or_else(|| Some("see what is wrong with `cargo esp-ota partitions check`".to_owned()))
    }

    fn location(&self) -> Option<Location> {
        let (line, column) = (self.first.line, self.first.column);
        self.file.clone().map(|file| Location { file, line, column })
    }
}

impl Reading {
    /// The rows, without their places.
    pub fn table(&self) -> Table {
        self.rows.iter().map(|row| row.entry).collect()
    }

    /// The table, for commands that work with it: `report` is what [`super::check`] says about this
    /// reading.
    ///
    /// # Errors
    ///
    /// The first finding that is an error, if there is one.
    pub fn usable_table(&self, report: &Report) -> Result<Table, Unusable> {
        match report.findings.iter().find(|finding| finding.severity == Severity::Error) {
            Some(first) => Err(Unusable { file: self.file.clone(), first: first.clone() }),
            None => Ok(self.table()),
        }
    }
}

impl From<&Table> for Reading {
    fn from(table: &Table) -> Self {
        let rows = table.entries.iter().map(|entry| Row {
            entry: *entry,
            name: entry.label.text().into_owned(),
            written: None,
        });
        Self { file: None, rows: rows.collect(), findings: Vec::new(), source: Source::None }
    }
}
