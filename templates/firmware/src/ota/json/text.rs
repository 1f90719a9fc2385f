//! The text of a JSON string, escapes decoded while it is read (RFC 8259, section 7).

use core::cmp::Ordering;
use core::fmt::{self, Write};
use core::str::Chars;

/// A string of a document as it is written there, without its quotes. Equality and order are those
/// of the decoded text.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    raw: &'a str,
}

impl<'a> Text<'a> {
    /// Wraps what stands between two quotes.
    pub(super) fn new(raw: &'a str) -> Self {
        Self { raw }
    }

    /// The text itself where it holds no escape, so that it can be borrowed.
    #[must_use]
    pub fn plain(self) -> Option<&'a str> {
        (!self.raw.contains('\\')).then_some(self.raw)
    }

    /// The decoded characters.
    #[must_use]
    pub fn characters(self) -> Characters<'a> {
        Characters { raw: self.raw.chars(), broken: false }
    }

    /// Whether every escape has a meaning and no control character is written raw.
    pub(super) fn is_sound(self) -> bool {
        let mut characters = self.characters();
        characters.by_ref().for_each(drop);
        !characters.broken && self.raw.bytes().all(|byte| byte >= 0x20)
    }

    /// Decodes exactly `N` bytes of hexadecimal digits in either case.
    #[must_use]
    pub fn hex<const N: usize>(self) -> Option<[u8; N]> {
        let mut decoded = [0; N];
        let length = self.hex_into(&mut decoded)?.len();
        (length == N).then_some(decoded)
    }

    /// Decodes hexadecimal digits in either case into `buf`, and gives the part that was filled.
    /// `None` where they are more than fit, or odd in number.
    pub fn hex_into(self, buf: &mut [u8]) -> Option<&[u8]> {
        let mut digits = self.characters().map(|character| character.to_digit(16));
        let mut length: usize = 0;
        while let Some(high) = digits.next() {
            let low = digits.next()??;
            let byte = high?.checked_mul(16)?.checked_add(low)?;
            *buf.get_mut(length)? = u8::try_from(byte).ok()?;
            length = length.checked_add(1)?;
        }
        buf.get(..length)
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.characters().eq(other.chars())
    }
}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.characters().cmp(other.characters())
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.characters().try_for_each(|character| f.write_char(character))
    }
}

/// The decoded characters of a [`Text`].
#[derive(Clone, Debug)]
pub struct Characters<'a> {
    raw: Chars<'a>,
    broken: bool,
}

impl Characters<'_> {
    fn escape(&mut self) -> Option<char> {
        Some(match self.raw.next()? {
            plain @ ('"' | '\\' | '/') => plain,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(),
            _ => return None,
        })
    }

    /// `\uXXXX`, or two of them where the first is half of a surrogate pair.
    fn unicode(&mut self) -> Option<char> {
        let first = self.unit()?;
        if let Some(character) = char::from_u32(first) {
            return Some(character);
        }
        if self.raw.next() != Some('\\') || self.raw.next() != Some('u') {
            return None;
        }
        let units = [u16::try_from(first).ok()?, u16::try_from(self.unit()?).ok()?];
        char::decode_utf16(units).next()?.ok()
    }

    fn unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0_u32, |unit, _| {
            unit.checked_mul(16)?.checked_add(self.raw.next()?.to_digit(16)?)
        })
    }
}

impl Iterator for Characters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if self.broken {
            return None;
        }
        match self.raw.next()? {
            '\\' => {
                let decoded = self.escape();
                self.broken = decoded.is_none();
                decoded
            }
            plain => Some(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_escape_is_decoded() {
        let text = Text::new(r#"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00"#);
        assert!(text.is_sound());
        assert_eq!(text.to_string(), "\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{1f600}");
        assert_eq!(text.plain(), None);
        assert_eq!(Text::new("as it is").plain(), Some("as it is"));
    }

    #[test]
    fn half_a_surrogate_pair_is_not_text() {
        for bad in [r"\ud800", r"\ud800x", r"\ud800\n", r"\ud800\u0041", r"\udc00", r"\u12", r"\q"]
        {
            assert!(!Text::new(bad).is_sound(), "{bad}");
        }
    }

    #[test]
    fn hexadecimal_has_exactly_the_asked_length() {
        assert_eq!(Text::new("00fFA0").hex(), Some([0x00, 0xff, 0xa0]));
        assert_eq!(Text::new("00ff").hex::<3>(), None);
        assert_eq!(Text::new("00ffa0b").hex::<3>(), None);
        assert_eq!(Text::new("00ffa0b1").hex::<3>(), None);
        assert_eq!(Text::new("00fg").hex::<2>(), None);
        assert_eq!(Text::new("+0+1").hex::<2>(), None);
    }

    #[test]
    fn hexadecimal_of_any_length_fills_what_it_needs() {
        let mut buf = [0; 3];
        for (text, bytes) in [
            ("", Some(&[][..])),
            ("00fF", Some(&[0x00, 0xff])),
            ("\\u0030a", Some(&[0x0a])),
            ("00ffA0", Some(&[0x00, 0xff, 0xa0])),
            ("00ffa0b1", None),
            ("00f", None),
            ("0x00", None),
        ] {
            assert_eq!(Text::new(text).hex_into(&mut buf), bytes, "{text}");
        }
    }
}
