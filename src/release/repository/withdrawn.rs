//! Images that are listed no longer, remembered until their files are gone.
//!
//! The list stands in the signed part of the targets metadata, as `x-withdrawn`: so it changes in one
//! step with what is listed, whoever publishes next knows it, and no store has to list its files.
//! Clients pass over what they do not know.

use std::collections::HashMap;

use serde_json::Value;
use tough::schema::Targets;

const FIELD: &str = "x-withdrawn";
/// Where images are.
const FOLDER: &str = "targets/";

/// What the metadata remembers.
pub(super) fn read(targets: &Targets) -> Vec<String> {
    let listed = targets._extra.get(FIELD).and_then(Value::as_array);
    let paths = listed.into_iter().flatten().filter_map(Value::as_str);
    // Whatever stands there becomes a path that is removed.
    let is_image = |path: &&str| path.strip_prefix(FOLDER).is_some_and(|name| !name.contains('/'));
    paths.filter(is_image).map(str::to_owned).collect()
}

/// The field as metadata holds it; none where there is nothing to remember.
pub(super) fn written(paths: &[String]) -> HashMap<String, Value> {
    let field = (!paths.is_empty()).then(|| (FIELD.to_owned(), Value::from(paths)));
    field.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(field: &str) -> Targets {
        let text = format!(
            "{{\"_type\":\"targets\",\"spec_version\":\"1.0.0\",\"version\":1,\
             \"expires\":\"2030-01-01T00:00:00Z\",\"targets\":{{}}{field}}}"
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let paths = ["targets/ab.x-1.0.0.bin".to_owned(), "targets/cd.x-1.1.0.bin".to_owned()];
        let mut metadata = targets("");
        metadata._extra = written(&paths);
        assert_eq!(read(&metadata), paths);
        assert!(written(&[]).is_empty());
        assert_eq!(read(&targets("")), [""; 0]);
    }

    #[test]
    fn nothing_but_an_image_is_ever_removed() {
        for field in [
            ",\"x-withdrawn\":[\"metadata/1.root.json\",\"targets/../metadata/1.root.json\",\"a\",7]",
            ",\"x-withdrawn\":\"targets/a\"",
            ",\"x-withdrawn\":null",
        ] {
            assert_eq!(read(&targets(field)), [""; 0], "{field}");
        }
    }
}
