//! What `init` refuses in a cargo project, before it writes anything.

use crate::certificates;
use crate::harness::Project;
use crate::material;

const HEAD: &str = "[package]\nname = \"mine\"\nedition = \"2024\"\n\n[dependencies]\n";

fn with(dependencies: &str) -> Project {
    let manifest = format!("{HEAD}{dependencies}");
    Project::new().file("Cargo.toml", manifest).file("src/main.rs", "#![no_std]\n")
}

fn esp_hal() -> Project {
    with("esp-hal = { version = \"1.2\", features = [\"esp32c3\"] }\n")
}

#[track_caller]
fn refused(project: &Project, arguments: &[&str], code: i32, stderr: &str) {
    let arguments = ["init", "--yes"].iter().chain(arguments).copied();
    project.run(arguments).exits(code).stdout("").stderr(stderr).wrote_nothing();
}

#[test]
fn versions_that_do_not_go_together_are_all_named_with_both_sides() {
    refused(
        &with(
            "esp-hal = { version = \"~1.1.0\", features = [\"esp32c3\"] }\n\
             esp-println = { git = \"https://git.test/esp-hal\" }\n\
             sha2 = \"0.10\"\n\
             log = \"0.4\"\n",
        ),
        &[],
        1,
        "error: `./Cargo.toml` does not fit the update agent's modules: `esp-hal` is `~1.1.0` and \
         has to be `1.2`; `esp-println` is git `https://git.test/esp-hal` and has to be `0.18`; \
         `sha2` is `0.10` and has to be `0.11`\n  \
         help: change it to that, then run this again\n",
    );
    let old = esp_hal().edit("Cargo.toml", "2024", "2021");
    refused(
        &old,
        &[],
        1,
        "error: `./Cargo.toml` does not fit the update agent's modules: `edition` is `2021` and \
         has to be `2024`\n  \
         help: change it to that, then run this again\n",
    );
}

#[test]
fn files_in_the_way_are_all_named_and_none_is_touched() {
    let project = esp_hal()
        .file("src/platform.rs", "// mine\n")
        .file("src/tls.rs", "// mine\n")
        .file("src/ota/mod.rs", "// mine\n")
        .folder("src/roots.rs")
        .file("trust/root.json", "{}");
    refused(
        &project,
        &[],
        1,
        "error: these files exist already: `./src/platform.rs`, `./src/roots.rs`, `./src/tls.rs`, \
         `./src/ota/mod.rs`, `./trust/root.json`\n  \
         help: move them away, or choose another folder\n",
    );
}

#[test]
fn a_table_that_carries_no_updates_is_not_taken_over() {
    let project = esp_hal().file("partitions.csv", "factory,app,factory,0x10000,1M\n");
    refused(
        &project,
        &[],
        1,
        "error: `./partitions.csv` exists already, and is no table that updates could use\n  \
         caused by: cannot use the partition table: the table has no otadata partition, where the \
         bootloader reads which slot boots\n  \
         help: move it away and get one, or mend it: `cargo esp-ota partitions check \
         ./partitions.csv`\n",
    );
}

#[test]
fn what_is_no_firmware_is_refused_with_what_it_is() {
    refused(
        &Project::new().file("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n"),
        &[],
        3,
        "error: `./Cargo.toml` is a workspace without a package of its own\n  \
         help: name the folder of the firmware, `cargo esp-ota init FOLDER`: the members are `a`, \
         `b`\n",
    );
    refused(
        &Project::new().file("Cargo.toml", "[package]\nname = \"mine\"\nedition = \"2024\"\n"),
        &[],
        3,
        "error: `./Cargo.toml` depends on neither `esp-hal` nor `esp-idf-svc`\n  \
         help: make a new firmware in a folder of its own: `cargo esp-ota init NAME`\n",
    );
    refused(
        &Project::new().file("Cargo.toml", "[package]\nname = \"mine\nedition = 5\n"),
        &[],
        3,
        "error: `./Cargo.toml:2:13` is wrong: invalid basic string, expected `\"`\n",
    );
}

