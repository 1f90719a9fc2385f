//! The manifest of an esp-hal project with what the firmware's modules need, and all else as it
//! was: comments, order and spaces.

use std::collections::BTreeSet;
use std::fmt;

use toml_edit::{Array, DocumentMut, InlineTable, Item, RawString, TableLike, Value};

use super::InitError;
use super::cargo_project::{CargoProject, dependency_tables};
use super::dependency::{Dependency, at, texts};
use super::template::{DEPENDENCIES_OF_NEW_PROJECTS, FEATURES_OF_NEW_PROJECTS};

/// Where a manifest says which version of this tool wrote the modules.
pub(super) const MARK_PATH: [&str; 3] = ["package", "metadata", "esp-ota"];

/// One thing that is not what the modules need, from both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    pub(super) name: String,
    pub(super) theirs: String,
    pub(super) ours: String,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {} and has to be {}", self.name, self.theirs, self.ours)
    }
}

/// The text of `project`'s manifest with what it lacks of `template`, the manifest of a new one.
pub(super) fn complete(
    project: &CargoProject,
    template: &DocumentMut,
) -> Result<String, InitError> {
    refuse_clashes(project, template)?;
    let mut document = project.document.clone();
    let mut missing = Vec::new();
    for (name, ours) in needed(template) {
        match project.dependency(name) {
            Some(theirs) => add_features(&mut document, name, &theirs, ours),
            None => missing.push((name, ours)),
        }
    }
    add_dependencies(&mut document, &missing);
    add_cargo_features(&mut document, template);
    add_mark(&mut document, template);
    Ok(document.to_string())
}

/// Refuses a project whose versions do not go with those of the modules.
pub(super) fn refuse_clashes(
    project: &CargoProject,
    template: &DocumentMut,
) -> Result<(), InitError> {
    match clashes(project, template) {
        clashes if clashes.is_empty() => Ok(()),
        clashes => Err(InitError::Clashes { file: project.file.clone(), clashes }),
    }
}

/// The dependencies that the modules use.
fn needed(template: &DocumentMut) -> impl Iterator<Item = (&str, &Item)> {
    let all = template.get("dependencies").and_then(Item::as_table_like);
    let all = all.into_iter().flat_map(TableLike::iter);
    all.filter(|(name, _)| !DEPENDENCIES_OF_NEW_PROJECTS.contains(name))
}

/// Everything that both sides name and do not agree on. Dependencies that the modules do not use
/// count too: the crates of one chip fit together or not at all.
fn clashes(project: &CargoProject, template: &DocumentMut) -> Vec<Clash> {
    let ours = template.get("dependencies").and_then(Item::as_table_like);
    let ours = ours.into_iter().flat_map(TableLike::iter);
    let mut clashes: Vec<Clash> = ours
        .filter_map(|(name, ours)| {
            let theirs = project.dependency(name)?;
            let (theirs, ours) = theirs.mismatch(&Dependency::read(ours, None))?;
            Some(Clash { name: name.to_owned(), theirs, ours })
        })
        .collect();
    let edition = at(template.as_item(), &["package", "edition"]).and_then(Item::as_str);
    if let Some(ours) = edition.filter(|ours| project.edition() < *ours) {
        let quoted = |edition: &str| format!("`{edition}`");
        let (theirs, ours) = (quoted(project.edition()), quoted(ours));
        clashes.insert(0, Clash { name: "edition".into(), theirs, ours });
    }
    clashes
}

/// The tables of dependencies, that of all targets first.
fn tables(document: &mut DocumentMut) -> Vec<&mut dyn TableLike> {
    let mut found = Vec::new();
    for (key, item) in document.as_table_mut().iter_mut() {
        match key.get() {
            "dependencies" => found.extend(item.as_table_like_mut().map(|table| (0, table))),
            "target" => {
                let targets = item.as_table_like_mut().into_iter();
                let targets = targets.flat_map(|targets| targets.iter_mut());
                found.extend(targets.filter_map(|(_, target)| {
                    Some((1, target.get_mut("dependencies")?.as_table_like_mut()?))
                }));
            }
            _ => {}
        }
    }
    found.sort_by_key(|(order, _)| *order);
    found.into_iter().map(|(_, table)| table).collect()
}

