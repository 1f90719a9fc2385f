//! Rules about where partitions lie: not on each other, not on the table, not beyond the flash.

use super::Blame as _;
use crate::partition::code::Code;
use crate::partition::csv::Field;
use crate::partition::finding::Finding;
use crate::partition::options::Options;
use crate::partition::reading::Row;

pub(super) fn check(rows: &[Row], options: &Options, findings: &mut Vec<Finding>) {
    below_table(rows, options, findings);
    overlaps(rows, findings);
    for row in rows {
        beyond(row, options, findings);
    }
}

fn below_table(rows: &[Row], options: &Options, findings: &mut Vec<Finding>) {
    let end = options.table_end();
    for row in rows {
        let offset = row.entry.offset;
        if u64::from(offset) >= end || row.entry.kind.is_fixed() {
            continue;
        }
        let free = end.next_multiple_of(row.entry.kind.offset_alignment().into());
        let message = format!(
            "`{}` begins at {offset:#x}, below the end of the partition table at {end:#x}",
            row.title()
        );
        findings.push(
            row.finding(Field::Offset, Code::OffsetBelowTable, message)
                .help(format!("write {free:#x} or more, or leave the offset empty")),
        );
    }
}

/// In order of their offsets, each row against the one that reaches furthest so far. Whenever that
/// finds something, ESP-IDF's comparison of neighbours does too, and the reverse.
fn overlaps(rows: &[Row], findings: &mut Vec<Finding>) {
    // The sort has to be stable: of an empty row and its neighbour at the same offset, ESP-IDF
    // refuses them in one order of the file and not in the other.
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by_key(|row| row.entry.offset);
    let mut furthest: Option<&Row> = None;
    for row in sorted {
        if let Some(other) =
            furthest.filter(|other| u64::from(row.entry.offset) < other.entry.end())
        {
            let end = other.entry.end();
            let free = end.next_multiple_of(row.entry.kind.offset_alignment().into());
            let message = format!(
                "`{}` ({:#x} to {:#x}) overlaps `{}` ({:#x} to {end:#x})",
                row.title(),
                row.entry.offset,
                row.entry.end(),
                other.title(),
                other.entry.offset,
            );
            findings.push(
                row.finding(Field::Offset, Code::Overlap, message)
                    .help(format!("move `{}` to {free:#x} or later", row.title())),
            );
        }
        if furthest.is_none_or(|other| row.entry.end() >= other.entry.end()) {
            furthest = Some(row);
        }
    }
}

/// ESP-IDF's own idea of the flash size: of the rows with the highest offset it looks at the first
/// in the file, and if that one is empty, misses the one behind it.
pub(super) fn fits_for_esp_idf(rows: &[Row], options: &Options) -> bool {
    let highest = rows.iter().map(|row| row.entry.offset).max();
    let last = rows.iter().find(|row| Some(row.entry.offset) == highest);
    match (last, options.flash_size) {
        (Some(row), Some(flash)) => row.entry.end() <= u64::from(flash),
        (None, _) | (_, None) => true,
    }
}

