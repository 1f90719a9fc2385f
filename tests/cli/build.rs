//! `build`.

use crate::harness::Project;
use crate::material;
use crate::shape::{Build, Failed};

/// A project with a program to convert.
fn project() -> Project {
    Project::made().file("a.elf", material::elf("1.0.0"))
}

#[test]
fn a_program_becomes_the_image_that_fits_every_slot() {
    let project = project();
    let image = material::image("1.0.0");
    let (size, free) = (image.len(), 0x14_0000 - image.len());
    // The program of the demo has these two segments.
    let segment = |at: usize| u32::from_le_bytes(image[at + 4..at + 8].try_into().unwrap());
    let data = segment(24);
    let code = segment(32 + usize::try_from(data).unwrap());
    let rest = u32::try_from(size).unwrap() - data - code;
    project
        .run(["build", "--elf", "a.elf"])
        .exits(0)
        .stdout(&format!(
            "image 1.0.0 of {size} bytes: 7% of slot `app0`, {free} bytes free\n  \
             target/esp-ota/thermostat-esp32c3-1.0.0.bin\n  \
             flash read-only data {data:>9}\n  \
             RAM code             {code:>9}\n  \
             headers and padding  {rest:>9}\n  \
             not compared: nothing is published for esp32c3 in `stable`\n"
        ))
        .stderr("")
        .changed(&["target/esp-ota/thermostat-esp32c3-1.0.0.bin"]);
    let made = std::fs::read(project.path("target/esp-ota/thermostat-esp32c3-1.0.0.bin")).unwrap();
    assert_eq!(made, image);
    // The same program always gives the same bytes.
    project.run(["build", "--elf", "a.elf"]).exits(0).stderr("").wrote_nothing();
}

#[test]
fn in_json_the_room_is_in_numbers() {
    project()
        .run(["build", "--elf", "a.elf", "-o", "out/a.bin", "--format", "json"])
        .exits(0)
        .json(|report: Build| {
            assert_eq!((report.command.as_str(), report.file.as_str()), ("build", "out/a.bin"));
            assert_eq!((report.version.as_str(), report.smallest_slot.as_str()), ("1.0.0", "app0"));
            assert_eq!(report.slot_size, 0x14_0000);
            assert_eq!(report.free, report.slot_size - report.size);
            let slots: Vec<_> = report.slots.iter().map(|slot| slot.name.as_str()).collect();
            assert_eq!(slots, ["app0", "app1"]);
            assert!(report.slots.iter().all(|slot| slot.free == report.free));
            let sum: u64 = report.sections.iter().map(|section| section.bytes).sum();
            assert_eq!(sum, u64::from(report.size));
            assert!(report.published.is_none() && report.parts.is_none());
            assert_eq!(report.certificate_dates, "unknown");
        })
        .stderr("")
        .changed(&["out/a.bin"]);
}

/// Builds in both formats and expects the same refusal, and an untouched project.
#[track_caller]
fn refused(project: &Project, arguments: &[&str], code: i32, stderr: &str) {
    let json = arguments.iter().copied().chain(["--format", "json"]);
    project.run(arguments.iter().copied()).exits(code).stdout("").stderr(stderr).wrote_nothing();
    project
        .run(json)
        .exits(code)
        .json(|failed: Failed| assert_eq!(failed.command, "build"))
        .stderr(stderr)
        .wrote_nothing();
}

const BUILD: [&str; 3] = ["build", "--elf", "a.elf"];

#[test]
fn an_image_larger_than_a_slot_is_rejected() {
    let small = "nvs, data, nvs, 0x9000, 0x5000\n\
                 otadata, data, ota, 0xe000, 0x2000\n\
                 app0, app, ota_0, 0x10000, 0x10000\n\
                 app1, app, ota_1, 0x20000, 0x10000\n";
    let image = material::image("1.0.0").len();
    refused(
        &project().file("partitions.csv", small),
        &BUILD,
        1,
        &format!(
            "error: the image has {image} bytes, but slot `app0` has 65536: {} too many\n  \
             help: make the program smaller, or the slots larger in the partition table\n",
            image - 65536
        ),
    );
}

#[test]
fn an_image_that_fits_one_slot_and_not_the_other_is_rejected() {
    let uneven = "nvs, data, nvs, 0x9000, 0x5000\n\
                  otadata, data, ota, 0xe000, 0x2000\n\
                  app0, app, ota_0, 0x10000, 0x140000\n\
                  app1, app, ota_1, 0x150000, 0x10000\n";
    let image = material::image("1.0.0").len();
    refused(
        &project().file("partitions.csv", uneven).edit(
            "esp-ota.toml",
            "partitions = \"partitions.csv\"\n",
            "partitions = { allow = [\"slot-sizes-differ\"] }\n",
        ),
        &BUILD,
        1,
        &format!(
            "error: the image has {image} bytes, but slot `app1` has 65536: {} too many\n  \
             help: make `app1` as large as `app0`, which it fits: updates take turns in the slots\n",
            image - 65536
        ),
    );
}

