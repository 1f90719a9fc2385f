//! What `slots` says of a dump, held against ESP-IDF's own bootloader.
//!
//! `tests/vectors/bootloader/choices.txt` has a case a line, and the answers of ESP-IDF's code.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use sha2::{Digest, Sha256};

use crate::agent::layout::Region;
use crate::agent::otadata::{ENTRY, Entry};
use crate::device::{boot_table, report};
use crate::hex;
use crate::partition::{self, Kind, Table};
use crate::virtual_device::bootloader::{self, Rollback};

const CHOICES: &str = include_str!("../../../tests/vectors/bootloader/choices.txt");
const OTADATA: u32 = 0xe000;
const ROW: u32 = 0x1_0000;
/// Fewer would mean that the file was cut.
const LEAST_CASES: usize = 500;

/// One line of the file.
struct Case<'a> {
    line: &'a str,
    table: Table,
    entries: [[u8; ENTRY]; 2],
    /// Start of each row whose image boots.
    bootable: Vec<u32>,
    without_rollback: Answer<'a>,
    with_rollback: Answer<'a>,
}

/// What is started, and what is written on the way.
#[derive(Debug, PartialEq, Eq)]
struct Answer<'a> {
    target: &'a str,
    writes: String,
}

fn bytes(text: &str) -> [u8; ENTRY] {
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(byte)
}

fn case(line: &str) -> Case<'_> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [rows, first, second, bootable, without, without_writes, with, with_writes] = fields[..]
    else {
        panic!("a case has eight fields: {line}");
    };
    let starts = (1u32..).map(|row| row * ROW);
    let entries = rows.split(',').zip(starts.clone()).map(|(name, start)| {
        let slot = name.strip_prefix("ota_").map(|index| index.parse().unwrap());
        let (kind, start, size) = match (name, slot) {
            ("otadata", _) => (Kind::OTADATA, OTADATA, 0x2000),
            ("factory", _) => (Kind::FACTORY, start, ROW),
            ("test", _) => (Kind { ty: 0, subtype: 0x20 }, start, ROW),
            (_, slot) => (Kind::slot(slot.unwrap()).unwrap(), start, ROW),
        };
        partition::Entry::new(name, kind, start, size)
    });
    let flags = bootable.bytes().zip(starts);
    let answer = |target, writes: &str| Answer { target, writes: writes.replace('-', "") };
    Case {
        line,
        table: Table { entries: entries.collect() },
        entries: [bytes(first), bytes(second)],
        bootable: flags.filter(|(flag, _)| *flag == b'1').map(|(_, start)| start).collect(),
        without_rollback: answer(without, without_writes),
        with_rollback: answer(with, with_writes),
    }
}

fn cases() -> Vec<Case<'static>> {
    CHOICES.lines().map(case).collect()
}

/// The smallest image that boots: one segment of four bytes.
fn image() -> Vec<u8> {
    let mut image = vec![0; 24];
    image[0] = 0xe9;
    image[1] = 1;
    image[23] = 1;
    image.extend(0x3c00_0020u32.to_le_bytes());
    image.extend(4u32.to_le_bytes());
    image.extend([1, 2, 3, 4]);
    image.resize(image.len() + 15 - image.len() % 16, 0);
    image.push(0xef ^ 1 ^ 2 ^ 3 ^ 4);
    let digest = Sha256::digest(&image);
    image.extend(digest);
    image
}

/// The dump of a chip in the state of a case.
fn dump(case: &Case<'_>) -> Vec<u8> {
    let rows = u32::try_from(case.table.entries.len()).unwrap();
    let mut flash = vec![0xff; usize::try_from((rows + 1) * ROW).unwrap()];
    let mut put = |at: u32, bytes: &[u8]| {
        let at = usize::try_from(at).unwrap();
        flash[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(0x8000, &partition::encode(&case.table).unwrap());
    put(OTADATA, &case.entries[0]);
    put(OTADATA + 0x1000, &case.entries[1]);
    for start in case.bootable.iter().filter(|start| **start != ROW || !has_otadata_first(case)) {
        put(*start, &image());
    }
    flash
}

/// Row 1 of most cases is `otadata`, which stands elsewhere and holds no image.
fn has_otadata_first(case: &Case<'_>) -> bool {
    case.table.entries.first().is_some_and(|entry| entry.kind == Kind::OTADATA)
}

#[test]
fn slots_says_of_every_dump_what_esp_idf_would_start() {
    let cases = cases();
    assert!(cases.len() >= LEAST_CASES, "{} cases", cases.len());
    for case in cases {
        let report = report(&dump(&case)).unwrap_or_else(|error| panic!("{error}: {}", case.line));
        let next = report.next_boot;
        assert_eq!(
            next.without_rollback.to_string(),
            case.without_rollback.target,
            "{}",
            case.line
        );
        assert_eq!(next.with_rollback.to_string(), case.with_rollback.target, "{}", case.line);
        let starts = next.without_rollback != next.with_rollback;
        assert!(!starts || !next.because_with_rollback.is_empty(), "{}", case.line);
    }
}

#[test]
fn the_model_writes_to_otadata_what_esp_idf_writes() {
    for case in cases() {
        let table = boot_table(&case.table);
        let entries = case.entries.map(|bytes| Entry::decode(&bytes));
        for (rollback, expected) in
            [(Rollback::Off, &case.without_rollback), (Rollback::On, &case.with_rollback)]
        {
            let is_bootable = |region: Region| case.bootable.contains(&region.start);
            let start = bootloader::start(&table, &entries, rollback, is_bootable);
            let writes = start.writes.iter();
            let writes =
                writes.map(|(index, entry)| format!("{index}:{}", hex::lower(&entry.encode())));
            let writes = writes.collect::<Vec<_>>().join(",");
            let target = start.target.to_string();
            assert_eq!((&*target, &writes), (expected.target, &expected.writes), "{}", case.line);
        }
    }
}
