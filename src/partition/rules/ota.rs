//! What an update needs of a table and ESP-IDF does not ask for.
//!
//! The bootloader finds slot N as the row of subtype `ota_N`, but counts rows to know how many
//! slots there are (ESP-IDF, `bootloader_utility.c`). With a gap or a duplicate the two disagree,
//! and an update is written to a slot that never boots.

use super::Blame as _;
use crate::partition::code::Code;
use crate::partition::csv::Field;
use crate::partition::finding::Finding;
use crate::partition::kind::Kind;
use crate::partition::options::Options;
use crate::partition::reading::Row;

/// Least NVS for the update agent beside Wi-Fi settings: of its pages of 0x1000 one is always free,
/// and the largest root it trusts, 7 KiB, is in it twice while the new one replaces the old. The
/// tests of the agent's memory show that one page less does not do.
const AGENT_NVS: u32 = 0x5000;

pub(super) fn check(rows: &[Row], options: &Options, findings: &mut Vec<Finding>) {
    if !rows.iter().any(|row| row.entry.kind.is_app()) {
        findings.push(
            Finding::new(Code::AppMissing, "the table has no app partition")
                .help("add two slots: rows of type `app`, subtype `ota_0` and `ota_1`"),
        );
    }
    if !rows.iter().any(|row| row.entry.kind == Kind::OTADATA) {
        findings.push(
            Finding::new(
                Code::OtadataMissing,
                "the table has no otadata partition, where the bootloader reads which slot boots",
            )
            .help("add a row `otadata, data, ota, , 0x2000`"),
        );
    }
    slots(rows, findings);
    factory(rows, findings);
    if options.anti_rollback {
        anti_rollback(rows, findings);
    }
    nvs(rows, findings);
}

fn slots(rows: &[Row], findings: &mut Vec<Finding>) {
    let mut slots: Vec<(u8, &Row)> =
        rows.iter().filter_map(|row| Some((row.entry.kind.slot_index()?, row))).collect();
    slots.sort_by_key(|(index, _)| *index);
    let mut distinct: Vec<(u8, &Row)> = Vec::new();
    for (index, row) in slots {
        match distinct.iter().find(|(other, _)| *other == index) {
            None => distinct.push((index, row)),
            Some((_, first)) => {
                let message =
                    format!("`{}` and `{}` are both `ota_{index}`", row.title(), first.title());
                findings.push(
                    row.finding(Field::Subtype, Code::SlotDuplicate, message)
                        .help("number the slots ota_0, ota_1 and so on"),
                );
            }
        }
    }
    if distinct.len() < 2 {
        let message = format!(
            "the table has {}, but an update needs two: one that runs and one to write",
            match distinct.len() {
                0 => "no OTA slot",
                _ => "one OTA slot",
            }
        );
        let first = distinct.first().and_then(|(_, row)| row.place(Field::Subtype));
        findings.push(
            Finding::new(Code::TooFewSlots, message)
                .at(first)
                .help("add rows of type `app`, subtype `ota_0` and `ota_1`, of the same size"),
        );
    }
    for (expected, (index, row)) in (0..).zip(&distinct) {
        if expected != *index {
            let message = format!(
                "`{}` is `ota_{index}`, but there is no `ota_{expected}`: the bootloader counts \
                 slots and would never reach it",
                row.title()
            );
            findings.push(
                row.finding(Field::Subtype, Code::SlotGap, message)
                    .help(format!("write `ota_{expected}`")),
            );
            break;
        }
    }
    sizes(&distinct, findings);
}

fn sizes(slots: &[(u8, &Row)], findings: &mut Vec<Finding>) {
    let Some((_, first)) = slots.first() else { return };
    for (_, row) in slots {
        let (one, other) = (first.entry.size, row.entry.size);
        if one != other {
            let message = format!(
                "`{}` has {other:#x} bytes and `{}` has {one:#x}: an image for one may not fit the \
                 other",
                row.title(),
                first.title()
            );
            findings.push(
                row.finding(Field::Size, Code::SlotSizesDiffer, message)
                    .help(format!("give all slots the same size, such as {:#x}", one.min(other))),
            );
        }
    }
}

fn factory(rows: &[Row], findings: &mut Vec<Finding>) {
    let mut found = rows.iter().filter(|row| row.entry.kind == Kind::FACTORY);
    let Some(first) = found.next() else { return };
    for row in found {
        let message = format!("`{}` and `{}` are both `factory`", row.title(), first.title());
        findings.push(
            row.finding(Field::Subtype, Code::FactoryDuplicate, message)
                .help("keep one: the bootloader knows the last it reads"),
        );
    }
}

/// Updates do not replace the factory app. Once one of them has raised the version in the eFuses, a
/// bootloader with anti-rollback refuses it for good: the fallback that it seems to be is none, which
/// is why ESP-IDF wants no such row there (`bootloader_utility.c`).
fn anti_rollback(rows: &[Row], findings: &mut Vec<Finding>) {
    for row in rows.iter().filter(|row| row.entry.kind == Kind::FACTORY) {
        let message = format!(
            "`{}` is a factory app: with anti-rollback the bootloader refuses it for good once an \
             update has raised the secure version",
            row.title()
        );
        findings.push(
            row.finding(Field::Subtype, Code::FactoryWithAntiRollback, message)
                .help("remove the row, and install the first image in `ota_0`"),
        );
    }
}

