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
    /// Whether the project says that it may be so: true all the same, but no reason to reject.
    pub allowed: bool,
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
            allowed: false,
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
    /// The worst severity found, of what is not allowed.
    pub fn worst(&self) -> Option<Severity> {
        let counted = self.findings.iter().filter(|finding| !finding.allowed);
        counted.map(|finding| finding.severity).max()
    }

    /// Marks the findings of these codes as allowed. What ESP-IDF refuses stays refused, and
    /// [`Report::accepted_by`] is about facts, which nobody can allow.
    pub fn allow(&mut self, codes: &[Code]) {
        for finding in &mut self.findings {
            finding.allowed = codes.contains(&finding.code) && !finding.code.refused_by_esp_idf();
        }
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
                 "message": "both", "help": "move it", "allowed": false},
                {"code": "app-missing", "severity": "error", "line": null, "column": null,
                 "message": "none", "help": null, "allowed": false},
            ],
            "accepted-by": {"esp-idf": false, "espflash": true,
                            "esp-bootloader-esp-idf": true, "ota": false},
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
        assert_eq!(report.worst(), Some(Severity::Error));
    }

    #[test]
    fn what_is_allowed_does_not_count_unless_esp_idf_refuses_it() {
        let found = |codes: &[Code]| {
            let accepted_by = AcceptedBy {
                esp_idf: false,
                espflash: false,
                esp_bootloader_esp_idf: false,
                ota: false,
            };
            let findings = codes.iter().map(|code| Finding::new(*code, "")).collect();
            let mut report = Report { findings, accepted_by };
            report.allow(&[Code::SlotGap, Code::Overlap]);
            report.worst()
        };
        assert_eq!(found(&[Code::SlotGap]), None);
        assert_eq!(found(&[Code::SlotGap, Code::NvsMissing]), Some(Severity::Warning));
        assert_eq!(found(&[Code::Overlap]), Some(Severity::Error));
    }
}
