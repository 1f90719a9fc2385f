//! `build` and the toolchain: what is missing is named, and what was built is looked at. Cargo,
//! rustc and rustup are the real ones of this machine.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::Project;

/// A bare-metal crate, with nothing of the template's around it.
fn bare_metal() -> Project {
    Project::made()
        .file("Cargo.toml", "[package]\nname = \"bare\"\nedition = \"2021\"\n\n[workspace]\n")
        .file("src/main.rs", "#![no_std]\n#![no_main]\n")
        .without("build.rs")
        .without("rust-toolchain.toml")
        .without(".cargo/config.toml")
}

/// A crate of the host.
fn of_the_host() -> Project {
    bare_metal().file("src/main.rs", "fn main() {}\n")
}

/// What `rustc` prints, if there is a `rustc`.
fn rustc(arguments: &[&str]) -> Option<String> {
    let done = Command::new("rustc").args(arguments).output().ok()?;
    done.status.success().then(|| String::from_utf8(done.stdout).unwrap().trim().to_owned())
}

#[expect(clippy::print_stderr, reason = "a test that was passed over says so")]
#[expect(clippy::disallowed_macros, reason = "a test that was passed over says so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

/// Expects cargo's own words, then ours.
#[track_caller]
fn lacks(project: &Project, arguments: &[&str], theirs: &str, ours: &str) {
    let arguments = ["build"].into_iter().chain(arguments.iter().copied());
    project.run(arguments).exits(3).stdout("").stderr_is(|text| {
        text.contains(theirs) && text.ends_with(&format!("\nerror: `cargo build` failed: {ours}"))
    });
}

#[test]
fn a_target_that_is_not_installed_is_named() {
    // No toolchain has ever had this one.
    lacks(
        &bare_metal(),
        &["--", "--target", "riscv32e-unknown-none-elf"],
        "error[E0463]: can't find crate for `core`",
        "the toolchain has no core library for `riscv32e-unknown-none-elf`\n  \
         help: build the library from source: `cargo esp-ota build -- -Z build-std=core,alloc`, \
         with a nightly toolchain and its component `rust-src`\n",
    );
    lacks(
        &bare_metal(),
        &["--", "--target", "xtensa-esp32-none-elf"],
        "error[E0463]: can't find crate for `core`",
        "the toolchain has no core library for `xtensa-esp32-none-elf`\n  \
         help: Xtensa chips need the toolchain of espup (`cargo install espup --locked`, then \
         `espup install`), with `channel = \"esp\"` in `rust-toolchain.toml` and `build-std = \
         [\"core\", \"alloc\"]` below `[unstable]` in `.cargo/config.toml`\n",
    );
}

#[test]
fn a_target_that_can_be_downloaded_is_named_with_the_command() {
    const TARGET: &str = "riscv32imc-unknown-none-elf";
    let folder = rustc(&["--print", "target-libdir", "--target", TARGET]);
    if folder.is_none_or(|folder| PathBuf::from(folder).is_dir()) {
        return skipped("the target is installed here");
    }
    lacks(
        &bare_metal(),
        &["--", "--target", TARGET],
        "error[E0463]: can't find crate for `core`",
        "the toolchain has no core library for `riscv32imc-unknown-none-elf`\n  \
         help: run `rustup target add riscv32imc-unknown-none-elf` in the project; without rustup, \
         build the library from source with `-Z build-std=core,alloc`\n",
    );
}

#[test]
fn a_toolchain_that_is_not_installed_is_named() {
    let has_rustup = Command::new("cargo").arg("+nobody-s").arg("-V").output();
    if has_rustup
        .is_ok_and(|done| String::from_utf8_lossy(&done.stderr).contains("no such command"))
    {
        return skipped("cargo is not rustup's here");
    }
    lacks(
        &of_the_host().file("rust-toolchain.toml", "[toolchain]\nchannel = \"nobody-s\"\n"),
        &[],
        "nobody-s",
        "the toolchain `nobody-s` is not installed\n  \
         help: install it with `rustup toolchain install nobody-s`\n",
    );
}

