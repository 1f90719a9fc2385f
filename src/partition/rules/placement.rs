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