#[test]
fn what_is_no_program_is_refused() {
    refused(
        &project().file("a.elf", material::image("1.0.0")),
        &BUILD,
        3,
        "error: not a 32-bit ELF file\n  \
         caused by: Unsupported ELF header\n  \
         help: pass the file that the linker wrote, not an image\n",
    );
    let mut cut = material::elf("1.0.0");
    cut.truncate(cut.len() / 2);
    let project = project().file("a.elf", cut);
    project
        .run(BUILD)
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: ") && text.contains("\n  help: "))
        .wrote_nothing();
}

#[test]
fn a_program_for_another_processor_is_refused() {
    refused(
        &project().without("src/ota_config.rs"),
        &["build", "--elf", "a.elf", "--chip", "esp32s3"],
        3,
        "error: the program is compiled for Riscv32, but `esp32s3` has Xtensa\n  \
         help: correct `chip` in `esp-ota.toml`, or build for its target\n",
    );
}

#[test]
fn a_firmware_that_could_never_update_is_not_built() {
    refused(
        &project().without("trust/root.json"),
        &BUILD,
        3,
        "error: there is no `trust/root.json`: the firmware could not verify any release\n  \
         help: make signing keys with `cargo esp-ota keys new`\n",
    );
    refused(
        &project().edit("esp-ota.toml", "[\"certs/root.pem\"]", "[]"),
        &BUILD,
        3,
        "error: no root certificate is pinned: the firmware could not reach any server\n  \
         help: pin one with `cargo esp-ota ca add URL|FILE`\n",
    );
    refused(
        &project().file("src/roots.rs", "// by hand\n"),
        &BUILD,
        1,
        "error: `src/roots.rs` does not hold the roots that are pinned now\n  \
         help: run `cargo esp-ota ca embed`\n",
    );
    refused(
        &project().without("certs/root.pem"),
        &BUILD,
        3,
        "error: `certs/root.pem` could not be read\n  \
         caused by: [SYSTEM]\n  \
         help: check the path, then run `cargo esp-ota ca add FILE`\n",
    );
}

#[test]
fn a_table_that_cannot_be_used_stops_the_build() {
    let project = project().file("partitions.csv", "app0, app, ota_0, 0x10000, 0x10000\nnoise\n");
    project
        .run(BUILD)
        .exits(3)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: cannot use the partition table: ")
                && text.contains("\n  help: ")
        })
        .wrote_nothing();
    project
        .run(["build", "--elf", "a.elf", "--format", "github"])
        .exits(3)
        .stdout_is(|text| text.starts_with("::error file=partitions.csv,line=2,"));
    project
        .without("partitions.csv")
        .run(BUILD)
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `partitions.csv` could not be read\n"))
        .wrote_nothing();
}

#[test]
fn an_image_that_cannot_be_written_is_a_failure_of_output() {
    let project = project().folder("folder");
    for output in ["folder", "a.elf/a.bin"] {
        project
            .run(["build", "--elf", "a.elf", "-o", output])
            .exits(5)
            .stdout("")
            .stderr_is(|text| {
                text.starts_with(&format!("error: `{output}` could not be written\n  caused by: "))
                    && text.contains("\n  help: ")
            })
            .wrote_nothing();
    }
}

/// A crate of the host: cargo is real here, and what it builds is no firmware.
fn crate_of_the_host(main: &str) -> Project {
    Project::made()
        .file("Cargo.toml", "[package]\nname = \"host\"\nedition = \"2021\"\n\n[workspace]\n")
        .file("src/main.rs", main)
        .without("build.rs")
        .without("rust-toolchain.toml")
        .without(".cargo/config.toml")
}

#[test]
fn cargo_s_own_words_stand_above_ours() {
    crate_of_the_host("fn main() { nonsense() }\n").run(["build"]).exits(3).stdout("").stderr_is(
        |text| {
            text.starts_with("running `cargo build --release` for the firmware\n")
                && text.contains("cannot find function `nonsense`")
                && text.contains("\nerror: `cargo build` failed\n")
        },
    );
}

#[test]
fn what_cargo_builds_for_the_host_is_no_firmware() {
    crate_of_the_host("fn main() {}\n")
        .run(["build", "-q"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.contains("error: not a 32-bit ELF file\n"));
}

#[test]
fn one_program_has_to_be_chosen() {
    crate_of_the_host("fn main() {}\n")
        .file("src/bin/second.rs", "fn main() {}\n")
        .run(["build"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| {
            text.ends_with(
                "error: `cargo build` made 2 programs, not one\n  \
                 help: choose one: `cargo esp-ota build -- --bin NAME`\n",
            )
        });
}

#[test]
fn a_cargo_that_does_not_start_is_named() {
    Project::made()
        .env("CARGO", "/nowhere/cargo")
        .run(["build"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| {
            // Windows has words of Rust's own for this cause.
            text.starts_with(
                "running `cargo build --release` for the firmware\n\
                 error: `/nowhere/cargo` could not be started\n  caused by: ",
            ) && text.ends_with(
                "\n  help: install Rust from https://rustup.rs, or set `CARGO` to your cargo\n",
            )
        })
        .wrote_nothing();
}
