//! Rules about rows of which there may be one: the otadata of the main system and that of the TEE.

use super::Blame as _;
use crate::partition::code::Code;
use crate::partition::csv::Field;
use crate::partition::finding::Finding;
use crate::partition::kind::Kind;
use crate::partition::reading::Row;

/// Two sectors, so that one is whole while the other is erased (`otadata` in ESP-IDF's guide to
/// partition tables).
const OTADATA_SIZE: u32 = 0x2000;

pub(super) fn check(rows: &[Row], findings: &mut Vec<Finding>) {
    let main = (Kind::OTADATA, Code::OtadataDuplicate, Code::OtadataSize);
    let tee = (Kind::TEE_OTADATA, Code::TeeOtadataDuplicate, Code::TeeOtadataSize);
    for (kind, duplicate, size) in [main, tee] {
        let mut found = rows.iter().filter(|row| row.entry.kind == kind);
        let Some(first) = found.next() else { continue };
        size_of(first, size, findings);
        for row in found {
            let message = format!("`{}` and `{}` are both {kind}", row.title(), first.title());
            findings.push(
                row.finding(Field::Subtype, duplicate, message)
                    .help(format!("remove `{}`: there is one {kind} in a table", row.title())),
            );
        }
    }
}

fn size_of(row: &Row, code: Code, findings: &mut Vec<Finding>) {
    let size = row.entry.size;
    if size != OTADATA_SIZE {
        let message = format!(
            "the size of `{}` is {size:#x}, but it is always {OTADATA_SIZE:#x}",
            row.title()
        );
        findings
            .push(row.finding(Field::Size, code, message).help(format!("write {OTADATA_SIZE:#x}")));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::finds;
    use super::*;

    #[test]
    fn otadata_is_one_partition_of_two_sectors() {
        // `GOOD` has one already.
        assert!(finds("x,data,ota,,0x2000,", Code::OtadataDuplicate));
        assert!(finds("x,data,ota,,0x1000,", Code::OtadataSize));
        assert!(finds("x,data,ota,,0x2001,", Code::OtadataSize));
        assert!(!finds("x,data,phy,,0x1000,", Code::OtadataSize));
    }

    #[test]
    fn the_same_holds_for_the_tee() {
        assert!(!finds("x,data,tee_ota,,0x2000,", Code::TeeOtadataSize));
        assert!(finds("x,data,tee_ota,,0x3000,", Code::TeeOtadataSize));
        assert!(!finds("x,data,tee_ota,,0x2000,", Code::TeeOtadataDuplicate));
        let two = "x,data,tee_ota,,0x2000,\ny,data,0x90,,0x2000,";
        assert!(finds(two, Code::TeeOtadataDuplicate));
    }
}
