//! The formatter: a CSV with its columns below each other, and nothing else about it changed.
//!
//! Fields keep their spelling, comments and blank lines their places. A line that would be read
//! differently with other spaces in it, which `$` makes possible, stays as it is.

use std::collections::BTreeMap;

use super::csv::{self, Field};
use super::text;
use super::variables;

/// Longest field that the fields above and below it are aligned with. A longer one stands out
/// instead of moving a whole column, and a file cannot ask for the square of its size in spaces.
const LONGEST_ALIGNED: usize = 32;

/// Columns that have a meaning. ESP-IDF passes over further ones; they are kept, but not aligned.
const COLUMNS: usize = 6;

/// The words of the comment that names the columns.
const HEADER: [&str; COLUMNS] = ["name", "type", "subtype", "offset", "size", "flags"];

enum Line<'a> {
    /// To be written as it is.
    Kept(&'a str),
    /// To be aligned.
    Fields(Vec<&'a str>),
}

/// Formats the text of a CSV, as [`super::Source::Csv`] holds it. `variables` are those that it is
/// read with. The rows that are read from the result are the rows that are read from `text`, and
/// formatting the result again changes nothing.
pub fn format(text: &str, variables: &BTreeMap<String, String>) -> String {
    let lines: Vec<Line<'_>> = text::lines(text).map(|line| read(line, variables)).collect();
    let mut widths = [0_usize; COLUMNS];
    for line in &lines {
        let Line::Fields(fields) = line else { continue };
        for (width, field) in widths.iter_mut().zip(fields) {
            let length = field.chars().count();
            if length <= LONGEST_ALIGNED {
                *width = (*width).max(length);
            }
        }
    }
    let line_end = line_end(text);
    let mut formatted = String::with_capacity(text.len());
    for line in lines {
        match line {
            Line::Kept(line) => formatted.push_str(line),
            Line::Fields(fields) => align(&fields, &widths, &mut formatted),
        }
        formatted.push_str(line_end);
    }
    if formatted.starts_with('\u{feff}') {
        // Read back, it would be taken for a byte order mark, and no longer for part of a name.
        formatted.insert(0, '\u{feff}');
    }
    formatted
}

fn read<'a>(line: &'a str, variables: &BTreeMap<String, String>) -> Line<'a> {
    let content = text::strip(line);
    if content.is_empty() {
        return Line::Kept("");
    }
    let fields: Vec<&str> = content.split(',').map(text::strip).collect();
    if content.starts_with('#') {
        return if is_header(&fields) { Line::Fields(fields) } else { Line::Kept(content) };
    }
    let before = cells(line, variables);
    if before.is_some() && before == cells(&fields.join(", "), variables) {
        Line::Fields(fields)
    } else {
        Line::Kept(line)
    }
}

/// Whether a comment names the columns: all of them but perhaps the flags, and nothing else.
fn is_header(fields: &[&str]) -> bool {
    let words = fields.iter().map(|field| field.trim_start_matches(['#', ' ']));
    let is_word = |(found, word): (&str, &str)| found.eq_ignore_ascii_case(word);
    (COLUMNS.saturating_sub(1)..=COLUMNS).contains(&fields.len()) && words.zip(HEADER).all(is_word)
}

/// The fields that a reader finds in a line.
fn cells(line: &str, variables: &BTreeMap<String, String>) -> Option<[String; COLUMNS]> {
    let expanded = variables::expand(line, variables).ok()?;
    let row = csv::split(&expanded, 1)?;
    let fields =
        [Field::Name, Field::Type, Field::Subtype, Field::Offset, Field::Size, Field::Flags];
    Some(fields.map(|field| row.cell(field).text.clone()))
}

fn align(fields: &[&str], widths: &[usize; COLUMNS], out: &mut String) {
    let start = out.len();
    let mut rest = fields.iter().enumerate().peekable();
    while let Some((index, field)) = rest.next() {
        out.push_str(field);
        if rest.peek().is_none() {
            break;
        }
        out.push(',');
        let width = widths.get(index).copied().unwrap_or(0);
        let missing = width.saturating_sub(field.chars().count());
        out.extend(std::iter::repeat_n(' ', missing.saturating_add(1)));
    }
    // An empty last field leaves the spaces in front of it.
    let end = out.trim_end_matches(' ').len().max(start);
    out.truncate(end);
}

