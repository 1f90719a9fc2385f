//! `build`: where the bytes are, and how many there were before.

use object::build::elf::{Builder, SectionData};
use object::elf;

use crate::harness::Project;
use crate::material;
use crate::shape::Build;

/// The project that published 1.1.0, with the program of 1.2.0 to build.
fn project() -> Project {
    let project = Project::made()
        .file("a.bin", material::image("1.1.0"))
        .file("a.elf", material::elf("1.2.0"));
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    project
}

const BUILD: [&str; 3] = ["build", "--elf", "a.elf"];
const JSON: [&str; 5] = ["build", "--elf", "a.elf", "--format", "json"];

/// The image in the store.
const PUBLISHED: &str = "thermostat-esp32c3-1.1.0.bin";

fn published_image(project: &Project) -> std::path::PathBuf {
    let files = std::fs::read_dir(project.path("dist/targets")).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    paths.find(|path| path.to_string_lossy().ends_with(PUBLISHED)).unwrap()
}

#[test]
fn an_image_is_compared_with_the_newest_release() {
    let project = project();
    project
        .run(BUILD)
        .exits(0)
        .stdout_is(|text| {
            text.contains("  bytes  since 1.1.0\n")
                && text.lines().any(|line| {
                    line.starts_with("  flash read-only data ") && line.ends_with("           0")
                })
                && text.lines().last().is_some_and(|line| line.starts_with("  in all "))
        })
        .stderr("");
    // Another release, for others, is not what devices here have.
    project
        .run(["build", "--elf", "a.elf", "--format", "json"])
        .exits(0)
        .json(|report: Build| {
            let published = report.published.unwrap();
            let change = i64::from(report.size) - i64::try_from(published.size).unwrap();
            assert_eq!((published.version.as_str(), published.change), ("1.1.0", change));
            let changes = published.sections.unwrap();
            assert_eq!(changes.iter().map(|it| it.change).sum::<i64>(), change);
            let names: Vec<_> = changes.iter().map(|it| it.section.as_str()).collect();
            assert_eq!(names, ["flash-data", "ram-code", "format"]);
            assert_eq!(report.not_compared, None);
        })
        .stderr("");
    project
        .run(["build", "--elf", "a.elf", "--channel", "beta", "--format", "json"])
        .exits(0)
        .json(|report: Build| {
            assert!(report.published.is_none());
            let reason = report.not_compared.unwrap();
            assert_eq!(reason, "nothing is published for esp32c3 in `beta`");
        })
        .stderr_is(|_| true);
}

#[test]
fn without_the_old_image_its_size_is_compared() {
    let project = project();
    std::fs::remove_file(published_image(&project)).unwrap();
    project
        .run(BUILD)
        .exits(0)
        .stdout_is(|text| {
            text.ends_with(
                "  0 bytes since 1.1.0\n  \
                 not compared: `targets/[SHA-256].thermostat-esp32c3-1.1.0.bin` is listed by the \
                 metadata and missing in the store\n",
            )
        })
        .stderr("");
    project
        .run(JSON)
        .exits(0)
        .json(|report: Build| {
            let published = report.published.unwrap();
            assert!(published.sections.is_none() && published.change == 0);
            assert!(report.not_compared.unwrap().contains("missing in the store"));
        })
        .stderr("");
}

#[test]
fn a_store_that_does_not_verify_is_said_and_stops_no_build() {
    let project = project();
    let image = published_image(&project);
    std::fs::write(&image, material::tampered(material::image("1.1.0"))).unwrap();
    project
        .run(BUILD)
        .exits(0)
        .stdout_is(|text| text.contains("is not the file that was signed"))
        .stderr("");
    let project = project.edit("dist/metadata/1.targets.json", "1.1.0", "1.1.1");
    project
        .run(JSON)
        .exits(0)
        .json(|report: Build| {
            assert!(report.published.is_none());
            assert!(report.not_compared.unwrap().contains("does not verify"));
        })
        .stderr("");
    project
        .edit("esp-ota.toml", "dir:dist", "s3://nowhere")
        .run(JSON)
        .exits(0)
        .json(|report: Build| {
            assert!(report.not_compared.unwrap().contains("names no store"));
        })
        .stderr("");
}

/// A program with symbols: the demo's, whose constants begin at 0x3c000020, with two more tables.
fn with_symbols(symbols: &[(&str, u64, u64)]) -> Vec<u8> {
    let program = material::elf("1.2.0");
    let mut builder = Builder::read(program.as_slice()).unwrap();
    let rodata = builder.sections.iter().find(|it| it.name.as_slice() == b".flash.appdesc");
    let rodata = rodata.unwrap().id();
    for (name, address, size) in symbols {
        let symbol = builder.symbols.add();
        symbol.name = (*name).into();
        symbol.section = Some(rodata);
        symbol.st_value = *address;
        symbol.st_size = *size;
        symbol.set_st_info(elf::STB_GLOBAL, elf::STT_OBJECT);
    }
    for (name, kind, data) in [
        (".symtab", elf::SHT_SYMTAB, SectionData::Symbol),
        (".strtab", elf::SHT_STRTAB, SectionData::String),
    ] {
        let section = builder.sections.add();
        section.name = name.into();
        section.sh_type = kind;
        section.sh_addralign = 4;
        section.data = data;
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    bytes
}

#[test]
fn parts_add_up_to_the_image() {
    // The app descriptor names the project `thermostat`: its crate.
    let program = with_symbols(&[
        ("_ZN10thermostat3ota3tuf5TABLE17h0123456789abcdefE", 0x3c00_1000, 20_000),
        ("_ZN10thermostat4main5TABLE17h0123456789abcdefE", 0x3c00_6000, 10_000),
        ("mbedtls_table", 0x3c00_9000, 30_000),
    ]);
    let project = Project::made().file("a.elf", program);
    project
        .run(JSON)
        .exits(0)
        .json(|report: Build| {
            let parts = report.parts.unwrap();
            let sum: u64 = parts.iter().map(|part| part.bytes).sum();
            assert_eq!(sum, u64::from(report.size));
            let bytes: Vec<(&str, u64)> =
                parts.iter().map(|part| (part.part.as_str(), part.bytes)).collect();
            assert_eq!(bytes[..3], [("tls", 30_000), ("update-agent", 20_000), ("own", 10_000)]);
            assert_eq!(parts[1].origins[0].name, "ota::tuf");
            assert_eq!(parts[2].origins[0].name, "thermostat::main");
        })
        .stderr("");
    let without = |text: &str| !text.contains("bytes by part");
    project.run(BUILD).exits(0).stdout_is(without).stderr("");
    project
        .run(["build", "--elf", "a.elf", "--parts"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("bytes by part\n  TLS                 30000   30.3%  Mbed TLS 30000\n")
                && text.contains("  update agent        20000   20.2%  ota::tuf 20000\n")
                && text.ends_with("100.0%\n")
        })
        .stderr("");
}

#[test]
fn a_program_without_symbols_says_so() {
    Project::made()
        .file("a.elf", material::elf("1.2.0"))
        .run(["build", "--elf", "a.elf", "--parts"])
        .exits(0)
        .stdout_is(|text| {
            text.ends_with("the program has no symbols: nothing is known of its parts\n")
        })
        .stderr("");
}
