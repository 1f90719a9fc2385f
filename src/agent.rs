//! The device's update agent, compiled from the very files that `init` writes into a firmware.
//!
//! Nothing is written twice: `otadata`, the image format, the TUF client and the rollout rule have
//! one source, and what the virtual device runs is what devices run. A project owns its copy and
//! may change it; the digest tells whether it did.

#[path = "../templates/firmware/src/ota/mod.rs"]
mod ota;

use sha2::{Digest, Sha256};

pub use ota::*;

/// Names a file of the agent and includes it.
macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../templates/firmware/src/ota/", $name)))),*]
    };
}

/// Every file of the agent, by its path below `src/ota/`, in the order of their names.
const SOURCES: &[(&str, &str)] = sources![
    "agent.rs",
    "clock.rs",
    "download.rs",
    "history.rs",
    "http.rs",
    "http/body.rs",
    "http/fault.rs",
    "http/head.rs",
    "http/line.rs",
    "http/patience.rs",
    "http/request.rs",
    "image.rs",
    "install.rs",
    "json.rs",
    "json/canonical.rs",
    "json/scan.rs",
    "json/text.rs",
    "layout.rs",
    "mod.rs",
    "nvs_repair.rs",
    "nvs_store.rs",
    "otadata.rs",
    "outcome.rs",
    "ports.rs",
    "rejections.rs",
    "release.rs",
    "reports.rs",
    "reset.rs",
    "resume.rs",
    "rollout.rs",
    "settings.rs",
    "slot_writer.rs",
    "stated.rs",
    "trial.rs",
    "tuf.rs",
    "tuf/client.rs",
    "tuf/delegated.rs",
    "tuf/download.rs",
    "tuf/ecdsa.rs",
    "tuf/error.rs",
    "tuf/keys.rs",
    "tuf/listed.rs",
    "tuf/metadata.rs",
    "tuf/root.rs",
    "tuf/state.rs",
    "tuf/targets.rs",
    "url.rs",
];

/// Where the tests of a file begin. They need the host and stay with this tool.
const TESTS: &str = "\n#[cfg(test)]\n";

/// The files of the agent as a firmware gets them: path below `src/ota/` and contents.
pub fn sources() -> impl Iterator<Item = (&'static str, &'static str)> {
    SOURCES
        .iter()
        .map(|(name, text)| (*name, text.split_once(TESTS).map_or(*text, |(shipped, _)| shipped)))
}

/// Identifies an agent by its files: SHA-256 over the path, a zero byte, the length as 8 bytes
/// big-endian, and the contents of each, in the order of their paths; lower-case hexadecimal.
pub fn digest_of<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort();
    let mut sha = Sha256::new();
    for (name, contents) in files {
        sha.update(name.as_bytes());
        sha.update([0]);
        sha.update(u64::try_from(contents.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(contents);
    }
    crate::hex::lower(&sha.finalize())
}

/// The digest of this tool's own agent.
pub fn digest() -> String {
    digest_of(sources().map(|(name, text)| (name, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn rust_files(folder: &Path, below: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name() != Some("tests".as_ref()) {
                rust_files(&path, below, found);
            } else if path.extension() == Some("rs".as_ref()) {
                let name = path.strip_prefix(below).unwrap().to_str().unwrap();
                found.insert(name.replace('\\', "/"));
            }
        }
    }

    #[test]
    fn no_file_of_the_agent_is_forgotten() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/firmware/src/ota");
        let mut found = BTreeSet::new();
        rust_files(&folder, &folder, &mut found);
        let listed: BTreeSet<String> = SOURCES.iter().map(|(name, _)| (*name).into()).collect();
        assert_eq!(listed, found);
    }

    #[test]
    fn what_is_shipped_holds_to_the_contract() {
        for (name, text) in sources() {
            assert!(text.starts_with("//! "), "{name} does not say what it is for");
            for banned in ["cfg(test)", "crate::", "unsafe", "std::", "esp_hal", "proptest"] {
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                for line in code {
                    assert!(!line.contains(banned), "{name}: `{banned}` in `{line}`");
                }
            }
        }
    }

    #[test]
    fn one_changed_byte_or_name_is_another_agent() {
        let one = digest_of([("a.rs", &b"x"[..]), ("b.rs", b"y")]);
        assert_eq!(one, digest_of([("b.rs", &b"y"[..]), ("a.rs", b"x")]), "order is no matter");
        for other in [
            digest_of([("a.rs", &b"x"[..]), ("b.rs", b"z")]),
            digest_of([("a.rs", &b"x"[..]), ("c.rs", b"y")]),
            digest_of([("a.rs", &b"xb.rsy"[..])]),
        ] {
            assert_ne!(one, other);
        }
    }
}
