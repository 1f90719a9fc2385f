//! Rules that need no other row: alignment, sizes, flags.

use super::Blame as _;
use crate::partition::binary::MOST_ROWS;
use crate::partition::code::Code;
use crate::partition::csv::Field;
use crate::partition::finding::Finding;
use crate::partition::kind::Kind;
use crate::partition::options::{Options, SecureBoot};
use crate::partition::reading::{Row, Source};

/// Erase unit of flash, and what app sizes are multiples of.
const SECTOR: u32 = 0x1000;

/// Least size of an NVS that may be written (`NVS_RW_MIN_PARTITION_SIZE`): two pages in use and one
/// that is always free.
const NVS_LEAST: u32 = 0x3000;

/// Largest image the bootloader takes (ESP-IDF, `esp_image_format.c`: 16 MiB).
const APP_MOST: u32 = 0x100_0000;

pub(super) fn check(rows: &[Row], options: &Options, findings: &mut Vec<Finding>) {
    for row in rows {
        offset_alignment(row, findings);
        size_alignment(row, options, findings);
        readonly(row, findings);
        nvs(row, findings);
        size(row, findings);
    }
}

/// More rows than fit. ESP-IDF refuses to write such a table; one that exists already it converts
/// without a word, and the bootloader then refuses it.
pub(super) fn count(rows: &[Row], source: &Source, findings: &mut Vec<Finding>) {
    // Where rows were left unread, the number of those that were read is no news.
    let is_said = findings.iter().any(|finding| finding.code == Code::TooManyRows);
    if rows.len() <= MOST_ROWS || is_said {
        return;
    }
    let code = match source {
        Source::Binary { .. } => Code::TableTooLong,
        Source::Csv { .. } | Source::None => Code::TooManyRows,
    };
    let message = format!("the table has {} rows, but there is room for {MOST_ROWS}", rows.len());
    let first = rows.get(MOST_ROWS).and_then(|row| row.place(Field::Name));
    findings.push(Finding::new(code, message).at(first).help("remove rows"));
}

fn offset_alignment(row: &Row, findings: &mut Vec<Finding>) {
    let (entry, name) = (&row.entry, row.title());
    let alignment = entry.kind.offset_alignment();
    if is_multiple(entry.offset, alignment) {
        return;
    }
    let up = u64::from(entry.offset).next_multiple_of(alignment.into());
    let message = format!(
        "`{name}` begins at {:#x}, but {} partitions begin at multiples of {alignment:#x}",
        entry.offset,
        entry.kind.type_text(),
    );
    findings.push(
        row.finding(Field::Offset, Code::OffsetMisaligned, message)
            .help(format!("write {up:#x}, or leave the offset empty")),
    );
}

fn size_alignment(row: &Row, options: &Options, findings: &mut Vec<Finding>) {
    let (entry, name) = (&row.entry, row.title());
    let (code, alignment, why) = match (entry.kind.is_app(), options.secure_boot) {
        (true, Some(SecureBoot::V1)) => {
            (Code::SizeMisaligned, 0x10000, "with secure boot v1, app sizes")
        }
        (true, Some(SecureBoot::V2) | None) => (Code::SizeMisaligned, SECTOR, "app sizes"),
        (false, _) => (Code::DataSizeMisaligned, SECTOR, "flash is erased in sectors, so sizes"),
    };
    if is_multiple(entry.size, alignment) {
        return;
    }
    let up = u64::from(entry.size).next_multiple_of(alignment.into());
    let message = format!(
        "the size of `{name}` is {:#x}, but {why} are multiples of {alignment:#x}",
        entry.size
    );
    findings.push(row.finding(Field::Size, code, message).help(format!("write {up:#x}")));
}

fn readonly(row: &Row, findings: &mut Vec<Finding>) {
    let (entry, name) = (&row.entry, row.title());
    if !entry.flags.readonly() {
        return;
    }
    if entry.kind == Kind::OTADATA || entry.kind == Kind::COREDUMP {
        let message =
            format!("`{name}` ({}) is always written, but is flagged `readonly`", entry.kind);
        findings.push(
            row.finding(Field::Flags, Code::ReadonlyNotAllowed, message).help("remove `readonly`"),
        );
    }
    if entry.kind.is_app() {
        let message = format!("app `{name}` is flagged `readonly`, so an update cannot write it");
        findings
            .push(row.finding(Field::Flags, Code::AppReadonly, message).help("remove `readonly`"));
    }
}

fn nvs(row: &Row, findings: &mut Vec<Finding>) {
    let (entry, name) = (&row.entry, row.title());
    if entry.kind == Kind::NVS && entry.size < NVS_LEAST && !entry.flags.readonly() {
        let message = format!(
            "the size of `{name}` is {:#x}, but an NVS that is written needs {NVS_LEAST:#x}",
            entry.size
        );
        findings.push(
            row.finding(Field::Size, Code::NvsNeedsReadonly, message)
                .help(format!("write {NVS_LEAST:#x} or more, or flag it `readonly`")),
        );
    }
    if entry.kind == Kind::NVS_KEYS && entry.size != SECTOR {
        let message = format!(
            "the size of `{name}` is {:#x}, but NVS keys are kept in one sector, {SECTOR:#x}",
            entry.size
        );
        findings.push(
            row.finding(Field::Size, Code::NvsKeysSize, message).help(format!("write {SECTOR:#x}")),
        );
    }
}

