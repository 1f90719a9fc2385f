//! What is wrong with a live host, as data.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::Exit;

/// How bad a finding is, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works, but not for ever or not for every device.
    Warning,
    /// Updates fail, or will.
    Error,
}

/// Makes the list of codes: variant, name, severity, what a run with it exits with, summary.
macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $exit:ident $summary:literal)*) => {
        /// A rule about live hosts. Names last: none is ever used for something else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {$(
            #[doc = $summary]
            $variant,
        )*}

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name, as in JSON.
            pub fn name(self) -> &'static str {
                match self {$(Self::$variant => $name,)*}
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self {$(Self::$variant => Severity::$severity,)*}
            }

            /// What a run exits with that finds it, if it is an error.
            pub fn exit(self) -> Exit {
                match self {$(Self::$variant => Exit::$exit,)*}
            }

            /// One sentence.
            pub fn summary(self) -> &'static str {
                match self {$(Self::$variant => $summary,)*}
            }
        }
    };
}

codes! {
    ChainUnanchored "chain-unanchored" Error Trust
        "No pinned root anchors the chain that the server shows."
    ChainEnded "chain-ended" Error Trust
        "A certificate of the chain has ended."
    ChainNotYetValid "chain-not-yet-valid" Error Trust
        "A certificate of the chain is not valid yet."
    ChainForged "chain-forged" Error Trust
        "A signature in the chain does not hold."
    ChainUnsupported "chain-unsupported" Error Trust
        "The chain has a key, signature or critical extension that the device's TLS library does not take."
    WrongPurpose "wrong-purpose" Error Trust
        "A certificate is used for what it was not made for."
    NameConstraint "name-constraint" Error Trust
        "A CA of the chain may not issue for the host's name."
    ChainMalformed "chain-malformed" Error Trust
        "The chain cannot be read, or breaks a rule of its own."
    KeyMismatch "key-mismatch" Error Trust
        "The server does not hold the key of the certificate that it shows."
    WrongName "wrong-name" Error Trust
        "The certificate does not have the host's name or address as a subject alternative name."
    ReleaseStranded "release-stranded" Error Trust
        "A published release pins no root that anchors the chain: its devices cannot update."
    NothingPublished "nothing-published" Error Rejected
        "Neither the URL nor the store has a release: which devices reach the host cannot be told."
    ReleaseUnknownRoots "release-unknown-roots" Error Rejected
        "Whether a published release reaches the host is unknown, because its roots are."
    NoSpare "no-spare" Warning Rejected
        "Only one pinned root anchors the chain."
    EndsSoon "ends-soon" Error Rejected
        "A certificate of the chain, or the root that anchors it, ends in fewer days than `--min-days`."
    RootEnds "root-ends" Warning Rejected
        "The root that anchors the chain ends within a year."
    ChainTooLarge "chain-too-large" Error Rejected
        "The chain does not fit the buffer of the device's TLS library."
    ChainSurplus "chain-surplus" Note Rejected
        "The server shows certificates that lead to no pinned root."
    NoTls12 "no-tls12" Warning Rejected
        "The server does not speak TLS 1.2."
    Redirect "redirect" Error Rejected
        "The server answers with a redirect; devices follow none."
    HeadTooLarge "head-too-large" Error Rejected
        "The head of an answer is larger than a device takes."
    Encoded "encoded" Error Rejected
        "The server compresses without being asked; devices decompress nothing."
    DateMissing "date-missing" Warning Rejected
        "The server does not say what time it is."
    DateWrong "date-wrong" Warning Rejected
        "The server's clock is off by more than an hour."
    NoRange "no-range" Error Rejected
        "The server sends whole files only: a broken download begins anew."
    RangeWrong "range-wrong" Error Rejected
        "The server answers a range with other bytes than asked for."
    RangePastEnd "range-past-end" Note Rejected
        "The server does not answer 416 to a range behind the end of a file."
    NoEtag "no-etag" Error Rejected
        "The server sends no usable ETag: whether a file changed in the middle of a download cannot be told."
    WeakEtag "weak-etag" Error Rejected
        "The ETag is a weak one, which no range may rest on."
    IfRangeIgnored "if-range-ignored" Error Rejected
        "The server resumes a file although it is another one by now."
    IfRangeRefused "if-range-refused" Error Rejected
        "The server does not resume a file although it is the same."
}

impl Code {
    /// Whether a user may say that it may be so. A breach of trust may not.
    pub fn is_allowable(self) -> bool {
        self.exit() != Exit::Trust
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|code| code.name() == text);
        found.copied().ok_or_else(|| format!("no finding is called `{text}`"))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// The rule.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, with both sides of a mismatch.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Whether the user says that it may be so.
    pub allowed: bool,
}

