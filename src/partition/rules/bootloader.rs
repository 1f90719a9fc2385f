//! Rules about the bootloader, which no table needs to name and every table has to respect.

use super::Blame as _;
use crate::partition::code::Code;
use crate::partition::csv::Field;
use crate::partition::finding::Finding;
use crate::partition::kind::Kind;
use crate::partition::options::Options;
use crate::partition::reading::Row;

pub(super) fn check(rows: &[Row], options: &Options, findings: &mut Vec<Finding>) {
    above_table(options, findings);
    for row in rows {
        overlap(row, options, findings);
        misplaced(row, options, findings);
    }
}

fn above_table(options: &Options, findings: &mut Vec<Finding>) {
    let table = options.table_offset;
    if let Some(bootloader) = options.primary_bootloader_offset
        && bootloader >= table
    {
        let message = format!(
            "the bootloader is said to be at {bootloader:#x}, but lies below the partition table \
             at {table:#x}"
        );
        findings.push(
            Finding::new(Code::BootloaderAboveTable, message)
                .help("correct `--primary-bootloader-offset` or `--table-offset`"),
        );
    }
    if let Some(chip) = options.chip
        && options.primary_bootloader_offset.is_none()
        && chip.bootloader_offset() >= table
    {
        let bootloader = chip.bootloader_offset();
        let message = format!(
            "the partition table at {table:#x} lies on the bootloader of {chip}, which begins at \
             {bootloader:#x}"
        );
        findings.push(
            Finding::new(Code::OverlapsBootloader, message)
                .help("give the real `--table-offset`, usually 0x8000"),
        );
    }
}

fn overlap(row: &Row, options: &Options, findings: &mut Vec<Finding>) {
    let (Some(chip), entry) = (options.chip, row.entry) else { return };
    let (begin, end) = (chip.bootloader_offset(), options.table_offset);
    if entry.kind.is_fixed() || entry.offset >= end || entry.end() <= u64::from(begin) {
        return;
    }
    let message = format!(
        "`{}` ({:#x} to {:#x}) lies on the bootloader of {chip} ({begin:#x} to {end:#x})",
        row.title(),
        entry.offset,
        entry.end()
    );
    let free = options.table_end().next_multiple_of(entry.kind.offset_alignment().into());
    findings.push(
        row.finding(Field::Offset, Code::OverlapsBootloader, message)
            .help(format!("move `{}` to {free:#x} or later", row.title())),
    );
}

fn misplaced(row: &Row, options: &Options, findings: &mut Vec<Finding>) {
    let (Some(chip), entry) = (options.chip, row.entry) else { return };
    let real = chip.bootloader_offset();
    if entry.kind == Kind::PRIMARY_BOOTLOADER && entry.offset != real {
        let message = format!(
            "`{}` says the bootloader is at {:#x}, but {chip} starts it at {real:#x}",
            row.title(),
            entry.offset
        );
        findings.push(
            row.finding(Field::Type, Code::BootloaderMisplaced, message)
                .help(format!("pass `--primary-bootloader-offset {real:#x}`")),
        );
    }
}
