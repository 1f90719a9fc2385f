//! Words for subtypes that a project adds to ESP-IDF's own.
//!
//! ESP-IDF collects them from its build property `EXTRA_PARTITION_SUBTYPES` and gives them to
//! gen_esp32part.py as `--extra-partition-subtypes`; each is a type, a word and a number.

use std::str::FromStr;

use super::keyword;
use super::text;

/// Most words that are taken: more than there are free numbers in the types that have words.
const MOST: usize = 1024;

/// Words for subtypes beside [ESP-IDF's own](super::Kind::subtype_word).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraSubtypes(Vec<Extra>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Extra {
    ty: u8,
    word: String,
    code: u8,
}

/// Why words for subtypes are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraSubtypesError {
    /// Not three fields.
    #[error("`{entry}` is not `type, word, number`, such as `app, my_app, 0x40`")]
    Fields {
        /// The entry.
        entry: String,
    },
    /// The first field is none of the types that have words.
    #[error("`{ty}` is not `app`, `data`, `bootloader` or `partition_table`")]
    Type {
        /// The first field.
        ty: String,
    },
    /// The last field is no byte in hexadecimal.
    #[error("`{code}` is not a number from 0x00 to 0xff in hexadecimal")]
    Code {
        /// The last field.
        code: String,
    },
    /// The number has a word.
    #[error("{ty} subtype {code:#04x} is `{word}` already")]
    CodeTaken {
        /// The type.
        ty: String,
        /// The number.
        code: u8,
        /// Its word.
        word: String,
    },
    /// The word has a number.
    #[error("{ty} subtype `{word}` is {code:#04x} already")]
    WordTaken {
        /// The type.
        ty: String,
        /// The word.
        word: String,
        /// Its number.
        code: u8,
    },
    /// Far too many.
    #[error("more than {MOST} subtypes")]
    TooMany,
}

impl ExtraSubtypes {
    /// The words of a type: ESP-IDF's and these.
    pub(crate) fn words(&self, ty: u8) -> Vec<(&str, u8)> {
        let own = keyword::subtypes(ty).iter().copied();
        let extra = self.0.iter().filter(|extra| extra.ty == ty);
        own.chain(extra.map(|extra| (extra.word.as_str(), extra.code))).collect()
    }

    /// Whether any type has a subtype of this name.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        keyword::is_subtype(word) || self.0.iter().any(|extra| extra.word == word)
    }

    fn add(&mut self, entry: &str) -> Result<(), ExtraSubtypesError> {
        let mut fields = entry.split(',').map(text::strip);
        let (Some(ty), Some(word), Some(number)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(ExtraSubtypesError::Fields { entry: text::quote(entry).into_owned() });
        };
        let named = || text::quote(ty).into_owned();
        let code = keyword::code(keyword::TYPES, ty);
        let kind = code.ok_or_else(|| ExtraSubtypesError::Type { ty: named() })?;
        let digits = number.strip_prefix("0x").or_else(|| number.strip_prefix("0X"));
        let digits = digits.unwrap_or(number);
        let code = u8::from_str_radix(digits, 16)
            .map_err(|_| ExtraSubtypesError::Code { code: text::quote(number).into_owned() })?;
        for (known, value) in self.words(kind) {
            if value == code {
                let word = known.to_owned();
                return Err(ExtraSubtypesError::CodeTaken { ty: named(), code, word });
            }
            // ESP-IDF would give the word another meaning, in its own rules as well.
            if known == word {
                let word = known.to_owned();
                return Err(ExtraSubtypesError::WordTaken { ty: named(), word, code: value });
            }
        }
        if self.0.len() >= MOST {
            return Err(ExtraSubtypesError::TooMany);
        }
        self.0.push(Extra { ty: kind, word: word.to_owned(), code });
        Ok(())
    }
}

impl FromStr for ExtraSubtypes {
    type Err = ExtraSubtypesError;

    /// Reads entries between semicolons, as a CMake list holds them, or on lines of their own.
    fn from_str(entries: &str) -> Result<Self, ExtraSubtypesError> {
        let mut extra = Self::default();
        let entries = entries.split([';', '\n']).map(text::strip);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            extra.add(entry)?;
        }
        Ok(extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{Code, Options, check, read};

    #[test]
    fn a_project_s_words_stand_beside_esp_idf_s() {
        let extra: ExtraSubtypes = "app, my_app, 0x40; data, my_data, fe;\n".parse().unwrap();
        assert_eq!(extra.words(0).last(), Some(&("my_app", 0x40)));
        assert_eq!(extra.words(1).last(), Some(&("my_data", 0xfe)));
        assert!(extra.words(1).contains(&("nvs", 2)));
        assert!(extra.is_word("my_app") && extra.is_word("nvs") && !extra.is_word("my_data2"));
        assert_eq!("".parse(), Ok(ExtraSubtypes::default()));
    }

    #[test]
    fn what_esp_idf_refuses_or_would_misunderstand_is_refused() {
        let message = |text: &str| text.parse::<ExtraSubtypes>().unwrap_err().to_string();
        assert!(message("app, x").starts_with("`app, x` is not `type, word, number`"));
        assert!(message("App, x, 0x40").starts_with("`App` is not `app`"));
        assert!(message("0x40, x, 0x40").starts_with("`0x40` is not `app`"));
        for code in ["0x100", "-1", "", "0xg", "256", "0x0x40"] {
            assert!(message(&format!("app, x, {code}")).contains("is not a number"), "{code}");
        }
        assert_eq!(message("data, x, 0x02"), "data subtype 0x02 is `nvs` already");
        assert_eq!(message("data, nvs, 0x99"), "data subtype `nvs` is 0x02 already");
        assert_eq!(message("app,x,40;app,y,0x40"), "app subtype 0x40 is `x` already");
        let many: String = (0..2000).map(|index| format!("data,w{index},0x99;")).collect();
        assert!(many.parse::<ExtraSubtypes>().is_err());
    }

    #[test]
    fn a_table_may_use_the_words_and_no_other_type_may() {
        let options =
            Options { extra_subtypes: "data, blob, 0x99".parse().unwrap(), ..Options::default() };
        let codes = |row: &str| -> Vec<Code> {
            let report = check(&read(row.as_bytes(), None, &options), &options);
            report.findings.iter().map(|finding| finding.code).collect()
        };
        let reading = read(b"x, data, BLOB, , 0x1000", None, &options);
        assert_eq!(reading.rows[0].entry.kind.subtype, 0x99);
        assert!(codes("x, app, blob, , 64K").contains(&Code::UnknownKeyword));
        assert!(codes("blob, data, phy, , 0x1000").contains(&Code::NameIsKeyword));
        assert!(!codes("blob, data, blob, , 0x1000").contains(&Code::NameIsKeyword));
    }
}
