//! A table as CSV: a header comment, aligned columns, every offset written out.

use std::borrow::Cow;

use super::entry::Entry;
use super::table::Table;
use super::text;
use crate::error::{Exit, Explained};

/// A row that CSV has no way to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// The name would be read back as something else.
    #[error("a CSV cannot hold the name `{name}`")]
    Name {
        /// The name.
        name: String,
    },
    /// Flags without a word.
    #[error("a CSV has no word for the flags {bits:#010x} of `{name}`")]
    Flags {
        /// The name of the row.
        name: String,
        /// The flags.
        bits: u32,
    },
}

impl Explained for CsvError {
    fn exit(&self) -> Exit {
        match self {
            Self::Name { .. } | Self::Flags { .. } => Exit::Rejected,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Name { .. } => Some("give it a name of letters and digits".to_owned()),
            Self::Flags { .. } => {
                Some("see `cargo esp-ota partitions check` for what set them".to_owned())
            }
        }
    }
}

/// Writes a table as CSV. What it writes is read back as the same rows.
///
/// # Errors
///
/// Names with commas, line ends, `$` and the like, and flags without a name: things that only a
/// binary table can hold.
pub fn to_csv(table: &Table) -> Result<String, CsvError> {
    let header = ["# Name", "Type", "SubType", "Offset", "Size", "Flags"].map(Cow::Borrowed);
    let rows = table.entries.iter().map(row).collect::<Result<Vec<_>, _>>()?;
    let lines: Vec<_> = std::iter::once(header).chain(rows).collect();

    let mut widths = [0_usize; 6];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count().saturating_add(2));
        }
    }
    let mut csv = String::from("# Partition table: cargo esp-ota partitions check\n");
    for line in lines {
        let mut text = String::new();
        for (index, (cell, width)) in line.iter().zip(widths).enumerate() {
            // The comma stands at the word, the space after it.
            let comma = if index < 5 { "," } else { "" };
            text.push_str(&format!("{:width$}", format!("{cell}{comma}")));
        }
        csv.push_str(text.trim_end());
        csv.push('\n');
    }
    Ok(csv)
}

fn row(entry: &Entry) -> Result<[Cow<'static, str>; 6], CsvError> {
    let name = writable_name(entry)?;
    if entry.flags.unknown() != 0 {
        return Err(CsvError::Flags { name, bits: entry.flags.unknown() });
    }
    Ok([
        name.into(),
        entry.kind.type_text().into(),
        entry.kind.subtype_text().into(),
        format!("{:#x}", entry.offset).into(),
        format!("{:#x}", entry.size).into(),
        entry.flags.text().into(),
    ])
}

/// The name, if a reader would take it for the same name again.
fn writable_name(entry: &Entry) -> Result<String, CsvError> {
    let name = entry.label.text().into_owned();
    let same = super::entry::Label::new(&name) == entry.label
        && text::strip(&name) == name
        && text::lines(&name).count() <= 1
        && !name.starts_with('#')
        && !name.contains(['$', ','])
        // Cut out of the middle of a file, it would be a mark; at its beginning it is swallowed.
        && !name.starts_with('\u{feff}');
    if same { Ok(name) } else { Err(CsvError::Name { name }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::partition::{Flags, Kind, Label, Options, read, standard};

    #[test]
    fn columns_stand_below_each_other_and_everything_is_written_out() {
        assert_eq!(
            to_csv(&standard(0x40_0000).unwrap()).unwrap(),
            "\
# Partition table: cargo esp-ota partitions check
# Name,  Type, SubType, Offset,   Size,     Flags
nvs,     data, nvs,     0x9000,   0x5000,
otadata, data, ota,     0xe000,   0x2000,
app0,    app,  ota_0,   0x10000,  0x140000,
app1,    app,  ota_1,   0x150000, 0x140000,
spiffs,  data, spiffs,  0x290000, 0x170000,
"
        );
    }

    #[test]
    fn what_a_csv_cannot_hold_is_refused_and_not_changed() {
        for name in ["a,b", " a", "#a", "a$b", "a\nb", "\u{feff}a"] {
            let entry = Entry::new(name, Kind::NVS, 0x9000, 0x3000);
            let name = name.to_owned();
            assert_eq!(to_csv(&[entry].into_iter().collect()), Err(CsvError::Name { name }));
        }
        let mut entry = Entry::new("x", Kind::NVS, 0x9000, 0x3000);
        entry.flags = Flags(4);
        assert!(matches!(to_csv(&[entry].into_iter().collect()), Err(CsvError::Flags { .. })));
        // Bytes behind the end of the name are not part of it, but part of the row.
        entry.flags = Flags(0);
        entry.label = Label(*b"x\0y\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert!(matches!(to_csv(&[entry].into_iter().collect()), Err(CsvError::Name { .. })));
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        // Rows in order, as a CSV needs them; types 2 and 3 take their place from the options.
        let row = (
            "[a-zA-Z0-9_ .\u{e4}-]{0,20}",
            any::<u8>(),
            any::<u8>(),
            0..0x10_u32,
            0..0x40_0000_u32,
            0..4_u32,
        );
        prop::collection::vec(row, 0..20).prop_map(|rows| {
            let mut offset = 0x9000_u32;
            rows.into_iter()
                .map(|(name, ty, subtype, gap, size, flags)| {
                    let ty = if ty == 2 || ty == 3 { 0 } else { ty };
                    offset = offset.saturating_add(gap);
                    let name = name.trim();
                    let mut entry = Entry::new(name, Kind { ty, subtype }, offset, size);
                    entry.flags = Flags(flags);
                    offset = offset.saturating_add(size);
                    entry
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_as_the_same_rows(entries in entries()) {
            let table = Table { entries };
            let Ok(csv) = to_csv(&table) else { return Ok(()) };
            let reading = read(csv.as_bytes(), None, &Options::default());
            prop_assert_eq!(&reading.findings, &[]);
            prop_assert_eq!(reading.table(), table);
        }
    }
}
