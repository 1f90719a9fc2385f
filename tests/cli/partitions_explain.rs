//! `partitions explain`, and the pages that it prints: every example in them is run.

use crate::harness::Project;
use crate::shape::{Explain, Failed};

#[test]
fn a_code_leads_to_its_page() {
    let page = include_str!("../../docs/reference/findings/slot-gap.md");
    let project = Project::new();
    project
        .run(["partitions", "explain", "slot-gap"])
        .exits(0)
        .stdout(page)
        .stderr("")
        .wrote_nothing();
    project
        .run(["partitions", "explain", "slot-gap", "--format", "json"])
        .exits(0)
        .json(|report: Explain| {
            assert_eq!(report.page.as_deref(), Some(page));
            let [code] = report.codes.as_slice() else { panic!("{report:?}") };
            assert_eq!((code.code.as_str(), code.severity.as_str()), ("slot-gap", "error"));
            assert!(page.contains(&format!("\n{}\n", code.summary)));
        })
        .stderr("");
}

#[test]
fn without_a_code_all_are_listed_with_one_line_each() {
    let project = Project::new();
    let mut listed = Vec::new();
    project
        .run(["partitions", "explain", "--format", "json"])
        .exits(0)
        .json(|report: Explain| {
            assert_eq!(report.page, None);
            listed = report.codes;
        })
        .stderr("");
    assert!(listed.len() > 70);
    project
        .run(["partitions", "explain"])
        .exits(0)
        .stdout_is(|text| {
            text.lines().count() == listed.len()
                && text.lines().zip(&listed).all(|(line, listed)| {
                    let words: Vec<&str> = line.split_whitespace().take(2).collect();
                    words == [&listed.code, &listed.severity] && line.ends_with(&listed.summary)
                })
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn an_unknown_code_is_refused_with_the_one_that_was_likely_meant() {
    let project = Project::new();
    project
        .run(["partitions", "explain", "slot-gpa"])
        .exits(2)
        .stdout("")
        .stderr_is(|text| text.contains("; did you mean `slot-gap`?\n"))
        .wrote_nothing();
    project
        .run(["partitions", "explain", "weather", "--format", "json"])
        .exits(2)
        .json(|failed: Failed| {
            assert!(failed.error.message.contains("`weather` is not the code of a finding"));
        })
        .stderr_is(|text| !text.contains("did you mean"))
        .wrote_nothing();
}

/// The examples of the pages are command lines for a shell.
#[cfg(unix)]
mod examples {
    use std::collections::BTreeSet;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::Command;

    use cargo_esp_ota::partition::Code;

    use crate::harness::Project;
    use crate::material;

    /// Longer answers are shown by their first and last lines.
    const LONGEST: usize = 40;
    const FIRST: usize = 3;
    const LAST: usize = 6;

    /// The text of a page and its code blocks, in turn; a block begins with its kind.
    fn blocks(text: &str) -> Vec<&str> {
        text.split("```").collect()
    }

    /// A shell that finds this program behind `cargo`.
    struct Shell {
        project: Project,
    }

    impl Shell {
        fn new() -> Self {
            let script = format!(
                "#!/bin/sh\nshift\nexec '{}' \"$@\"\n",
                env!("CARGO_BIN_EXE_cargo-esp-ota")
            );
            let project = Project::new()
                .file("firmware.bin", material::image("1.0.0"))
                .file("../bin/cargo", script);
            let program = project.around("bin/cargo");
            fs::set_permissions(program, Permissions::from_mode(0o755)).unwrap();
            Self { project }
        }

        fn run(&self, line: &str) -> String {
            let system = std::env::var("PATH").unwrap();
            let done = Command::new("sh")
                .args(["-c", &format!("{line} 2>&1")])
                .current_dir(self.project.path(""))
                .env_clear()
                .env("PATH", format!("{}:{system}", self.project.around("bin").display()))
                .output()
                .unwrap();
            String::from_utf8(done.stdout).unwrap()
        }

        /// Runs the commands of a block. Gives what the block should say, and the codes in it.
        fn console(&self, block: &str) -> (String, BTreeSet<String>) {
            let (mut text, mut codes) = (String::from("console\n"), BTreeSet::new());
            for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
                let answer = self.run(line);
                let severities = ["error[", "warning[", "note["];
                codes.extend(answer.lines().filter_map(|line| {
                    let rest = severities.iter().find_map(|word| line.strip_prefix(word))?;
                    Some(rest.split(']').next()?.to_owned())
                }));
                let lines: Vec<&str> = answer.lines().collect();
                text.push_str(&format!("$ {line}\n"));
                if lines.len() > LONGEST {
                    let (first, last) = (&lines[..FIRST], &lines[lines.len() - LAST..]);
                    text.push_str(&format!("{}\n…\n{}\n", first.join("\n"), last.join("\n")));
                } else {
                    text.push_str(&answer);
                }
            }
            (text, codes)
        }

        fn hex(&self, block: &str) {
            let digits = block.lines().skip(1).flat_map(str::split_whitespace);
            let bytes = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap());
            fs::write(self.project.path("table.bin"), bytes.collect::<Vec<u8>>()).unwrap();
        }

        /// Does what the examples of a part of a page say, and gives the part as it should be,
        /// with the codes that were found.
        fn follow(&self, part: &str) -> (String, BTreeSet<String>) {
            let (mut parts, mut found) = (Vec::new(), BTreeSet::new());
            for (index, block) in blocks(part).into_iter().enumerate() {
                let (kind, content) = block.split_once('\n').unwrap_or_default();
                match kind {
                    _ if index % 2 == 0 => {}
                    "csv" => fs::write(self.project.path("table.csv"), content).unwrap(),
                    "hex" => self.hex(block),
                    "sh" => assert_eq!(self.run(content), ""),
                    "console" => {
                        let (text, codes) = self.console(block);
                        found.extend(codes);
                        parts.push(text);
                        continue;
                    }
                    "toml" => {}
                    other => panic!("nobody knows what to do with `{other}`"),
                }
                parts.push(block.to_owned());
            }
            (parts.join("```"), found)
        }
    }

    /// The codes that a page says come along with its own.
    fn companions(page: &str) -> BTreeSet<String> {
        let line = page.lines().find(|line| line.starts_with("It comes with ")).unwrap_or_default();
        line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn every_page_has_an_example_that_is_found_and_a_mended_one_that_is_not() {
        let shell = Shell::new();
        let mut stale = Vec::new();
        for code in Code::ALL {
            let page = code.page();
            let Some((bad, mended)) = page.split_once("\nMended:\n") else { panic!("{code}") };
            let (bad_now, found) = shell.follow(bad);
            if *code == Code::FileTooLarge {
                // The command does not even read such a file.
                assert!(found.is_empty() && bad_now.contains("larger than 1048576 bytes"));
            } else {
                let mut expected = companions(page);
                expected.insert(code.name().to_owned());
                assert_eq!(found, expected, "the example of {code}");
            }
            let (mended_now, found) = shell.follow(mended);
            assert!(!found.contains(code.name()), "the mended example of {code}");
            let now = format!("{bad_now}\nMended:\n{mended_now}");
            if now != page {
                let file = format!("docs/reference/findings/{code}.md");
                if std::env::var_os("UPDATE_DOCS").is_some() {
                    fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file), now).unwrap();
                }
                stale.push(file);
            }
        }
        assert!(
            stale.is_empty(),
            "the program says something else now: UPDATE_DOCS=1 cargo test --test cli examples\n{}",
            stale.join("\n")
        );
    }
}
