//! Documentation that can be wrong is compared with the code it is about.
//!
//! `UPDATE_DOCS=1 cargo test --test documents` writes `docs/reference/cli.md` anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_esp_ota::agent::otadata::{ENTRY, Entry};
use cargo_esp_ota::config::{Overrides, Project};
use cargo_esp_ota::error::Exit;
use cargo_esp_ota::image::inspect::Kind;
use cargo_esp_ota::partition::{Code, Severity};
use cargo_esp_ota::trust::live;
use clap::Command;

/// Columns of a help text in `cli.md`, whatever terminal the tests run in.
const WIDTH: usize = 100;
const CLI: &str = "docs/reference/cli.md";

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

/// Every file below `folder` whose name ends in `extension`.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder of this repository") {
            let path = entry.expect("an entry of it").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// `README.md` and every page below `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = files("docs", "md");
    pages.push("README.md".into());
    pages
}

/// The cells of every table row that begins with a cell `first` accepts.
fn rows(text: &str, first: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    text.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
        .filter(|cells| cells.first().is_some_and(|cell| first(cell)))
        .collect()
}

/// The word between a pair of back quotes around a whole cell.
fn quoted(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// The command line as users see it, with bin names and global options in every command.
fn command() -> Command {
    let mut command = cargo_esp_ota::cli::command();
    command.build();
    command
}

/// The commands that do something, each with the words that call it.
fn leaves(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
    for sub in command.get_subcommands() {
        let words = format!("{words} {}", sub.get_name()).trim().to_owned();
        if sub.has_subcommands() {
            leaves(sub, &words, found);
        } else {
            found.push((words, sub.clone()));
        }
    }
}

fn every_command() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    leaves(&command(), "", &mut found);
    found
}

fn help(command: Command) -> String {
    let text = command.term_width(WIDTH).render_long_help().to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn cli_page() -> String {
    let mut page = String::from(
        "# Commands\n\n\
         The help text of each command, written by `UPDATE_DOCS=1 cargo test --test documents`. Global options\n\
         stand once, at the top; every command takes them.\n",
    );
    let mut section = |title: &str, text: &str| {
        write!(page, "\n## {title}\n\n```text\n{text}\n```\n").expect("a String takes any write");
    };
    section("cargo esp-ota", &help(command()));
    for (words, command) in every_command() {
        let command = command.mut_args(|argument| {
            let is_global = argument.is_global_set();
            argument.hide(is_global)
        });
        section(&words, &help(command));
    }
    page
}

#[test]
fn the_help_texts_are_those_of_the_program() {
    let page = cli_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(CLI, &page).unwrap();
    }
    assert!(read(CLI) == page, "{CLI} is out of date: UPDATE_DOCS=1 cargo test --test documents");
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    for page in ["README.md", "docs/reference/exit-codes.md"] {
        let found: Vec<(String, String)> = rows(&read(page), |cell| cell.parse::<u8>().is_ok())
            .into_iter()
            .map(|cells| (cells[0].clone(), cells[1].clone()))
            .filter(|(code, _)| code != "101") // a panic's, and no promise
            .collect();
        let expected: Vec<(String, String)> =
            Exit::ALL.iter().map(|exit| (exit.code().to_string(), exit.name().into())).collect();
        assert_eq!(found, expected, "{page}");
    }
}

#[test]
fn every_direct_dependency_has_its_reason_and_no_other_has() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let page = read("docs/design/dependencies.md");
    let (normal, dev) = page.split_once("\n## For tests").unwrap();
    for (section, text) in [("dependencies", normal), ("dev-dependencies", dev)] {
        let for_some = manifest["target"].as_table().unwrap().values();
        let for_some = for_some.filter_map(|target| target.get(section));
        let tables = [&manifest[section]].into_iter().chain(for_some);
        let expected: BTreeSet<String> =
            tables.flat_map(|table| table.as_table().unwrap().keys()).cloned().collect();
        let listed = rows(text, |cell| quoted(cell).is_some());
        assert!(listed.iter().all(|cells| cells.len() == 2 && !cells[1].is_empty()));
        let found: BTreeSet<String> =
            listed.iter().map(|cells| quoted(&cells[0]).unwrap().to_owned()).collect();
        assert_eq!(found, expected, "[{section}]");
        assert_eq!(found.len(), listed.len(), "[{section}]: one line each");
    }
}