fn beyond(row: &Row, options: &Options, findings: &mut Vec<Finding>) {
    let entry = row.entry;
    let end = entry.end();
    if let Some(flash) = options.flash_size
        && end > u64::from(flash)
    {
        let message =
            format!("`{}` ends at {end:#x}, but the flash ends at {flash:#x}", row.title());
        let finding = row.finding(Field::Size, Code::PastFlash, message);
        findings.push(match flash.checked_sub(entry.offset).filter(|room| *room > 0) {
            Some(room) => {
                finding.help(format!("shrink it to {room:#x}, or give the real flash size"))
            }
            None => finding.help("move it below the end of the flash, or give the real flash size"),
        });
    }
    // An end of exactly 4 GiB is past as well: it is 0 in the 32 bits that programs compute with.
    if end > u64::from(u32::MAX) {
        let message = format!(
            "`{}` ends at {end:#x}, but 32 bits of address end at {:#x}",
            row.title(),
            u32::MAX
        );
        findings.push(
            row.finding(Field::Size, Code::Past4Gib, message)
                .help("write an offset and size within the flash"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{GOOD, codes, csv, csv_with};
    use super::*;
    use crate::partition::{Entry, Kind, Report, Table, check_table, encode, read};

    fn table(rows: &[(u32, u32)]) -> Table {
        let named = rows.iter().enumerate();
        named
            .map(|(at, (offset, size))| Entry::new(&format!("p{at}"), Kind::NVS, *offset, *size))
            .collect()
    }

    fn report(rows: &[(u32, u32)]) -> Report {
        check_table(&table(rows), &Options::default())
    }

    fn found(rows: &[(u32, u32)], code: Code) -> usize {
        codes(&report(rows)).into_iter().filter(|found| *found == code).count()
    }

    #[test]
    fn touching_partitions_are_fine_and_one_shared_byte_is_not() {
        assert_eq!(found(&[(0x9000, 0x3000), (0xc000, 0x3000)], Code::Overlap), 0);
        assert_eq!(found(&[(0x9000, 0x3001), (0xc000, 0x3000)], Code::Overlap), 1);
        assert_eq!(found(&[(0xc000, 0x3000), (0x9000, 0x3001)], Code::Overlap), 1, "in any order");
    }

    #[test]
    fn every_partition_inside_a_large_one_is_named() {
        let rows = [(0x9000, 0x20000), (0xc000, 0x3000), (0x10000, 0x3000)];
        assert_eq!(found(&rows, Code::Overlap), 2);
        let report = report(&rows);
        let finding = report.findings.iter().find(|f| f.code == Code::Overlap).unwrap();
        assert_eq!(finding.message, "`p1` (0xc000 to 0xf000) overlaps `p0` (0x9000 to 0x29000)");
        assert_eq!(finding.help.as_deref(), Some("move `p1` to 0x29000 or later"));
    }

    #[test]
    fn an_empty_row_overlaps_what_stands_before_it_in_the_file() {
        assert_eq!(found(&[(0x9000, 0), (0x9000, 0x3000)], Code::Overlap), 0);
        assert_eq!(found(&[(0x9000, 0x3000), (0x9000, 0)], Code::Overlap), 1);
    }

    #[test]
    fn two_identical_rows_overlap() {
        let twice = Table { entries: vec![Entry::new("x", Kind::NVS, 0x9000, 0x3000); 2] };
        let report = check_table(&twice, &Options::default());
        assert!(codes(&report).contains(&Code::Overlap));
        let binary = encode(&twice).unwrap();
        let options = Options::default();
        let report = crate::partition::check(&read(&binary, None, &options), &options);
        assert!(codes(&report).contains(&Code::Overlap) && !report.accepted_by.esp_idf);
    }

    #[test]
    fn nothing_lies_below_the_end_of_the_table_but_bootloader_and_table() {
        assert_eq!(found(&[(0x9000, 0x3000)], Code::OffsetBelowTable), 0);
        assert_eq!(found(&[(0x8fff, 0x3000)], Code::OffsetBelowTable), 1);
        let options = Options { primary_bootloader_offset: Some(0x1000), ..Options::default() };
        let fixed = "b,bootloader,primary,,\nt,partition_table,primary,,\n";
        assert!(csv_with(&format!("{fixed}{GOOD}"), &options).accepted_by.esp_idf);
    }

    #[test]
    fn the_end_of_flash_is_the_last_byte_that_may_be_used() {
        let at = |flash_size| {
            codes(&csv_with(GOOD, &Options { flash_size: Some(flash_size), ..Options::default() }))
        };
        assert_eq!(at(0x21_0000), []);
        assert_eq!(at(0x20_ffff), [Code::PastFlash]);
        let options = Options { flash_size: Some(0x20_0000), ..Options::default() };
        let help = csv_with(GOOD, &options).findings[0].help.clone().unwrap();
        assert!(help.starts_with("shrink it to 0xf0000"), "{help}");
    }

    #[test]
    fn an_empty_row_hides_the_end_of_flash_from_esp_idf_but_not_from_us() {
        let text = "a,data,phy,0x10000,0,\nb,data,fat,,4M,";
        let options = Options { flash_size: Some(0x20_0000), ..Options::default() };
        let report = csv_with(text, &options);
        assert!(codes(&report).contains(&Code::PastFlash));
        assert!(report.accepted_by.esp_idf && !report.accepted_by.ota);
        assert!(!csv_with(GOOD, &options).accepted_by.esp_idf, "where nothing hides it");
    }

    #[test]
    fn partitions_end_within_32_bits() {
        assert_eq!(found(&[(0xffff_0000, 0xffff)], Code::Past4Gib), 0);
        assert_eq!(found(&[(0xffff_0000, 0x1_0000)], Code::Past4Gib), 1);
        let report = csv("x,data,nvs,0xffff0000,0x10000,");
        assert!(report.accepted_by.esp_idf && !report.accepted_by.espflash);
    }

    #[test]
    fn a_report_does_not_grow_with_the_table() {
        let rows: Vec<_> = (0..20_000).map(|row| (0x9000 + row, 0x10)).collect();
        let report = report(&rows);
        assert_eq!(report.findings.len(), super::super::MOST_FINDINGS + 1);
        assert_eq!(report.findings.last().unwrap().code, Code::TooManyFindings);
    }
}
