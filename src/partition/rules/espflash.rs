//! What espflash makes of a table, asked of the crate it reads tables with: esp-idf-part 0.6.
//!
//! That crate panics on legal tables: subtypes and flags it does not know, numbers and ends that
//! overflow, more than 95 rows. It is asked only when none of that can happen, which is
//! established first; where it could, the answer is no.

use esp_idf_part::{AppType, DataType, Error, Flags, Partition, PartitionTable, SubType, Type};

use super::Blame as _;
use crate::partition::code::Code;
use crate::partition::csv::{Field, Written};
use crate::partition::entry::{Entry, Label};
use crate::partition::finding::Finding;
use crate::partition::kind::Class;
use crate::partition::number;
use crate::partition::options::Options;
use crate::partition::reading::{Reading, Row, Source};
use crate::partition::table::Table;
use crate::partition::text;

/// Rows that fit its buffer beside the digest; one more and its writer underflows.
const MOST_ROWS: usize = 95;

/// Where espflash expects the first partition of a CSV: behind a table at 0x8000.
const FIRST_OFFSET: u64 = 0x9000;

/// How to flash a table that espflash cannot read: as bytes, which it need not understand.
const AS_BYTES: &str = "make it binary with `cargo esp-ota partitions convert`, and write that to \
                        the table's offset with `espflash write-bin`";

/// Why espflash does not take a table.
type Objection = Box<Finding>;

/// The table in the type that espflash works with; `None` where that type cannot hold it.
pub fn to_esp_idf_part(table: &Table) -> Option<PartitionTable> {
    if table.entries.len() > MOST_ROWS {
        return None;
    }
    table.entries.iter().map(partition).collect::<Option<Vec<_>>>().map(PartitionTable::new)
}

fn partition(entry: &Entry) -> Option<Partition> {
    entry.offset.checked_add(entry.size)?;
    let kind = entry.kind;
    let subtype = usize::from(kind.subtype);
    let (ty, subtype) = match kind.class() {
        Class::App => (Type::App, SubType::App(AppType::from_repr(subtype)?)),
        Class::Data => (Type::Data, SubType::Data(DataType::from_repr(subtype)?)),
        Class::Bootloader | Class::PartitionTable | Class::Custom(_) => {
            (Type::Custom(kind.ty), SubType::Custom(kind.subtype))
        }
    };
    let name = std::str::from_utf8(entry.label.bytes()).ok()?;
    let flags = Flags::from_bits(entry.flags.0)?;
    Some(Partition::new(name, ty, subtype, entry.offset, entry.size, flags))
}

/// Whether espflash takes the file.
pub(super) fn check(reading: &Reading, options: &Options, findings: &mut Vec<Finding>) -> bool {
    let known = findings.len();
    findings.extend(reading.rows.iter().filter_map(beyond_it));
    if findings.len() > known {
        return false;
    }
    match ask(reading).and_then(|table| fits(table, options)) {
        Ok(table) => table_offset(&table, options, findings),
        Err(objection) => {
            findings.push(*objection);
            false
        }
    }
}

/// What its type for a row has no room for.
fn beyond_it(row: &Row) -> Option<Finding> {
    if partition(&row.entry).is_some() {
        return None;
    }
    let Entry { kind, flags, offset, size, .. } = row.entry;
    let (field, why) = if offset.checked_add(size).is_none() {
        (Field::Size, "it ends past 4 GiB".to_owned())
    } else if Flags::from_bits(flags.0).is_none() {
        (Field::Flags, format!("it has unknown flags {:#010x}", flags.unknown()))
    } else if std::str::from_utf8(row.entry.label.bytes()).is_err() {
        let why = "its name is cut inside a letter, and espflash writes other bytes there";
        return Some(*misreads(row, Field::Name, why));
    } else if let Some(word) = subtype_word(row) {
        let why = format!("it does not know the subtype `{word}`");
        return Some(refuses(&why).at(row.place(Field::Subtype)));
    } else {
        (Field::Subtype, format!("it is {kind}"))
    };
    let message = format!("espflash crashes on `{}`: {why}", row.title());
    Some(row.finding(field, Code::EspflashPanics, message).help(AS_BYTES))
}

/// The subtype of a row, where a CSV has a word for it: that is refused, numbers are crashed on.
fn subtype_word(row: &Row) -> Option<&str> {
    let typed = row.written.as_ref()?.subtype.text.as_str();
    number::parse(typed, &[]).is_err().then_some(typed)
}