#[test]
fn every_link_leads_to_a_file() {
    for page in pages() {
        let text = read(&page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let path = link.split('#').next().unwrap();
            let target = page.parent().unwrap().join(path);
            assert!(target.is_file(), "{} links to `{link}`", page.display());
        }
    }
}

#[test]
fn every_page_can_be_reached_from_the_map() {
    let map = read("docs/README.md");
    for page in pages() {
        let Ok(below) = page.strip_prefix("docs") else { continue };
        let below = below.to_string_lossy().replace('\\', "/");
        if below.starts_with("reference/findings/") && !below.ends_with("README.md") {
            continue; // listed in their own index
        }
        assert!(below == "README.md" || map.contains(&format!("]({below})")), "{below}");
    }
}

#[test]
fn every_finding_has_its_page_and_its_line_in_the_index() {
    let severity = |code: &Code| match code.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let expected: Vec<Vec<String>> = Code::ALL
        .iter()
        .map(|code| {
            let link = format!("[`{code}`]({code}.md)");
            vec![link, severity(code).to_owned(), code.summary().to_owned()]
        })
        .collect();
    let index = read("docs/reference/findings/README.md");
    assert_eq!(rows(&index, |cell| cell.starts_with("[`")), expected);

    let pages: BTreeSet<PathBuf> = files("docs/reference/findings", "md").into_iter().collect();
    let names = Code::ALL.iter().map(|code| code.name()).chain(["README"]);
    let folder = Path::new("docs/reference/findings");
    assert_eq!(pages, names.map(|name| folder.join(format!("{name}.md"))).collect());

    for code in Code::ALL {
        let page = code.page();
        assert!(page.starts_with(&format!("# `{code}`\n\n")), "{code}");
        let summary = code.summary();
        assert!(summary.ends_with('.') && summary.len() <= 100, "{code}: {summary}");
        let severity = severity(code);
        assert!(page.contains(&format!("\n\nSeverity: {severity}. ")), "{code}: {severity}");
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, ["## Why it matters", "## How to mend it", "## Example"], "{code}");
        let says_no = page.contains("ESP-IDF refuses such a table");
        assert!(says_no || !code.refused_by_esp_idf(), "{code}");
    }
}

#[test]
fn every_finding_about_a_host_has_its_line() {
    let exit = |code: &live::Code| match code.severity() {
        live::Severity::Error => code.exit().code().to_string(),
        live::Severity::Warning => "1 with `--deny warnings`".to_owned(),
        live::Severity::Note => "-".to_owned(),
    };
    let expected: Vec<Vec<String>> = live::Code::ALL
        .iter()
        .map(|code| {
            let severity = format!("{:?}", code.severity()).to_lowercase();
            vec![format!("`{code}`"), severity, exit(code), code.summary().to_owned()]
        })
        .collect();
    let mut found = rows(&read("docs/reference/host-findings.md"), |cell| quoted(cell).is_some());
    found.retain(|cells| cells.len() == 4);
    assert_eq!(found, expected);
}

#[test]
fn every_document_that_the_source_names_exists() {
    let mut sources = files("src", "rs");
    sources.extend(files("templates", "rs"));
    for source in sources {
        for (at, _) in read(&source).match_indices("docs/") {
            let text = read(&source);
            if text[..at].ends_with(|c: char| c.is_alphanumeric() || "/.".contains(c)) {
                continue; // a URL
            }
            let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
            let end = text[at..].find(|c| !is_path(c)).map_or(text.len(), |length| at + length);
            let path = text[at..end].trim_end_matches('.');
            assert!(Path::new(path).exists(), "{} names `{path}`", source.display());
        }
    }
}

