//! OLPC canonical JSON, the bytes that TUF signatures cover, streamed and never put together.
//!
//! No white space, members sorted by their decoded names, and only `"` and `\` escaped
//! (<http://wiki.laptop.org/go/Canonical_JSON>; TUF specification, section 4.2.1). Names sort by
//! code point as in python-tuf. `tough` sorts the *escaped* names with their quotes, and
//! normalises to NFC: the two agree on ASCII names without blanks, `!`, `"` and `\`, which is all
//! we ever publish. Where they differ, a signature of one does not verify for the other.

use super::{Text, Value};

/// Writes the canonical form of `value` piece by piece.
///
/// Needs heap for one word per member of each object on the way from `value` to what is written.
pub fn write(value: Value<'_>, sink: &mut dyn FnMut(&[u8])) {
    if let Some(members) = value.members() {
        sink(b"{");
        let mut separator: &[u8] = b"";
        for at in members.clone().sorted() {
            if let Some((key, value)) = members.from(at).next() {
                sink(separator);
                string(key, sink);
                sink(b":");
                write(value, sink);
                separator = b",";
            }
        }
        sink(b"}");
    } else if let Some(elements) = value.elements() {
        sink(b"[");
        let mut separator: &[u8] = b"";
        for element in elements {
            sink(separator);
            write(element, sink);
            separator = b",";
        }
        sink(b"]");
    } else if let Some(text) = value.text() {
        string(text, sink);
    } else {
        // Numbers and literals have one spelling only: the reader refuses any other.
        sink(value.text.as_bytes());
    }
}

fn string(text: Text<'_>, sink: &mut dyn FnMut(&[u8])) {
    sink(b"\"");
    if let Some(plain) = text.plain() {
        sink(plain.as_bytes());
    } else {
        for character in text.characters() {
            if matches!(character, '"' | '\\') {
                sink(b"\\");
            }
            sink(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    sink(b"\"");
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn canonical(text: &str) -> String {
        let mut written = Vec::new();
        let value = Value::parse(text.as_bytes()).unwrap();
        write(value, &mut |bytes| written.extend_from_slice(bytes));
        String::from_utf8(written).unwrap()
    }

    /// Cases and answers made with securesystemslib 1.6 `encode_canonical`.
    #[test]
    fn it_writes_what_securesystemslib_writes() {
        for (text, expected) in [
            ("\"\"", "\"\""),
            ("[1, 2, 3]", "[1,2,3]"),
            ("[]", "[]"),
            ("{ }", "{}"),
            ("{\"A\": [99]}", "{\"A\":[99]}"),
            ("{\"x\" : 3, \"y\" : null, \"B\":true}", "{\"B\":true,\"x\":3,\"y\":null}"),
            (
                "{\"b\":{\"d\":-1,\"c\":0},\"a\":[{\"z\":1,\"y\":2}]}",
                "{\"a\":[{\"y\":2,\"z\":1}],\"b\":{\"c\":0,\"d\":-1}}",
            ),
            ("\"\\u0041\\n\\/\\\"\\\\\\t\"", "\"A\n/\\\"\\\\\t\""),
            (
                "{\"a!\":1,\"a\":2,\"a b\":3,\"\\u00e9\":4,\"Z\":5}",
                "{\"Z\":5,\"a\":2,\"a b\":3,\"a!\":1,\"\u{e9}\":4}",
            ),
            ("\"\\ud83d\\ude00\"", "\"\u{1f600}\""),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_spelling_of_the_document_does_not_matter(
            pairs in proptest::collection::btree_map("[ -~]{0,6}", "\\PC{0,6}", 0..6)
        ) {
            let value = serde_json::json!({ "nested": pairs, "list": [1, -2] });
            let short = canonical(&serde_json::to_string(&value).unwrap());
            let long = canonical(&serde_json::to_string_pretty(&value).unwrap());
            proptest::prop_assert_eq!(short, long);
        }
    }
}
