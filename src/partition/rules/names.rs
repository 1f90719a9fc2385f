//! Rules about names: unique, not misleading, and the same on the device as in the file.

use std::collections::BTreeMap;

use super::Blame as _;
use crate::partition::code::Code;
use crate::partition::csv::Field;
use crate::partition::entry::Label;
use crate::partition::finding::Finding;
use crate::partition::keyword;
use crate::partition::reading::Row;

pub(super) fn check(rows: &[Row], findings: &mut Vec<Finding>) {
    for row in rows {
        keyword(row, findings);
        spelling(row, findings);
    }
    duplicates(rows, findings);
}

/// A word of the type or subtype column as a name is fine for that type, and a likely slip of the
/// columns for any other.
fn keyword(row: &Row, findings: &mut Vec<Finding>) {
    let (name, kind) = (row.name.as_str(), row.entry.kind);
    let as_type = keyword::code(keyword::TYPES, name).is_some_and(|ty| ty != kind.ty);
    let as_subtype = keyword::is_subtype(name)
        && keyword::code(keyword::subtypes(kind.ty), name) != Some(kind.subtype);
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
