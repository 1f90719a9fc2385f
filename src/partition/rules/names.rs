//! Rules about names: unique, not misleading, and the same on the device as in the file.

use std::collections::BTreeMap;

use super::Blame as _;
use crate::partition::code::Code;
use crate::partition::csv::Field;
use crate::partition::entry::Label;
use crate::partition::extra_subtypes::ExtraSubtypes;
use crate::partition::finding::Finding;
use crate::partition::keyword;
use crate::partition::options::Options;
use crate::partition::reading::Row;

pub(super) fn check(rows: &[Row], options: &Options, findings: &mut Vec<Finding>) {
    for row in rows {
        keyword(row, &options.extra_subtypes, findings);
        spelling(row, findings);
    }
    duplicates(rows, findings);
}

/// A word of the type or subtype column as a name is fine for that type, and a likely slip of the
/// columns for any other.
fn keyword(row: &Row, subtypes: &ExtraSubtypes, findings: &mut Vec<Finding>) {
    let (name, kind) = (row.name.as_str(), row.entry.kind);
    let as_type = keyword::code(keyword::TYPES, name).is_some_and(|ty| ty != kind.ty);
    let as_subtype = subtypes.is_word(name)
        && keyword::code(&subtypes.words(kind.ty), name) != Some(kind.subtype);
    if as_type || as_subtype {
        let column = if as_type { "type" } else { "subtype" };
        let message =
            format!("the name `{name}` is the word of a {column}, but this partition is {kind}");
        findings.push(
            row.finding(Field::Name, Code::NameIsKeyword, message)
                .help("check the type and subtype, or choose another name"),
        );
    }
}

fn spelling(row: &Row, findings: &mut Vec<Finding>) {
    let (entry, name, title) = (&row.entry, &row.name, row.title());
    if name.is_empty() {
        findings.push(
            row.finding(
                Field::Name,
                Code::NameEmpty,
                format!("the partition at {:#x} has no name", entry.offset),
            )
            .help("give it a name, so that programs can find it"),
        );
    }
    if *name != entry.label.text() {
        let kept = entry.label;
        let why = if name.len() > Label::SIZE {
            format!("has {} bytes, but flash has room for {}", name.len(), Label::SIZE)
        } else {
            "has a zero in it, where it ends".to_owned()
        };
        findings.push(
            row.finding(
                Field::Name,
                Code::NameTruncated,
                format!("the name `{title}` {why}: it becomes `{kept}`"),
            )
            .help(format!("shorten the name to at most {} bytes", Label::SIZE)),
        );
    } else if name.len() == Label::SIZE {
        let message = format!(
            "the name `{title}` fills its {} bytes, so that no zero ends it in flash",
            Label::SIZE
        );
        findings.push(
            row.finding(Field::Name, Code::NameUnterminated, message)
                .help("shorten it by one letter if programs read the table themselves"),
        );
    }
    if !name.is_ascii() {
        let message = format!("the name `{title}` has letters outside ASCII");
        findings.push(
            row.finding(Field::Name, Code::NameNotAscii, message)
                .help("use ASCII: not every program on the device expects more"),
        );
    }
}

fn duplicates(rows: &[Row], findings: &mut Vec<Finding>) {
    let mut names: BTreeMap<&str, &Row> = BTreeMap::new();
    let mut labels: BTreeMap<&[u8], &Row> = BTreeMap::new();
    for row in rows {
        let (title, label) = (row.title(), row.entry.label.bytes());
        if let Some(first) = names.get(row.name.as_str()) {
            let message = format!("two partitions have the name `{title}`{}", line(first));
            findings.push(
                row.finding(Field::Name, Code::DuplicateName, message)
                    .help("give each partition a name of its own"),
            );
            continue;
        }
        if let Some(first) = labels.get(label) {
            let message = format!(
                "`{title}` and `{}` are both `{}` in flash, where names end after {} bytes",
                first.title(),
                row.entry.label,
                Label::SIZE
            );
            findings.push(
                row.finding(Field::Name, Code::NameCollision, message)
                    .help("make the names differ in their first 16 bytes"),
            );
        }
        names.insert(&row.name, row);
        labels.insert(label, row);
    }
}

fn line(row: &Row) -> String {
    row.place(Field::Name)
        .map_or_else(String::new, |(line, _)| format!(", the first in line {line}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{GOOD, codes, csv, finds};
    use super::*;

    #[test]
    fn a_word_of_another_column_as_a_name_is_a_likely_slip() {
        assert!(finds("app,data,phy,,4K,", Code::NameIsKeyword));
        assert!(finds("spiffs,data,fat,,4K,", Code::NameIsKeyword));
        assert!(finds("factory,0x40,0,,4K,", Code::NameIsKeyword));
        assert!(!finds("spiffs,data,spiffs,,4K,", Code::NameIsKeyword));
        assert!(!finds("data,data,phy,,4K,", Code::NameIsKeyword));
        assert!(!finds("Spiffs,data,fat,,4K,", Code::NameIsKeyword), "words are lower case");
    }

    #[test]
    fn sixteen_bytes_are_the_most_a_name_keeps() {
        assert!(finds("seventeen_letters,data,phy,,4K,", Code::NameTruncated));
        assert!(!finds("sixteen_letters_,data,phy,,4K,", Code::NameTruncated));
        assert!(finds("sixteen_letters_,data,phy,,4K,", Code::NameUnterminated));
        assert!(!finds("fifteen_letters,data,phy,,4K,", Code::NameUnterminated));
        assert!(finds("a\0b,data,phy,,4K,", Code::NameTruncated), "a zero ends a name");
        assert!(finds(",data,phy,,4K,", Code::NameEmpty));
        assert!(finds("n\u{e4}me,data,phy,,4K,", Code::NameNotAscii));
    }

    #[test]
    fn names_are_unique_before_and_after_they_are_cut() {
        let long = "seventeen_letters,data,phy,,4K,\n";
        let other = csv(&format!("{long}seventeen_letterX,data,fat,,4K,\n{GOOD}"));
        assert!(other.accepted_by.esp_idf && !other.accepted_by.ota);
        assert!(codes(&other).contains(&Code::NameCollision));
        let same = csv(&format!("{long}{long}{GOOD}"));
        assert!(!same.accepted_by.esp_idf);
        let finding = same.findings.iter().find(|f| f.code == Code::DuplicateName).unwrap();
        assert_eq!(finding.line, Some(2));
        assert!(finding.message.ends_with(", the first in line 1"));
        assert!(!codes(&same).contains(&Code::NameCollision), "said once");
    }
}
