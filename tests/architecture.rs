//! Rules about the tree: which part may use which, what pure parts must not touch, how long a file
//! may be.
//!
//! Rust has no way to forbid an import between modules of one crate, so the text is read. Comments
//! and tests are left out: words are free, and tests may short-circuit what the program may not.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file before its tests.
const LONGEST_FILE: usize = 400;
/// Half of all files have fewer lines than this.
const LONGEST_MEDIAN: usize = 200;

/// What each part may use of the others. Whatever is not listed, it may not.
const ARROWS: [(&str, &[&str]); 20] = [
    ("main", &[]),
    ("cli", &["commands", "error", "output"]),
    (
        "commands",
        &[
            "agent",
            "chip",
            "cli",
            "config",
            "device",
            "disk",
            "emulator",
            "error",
            "flash_size",
            "image",
            "monitor",
            "output",
            "partition",
            "release",
            "server",
            "trust",
            "virtual_device",
        ],
    ),
    ("agent", &["hex"]),
    ("chip", &[]),
    ("config", &["agent", "chip", "disk", "error", "flash_size", "partition"]),
    (
        "device",
        &[
            "agent",
            "chip",
            "error",
            "flash_size",
            "hex",
            "image",
            "output",
            "partition",
            "virtual_device",
        ],
    ),
    ("disk", &[]),
    (
        "emulator",
        &[
            "agent",
            "chip",
            "device",
            "error",
            "flash_size",
            "image",
            "monitor",
            "partition",
            "release",
            "server",
            "trust",
            "virtual_device",
        ],
    ),
    ("error", &[]),
    ("flash_size", &[]),
    ("hex", &[]),
    ("image", &["agent", "chip", "error", "flash_size", "hex", "partition"]),
    ("monitor", &["hex"]),
    ("output", &["error"]),
    ("partition", &["chip", "error", "hex"]),
    ("release", &["chip", "disk", "error", "hex"]),
    ("server", &["error", "hex"]),
    ("trust", &["agent", "error", "hex"]),
    ("virtual_device", &["agent", "chip", "error", "hex", "image", "release", "trust"]),
];

/// Parts that give the same answer everywhere and always.
const PURE: [&str; 6] = [
    "src/partition",
    "src/image",
    "src/monitor",
    "src/agent.rs",
    "templates/firmware/src/ota",
    "src/release/rules.rs",
];

/// Doors to the outside world. `std::io::Error` is no door, but a word for what happened there.
const DOORS: [&str; 16] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "io::stdin",
    "io::stdout",
    "io::stderr",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "getrandom",
    "tokio",
    "reqwest",
];

/// A source file: its path as this page writes it, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn read(path: &Path) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        Self { path: name, text: fs::read_to_string(path).unwrap() }
    }

    /// What comes before the tests.
    fn program(&self) -> &str {
        self.text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default()
    }

    /// The program without comments.
    fn code(&self) -> String {
        // A URL is no comment.
        let begins = |(at, _): &(usize, &str), line: &str| !line[..*at].ends_with(':');
        let code = self.program().lines().map(|line| {
            let comment = line.match_indices("//").find(|found| begins(found, line));
            comment.map_or(line, |(at, _)| &line[..at])
        });
        code.collect::<Vec<_>>().join("\n")
    }

    /// The part of the tree it belongs to: the first name below `src`.
    fn part(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// Whether it exists for tests only.
    fn is_test(&self) -> bool {
        ["/tests/", "/tests.rs", "/testing.rs"].iter().any(|name| self.path.contains(name))
    }

    /// Which parts of the crate its code names.
    fn uses(&self) -> BTreeSet<String> {
        let code = self.code();
        let after = code.split("crate::").skip(1);
        after
            .flat_map(|rest| {
                let list = rest.strip_prefix('{').map(|list| list.split('}').next().unwrap_or(""));
                let names = list.map_or_else(|| vec![rest], |list| list.split(',').collect());
                names.into_iter().map(first_word).filter(|word| !word.is_empty())
            })
            .collect()
    }
}

fn first_word(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// Every Rust file below a folder, or the file itself.
fn sources(path: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(path)];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(Source::read(&path));
        }
    }
    assert!(!found.is_empty(), "there is nothing in `{path}`");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Everything that is compiled into the program.
fn program() -> Vec<Source> {
    let mut all = sources("src");
    all.extend(sources("templates/firmware/src/ota"));
    all.retain(|source| !source.is_test());
    all
}

#[track_caller]
fn none(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn arrows_point_one_way() {
    let mut broken = Vec::new();
    let mut walked: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let all = sources("src");
    for source in all.iter().filter(|source| !source.is_test() && source.part() != "lib") {
        let part = source.part();
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == part) else {
            broken.push(format!("{}: `{part}` is new: say what it may use", source.path));
            continue;
        };
        let used = source.uses();
        for used in used.iter().filter(|used| *used != part && !allowed.contains(&used.as_str())) {
            broken.push(format!("{}: `{part}` must not use `{used}`", source.path));
        }
        walked.entry(part).or_default().extend(used);
    }
    for (part, allowed) in ARROWS {
        let walked = walked.get(part).cloned().unwrap_or_default();
        for unused in allowed.iter().filter(|used| !walked.contains(**used)) {
            broken.push(format!("`{part}` does not use `{unused}`: take the arrow from the list"));
        }
    }
    none(broken);
}