#[test]
fn a_library_that_cannot_be_built_for_want_of_its_source_is_named() {
    let source = rustc(&["--print", "sysroot"])
        .map(|root| PathBuf::from(root).join("lib/rustlib/src/rust/library/Cargo.lock"));
    if source.is_none_or(|source| source.is_file()) {
        return skipped("the source of the standard library is installed here");
    }
    let project = bare_metal().env("RUSTC_BOOTSTRAP", "1");
    let arguments = ["--", "--target", "riscv32imc-unknown-none-elf", "-Zbuild-std=core"];
    project.run(["build"].into_iter().chain(arguments)).exits(3).stdout("").stderr_is(|text| {
        text.contains("unable to build with the standard library")
            && text.contains(
                "\nerror: `cargo build` failed: the toolchain has no source of the standard \
                 library to build\n  help: run `rustup component add rust-src",
            )
    });
}

#[test]
fn a_linker_that_is_not_there_is_named() {
    let config = |linker: &str| format!("[target.'cfg(all())']\nlinker = \"{linker}\"\n");
    lacks(
        &of_the_host().file(".cargo/config.toml", config("nowhere-lld")),
        &[],
        "linker `nowhere-lld` not found",
        "there is no linker `nowhere-lld`\n  \
         help: install it, or name another as `linker` of the target in `.cargo/config.toml`\n",
    );
}

#[test]
fn the_project_s_own_toolchain_is_not_overruled_by_the_one_that_runs_this() {
    let Some(root) = rustc(&["--print", "sysroot"]) else { return skipped("there is no rustc") };
    // As rustup and cargo leave it to a subcommand, with a toolchain that is gone.
    let project = of_the_host()
        .env("RUSTUP_TOOLCHAIN", "gone-x86_64")
        .env("CARGO", "/toolchains/gone-x86_64/bin/cargo");
    project.run(["build", "-q"]).exits(3).stdout("").stderr_is(|text| {
        text.starts_with("error: `/toolchains/gone-x86_64/bin/cargo` could not be started\n")
    });
    let toolchain = format!("[toolchain]\npath = '{root}'\n");
    project
        .file("rust-toolchain.toml", toolchain)
        .run(["build", "-q"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.contains("\nerror: not a 32-bit ELF file\n"));
}

/// A crate of the host that depends on something with the name of Mbed TLS's crate.
fn with_tls(feature: &str) -> Project {
    of_the_host()
        .file(
            "Cargo.toml",
            format!(
                "[package]\nname = \"bare\"\nedition = \"2021\"\n\n[workspace]\n\n\
                 [features]\n{feature} = [\"mbedtls-rs-sys/hook-wall-clock\"]\n\n\
                 [dependencies]\nmbedtls-rs-sys = {{ path = \"sys\" }}\n"
            ),
        )
        .file(
            "sys/Cargo.toml",
            "[package]\nname = \"mbedtls-rs-sys\"\nversion = \"0.3.1\"\nedition = \"2021\"\n\n\
             [features]\nhook-wall-clock = []\n",
        )
        .file("sys/src/lib.rs", "")
}

#[test]
fn unchecked_dates_of_certificates_are_said_each_time() {
    let says = |project: &Project, arguments: &[&str], expected: Option<&str>| {
        let arguments = ["build", "-q"].into_iter().chain(arguments.iter().copied());
        project.run(arguments).exits(3).stdout("").stderr_is(|text| {
            let note = text.lines().find(|line| line.starts_with("note: "));
            note == expected && text.contains("error: not a 32-bit ELF file\n")
        });
    };
    let with_feature = "note: the device does not check the dates of TLS certificates; \
                        `cargo esp-ota build -- --features tls-clock` makes it (needs clang, cmake \
                        and ninja)";
    let project = with_tls("tls-clock");
    says(&project, &[], Some(with_feature));
    says(&project, &[], Some(with_feature));
    // What was built decides, whatever it is called.
    says(&project, &["--", "--features", "tls-clock"], None);
    let other = "note: the device does not check the dates of TLS certificates; the feature \
                 `hook-wall-clock` of `mbedtls-rs`, and a clock, make it";
    let project = with_tls("clock");
    says(&project, &[], Some(other));
    says(&project, &["--", "--features", "mbedtls-rs-sys/hook-wall-clock"], None);
    // Without Mbed TLS nothing is known.
    says(&of_the_host(), &[], None);
}