fn nvs(rows: &[Row], findings: &mut Vec<Finding>) {
    let stores = rows.iter().filter(|row| row.entry.kind == Kind::NVS);
    let writable = stores.filter(|row| !row.entry.flags.readonly());
    match writable.max_by_key(|row| row.entry.size) {
        None => findings.push(
            Finding::new(
                Code::NvsMissing,
                "the table has no NVS that may be written: the update agent keeps its settings \
                 and the version it trusts there",
            )
            .help("add a row `nvs, data, nvs, , 0x5000`"),
        ),
        Some(row) if row.entry.size < AGENT_NVS => {
            let message = format!(
                "`{}` has {:#x} bytes, but settings and the update agent's state need {AGENT_NVS:#x}",
                row.title(),
                row.entry.size
            );
            findings.push(
                row.finding(Field::Size, Code::NvsTooSmall, message)
                    .help(format!("write {AGENT_NVS:#x} or more")),
            );
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{GOOD, codes, csv, csv_with, finds};
    use super::*;
    use crate::partition::Report;

    /// Slots of the given numbers and sizes, with all else an update needs.
    fn slots(rows: &[(u8, &str)]) -> Report {
        let mut text = "nvs,data,nvs,,0x5000,\notadata,data,ota,,0x2000,\n".to_owned();
        for (at, (index, size)) in rows.iter().enumerate() {
            text.push_str(&format!("app{at},app,ota_{index},,{size},\n"));
        }
        csv(&text)
    }

    #[test]
    fn two_to_sixteen_equal_slots_from_ota_0_are_fit() {
        for count in 2..=16 {
            let rows: Vec<_> = (0..count).map(|index| (index, "64K")).collect();
            let report = slots(&rows);
            assert_eq!(report.findings, [], "{count}");
            assert!(report.accepted_by.ota);
        }
    }

    #[test]
    fn tables_that_esp_idf_takes_and_no_update_can_use() {
        let cases: [(&[(u8, &str)], Code); 6] = [
            (&[], Code::AppMissing),
            (&[(0, "1M")], Code::TooFewSlots),
            (&[(0, "1M"), (2, "1M")], Code::SlotGap),
            (&[(1, "1M"), (2, "1M")], Code::SlotGap),
            (&[(0, "1M"), (0, "1M")], Code::SlotDuplicate),
            (&[(0, "1M"), (1, "0x101000")], Code::SlotSizesDiffer),
        ];
        for (rows, code) in cases {
            let report = slots(rows);
            assert!(report.accepted_by.esp_idf, "{code}");
            assert!(!report.accepted_by.ota, "{code}");
            assert!(codes(&report).contains(&code), "{code}");
        }
    }

    #[test]
    fn the_help_gives_the_number_of_the_missing_slot() {
        let report = slots(&[(0, "1M"), (2, "1M")]);
        assert_eq!(codes(&report), [Code::SlotGap]);
        assert_eq!((report.findings[0].line, report.findings[0].column), (Some(4), Some(10)));
        assert_eq!(report.findings[0].help.as_deref(), Some("write `ota_1`"));
    }

    #[test]
    fn without_otadata_no_slot_can_be_chosen() {
        let text = GOOD.replace("otadata,data,ota", "otadata,data,phy");
        let report = csv(&text);
        assert_eq!(codes(&report), [Code::OtadataMissing]);
        assert!(report.accepted_by.esp_idf && !report.accepted_by.ota);
    }

    #[test]
    fn one_factory_app_is_fine_and_two_are_not() {
        let factory = "f,app,factory,0x220000,64K,\n";
        assert_eq!(csv(&format!("{GOOD}{factory}")).findings, []);
        let two = csv(&format!("{GOOD}{factory}g,app,factory,,64K,\n"));
        assert!(codes(&two).contains(&Code::FactoryDuplicate) && !two.accepted_by.ota);
    }

    #[test]
    fn anti_rollback_leaves_no_use_for_a_factory_app() {
        let table = format!("{GOOD}f,app,factory,,64K,\n");
        let with =
            |anti_rollback| csv_with(&table, &Options { anti_rollback, ..Options::default() });
        assert_eq!(codes(&with(false)), []);
        assert_eq!(codes(&with(true)), [Code::FactoryWithAntiRollback]);
        assert!(with(true).accepted_by.ota, "updates still work");
        let options = Options { anti_rollback: true, ..Options::default() };
        assert_eq!(codes(&csv_with(GOOD, &options)), []);
    }

    #[test]
    fn the_agent_needs_a_store_that_it_may_write() {
        let with = |size: &str| csv(&GOOD.replace("nvs,,0x5000,", size));
        assert_eq!(codes(&with("nvs,,0x5000,")), []);
        assert_eq!(codes(&with("nvs,,0x4000,")), [Code::NvsTooSmall]);
        let readonly = with("nvs,,0x5000,readonly");
        assert!(codes(&readonly).contains(&Code::NvsMissing));
        assert!(readonly.accepted_by.ota, "other agents may keep their state elsewhere");
    }

    #[test]
    fn what_a_broken_row_may_have_been_is_not_reported_missing() {
        let report = csv("otadata,data,ota,,x,\n");
        assert_eq!(codes(&report), [Code::InvalidNumber]);
        assert!(!finds("x,data,phy,,y,", Code::TooFewSlots));
        assert!(!report.accepted_by.ota);
    }
}
