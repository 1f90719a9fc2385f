//! What is wrong with a table, as data: findings, and who accepts the table.

use serde::Serialize;

use super::code::{Code, Severity};

/// One thing that is wrong, in words and numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// The rule.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Line in the CSV, from 1; absent for binary tables and for the table as a whole.
    pub line: Option<usize>,
    /// Column in that line, in characters from 1.
    pub column: Option<usize>,
    /// What is wrong, with both sides of a mismatch.
    pub message: String,
    /// What to do, with the number to type, where that is known.
    pub help: Option<String>,
}

impl Finding {
    /// A finding about the table as a whole.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            line: None,
            column: None,
            message: message.into(),
            help: None,
        }
    }

    /// Says where.
    pub(crate) fn at(mut self, place: Option<(usize, usize)>) -> Self {
        self.line = place.map(|(line, _)| line);
        self.column = place.map(|(_, column)| column);
        self
    }

    /// Says what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Who takes the table as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AcceptedBy {
    /// gen_esp32part.py of ESP-IDF, with the same options.
    pub esp_idf: bool,
    /// espflash, given this file.
    pub espflash: bool,
    /// The crate esp-bootloader-esp-idf on the device, without a panic.
    pub esp_bootloader_esp_idf: bool,
    /// Whether the table can carry updates: ESP-IDF takes it, and no finding is an error.
    pub ota: bool,
}

/// The answer of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Everything found, in the order of the file.
    pub findings: Vec<Finding>,
    /// Who takes the table.
    pub accepted_by: AcceptedBy,
}

impl Report {
    /// The worst severity found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_shape_is_the_documented_one() {
        let report = Report {
            findings: vec![
                Finding::new(Code::Overlap, "both").at(Some((3, 7))).help("move it"),
                Finding::new(Code::AppMissing, "none"),
            ],
            accepted_by: AcceptedBy {
                esp_idf: false,
                espflash: true,
                esp_bootloader_esp_idf: true,
                ota: false,
            },
        };
        let expected = serde_json::json!({
            "findings": [
                {"code": "overlap", "severity": "error", "line": 3, "column": 7,
                 "message": "both", "help": "move it"},
                {"code": "app-missing", "severity": "error", "line": null, "column": null,
                 "message": "none", "help": null},
            ],
            "accepted-by": {"esp-idf": false, "espflash": true,
                            "esp-bootloader-esp-idf": true, "ota": false},
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
        assert_eq!(report.worst(), Some(Severity::Error));
    }
}
