//! The strict reader of partition CSV: lines to fields to rows, with the place of every field.
//!
//! The grammar is gen_esp32part.py's, which is not that of CSV libraries: no quotes, fields after
//! the sixth are ignored, missing ones are empty, and `#` begins a comment only as the first
//! character of a line. All errors of a file are collected; ESP-IDF stops at the first.

use super::code::Code;
use super::entry::Flags;
use super::finding::Finding;
use super::keyword::{self, Words};
use super::kind::Kind;
use super::number::{self, NotAValue};
use super::options::{Options, TABLE_SIZE};
use super::text;
use super::variables::{self, Expanded, Unexpandable};

/// Most rows read from a CSV. ESP-IDF refuses more than 94; some more are read so that what is
/// wrong with them can be said, but not without end.
const MOST_ROWS: usize = 1000;

/// A field as it stands in the file, variables filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Its text, without the space around it.
    pub text: String,
    /// Where it begins, in characters from 1. An empty field begins where text would.
    pub column: usize,
}

/// A row as it stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the columns")]
pub struct Written {
    /// The line, from 1.
    pub line: usize,
    pub name: Cell,
    pub ty: Cell,
    pub subtype: Cell,
    pub offset: Cell,
    pub size: Cell,
    pub flags: Cell,
}

/// A column of the CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the columns")]
pub enum Field {
    Name,
    Type,
    Subtype,
    Offset,
    Size,
    Flags,
}

impl Written {
    /// The text of a column.
    pub fn cell(&self, field: Field) -> &Cell {
        match field {
            Field::Name => &self.name,
            Field::Type => &self.ty,
            Field::Subtype => &self.subtype,
            Field::Offset => &self.offset,
            Field::Size => &self.size,
            Field::Flags => &self.flags,
        }
    }

    /// Line and column of a field.
    pub fn place(&self, field: Field) -> (usize, usize) {
        (self.line, self.cell(field).column)
    }
}

/// A row whose fields are values, but not yet held to what flash can store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) written: Written,
    pub(crate) ty: i128,
    pub(crate) subtype: i128,
    /// Absent: the next free place.
    pub(crate) offset: Option<i128>,
    /// Negative: minus the end of the partition.
    pub(crate) size: i128,
    pub(crate) flags: Flags,
}

/// Reads the rows of a CSV. A row with an error in it is `None`, since nobody knows where it ends.
pub(crate) fn read(
    text: &str,
    options: &Options,
    findings: &mut Vec<Finding>,
) -> Vec<Option<Draft>> {
    let mut drafts = Vec::new();
    for (line, content) in (1..).zip(text::lines(text)) {
        let row = match variables::expand(content, &options.variables) {
            Ok(expanded) => match split(&expanded, line) {
                Some(written) => Ok(written),
                None => continue,
            },
            Err(problem) => Err(problem),
        };
        if drafts.len() >= MOST_ROWS {
            findings.push(
                Finding::new(
                    Code::TooManyRows,
                    format!("more than {MOST_ROWS} rows; the rest is not read"),
                )
                .at(Some((line, 1)))
                .help(format!("keep at most {} rows", super::binary::MOST_ROWS)),
            );
            break;
        }
        drafts.push(match row {
            Ok(written) => Fields { written, options, findings }.draft(),
            Err(problem) => {
                findings.push(unexpandable(problem, line));
                None
            }
        });
    }
    drafts
}

fn unexpandable(problem: Unexpandable, line: usize) -> Finding {
    match problem {
        Unexpandable::Unknown(name) => Finding::new(Code::UnknownVariable, {
            let name = text::quote(&name);
            format!("variable `{name}` has no value")
        })
        .help("set it in the environment, or write its value"),
        Unexpandable::TooLong => {
            Finding::new(Code::LineTooLong, "the variables make this line longer than 64 KiB")
                .help("write the value instead of the variable")
        }
    }
    .at(Some((line, 1)))
}

