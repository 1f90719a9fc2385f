//! What has to hold for every file that is read as a partition table.

use cargo_esp_ota::chip::Chip;
use cargo_esp_ota::partition::{
    Flags, Options, Reading, Report, SecureBoot, Source, Table, check, encode, format, read, to_csv,
};

use crate::memory_of;

/// Findings in a report, and one that says that there are more.
const MOST_FINDINGS: usize = 501;
/// Characters of a message or a help: what it quotes of the file is cut.
const LONGEST_TEXT: usize = 1000;
/// Memory that reading and judging a file may take at once, apart from its length: the limits of
/// 1000 rows and 500 findings, generously.
const MEMORY_FIXED: usize = 4 * 1024 * 1024;
/// And for each of its bytes. A byte of an empty field becomes a cell of 32 bytes, and a character
/// of a line 16 beside its column.
const MEMORY_PER_BYTE: usize = 64;

/// Reads and judges a file with nothing known about it, and with all that can be known.
pub fn judge(bytes: &[u8]) {
    let informed = Options {
        chip: Some(Chip::Esp32),
        flash_size: Some(4 * 1024 * 1024),
        table_offset: 0x8000,
        secure_boot: Some(SecureBoot::V1),
        primary_bootloader_offset: Some(0x1000),
        recovery_bootloader_offset: Some(0x20_0000),
        anti_rollback: true,
        extra_subtypes: "app, mine, 0x40; data, yours, 0x99".parse().expect("two subtypes"),
        variables: [("A", "app,ota_0"), ("B", "0x1000"), ("E", ""), ("N", "1"), ("_", "$A")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    for options in [Options::default(), informed] {
        let ((reading, report), used) = memory_of(|| {
            let reading = read(bytes, None, &options);
            let report = check(&reading, &options);
            (reading, report)
        });
        let most = MEMORY_FIXED + MEMORY_PER_BYTE * bytes.len();
        assert!(used <= most, "{used} bytes of memory for a file of {}", bytes.len());
        bounded(&report, &reading, bytes);
        consistent(&report, &reading, &options);
        formatted(&reading, &options);
    }
}

fn bounded(report: &Report, reading: &Reading, bytes: &[u8]) {
    assert!(report.findings.len() <= MOST_FINDINGS);
    for finding in &report.findings {
        let help = finding.help.as_deref().unwrap_or_default();
        for text in [finding.message.as_str(), help] {
            assert!(text.chars().count() <= LONGEST_TEXT, "{text}");
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
    match &reading.source {
        Source::Csv { text, .. } => {
            assert!(text.len() <= 3 * bytes.len());
            assert!(reading.rows.len() <= 1000);
        }
        Source::Binary { .. } => assert!(reading.rows.len() <= bytes.len() / 32),
        Source::None => assert!(reading.rows.is_empty()),
    }
}

/// The verdicts agree with each other, and what was read can be written and read again.
fn consistent(report: &Report, reading: &Reading, options: &Options) {
    let accepted = report.accepted_by;
    assert!(accepted.esp_idf || !accepted.ota);
    let refused = report.findings.iter().any(|finding| finding.code.refused_by_esp_idf());
    assert!(!(refused && accepted.esp_idf));

    let table = reading.table();
    let binary = match encode(&table) {
        Ok(binary) => binary,
        Err(_) => {
            let from_csv = matches!(reading.source, Source::Csv { .. });
            assert!(!(from_csv && accepted.esp_idf), "accepted, and cannot be encoded");
            return;
        }
    };
    assert_eq!(binary.len(), cargo_esp_ota::partition::FORMAT_SIZE);
    if !table.entries.is_empty() {
        assert_eq!(read(&binary, None, options).table(), table);
    }
    if let Ok(csv) = to_csv(&table)
        && accepted.esp_idf
        && is_ordered(&table)
    {
        assert_eq!(read(csv.as_bytes(), None, options).table(), table, "{csv}");
    }
}

/// A formatted CSV holds the same rows, and formatting it again changes nothing.
fn formatted(reading: &Reading, options: &Options) {
    let Source::Csv { text, .. } = &reading.source else { return };
    let once = format(text, &options.variables);
    assert!(once.len() <= MEMORY_PER_BYTE * (text.len() + 64), "{} bytes", once.len());
    let again = read(once.as_bytes(), None, options);
    assert_eq!(again.table(), reading.table(), "{once}");
    let Source::Csv { text, .. } = &again.source else { panic!("no CSV: {once}") };
    assert_eq!(format(text, &options.variables), once);
}

/// Whether a CSV may hold these rows in this order: the rows of bootloader and table take their
/// place from the options, not from the CSV.
fn is_ordered(table: &Table) -> bool {
    let mut rows = table.entries.iter();
    rows.all(|row| !matches!(row.kind.ty, 2 | 3) && row.flags.unknown() == Flags::default().0)
        && table.entries.is_sorted_by_key(|row| row.offset)
}
