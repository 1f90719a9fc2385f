//! Judges many tables in one process: the half of `partition_tables.py` that is ours.
//!
//! Each line of standard input is a JSON object with the table in hexadecimal and the options; the
//! answer is a line with ESP-IDF's verdict as we see it, and the binary table where it is accepted.

use std::io::{BufRead as _, Write as _};

use cargo_esp_ota::partition::{Options, SecureBoot, check, encode, read};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Question {
    table: String,
    flash_size: Option<u32>,
    table_offset: u32,
    secure_boot: Option<String>,
    primary_bootloader_offset: Option<u32>,
    recovery_bootloader_offset: Option<u32>,
    variables: std::collections::BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Answer {
    accepts: bool,
    table: Option<String>,
    findings: Vec<String>,
}

fn main() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line of UTF-8");
        let question: Question = serde_json::from_str(&line).expect("a question");
        let answer = serde_json::to_string(&answer(&question)).expect("an answer");
        writeln!(out, "{answer}").expect("somebody reads");
    }
}

fn answer(question: &Question) -> Answer {
    let options = Options {
        flash_size: question.flash_size,
        table_offset: question.table_offset,
        secure_boot: question.secure_boot.as_deref().map(|version| match version {
            "v1" => SecureBoot::V1,
            _ => SecureBoot::V2,
        }),
        primary_bootloader_offset: question.primary_bootloader_offset,
        recovery_bootloader_offset: question.recovery_bootloader_offset,
        variables: question.variables.clone(),
        ..Options::default()
    };
    let reading = read(&bytes(&question.table), None, &options);
    let report = check(&reading, &options);
    let accepts = report.accepted_by.esp_idf;
    let table = encode(&reading.table()).ok().filter(|_| accepts);
    Answer {
        accepts,
        table: table.map(|table| table.iter().map(|byte| format!("{byte:02x}")).collect()),
        findings: report.findings.iter().map(|finding| finding.code.to_string()).collect(),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    let pairs = pairs.iter().filter_map(|pair| std::str::from_utf8(pair).ok());
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}
