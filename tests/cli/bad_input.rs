//! What every command owes to a user whose project is missing or broken: the designed exit code,
//! words with a remedy, a clean standard output, and an untouched folder.

use crate::certificates;
use crate::harness::Project;
use crate::material;
use crate::shape::Failed;

/// Every command that needs a project, and the word its reports carry.
const IN_A_PROJECT: [(&[&str], &str); 15] = [
    (&["partitions", "check"], "partitions check"),
    (&["ca", "add", "root.pem", "--yes"], "ca add"),
    (&["ca", "embed"], "ca embed"),
    (&["ca", "embed", "--check"], "ca embed"),
    (&["keys", "new"], "keys new"),
    (&["keys", "list"], "keys list"),
    (&["keys", "rotate"], "keys rotate"),
    (&["keys", "export"], "keys export"),
    (&["build"], "build"),
    (&["publish", "image.bin"], "publish"),
    (&["publish"], "publish"),
    (&["rollout", "show"], "rollout show"),
    (&["rollout", "halt"], "rollout halt"),
    (&["serve", "--port", "0"], "serve"),
    (&["check"], "check"),
];

/// Runs every command of a project in the same broken one, in every format.
#[track_caller]
fn every_command_fails(project: &Project, code: i32, stderr: &str, annotation: &str) {
    for (arguments, name) in IN_A_PROJECT {
        let in_format = |format| arguments.iter().copied().chain(["--format", format]);
        project
            .run(arguments.iter().copied())
            .exits(code)
            .stdout("")
            .stderr(stderr)
            .wrote_nothing();
        project
            .run(in_format("json"))
            .exits(code)
            .json(|failed: Failed| assert_eq!(failed.command, name))
            .stderr(stderr)
            .wrote_nothing();
        project.run(in_format("github")).exits(code).stdout(annotation).stderr(stderr);
    }
}

#[test]
fn outside_a_project_every_command_says_how_to_get_one() {
    let project = Project::new().file("root.pem", material::bench_root());
    every_command_fails(
        &project,
        3,
        "error: there is no `esp-ota.toml` in `[WORK]` or a folder above it\n  \
         help: run it in a project, pass `--config FILE`, or make one with `cargo esp-ota init`\n",
        "::error title=project::there is no `esp-ota.toml` in `[WORK]` or a folder above it%0A\
         help: run it in a project, pass `--config FILE`, or make one with `cargo esp-ota init`\n",
    );
}

#[test]
fn a_misspelt_key_is_refused_with_its_place_and_what_was_meant() {
    let project = Project::made().file("root.pem", certificates::root("Another")).edit(
        "esp-ota.toml",
        "flash-size",
        "flash-sise",
    );
    every_command_fails(
        &project,
        3,
        "error: `esp-ota.toml:4:1` is wrong: unknown field `flash-sise`, expected one of \
         `product`, `chip`, `flash-size`, `partitions`, `trust`, `release`, `report`\n  \
         help: did you mean `flash-size`?\n",
        "::error file=esp-ota.toml,line=4,col=1,title=project::`esp-ota.toml:4:1` is wrong: unknown \
         field `flash-sise`, expected one of `product`, `chip`, `flash-size`, `partitions`, \
         `trust`, `release`, `report`%0Ahelp: did you mean `flash-size`?\n",
    );
}

