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
    if rows.len() <= MOST_ROWS {
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
