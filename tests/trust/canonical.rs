//! Canonical JSON, written for these tests without the code they judge.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// The form over which signatures are made: members sorted, no space between, and in strings only
/// quotes and backslashes escaped (OLPC's Canonical JSON). Line ends stay line ends.
pub(crate) fn canonical(value: &Json) -> String {
    match value {
        Json::Object(members) => {
            let sorted: BTreeMap<&String, &Json> = members.iter().collect();
            let members: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", string(key), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Json::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(canonical).collect();
            format!("[{}]", elements.join(","))
        }
        Json::String(text) => string(text),
        scalar => scalar.to_string(),
    }
}

fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
