//! What the crate esp-bootloader-esp-idf 0.6 makes of a table on the device.
//!
//! It looks for partitions by comparing the type of every row, and panics on the first whose type
//! or subtype it has no variant for, whatever the program was looking for.

use super::Blame as _;
use crate::partition::code::Code;
use crate::partition::csv::Field;
use crate::partition::finding::Finding;
use crate::partition::kind::{Class, Kind};
use crate::partition::reading::{Digest, Reading, Row, Source};

/// Whether the crate takes the rows.
pub(super) fn check(reading: &Reading, findings: &mut Vec<Finding>) -> bool {
    let mut accepts = digest(reading, findings);
    for row in &reading.rows {
        accepts &= kind(row, findings);
        accepts &= label(row, findings);
        flags(row, findings);
    }
    accepts
}

fn digest(reading: &Reading, findings: &mut Vec<Finding>) -> bool {
    match &reading.source {
        Source::Csv { .. } | Source::None => true,
        // Too many rows leave no room for the digest in the part of flash that is read.
        Source::Binary { .. } if reading.rows.len() > crate::partition::binary::MOST_ROWS => false,
        Source::Binary { digest: Digest::Last | Digest::BeforeLastRow, .. } => true,
        Source::Binary { digest: Digest::Missing, .. } => {
            findings.push(
                Finding::new(
                    Code::EspBootloaderRefuses,
                    "esp-bootloader-esp-idf refuses a table without a digest row",
                )
                .help("generate the table again, without `--disable-md5sum`"),
            );
            false
        }
    }
}

fn kind(row: &Row, findings: &mut Vec<Finding>) -> bool {
    if known(row.entry.kind) {
        return true;
    }
    let message = format!(
        "`{}` is {}, and esp-bootloader-esp-idf panics on it while it looks for any partition",
        row.title(),
        row.entry.kind
    );
    findings.push(
        row.finding(Field::Type, Code::EspBootloaderPanics, message)
            .help("use `data`, `undefined` for data of your own and find it by name"),
    );
    false
}

/// The variants of `PartitionType` in the crate.
fn known(kind: Kind) -> bool {
    match kind.class() {
        Class::App => matches!(kind.subtype, 0x00 | 0x10..=0x20),
        Class::Data => matches!(kind.subtype, 0x00..=0x06 | 0x81..=0x83),
        Class::Bootloader | Class::PartitionTable => kind.subtype <= 1,
        Class::Custom(_) => false,
    }
}

/// The crate takes any name for UTF-8 without looking, up to a byte that is 0 or FF.
fn label(row: &Row, findings: &mut Vec<Finding>) -> bool {
    let bytes = row.entry.label.bytes().split(|byte| *byte == 0xff).next().unwrap_or_default();
    if std::str::from_utf8(bytes).is_ok() {
        return true;
    }
    let message = format!(
        "the name of `{}` is cut inside a letter, and esp-bootloader-esp-idf takes it for UTF-8 \
         unseen",
        row.title()
    );
    findings.push(
        row.finding(Field::Name, Code::EspBootloaderPanics, message)
            .help("shorten the name to 16 bytes of ASCII"),
    );
    false
}

/// Bits 0 and 1 are swapped in the crate: `encrypted` makes a partition read-only to it.
fn flags(row: &Row, findings: &mut Vec<Finding>) {
    let flags = row.entry.flags;
    if flags.encrypted() == flags.readonly() {
        return;
    }
    let (is, seems) =
        if flags.encrypted() { ("encrypted", "readonly") } else { ("readonly", "encrypted") };
    let message = format!(
        "`{}` is flagged `{is}`, which esp-bootloader-esp-idf takes for `{seems}`",
        row.title()
    );
    let finding = row.finding(Field::Flags, Code::EspBootloaderFlags, message);
    findings.push(if flags.encrypted() {
        finding.help("do not write this partition through that crate: it refuses")
    } else {
        finding.help("do not rely on that crate to refuse writes to this partition")
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{GOOD, codes, csv, finds};
    use super::*;
    use crate::partition::{Options, check, encode, read, standard};

    #[test]
    fn kinds_without_a_variant_panic() {
        for row in [
            "x,0x40,0,,4K,",
            "x,4,0,,4K,",
            "x,data,esphttpd,,4K,",
            "x,data,tee_ota,,0x2000,",
            "x,data,7,,4K,",
        ] {
            let report = csv(&format!("{row}\n{GOOD}"));
            assert!(report.accepted_by.esp_idf, "{row}");
            assert!(!report.accepted_by.esp_bootloader_esp_idf, "{row}");
            assert!(codes(&report).contains(&Code::EspBootloaderPanics), "{row}");
        }
        for row in ["x,data,undefined,,4K,", "x,data,littlefs,,4K,", "x,app,test,0x10000,0,"] {
            assert!(!finds(row, Code::EspBootloaderPanics), "{row}");
        }
    }

    #[test]
    fn a_binary_table_needs_its_digest() {
        let bytes = encode(&standard(0x40_0000).unwrap()).unwrap();
        let options = Options::default();
        let verdict = |bytes: &[u8]| check(&read(bytes, None, &options), &options);
        assert!(verdict(&bytes).accepted_by.esp_bootloader_esp_idf);
        let bare = [&bytes[..160], &[0xff; 32]].concat();
        let report = verdict(&bare);
        assert!(report.accepted_by.esp_idf && !report.accepted_by.esp_bootloader_esp_idf);
        assert_eq!(codes(&report), [Code::DigestMissing, Code::EspBootloaderRefuses]);
    }

    #[test]
    fn a_single_flag_is_taken_for_the_other() {
        assert!(finds("x,data,fat,,4K,encrypted", Code::EspBootloaderFlags));
        assert!(finds("x,data,fat,,4K,readonly", Code::EspBootloaderFlags));
        assert!(!finds("x,data,fat,,4K,encrypted:readonly", Code::EspBootloaderFlags));
        assert!(!finds("x,data,fat,,4K,", Code::EspBootloaderFlags));
    }

    #[test]
    fn a_name_cut_inside_a_letter_is_not_text_to_it() {
        assert!(finds("fifteen_letters\u{e4},data,fat,,4K,", Code::EspBootloaderPanics));
        assert!(!finds("fourteen_lette\u{e4},data,fat,,4K,", Code::EspBootloaderPanics));
    }
}
