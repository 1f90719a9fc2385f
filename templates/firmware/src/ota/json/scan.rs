//! Walking over JSON text: the check of a whole document, and the skipping inside a checked one.
//!
//! The check is the only part that meets unknown bytes. The skips rely on it, and are total
//! anyway: on text that was never checked they stop early, in a wrong place but without harm.

use super::{DEEPEST, Fault, MOST_KEYS, Members, Text};
use alloc::vec::Vec;

/// Checks a document and returns the text of its only value.
pub(super) fn check(text: &str) -> Result<&str, Fault> {
    let mut cursor = Cursor { text, at: 0, keys: Vec::new() };
    cursor.space();
    let start = cursor.at;
    cursor.value(DEEPEST)?;
    let value = text.get(start..cursor.at).ok_or(Fault::Syntax(start))?;
    cursor.space();
    if cursor.at == text.len() { Ok(value) } else { Err(Fault::Syntax(cursor.at)) }
}

/// The first offset at or after `at` that holds neither white space nor `,` nor `:`.
pub(super) fn skip_separators(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let skipped = rest.bytes().take_while(|byte| b" \t\r\n,:".contains(byte)).count();
    at.saturating_add(skipped)
}

/// The offset behind the value that starts at `at`.
pub(super) fn skip_value(text: &str, at: usize) -> usize {
    let mut cursor = Cursor { text, at, keys: Vec::new() };
    let mut open = 0_usize;
    loop {
        match cursor.peek() {
            None => return cursor.at,
            Some(b'"') => cursor.skip_string(),
            Some(b'{' | b'[') => {
                open = open.saturating_add(1);
                cursor.step();
            }
            Some(b'}' | b']') => {
                open = open.saturating_sub(1);
                cursor.step();
            }
            Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b':') => cursor.step(),
            Some(_) => cursor.skip_word(),
        }
        if open == 0 {
            return cursor.at;
        }
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Where the keys of all open objects are, those of the innermost last.
    keys: Vec<usize>,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    /// Steps over `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        if here {
            self.step();
        }
        here
    }

    fn wrong<T>(&self) -> Result<T, Fault> {
        Err(Fault::Syntax(self.at))
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.step();
        }
    }

    /// One value. `levels` is how many more may be opened.
    fn value(&mut self, levels: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{') => self.object(levels.checked_sub(1).ok_or(Fault::Depth)?),
            Some(b'[') => self.array(levels.checked_sub(1).ok_or(Fault::Depth)?),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.literal(),
        }
    }

    fn object(&mut self, levels: usize) -> Result<(), Fault> {
        let first = self.keys.len();
        self.step();
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.wrong();
            }
            if self.keys.len() >= MOST_KEYS {
                return Err(Fault::TooManyKeys);
            }
            self.keys.push(self.at);
            self.string()?;
            self.space();
            if !self.take(b':') {
                return self.wrong();
            }
            self.space();
            self.value(levels)?;
            self.space();
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return self.wrong();
            }
            self.space();
        }
        let key = |at: usize| key_at(self.text, at);
        let keys = self.keys.get_mut(first..).unwrap_or_default();
        sort(self.text, keys);
        let twice =
            keys.iter().zip(keys.iter().skip(1)).any(|(left, right)| key(*left) == key(*right));
        self.keys.truncate(first);
        if twice { Err(Fault::DuplicateKey) } else { Ok(()) }
    }

    fn array(&mut self, levels: usize) -> Result<(), Fault> {
        self.step();
        self.space();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(levels)?;
            self.space();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return self.wrong();
            }
            self.space();
        }
    }

    /// A string, its escapes checked by decoding them.
    fn string(&mut self) -> Result<(), Fault> {
        let start = self.at.saturating_add(1);
        self.skip_string();
        let inside = self
            .text
            .get(start..self.at)
            .and_then(|text| text.strip_suffix('"'))
            .ok_or(Fault::Syntax(self.at))?;
        if Text::new(inside).is_sound() { Ok(()) } else { Err(Fault::Syntax(start)) }
    }

    /// Steps behind the closing quote, or to the end where there is none.
    fn skip_string(&mut self) {
        self.step();
        while let Some(byte) = self.peek() {
            self.step();
            match byte {
                b'"' => return,
                b'\\' => self.step(),
                _ => {}
            }
        }
        self.at = self.at.min(self.text.len());
    }

    /// Steps over a number or a literal.
    fn skip_word(&mut self) {
        while let Some(byte) = self.peek() {
            if b" \t\r\n,:]}[{\"".contains(&byte) {
                return;
            }
            self.step();
        }
    }

    fn word(&mut self) -> &str {
        let start = self.at;
        self.skip_word();
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let word = self.word();
        let digits = word.strip_prefix('-').unwrap_or(word);
        let canonical = digits == "0" || !digits.starts_with('0');
        let fits = word.parse::<i64>().is_ok() || word.parse::<u64>().is_ok();
        if canonical && fits && word != "-0" { Ok(()) } else { Err(Fault::Number(start)) }
    }

    fn literal(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if ["true", "false", "null"].contains(&self.word()) {
            Ok(())
        } else {
            Err(Fault::Syntax(start))
        }
    }
}

/// The key that starts at `at`.
fn key_at(text: &str, at: usize) -> Option<Text<'_>> {
    let end = skip_value(text, at);
    text.get(at..end)?.strip_prefix('"')?.strip_suffix('"').map(Text::new)
}

/// Sorts the offsets of keys as canonical JSON sorts members. One function for both callers: each
/// copy of the standard library's sorting takes 4 KB of flash.
#[inline(never)]
fn sort(text: &str, keys: &mut [usize]) {
    keys.sort_unstable_by(|left, right| key_at(text, *left).cmp(&key_at(text, *right)));
}

impl<'a> Members<'a> {
    /// The offsets of all keys, sorted as canonical JSON sorts members.
    pub(super) fn sorted(self) -> Vec<usize> {
        let object = self.text;
        let mut keys = Vec::new();
        let mut members = self;
        while let Some(at) = members.offset() {
            keys.push(at);
            if members.next().is_none() {
                break;
            }
        }
        sort(object, &mut keys);
        keys
    }

    /// The members from the key at `at` on.
    pub(super) fn from(&self, at: usize) -> Self {
        Self { text: self.text, at }
    }
}
