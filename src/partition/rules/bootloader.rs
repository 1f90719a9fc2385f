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

#[cfg(test)]
mod tests {
    use super::super::testing::{GOOD, codes, csv_with};
    use super::*;
    use crate::chip::Chip;
    use crate::partition::{Entry, Table, check_table};

    #[test]
    fn the_bootloader_lies_below_the_table() {
        let with = |primary| {
            let primary_bootloader_offset = Some(primary);
            codes(&csv_with(GOOD, &Options { primary_bootloader_offset, ..Options::default() }))
        };
        assert_eq!(with(0x7fff), []);
        assert_eq!(with(0x8000), [Code::BootloaderAboveTable]);
    }

    #[test]
    fn a_table_cannot_lie_on_the_bootloader_of_the_chip() {
        let with = |chip, table_offset| {
            codes(&csv_with(
                GOOD,
                &Options { chip: Some(chip), table_offset, ..Options::default() },
            ))
            .contains(&Code::OverlapsBootloader)
        };
        assert!(with(Chip::Esp32c5, 0x2000));
        assert!(!with(Chip::Esp32c5, 0x3000));
        assert!(!with(Chip::Esp32c3, 0x8000));
    }

    #[test]
    fn a_partition_on_the_bootloader_is_told_whose_place_that_is() {
        let with = |chip, offset, size| {
            let table: Table = [Entry::new("x", Kind::NVS, offset, size)].into_iter().collect();
            let options = Options { chip, ..Options::default() };
            codes(&check_table(&table, &options)).contains(&Code::OverlapsBootloader)
        };
        assert!(with(Some(Chip::Esp32c3), 0x0, 0x1000));
        assert!(!with(Some(Chip::Esp32), 0x0, 0x1000), "its bootloader begins at 0x1000");
        assert!(with(Some(Chip::Esp32), 0x0, 0x1001));
        assert!(!with(None, 0x1000, 0x1000));
    }

    #[test]
    fn a_bootloader_row_stands_where_the_chip_starts_it() {
        let with = |chip, primary| {
            let table = format!("b,bootloader,primary,,\n{GOOD}");
            let primary_bootloader_offset = Some(primary);
            let options = Options { chip, primary_bootloader_offset, ..Options::default() };
            codes(&csv_with(&table, &options)).contains(&Code::BootloaderMisplaced)
        };
        assert!(!with(Some(Chip::Esp32), 0x1000));
        assert!(with(Some(Chip::Esp32c3), 0x1000));
        assert!(!with(None, 0x1000));
    }
}
