//! Formats, verbosity, colour and broken pipes: the same for every command.

use std::process::Stdio;

use crate::harness::Project;
use crate::material;
use crate::shape::{Failed, Location};

const BAD: &str = "product = \"t\"\nchip = \"esp32c3\"\nflash-sise = \"4MB\"\n";

#[test]
fn a_failure_in_json_is_one_object_with_place_and_remedy() {
    Project::new()
        .file("esp-ota.toml", BAD)
        .run(["check", "--format", "json"])
        .exits(3)
        .json(|failed: Failed| {
            assert_eq!(failed.command, "check");
            assert_eq!(
                (failed.schema, failed.outcome.as_str(), failed.exit_code),
                (1, "project", 3)
            );
            assert_eq!(failed.error.help.as_deref(), Some("did you mean `flash-size`?"));
            let file = "esp-ota.toml".into();
            let location = Location { file, line: Some(3), column: Some(1) };
            assert_eq!(failed.error.location, Some(location));
            assert!(failed.error.message.contains("flash-sise"), "{}", failed.error.message);
            assert!(failed.error.caused_by.is_empty());
        })
        .wrote_nothing();
}

#[test]
fn a_failure_on_github_is_annotated_on_file_and_line() {
    Project::new()
        .file("esp-ota.toml", BAD)
        .run(["check", "--format", "github"])
        .exits(3)
        .stdout(
            "::error file=esp-ota.toml,line=3,col=1,title=project::`esp-ota.toml:3:1` is wrong: \
             unknown field `flash-sise`, expected one of `product`, `chip`, `flash-size`, \
             `partitions`, `trust`, `release`, `report`%0Ahelp: did you mean `flash-size`?\n",
        )
        .stderr_is(|text| text.starts_with("error: "))
        .wrote_nothing();
}

#[test]
fn quiet_drops_status_and_twice_quiet_drops_help() {
    let image = material::image("1.0.0");
    let publish = |flag: &[&'static str]| {
        let project = Project::made().file("a.bin", &image);
        project.run(["publish", "a.bin"].into_iter().chain(flag.iter().copied())).exits(0)
    };
    publish(&[]).stderr("rehearsing esp32c3 with the device's own agent\n");
    publish(&["-q"]).stderr("");
    let fail = |flag: &[&'static str]| {
        let project = Project::new();
        project.run(["check"].into_iter().chain(flag.iter().copied())).exits(3).stdout("")
    };
    let error = "error: there is no `esp-ota.toml` in `[WORK]` or a folder above it\n";
    let help = "  help: run it in a project, pass `--config FILE`, or make one with `cargo esp-ota \
                init`\n";
    fail(&["-q"]).stderr(&format!("{error}{help}"));
    fail(&["-qq"]).stderr(error);
    fail(&["-q", "-q"]).stderr(error);
}

#[test]
fn verbose_says_what_was_decided_and_from_where() {
    Project::made()
        .env("ESP_OTA_STORE", "dir:elsewhere")
        .run(["check", "-v", "--flash-size", "8MB"])
        .exits(0)
        .stderr(
            "product thermostat, from `esp-ota.toml`\n\
             chip esp32c3, from `esp-ota.toml`\n\
             flash-size 8MB, from `--flash-size`\n\
             partitions partitions.csv, from `esp-ota.toml`\n\
             partitions.allow [], from the default\n\
             trust.roots [certs/root.pem], from `esp-ota.toml`\n\
             trust.embed [src/roots.rs], from `esp-ota.toml`\n\
             release.url https://updates.test/t, from `esp-ota.toml`\n\
             release.store dir:elsewhere, from `ESP_OTA_STORE`\n\
             release.channel stable, from `esp-ota.toml`\n\
             release.keep (all), from the default\n\
             report.url (none), from the default\n",
        )
        .stdout_is(|text| text.contains("nothing is published in dir:elsewhere"))
        .wrote_nothing();
}

