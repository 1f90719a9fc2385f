//! Bytes of a device, as text that a terminal, a log and GitHub's runner take for nothing but text.
//!
//! Whatever is no plain character is written out as `\x1b`, so nothing is lost and nothing is obeyed.
//! Of escape sequences only the colour of letters passes: ESP-IDF and esp-println colour their logs.

use std::fmt::Write;

/// What ends every colour.
const RESET: &str = "\u{1b}[0m";
/// Characters of the longest sequence that passes, `ESC` and all.
const LONGEST_SEQUENCE: usize = 16;
/// GitHub's runner takes a command in any place of a line that has this.
const RUNNER_COMMAND: &str = "##[";

/// The text without colour.
pub fn plain(bytes: &[u8]) -> String {
    text(bytes, false)
}

/// The text with the device's own colours, all of which end with it.
pub fn coloured(bytes: &[u8]) -> String {
    let text = text(bytes, true);
    if text.contains('\u{1b}') { text + RESET } else { text }
}

/// The bytes in hexadecimal, where [`plain`] does not say all that there is.
pub fn unsaid(bytes: &[u8]) -> Option<String> {
    (plain(bytes).as_bytes() != bytes).then(|| crate::hex::lower(bytes))
}

fn text(bytes: &[u8], with_colour: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(character) = rest.chars().next() {
            if let Some(sequence) = colour(rest) {
                out.push_str(if with_colour { sequence } else { "" });
                rest = rest.get(sequence.len()..).unwrap_or_default();
                continue;
            }
            push(&mut out, character);
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
        }
        for byte in chunk.invalid() {
            escape(&mut out, u32::from(*byte));
        }
    }
    out
}

fn push(out: &mut String, character: char) {
    out.push(character);
    if (is_obeyed(character) && character != '\t') || out.ends_with(RUNNER_COMMAND) {
        out.pop();
        escape(out, u32::from(character));
    }
}

fn escape(out: &mut String, code: u32) {
    // A `String` takes any write.
    let _ =
        if code < 0x100 { write!(out, "\\x{code:02x}") } else { write!(out, "\\u{{{code:x}}}") };
}

/// Characters that a terminal does not show but obeys: controls, and those that turn the direction of
/// text or break lines (Unicode's annex 9, and U+2028 and U+2029).
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// The sequence at the start of `text`, if it does nothing but colour letters: ECMA-48's SGR.
fn colour(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.bytes().take(LONGEST_SEQUENCE).position(|byte| byte == b'm')?;
    let is_colour = |parameter: &str| match parameter.parse::<u8>() {
        // Normal, bold, not bold, and the colours of letters. No background: black on black hides.
        Ok(code) => matches!(code, 0 | 1 | 22 | 31..=37 | 39 | 91..=97),
        Err(_) => parameter.is_empty(),
    };
    let is_sequence = parameters.get(..end)?.split(';').all(is_colour);
    let length = "\u{1b}[".len().saturating_add(end).saturating_add("m".len());
    is_sequence.then(|| text.get(..length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_of_letters_passes_and_ends_with_the_line() {
        let line = b"\x1b[0;32mI (30) boot: hi\x1b[0m there\x1b[1;91m!";
        assert_eq!(plain(line), "I (30) boot: hi there!");
        let kept = "\u{1b}[0;32mI (30) boot: hi\u{1b}[0m there\u{1b}[1;91m!\u{1b}[0m";
        assert_eq!(coloured(line), kept);
        assert_eq!(coloured(b"no colour"), "no colour");
    }

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        for (bytes, shown) in [
            (&b"\x1b]0;title\x07"[..], "\\x1b]0;title\\x07"),
            (b"\x1b[2J\x1b[1;1H", "\\x1b[2J\\x1b[1;1H"),
            (b"\x1b[8mhidden", "\\x1b[8mhidden"),
            (b"\x1b[30;40mblack", "\\x1b[30;40mblack"),
            (b"\x1b[38;5;0mblack", "\\x1b[38;5;0mblack"),
            (b"\x1b[31", "\\x1b[31"),
            (b"\x1b[00000000000000000000031m", "\\x1b[00000000000000000000031m"),
            (b"\x1b", "\\x1b"),
            (b"\x00\x08\x7f\x0b", "\\x00\\x08\\x7f\\x0b"),
            (b"\xff\xfe\xc3(", "\\xff\\xfe\\xc3("),
            ("\u{9b}2J".as_bytes(), "\\x9b2J"),
            ("\u{202e}drow\u{2028}".as_bytes(), "\\u{202e}drow\\u{2028}"),
            (b"a\tb", "a\tb"),
            ("Grüße".as_bytes(), "Grüße"),
            (b"##[add-mask]x ##[error]y", "##\\x5badd-mask]x ##\\x5berror]y"),
        ] {
            assert_eq!(plain(bytes), shown);
            assert_eq!(coloured(bytes), shown);
        }
    }

    #[test]
    fn text_is_exact_or_is_not() {
        assert_eq!(unsaid("Grüße\t".as_bytes()), None);
        for (bytes, digits) in
            [(&b"\x1b[31mr"[..], "1b5b33316d72"), (b"\xff", "ff"), (b"\x07", "07")]
        {
            assert_eq!(unsaid(bytes).as_deref(), Some(digits));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_byte_reaches_a_terminal_as_anything_but_text(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        ) {
            let shown = plain(&bytes);
            proptest::prop_assert!(!shown.chars().any(|it| is_obeyed(it) && it != '\t'));
            let mut left = coloured(&bytes);
            while let Some(at) = left.find('\u{1b}') {
                let (before, after) = left.split_at(at);
                let after = &after[colour(after).unwrap().len()..];
                left = [before, after].concat();
            }
            proptest::prop_assert_eq!(left, shown);
        }
    }
}
