//! Files that no chip knows, told by how they begin: archives, programs, text in all its forms.

use super::kind::Kind;

/// How a format begins.
const MAGICS: [(&[u8], Kind); 14] = [
    (b"\x1f\x8b", Kind::Gzip),
    (b"PK\x03\x04", Kind::Zip),
    (b"PK\x05\x06", Kind::Zip),
    (b"\xfd7zXZ\0", Kind::Xz),
    (b"\x28\xb5\x2f\xfd", Kind::Zstandard),
    (b"BZh", Kind::Bzip2),
    (b"UF2\n", Kind::Uf2),
    (b"MZ", Kind::HostProgram),
    (b"\xcf\xfa\xed\xfe", Kind::HostProgram),
    (b"\xce\xfa\xed\xfe", Kind::HostProgram),
    (b"\xca\xfe\xba\xbe", Kind::HostProgram),
    // `esp_enc_img_magic` of ESP-IDF's component.
    (b"\xcf\xb6\x88\x07", Kind::PreEncrypted),
    (b"HTTP/1.", Kind::HttpAnswer),
    (b"HTTP/2", Kind::HttpAnswer),
];
/// What is looked at of a text.
const SAMPLE: usize = 4096;
/// How much of a text is shown.
const SHOWN: usize = 40;
/// What is parsed as JSON at most. TUF metadata and answers of servers are far smaller.
const LARGEST_JSON: usize = 1024 * 1024;

/// A format that is told by its first bytes.
pub(super) fn by_magic(bytes: &[u8]) -> Option<Kind> {
    MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, kind)| *kind)
}

/// A kind of text, where the file begins as one.
pub(super) fn text(bytes: &[u8]) -> Option<Kind> {
    let text = sample(bytes)?;
    let start = text.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
    let begins = |words: &[&str]| {
        words.iter().any(|word| {
            start.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
        })
    };
    let kind = if begins(&["<!doctype html", "<html", "<head", "<body"]) {
        Kind::Html
    } else if begins(&["<?xml"]) {
        if text.to_ascii_lowercase().contains("<html") { Kind::Html } else { Kind::Xml }
    } else if start.starts_with(['{', '[']) {
        json(bytes)
    } else if begins(&["-----BEGIN"]) {
        if text.contains("PRIVATE KEY-----") { Kind::PrivateKey } else { Kind::Pem }
    } else if begins(&["version https://git-lfs"]) {
        Kind::LfsPointer
    } else if is_intel_hex(start) {
        Kind::IntelHex
    } else if is_partition_csv(text) {
        Kind::PartitionCsv
    } else {
        Kind::Text
    };
    Some(kind)
}

/// The beginning of a text: enough to recognise it, and nothing that a terminal would obey.
pub(super) fn first_words(bytes: &[u8]) -> String {
    let line = sample(bytes).and_then(|text| text.trim_start().lines().next()).unwrap_or_default();
    let is_tame = |c: &char| *c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
    line.chars().filter(is_tame).take(SHOWN).collect()
}

/// The beginning of the file as text: UTF-8 without the characters that no text has.
fn sample(bytes: &[u8]) -> Option<&str> {
    let head = bytes.get(..SAMPLE).unwrap_or(bytes);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The sample may end within a character; the file may not.
        Err(error) if error.error_len().is_none() && bytes.len() > head.len() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_text = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b');
    (!text.is_empty() && text.chars().all(is_text)).then_some(text)
}

fn json(bytes: &[u8]) -> Kind {
    let whole = if bytes.len() <= LARGEST_JSON { bytes } else { &[] };
    match serde_json::from_slice::<serde_json::Value>(whole) {
        Ok(value) if value.pointer("/signed/_type").is_some() => Kind::TufMetadata,
        Ok(_) => Kind::Json,
        Err(_) => Kind::Text,
    }
}

/// Records of hexadecimal digits, each behind a colon.
fn is_intel_hex(text: &str) -> bool {
    let mut lines = text.lines();
    lines.next().and_then(|line| line.strip_prefix(':')).is_some_and(|record| {
        record.len() >= 10 && record.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Lines of at least three commas, of which one names an app or data.
fn is_partition_csv(text: &str) -> bool {
    let rows = || {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        lines.filter(|line| !line.is_empty())
    };
    let kind = |row: &str| row.split(',').nth(1).map(|kind| kind.trim().to_ascii_lowercase());
    let is_row = |row: &str| row.split(',').count() > 3;
    rows().all(is_row)
        && rows().any(|row| matches!(kind(row).as_deref(), Some("app" | "data" | "0" | "1")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_how_they_begin() {
        for (magic, kind) in MAGICS {
            assert_eq!(by_magic(&[magic, b"\0\x01\x02"].concat()), Some(kind));
            assert_eq!(by_magic(&magic[..magic.len() - 1]), None, "{kind}");
        }
        assert_eq!(by_magic(b""), None);
    }

    #[test]
    fn text_is_told_by_what_it_says() {
        for (bytes, kind) in [
            (&b"<!DOCTYPE html>\n<title>Login</title>"[..], Kind::Html),
            (b"\xef\xbb\xbf\n <HTML>", Kind::Html),
            (b"<?xml version=\"1.0\"?><html xmlns=\"x\">", Kind::Html),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", Kind::Xml),
            (b"{\"message\":\"Not Found\"}", Kind::Json),
            (b"{\"signed\":{\"_type\":\"root\"}}", Kind::TufMetadata),
            (b"{ this is none }", Kind::Text),
            (b"-----BEGIN CERTIFICATE-----\nMII", Kind::Pem),
            (b"-----BEGIN PRIVATE KEY-----\nMII", Kind::PrivateKey),
            (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII", Kind::PrivateKey),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n", Kind::LfsPointer),
            (b":020000040800F2\n:10000000\n", Kind::IntelHex),
            (b":) hello\n", Kind::Text),
            (b"# Name, Type\nnvs, data, nvs, 0x9000, 0x5000,\n", Kind::PartitionCsv),
            (b"a,0,0x10,,1M\n", Kind::PartitionCsv),
            (b"a,b,c,d\n", Kind::Text),
            (b"# nothing but a comment\n", Kind::Text),
            (b"404 Not Found\n", Kind::Text),
        ] {
            assert_eq!(text(bytes), Some(kind), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_is_shown_of_a_text_is_short_and_tame() {
        assert_eq!(first_words(b"\n  <!DOCTYPE html>\n<title>"), "<!DOCTYPE html>");
        assert_eq!(first_words("\x1b[31m\u{202e}r\u{e4}d".as_bytes()), "[31mr\u{e4}d");
        assert_eq!(first_words(&[b'x'; 100]).len(), SHOWN);
    }

    #[test]
    fn what_has_other_bytes_is_no_text() {
        assert_eq!(text(b""), None);
        assert_eq!(text(b"abc\0"), None);
        assert_eq!(text(b"abc\xff"), None);
        let mut cut = vec![b'a'; SAMPLE - 1];
        cut.extend("\u{e4}".as_bytes());
        assert_eq!(text(&cut), Some(Kind::Text), "a sample that ends within a character");
        cut.pop();
        assert_eq!(text(&cut), None, "a file that does");
    }
}