/// Cuts a line into its fields; `None` for comments and blank lines.
pub(crate) fn split(expanded: &Expanded, line: usize) -> Option<Written> {
    let content = trim(expanded);
    let (first, _) = content.first()?;
    if *first == '#' {
        return None;
    }
    let end = content.last().map_or(1, |(_, column)| column.saturating_add(1));
    let mut fields = content.split(|(letter, _)| *letter == ',').map(|field| {
        let text = trim(field);
        // An empty field: the place after its comma. Missing fields: the end of the line.
        let start = text.first().or(field.first()).map(|(_, column)| *column);
        (text.iter().map(|(letter, _)| *letter).collect::<String>(), start)
    });
    let commas = content.iter().filter(|(letter, _)| *letter == ',').map(|(_, at)| *at);
    let mut starts = std::iter::once(1).chain(commas.map(|at| at.saturating_add(1)));
    let mut next = || {
        let after_comma = starts.next().unwrap_or(end);
        let (text, start) = fields.next().unwrap_or_default();
        Cell { text, column: start.unwrap_or(after_comma) }
    };
    Some(Written {
        line,
        name: next(),
        ty: next(),
        subtype: next(),
        offset: next(),
        size: next(),
        flags: next(),
    })
}

fn trim(mut letters: &[(char, usize)]) -> &[(char, usize)] {
    while let [(first, _), rest @ ..] = letters
        && text::is_space(*first)
    {
        letters = rest;
    }
    while let [rest @ .., (last, _)] = letters
        && text::is_space(*last)
    {
        letters = rest;
    }
    letters
}

/// The fields of one row on their way to values.
struct Fields<'a> {
    written: Written,
    options: &'a Options,
    findings: &'a mut Vec<Finding>,
}