/// Has the crate read the very file where that is safe, so that what it objects to in the spelling
/// of a CSV counts too.
fn ask(reading: &Reading) -> Result<PartitionTable, Objection> {
    let rows = reading.rows.len();
    if rows > MOST_ROWS {
        let message = format!("espflash crashes on {rows} rows: it has room for {MOST_ROWS}");
        return Err(Finding::new(Code::EspflashPanics, message).help("remove rows").into());
    }
    match &reading.source {
        Source::Binary { bytes, .. } => {
            PartitionTable::try_from_bytes(bytes.as_slice()).map_err(|error| own(error, reading))
        }
        Source::Csv { text, utf8 } => {
            if !utf8 {
                return Err(refuses("it reads nothing but UTF-8"));
            }
            lines(text)?;
            // It does not take the ASCII separators for white space, as Python does.
            if !text.contains(|letter| ('\x1c'..='\x1f').contains(&letter))
                && let Some(table) = plain(&reading.rows)
            {
                return Ok(table);
            }
            spelling(&reading.rows)?;
            let table =
                PartitionTable::try_from_str(text.as_str()).map_err(|error| own(error, reading))?;
            same_rows(&table, reading)?;
            Ok(table)
        }
        Source::None => {
            let table =
                to_esp_idf_part(&reading.table()).ok_or_else(|| refuses("it cannot hold a row"))?;
            table.validate().map_err(|error| own(error, reading))?;
            Ok(table)
        }
    }
}

/// The table of rows whose spelling leaves the crate no choice how to read them. Asked to read the
/// file, it gives the same, but compiles a regular expression for every number: of the 5 ms in which
/// a table of 20 rows has to be checked, that takes 2.
fn plain(rows: &[Row]) -> Option<PartitionTable> {
    let mut free = FIRST_OFFSET;
    let mut table = Vec::with_capacity(rows.len());
    for row in rows {
        let (entry, written) = (&row.entry, row.written.as_ref()?);
        let (ty, subtype) = (written.ty.text.as_str(), written.subtype.text.as_str());
        let code = usize::from(entry.kind.subtype);
        let is_known = match entry.kind.class() {
            Class::App => ty == "app" && subtype.parse().ok() == AppType::from_repr(code),
            Class::Data => ty == "data" && subtype.parse().ok() == DataType::from_repr(code),
            Class::Bootloader | Class::PartitionTable | Class::Custom(_) => false,
        };
        let is_there = if written.offset.text.is_empty() {
            let alignment = if entry.kind.is_app() { 0x10000 } else { 4 };
            free.next_multiple_of(alignment) == u64::from(entry.offset)
        } else {
            is_plain(&written.offset.text, entry.offset)
        };
        let is_short = row.name.is_ascii() && row.name.len() <= Label::SIZE;
        if !(is_known && is_there && is_short && is_plain(&written.size.text, entry.size)) {
            return None;
        }
        free = entry.end();
        table.push(partition(entry)?);
    }
    let table = PartitionTable::new(table);
    table.validate().is_ok().then_some(table)
}

/// Whether a number is spelt as both read it: decimal, `0x`, or decimal with one suffix.
fn is_plain(typed: &str, value: u32) -> bool {
    let scaled = |digits: &str, by: u32| digits.parse::<u32>().ok()?.checked_mul(by);
    let read = if let Some(digits) = typed.strip_prefix("0x") {
        u32::from_str_radix(digits, 16).ok()
    } else if let Some(digits) = typed.strip_suffix(['k', 'K']) {
        scaled(digits, 1024)
    } else if let Some(digits) = typed.strip_suffix(['m', 'M']) {
        scaled(digits, 1024 * 1024)
    } else {
        scaled(typed, 1)
    };
    typed.chars().all(|letter| letter.is_ascii_alphanumeric()) && read == Some(value)
}

fn refuses(why: &str) -> Objection {
    Finding::new(Code::EspflashRefuses, format!("espflash refuses this table: {why}"))
        .help(format!("change what espflash objects to, or {AS_BYTES}"))
        .into()
}

/// Its objection in its own words, with the place it leaves out.
fn own(error: Error, reading: &Reading) -> Objection {
    let Error::CsvError(csv) = &error else { return refuses(&tame(&error.to_string())) };
    let words = csv.to_string();
    let mut finding =
        refuses(&tame(words.split_once("): ").map_or(words.as_str(), |(_, why)| why)));
    let record = csv.position().and_then(|position| usize::try_from(position.record()).ok());
    if let Some(row) = record.and_then(|record| reading.rows.get(record)) {
        *finding = finding.at(row.place(Field::Name));
    }
    finding
}

