//! The lasting names of everything that can be wrong with a table.
//!
//! One list, so that the severity of a finding and the question whether ESP-IDF refuses such a
//! table are answered in one place and cannot be forgotten for a new code.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::text;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works, but not everywhere, or not for ever.
    Warning,
    /// ESP-IDF refuses the table, or it cannot carry updates.
    Error,
}

/// What gen_esp32part.py does with a table of which a finding is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EspIdf {
    Accepts,
    Refuses,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident $name:literal $severity:ident $verdict:ident;)*) => {
        /// Stable name of a rule. Printed, documented, and never reused once released.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// Every code, so that documentation and tests can walk them.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// The name in reports, in `allow = [...]` and in the documentation.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$code => Severity::$severity,)* }
            }

            /// The page about it, in Markdown: what it is, why it matters and how to mend it.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$code => {
                        include_str!(concat!("../../docs/reference/findings/", $name, ".md"))
                    })*
                }
            }

            const fn esp_idf(self) -> EspIdf {
                match self { $(Self::$code => EspIdf::$verdict,)* }
            }
        }
    };
}

codes! {
    /// The file is larger than a partition table can be.
    FileTooLarge "file-too-large" Error Refuses;
    /// The file is neither text nor a binary table.
    NotATable "not-a-table" Error Refuses;
    /// The file is UTF-32, little-endian, which ESP-IDF misreads.
    EncodingUnsupported "encoding-unsupported" Error Refuses;
    /// A line becomes too long by its variables.
    LineTooLong "line-too-long" Error Refuses;
    /// A variable without a value.
    UnknownVariable "unknown-variable" Error Refuses;
    /// No type.
    TypeMissing "type-missing" Error Refuses;
    /// An app without a subtype.
    SubtypeMissing "subtype-missing" Error Refuses;
    /// No size.
    SizeMissing "size-missing" Error Refuses;
    /// A field that has to be a number is none.
    InvalidNumber "invalid-number" Error Refuses;
    /// A type or subtype that is neither a number nor a known word.
    UnknownKeyword "unknown-keyword" Error Refuses;
    /// A flag that does not exist.
    UnknownFlag "unknown-flag" Error Refuses;
    /// A bootloader row, and nobody said where the bootloader is.
    BootloaderOffsetUnknown "bootloader-offset-unknown" Error Refuses;
    /// The bootloader would lie at or above the table.
    BootloaderAboveTable "bootloader-above-table" Error Refuses;
    /// A value does not fit its field in flash.
    ValueOutOfRange "value-out-of-range" Error Refuses;
    /// The first row begins inside the table.
    OffsetInsideTable "offset-inside-table" Error Refuses;
    /// A row begins before the end of the row above it.
    OffsetBeforePreviousEnd "offset-before-previous-end" Error Refuses;
    /// More rows than the table has room for.
    TooManyRows "too-many-rows" Error Refuses;
    /// A binary table whose last row is cut.
    BinaryLength "binary-length" Error Refuses;
    /// The digest of a binary table is wrong.
    DigestMismatch "digest-mismatch" Error Refuses;
    /// A binary table that does not end.
    EndMarkerMissing "end-marker-missing" Error Refuses;
    /// A binary row that begins with something else than `AA 50`.
    RowMagic "row-magic" Error Refuses;
    /// A binary row whose name is not UTF-8.
    NameNotText "name-not-text" Error Refuses;
    /// An offset that is no multiple of what its type needs.
    OffsetMisaligned "offset-misaligned" Error Refuses;
    /// An app whose size is no multiple of what the chip needs.
    SizeMisaligned "size-misaligned" Error Refuses;
    /// A partition that is always written is marked read-only.
    ReadonlyNotAllowed "readonly-not-allowed" Error Refuses;
    /// A writable NVS that is too small to work.
    NvsNeedsReadonly "nvs-needs-readonly" Error Refuses;
    /// Two rows of one name.
    DuplicateName "duplicate-name" Error Refuses;
    /// A row below the end of the table.
    OffsetBelowTable "offset-below-table" Error Refuses;
    /// Two rows claim the same byte.
    Overlap "overlap" Error Refuses;
    /// More than one otadata row.
    OtadataDuplicate "otadata-duplicate" Error Refuses;
    /// otadata is not two sectors.
    OtadataSize "otadata-size" Error Refuses;
    /// More than one TEE otadata row.
    TeeOtadataDuplicate "tee-otadata-duplicate" Error Refuses;
    /// TEE otadata is not two sectors.
    TeeOtadataSize "tee-otadata-size" Error Refuses;
    /// A row ends beyond the flash. ESP-IDF refuses that too, but for rows it does not look at:
    /// see `fits_for_esp_idf` in `placement`.
    PastFlash "past-flash" Error Accepts;

    /// No row of type `app`.
    AppMissing "app-missing" Error Accepts;
    /// No otadata row.
    OtadataMissing "otadata-missing" Error Accepts;
    /// Fewer than two OTA slots.
    TooFewSlots "too-few-slots" Error Accepts;
    /// The numbers of the OTA slots leave one out.
    SlotGap "slot-gap" Error Accepts;
    /// Two rows of the same OTA slot.
    SlotDuplicate "slot-duplicate" Error Accepts;
    /// OTA slots of different sizes.
    SlotSizesDiffer "slot-sizes-differ" Error Accepts;
    /// Two factory rows.
    FactoryDuplicate "factory-duplicate" Error Accepts;
    /// A row of no bytes.
    EmptyPartition "empty-partition" Error Accepts;
    /// A row ends beyond what 32 bits can address.
    Past4Gib "past-4-gib" Error Accepts;
    /// An app partition larger than an image can be.
    AppTooLarge "app-too-large" Error Accepts;
    /// A row lies on the bootloader.
    OverlapsBootloader "overlaps-bootloader" Error Accepts;
    /// The bootloader row is not where the chip starts its bootloader.
    BootloaderMisplaced "bootloader-misplaced" Error Accepts;
    /// Two names become one when they are cut to 16 bytes.
    NameCollision "name-collision" Error Accepts;
    /// A binary table with rows behind its digest.
    RowsAfterDigest "rows-after-digest" Error Accepts;
    /// A binary table with two digests.
    DigestRepeated "digest-repeated" Error Accepts;
    /// A binary table with more rows than the bootloader reads.
    TableTooLong "table-too-long" Error Accepts;

    /// A binary table without a digest.
    DigestMissing "digest-missing" Warning Accepts;
    /// A binary table whose digest row has other padding than ESP-IDF's.
    DigestPadding "digest-padding" Warning Accepts;
    /// A binary table with bytes behind its end marker.
    PaddingNotBlank "padding-not-blank" Warning Accepts;
    /// A binary row with flags that nobody knows.
    UnknownFlagBits "unknown-flag-bits" Warning Accepts;
    /// A name that is a type or subtype word, but not this row's.
    NameIsKeyword "name-is-keyword" Warning Accepts;
    /// A name that flash has no room for.
    NameTruncated "name-truncated" Warning Accepts;
    /// No name.
    NameEmpty "name-empty" Warning Accepts;
    /// A name with letters outside ASCII.
    NameNotAscii "name-not-ascii" Warning Accepts;
    /// A name that leaves no room for a terminating zero.
    NameUnterminated "name-unterminated" Note Accepts;
    /// A data partition whose size is no multiple of a sector.
    DataSizeMisaligned "data-size-misaligned" Warning Accepts;
    /// An app marked read-only.
    AppReadonly "app-readonly" Warning Accepts;
    /// An `nvs_keys` partition that is not one sector.
    NvsKeysSize "nvs-keys-size" Warning Accepts;
    /// No NVS that may be written.
    NvsMissing "nvs-missing" Warning Accepts;
    /// An NVS without room for what the update agent keeps.
    NvsTooSmall "nvs-too-small" Warning Accepts;
    /// A factory app, which anti-rollback makes useless.
    FactoryWithAntiRollback "factory-with-anti-rollback" Warning Accepts;
    /// espflash refuses the table.
    EspflashRefuses "espflash-refuses" Warning Accepts;
    /// espflash crashes on the table.
    EspflashPanics "espflash-panics" Warning Accepts;
    /// espflash takes numbers of the CSV for others.
    EspflashMisreads "espflash-misreads" Warning Accepts;
    /// espflash would write the table to the wrong place.
    EspflashTableOffset "espflash-table-offset" Warning Accepts;
    /// esp-bootloader-esp-idf refuses the table.
    EspBootloaderRefuses "esp-bootloader-refuses" Warning Accepts;
    /// esp-bootloader-esp-idf panics on a row.
    EspBootloaderPanics "esp-bootloader-panics" Warning Accepts;
    /// esp-bootloader-esp-idf takes `encrypted` for `readonly` and the reverse.
    EspBootloaderFlags "esp-bootloader-flags" Warning Accepts;

    /// A file given as an app image is none, or would not boot.
    ImageInvalid "image-invalid" Error Accepts;
    /// An app image that does not fit every slot.
    ImageTooLarge "image-too-large" Error Accepts;
    /// An app image that leaves less of a slot free than was asked for.
    ImageLowHeadroom "image-low-headroom" Error Accepts;
    /// An app image that leaves hardly anything of a slot free.
    ImageNearlyFull "image-nearly-full" Warning Accepts;

    /// There is more to find than a report shows.
    TooManyFindings "too-many-findings" Note Accepts;
}

