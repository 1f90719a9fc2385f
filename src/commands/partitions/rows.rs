//! Rows of a table in reports: for programs as fields, for people as aligned columns.

use std::io::{self, Write};

use serde::Serialize;

use crate::partition::{Entry, Size};

/// A row, as JSON has it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RowReport {
    /// Name.
    pub(super) name: String,
    /// Type, as a CSV spells it.
    #[serde(rename = "type")]
    ty: String,
    /// Subtype, as a CSV spells it.
    subtype: String,
    /// First byte.
    offset: u32,
    /// Bytes.
    size: u32,
    /// `encrypted`, `readonly`, both with a colon between, or nothing.
    flags: &'static str,
}

impl From<&Entry> for RowReport {
    fn from(entry: &Entry) -> Self {
        Self {
            name: entry.label.to_string(),
            ty: entry.kind.type_text(),
            subtype: entry.kind.subtype_text(),
            offset: entry.offset,
            size: entry.size,
            flags: entry.flags.text(),
        }
    }
}

/// Writes rows as a table with a heading.
pub(super) fn table(out: &mut dyn Write, rows: &[RowReport]) -> io::Result<()> {
    let heading = ["name", "type", "subtype", "offset", "size", "", "flags"].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        [
            row.name.clone(),
            row.ty.clone(),
            row.subtype.clone(),
            format!("{:#x}", row.offset),
            format!("{:#x}", row.size),
            Size(row.size.into()).to_string(),
            row.flags.to_owned(),
        ]
    });
    let lines: Vec<[String; 7]> = std::iter::once(heading).chain(cells).collect();
    let mut widths = [0_usize; 7];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for line in lines {
        let padded = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