/// The line end of the first line, if it is one of the two that every editor knows.
fn line_end(text: &str) -> &'static str {
    let first = text.find(text::is_line_end).and_then(|at| text.get(at..)).unwrap_or_default();
    if first.starts_with("\r\n") { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::partition::{Options, Reading, read, standard, to_csv};

    fn plain(text: &str) -> String {
        format(text, &BTreeMap::new())
    }

    #[test]
    fn columns_are_aligned_and_everything_else_stays() {
        assert_eq!(
            plain(
                "# ESP-IDF Partition Table\n\
                 # Name, Type, SubType, Offset, Size, Flags\n\
                 nvs,data,nvs,,24K,\n\
                 \n   \n  # the slots, 1M each\n\
                 otadata  ,DATA,ota,0xE000,0x2000\n\
                 ota_0,app , ota_0,,1M,encrypted:readonly,and,more\n\
                 #,not,a,header"
            ),
            "\
# ESP-IDF Partition Table
# Name,  Type, SubType, Offset, Size,   Flags
nvs,     data, nvs,     ,       24K,


# the slots, 1M each
otadata, DATA, ota,     0xE000, 0x2000
ota_0,   app,  ota_0,   ,       1M,     encrypted:readonly, and, more
#,not,a,header
"
        );
    }

    #[test]
    fn what_generate_writes_is_formatted_already() {
        let csv = to_csv(&standard(0x40_0000).unwrap()).unwrap();
        assert_eq!(plain(&csv), csv);
    }

    #[test]
    fn line_ends_are_those_of_the_first_line_and_the_last_line_has_one_too() {
        assert_eq!(plain("# a\r\n# b\n# c"), "# a\r\n# b\r\n# c\r\n");
        assert_eq!(plain("# a\n# b\r\n"), "# a\n# b\n");
        // What ESP-IDF takes for the end of a line becomes one that everybody sees.
        assert_eq!(plain("# a\u{2028}nvs,data,nvs,,4K"), "# a\nnvs, data, nvs, , 4K\n");
        assert_eq!(plain(""), "");
        assert_eq!(plain("\n\n"), "\n\n");
    }

    #[test]
    fn a_line_that_other_spaces_would_change_is_left_alone() {
        let variables = [("a,b".to_owned(), "24K".to_owned()), ("C".to_owned(), "# c".to_owned())];
        let variables: BTreeMap<String, String> = variables.into();
        for line in ["nvs,data,nvs,,${a,b}", "$C,nvs", " $UNKNOWN,data,nvs,,4K", "$UNKNOWN,data"] {
            assert_eq!(format(line, &variables), format!("{line}\n"));
        }
        assert_eq!(format("x,$C,${C}", &variables), "x, $C, ${C}\n");
    }

    #[test]
    fn a_long_field_moves_no_column() {
        let long = "x".repeat(LONGEST_ALIGNED + 1);
        let text = format!("a, data, nvs, , 4K\n{long}, data, nvs, , 4K\n");
        assert_eq!(plain(&text), text);
        let wide = plain(&format!("a,b\n{},b\n", "x".repeat(LONGEST_ALIGNED)));
        assert!(wide.starts_with(&format!("a,{} b\n", " ".repeat(LONGEST_ALIGNED - 1))), "{wide}");
    }

    #[test]
    fn a_mark_in_front_of_a_name_stays_part_of_it() {
        let formatted = plain("\u{feff}nvs,data,nvs,,4K");
        let name =
            |text: &str| read(text.as_bytes(), None, &Options::default()).rows[0].name.clone();
        assert_eq!(name(&formatted), "\u{feff}nvs");
    }

    fn table() -> impl Strategy<Value = String> {
        let field = prop_oneof![
            prop::sample::select(vec![
                "", "app", "data", "ota_0", "nvs", "0x9000", "1M", "-4M", "$A", "${A}", "$B", "${",
                "${a,b}", "# x", "#", "readonly", "$C", "\u{feff}", "x y",
            ])
            .prop_map(str::to_owned),
            "[ -~\u{e4}\u{2028}\u{3000}\u{feff}\0\x1c\x1f]{0,6}",
        ];
        let space = prop::sample::select(vec!["", " ", "  ", "\t", "\u{a0}", "\x1f"]);
        let cell = (space.clone(), field, space).prop_map(|(a, field, b)| format!("{a}{field}{b}"));
        let line = prop::collection::vec(cell, 0..9).prop_map(|cells| cells.join(","));
        let end = prop::sample::select(vec!["\n", "\r\n", "\r", "\u{2028}", "\n\n", "\x0b"]);
        let lines = prop::collection::vec((line, end), 0..8);
        (lines, "[ #,a$]{0,4}").prop_map(|(lines, last)| {
            let lines: String = lines.into_iter().map(|(line, end)| line + end).collect();
            lines + &last
        })
    }

    /// What a CSV means: its rows, and where they stand.
    fn meaning(reading: &Reading) -> Vec<(usize, String, crate::partition::Entry)> {
        let row = |row: &crate::partition::Row| {
            (row.written.as_ref().unwrap().line, row.name.clone(), row.entry)
        };
        reading.rows.iter().map(row).collect()
    }

    fn comments(text: &str) -> Vec<&str> {
        text::lines(text).map(text::strip).filter(|line| line.starts_with('#')).collect()
    }

    proptest! {
        #[test]
        fn formatting_keeps_every_row_and_comment_and_is_done_in_one_go(text in table()) {
            let pairs = [("A", "app,ota_0"), ("a,b", "1M"), ("C", ""), ("a, b", "2M")];
            let variables: BTreeMap<String, String> =
                pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let options = Options { variables: variables.clone(), ..Options::default() };
            let formatted = format(&text, &variables);

            // The text is what stands behind a byte order mark.
            let before = read(format!("\u{feff}{text}").as_bytes(), None, &options);
            let after = read(formatted.as_bytes(), None, &options);
            prop_assert_eq!(meaning(&before), meaning(&after));
            let codes = |reading: &Reading| -> Vec<_> {
                reading.findings.iter().map(|finding| (finding.code, finding.line)).collect()
            };
            prop_assert_eq!(codes(&before), codes(&after));

            let super::super::Source::Csv { text: decoded, .. } = after.source else { panic!() };
            prop_assert_eq!(format(&decoded, &variables), formatted);
            let squeezed = |text: &str| -> Vec<String> {
                comments(text).iter().map(|line| line.replace([' ', '\t', '\u{a0}'], "")).collect()
            };
            prop_assert_eq!(squeezed(&text), squeezed(&decoded));
        }
    }
}
