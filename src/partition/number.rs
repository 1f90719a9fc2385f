//! Numbers as `parse_int` of gen_esp32part.py reads them: Python's `int(text, 0)` with suffixes.
//!
//! Whatever Python takes is taken here, with the same value, or ESP-IDF and this tool would
//! disagree on a table: underscores, any Unicode digit, a space before the suffix, `2kk`.

use super::keyword::{self, Words};

/// Far outside of anything a table can hold, and far inside of what `i128` can. Values are held
/// to this, so that sums of a few of them cannot overflow either.
const FAR: i128 = 1 << 100;

/// Why a field is not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAValue {
    /// The field takes numbers only.
    Number,
    /// The field takes words as well, and this is none of them.
    Word,
}

/// Reads a field that may be a number with suffixes or one of `words`.
pub(crate) fn parse(field: &str, words: Words<'_>) -> Result<i128, NotAValue> {
    let mut text = field;
    let mut factor: i128 = 1;
    loop {
        // Lower-casing first is not pedantry: the Kelvin sign is a `k` to Python.
        let lower = text.chars().next_back().map(|last| last.to_lowercase().to_string());
        let multiplier = match lower.as_deref() {
            Some("k") => 1024,
            Some("m") => 1024 * 1024,
            _ => break,
        };
        factor = limit(factor.saturating_mul(multiplier));
        let mut rest = text.chars();
        rest.next_back();
        text = rest.as_str();
    }
    let value = match integer(text) {
        Some(value) => value,
        None if words.is_empty() => return Err(NotAValue::Number),
        None => keyword::code(words, &text.to_lowercase()).ok_or(NotAValue::Word)?.into(),
    };
    Ok(limit(value.saturating_mul(factor)))
}

fn limit(value: i128) -> i128 {
    value.clamp(-FAR, FAR)
}

/// Python's `int(text, 0)`.
fn integer(text: &str) -> Option<i128> {
    // Not `strip`: of the white space that Python knows, `int` leaves the ASCII separators alone.
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };

    let mut letters = text.chars();
    let zero = letters.next().and_then(decimal) == Some(0);
    let radix = letters.next().filter(|_| zero).and_then(|letter| match letter {
        'x' | 'X' => Some(16),
        'o' | 'O' => Some(8),
        'b' | 'B' => Some(2),
        _ => None,
    });
    let (radix, digits, leading_zero) = match radix {
        // One underscore may stand between the prefix and the first digit.
        Some(radix) => {
            (radix, letters.as_str().strip_prefix('_').unwrap_or(letters.as_str()), false)
        }
        None => (10, text, zero),
    };

    let mut value: i128 = 0;
    let mut after_digit = false;
    for letter in digits.chars() {
        if letter == '_' {
            if !after_digit {
                return None;
            }
            after_digit = false;
            continue;
        }
        let digit = decimal(letter).or_else(|| letter.to_digit(36)).filter(|d| *d < radix)?;
        value = limit(value.saturating_mul(radix.into()).saturating_add(digit.into()));
        after_digit = true;
    }
    // `010` is no number in Python 3, so that nobody takes it for octal.
    if !after_digit || (leading_zero && value != 0) {
        return None;
    }
    Some(if negative { value.saturating_neg() } else { value })
}

/// The value of a decimal digit of any script.
fn decimal(letter: char) -> Option<u32> {
    if letter.is_ascii() {
        return letter.to_digit(10);
    }
    let code = u32::from(letter);
    let zero = ZEROS.iter().take_while(|zero| **zero <= code).last()?;
    code.checked_sub(*zero).filter(|digit| *digit < 10)
}

/// Where the runs of ten decimal digits begin (Unicode 14, general category `Nd`), ASCII left out.
const ZEROS: [u32; 65] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
    0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<i128> {
        parse(text, &[]).ok()
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for (text, value) in [
            ("4096", 4096),
            ("0x1000", 0x1000),
            ("0X_1000", 0x1000),
            ("0b100", 4),
            ("0o17", 15),
            ("1_000", 1000),
            ("00", 0),
            ("+7", 7),
            ("-1M", -1024 * 1024),
            ("4k", 4096),
            ("4 K", 4096),
            ("4\u{3000}K", 4096),
            ("2kk", 2 * 1024 * 1024),
            ("0x10K", 0x4000),
            ("4\u{212a}", 4096),
            ("\u{ff14}\u{ff10}", 40),
            ("\u{1d7d8}x10", 16),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in [
            "",
            "k",
            "km",
            "010",
            "0_1",
            "_1",
            "1_",
            "1__0",
            "0x",
            "0x_",
            "0x__1",
            "- 1",
            "--1",
            "1.5",
            "1e3",
            "0b2",
            "0o8",
            "0xg",
            "$SIZE",
            "1\0",
            "1G",
            "4\x1fK",
            "1\x1c\u{3000}",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_beyond_reason_stay_beyond_reason() {
        assert_eq!(number(&"9".repeat(1000)), Some(FAR));
        assert_eq!(number(&format!("-{}", "9".repeat(1000))), Some(-FAR));
        assert_eq!(number(&format!("1{}", "M".repeat(1000))), Some(FAR));
    }

    #[test]
    fn words_are_found_in_any_case_and_only_where_allowed() {
        assert_eq!(parse("APP", keyword::TYPES), Ok(0));
        assert_eq!(parse("Ota_11", keyword::subtypes(0)), Ok(0x1b));
        assert_eq!(parse("appk", keyword::TYPES), Ok(0), "0 * 1024, as in gen_esp32part.py");
        assert_eq!(parse("nvs", keyword::subtypes(0)), Err(NotAValue::Word));
        assert_eq!(parse("nvs", keyword::subtypes(0x40)), Err(NotAValue::Number));
    }
}
