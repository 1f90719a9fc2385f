//! What the tests of the rules share: a table in, the codes out.

use crate::partition::{Code, Options, Report, check, read};

/// Checks a CSV about which nothing else is known.
pub(crate) fn csv(text: &str) -> Report {
    csv_with(text, &Options::default())
}

pub(crate) fn csv_with(text: &str, options: &Options) -> Report {
    check(&read(text.as_bytes(), None, options), options)
}

pub(crate) fn codes(report: &Report) -> Vec<Code> {
    report.findings.iter().map(|finding| finding.code).collect()
}

/// Two slots, otadata and NVS: nothing to find. It makes room for rows in front of it.
pub(crate) const GOOD: &str = "\
nvs,data,nvs,,0x5000,
otadata,data,ota,,0x2000,
app0,app,ota_0,,1M,
app1,app,ota_1,,1M,
";

/// Whether a row, in front of an otherwise good table, is found wrong in the given way.
pub(crate) fn finds(row: &str, code: Code) -> bool {
    codes(&csv(&format!("{row}\n{GOOD}"))).contains(&code)
}