/// Its words quote names and flags as they are: no terminal should obey them, nor a report grow.
fn tame(words: &str) -> String {
    const MOST: usize = 200;
    let letters = words.chars().take(MOST);
    letters.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Spellings by which its rows would not be ours: quotes join fields and lines to the CSV library
/// behind it, variables are not filled in, and it knows fewer ends of a line and fewer comments.
fn lines(text: &str) -> Result<(), Objection> {
    let count = text.lines().count();
    if text::lines(text).count() != count {
        return Err(refuses("it does not end a line where this file does"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('#') && !text.ends_with('\n') && number == count {
            let why = "it takes a comment at the very end of a file for a row";
            return Err(refuses(why).at(Some((number, 1))).into());
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let content = text::strip(line);
        let why = if content.is_empty() {
            "it takes a line of spaces for a row"
        } else if content.starts_with('#') {
            "it takes an indented comment for a row"
        } else if line.contains('"') {
            "it takes quotes for more than letters"
        } else if line.contains('$') {
            "it does not fill in variables"
        } else {
            continue;
        };
        return Err(refuses(why).at(Some((number, 1))).into());
    }
    Ok(())
}

/// Establishes that reading the CSV cannot make the crate panic.
fn spelling(rows: &[Row]) -> Result<(), Objection> {
    let mut free = FIRST_OFFSET;
    for row in rows {
        let Some(written) = &row.written else { continue };
        for field in [Field::Type, Field::Subtype, Field::Offset, Field::Size] {
            // A minus sign multiplies by 0 - 1 in an unsigned type there; other digits than
            // ASCII's pass its pattern and fail its conversion.
            let typed = &written.cell(field).text;
            if typed.contains('-') || !typed.is_ascii() {
                return Err(unreadable(row, field));
            }
        }
        let offset = its_number(written, Field::Offset);
        let offset = offset.ok_or_else(|| unreadable(row, Field::Offset))?;
        let size = its_number(written, Field::Size);
        let size = size.ok_or_else(|| unreadable(row, Field::Size))?.unwrap_or(0);
        let alignment = if row.entry.kind.is_app() { 0x10000 } else { 4 };
        let offset = offset.unwrap_or_else(|| free.next_multiple_of(alignment));
        free = offset.saturating_add(size);
        if free > u64::from(u32::MAX) {
            return Err(misreads(row, Field::Size, "to it, it ends past 4 GiB"));
        }
    }
    Ok(())
}

/// The number it would read, if it reads it at all: `Some(None)` for an empty field.
fn its_number(written: &Written, field: Field) -> Option<Option<u64>> {
    let typed = &written.cell(field).text;
    if typed.is_empty() {
        return Some(None);
    }
    let value = number::parse(typed, &[]).ok()?;
    u32::try_from(value).ok().map(|value| Some(value.into()))
}

fn unreadable(row: &Row, field: Field) -> Objection {
    let typed = row.written.as_ref().map(|written| written.cell(field).text.as_str());
    let typed = text::quote(typed.unwrap_or_default());
    misreads(row, field, &format!("it cannot read `{typed}` as ESP-IDF does"))
}

fn misreads(row: &Row, field: Field, why: &str) -> Objection {
    let message = format!("espflash misreads `{}`: {why}", row.title());
    row.finding(field, Code::EspflashMisreads, message)
        .help("give espflash the binary table: `cargo esp-ota partitions convert`")
        .into()
}

/// It aligns blank offsets of data to 4 bytes, and knows no table but the one at 0x8000.
fn same_rows(table: &PartitionTable, reading: &Reading) -> Result<(), Objection> {
    let (theirs, ours) = (table.partitions(), &reading.rows);
    if theirs.len() != ours.len() {
        let why = format!("it finds {} rows, ESP-IDF finds {}", theirs.len(), ours.len());
        return Err(refuses(&why));
    }
    for (theirs, row) in theirs.iter().zip(ours) {
        let (offset, size) = (row.entry.offset, row.entry.size);
        if (offset, size) != (theirs.offset(), theirs.size()) {
            let why = format!(
                "it places it at {:#x} with {:#x} bytes, ESP-IDF at {offset:#x} with {size:#x}",
                theirs.offset(),
                theirs.size(),
            );
            return Err(misreads(row, Field::Offset, &why));
        }
    }
    Ok(())
}

/// espflash compares the sum of the sizes, not the last end, with the flash.
fn fits(table: PartitionTable, options: &Options) -> Result<PartitionTable, Objection> {
    let sum: u64 = table.partitions().iter().map(|row| u64::from(row.size())).sum();
    let flash = options.flash_size.unwrap_or(u32::MAX);
    if sum > u64::from(flash) {
        let why = format!("the sizes add up to {sum:#x}, and the flash has {flash:#x} bytes");
        return Err(refuses(&why));
    }
    Ok(table)
}

/// Without being told, espflash writes the table one sector below the lowest partition.
fn table_offset(table: &PartitionTable, options: &Options, findings: &mut Vec<Finding>) -> bool {
    let Some(lowest) = table.partitions().iter().map(Partition::offset).min() else { return true };
    let guess = lowest.checked_sub(0x1000);
    if guess == Some(options.table_offset) {
        return true;
    }
    let real = options.table_offset;
    let message = match guess {
        Some(guess) => format!(
            "espflash would write this table to {guess:#x}, one sector below the first partition, \
             not to {real:#x}"
        ),
        None => format!("espflash crashes on a partition at {lowest:#x} unless told the table's"),
    };
    findings.push(
        Finding::new(Code::EspflashTableOffset, message)
            .help(format!("pass `--partition-table-offset {real:#x}` to espflash")),
    );
    guess.is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{codes, csv, csv_with};
    use super::*;
    use crate::partition::{check, check_table, read, standard};

    const APP: &str = "factory,app,factory,0x10000,1M,\n";

    fn accepts(text: &str) -> bool {
        csv(text).accepted_by.espflash
    }

    #[test]
    fn an_ordinary_table_passes_in_all_three_forms() {
        let table = standard(0x40_0000).unwrap();
        assert!(check_table(&table, &Options::default()).accepted_by.espflash);
        let binary = crate::partition::encode(&table).unwrap();
        let reading = read(&binary, None, &Options::default());
        assert!(check(&reading, &Options::default()).accepted_by.espflash);
        assert!(accepts(&crate::partition::to_csv(&table).unwrap()));
    }

    #[test]
    fn subtypes_it_panics_on_are_never_shown_to_it() {
        for (row, code) in [
            ("x,data,0x99,0x9000,0x1000,", Code::EspflashPanics),
            ("x,data,tee_ota,0x9000,0x2000,", Code::EspflashRefuses),
            ("fifteen_letters\u{e4},data,fat,0x9000,0x1000,", Code::EspflashMisreads),
        ] {
            let report = csv(&format!("{row}\n{APP}"));
            assert!(report.accepted_by.esp_idf && !report.accepted_by.espflash, "{row}");
            assert!(codes(&report).contains(&code), "{row}");
        }
        assert!(accepts(&format!("x,0x40,0x99,0x9000,0x1000,\n{APP}")), "custom types may");
    }

    /// Fields that both read alike, and some that only look so.
    fn field(fields: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        prop::sample::select(fields)
    }

    proptest! {
        #[test]
        fn what_is_plain_is_read_by_the_crate_as_it_is_here(
            rows in prop::collection::vec((
                field(&["data,nvs", "data,fat", "data,phy", "data,spiffs", "data,littlefs",
                        "data,undefined", "data,coredump", "data,nvs_keys", "data,efuse",
                        "data,esphttpd", "app,ota_0", "app,test", "1,fat", "Data,fat", "data,Fat",
                        "data,2", "data,tee_ota", "0x40,0"]),
                field(&["", "", "", "", "", "0x200000", "2M", "0x300000", "3072K", "0X300000"]),
                field(&["0x1000", "4096", "4K", "4k", "1M", "0x1001", "4097", "4_096", "+4096",
                        "1kk", "0b1"]),
                field(&["", ",", ",encrypted", ",readonly:encrypted", ",,more"]),
            ), 1..4),
        ) {
            let mut text = "app,app,factory,0x10000,64K\n".to_owned();
            for (index, (kind, offset, size, flags)) in rows.iter().enumerate() {
                text.push_str(&format!("p{index},{kind},{offset},{size}{flags}\n"));
            }
            let reading = read(text.as_bytes(), None, &Options::default());
            if crate::partition::is_whole(&reading) && let Some(table) = plain(&reading.rows) {
                let theirs = PartitionTable::try_from_str(text.as_str());
                prop_assert_eq!(theirs.map(|theirs| theirs.partitions().clone()).ok(), Some(table.partitions().clone()));
            }
        }
    }

    #[test]
    fn ordinary_tables_are_plain() {
        let csv = crate::partition::to_csv(&standard(0x40_0000).unwrap()).unwrap();
        assert!(plain(&read(csv.as_bytes(), None, &Options::default()).rows).is_some());
    }

    #[test]
    fn lines_that_are_rows_only_to_espflash_are_named() {
        for line in ["  # indented", "   "] {
            let report = csv(&format!("# table\n{line}\nx,data,nvs,0x9000,0x6000\n{APP}"));
            assert!(report.accepted_by.esp_idf && !report.accepted_by.espflash, "{line}");
            let found = report.findings.iter().find(|f| f.code == Code::EspflashRefuses).unwrap();
            assert_eq!((found.line, found.column), (Some(2), Some(1)), "{line}");
        }
        assert!(!accepts(&format!("x,data,nvs,0x9000,0x6000\n{APP}# end")));
        assert!(accepts(&format!("x,data,nvs,0x9000,0x6000\n{APP}# end\n")));
        assert!(accepts(&format!("\n# table\r\nx,data,nvs,0x9000,0x6000\r\n\n{APP}")));
        assert!(!accepts(&format!("# table\rx,data,nvs,0x9000,0x6000\r{APP}")), "old Macs");
    }

    #[test]
    fn its_objection_to_a_row_has_the_line_of_that_row() {
        let report = csv(&format!("# table\n\nx,data,NVS,0x9000,0x6000\n{APP}"));
        let found = report.findings.iter().find(|f| f.code == Code::EspflashRefuses).unwrap();
        assert_eq!(found.line, Some(3));
        assert_eq!(found.message, "espflash refuses this table: invalid partition subtype");
    }

    #[test]
    fn what_it_quotes_cannot_reach_a_terminal() {
        // It takes bytes behind the zero that ends a name for part of it.
        let mut table = standard(0x400_0000).unwrap();
        table.entries[3].label = Label(*b"app1\0\x1b[31mred\0\0\0");
        table.entries[3].size = 0x100_1000;
        table.entries.truncate(4);
        let binary = crate::partition::encode(&table).unwrap();
        let report = check(&read(&binary, None, &Options::default()), &Options::default());
        let found = report.findings.iter().find(|f| f.code == Code::EspflashRefuses).unwrap();
        assert!(found.message.contains("app1\u{fffd}\u{fffd}[31mred"), "{}", found.message);
    }

    #[test]
    fn numbers_it_reads_otherwise_are_said() {
        // ESP-IDF takes `-0` for 0; the crate computes 0 - 1 on the way there.
        for row in ["x,data,nvs,0x9000,-0x10000,", "x,data,-0,0x9000,0x2000,"] {
            assert!(!accepts(&format!("{row}\n{APP}")), "{row}");
        }
        // ESP-IDF begins behind the table, espflash at 0x9000.
        let options = Options { table_offset: 0xa000, ..Options::default() };
        let report = csv_with(&format!("a,data,nvs,,0x3000,\n{APP}"), &options);
        assert!(codes(&report).contains(&Code::EspflashMisreads));
        let upper = csv(&format!("a,DATA,phy,0x9000,0x1000,\n{APP}"));
        assert!(upper.accepted_by.esp_idf && !upper.accepted_by.espflash);
    }

    #[test]
    fn variables_and_quotes_in_rows_are_refused_and_in_comments_are_not() {
        assert!(!accepts(&format!("\"x\",data,nvs,0x9000,0x3000,\n{APP}")));
        assert!(!accepts(&format!("a$b,data,nvs,0x9000,0x3000,\n{APP}")));
        assert!(accepts(&format!("# \"x\" $y\nx,data,nvs,0x9000,0x3000,\n{APP}")));
    }

    #[test]
    fn it_adds_up_sizes_instead_of_looking_at_the_end() {
        let table = format!("x,data,nvs,0x9000,0x3000,\n{APP}");
        let flash = |size| Options { flash_size: Some(size), ..Options::default() };
        assert!(csv_with(&table, &flash(0x11_0000)).accepted_by.espflash);
        assert!(!csv_with(&table, &flash(0x10_2fff)).accepted_by.espflash);
    }

    #[test]
    fn a_first_partition_away_from_the_table_moves_the_table() {
        let report = csv(&format!("x,data,nvs,0xa000,0x3000,\n{APP}"));
        assert!(report.accepted_by.espflash, "it can be told");
        assert!(codes(&report).contains(&Code::EspflashTableOffset));
    }

    #[test]
    fn the_type_that_espflash_works_with_holds_every_ordinary_table() {
        let table = standard(0x40_0000).unwrap();
        let theirs = to_esp_idf_part(&table).unwrap();
        assert_eq!(theirs.to_bin().unwrap(), crate::partition::encode(&table).unwrap());
        let mut wrapping = table.clone();
        wrapping.entries[0].size = u32::MAX;
        assert_eq!(to_esp_idf_part(&wrapping), None);
    }
}