impl Fields<'_> {
    /// Every field is read even if an earlier one is wrong, so that all is said at once.
    fn draft(mut self) -> Option<Draft> {
        let ty = self.ty();
        let subtype = ty.and_then(|ty| self.subtype(ty));
        let kind = ty.zip(subtype).map(|(ty, subtype)| Fixed::of(ty, subtype));
        let offset = kind.map(|kind| self.offset(kind));
        let size = kind.map(|kind| self.size(kind));
        let flags = self.flags();
        Some(Draft {
            ty: ty?,
            subtype: subtype?,
            offset: offset??,
            size: size??,
            flags,
            written: self.written,
        })
    }

    fn ty(&mut self) -> Option<i128> {
        if self.written.ty.text.is_empty() {
            self.report(
                Field::Type,
                Code::TypeMissing,
                "the type is empty".to_owned(),
                "write `app`, `data` or a number from 0x40 to 0xfe".to_owned(),
            );
            return None;
        }
        self.value(Field::Type, keyword::TYPES)
    }

    fn subtype(&mut self, ty: i128) -> Option<i128> {
        let ty = u8::try_from(ty);
        if self.written.subtype.text.is_empty() {
            if ty == Ok(Kind::FACTORY.ty) {
                self.report(
                    Field::Subtype,
                    Code::SubtypeMissing,
                    format!("app `{}` has no subtype", text::quote(&self.written.name.text)),
                    "write `factory`, `test` or `ota_0` to `ota_15`".to_owned(),
                );
                return None;
            }
            return Some(keyword::UNDEFINED.into());
        }
        let words = ty.map_or_else(|_| Vec::new(), |ty| self.options.extra_subtypes.words(ty));
        self.value(Field::Subtype, &words)
    }

    fn offset(&mut self, kind: Fixed) -> Option<Option<i128>> {
        let fixed = match kind {
            Fixed::PrimaryBootloader => self.options.primary_bootloader_offset,
            Fixed::RecoveryBootloader => self.options.recovery_bootloader_offset,
            Fixed::PrimaryTable => Some(self.options.table_offset),
            Fixed::OtherBootloader | Fixed::OtherTable | Fixed::No => {
                if self.written.offset.text.is_empty() {
                    return Some(None);
                }
                return self.value(Field::Offset, &[]).map(Some);
            }
        };
        if let Some(offset) = fixed {
            return Some(Some(offset.into()));
        }
        let which = if kind == Fixed::RecoveryBootloader { "recovery" } else { "primary" };
        self.bootloader_unknown(Field::Offset, which);
        None
    }

    fn size(&mut self, kind: Fixed) -> Option<i128> {
        match kind {
            Fixed::PrimaryBootloader | Fixed::RecoveryBootloader | Fixed::OtherBootloader => {
                let Some(bootloader) = self.options.primary_bootloader_offset else {
                    // Said already, where the offset is missing too.
                    if kind != Fixed::PrimaryBootloader {
                        self.bootloader_unknown(Field::Size, "primary");
                    }
                    return None;
                };
                Some(i128::from(self.options.table_offset).saturating_sub(bootloader.into()))
            }
            Fixed::PrimaryTable | Fixed::OtherTable => Some(TABLE_SIZE.into()),
            Fixed::No => {
                if self.written.size.text.is_empty() {
                    self.report(
                        Field::Size,
                        Code::SizeMissing,
                        format!("the size of `{}` is empty", text::quote(&self.written.name.text)),
                        "write a size, such as 0x6000 or 24K".to_owned(),
                    );
                    return None;
                }
                self.value(Field::Size, &[])
            }
        }
    }

    fn flags(&mut self) -> Flags {
        // Whoever writes more unknown flags than this has another file in mind.
        const MOST_REPORTED: usize = 8;
        let written = self.written.flags.text.clone();
        let flag = |text| match text {
            "" => Some(Flags::default()),
            "encrypted" => Some(Flags::ENCRYPTED),
            "readonly" => Some(Flags::READONLY),
            _ => None,
        };
        let unknown = written.split(':').filter(|text| flag(text).is_none());
        for other in unknown.take(MOST_REPORTED) {
            self.report(
                Field::Flags,
                Code::UnknownFlag,
                format!("`{}` is not a flag", text::quote(other)),
                "write `encrypted`, `readonly` or `encrypted:readonly`".to_owned(),
            );
        }
        written.split(':').filter_map(flag).fold(Flags::default(), Flags::with)
    }

    fn value(&mut self, field: Field, words: Words<'_>) -> Option<i128> {
        let written = &self.written.cell(field).text;
        let problem = match number::parse(written, words) {
            Ok(value) => return Some(value),
            Err(problem) => problem,
        };
        let typed = text::quote(written);
        let (code, message, help) = match problem {
            NotAValue::Number => (
                Code::InvalidNumber,
                format!("`{typed}` is not a number"),
                "write a number such as 4096, 0x1000, 4K or 1M".to_owned(),
            ),
            NotAValue::Word => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let help = match keyword::nearest(words, written) {
                    Some(word) => format!("write `{word}`"),
                    None => format!("write a number or one of: {}", known.join(", ")),
                };
                let what = if field == Field::Type { "type" } else { "subtype of this type" };
                (Code::UnknownKeyword, format!("`{typed}` is not a known {what}"), help)
            }
        };
        self.report(field, code, message, help);
        None
    }

    fn bootloader_unknown(&mut self, field: Field, which: &str) {
        self.report(
            field,
            Code::BootloaderOffsetUnknown,
            format!(
                "the place of `{}` follows from the {which} bootloader, whose offset is not given",
                text::quote(&self.written.name.text)
            ),
            format!("pass `--{which}-bootloader-offset`"),
        );
    }

    fn report(&mut self, field: Field, code: Code, message: String, help: String) {
        let place = self.written.place(field);
        self.findings.push(Finding::new(code, message).at(Some(place)).help(help));
    }
}

/// Rows whose offset or size is the project's and not the CSV's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fixed {
    PrimaryBootloader,
    RecoveryBootloader,
    OtherBootloader,
    PrimaryTable,
    OtherTable,
    No,
}

