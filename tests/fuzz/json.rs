//! The agent's JSON reader takes nothing that another reader refuses, and writes one canonical form.

use cargo_esp_ota::agent::json::{DEEPEST, MOST_KEYS, Value, canonical};

use crate::memory_of;

/// One word for each key, twice as many while the list grows, and once more in the canonical form.
const MOST_MEMORY: usize = 4 * MOST_KEYS * size_of::<usize>();
/// Levels of an array around the text, so that it is not serde_json's own limit of 128 that counts.
const _: () = assert!(DEEPEST < 128);

/// Reads the bytes, and where they are JSON compares with serde_json.
pub fn judge(bytes: &[u8]) {
    let (value, used) = memory_of(|| Value::parse(bytes));
    assert!(used <= MOST_MEMORY, "{used} bytes of memory");
    let Ok(value) = value else { return };
    let other: serde_json::Value = serde_json::from_slice(bytes).expect("serde_json reads it too");

    let mut once = Vec::new();
    canonical::write(value, &mut |bytes| once.extend_from_slice(bytes));
    let mut length = 0;
    let ((), used) = memory_of(|| canonical::write(value, &mut |bytes| length += bytes.len()));
    assert!(used <= MOST_MEMORY, "{used} bytes of memory");
    assert_eq!(length, once.len());

    // Canonical JSON has raw control characters in its strings, which makes it no JSON.
    if once.iter().all(|byte| *byte >= 0x20) {
        let again: serde_json::Value = serde_json::from_slice(&once).expect("canonical JSON");
        assert_eq!(again, other);
        let value = Value::parse(&once).expect("our own canonical form");
        let mut twice = Vec::new();
        canonical::write(value, &mut |bytes| twice.extend_from_slice(bytes));
        assert_eq!(once, twice);
    }
}
