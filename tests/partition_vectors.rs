//! The vectors of `tests/vectors/partition/`: what every reader of a table makes of it.
//!
//! What ESP-IDF says stands in the files, asked of its own script when they were made. This test
//! reads files and needs nothing else.

#![cfg(test)]

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic;
use std::path::Path;
use std::sync::{LazyLock, Once};

use cargo_esp_ota::flash_size::FlashSize;
use cargo_esp_ota::partition::{
    AcceptedBy, Code, Finding, Flags, Label, Options, Reading, SecureBoot, Source, check, encode,
    read,
};
use esp_idf_part::PartitionTable;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Least vectors there have to be.
const LEAST: usize = 300;

/// Codes whose input is too long for a vector, or that are about an app image.
const WITHOUT_A_VECTOR: [Code; 7] = [
    Code::FileTooLarge,
    Code::LineTooLong,
    Code::TooManyFindings,
    Code::ImageInvalid,
    Code::ImageTooLarge,
    Code::ImageLowHeadroom,
    Code::ImageNearlyFull,
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vector: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Vector {
    #[serde(skip)]
    area: String,
    name: String,
    why: String,
    csv: Option<String>,
    encoding: Option<Encoding>,
    hex: Option<Vec<String>>,
    #[serde(default)]
    options: Circumstances,
    esp_idf: bool,
    espflash: bool,
    esp_bootloader_esp_idf: bool,
    ota: bool,
    findings: Vec<String>,
    sha256: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
enum Encoding {
    #[serde(rename = "utf-16-le")]
    LittleEndian16,
    #[serde(rename = "utf-16-be")]
    BigEndian16,
    #[serde(rename = "utf-32-le")]
    LittleEndian32,
    #[serde(rename = "utf-32-be")]
    BigEndian32,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Circumstances {
    chip: Option<String>,
    flash_size: Option<String>,
    table_offset: Option<u32>,
    secure_boot: Option<SecureBootVersion>,
    primary_bootloader_offset: Option<u32>,
    recovery_bootloader_offset: Option<u32>,
    #[serde(default)]
    anti_rollback: bool,
    #[serde(default)]
    extra_partition_subtypes: String,
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SecureBootVersion {
    V1,
    V2,
}

impl Vector {
    fn title(&self) -> String {
        format!("{}/{}", self.area, self.name)
    }

    fn bytes(&self) -> Vec<u8> {
        match (&self.csv, &self.hex) {
            (Some(csv), None) => encoded(csv, self.encoding),
            (None, Some(hex)) => {
                hex.iter().flat_map(|line| line.split(' ')).flat_map(word).collect()
            }
            _ => panic!("{}: either `csv` or `hex`", self.title()),
        }
    }

    fn options(&self) -> Options {
        let given = &self.options;
        Options {
            chip: given.chip.as_ref().map(|chip| chip.parse().unwrap()),
            flash_size: given.flash_size.as_ref().map(|size| {
                let size: FlashSize = size.parse().unwrap();
                size.bytes()
            }),
            table_offset: given.table_offset.unwrap_or(Options::default().table_offset),
            secure_boot: given.secure_boot.map(|version| match version {
                SecureBootVersion::V1 => SecureBoot::V1,
                SecureBootVersion::V2 => SecureBoot::V2,
            }),
            primary_bootloader_offset: given.primary_bootloader_offset,
            recovery_bootloader_offset: given.recovery_bootloader_offset,
            anti_rollback: given.anti_rollback,
            extra_subtypes: given.extra_partition_subtypes.parse().unwrap(),
            variables: given.variables.clone(),
        }
    }

    fn accepted_by(&self) -> AcceptedBy {
        AcceptedBy {
            esp_idf: self.esp_idf,
            espflash: self.espflash,
            esp_bootloader_esp_idf: self.esp_bootloader_esp_idf,
            ota: self.ota,
        }
    }
}

/// Hexadecimal digits, and how often they stand there: `aa50`, `ff*3072`.
fn word(word: &str) -> Vec<u8> {
    let (digits, count) = word.split_once('*').unwrap_or((word, "1"));
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "{word}");
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(byte).collect::<Vec<_>>().repeat(count.parse().unwrap())
}

fn encoded(text: &str, encoding: Option<Encoding>) -> Vec<u8> {
    let wide = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect();
    let wider = |unit: fn(u32) -> [u8; 4]| text.chars().map(u32::from).flat_map(unit).collect();
    match encoding {
        None => text.as_bytes().to_vec(),
        Some(Encoding::LittleEndian16) => wide(u16::to_le_bytes),
        Some(Encoding::BigEndian16) => wide(u16::to_be_bytes),
        Some(Encoding::LittleEndian32) => wider(u32::to_le_bytes),
        Some(Encoding::BigEndian32) => wider(u32::to_be_bytes),
    }
}

fn vectors() -> &'static [Vector] {
    static VECTORS: LazyLock<Vec<Vector>> = LazyLock::new(every_file);
    &VECTORS
}

fn every_file() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/partition");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let file: File =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let area = path.file_stem().unwrap().to_string_lossy().into_owned();
        found.extend(file.vector.into_iter().map(|vector| Vector { area: area.clone(), ..vector }));
    }
    found.sort_by_key(Vector::title);
    found
}