impl Finding {
    pub(super) fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        let (message, help) = (message.into(), help.into());
        Self { code, severity: code.severity(), message, help, allowed: false }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Made, and nothing is wrong.
    Ok,
    /// Made, with findings below an error.
    Warning,
    /// Made, with errors.
    Failed,
    /// Could not be made. Never good.
    NotMade,
    /// Does not apply here.
    Skipped,
}

/// One question, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// What was asked.
    pub check: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer in words; why it was not made.
    pub message: String,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What a run exits with because this was not made.
    #[serde(skip)]
    exit: Exit,
}

impl Check {
    /// A check that was made.
    pub fn made(check: &'static str, message: impl Into<String>, findings: Vec<Finding>) -> Self {
        let message = message.into();
        let mut made = Self { check, outcome: Outcome::Ok, message, findings, exit: Exit::Success };
        made.weigh();
        made
    }

    /// A check that could not be made, and what a run exits with for that.
    pub fn not_made(check: &'static str, message: impl Into<String>, exit: Exit) -> Self {
        let message = message.into();
        Self { check, outcome: Outcome::NotMade, message, findings: Vec::new(), exit }
    }

    /// A check that nobody asked for.
    pub fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        let (message, exit) = (message.into(), Exit::Success);
        Self { check, outcome: Outcome::Skipped, message, findings: Vec::new(), exit }
    }

    /// Marks findings of these codes as allowed, where they may be.
    pub fn allow(&mut self, codes: &[Code]) {
        for finding in &mut self.findings {
            finding.allowed = codes.contains(&finding.code) && finding.code.is_allowable();
        }
        if !matches!(self.outcome, Outcome::NotMade | Outcome::Skipped) {
            self.weigh();
        }
    }

    fn weigh(&mut self) {
        let counted = self.findings.iter().filter(|finding| !finding.allowed);
        self.outcome = match counted.map(|finding| finding.severity).max() {
            None | Some(Severity::Note) => Outcome::Ok,
            Some(Severity::Warning) => Outcome::Warning,
            Some(Severity::Error) => Outcome::Failed,
        };
    }

    /// What a run exits with for this check, if findings of `limit` and worse reject.
    pub fn exit(&self, limit: Severity) -> Exit {
        let counted = self.findings.iter().filter(|it| !it.allowed && it.severity >= limit);
        worst(counted.map(|finding| finding.code.exit()).chain([self.exit]))
    }
}

/// A breach of trust outweighs what was not judged, and that an answer of no.
pub fn worst(exits: impl IntoIterator<Item = Exit>) -> Exit {
    let rank = |exit: &Exit| match exit {
        Exit::Success => 0,
        Exit::Rejected => 1,
        Exit::Usage | Exit::Output | Exit::Device => 2,
        Exit::Network => 3,
        Exit::Project => 4,
        Exit::Trust => 5,
    };
    exits.into_iter().max_by_key(rank).unwrap_or(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_its_own_and_reads_back() {
        for code in Code::ALL {
            assert_eq!(code.name().parse(), Ok(*code));
            assert!(code.summary().ends_with('.'));
        }
        let names: std::collections::BTreeSet<&str> =
            Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!("nonsense".parse::<Code>().is_err());
    }

    #[test]
    fn a_check_is_as_bad_as_its_worst_finding_and_one_that_was_not_made_is_never_ok() {
        let with = |codes: &[Code]| {
            Check::made("x", "", codes.iter().map(|code| Finding::new(*code, "", "")).collect())
        };
        assert_eq!(with(&[]).outcome, Outcome::Ok);
        assert_eq!(with(&[Code::ChainSurplus]).outcome, Outcome::Ok);
        assert_eq!(with(&[Code::NoSpare]).outcome, Outcome::Warning);
        assert_eq!(with(&[Code::NoSpare]).exit(Severity::Error), Exit::Success);
        assert_eq!(with(&[Code::NoSpare]).exit(Severity::Warning), Exit::Rejected);
        assert_eq!(with(&[Code::NoSpare, Code::Redirect]).exit(Severity::Error), Exit::Rejected);
        assert_eq!(with(&[Code::Redirect, Code::WrongName]).exit(Severity::Error), Exit::Trust);
        let lost = Check::not_made("x", "gone", Exit::Network);
        assert_eq!((lost.outcome, lost.exit(Severity::Error)), (Outcome::NotMade, Exit::Network));
    }

    #[test]
    fn what_is_allowed_does_not_count_and_a_breach_of_trust_cannot_be() {
        let findings =
            vec![Finding::new(Code::Redirect, "", ""), Finding::new(Code::WrongName, "", "")];
        let mut check = Check::made("x", "", findings);
        check.allow(&[Code::Redirect, Code::WrongName]);
        assert_eq!(check.exit(Severity::Note), Exit::Trust);
        check.findings.pop();
        check.allow(&[Code::Redirect]);
        assert_eq!((check.outcome, check.exit(Severity::Note)), (Outcome::Ok, Exit::Success));
    }
}