impl Fixed {
    fn of(ty: i128, subtype: i128) -> Self {
        // The types are 2 and 3, the subtypes 0 and 2: see `Kind`.
        match (ty, subtype) {
            (2, 0) => Self::PrimaryBootloader,
            (2, 2) => Self::RecoveryBootloader,
            (2, _) => Self::OtherBootloader,
            (3, 0) => Self::PrimaryTable,
            (3, _) => Self::OtherTable,
            _ => Self::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, options: &Options) -> (Vec<Option<Draft>>, Vec<Finding>) {
        let mut findings = Vec::new();
        let drafts = read(text, options, &mut findings);
        (drafts, findings)
    }

    fn places(text: &str) -> Vec<(Code, usize, usize)> {
        let (_, findings) = rows(text, &Options::default());
        findings.iter().map(|f| (f.code, f.line.unwrap(), f.column.unwrap())).collect()
    }

    #[test]
    fn a_row_is_read_with_the_place_of_every_field() {
        let (drafts, findings) =
            rows("# head\n  nvs, data,nvs ,, 24K , encrypted:readonly,more", &Options::default());
        assert_eq!(findings, []);
        let draft = drafts[0].clone().unwrap();
        assert_eq!((draft.ty, draft.subtype, draft.offset, draft.size), (1, 2, None, 24 * 1024));
        assert_eq!(draft.flags, Flags(3));
        let columns =
            [Field::Name, Field::Type, Field::Subtype, Field::Offset, Field::Size, Field::Flags]
                .map(|field| draft.written.place(field));
        assert_eq!(columns, [(2, 3), (2, 8), (2, 13), (2, 18), (2, 20), (2, 26)]);
    }

    #[test]
    fn every_wrong_field_of_every_row_is_reported_with_its_place() {
        let found = places("a,dta,x,y,z,w\nb,data,spifs,1x,,w:encrypted\nc,,,,,\nd,app,,0,0");
        assert_eq!(
            found,
            [
                (Code::UnknownKeyword, 1, 3),
                (Code::UnknownFlag, 1, 13),
                (Code::UnknownKeyword, 2, 8),
                (Code::UnknownFlag, 2, 18),
                (Code::TypeMissing, 3, 3),
                (Code::SubtypeMissing, 4, 7),
            ]
        );
        let found = places("b,data,nvs,1x,,\nc,0x40,nvs,,-");
        assert_eq!(
            found,
            [(Code::InvalidNumber, 1, 12), (Code::SizeMissing, 1, 15), (Code::InvalidNumber, 2, 8),]
        );
    }

    #[test]
    fn the_help_gives_the_word_that_was_meant() {
        let (_, findings) = rows("a,data,spifs,,4K", &Options::default());
        assert_eq!(findings[0].message, "`spifs` is not a known subtype of this type");
        assert_eq!(findings[0].help.as_deref(), Some("write `spiffs`"));
    }

    #[test]
    fn bootloader_rows_take_their_place_from_the_options() {
        let text =
            "b,bootloader,primary,junk,junk\nr,bootloader,recovery,,\nt,partition_table,primary,,";
        let (drafts, findings) = rows(text, &Options::default());
        let codes: Vec<Code> = findings.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, [Code::BootloaderOffsetUnknown; 3]);
        assert_eq!(findings[2].help.as_deref(), Some("pass `--primary-bootloader-offset`"));
        assert_eq!(drafts.iter().flatten().count(), 1);

        let options = Options {
            primary_bootloader_offset: Some(0x1000),
            recovery_bootloader_offset: Some(0x20_0000),
            ..Options::default()
        };
        let (drafts, findings) = rows(text, &options);
        assert_eq!(findings, []);
        let places: Vec<_> = drafts.iter().flatten().map(|d| (d.offset, d.size)).collect();
        assert_eq!(
            places,
            [(Some(0x1000), 0x7000), (Some(0x20_0000), 0x7000), (Some(0x8000), 0x1000)]
        );
    }

    #[test]
    fn an_empty_subtype_means_undefined_but_not_for_apps() {
        let (drafts, _) = rows("a,data,,,4K\nb,0x40,,,4K\nc,app,,,4K", &Options::default());
        let subtypes: Vec<_> = drafts.iter().map(|d| d.as_ref().map(|d| d.subtype)).collect();
        assert_eq!(subtypes, [Some(6), Some(6), None]);
    }

    #[test]
    fn reading_stops_at_the_limit_of_rows_and_says_so() {
        let (drafts, findings) = rows(&"x,data,nvs,,4K\n".repeat(5000), &Options::default());
        assert_eq!(drafts.len(), MOST_ROWS);
        assert_eq!((findings[0].code, findings[0].line), (Code::TooManyRows, Some(1001)));
        let (_, findings) = rows(&"x,data,nvs,,4K\n".repeat(MOST_ROWS), &Options::default());
        assert_eq!(findings, []);
    }

    #[test]
    fn variables_are_filled_in_before_anything_else() {
        let options = Options {
            variables: [("ROW", "nvs,data"), ("SIZE", "0x6000")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Options::default()
        };
        let (drafts, findings) = rows("$ROW,nvs,,${SIZE}\n# $ROW\n$NO,data", &options);
        assert_eq!(drafts[0].as_ref().unwrap().size, 0x6000);
        assert_eq!((findings[0].code, findings[0].line), (Code::UnknownVariable, Some(3)));
    }
}
