//! The command line itself: what makes no sense exits 2, and help is an answer.

use crate::harness::Project;
use crate::shape::Failed;

#[test]
fn an_unknown_command_is_a_usage_error() {
    Project::new()
        .run(["pubish"])
        .exits(2)
        .stdout("")
        .stderr(
            "error: unrecognized subcommand 'pubish'\n\n  \
             tip: a similar subcommand exists: 'publish'\n\n\
             Usage: cargo esp-ota [OPTIONS] <COMMAND>\n\n\
             For more information, try '--help'.\n",
        )
        .wrote_nothing();
}

#[test]
fn usage_errors_keep_to_the_format() {
    let project = Project::new();
    let stderr = "error: unrecognized subcommand 'pubish'\n  help: see `cargo esp-ota --help`\n";
    for arguments in [&["pubish", "--format", "json"][..], &["--format=json", "pubish"]] {
        project
            .run(arguments.iter().copied())
            .exits(2)
            .json(|failed: Failed| {
                assert_eq!(failed.command, "");
                assert_eq!(failed.error.message, "unrecognized subcommand 'pubish'");
            })
            .stderr(stderr);
    }
    project
        .run(["--format", "github", "pubish"])
        .exits(2)
        .stdout(
            "::error title=usage::unrecognized subcommand 'pubish'%0Ahelp: see `cargo esp-ota \
             --help`\n",
        )
        .stderr(stderr);
}

#[test]
fn what_makes_no_sense_exits_2_and_touches_nothing() {
    let project = Project::made();
    for arguments in [
        &[][..],
        &["check", "--chip", "esp8266"],
        &["check", "--flash-size", "3MB"],
        &["check", "-q", "-v"],
        &["check", "--format", "xml"],
        &["check", "--color", "sometimes"],
        &["check", "extra"],
        &["partitions"],
        &["partitions", "check", "--table-offset", "0xzz"],
        &["partitions", "check", "--secure-boot", "v3"],
        &["ca"],
        &["ca", "add"],
        &["ca", "add", "a.pem", "--yes", "--sha256", "00"],
        &["keys"],
        &["build", "--elf", "a.elf", "--", "--features", "x"],
        &["publish", "--channel", "Not A Name", "a.bin"],
        &["slots", "switch"],
        &["serve", "--port", "65536"],
        &["serve", "--bind", "nowhere"],
        &["serve", "--host", "not a host"],
        &["completions"],
        &["completions", "csh"],
        &["init", "a", "b"],
        &["init", "--product", "Not A Name"],
    ] {
        project
            .run(arguments.iter().copied())
            .exits(2)
            .stdout("")
            .stderr_is(|text| text.contains("Usage: ") || text.contains("error: "))
            .wrote_nothing();
    }
}

#[test]
fn help_and_version_are_answers() {
    let project = Project::new();
    project
        .run(["--version"])
        .exits(0)
        .stdout(&format!("cargo-esp-ota {}\n", env!("CARGO_PKG_VERSION")))
        .stderr("");
    project
        .run(["--help"])
        .exits(0)
        .stdout_is(|text| text.contains("Exit codes: 0 success, 1 rejected, 2 usage, 3 project"))
        .stderr("");
    for command in [
        &["init"][..],
        &["partitions"],
        &["partitions", "check"],
        &["ca", "add"],
        &["ca", "embed"],
        &["keys", "new"],
        &["build"],
        &["publish"],
        &["serve"],
        &["slots"],
        &["slots", "switch"],
        &["rollout"],
        &["virtual-device"],
        &["check"],
        &["demo"],
        &["completions"],
    ] {
        let usage = format!("Usage: cargo esp-ota {}", command.join(" "));
        project
            .run(command.iter().copied().chain(["--help"]))
            .exits(0)
            .stdout_is(|text| text.contains(&usage) && text.contains("--format <FORMAT>"))
            .stderr("")
            .wrote_nothing();
    }
}