#[test]
fn the_chip_has_to_be_one_and_the_same_everywhere() {
    refused(
        &esp_hal(),
        &["--chip", "esp32c6"],
        1,
        "error: `--chip` says `esp32c6`, but `./Cargo.toml` says `esp32c3`\n  \
         help: make the two agree; `./Cargo.toml` is what holds\n",
    );
    refused(
        &esp_hal().file("esp-ota.toml", "product = \"a\"\nchip = \"esp32c6\"\n"),
        &[],
        1,
        "error: `./Cargo.toml` says `esp32c3`, but `./esp-ota.toml` says `esp32c6`\n  \
         help: make the two agree; `./esp-ota.toml` is what holds\n",
    );
    refused(
        &with("esp-hal = { version = \"1.2\", features = [\"esp32h2\"] }\n"),
        &[],
        1,
        "error: `./Cargo.toml` is for `esp32h2`, which has no Wi-Fi for the firmware to update \
         over\n",
    );
    refused(
        &with("esp-hal = \"1.2\"\n[features]\nesp32c3 = [\"esp-hal/esp32c3\"]\n"),
        &["--chip", "esp32c3"],
        1,
        "error: `./Cargo.toml` chooses the chip by its feature `esp32c3`, and the update agent's \
         modules are written for one chip\n  \
         help: name the chip in the features of `esp-hal` itself, then run this again\n",
    );
    refused(
        &with("esp-hal = \"1.2\"\n"),
        &[],
        2,
        "error: `./Cargo.toml` does not say for which chip the firmware is\n  \
         help: pass `--chip`\n",
    );
    // Some targets are those of one chip alone; `--chip` says the rest.
    let settings = "[build]\ntarget = \"xtensa-esp32s2-none-elf\"\n";
    for (project, arguments) in [
        (with("esp-hal = \"1.2\"\n").file(".cargo/config.toml", settings), &["init", "--yes"][..]),
        (with("esp-hal = \"1.2\"\n"), &["init", "--yes", "--chip", "esp32s2"]),
    ] {
        project
            .run(arguments.iter().copied().chain(["--no-keys"]))
            .exits(0)
            .stdout_is(|text| text.starts_with("project mine for esp32s2 "))
            .stderr_is(|text| text.contains("features = [\"esp32s2\", \"unstable\"]"));
    }
}

#[test]
fn the_command_line_does_not_change_a_project_that_is_set_up() {
    let project = Project::made().file("other.pem", certificates::root("Other Root"));
    for (arguments, said, found) in [
        (["--chip", "esp32c6"], "`--chip` says `esp32c6`", "`esp32c3`"),
        (["--product", "kettle"], "`--product` says `kettle`", "`thermostat`"),
        (["--flash-size", "8MB"], "`--flash-size` says `8MB`", "`4MB`"),
        (
            ["--url", "https://other.test"],
            "`--url` says `https://other.test`",
            "`https://updates.test/t`",
        ),
    ] {
        refused(
            &project,
            &arguments,
            1,
            &format!(
                "error: {said}, but `./esp-ota.toml` says {found}\n  \
                 help: make the two agree; `./esp-ota.toml` is what holds\n"
            ),
        );
    }
    refused(
        &project,
        &["--root-ca", "other.pem"],
        1,
        "error: `./esp-ota.toml` pins other roots than `other.pem`\n  \
         help: pin another with `cargo esp-ota ca add other.pem`\n",
    );
    let project = project.file("same.pem", material::bench_root());
    let same = ["--chip", "ESP32-C3", "--product", "thermostat", "--url", "https://updates.test/t"];
    project
        .run(["init"].into_iter().chain(same))
        .exits(0)
        .stdout_is(|text| text.contains("nothing was changed"))
        .stderr("")
        .wrote_nothing();
}

#[test]
fn modules_of_two_versions_of_the_tool_are_not_mixed() {
    let mark = concat!("cargo-esp-ota ", env!("CARGO_PKG_VERSION"));
    let project = Project::made().edit("Cargo.toml", mark, "cargo-esp-ota 0.0.1");
    project
        .run(["init"])
        .exits(0)
        .stdout_is(|text| text.contains("nothing was changed"))
        .stderr("")
        .wrote_nothing();
    refused(
        &project.without("src/ota/trial.rs"),
        &[],
        1,
        "error: `./Cargo.toml` has the modules of cargo-esp-ota 0.0.1, and these are missing: \
         `src/ota/trial.rs`\n  \
         help: take them from your version control; files of another version do not go with those \
         that are there\n",
    );
}