/// Adds the features that a dependency lacks, in its own shape.
fn add_features(document: &mut DocumentMut, name: &str, theirs: &Dependency, ours: &Item) {
    let ours = Dependency::read(ours, None).features;
    let missing: Vec<&String> = ours.iter().filter(|it| !theirs.features.contains(it)).collect();
    let item = tables(document).into_iter().find_map(|table| table.get_mut(name));
    let (Some(item), false) = (item, missing.is_empty()) else { return };
    if let Some(requirement) = item.as_str().map(str::to_owned) {
        let decor = item.as_value().map(|value| value.decor().clone()).unwrap_or_default();
        let mut table = InlineTable::new();
        table.insert("version", requirement.into());
        *table.decor_mut() = decor;
        *item = Item::Value(table.into());
    }
    if item.get("features").is_none() {
        let features = Value::from(Array::new());
        if let Some(table) = item.as_inline_table_mut() {
            let ending = table.iter_mut().last().and_then(|(_, last)| take_suffix(last));
            table.insert("features", features);
            if let (Some(features), Some(ending)) = (table.get_mut("features"), ending) {
                features.decor_mut().set_suffix(ending);
            }
        } else if let Some(table) = item.as_table_mut() {
            table.insert("features", Item::Value(features));
        }
    }
    if let Some(features) = item.get_mut("features").and_then(Item::as_array_mut) {
        missing.into_iter().for_each(|feature| push(features, feature));
    }
}

/// Appends to a list as its last entry is written: on the same line, or on one of its own.
fn push(list: &mut Array, text: &str) {
    let Some(last) = list.iter_mut().last() else {
        list.push(text);
        return;
    };
    let prefix = last.decor().prefix().and_then(RawString::as_str).unwrap_or_default();
    let indent = prefix.rsplit_once('\n').map(|(_, indent)| indent.to_owned());
    let ending = take_suffix(last).unwrap_or_default();
    let Some(indent) = indent else {
        list.push_formatted(Value::from(text).decorated(" ", ending));
        return;
    };
    // What follows the last entry on its line, a comment for one, stays there.
    let trailing = list.trailing().as_str().unwrap_or_default().to_owned();
    let ending = if list.trailing_comma() { trailing } else { ending };
    let (line, bracket) = ending.rsplit_once('\n').unwrap_or((&ending, ""));
    list.push_formatted(Value::from(text).decorated(format!("{line}\n{indent}"), ""));
    list.set_trailing_comma(true);
    list.set_trailing(format!("\n{bracket}"));
}

/// Takes away what stands behind a value.
fn take_suffix(value: &mut Value) -> Option<String> {
    let suffix = value.decor().suffix().and_then(RawString::as_str).map(str::to_owned)?;
    value.decor_mut().set_suffix("");
    Some(suffix)
}

/// Adds dependencies as the template has them, below all others.
fn add_dependencies(document: &mut DocumentMut, missing: &[(&str, &Item)]) {
    let table = document.entry("dependencies").or_insert_with(toml_edit::table);
    let Some(table) = table.as_table_like_mut() else { return };
    let is_alone = table.is_empty();
    for (name, ours) in missing {
        table.insert(name, (*ours).clone());
    }
    let first = missing.first().and_then(|(name, _)| table.key_mut(name));
    if let Some(mut key) = first {
        let space = if is_alone { "" } else { "\n" };
        key.leaf_decor_mut().set_prefix(format!("{space}# The update agent and its modules\n"));
    }
}

/// Adds the features that the modules ask for with `cfg`.
fn add_cargo_features(document: &mut DocumentMut, template: &DocumentMut) {
    let ours = template.get("features").and_then(Item::as_table_like);
    let ours = ours.into_iter().flat_map(TableLike::iter);
    let ours: Vec<_> = ours.filter(|(name, _)| !FEATURES_OF_NEW_PROJECTS.contains(name)).collect();
    if ours.is_empty() {
        return;
    }
    let optional: BTreeSet<String> = dependency_tables(document)
        .flat_map(TableLike::iter)
        .filter(|(_, item)| Dependency::read(item, None).is_optional)
        .map(|(name, _)| name.to_owned())
        .collect();
    let table = document.entry("features").or_insert_with(toml_edit::table);
    let Some(table) = table.as_table_like_mut() else { return };
    for (name, enables) in ours {
        let theirs = table.entry(name).or_insert_with(|| toml_edit::value(Array::new()));
        let Some(theirs) = theirs.as_array_mut() else { continue };
        for text in texts(Some(enables)) {
            // What is no optional dependency here cannot be switched on, and is on already.
            let is_on = text.strip_prefix("dep:").is_some_and(|it| !optional.contains(it));
            if !is_on && !theirs.iter().any(|known| known.as_str() == Some(&text)) {
                push(theirs, &text);
            }
        }
    }
}

