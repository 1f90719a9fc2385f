//! `init` in a cargo project that is there already.

use crate::harness::Project;
use crate::material;
use crate::shape::Init;

/// As esp-generate writes it: a library beside the program.
const GENERATED: &str = r#"# A kettle.
[package]
name = "smart-kettle"
version = "0.3.0"
edition = "2024"

[[bin]]
name = "smart-kettle"
path = "./src/bin/main.rs"

[dependencies]
esp-hal = { version = "~1.2.0", features = [
    # soldered on
    "esp32c6",
] }
esp-bootloader-esp-idf = { version = "0.6.0", features = ["esp32c6"] }
critical-section = "1.2.0" # for now

# Size matters.
[profile.release]
lto = "fat"
"#;

fn generated() -> Project {
    Project::new()
        .file("Cargo.toml", GENERATED)
        .file("build.rs", "fn main() {}\n")
        .file("src/lib.rs", "#![no_std]\n")
        .file(
            "src/bin/main.rs",
            "#![no_std]\n#![no_main]\nesp_bootloader_esp_idf::esp_app_desc!();\n",
        )
        .file(
            ".cargo/config.toml",
            "[target.riscv32imac-unknown-none-elf]\nrunner = \"espflash flash --monitor\"\n",
        )
}

/// A program without a library, and all else as small as can be.
fn plain() -> Project {
    let manifest = "[package]\nname = \"mine\"\nedition = \"2024\"\n\n[dependencies]\n\
                    esp-hal = { version = \"1.2\", features = [\"esp32c3\"] }\n";
    Project::new().file("Cargo.toml", manifest).file("src/main.rs", "#![no_std]\n")
}

const DIFFERENCE: &str = r#"--- a/Cargo.toml
+++ b/Cargo.toml
@@ -4,6 +4,9 @@
 version = "0.3.0"
 edition = "2024"
 
+[package.metadata.esp-ota]
+generated-by = "cargo-esp-ota [VERSION]"
+
 [[bin]]
 name = "smart-kettle"
 path = "./src/bin/main.rs"
@@ -12,10 +15,[N] @@
 esp-hal = { version = "~1.2.0", features = [
     # soldered on
     "esp32c6",
+    "unstable",
 ] }
 esp-bootloader-esp-idf = { version = "0.6.0", features = ["esp32c6"] }
 critical-section = "1.2.0" # for now
 
+# The update agent and its modules
"#;