#[test]
fn every_way_to_break_the_project_file_has_its_words() {
    let cases = [
        (
            "chip = \"esp8266\"\n",
            "error: `esp-ota.toml:1:8` is wrong: `esp8266` is not a known chip\n",
        ),
        (
            "product = \"t\"\n[trust\n",
            "error: `esp-ota.toml:2:7` is wrong: unclosed table, expected `]`\n",
        ),
        (
            "product = \"../t\"\n",
            "error: `esp-ota.toml:1:11` is wrong: `../t` is not a name: use lower-case letters, \
             digits, `-` and `_`, 32 at most, beginning with a letter or digit\n",
        ),
        (
            "product = \"t\"\nflash-size = \"3MB\"\n",
            "error: `esp-ota.toml:2:14` is wrong: `3MB` is not a flash size: 1MB, 2MB, 4MB, 8MB, \
             16MB, 32MB, 64MB or 128MB\n",
        ),
        (
            "chip = \"esp32c3\"\n",
            "error: `esp-ota.toml` does not say `product`\n  \
             help: add a line such as `product = \"…\"`\n",
        ),
        (
            "product = \"t\"\nchip = \"esp32c3\"\n[release]\nurl = \"http://t.test\"\n",
            "error: `release.url` is `http://t.test`, which devices do not take (from \
             `esp-ota.toml:4:7`)\n  caused by: it does not begin with `https://`\n  \
             help: write `https://host/path`, without user, query or fragment\n",
        ),
        (
            "",
            "error: `esp-ota.toml` does not say `product`\n  \
             help: add a line such as `product = \"…\"`\n",
        ),
    ];
    for (text, stderr) in cases {
        Project::new()
            .file("esp-ota.toml", text)
            .run(["check"])
            .exits(3)
            .stdout("")
            .stderr(stderr)
            .wrote_nothing();
    }
}

#[test]
fn a_project_file_that_is_no_text_or_far_too_large_is_refused() {
    for (bytes, cause) in [
        (vec![0xff, 0xfe, 0x00], "it is not UTF-8 text"),
        (vec![b'#'; 64 * 1024 + 1], "larger than 65536 bytes"),
    ] {
        Project::new()
            .file("esp-ota.toml", bytes)
            .run(["check"])
            .exits(3)
            .stdout("")
            .stderr(&format!("error: `esp-ota.toml` could not be read\n  caused by: {cause}\n"))
            .wrote_nothing();
    }
}

#[test]
fn a_named_project_file_that_is_missing_or_a_folder_is_refused() {
    let project = Project::new().folder("folder");
    for file in ["none.toml", "folder"] {
        project
            .run(["--config", file, "check"])
            .exits(3)
            .stdout("")
            .stderr_is(|text| {
                text.starts_with(&format!("error: `{file}` could not be read\n  caused by: "))
            })
            .wrote_nothing();
    }
}

#[test]
fn a_bad_environment_variable_is_named() {
    Project::made()
        .env("ESP_OTA_CHIP", "pdp11")
        .run(["check"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: `ESP_OTA_CHIP` in the environment is wrong\n  \
             caused by: `pdp11` is not a known chip\n  \
             help: correct `ESP_OTA_CHIP`, or unset it\n",
        )
        .wrote_nothing();
}

/// Commands that take a file, with `FILE` where it goes.
const WITH_A_FILE: [&[&str]; 7] = [
    &["partitions", "check", "FILE"],
    &["ca", "add", "FILE", "--yes"],
    &["build", "--elf", "FILE"],
    &["publish", "FILE"],
    &["inspect", "FILE"],
    &["slots", "--image", "FILE"],
    &["init", "new", "--root-ca", "FILE"],
];

#[test]
fn a_missing_file_is_named_and_so_is_a_remedy() {
    let project = Project::made();
    for arguments in WITH_A_FILE {
        project
            .run(arguments.iter().map(|word| if *word == "FILE" { "none" } else { word }))
            .exits(3)
            .stdout("")
            .stderr_is(|text| {
                text.starts_with(
                    "error: `none` could not be read\n  \
                     caused by: [SYSTEM]\n  \
                     help: check the path",
                ) && text.lines().count() == 3
            })
            .wrote_nothing();
    }
}

#[test]
fn a_folder_is_no_file() {
    let project = Project::made().folder("folder");
    for arguments in WITH_A_FILE {
        project
            .run(arguments.iter().map(|word| if *word == "FILE" { "folder" } else { word }))
            .exits(3)
            .stdout("")
            .stderr_is(|text| {
                text.starts_with("error: `folder` could not be read\n  caused by: ")
                    && text.contains("\n  help: ")
            })
            .wrote_nothing();
    }
}

#[test]
fn a_file_that_is_missing_is_annotated() {
    Project::made().run(["publish", "none.bin", "--format", "github"]).exits(3).stdout_is(|text| {
        text.starts_with("::error file=none.bin,title=project::`none.bin` could not be read%0A")
    });
}
