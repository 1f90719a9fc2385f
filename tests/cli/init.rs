//! `init`.

use crate::certificates;
use crate::harness::Project;
use crate::material;
use crate::shape::{Failed, Init};

#[test]
fn an_empty_folder_becomes_a_project_that_passes_its_own_check() {
    let project = Project::new().file("root.pem", material::bench_root());
    project
        .run(["init", "thermostat", "--url", "https://updates.test/t", "--root-ca", "root.pem"])
        .exits(0)
        .stdout(&format!(
            "project thermostat for esp32c3 in `thermostat`\n  \
             esp-ota.toml\n  src/ota_config.rs\n  partitions.csv\n  src/roots.rs\n  \
             certs/root.pem\n  Cargo.toml\n  README.md\n  .cargo/config.toml\n  .gitignore\n  \
             .rustfmt.toml\n  build.rs\n  src/main.rs\n  src/heap.rs\n  rust-toolchain.toml\n  \
             src/tls.rs\n  trust/root.json\n  src/net/: 2 files\n  \
             src/ota/: the update agent, {} files\n  src/platform/: 9 files\n  \
             src/updates/: 3 files\n\
             signing keys in [ROOT]/configuration/esp-ota/keys/thermostat: keep a copy\n\
             next:\n  cd thermostat\n  cargo esp-ota build\n  cargo esp-ota flash\n  cargo esp-ota publish\n",
            cargo_esp_ota::agent::sources().count()
        ))
        .stderr("");
    project
        .run(["--config", "thermostat/esp-ota.toml", "check"])
        .exits(0)
        .stdout_is(|text| {
            text.lines().all(|line| line.contains(": ok: ") || line.contains(": skipped: "))
        })
        .stderr("");
}

#[test]
fn in_json_every_file_is_named_and_is_there() {
    let project = Project::new();
    let mut files = Vec::new();
    project
        .run(["init", "--product", "kettle", "--chip", "esp32s3", "--format", "json"])
        .exits(0)
        .json(|report: Init| {
            assert_eq!((report.command.as_str(), report.chip.as_str()), ("init", "esp32s3"));
            assert!(report.firmware);
            assert_eq!(report.base, "esp-hal");
            assert!(report.kept.is_empty() && report.changed.is_empty());
            assert!(report.by_hand.is_empty());
            assert_eq!(report.pinned, 0);
            assert!(report.keys.is_some());
            assert!(report.next.contains(&"cargo esp-ota ca add ROOT.pem".to_owned()));
            files = report.files;
        })
        .stderr("");
    for file in files {
        assert!(project.path(&file).is_file(), "{file}");
    }
    let text = project.read("esp-ota.toml");
    assert!(text.contains("chip = \"esp32s3\"\n"), "{text}");
}

#[test]
fn every_chip_with_wifi_gets_its_own_firmware_and_the_others_none() {
    for (chip, target, channel) in [
        ("esp32", "xtensa-esp32-none-elf", "esp"),
        ("esp32s2", "xtensa-esp32s2-none-elf", "esp"),
        ("esp32s3", "xtensa-esp32s3-none-elf", "esp"),
        ("esp32c2", "riscv32imc-unknown-none-elf", "stable"),
        ("esp32c3", "riscv32imc-unknown-none-elf", "stable"),
        ("esp32c5", "riscv32imac-unknown-none-elf", "stable"),
        ("esp32c6", "riscv32imac-unknown-none-elf", "stable"),
        ("esp32c61", "riscv32imac-unknown-none-elf", "stable"),
    ] {
        let project = Project::new();
        project.run(["init", "a", "--chip", chip, "--no-keys"]).exits(0).stderr("");
        let toml = |file: &str| -> toml::Table { project.read(file).parse().unwrap() };
        let manifest = toml("a/Cargo.toml");
        let hal = &manifest["dependencies"]["esp-hal"]["features"];
        assert!(hal.as_array().unwrap().iter().any(|it| it.as_str() == Some(chip)), "{hal}");
        let tool = concat!("cargo-esp-ota ", env!("CARGO_PKG_VERSION"));
        let mark = &manifest["package"]["metadata"]["esp-ota"]["generated-by"];
        assert_eq!(mark.as_str(), Some(tool));
        let settings = toml("a/.cargo/config.toml");
        assert_eq!(settings["build"]["target"].as_str(), Some(target));
        assert_eq!(toml("a/rust-toolchain.toml")["toolchain"]["channel"].as_str(), Some(channel));
        assert_eq!(toml("a/esp-ota.toml")["chip"].as_str(), Some(chip));
        let id = project.read("a/src/ota_config.rs");
        assert!(id.contains(&format!("CHIP: &str = \"{chip}\"")), "{id}");
        project.run(["--config", "a/esp-ota.toml", "partitions", "check"]).exits(0).stderr("");
    }
    for chip in ["esp32h2", "esp32p4"] {
        Project::new()
            .run(["init", "a", "--chip", chip])
            .exits(2)
            .stdout("")
            .stderr(&format!(
                "error: `{chip}` has no Wi-Fi, which the firmware would update over\n  \
                 help: choose another chip with `--chip`\n"
            ))
            .wrote_nothing();
    }
}

