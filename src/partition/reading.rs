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
    /// The first finding that is an error and not allowed, if there is one.
    pub fn usable_table(&self, report: &Report) -> Result<Table, Unusable> {
        let stops = |it: &&Finding| it.severity == Severity::Error && !it.allowed;
        match report.findings.iter().find(stops) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::partition::{SecureBoot, check};

    fn codes(bytes: &[u8]) -> Vec<Code> {
        read(bytes, None, &Options::default()).findings.iter().map(|f| f.code).collect()
    }

    #[test]
    fn files_that_are_no_tables_are_named_for_what_they_are() {
        let message = |bytes: &[u8]| {
            let reading = read(bytes, None, &Options::default());
            assert_eq!(reading.findings[0].code, Code::NotATable);
            reading.findings[0].message.clone()
        };
        assert!(message(&[0xff; 3072]).contains("erased flash"));
        assert!(message(&[0xeb, 0xeb, 0xff]).contains("without rows"));
        assert!(message(b"nvs,\xe4").contains("byte 4 is no text"));
        assert!(message(b"\xff\xfea").contains("UTF-16"));
    }

    #[test]
    fn a_file_of_any_size_is_bounded() {
        assert_eq!(codes(&vec![b'#'; MOST_BYTES]), []);
        assert_eq!(codes(&vec![b'#'; MOST_BYTES + 1]), [Code::FileTooLarge]);
    }

    #[test]
    fn an_empty_file_is_an_empty_csv() {
        let reading = read(b"", None, &Options::default());
        assert_eq!((reading.rows.len(), reading.findings.len()), (0, 0));
    }

    #[test]
    fn utf_32_little_endian_is_read_and_refused_as_esp_idf_would() {
        let bytes: Vec<u8> = "\u{feff}nvs,data,nvs,,4K"
            .chars()
            .flat_map(|letter| u32::from(letter).to_le_bytes())
            .collect();
        let reading = read(&bytes, None, &Options::default());
        assert_eq!(reading.rows[0].name, "nvs");
        assert_eq!(reading.findings[0].code, Code::EncodingUnsupported);
    }

    #[test]
    fn a_table_with_errors_is_unusable_and_says_where() {
        let options = Options::default();
        let reading = read(b"nvs,data,nvs,,0x1000", Some(Path::new("p.csv")), &options);
        let error = reading.usable_table(&check(&reading, &options)).unwrap_err();
        assert_eq!(error.exit(), Exit::Project);
        assert_eq!(error.location().unwrap().to_string(), "p.csv:1:15");
        assert!(error.to_string().starts_with("cannot use the partition table: the size of `nvs`"));
        assert!(error.help().is_some());
    }

    /// Fields that are right, nearly right and wrong.
    fn field() -> impl Strategy<Value = String> {
        prop_oneof![
            prop::sample::select(vec![
                "",
                "app",
                "data",
                "ota_0",
                "ota_1",
                "nvs",
                "0x40",
                "bootloader",
                "primary",
                "0x9000",
                "0x10000",
                "1M",
                "-4M",
                "64K",
                "encrypted",
                "4G",
                "$A",
                "${A",
                "#",
                "\"",
                "partition_table",
                "0xffffffff",
                "0xfffff000",
                "0x99",
                "tee_0",
                "99999999999999K",
            ])
            .prop_map(str::to_owned),
            "[ -~\u{e4}\u{2028}\u{212a}\u{ff11}\0\r]{0,8}",
        ]
    }

    proptest! {
        #[test]
        fn no_text_and_no_options_make_reading_or_checking_panic(
            rows in prop::collection::vec(prop::collection::vec(field(), 0..8), 0..8),
            flash_size: Option<u32>,
            table_offset in prop_oneof![Just(0x8000_u32), any::<u32>()],
            primary: Option<u32>,
        ) {
            let text: String = rows.iter().map(|row| row.join(",") + "\n").collect();
            let options = Options {
                chip: Some(crate::chip::Chip::Esp32),
                flash_size,
                table_offset,
                primary_bootloader_offset: primary,
                secure_boot: Some(SecureBoot::V1),
                variables: [("A".to_owned(), "app,ota_0".to_owned())].into(),
                ..Options::default()
            };
            let report = check(&read(text.as_bytes(), None, &options), &options);
            let accepted = report.accepted_by;
            prop_assert!(accepted.esp_idf || !accepted.ota);
            prop_assert_eq!(accepted.ota, report.worst() != Some(Severity::Error));
        }
    }
}
