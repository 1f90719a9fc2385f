//! Cargo's JSON messages, as far as they matter here (The Cargo Book, "External tools").

use std::path::PathBuf;

use serde::Deserialize;

/// One line of `--message-format json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub(super) enum Message {
    /// A crate was compiled, or was there already.
    CompilerArtifact(Artifact),
    /// A build script ran, or had run before.
    BuildScriptExecuted(BuildScript),
    /// Whatever else.
    #[serde(other)]
    Other,
}

/// A compiled crate.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Artifact {
    package_id: String,
    /// Its `Cargo.toml`.
    pub(super) manifest_path: PathBuf,
    target: Target,
    /// Features of its package that it was compiled with.
    pub(super) features: Vec<String>,
    /// The program, where it is one.
    pub(super) executable: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// What a build script asked for.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct BuildScript {
    package_id: String,
    linked_libs: Vec<String>,
    linked_paths: Vec<String>,
}

impl Artifact {
    /// The name of its crate, as Rust code writes it.
    pub(super) fn crate_name(&self) -> String {
        self.target.name.replace('-', "_")
    }

    /// The name of its package.
    pub(super) fn package(&self) -> &str {
        package(&self.package_id)
    }

    /// Whether it is from a folder of this machine and no part of the compiler: the project, or
    /// another member of its workspace.
    pub(super) fn is_of_the_project(&self) -> bool {
        self.package_id.starts_with("path+")
            && !self.is_build_script()
            && !self.manifest_path.components().any(|part| part.as_os_str() == "rustlib")
    }

    /// Whether it is a program that ran during the build.
    pub(super) fn is_build_script(&self) -> bool {
        self.target.kind.iter().any(|kind| kind == "custom-build")
    }
}

impl BuildScript {
    /// The name of the package's crate, as Rust code writes it.
    pub(super) fn crate_name(&self) -> String {
        package(&self.package_id).replace('-', "_")
    }

    /// Where the static libraries would be that it links. `static:+whole-archive=pp` is `libpp.a`
    /// in one of the paths, which may begin with a kind, too.
    pub(super) fn archives(&self) -> Vec<PathBuf> {
        let plain = |text: &str| text.rsplit_once('=').map_or(text, |(_, name)| name).to_owned();
        let folders: Vec<PathBuf> =
            self.linked_paths.iter().map(|path| plain(path).into()).collect();
        let files = self.linked_libs.iter().flat_map(|library| {
            let file = format!("lib{}.a", plain(library));
            folders.iter().map(move |folder| folder.join(&file)).find(|file| file.is_file())
        });
        files.collect()
    }
}

/// The name in a package id: `registry+https://…#serde@1.0.0`, and `path+file:///…/serde#1.0.0`
/// where the folder has the package's name.
fn package(id: &str) -> &str {
    let Some((place, fragment)) = id.split_once('#') else {
        return id.split(' ').next().unwrap_or(id); // before Rust 1.77
    };
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => {
            let place = place.split('?').next().unwrap_or(place);
            place.rsplit('/').next().unwrap_or(place)
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An artifact as cargo reports it.
    pub(in crate::commands::build) fn artifact(
        id: &str,
        kind: &str,
        features: &[&str],
    ) -> Artifact {
        Artifact {
            package_id: id.to_owned(),
            manifest_path: "/nowhere/Cargo.toml".into(),
            target: Target { name: package(id).to_owned(), kind: vec![kind.to_owned()] },
            features: features.iter().map(|&it| it.to_owned()).collect(),
            executable: None,
        }
    }

    #[test]
    fn package_ids_of_all_kinds_have_a_name() {
        for (id, name) in [
            ("registry+https://registry.example/index#mbedtls-rs-sys@0.3.1", "mbedtls-rs-sys"),
            ("path+file:///work/thermostat#0.1.0", "thermostat"),
            ("path+file:///work/fw#thermostat@0.1.0", "thermostat"),
            ("git+https://github.com/a/b?rev=1#0.1.0", "b"),
            ("git+https://github.com/a/b?rev=1#c@0.1.0", "c"),
            ("serde 1.0.0 (registry+https://registry.example/index)", "serde"),
            ("", ""),
        ] {
            assert_eq!(package(id), name, "{id}");
        }
    }

    #[test]
    fn messages_of_cargo_1_95_are_read_and_others_passed_over() {
        let artifact = r#"{"reason":"compiler-artifact","package_id":"path+file:///a/my-fw#0.1.0",
            "manifest_path":"/a/my-fw/Cargo.toml","target":{"kind":["bin"],"crate_types":["bin"],
            "name":"my-fw","src_path":"/a/src/main.rs","edition":"2024","doc":true,"doctest":false,
            "test":true},"profile":{},"features":["tls-clock"],"filenames":["/a/my-fw"],
            "executable":"/a/my-fw","fresh":false}"#;
        let Message::CompilerArtifact(artifact) = serde_json::from_str(artifact).unwrap() else {
            panic!("no artifact")
        };
        assert_eq!((artifact.crate_name().as_str(), artifact.package()), ("my_fw", "my-fw"));
        assert!(artifact.is_of_the_project());
        assert_eq!(artifact.executable, Some("/a/my-fw".into()));
        let other = serde_json::from_str(r#"{"reason":"build-finished","success":true}"#).unwrap();
        assert!(matches!(other, Message::Other));
        assert!(serde_json::from_str::<Message>("what a build script prints").is_err());
    }

    #[test]
    fn the_standard_library_is_no_part_of_the_project() {
        let mut core =
            artifact("path+file:///usr/lib/rustlib/src/rust/library/core#0.0.0", "lib", &[]);
        core.manifest_path = "/usr/lib/rustlib/src/rust/library/core/Cargo.toml".into();
        assert!(!core.is_of_the_project());
        assert!(!artifact("registry+https://a#serde@1.0.0", "lib", &[]).is_of_the_project());
        assert!(!artifact("path+file:///a/fw#0.1.0", "custom-build", &[]).is_of_the_project());
    }

    #[test]
    fn libraries_are_looked_for_where_their_build_script_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        for name in ["libpp.a", "libmbedtls.a"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let script = BuildScript {
            package_id: "registry+https://a#esp-wifi-sys-esp32c3@0.3.0".into(),
            linked_libs: ["pp", "static:+whole-archive=mbedtls", "m"].map(str::to_owned).to_vec(),
            linked_paths: vec!["/nowhere".into(), format!("native={path}")],
        };
        assert_eq!(script.crate_name(), "esp_wifi_sys_esp32c3");
        assert_eq!(
            script.archives(),
            [folder.path().join("libpp.a"), folder.path().join("libmbedtls.a")]
        );
    }
}