#[test]
fn every_size_of_flash_gets_a_table_that_is_sound() {
    for size in ["1MB", "2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB"] {
        let project = Project::new();
        project.run(["init", "a", "--flash-size", size, "--no-keys"]).exits(0).stderr("");
        project.run(["--config", "a/esp-ota.toml", "partitions", "check"]).exits(0).stderr("");
    }
}

#[test]
fn a_run_that_was_cut_short_goes_on_where_it_stopped() {
    let project = Project::new();
    project.run(["init", "--product", "kettle", "--no-keys"]).exits(0).stderr("");
    // The manifest is written last: without it, the rest is an unfinished project.
    let manifest = project.read("Cargo.toml");
    let project = project.without("Cargo.toml").without("src/main.rs");
    project
        .run(["init", "--product", "kettle", "--no-keys"])
        .exits(0)
        .stdout_is(|text| text.starts_with("project kettle for esp32c3 in `.`\n  Cargo.toml\n"))
        .stderr("")
        .changed(&["Cargo.toml", "src/main.rs"]);
    assert_eq!(project.read("Cargo.toml"), manifest);
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    // Whatever is on standard input, it is no answer.
    let project = Project::new().input("esp32c6\nkettle\n\n\n");
    project
        .run(["init", "thermostat", "--no-keys"])
        .exits(0)
        .stdout_is(|text| text.starts_with("project thermostat for esp32c3 in `thermostat`\n"))
        .stderr("");
}

#[test]
fn without_keys_none_are_made_and_build_says_which_command_makes_them() {
    let project = Project::new().file("a.elf", material::elf("1.0.0"));
    project
        .run(["init", "--product", "kettle", "--no-keys"])
        .exits(0)
        .stdout_is(|text| text.contains("  cargo esp-ota keys new\n") && !text.contains("signing"))
        .stderr("");
    assert!(!project.around("configuration/esp-ota").exists());
    project
        .run(["build", "--elf", "a.elf"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: there is no `trust/root.json`: the firmware could not verify any release\n  \
             help: make signing keys with `cargo esp-ota keys new`\n",
        )
        .wrote_nothing();
}

#[test]
fn files_in_the_way_are_all_named_and_none_is_touched() {
    Project::new()
        .file("partitions.csv", "mine\n")
        .file("src/main.rs", "fn main() {}\n")
        .file("trust/root.json", "{}")
        .run(["init", "--product", "kettle"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: these files exist already: `./partitions.csv`, `./src/main.rs`, \
             `./trust/root.json`\n  \
             help: move them away, or choose another folder\n",
        )
        .wrote_nothing();
}

#[test]
fn what_cannot_become_a_project_leaves_nothing_behind() {
    let inside_git = Project::new();
    std::fs::create_dir(inside_git.around(".git")).unwrap();
    let cases: [(Project, &[&str], i32, &str); 7] = [
        (
            Project::new(),
            &["init", "Not A Name"],
            2,
            "error: the folder's name `Not A Name` is no product name\n  \
             help: pass `--product NAME`\n",
        ),
        (
            Project::new(),
            &["init", "a", "--chip", "esp32h2"],
            2,
            "error: `esp32h2` has no Wi-Fi, which the firmware would update over\n  \
             help: choose another chip with `--chip`\n",
        ),
        (
            Project::new(),
            &["init", "a", "--url", "http://updates.test"],
            2,
            "error: invalid value 'http://updates.test' for '--url <URL>': it does not begin with \
             `https://`; write `https://host/path`, without user, query or fragment\n\n\
             For more information, try '--help'.\n",
        ),
        (
            Project::new().file("root.pem", certificates::expired("Old Root")),
            &["init", "a", "--root-ca", "root.pem"],
            6,
            "error: `CN=Old Root` in `root.pem` cannot be a pinned root\n  \
             caused by: it ended on [TIME], and it is [TIME]\n  \
             help: pin the root that replaces it with `cargo esp-ota ca add FILE`, and publish a \
             release that carries it\n",
        ),
        (
            Project::new().env("XDG_CONFIG_HOME", "").env("HOME", "").env("APPDATA", ""),
            &["init", "a"],
            3,
            "error: the environment names no home folder\n  \
             help: set `HOME`, or `XDG_CONFIG_HOME` to an absolute path\n",
        ),
        (
            inside_git,
            &["init", "a"],
            1,
            "error: `[ROOT]/configuration/esp-ota/keys/a/root.pem` lies in the git work tree \
             `[ROOT]`, which does not ignore it\n  \
             help: let git ignore `[ROOT]/configuration/esp-ota/keys/a/root.pem`, or set \
             `XDG_CONFIG_HOME` to a folder outside `[ROOT]`\n",
        ),
        (
            Project::new().file("file", "in the way"),
            &["init", "file/a", "--no-keys"],
            5,
            "error: `file/a/esp-ota.toml` could not be written\n  \
             caused by: [SYSTEM]\n  \
             help: check the path, and that you may write there; the disk may be full\n",
        ),
    ];
    for (project, arguments, code, stderr) in cases {
        project
            .run(arguments.iter().copied())
            .exits(code)
            .stdout("")
            .stderr(stderr)
            .wrote_nothing();
        if code != 2 {
            // clap words usage errors for people; the other formats have ours, tested in `usage`.
            project
                .run(arguments.iter().copied().chain(["--format", "json"]))
                .exits(code)
                .json(|failed: Failed| assert_eq!(failed.command, "init"))
                .stderr(stderr)
                .wrote_nothing();
        }
    }
}
