//! Blank offsets and negative sizes of a CSV become numbers, row by row, as ESP-IDF does it.

use super::code::Code;
use super::csv::{Draft, Field};
use super::entry::{Entry, Label};
use super::finding::Finding;
use super::kind::Kind;
use super::options::Options;
use super::reading::Row;
use super::text;

/// Places the rows one after the other and holds every value to its field in flash.
///
/// After a row that could not be read, the end of what lies below is unknown: a blank offset then
/// has no value and its row is left out, rather than reported for somebody else's mistake.
pub(crate) fn resolve(
    drafts: Vec<Option<Draft>>,
    options: &Options,
    findings: &mut Vec<Finding>,
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(drafts.len());
    let mut last = Last { end: options.table_end().into(), known: true, name: None };
    for draft in drafts {
        let Some(draft) = draft else {
            last.known = false;
            continue;
        };
        if let Some((draft, offset)) = last.place(draft, options, findings)
            && let Some(row) = narrow(draft, offset, findings)
        {
            rows.push(row);
        }
    }
    rows
}

/// The row below.
struct Last {
    end: i128,
    known: bool,
    /// `None` for the partition table itself.
    name: Option<String>,
}

impl Last {
    fn place(
        &mut self,
        mut draft: Draft,
        options: &Options,
        findings: &mut Vec<Finding>,
    ) -> Option<(Draft, i128)> {
        let alignment: i128 = if draft.ty == 0 { 0x10000 } else { 0x1000 };
        let fixed = matches!((draft.ty, draft.subtype), (2 | 3, 0));
        if fixed {
            // They lie below everything else, whatever line they stand in.
            let offset = draft.offset?;
            return Some((draft, offset));
        }
        let free = round_up(self.end, alignment);
        let offset = match draft.offset {
            Some(offset) => offset,
            None if self.known => free,
            None => return None,
        };
        if offset < self.end {
            findings.push(self.too_low(&draft, offset, free, options));
        }
        if draft.size < 0 {
            draft.size = draft.size.saturating_neg().saturating_sub(offset);
        }
        // A row that is wrong itself is not what the next one follows: the next would be wrong too.
        self.known = u32::try_from(offset).is_ok() && u32::try_from(draft.size).is_ok();
        let end = offset.saturating_add(draft.size);
        if self.known && end >= self.end {
            self.end = end;
            self.name = Some(text::quote(&draft.written.name.text).into_owned());
        }
        Some((draft, offset))
    }

    fn too_low(&self, draft: &Draft, offset: i128, free: i128, options: &Options) -> Finding {
        let name = text::quote(&draft.written.name.text);
        let finding = match &self.name {
            Some(previous) => Finding::new(
                Code::OffsetBeforePreviousEnd,
                format!(
                    "`{name}` begins at {}, but `{previous}` above it ends at {}",
                    hex(offset),
                    hex(self.end)
                ),
            ),
            None => Finding::new(
                Code::OffsetInsideTable,
                format!(
                    "`{name}` begins at {}, but the partition table occupies {:#x} to {}",
                    hex(offset),
                    options.table_offset,
                    hex(self.end)
                ),
            ),
        };
        finding.at(Some(draft.written.place(Field::Offset))).help(format!(
            "write {} or leave the offset empty; rows stand in the order of their offsets",
            hex(free)
        ))
    }
}

/// Holds the values to the widths they have in flash.
fn narrow(draft: Draft, offset: i128, findings: &mut Vec<Finding>) -> Option<Row> {
    let ty = within::<u8>(&draft, Field::Type, "type", draft.ty, findings);
    let subtype = within::<u8>(&draft, Field::Subtype, "subtype", draft.subtype, findings);
    let start = within::<u32>(&draft, Field::Offset, "offset", offset, findings);
    let size = if draft.size < 0 {
        findings.push(
            Finding::new(
                Code::ValueOutOfRange,
                format!(
                    "`{}` is to end at {}, but begins at {}",
                    text::quote(&draft.written.name.text),
                    hex(draft.size.saturating_add(offset)),
                    hex(offset)
                ),
            )
            .at(Some(draft.written.place(Field::Size)))
            .help("write a size without a minus sign, or an end above the offset"),
        );
        None
    } else {
        within::<u32>(&draft, Field::Size, "size", draft.size, findings)
    };
    let name = draft.written.name.text.clone();
    Some(Row {
        entry: Entry {
            label: Label::new(&name),
            kind: Kind { ty: ty?, subtype: subtype? },
            offset: start?,
            size: size?,
            flags: draft.flags,
        },
        name,
        written: Some(draft.written),
    })
}

