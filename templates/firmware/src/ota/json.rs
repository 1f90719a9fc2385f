//! A reader for one JSON document (RFC 8259): borrows it, copies nothing, never recurses far.
//!
//! Stricter than JSON where TUF metadata has no use for freedom, because two readers that differ
//! are an attack: keys occur once, numbers are integers of 64 bits, and a lone surrogate is an
//! error. A document is checked whole first; a [`Value`] is proof that its text is sound.

pub mod canonical;
mod scan;
mod text;

use core::fmt;

pub use text::Text;

/// Deepest nesting read. The deepest thing in our metadata, `signed.targets.NAME.custom.rollout`,
/// is 6 deep, a delegated key 6 as well; each level costs stack on a small device.
pub const DEEPEST: usize = 16;
/// Most keys of all the objects that are open at the same time. A document of nothing but keys
/// would otherwise take several times its own size of heap. The largest targets.json, 64 KiB, has
/// no room for so many targets: the SHA-256 of each is 64 characters.
pub const MOST_KEYS: usize = 1024;

/// Why a document cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not UTF-8.
    Encoding,
    /// Not JSON: the byte offset where it stops making sense.
    Syntax(usize),
    /// Nested deeper than [`DEEPEST`].
    Depth,
    /// A number that is not an integer of 64 bits, or is `-0`.
    Number(usize),
    /// One object holds the same key twice.
    DuplicateKey,
    /// More than [`MOST_KEYS`].
    TooManyKeys,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encoding => f.write_str("the document is not UTF-8"),
            Self::Syntax(at) => write!(f, "not JSON at byte {at}"),
            Self::Depth => write!(f, "nested deeper than {DEEPEST} levels"),
            Self::Number(at) => write!(f, "number at byte {at} is not a 64-bit integer"),
            Self::DuplicateKey => f.write_str("an object holds the same key twice"),
            Self::TooManyKeys => write!(f, "objects hold more than {MOST_KEYS} keys"),
        }
    }
}

/// One value of a checked document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The value's own text, without white space around it.
    text: &'a str,
}

impl<'a> Value<'a> {
    /// Checks a whole document. White space may surround it; anything else behind it is an error.
    ///
    /// Takes stack for at most [`DEEPEST`] levels, and heap of one word per key of the objects
    /// that are open at the same time, at most [`MOST_KEYS`].
    pub fn parse(document: &'a [u8]) -> Result<Self, Fault> {
        let text = core::str::from_utf8(document).map_err(|_| Fault::Encoding)?;
        scan::check(text).map(|text| Self { text })
    }

    /// The member `name`, where this is an object that has it.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Self> {
        self.members()?.find_map(|(key, value)| (key == *name).then_some(value))
    }

    /// The members in the order they are written, where this is an object.
    #[must_use]
    pub fn members(self) -> Option<Members<'a>> {
        self.text.starts_with('{').then_some(Members { text: self.text, at: 1 })
    }

    /// The elements, where this is an array.
    #[must_use]
    pub fn elements(self) -> Option<Elements<'a>> {
        self.text.starts_with('[').then_some(Elements { text: self.text, at: 1 })
    }

    /// The text, where this is a string.
    #[must_use]
    pub fn text(self) -> Option<Text<'a>> {
        self.text.strip_prefix('"')?.strip_suffix('"').map(Text::new)
    }

    /// The number, where this is an integer that is not negative.
    #[must_use]
    pub fn unsigned(self) -> Option<u64> {
        self.text.parse().ok()
    }

    /// The boolean, where this is one.
    #[must_use]
    pub fn boolean(self) -> Option<bool> {
        self.text.parse().ok()
    }
}

/// The members of an object.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    text: &'a str,
    /// Where the next key, or the closing brace, is looked for.
    at: usize,
}

impl<'a> Members<'a> {
    /// Where the next key starts in the object's text; `None` at the end.
    fn offset(&self) -> Option<usize> {
        let at = scan::skip_separators(self.text, self.at);
        self.text.get(at..)?.starts_with('"').then_some(at)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Text<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.offset()?;
        let end = scan::skip_value(self.text, start);
        let key = Value { text: self.text.get(start..end)? }.text()?;
        let start = scan::skip_separators(self.text, end);
        let end = scan::skip_value(self.text, start);
        let value = Value { text: self.text.get(start..end)? };
        self.at = end;
        Some((key, value))
    }
}