/// Notes which version of this tool wrote the modules.
fn add_mark(document: &mut DocumentMut, template: &DocumentMut) {
    let Some(ours) = at(template.as_item(), &MARK_PATH) else { return };
    let mut item = document.as_item_mut();
    for key in MARK_PATH {
        let Some(table) = item.as_table_like_mut() else { return };
        let is_new = table.get(key).is_none();
        item = table.entry(key).or_insert_with(toml_edit::table);
        if let (true, Some(table)) = (is_new, item.as_table_mut()) {
            // Without values of its own it needs no line of its own.
            table.set_implicit(true);
        }
    }
    let (Some(table), Some(ours)) = (item.as_table_like_mut(), ours.as_table_like()) else {
        return;
    };
    for (key, value) in ours.iter() {
        table.insert(key, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "[package]\nname = \"t\"\nedition = \"2024\"\n\n\
        [package.metadata.esp-ota]\ngenerated-by = \"cargo-esp-ota 9\"\n\n\
        [features]\ndefault = [\"wifi\"]\n\
        tls-clock = [\"dep:sntpc\", \"b/clock\"]\n\n\
        [dependencies]\n# The board\nesp-hal = { version = \"1.2\", features = [\"esp32c3\", \"unstable\"] }\n\
        b = \"0.3\" # exactly so\n\
        esp-radio = { version = \"0.20\", features = [\"esp32c3\"] }\n\
        sntpc = { version = \"0.11\", optional = true }\n";

    fn completed(manifest: &str) -> Result<String, InitError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
        let project = CargoProject::find(folder.path()).unwrap().unwrap();
        complete(&project, &TEMPLATE.parse().unwrap())
    }

    #[track_caller]
    fn becomes(before: &str, after: &str) {
        let found = completed(before).unwrap();
        assert!(found == after, "{found}\n--- and should be\n{after}");
        // Whoever runs it again gets the same.
        assert_eq!(completed(&found).unwrap(), found);
    }

    #[test]
    fn what_is_missing_is_added_and_all_else_stays() {
        becomes(
            "# mine\n[package]\nname = \"mine\"   # so\nedition = \"2024\"\n\n[dependencies]\n\
             esp-hal = { version = \"~1.2.0\", features = [\n    # the chip\n    \"esp32c3\", # soldered\n] }\n\
             # last\n\n[profile.release]\nlto = \"fat\"\n",
            "# mine\n[package]\nname = \"mine\"   # so\nedition = \"2024\"\n\n\
             [package.metadata.esp-ota]\ngenerated-by = \"cargo-esp-ota 9\"\n\n\
             [dependencies]\n\
             esp-hal = { version = \"~1.2.0\", features = [\n    # the chip\n    \"esp32c3\", # soldered\n    \"unstable\",\n] }\n\n\
             # The update agent and its modules\nb = \"0.3\" # exactly so\n\
             sntpc = { version = \"0.11\", optional = true }\n\
             # last\n\n[profile.release]\nlto = \"fat\"\n\n\
             [features]\ntls-clock = [\"dep:sntpc\", \"b/clock\"]\n",
        );
    }

    #[test]
    fn a_dependency_gets_features_in_the_shape_it_has() {
        for (before, after) in [
            (
                "esp-hal = \"1.2\" # hal",
                "esp-hal = { version = \"1.2\", features = [\"esp32c3\", \"unstable\"] } # hal",
            ),
            (
                "esp-hal = { version = '1.2' }",
                "esp-hal = { version = '1.2', features = [\"esp32c3\", \"unstable\"] }",
            ),
            (
                "esp-hal = { version = \"1.2\", features = [] }",
                "esp-hal = { version = \"1.2\", features = [\"esp32c3\", \"unstable\"] }",
            ),
            (
                "esp-hal = { version = \"1.2\", features = [ \"esp32c3\" ] }",
                "esp-hal = { version = \"1.2\", features = [ \"esp32c3\", \"unstable\" ] }",
            ),
            (
                "esp-hal = { version = \"1.2\", features = [\n  \"esp32c3\"\n] }",
                "esp-hal = { version = \"1.2\", features = [\n  \"esp32c3\",\n  \"unstable\",\n] }",
            ),
            (
                "esp-hal = { version = \"1.2\", features = [\n  \"esp32c3\", # c\n] }",
                "esp-hal = { version = \"1.2\", features = [\n  \"esp32c3\", # c\n  \"unstable\",\n] }",
            ),
            (
                "esp-hal.version = \"1.2\"",
                "esp-hal.version = \"1.2\"\nesp-hal.features = [\"esp32c3\", \"unstable\"]",
            ),
        ] {
            let head = "[package]\nname = \"mine\"\nedition = \"2024\"\n[package.metadata.esp-ota]\ngenerated-by = \"cargo-esp-ota 9\"\n[features]\ntls-clock = [\"b/clock\"]\n[dependencies]\nb = \"0.3\"\nsntpc = \"0.11\"\n";
            becomes(&format!("{head}{before}\n"), &format!("{head}{after}\n"));
        }
    }
}