#[test]
fn an_esp_hal_project_gets_the_agent_and_keeps_what_it_has() {
    let project = generated();
    let mut difference = String::new();
    project
        .run(["init", "--yes", "--no-keys"])
        .exits(0)
        .stdout(&format!(
            "project smart-kettle for esp32c6 in `.`\n  \
             esp-ota.toml\n  src/ota_config.rs\n  partitions.csv\n  src/roots.rs\n  \
             src/tls.rs\n  src/ota/: the update agent, {} files\n  src/platform/: 8 files\n  \
             src/updates/: 3 files\n  Cargo.toml: changed\n\
             put into `src/lib.rs`:\n  \
             // the agent and its modules allocate\n  \
             extern crate alloc;\n  \
             pub mod ota; pub mod ota_config; pub mod platform; pub mod roots; pub mod tls; \
             pub mod updates;\n\
             put into `src/bin/main.rs`:\n  \
             use smart_kettle::updates;\n  \
             // first thing after `esp_hal::init`, before heap, radio and all that could fail\n  \
             let boot = updates::start(board.FLASH, board.RTC_TIMER);\n  \
             // once there is a heap, which needs some 100 KB for TLS\n  \
             let updates = updates::open(boot);\n  \
             // once there is a network stack; `updates.wifi` is the network that the device was \
             given\n  \
             spawner.spawn(updates::run(updates, stack, self_test)\
             .expect(\"it is started once\"));\n\
             put into `build.rs`:\n  \
             // The build is made anew when one of these changes.\n  \
             for input in [\"src\", \"trust/root.json\"] {{\n      \
             println!(\"cargo::rerun-if-changed={{input}}\");\n  \
             }}\n  \
             // The device's clock never goes below this time.\n  \
             let time = \
             std::time::SystemTime::UNIX_EPOCH.elapsed().expect(\"a year after 1970\");\n  \
             println!(\"cargo::rustc-env=BUILD_TIME={{}}\", time.as_secs());\n\
             put into `.cargo/config.toml`:\n  \
             # so that `cargo run` puts it into a slot, and lets that boot\n  \
             runner = \"cargo esp-ota flash --monitor --elf\"\n  \
             # for `rustflags`: SHA-256 and SHA-512 without unrolled loops, some 50 KB less\n  \
             \"--cfg\", 'sha2_backend_soft=\"compact\"'\n\
             next:\n  set `url` in `esp-ota.toml`\n  cargo esp-ota ca add ROOT.pem\n  \
             cargo esp-ota keys new\n  cargo esp-ota build\n  cargo esp-ota flash\n  \
             cargo esp-ota publish\n",
            cargo_esp_ota::agent::sources().count()
        ))
        .stderr_is(|text| {
            difference = text.replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
            // How many dependencies there are is not this test's to know.
            let (before, after) = difference.split_once("@@ -12,10 +15,").unwrap();
            let (_, after) = after.split_once(" @@").unwrap();
            difference = format!("{before}@@ -12,10 +15,[N] @@{after}");
            difference.starts_with(DIFFERENCE)
        });
    let manifest = project.read("Cargo.toml");
    for line in GENERATED.lines() {
        assert!(manifest.contains(line), "`{line}` is gone:\n{manifest}");
    }
    // Applied to what was there, the difference gives what is there now.
    let added = manifest.lines().count() - GENERATED.lines().count();
    let lines = difference.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++"));
    assert_eq!(lines.count(), added);
    assert!(!difference.lines().any(|line| line.starts_with('-') && !line.starts_with("---")));
    assert!(difference.contains("\nnew: esp-ota.toml\n"), "{difference}");
    cargo_reads(&project);
    project
        .run(["check", "--format", "json"])
        .exits(3)
        .stdout_is(|text| text.contains("the project has this tool's own agent"))
        .stderr("");
}

#[test]
fn a_program_without_a_library_declares_the_modules_itself() {
    plain()
        .run(["init", "--yes", "--no-keys"])
        .exits(0)
        .stdout_is(|text| {
            text.contains(
                "put into `src/main.rs`:\n  \
                 // the agent and its modules allocate\n  \
                 extern crate alloc;\n  \
                 #[expect(dead_code, unused_imports, reason = \
                 \"`cargo esp-ota` uses more of it than a device\")]\n  \
                 mod ota;\n  \
                 mod ota_config; mod platform; mod roots; mod tls; mod updates;\n  \
                 // outside of functions: version and name, for the bootloader and for `build`\n  \
                 esp_bootloader_esp_idf::esp_app_desc!();\n  \
                 // first thing after `esp_hal::init`, ",
            )
        })
        .stderr_is(|text| text.contains("\nnew: src/tls.rs\n"));
}

