//! Bytes to lines, as Python sees text: encodings, line ends and white space.
//!
//! gen_esp32part.py leaves these to Python's `decode`, `splitlines` and `strip`, which differ from
//! Rust's in the corners. A table must not change its verdict in a corner.

use std::borrow::Cow;

/// What a text file is written in, by its byte order mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16,
    Utf32BigEndian,
    /// ESP-IDF takes its mark for that of UTF-16 and reads zeros between the letters.
    Utf32LittleEndian,
}

impl Encoding {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16 => "UTF-16",
            Self::Utf32BigEndian => "UTF-32 (big-endian)",
            Self::Utf32LittleEndian => "UTF-32 (little-endian)",
        }
    }
}

/// Decodes a file. Total; the error is the byte offset at which the text stops being text.
pub(crate) fn decode(bytes: &[u8]) -> (Encoding, Result<String, usize>) {
    if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        return (Encoding::Utf8, utf8(rest).map_err(|at| at.saturating_add(3)));
    }
    // Before UTF-16, whose mark is the beginning of this one.
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe\0\0") {
        return (Encoding::Utf32LittleEndian, utf32(rest, u32::from_le_bytes));
    }
    if let Some(rest) = bytes.strip_prefix(b"\0\0\xfe\xff") {
        return (Encoding::Utf32BigEndian, utf32(rest, u32::from_be_bytes));
    }
    if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        return (Encoding::Utf16, utf16(rest, u16::from_le_bytes));
    }
    if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        return (Encoding::Utf16, utf16(rest, u16::from_be_bytes));
    }
    (Encoding::Utf8, utf8(bytes))
}

fn utf8(bytes: &[u8]) -> Result<String, usize> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| error.valid_up_to())
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, usize> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(pairs.len());
    // The mark itself is two bytes long.
    let mut at: usize = 2;
    for letter in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        let letter = letter.map_err(|_| at)?;
        at = at.saturating_add(letter.len_utf16().saturating_mul(2));
        text.push(letter);
    }
    if rest.is_empty() { Ok(text) } else { Err(at) }
}

fn utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Result<String, usize> {
    let (units, rest) = bytes.as_chunks::<4>();
    let mut text = String::with_capacity(units.len());
    let mut at: usize = 4;
    for raw in units {
        text.push(char::from_u32(unit(*raw)).ok_or(at)?);
        at = at.saturating_add(4);
    }
    if rest.is_empty() { Ok(text) } else { Err(at) }
}

/// Python's `str.isspace` for one character: Unicode white space and the four ASCII separators.
pub(crate) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter)
}

/// Python's `str.strip`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `str.splitlines`.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = match rest.split_once(is_line_end) {
            None => (rest, ""),
            Some((line, after)) => {
                let carriage_return =
                    rest.strip_prefix(line).is_some_and(|end| end.starts_with('\r'));
                let pair = after.strip_prefix('\n').filter(|_| carriage_return);
                (line, pair.unwrap_or(after))
            }
        };
        rest = after;
        Some(line)
    })
}

pub(crate) fn is_line_end(letter: char) -> bool {
    matches!(
        letter,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// What a message quotes of a file: enough to find it and not a megabyte, and nothing that a
/// terminal would obey.
pub(crate) fn quote(text: &str) -> Cow<'_, str> {
    const MOST: usize = 40;
    if text.len() <= MOST && !text.contains(char::is_control) {
        return text.into();
    }
    let mut quoted: String = text
        .chars()
        .take(MOST)
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect();
    if text.chars().nth(MOST).is_some() {
        quoted.push('…');
    }
    quoted.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        lines(text).collect()
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        assert_eq!(split("a\nb\r\nc\rd\n"), ["a", "b", "c", "d"]);
        assert_eq!(split("a\n\nb"), ["a", "", "b"]);
        assert_eq!(split("a\r\r\nb\n\r"), ["a", "", "b", ""]);
        assert_eq!(split("a\x0bb\x0cc\x1cd\u{85}e\u{2028}f"), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split("\n"), [""]);
    }

    #[test]
    fn every_byte_order_mark_is_understood() {
        let text = "nvs,\u{e4}\u{1f600}";
        let le16: Vec<u8> =
            "\u{feff}nvs,\u{e4}\u{1f600}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be16: Vec<u8> =
            "\u{feff}nvs,\u{e4}\u{1f600}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let wide = |unit: fn(u32) -> [u8; 4]| -> Vec<u8> {
            format!("\u{feff}{text}").chars().flat_map(|c| unit(u32::from(c))).collect()
        };
        for (bytes, encoding) in [
            (text.as_bytes().to_vec(), Encoding::Utf8),
            (format!("\u{feff}{text}").into_bytes(), Encoding::Utf8),
            (le16, Encoding::Utf16),
            (be16, Encoding::Utf16),
            (wide(u32::to_le_bytes), Encoding::Utf32LittleEndian),
            (wide(u32::to_be_bytes), Encoding::Utf32BigEndian),
        ] {
            assert_eq!(decode(&bytes), (encoding, Ok(text.to_owned())));
        }
    }

    #[test]
    fn broken_text_names_the_byte_where_it_breaks() {
        assert_eq!(decode(b"ab\xff").1, Err(2));
        assert_eq!(decode(b"\xef\xbb\xbfab\xff").1, Err(5));
        assert_eq!(decode(b"\xff\xfea\0b").1, Err(4));
        assert_eq!(decode(b"\xff\xfea\0\0\xd8b\0").1, Err(4));
        assert_eq!(decode(b"\0\0\xfe\xff\0\0\0a\0\0\xd8\0").1, Err(8));
    }

    #[test]
    fn the_ascii_separators_are_space() {
        assert_eq!(strip("\x1c\x1f a b\u{3000}\x1d"), "a b");
        assert_eq!(strip("\0a\0"), "\0a\0");
    }

    #[test]
    fn quotes_are_short_and_tame() {
        assert_eq!(quote("nvs"), "nvs");
        assert_eq!(quote("\x1b[31m"), "\u{fffd}[31m");
        assert_eq!(quote(&"x".repeat(1000)), format!("{}…", "x".repeat(40)));
        assert_eq!(quote(&"\u{e4}".repeat(40)), "\u{e4}".repeat(40));
    }
}