#[test]
fn the_readme_begins_with_the_two_commands() {
    let readme = read("README.md");
    let (start, _) = readme.split_once("\n## ").unwrap();
    for command in ["cargo run --release -- demo", "cargo test"] {
        assert!(start.lines().any(|line| line.starts_with(command)), "{command}");
    }
}

/// What stands behind each `cargo esp-ota ` of a text, to the end of its line or quotation.
fn calls(text: &str) -> impl Iterator<Item = &str> {
    let end = |rest: &str| rest.find(['`', '\n', '|', '#', '"']).unwrap_or(rest.len());
    text.split("cargo esp-ota ").skip(1).map(move |rest| &rest[..end(rest)])
}

#[test]
fn every_command_in_a_page_exists() {
    let command = command();
    for page in pages() {
        for call in calls(&read(&page)) {
            let mut command = &command;
            for word in call.split_whitespace().take_while(|word| *word != "--") {
                if let Some(sub) = command.find_subcommand(word) {
                    command = sub;
                    continue;
                }
                let name = word.strip_prefix("--").and_then(|it| it.split('=').next());
                let is_known = match name {
                    Some("help" | "version") => true,
                    Some(name) => command.get_arguments().any(|it| it.get_long() == Some(name)),
                    // A command that works without its subcommands has values of its own.
                    None => {
                        !command.has_subcommands()
                            || command.is_args_conflicts_with_subcommands_set()
                            || !word.starts_with(char::is_lowercase)
                    }
                };
                assert!(is_known, "{}: `{word}` of `cargo esp-ota {call}`", page.display());
            }
        }
    }
}

#[test]
fn every_setting_and_every_variable_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("esp-ota.toml");
    fs::write(&file, "product = \"a\"\nchip = \"esp32c3\"\n").unwrap();
    let project =
        Project::load(Some(&file), folder.path(), &Overrides::default(), &|_| None).unwrap();
    let page = read("docs/reference/config.md");
    for setting in project.settings() {
        let name = setting.split(' ').next().unwrap();
        assert_eq!(rows(&page, |cell| quoted(cell) == Some(name)).len(), 1, "{name}");
    }

    let variables = |text: &str, quote: char| -> BTreeSet<String> {
        let parts = text.split(quote).filter(|part| part.starts_with("ESP_OTA_"));
        let is_name = |part: &&str| part.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        parts.filter(is_name).filter(|part| !part.ends_with('_')).map(str::to_owned).collect()
    };
    let sources = files("src", "rs").iter().map(read).collect::<String>();
    assert_eq!(variables(&page, '`'), variables(&sources, '"'));
}

#[test]
fn every_command_s_report_is_described() {
    let page = read("docs/reference/json.md");
    for (words, _) in every_command() {
        assert!(page.contains(&format!("\n## `{words}`\n")), "`{words}`");
    }
}

#[test]
fn every_kind_of_file_is_listed() {
    let page = read("docs/reference/json.md");
    let (_, section) = page.split_once("\n## `inspect`\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    for kind in Kind::ALL {
        assert!(section.contains(&format!("`{}`", kind.name())), "{kind}");
    }
}

#[test]
fn the_example_entries_decode_as_described() {
    let examples = rows(&read("docs/reference/formats.md"), |cell| {
        quoted(cell).is_some_and(|cell| cell.len() == 2 * ENTRY)
    });
    assert_eq!(examples.len(), 3);
    for cells in examples {
        let mut bytes = [0; ENTRY];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&quoted(&cells[0]).unwrap()[2 * at..2 * at + 2], 16).unwrap();
        }
        let entry = Entry::decode(&bytes);
        assert!(entry.is_sound());
        let said = (cells[1].as_str(), cells[2].as_str(), quoted(&cells[3]));
        let sequence = entry.sequence.to_string();
        assert_eq!((sequence.as_str(), entry.state.name(), entry.label.name()), said);
    }
}