#[test]
fn a_second_run_changes_nothing_and_says_what_is_still_to_be_done() {
    let project = generated();
    project.run(["init", "--yes"]).exits(0).stderr_is(|text| text.contains("+[package.metadata"));
    project
        .run(["init"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(
                "project smart-kettle for esp32c6 in `.`\n  \
                 it is all there: nothing was changed\n\
                 put into `src/lib.rs`:\n",
            )
        })
        .stderr("")
        .wrote_nothing();
    let names = cargo_esp_ota::agent::sources().count();
    let modules = ["ota", "ota_config", "platform", "roots", "tls", "updates"];
    let declared = modules.map(|name| format!("pub mod {name};")).join("\n");
    let declared = format!("extern crate alloc;\n{declared}\n");
    let project = project
        .file("src/lib.rs", &declared)
        .edit(
            "src/bin/main.rs",
            "#![no_main]",
            "#![no_main] // updates::start( updates::open( updates::run(",
        )
        .file("build.rs", "// trust/root.json BUILD_TIME\n")
        .file(".cargo/config.toml", "# cargo esp-ota flash sha2_backend_soft\n")
        .edit("src/platform/mod.rs", "\n", "\n// mine\n")
        .edit("partitions.csv", "\n", "\n# mine\n");
    project
        .run(["init", "--format", "json"])
        .exits(0)
        .json(|report: Init| {
            assert!(report.files.is_empty() && report.changed.is_empty());
            assert!(report.by_hand.is_empty(), "{:?}", report.by_hand);
            assert!(report.firmware && report.keys.is_none());
            // The settings, the generated files, the table, the root, a module, the agent.
            assert!(report.kept.len() > names);
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_project_that_init_made_is_known_again() {
    let project = Project::made();
    project
        .run(["init"])
        .exits(0)
        .stdout_is(|text| text.contains("\n  it is all there: nothing was changed\n"))
        .stderr("")
        .wrote_nothing();
    // What is lost comes back, and nothing else changes.
    let before = project.read("src/ota/trial.rs");
    let project = project.without("src/ota/trial.rs").edit("src/ota/mod.rs", "\n", "\n// mine\n");
    project
        .run(["init"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(
                "project thermostat for esp32c3 in `.`\n  src/ota/: the update agent, 1 file\n",
            )
        })
        .stderr("")
        .changed(&["src/ota/trial.rs"]);
    assert_eq!(project.read("src/ota/trial.rs"), before);
}

#[test]
fn an_esp_idf_project_gets_the_host_side_and_is_told_so() {
    let manifest = "[package]\nname = \"kettle\"\nedition = \"2021\"\n\n[dependencies]\n\
                    esp-idf-svc = \"0.52.1\"\n";
    let project = Project::new()
        .file("Cargo.toml", manifest)
        .file("src/main.rs", "fn main() {}\n")
        .file(".cargo/config.toml", "[env]\nMCU = \"esp32s3\"\n")
        .file("root.pem", material::bench_root());
    project
        .run(["init", "--root-ca", "root.pem", "--url", "https://updates.test/k"])
        .exits(0)
        .stdout(
            "project kettle for esp32s3 in `.`\n  esp-ota.toml\n  src/ota_config.rs\n  \
             partitions.csv\n  src/roots.rs\n  certs/root.pem\n  trust/root.json\n  \
             the firmware is yours: only the host side was added, the update agent does not run on \
             ESP-IDF\n\
             signing keys in [ROOT]/configuration/esp-ota/keys/kettle: keep a copy\n\
             next:\n  cargo esp-ota build\n  cargo esp-ota flash\n  cargo esp-ota publish\n",
        )
        .stderr("");
    assert_eq!(project.read("Cargo.toml"), manifest);
    assert_eq!(project.read("src/main.rs"), "fn main() {}\n");
    project
        .run(["init", "--root-ca", "root.pem"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("nothing was changed\n") && text.contains("only the host side was added")
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_target_of_esp_idf_is_enough_to_know_such_a_project() {
    for settings in [
        "[build]\ntarget = \"xtensa-esp32s3-espidf\"\n",
        "[build]\ntarget = \"riscv32imac-esp-espidf\"\n[env]\nMCU = { value = \"esp32c6\" }\n",
    ] {
        let project = Project::new()
            .file("Cargo.toml", "[package]\nname = \"kettle\"\n")
            .file(".cargo/config.toml", settings);
        let mut chip = String::new();
        project
            .run(["init", "--no-keys", "--format", "json"])
            .exits(0)
            .json(|report: Init| {
                assert_eq!((report.base.as_str(), report.firmware), ("esp-idf", false));
                chip = report.chip;
            })
            .stderr("");
        assert!(settings.contains(&chip), "{chip}");
    }
}

#[test]
fn a_project_with_the_host_side_alone_gets_the_rest() {
    // As `init` of an earlier day left it: settings, and no mark in the manifest.
    let project = plain().file("esp-ota.toml", "product = \"boiler\"\nchip = \"esp32c3\"\n");
    project
        .run(["init", "--yes", "--no-keys"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with("project boiler for esp32c3 in `.`\n  src/ota_config.rs")
        })
        .stderr_is(|text| text.contains("+# The update agent"));
    assert_eq!(project.read("esp-ota.toml"), "product = \"boiler\"\nchip = \"esp32c3\"\n");
    assert!(project.read("src/ota_config.rs").contains("boiler"));
}

#[test]
fn a_table_that_carries_updates_stays() {
    let table = "nvs,data,nvs,0x9000,0x6000\notadata,data,ota,0xf000,0x2000\n\
                 mine,app,ota_0,0x20000,0x180000\nyours,app,ota_1,0x1a0000,0x180000\n";
    let project = plain().file("partitions.csv", table);
    project
        .run(["init", "--yes", "--no-keys"])
        .exits(0)
        .stdout_is(|text| text.contains("\n  there already, and left as it is: partitions.csv\n"))
        .stderr_is(|text| text.contains("+# The update agent"));
    assert_eq!(project.read("partitions.csv"), table);
}

#[test]
fn a_project_without_a_build_script_gets_one() {
    let project = plain();
    project
        .run(["init", "--yes", "--no-keys"])
        .exits(0)
        .stdout_is(|text| text.contains("\n  build.rs\n") && !text.contains("put into `build.rs`"))
        .stderr_is(|text| text.contains("+# The update agent"));
    let script = project.read("build.rs");
    assert_eq!(script, include_str!("../../templates/firmware/build-existing.rs"));
    assert!(script.contains("BUILD_TIME"));
}

#[test]
fn a_member_of_a_workspace_takes_versions_from_it() {
    let project = Project::new()
        .file(
            "Cargo.toml",
            "[workspace]\nmembers = [\"kettle\"]\n\n[workspace.package]\nedition = \"2024\"\n\n\
             [workspace.dependencies]\nesp-hal = { version = \"1.2.1\", features = [\"esp32c2\"] }\n",
        )
        .file(
            "kettle/Cargo.toml",
            "[package]\nname = \"kettle\"\nedition.workspace = true\n\n[dependencies]\n\
             esp-hal = { workspace = true }\n",
        )
        .file("kettle/src/main.rs", "");
    project
        .run(["init", "kettle", "--yes", "--no-keys"])
        .exits(0)
        .stdout_is(|text| text.starts_with("project kettle for esp32c2 in `kettle`\n"))
        .stderr_is(|text| {
            text.contains("+esp-hal = { workspace = true, features = [\"unstable\"] }\n")
        });
}

#[cfg(unix)]
#[test]
fn a_manifest_keeps_its_permissions_and_may_be_a_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let project = plain();
    let real = project.around("real.toml");
    std::fs::rename(project.path("Cargo.toml"), &real).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&real, project.path("Cargo.toml")).unwrap();
    project.run(["init", "--yes", "--no-keys"]).exits(0).stderr_is(|text| text.contains("+"));
    assert!(project.path("Cargo.toml").symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(std::fs::read_to_string(real).unwrap().contains("generated-by"));
}

#[test]
fn what_is_not_confirmed_is_not_written() {
    let project = plain();
    project
        .run(["init"])
        .exits(2)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("--- a/Cargo.toml\n")
                && text.ends_with(
                    "error: the changes have to be confirmed, and there is no terminal to ask on\n  \
                     help: look at the difference, then pass `--yes`\n",
                )
        })
        .wrote_nothing();
}

/// cargo's own reader takes the manifest, and the modules are where it looks for them.
#[track_caller]
fn cargo_reads(project: &Project) {
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(project.path(""))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
}
