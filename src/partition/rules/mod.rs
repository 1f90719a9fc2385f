//! The rules for tables: ESP-IDF's own, what an update needs beyond them, and what other tools make
//! of a table. Each rule is a function from rows to findings.

mod bootloader;
mod device;
pub(crate) mod espflash;
mod names;
mod ota;
mod placement;
mod row;
mod singletons;
#[cfg(test)]
mod testing;

use super::code::{Code, Severity};
use super::csv::Field;
use super::finding::{AcceptedBy, Finding, Report};
use super::options::Options;
use super::reading::{Reading, Row};
use super::table::Table;

/// Most findings in a report. A binary table may have thousands of rows; nobody reads thousands of
/// findings, and nothing should grow with what a stranger sends.
const MOST_FINDINGS: usize = 500;

/// Judges a table that was read from a file, rows that could not be read included.
pub fn check(reading: &Reading, options: &Options) -> Report {
    let rows = &reading.rows;
    let mut findings = reading.findings.clone();
    row::check(rows, options, &mut findings);
    row::count(rows, &reading.source, &mut findings);
    names::check(rows, options, &mut findings);
    placement::check(rows, options, &mut findings);
    singletons::check(rows, &mut findings);
    bootloader::check(rows, options, &mut findings);
    let esp_idf = !findings.iter().any(|finding| finding.code.refused_by_esp_idf())
        && placement::fits_for_esp_idf(rows, options);

    // What is missing from a table that could not be read may be in the rows nobody knows of, and
    // what other tools make of it cannot be asked. A check that cannot be made is never a yes.
    let mut elsewhere = Vec::new();
    let (mut espflash, mut device) = (false, false);
    if is_whole(reading) {
        ota::check(rows, options, &mut findings);
        espflash = espflash::check(reading, options, &mut elsewhere);
        device = device::check(reading, &mut elsewhere);
    }
    // Where ESP-IDF refuses a table, what others think of it is no help.
    if esp_idf {
        findings.append(&mut elsewhere);
    }
    let ota = esp_idf && findings.iter().all(|finding| finding.severity < Severity::Error);

    let left_out = findings.len().saturating_sub(MOST_FINDINGS);
    if left_out > 0 {
        // What is left out must not be what the table is rejected for.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings.truncate(MOST_FINDINGS);
    }
    findings.sort_by_key(|finding| (finding.line.is_none(), finding.line, finding.column));
    if left_out > 0 {
        findings.push(Finding::new(
            Code::TooManyFindings,
            format!("{left_out} more findings are not shown"),
        ));
    }
    let accepted_by = AcceptedBy { esp_idf, espflash, esp_bootloader_esp_idf: device, ota };
    Report { findings, accepted_by }
}

/// Judges a table that was not read from a file.
pub fn check_table(table: &Table, options: &Options) -> Report {
    check(&Reading::from(table), options)
}

/// Whether every row of the file is known, whatever the rules say of it.
pub fn is_whole(reading: &Reading) -> bool {
    reading.findings.iter().all(|finding| {
        finding.severity < Severity::Error
            || matches!(
                finding.code,
                Code::OffsetInsideTable
                    | Code::OffsetBeforePreviousEnd
                    | Code::RowsAfterDigest
                    | Code::DigestRepeated
            )
    })
}

/// Where in its CSV a row is wrong, and its name in messages.
trait Blame {
    /// A finding about a field of this row.
    fn finding(&self, field: Field, code: Code, message: String) -> Finding;
}

impl Blame for Row {
    fn finding(&self, field: Field, code: Code, message: String) -> Finding {
        Finding::new(code, message).at(self.place(field))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::csv;
    use super::*;

    #[test]
    fn what_is_left_out_of_a_report_is_what_is_least_severe() {
        let warnings: String = (0..600).map(|row| format!("p{row},data,fat,,100\n")).collect();
        let report = csv(&warnings);
        assert_eq!(report.findings.len(), MOST_FINDINGS + 1);
        assert!(report.findings.iter().any(|finding| finding.code == Code::TooManyRows));
        assert_eq!(report.worst(), Some(Severity::Error));
    }
}