#[test]
fn only_completions_looks_back_at_the_command_line() {
    let looks_back = |source: &&Source| {
        source.path != "src/commands/completions.rs" && source.uses().contains("cli")
    };
    none(sources("src").iter().filter(looks_back).map(|source| source.path.clone()).collect());
}

#[test]
fn nobody_but_the_command_line_uses_commands() {
    let intrudes = |source: &&Source| {
        !["commands", "cli"].contains(&source.part()) && source.text.contains("crate::commands")
    };
    none(program().iter().filter(intrudes).map(|source| source.path.clone()).collect());
}

#[test]
fn pure_parts_touch_no_file_socket_clock_or_terminal() {
    let mut broken = Vec::new();
    for source in PURE.iter().flat_map(|path| sources(path)).filter(|source| !source.is_test()) {
        let code = source.code();
        for door in DOORS.iter().filter(|door| code.contains(**door)) {
            broken.push(format!("{} mentions `{door}`", source.path));
        }
    }
    none(broken);
}

#[test]
fn only_output_prints() {
    let mut broken = Vec::new();
    for source in program().iter().filter(|source| source.part() != "output") {
        let code = source.code();
        for word in ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!(", "io::stdout"] {
            if code.contains(word) {
                broken.push(format!("{} prints: `{word}`", source.path));
            }
        }
        // A question needs an answer, so the one place that asks does so itself.
        if code.contains("io::stderr") && source.path != "src/commands/ca/confirm.rs" {
            broken.push(format!("{} writes to standard error", source.path));
        }
    }
    none(broken);
}

#[test]
fn nothing_ends_the_process_but_main() {
    let ends = |source: &&Source| source.code().contains("process::exit");
    none(program().iter().filter(ends).map(|source| source.path.clone()).collect());
    let main = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs"));
    assert!(main.unwrap().lines().count() <= 30, "`main` only translates");
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut all = sources("src");
    all.extend(sources("templates/firmware/src"));
    all.extend(sources("tests/cli"));
    all.extend(sources("tests/trust"));
    all.extend(sources("tests/architecture.rs"));
    let is_silent = |source: &&Source| !source.text.starts_with("//! ");
    none(all.iter().filter(is_silent).map(|source| source.path.clone()).collect());
}

#[test]
fn files_stay_short() {
    let mut all = sources("src");
    all.extend(sources("templates/firmware/src"));
    let lines = |source: &Source| source.program().lines().count();
    let too_long = all.iter().filter(|source| lines(source) > LONGEST_FILE);
    let found: Vec<&str> = too_long.map(|source| source.path.as_str()).collect();
    assert_eq!(found, [""; 0], "files with more than {LONGEST_FILE} lines before their tests");
    let mut lengths: Vec<usize> = all.iter().map(lines).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median < LONGEST_MEDIAN, "the median file has {median} lines");
}

/// The agent is compiled into firmware and host tool alike, from the same files.
#[test]
fn the_agent_keeps_to_its_contract() {
    let mut broken = Vec::new();
    for source in sources("templates/firmware/src/ota").iter().filter(|it| !it.is_test()) {
        let code = source.code();
        for (word, why) in [
            ("crate::", "its root differs between firmware and host"),
            ("std::", "a device has none"),
            ("unsafe ", "the host forbids it"),
            ("esp_hal", "the host has no chip"),
            ("esp_storage", "the host has no chip"),
            ("esp_wifi", "the host has no radio"),
            ("esp_radio", "the host has no radio"),
            ("#[cfg(feature", "both sides must compile the same"),
            ("panic!(", "a device must not stop"),
            (".unwrap()", "a device must not stop"),
        ] {
            if code.contains(word) {
                broken.push(format!("{} has `{word}`: {why}", source.path));
            }
        }
    }
    none(broken);
    let trial = Source::read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/firmware/src/ota/trial.rs"),
    );
    assert!(!trial.code().contains("alloc"), "`trial.rs` runs before there is a heap");
}

#[test]
fn comments_tests_and_urls_are_told_from_code() {
    let source = Source {
        path: "src/partition/x.rs".into(),
        text:
            "//! About std::fs.\nuse crate::{chip::Chip, error};\nlet a = \"https://b\"; // tokio\n\
               \n#[cfg(test)]\nmod tests {\n    use std::env;\n    use crate::commands;\n}\n"
                .into(),
    };
    let code = source.code();
    assert!(code.contains("\"https://b\"") && !code.contains("tokio"));
    assert!(!code.contains("std::"), "{code}");
    assert_eq!(source.part(), "partition");
    assert_eq!(source.uses(), BTreeSet::from(["chip".to_owned(), "error".to_owned()]));
}