impl Code {
    /// Whether gen_esp32part.py refuses every table of which this is true.
    pub const fn refused_by_esp_idf(self) -> bool {
        match self.esp_idf() {
            EspIdf::Refuses => true,
            EspIdf::Accepts => false,
        }
    }

    /// The code of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// What is wrong, in one line: the third of its page.
    pub fn summary(self) -> &'static str {
        self.page().lines().nth(2).unwrap_or_default()
    }
}

/// A name that no code has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not the code of a finding{}", .meant.map_or(String::new(), |code| format!("; did you mean `{code}`?")))]
pub struct UnknownCode {
    /// The name.
    pub name: String,
    /// The code that was likely meant.
    pub meant: Option<Code>,
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Self, UnknownCode> {
        Self::from_name(name).ok_or_else(|| UnknownCode {
            name: text::quote(name).into_owned(),
            meant: nearest(name),
        })
    }
}

/// The code whose name is most like `name`, if one is like it at all.
fn nearest(name: &str) -> Option<Code> {
    // Jaro-Winkler similarity: two slips of the keyboard in a name stay above it.
    const ALIKE: f64 = 0.85;
    // Longer than any code by more than slips; also bounds the work.
    const LONGEST: usize = 40;
    if name.len() > LONGEST {
        return None;
    }
    Code::ALL
        .iter()
        .map(|code| (strsim::jaro_winkler(&name.to_ascii_lowercase(), code.name()), *code))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, code)| code)
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_codes_in_kebab_case_and_unique() {
        for code in Code::ALL {
            let mut kebab = String::new();
            for letter in format!("{code:?}").chars() {
                if letter.is_ascii_uppercase() || letter.is_ascii_digit() {
                    kebab.push('-');
                }
                kebab.push(letter.to_ascii_lowercase());
            }
            let name = code.name();
            assert_eq!(name, kebab.trim_matches('-'));
            assert_eq!(Code::from_name(name), Some(*code));
        }
    }

    #[test]
    fn a_name_that_is_nearly_a_code_leads_to_it() {
        assert_eq!("slot-gap".parse(), Ok(Code::SlotGap));
        for (typed, meant) in [
            ("slot-gpa", Some(Code::SlotGap)),
            ("SLOT-GAP", Some(Code::SlotGap)),
            ("otadata_size", Some(Code::OtadataSize)),
            ("", None),
            ("xyzzy", None),
        ] {
            let Err(error) = typed.parse::<Code>() else { panic!("{typed}") };
            assert_eq!(error.meant, meant, "{typed}");
        }
        let long = "x".repeat(100_000).parse::<Code>().unwrap_err();
        assert!(long.to_string().len() < 100);
        assert_eq!(
            "slot-gpa".parse::<Code>().unwrap_err().to_string(),
            "`slot-gpa` is not the code of a finding; did you mean `slot-gap`?"
        );
    }

    #[test]
    fn whatever_esp_idf_refuses_is_an_error() {
        for code in Code::ALL.iter().filter(|code| code.refused_by_esp_idf()) {
            assert_eq!(code.severity(), Severity::Error, "{code}");
        }
    }
}