fn size(row: &Row, findings: &mut Vec<Finding>) {
    let (entry, name) = (&row.entry, row.title());
    if entry.size == 0 {
        findings.push(
            row.finding(Field::Size, Code::EmptyPartition, format!("`{name}` has no bytes"))
                .help("give it a size, or remove the row"),
        );
    }
    if entry.kind.is_app() && entry.size > APP_MOST {
        let message = format!(
            "the size of app `{name}` is {:#x}, but the bootloader takes images of at most \
             {APP_MOST:#x}",
            entry.size
        );
        findings.push(
            row.finding(Field::Size, Code::AppTooLarge, message)
                .help(format!("write {APP_MOST:#x}")),
        );
    }
}

fn is_multiple(value: u32, of: u32) -> bool {
    value.checked_rem(of) == Some(0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{GOOD, codes, csv, csv_with, finds};
    use super::*;
    use crate::partition::{Entry, Table, check, check_table, read};

    #[test]
    fn the_good_table_has_no_findings() {
        assert_eq!(csv(GOOD).findings, []);
    }

    #[test]
    fn apps_begin_at_multiples_of_64_kib_and_data_at_sectors() {
        let app = |offset| csv(&format!("x,app,factory,{offset},0x1000,\n"));
        assert!(!codes(&app("0x10000")).contains(&Code::OffsetMisaligned));
        assert!(codes(&app("0x11000")).contains(&Code::OffsetMisaligned));
        let finding = &app("0x11000").findings[0];
        assert_eq!(finding.help.as_deref(), Some("write 0x20000, or leave the offset empty"));
        assert!(finds("x,data,phy,0x9004,0x1000,", Code::OffsetMisaligned));
        assert!(!finds("x,data,phy,0xa000,0x1000,", Code::OffsetMisaligned));
    }

    #[test]
    fn app_sizes_are_sectors_or_with_secure_boot_v1_blocks() {
        let found = |size, secure_boot| {
            let options = Options { secure_boot, ..Options::default() };
            let table = format!("x,app,factory,0x10000,{size},");
            codes(&csv_with(&table, &options)).contains(&Code::SizeMisaligned)
        };
        assert!(!found("0x1000", None) && found("0x1001", None));
        assert!(!found("0x1000", Some(SecureBoot::V2)) && found("0x0fff", Some(SecureBoot::V2)));
        assert!(!found("0x10000", Some(SecureBoot::V1)) && found("0x1000", Some(SecureBoot::V1)));
    }

    #[test]
    fn data_of_part_of_a_sector_is_a_warning_that_esp_idf_does_not_give() {
        assert!(finds("x,data,phy,,0x1001,", Code::DataSizeMisaligned));
        assert!(!finds("x,data,phy,,0x1000,", Code::DataSizeMisaligned));
        assert!(!Code::DataSizeMisaligned.refused_by_esp_idf());
    }

    #[test]
    fn what_is_always_written_cannot_be_readonly() {
        assert!(finds("x,data,coredump,,0x1000,readonly", Code::ReadonlyNotAllowed));
        assert!(finds("x,data,ota,,0x2000,readonly", Code::ReadonlyNotAllowed));
        assert!(!finds("x,data,coredump,,0x1000,encrypted", Code::ReadonlyNotAllowed));
        assert!(!finds("x,data,fat,,0x1000,readonly", Code::ReadonlyNotAllowed));
        assert!(finds("x,app,factory,0x10000,0,readonly", Code::AppReadonly));
    }

    #[test]
    fn an_nvs_below_three_pages_is_for_reading_only() {
        assert!(finds("x,data,nvs,,0x2fff,", Code::NvsNeedsReadonly));
        assert!(!finds("x,data,nvs,,0x3000,", Code::NvsNeedsReadonly));
        assert!(!finds("x,data,nvs,,0x1000,readonly", Code::NvsNeedsReadonly));
        assert!(finds("x,data,nvs_keys,,0x2000,", Code::NvsKeysSize));
        assert!(!finds("x,data,nvs_keys,,0x1000,", Code::NvsKeysSize));
    }

    #[test]
    fn partitions_have_bytes_and_apps_at_most_16_mib() {
        assert!(finds("x,data,phy,,0,", Code::EmptyPartition));
        assert!(!finds("x,data,phy,,1,", Code::EmptyPartition));
        assert!(codes(&csv("x,app,factory,,0x1001000,")).contains(&Code::AppTooLarge));
        assert!(!codes(&csv("x,app,factory,,16M,")).contains(&Code::AppTooLarge));
    }

    #[test]
    fn too_many_rows_are_refused_in_a_csv_and_useless_in_a_binary_table() {
        let table = |count: usize| -> String {
            (0..count).map(|row| format!("p{row},data,phy,,4K,\n")).collect()
        };
        assert!(csv(&table(94)).accepted_by.esp_idf);
        let report = csv(&table(95));
        assert!(!report.accepted_by.esp_idf);
        let finding = report.findings.iter().find(|f| f.code == Code::TooManyRows).unwrap();
        assert_eq!(finding.line, Some(95));

        // gen_esp32part.py converts such a binary table to CSV without objection.
        let mut bytes = Vec::new();
        for row in 0..95_u8 {
            bytes.extend([0xaa, 0x50, 1, 1]);
            bytes.extend((0x9000 + u32::from(row) * 0x1000).to_le_bytes());
            bytes.extend(0x1000_u32.to_le_bytes());
            bytes.extend(format!("p{row:015}").bytes());
            bytes.extend([0; 4]);
        }
        bytes.extend([0xff; 32]);
        let options = Options::default();
        let report = check(&read(&bytes, None, &options), &options);
        assert!(report.accepted_by.esp_idf && !report.accepted_by.ota);
        assert!(codes(&report).contains(&Code::TableTooLong));

        let rows = (0..95).map(|_| Entry::new("x", Kind::NVS, 0, 0)).collect::<Table>();
        assert!(codes(&check_table(&rows, &options)).contains(&Code::TooManyRows));
    }
}
