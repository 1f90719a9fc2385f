//! Takes out of a text what differs from run to run and from system to system: the temporary
//! folder, digests, dates, ports, and the words of the operating system.

use std::path::Path;

/// Hex digits of a SHA-256.
const DIGEST: usize = 64;

pub(crate) fn redact(text: &str, root: &Path) -> String {
    let work = root.join("work");
    let mut text = text.to_owned();
    // The longest first. macOS reaches its temporary folder through a link.
    for (folder, name) in [(work.as_path(), "[WORK]"), (root, "[ROOT]")] {
        for folder in [folder.canonicalize().ok().as_deref(), Some(folder)].into_iter().flatten() {
            text = text.replace(&*folder.to_string_lossy(), name);
        }
    }
    if cfg!(windows) {
        text = text.replace('\\', "/");
    }
    text = text.split_inclusive('\n').map(redact_cause).collect();
    let mut clean = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || "-:.".contains(c) {
            word.push(c);
        } else {
            clean.push_str(&redact_word(&word));
            word.clear();
            clean.push(c);
        }
    }
    clean.push_str(&redact_word(&word));
    clean
}

/// `No such file or directory (os error 2)` has other words elsewhere.
fn redact_cause(line: &str) -> String {
    match line.split_once("caused by: ") {
        Some((before, cause)) if cause.contains(" (os error ") => {
            format!("{before}caused by: [SYSTEM]\n")
        }
        _ => line.to_owned(),
    }
}

/// A word is a run of letters, digits and `-:.`.
fn redact_word(word: &str) -> String {
    let (core, end) = match word.strip_suffix([':', '.']) {
        Some(core) => (core, &word[core.len()..]),
        None => (word, ""),
    };
    let is_hex = |part: &str| part.len() == DIGEST && part.bytes().all(|b| b.is_ascii_hexdigit());
    if core.split('.').any(is_hex) {
        let parts = core.split('.').map(|part| if is_hex(part) { "[SHA-256]" } else { part });
        return format!("{}{end}", parts.collect::<Vec<_>>().join("."));
    }
    if is_time(core) {
        return format!("[TIME]{end}");
    }
    match core.rsplit_once(':') {
        Some((host @ ("127.0.0.1" | "localhost"), port)) if port.parse::<u16>().is_ok() => {
            format!("{host}:[PORT]{end}")
        }
        _ => word.to_owned(),
    }
}

/// RFC 3339, in UTC.
fn is_time(word: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let Some((date, time)) = word.split_once('T') else { return false };
    let date: Vec<&str> = date.split('-').collect();
    let Some(time) = time.strip_suffix('Z') else { return false };
    date.len() == 3 && time.len() >= 8 && date.into_iter().chain(time.split([':', '.'])).all(digits)
}

#[test]
fn only_what_differs_from_run_to_run_is_taken_out() {
    let digest = "0123456789abcdef".repeat(4);
    let text = format!(
        "at /t/x/work/a.csv:3:4, /t/x/home: 2026-11-22T14:49:36Z. {digest}.t-1.0.0.bin \
         https://127.0.0.1:8443/a v1.0.0 12:30 {digest}0\n  caused by: none (os error 2)\nend\n"
    );
    assert_eq!(
        redact(&text, Path::new("/t/x")),
        format!(
            "at [WORK]/a.csv:3:4, [ROOT]/home: [TIME]. [SHA-256].t-1.0.0.bin \
             https://127.0.0.1:8443/a v1.0.0 12:30 {digest}0\n  caused by: [SYSTEM]\nend\n"
        )
        .replace("127.0.0.1:8443", "127.0.0.1:[PORT]")
    );
}