#[test]
fn colour_is_the_flag_s_then_no_color_s_then_cargo_s_word() {
    let has_colour = |project: Project, flag: &[&'static str]| {
        let mut coloured = None;
        project
            .run(["check"].into_iter().chain(flag.iter().copied()))
            .exits(3)
            .stdout("")
            .stderr_is(|text| {
                coloured = Some(text.contains('\u{1b}'));
                text.contains("there is no `esp-ota.toml`")
            })
            .wrote_nothing();
        coloured.unwrap()
    };
    let new = Project::new;
    // No terminal: no colour.
    assert!(!has_colour(new(), &[]));
    assert!(has_colour(new(), &["--color", "always"]));
    assert!(has_colour(new().env("NO_COLOR", "1"), &["--color", "always"]));
    assert!(has_colour(new().env("CARGO_TERM_COLOR", "always"), &[]));
    assert!(!has_colour(new().env("CARGO_TERM_COLOR", "always"), &["--color", "never"]));
    assert!(!has_colour(new().env("CARGO_TERM_COLOR", "always").env("NO_COLOR", "1"), &[]));
    // https://no-color.org: set to something that is not empty.
    assert!(has_colour(new().env("CARGO_TERM_COLOR", "always").env("NO_COLOR", ""), &[]));
}

#[test]
fn colour_never_reaches_json_or_annotations() {
    for format in ["json", "github"] {
        Project::made()
            .run(["check", "--color", "always", "--format", format])
            .exits(0)
            .stdout_is(|text| !text.contains('\u{1b}'))
            .stderr("");
    }
    Project::made()
        .run(["check", "--color", "always"])
        .exits(0)
        .stdout_is(|text| text.starts_with("partitions: \u{1b}["));
}

/// Standard output whose reader went away before the first byte: `| head -c 0`.
fn closed() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let project = Project::made().file("flash.bin", material::dump("2-updated")).output(closed);
    for arguments in [
        &["check"][..],
        &["check", "--format", "json"],
        &["check", "--format", "github"],
        &["partitions", "check"],
        &["ca", "embed"],
        &["slots", "--image", "flash.bin"],
        &["completions", "bash"],
        &["demo", "-q"],
    ] {
        project.run(arguments.iter().copied()).exits(0).stdout("").stderr("");
    }
    // It changes nothing about the answer either.
    let project = Project::new().output(closed);
    project.run(["check", "--format", "json"]).exits(3).stderr_is(|text| text.starts_with("error"));
}

/// A device that is always full.
#[cfg(target_os = "linux")]
fn full() -> Stdio {
    std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let project = Project::made().output(full);
    for arguments in [&["check"][..], &["check", "--format", "json"], &["completions", "zsh"]] {
        project.run(arguments.iter().copied()).exits(5).stderr(
            "error: standard output could not be written\n  \
             caused by: [SYSTEM]\n",
        );
    }
}

#[test]
fn it_works_as_cargo_runs_it() {
    let project = Project::made();
    let alone = "partition table is sound\n";
    for arguments in [&["esp-ota", "partitions", "check"][..], &["partitions", "check"]] {
        project
            .run(arguments.iter().copied())
            .exits(0)
            .stdout_is(|text| text.ends_with(alone))
            .stderr("")
            .wrote_nothing();
    }
}

#[test]
fn a_project_is_found_from_a_folder_inside_it() {
    let project = Project::made();
    let mut command = project.command(["check"]);
    let done = command.current_dir(project.path("src/ota")).output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.starts_with("partitions: ok: 2 slots, sound\n"), "{text}");
}

#[test]
fn a_project_can_be_named_from_outside() {
    Project::made()
        .run(["--config", "../work/esp-ota.toml", "ca", "embed"])
        .exits(0)
        .stdout("1 pinned root in `../work/src/roots.rs`: up to date\n")
        .stderr("")
        .wrote_nothing();
}