fn within<T: TryFrom<i128>>(
    draft: &Draft,
    field: Field,
    what: &str,
    value: i128,
    findings: &mut Vec<Finding>,
) -> Option<T> {
    if let Ok(value) = T::try_from(value) {
        return Some(value);
    }
    let most = match field {
        Field::Type | Field::Subtype => i128::from(u8::MAX),
        Field::Name | Field::Offset | Field::Size | Field::Flags => i128::from(u32::MAX),
    };
    findings.push(
        Finding::new(
            Code::ValueOutOfRange,
            format!(
                "the {what} of `{}` is {}, but flash has room for 0x0 to {}",
                text::quote(&draft.written.name.text),
                hex(value),
                hex(most)
            ),
        )
        .at(Some(draft.written.place(field)))
        .help(format!("write a {what} of at most {}", hex(most))),
    );
    None
}

fn round_up(value: i128, to: i128) -> i128 {
    match value.checked_rem_euclid(to) {
        Some(0) | None => value,
        Some(rest) => value.saturating_add(to).saturating_sub(rest),
    }
}

/// Hexadecimal with a sign, which `{:#x}` does not do.
fn hex(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{:#x}", value.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use crate::partition::{Code, Options, Reading, read};

    fn reading(text: &str) -> Reading {
        read(text.as_bytes(), None, &Options::default())
    }

    fn places(text: &str) -> Vec<(u32, u32)> {
        reading(text).rows.iter().map(|row| (row.entry.offset, row.entry.size)).collect()
    }

    fn found(text: &str) -> Vec<(Code, Option<usize>)> {
        reading(text).findings.iter().map(|finding| (finding.code, finding.line)).collect()
    }

    #[test]
    fn blank_offsets_follow_the_row_above_aligned_by_type() {
        assert_eq!(
            places("a,data,nvs,,0x4001\nb,data,phy,,0x1000\nc,app,ota_0,,1M\nd,0x40,0,,5"),
            [(0x9000, 0x4001), (0xe000, 0x1000), (0x10000, 0x10_0000), (0x11_0000, 5)]
        );
    }

    #[test]
    fn a_negative_size_is_the_end_of_the_partition() {
        assert_eq!(places("a,data,nvs,0x9000,-0x10000"), [(0x9000, 0x7000)]);
        assert_eq!(places("a,data,nvs,,-0x9000"), [(0x9000, 0)]);
        assert_eq!(found("a,data,nvs,0x9000,-0x8fff"), [(Code::ValueOutOfRange, Some(1))]);
    }

    #[test]
    fn rows_below_the_row_above_are_named_with_both_numbers() {
        let touching = "a,data,nvs,0x9000,0x6000\nb,data,phy,0xf000,0x1000";
        assert_eq!(found(touching), []);
        let text = "a,data,nvs,0x9000,0x6001\nb,data,phy,0xf000,0x1000";
        let finding = &reading(text).findings[0];
        assert_eq!(finding.code, Code::OffsetBeforePreviousEnd);
        assert_eq!(finding.message, "`b` begins at 0xf000, but `a` above it ends at 0xf001");
        assert!(finding.help.as_ref().unwrap().starts_with("write 0x10000 "));
    }

    #[test]
    fn the_first_row_begins_behind_the_table() {
        assert_eq!(found("a,data,nvs,0x9000,0x3000"), []);
        assert_eq!(found("a,data,nvs,0x8fff,0x3000"), [(Code::OffsetInsideTable, Some(1))]);
    }

    #[test]
    fn a_mistake_is_not_reported_again_in_the_rows_that_follow() {
        let rest = "\nb,data,phy,,0x1000\nc,data,fat,,0x1000";
        for row in ["a,data,nvs,0x0,0x3000", "a,data,nvs,,99999999999", "a,data,nvs,,-1"] {
            let lines: Vec<_> = found(&format!("{row}{rest}")).iter().map(|(_, at)| *at).collect();
            assert_eq!(lines, [Some(1)], "{row}");
        }
    }

    #[test]
    fn values_are_held_to_what_flash_can_store() {
        assert_eq!(found("a,0xff,255,0xfffff000,0xffffffff"), []);
        for row in [
            "a,256,0,,1",
            "a,-1,0,,1",
            "a,1,256,,1",
            "a,1,1,0x100000000,1",
            "a,1,1,,4G",
            "a,1,1,,4096M",
        ] {
            assert_eq!(found(row).len(), 1, "{row}");
        }
    }

    #[test]
    fn a_row_that_cannot_be_read_is_not_held_against_those_behind_it() {
        let text = "a,data,nvs,,x\nb,data,phy,,0x1000\nc,app,ota_0,0x10000,1M\nd,app,ota_1,,1M";
        assert_eq!(found(text), [(Code::InvalidNumber, Some(1))]);
        assert_eq!(places(text), [(0x10000, 0x10_0000), (0x11_0000, 0x10_0000)]);
    }
}
