//! One dependency of a manifest, in whichever of its shapes it is written.

use std::fmt;

use toml_edit::Item;

use super::requirement::is_within;

/// What a manifest says of a dependency, and its workspace for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    pub(super) source: Source,
    pub(super) features: Vec<String>,
    pub(super) has_default_features: bool,
    pub(super) is_optional: bool,
}

/// Where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A registry, and which versions of it.
    Version(String),
    /// A repository or a folder, whose version stands elsewhere.
    Elsewhere(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(requirement) => write!(f, "`{requirement}`"),
            Self::Elsewhere(place) => f.pad(place),
        }
    }
}

impl Dependency {
    /// Reads a dependency, and what the workspace says of one that is inherited.
    pub(super) fn read(item: &Item, inherited: Option<&Item>) -> Self {
        let is_inherited = at(item, &["workspace"]).and_then(Item::as_bool) == Some(true);
        let of_workspace = inherited.filter(|_| is_inherited).map(|it| Self::read(it, None));
        let word = |key| at(item, &[key]).and_then(Item::as_str);
        let source = match (item.as_str(), word("git"), word("path"), word("version")) {
            (Some(version), ..) => Source::Version(version.to_owned()),
            (_, Some(url), ..) => Source::Elsewhere(format!("git `{url}`")),
            (_, _, Some(path), _) => Source::Elsewhere(format!("folder `{path}`")),
            (.., Some(version)) => Source::Version(version.to_owned()),
            _ => match &of_workspace {
                Some(said) => said.source.clone(),
                None => Source::Elsewhere("no version".to_owned()),
            },
        };
        let mut features = texts(at(item, &["features"]));
        features.extend(of_workspace.iter().flat_map(|it| it.features.clone()));
        let defaults = at(item, &["default-features"]).and_then(Item::as_bool);
        Self {
            source,
            features,
            // A member cannot switch off what the workspace has on.
            has_default_features: defaults.unwrap_or(true)
                || of_workspace.is_some_and(|it| it.has_default_features),
            is_optional: at(item, &["optional"]).and_then(Item::as_bool) == Some(true),
        }
    }

    /// What stands in the way of using this one where `ours` is needed, as both sides of a mismatch.
    pub(super) fn mismatch(&self, ours: &Self) -> Option<(String, String)> {
        let fits = match (&self.source, &ours.source) {
            (Source::Version(theirs), Source::Version(ours)) => is_within(theirs, ours),
            (Source::Elsewhere(_), _) | (_, Source::Elsewhere(_)) => false,
        };
        if !fits {
            Some((self.source.to_string(), ours.source.to_string()))
        } else if ours.has_default_features && !self.has_default_features {
            Some(("without its default features".into(), "with them".into()))
        } else {
            None
        }
    }
}

/// What is at a path of keys.
pub(super) fn at<'a>(item: &'a Item, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(item, |item, key| item.get(key))
}

/// The texts of a list. What is no text is left out.
pub(super) fn texts(list: Option<&Item>) -> Vec<String> {
    let values = list.and_then(Item::as_array).into_iter().flatten();
    values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use toml_edit::DocumentMut;

    use super::*;

    fn read(manifest: &str) -> Dependency {
        let document: DocumentMut = manifest.parse().unwrap();
        let inherited = at(document.as_item(), &["workspace", "dependencies", "a"]);
        Dependency::read(&document["dependencies"]["a"], inherited)
    }

    #[test]
    fn every_shape_of_a_dependency_is_understood() {
        let version = |text: &str| Source::Version(text.into());
        for (manifest, source, features) in [
            ("[dependencies]\na = \"1.2\"\n", version("1.2"), ""),
            ("[dependencies]\na = { version = \"1\", features = [\"x\"] }\n", version("1"), "x"),
            ("[dependencies.a]\nversion = \"1\"\nfeatures = [\"x\", \"y\"]\n", version("1"), "x y"),
            ("[dependencies]\na.version = \"1\"\n", version("1"), ""),
            (
                "[dependencies]\na = { git = \"https://a.example/a\", version = \"1\" }\n",
                Source::Elsewhere("git `https://a.example/a`".into()),
                "",
            ),
            (
                "[dependencies]\na = { path = \"../a\", version = \"1\" }\n",
                Source::Elsewhere("folder `../a`".into()),
                "",
            ),
            (
                "[dependencies]\na = { workspace = true, features = [\"x\"] }\n\
                 [workspace.dependencies]\na = { version = \"1\", features = [\"y\"] }\n",
                version("1"),
                "x y",
            ),
            ("[dependencies]\na.workspace = true\n", Source::Elsewhere("no version".into()), ""),
        ] {
            let found = read(manifest);
            assert_eq!(found.source, source, "{manifest}");
            assert_eq!(found.features.join(" "), features, "{manifest}");
            assert!(found.has_default_features && !found.is_optional, "{manifest}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_from_both_sides() {
        let ours = read("[dependencies]\na = \"1.2\"\n");
        let plain = read("[dependencies]\na = { version = \"1.2\", default-features = false }\n");
        let told = |theirs: &Dependency, ours| {
            theirs.mismatch(ours).map(|(theirs, ours)| format!("{theirs} / {ours}"))
        };
        assert_eq!(told(&ours, &ours), None);
        assert_eq!(told(&ours, &plain), None);
        assert_eq!(
            told(&plain, &ours).as_deref(),
            Some("without its default features / with them")
        );
        let older = read("[dependencies]\na = \"1.1\"\n");
        assert_eq!(told(&older, &ours).as_deref(), Some("`1.1` / `1.2`"));
        let git = read("[dependencies]\na = { git = \"https://a.example/a\" }\n");
        assert_eq!(told(&git, &ours).as_deref(), Some("git `https://a.example/a` / `1.2`"));
    }
}