/// The elements of an array.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = scan::skip_separators(self.text, self.at);
        if self.text.get(start..)?.starts_with(']') {
            return None;
        }
        let end = scan::skip_value(self.text, start);
        self.at = end;
        Some(Value { text: self.text.get(start..end)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;
    use alloc::{format, vec};

    fn parse(text: &str) -> Result<Value<'_>, Fault> {
        Value::parse(text.as_bytes())
    }

    #[test]
    fn members_come_in_order_with_their_values() {
        let value = parse(" { \"a\" : [ 1 , {\"x\":2} ,\"]\" ] , \"b\":true,\"c\":{}} \n").unwrap();
        let found: Vec<(String, &str)> =
            value.members().unwrap().map(|(key, value)| (key.to_string(), value.text)).collect();
        assert_eq!(
            found,
            vec![
                ("a".into(), "[ 1 , {\"x\":2} ,\"]\" ]"),
                ("b".into(), "true"),
                ("c".into(), "{}")
            ]
        );
        let elements: Vec<&str> =
            value.member("a").unwrap().elements().unwrap().map(|element| element.text).collect();
        assert_eq!(elements, ["1", "{\"x\":2}", "\"]\""]);
    }

    #[test]
    fn an_escaped_name_is_the_same_name() {
        let value = parse(r#"{"\u0061\"":7}"#).unwrap();
        assert_eq!(value.member("a\"").and_then(Value::unsigned), Some(7));
    }

    #[test]
    fn a_key_written_twice_is_refused_even_if_one_is_escaped() {
        assert_eq!(parse(r#"{"a":1,"b":2,"a":1}"#), Err(Fault::DuplicateKey));
        assert_eq!(parse(r#"{"a":1,"\u0061":1}"#), Err(Fault::DuplicateKey));
        assert_eq!(parse(r#"[{"b":{"a":1,"a":1}}]"#), Err(Fault::DuplicateKey));
        assert!(parse(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn nesting_stops_at_the_limit() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(DEEPEST)).is_ok());
        assert_eq!(parse(&nested(DEEPEST.saturating_add(1))), Err(Fault::Depth));
        assert_eq!(parse(&"[".repeat(1_000_000)), Err(Fault::Depth));
        assert_eq!(parse(&"{\"a\":".repeat(1_000_000)), Err(Fault::Depth));
    }

    #[test]
    fn keys_stop_at_the_limit_however_they_are_nested() {
        let keys = |count: usize| {
            let members: Vec<String> = (0..count).map(|key| format!("\"{key}\":0")).collect();
            members.join(",")
        };
        let most = MOST_KEYS;
        assert!(parse(&format!("{{{}}}", keys(most))).is_ok());
        assert_eq!(parse(&format!("{{{}}}", keys(most + 1))), Err(Fault::TooManyKeys));
        // Objects that were closed do not count: one key around, and twice as many as fit.
        let inner = keys(most - 1);
        assert!(parse(&format!("{{\"x\":[{{{inner}}},{{{inner}}}]}}")).is_ok());
        assert_eq!(parse(&format!("{{\"x\":{{{}}}}}", keys(most))), Err(Fault::TooManyKeys));
    }

    #[test]
    fn numbers_are_integers_of_64_bits() {
        assert_eq!(parse("18446744073709551615").unwrap().unsigned(), Some(u64::MAX));
        assert_eq!(parse("-9223372036854775808").unwrap().unsigned(), None);
        for bad in ["18446744073709551616", "-9223372036854775809", "1.0", "1e3", "1E3", "-0"] {
            assert!(matches!(parse(bad), Err(Fault::Number(0))), "{bad}");
        }
        for bad in ["01", "+1", "-", "1.", ".5", "NaN", "0x10", "--1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let long = "9".repeat(100_000);
        assert!(matches!(parse(&long), Err(Fault::Number(0))));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for bad in [
            "",
            " ",
            "{",
            "}",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "{} {}",
            "nul",
            "truee",
            "'a'",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"a\nb\"",
            "// x\n1",
            "\u{feff}{}",
            "[1:2]",
            "{\"a\",1}",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Value::parse(b"\"\xff\""), Err(Fault::Encoding));
    }

    #[test]
    fn megabytes_of_white_space_are_only_slow() {
        let mut padded = vec![b' '; 10_000_000];
        padded.extend_from_slice(b"{}");
        assert!(Value::parse(&padded).is_ok());
    }

    #[test]
    fn what_serde_json_writes_is_read_back() {
        let written = serde_json::json!({
            "plain": "text", "odd \" \\ \u{1} \u{e9} \u{1f600}": [null, true, false, -5, {"n": 7}],
        });
        let pretty = serde_json::to_string_pretty(&written).unwrap();
        let value = parse(&pretty).unwrap();
        assert!(value.member("plain").unwrap().text().unwrap() == *"text");
        let keys: Vec<String> = value.members().unwrap().map(|(key, _)| key.to_string()).collect();
        assert!(keys.contains(&"odd \" \\ \u{1} \u{e9} \u{1f600}".into()));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Value::parse(&bytes);
        }

        #[test]
        fn it_takes_nothing_that_serde_json_refuses(text in "[\\[\\]{}:,\"\\\\au0-9.eE \\-tn]{0,40}") {
            if let Ok(value) = parse(&text) {
                proptest::prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
                let mut sum = 0_usize;
                canonical::write(value, &mut |bytes| sum = sum.saturating_add(bytes.len()));
            }
        }
    }
}
