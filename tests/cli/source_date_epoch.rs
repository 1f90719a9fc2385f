//! `SOURCE_DATE_EPOCH` sets the time that is written, and never the one by which things are judged.

use std::time::{Duration, SystemTime};

use crate::certificates;
use crate::harness::Project;
use crate::material;
use crate::releases::Release;

const VARIABLE: &str = "SOURCE_DATE_EPOCH";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn seconds(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string()
}

#[test]
fn a_time_that_cannot_be_written_is_refused_before_cargo_runs() {
    for bad in ["", "yesterday", "-1", "+1", "1.5"] {
        Project::made()
            .env(VARIABLE, bad)
            .run(["build"])
            .exits(3)
            .stdout("")
            .stderr(&format!(
                "error: `SOURCE_DATE_EPOCH` in the environment is `{bad}`, not a number of seconds \
                 since 1970\n  \
                 help: unset `SOURCE_DATE_EPOCH`, or take `$(git log -1 --format=%ct)`\n"
            ))
            .wrote_nothing();
    }
    Project::made()
        .env(VARIABLE, seconds(SystemTime::now() + DAY))
        .run(["build"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: `SOURCE_DATE_EPOCH` in the environment is [TIME], but it is only [TIME]\n  \
             help: correct `SOURCE_DATE_EPOCH` or this computer's clock: devices that are told a \
             time to come would find all metadata expired\n",
        )
        .wrote_nothing();
}

#[test]
fn no_certificate_comes_back_to_life() {
    // Two years ago, when this root was good.
    let project = Project::made()
        .file("certs/root.pem", certificates::expired("Old"))
        .file("a.elf", material::elf("1.0.0"))
        .file("a.bin", material::image("1.0.0"))
        .env(VARIABLE, seconds(SystemTime::now() - 730 * DAY));
    for arguments in
        [&["ca", "embed"][..], &["build"], &["build", "--elf", "a.elf"], &["publish", "a.bin"]]
    {
        project
            .run(arguments.iter().copied())
            .exits(6)
            .stdout("")
            .stderr_is(|text| text.contains("cannot be a pinned root\n"))
            .wrote_nothing();
    }
}

#[test]
fn no_metadata_comes_back_to_life() {
    let project = Project::made();
    Release::new("1.0.0", material::image("1.0.0")).signed_days_ago(91).publish(&project);
    let project = project.env(VARIABLE, seconds(SystemTime::now() - 90 * DAY));
    project
        .run(["rehearse"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.contains("metadata of the release repository has expired\n"))
        .wrote_nothing();
    project.run(["check", "-q"]).exits(6).stderr("");
}

#[test]
fn the_same_release_gives_the_same_repository() {
    let project = Project::made()
        .file("a.bin", material::image("1.0.0"))
        .env(VARIABLE, seconds(SystemTime::now() - 5 * DAY));
    let published = || {
        project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
        let mut files = project.everything();
        files.retain(|name, _| name.contains("/dist/"));
        std::fs::remove_dir_all(project.path("dist")).unwrap();
        files
    };
    let first = published();
    assert!(first.keys().any(|name| name.ends_with("/1.targets.json")), "{:?}", first.keys());
    assert!(published() == first);
}

#[test]
fn what_would_be_published_expired_is_not_published() {
    // Snapshot and timestamp are good for 90 days.
    let project = Project::made()
        .file("a.bin", material::image("1.0.0"))
        .env(VARIABLE, seconds(SystemTime::now() - 91 * DAY));
    project
        .run(["publish", "a.bin", "-q"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.contains("expired"));
    assert!(!project.path("dist/metadata/timestamp.json").exists());
    let project = project.env(VARIABLE, seconds(SystemTime::now() + DAY));
    project
        .run(["publish", "a.bin", "-q"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.contains("but it is only [TIME]\n"))
        .wrote_nothing();
}

/// A program with its folder in it in three ways: debug information, a panic in its own source, and
/// one in source that its build script wrote.
#[cfg(target_os = "linux")]
fn program_of(project: Project) -> Vec<u8> {
    let project = project
        .file(
            "Cargo.toml",
            "[package]\nname = \"host\"\nedition = \"2021\"\n\n[workspace]\n\n\
             [profile.release]\ndebug = 2\n",
        )
        .file(
            "build.rs",
            "fn main() { std::fs::write(std::env::var(\"OUT_DIR\").unwrap() + \"/a.rs\", \
             \"fn a(i: usize) -> u8 { [1][i] }\").unwrap() }\n",
        )
        .file(
            "src/main.rs",
            "include!(concat!(env!(\"OUT_DIR\"), \"/a.rs\"));\n\
             fn main() { println!(\"{}\", a([1][std::env::args().count()])) }\n",
        )
        .without("rust-toolchain.toml")
        .without(".cargo/config.toml");
    // It is no firmware; what counts is what cargo made.
    project
        .run(["build", "-q"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.contains("error: not a 32-bit ELF file\n"));
    std::fs::read(project.path("target/release/host")).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn the_same_source_gives_the_same_program_in_every_folder() {
    let fixed = || Project::made().env(VARIABLE, "1700000000");
    let program = program_of(fixed());
    assert!(program_of(fixed()) == program);
    // Own flags stay, and are kept out of nobody's way.
    let flagged = || fixed().env("RUSTFLAGS", "--cfg other");
    assert!(program_of(flagged()) == program_of(flagged()));
    assert!(program_of(Project::made()) != program_of(Project::made()), "this test proves nothing");
}

#[cfg(target_os = "linux")]
#[test]
fn where_paths_have_to_stay_it_is_said() {
    let project = Project::made()
        .file("Cargo.toml", "[package]\nname = \"host\"\nedition = \"2021\"\n\n[workspace]\n")
        .file("src/main.rs", "fn main() {}\n")
        .without("build.rs")
        .without("rust-toolchain.toml")
        .without(".cargo/config.toml")
        .env(VARIABLE, "1700000000")
        .env("CARGO_BUILD_RUSTFLAGS", "--cfg a");
    project.run(["build"]).exits(3).stdout("").stderr_is(|text| {
        text.starts_with(
            "note: paths of this computer stay in the image, so another makes another one: \
             `CARGO_BUILD_RUSTFLAGS` is set\n",
        )
    });
}