/// Runs `wrong` over every vector and reports all that it says at once.
#[track_caller]
fn every(wrong: impl Fn(&Vector, &Reading, &Options) -> Option<String>) {
    let mut broken = Vec::new();
    for vector in vectors() {
        let options = vector.options();
        let reading = read(&vector.bytes(), None, &options);
        if let Some(problem) = wrong(vector, &reading, &options) {
            broken.push(format!("{} ({}): {problem}", vector.title(), vector.why));
        }
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// A finding as a vector writes it: its code, and line and column where it has them.
fn short(finding: &Finding) -> String {
    match (finding.line, finding.column) {
        (Some(line), Some(column)) => format!("{} {line}:{column}", finding.code),
        _ => finding.code.to_string(),
    }
}

#[test]
fn every_reader_s_verdict_is_the_recorded_one() {
    every(|vector, reading, options| {
        let found = check(reading, options).accepted_by;
        (found != vector.accepted_by())
            .then(|| format!("{found:?}, recorded: {:?}", vector.accepted_by()))
    });
}

#[test]
fn every_finding_is_the_recorded_one_in_its_place() {
    every(|vector, reading, options| {
        let found: Vec<String> = check(reading, options).findings.iter().map(short).collect();
        (found != vector.findings).then(|| format!("{found:?}, recorded: {:?}", vector.findings))
    });
}

#[test]
fn every_message_is_short_and_nothing_that_a_terminal_obeys() {
    every(|_, reading, options| {
        let findings = check(reading, options).findings;
        let texts = findings.into_iter().flat_map(|finding| [Some(finding.message), finding.help]);
        let is_wild = |text: &String| text.contains(char::is_control) || text.chars().count() > 500;
        texts.flatten().find(is_wild)
    });
}

#[test]
fn every_table_is_encoded_as_esp_idf_encodes_it() {
    every(|vector, reading, _| {
        let mut table = reading.table();
        let is_binary = matches!(reading.source, Source::Binary { .. });
        for entry in table.entries.iter_mut().filter(|_| is_binary) {
            // What it has no name for, and what stands behind a name, gen_esp32part.py forgets.
            entry.label = Label::new(&entry.label.text());
            entry.flags = Flags(entry.flags.0 & !entry.flags.unknown());
        }
        let found = match encode(&table) {
            Ok(bytes) if vector.esp_idf => Some(hex(&Sha256::digest(bytes))),
            Ok(_) | Err(_) => None,
        };
        (found != vector.sha256).then(|| format!("{found:?}, recorded: {:?}", vector.sha256))
    });
}

/// The crate that espflash reads tables with, asked without the care that the rules take.
#[test]
fn what_espflash_is_said_to_take_its_crate_takes() {
    every(|vector, _, _| {
        let verdict = vector.espflash.then(|| esp_idf_part(&vector.bytes()))?;
        (verdict != Verdict::Takes).then(|| format!("{verdict:?}"))
    });
}

#[test]
fn what_espflash_is_said_to_crash_on_its_crate_crashes_on() {
    every(|vector, _, _| {
        let is_code = |finding: &String| finding.split(' ').next() == Some("espflash-panics");
        let verdict = vector.findings.iter().any(is_code).then(|| esp_idf_part(&vector.bytes()))?;
        (verdict != Verdict::Panics).then(|| format!("{verdict:?}"))
    });
}

/// What esp-idf-part does with a file.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Takes,
    Refuses,
    Panics,
}

fn esp_idf_part(bytes: &[u8]) -> Verdict {
    thread_local! { static EXPECTED: Cell<bool> = const { Cell::new(false) } }
    static QUIET: Once = Once::new();
    // A panic that is looked for is nobody's news.
    QUIET.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !EXPECTED.get() {
                usual(panic);
            }
        }));
    });
    EXPECTED.set(true);
    let result = panic::catch_unwind(|| PartitionTable::try_from(bytes));
    EXPECTED.set(false);
    match result {
        Ok(Ok(_)) => Verdict::Takes,
        Ok(Err(_)) => Verdict::Refuses,
        Err(_) => Verdict::Panics,
    }
}

#[test]
fn there_are_enough_vectors_and_more_bad_than_good() {
    let vectors = vectors();
    let names: BTreeSet<String> = vectors.iter().map(Vector::title).collect();
    assert_eq!(names.len(), vectors.len(), "names are unique");
    assert!(vectors.len() >= LEAST, "{}", vectors.len());
    let good = vectors.iter().filter(|vector| vector.ota).count();
    assert!(vectors.len() - good > good, "{good} of {} are good", vectors.len());
    let refused = vectors.iter().filter(|vector| !vector.esp_idf).count();
    assert!(refused >= 200, "{refused}");
}

#[test]
fn every_code_has_a_vector_that_it_is_found_in() {
    let found: BTreeSet<String> = vectors()
        .iter()
        .flat_map(|vector| &vector.findings)
        .map(|finding| finding.split(' ').next().unwrap().to_owned())
        .collect();
    for code in Code::ALL {
        let listed = WITHOUT_A_VECTOR.contains(code);
        assert_eq!(found.contains(code.name()), !listed, "{code}");
    }
}

#[test]
fn binary_tables_and_csv_are_both_read() {
    let binary = |reading: &Reading| matches!(reading.source, Source::Binary { .. });
    let (mut csv, mut bin) = (0, 0);
    for vector in vectors() {
        let reading = read(&vector.bytes(), None, &vector.options());
        if binary(&reading) { bin += 1 } else { csv += 1 }
    }
    assert!(bin >= 40 && csv >= 250, "{bin} binary, {csv} CSV");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
