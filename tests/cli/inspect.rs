//! `inspect`: every kind of file is called what it is, and only a good app image may be published.

use crate::harness::Project;
use crate::material;
use crate::shape::{Failed, Inspect};

/// Inspects a file outside of a project; gives its kind and the codes of its problems.
#[track_caller]
fn found(bytes: impl AsRef<[u8]>, code: i32) -> (String, Vec<String>) {
    let mut answer = None;
    Project::new()
        .file("a.bin", bytes)
        .run(["inspect", "a.bin", "--format", "json"])
        .exits(code)
        .json(|report: Inspect| {
            assert_eq!((report.command.as_str(), report.file.as_str()), ("inspect", "a.bin"));
            assert_eq!(report.publishable, report.problems.is_empty());
            assert_eq!(report.publishable, code == 0);
            assert!(report.problems.iter().all(|problem| problem.help.is_some()));
            let codes = report.problems.into_iter().map(|problem| problem.code);
            answer = Some((report.kind, codes.collect()));
        })
        .stderr("")
        .wrote_nothing();
    answer.unwrap()
}

#[track_caller]
fn rejected(bytes: impl AsRef<[u8]>, code: i32, kind: &str, problem: &str) {
    assert_eq!(found(bytes, code), (kind.into(), vec![problem.into()]));
}

#[test]
fn a_good_image_is_told_whole() {
    let image = material::image("1.1.0");
    let (size, data) = (image.len(), u32::from_le_bytes(image[28..32].try_into().unwrap()));
    let (checksum, code_at) = (image[size - 33], 32 + data + 8);
    let text = |verdict: &str, slots: &str| {
        format!(
            "a.bin: an app image for esp32c3: {verdict}\n  \
             project thermostat, version 1.1.0, secure version 0\n  \
             built Jan  1 2026 00:00:00 with ESP-IDF v5.5\n  \
             of an ELF file with SHA-256 [SHA-256]\n  \
             eFuse block revision v0.0 or later, MMU pages of 65536 bytes\n  \
             chip revision v0.0 to v1.99; flash dio, 40m, 4MB; entry 0x40380000\n  \
             segment 0: {data} bytes at 0x20 for 0x3c000020 (flash, mapped as data)\n  \
             segment 1: 56 bytes at {code_at:#x} for 0x40380000 (RAM, code)\n  \
             checksum {checksum:#04x} (valid), appended SHA-256 [SHA-256] (valid)\n\
             {slots}  file: {size} bytes, SHA-256 [SHA-256]\n"
        )
    };
    Project::new()
        .file("a.bin", &image)
        .run(["inspect", "a.bin"])
        .exits(0)
        .stdout(&text("good to publish for that chip", ""))
        .stderr("")
        .wrote_nothing();
    let free = 0x14_0000 - size;
    let slots = format!(
        "  ota_0: {free} of 1310720 bytes stay free\n  ota_1: {free} of 1310720 bytes stay free\n"
    );
    Project::made()
        .file("a.bin", &image)
        .run(["inspect", "a.bin"])
        .exits(0)
        .stdout(&text("good to publish", &slots))
        .stderr("")
        .wrote_nothing();
}

#[test]
fn in_json_every_part_of_an_image_has_its_key() {
    let image = material::image("1.1.0");
    Project::made()
        .file("a.bin", &image)
        .run(["inspect", "a.bin", "--format", "json"])
        .exits(0)
        .json(|report: Inspect| {
            assert_eq!((report.kind.as_str(), report.publishable), ("app-image", true));
            assert_eq!(report.chip.as_deref(), Some("esp32c3"));
            assert_eq!(report.expected_chip.as_deref(), Some("esp32c3"));
            assert_eq!((report.size, report.sha256.len()), (image.len(), 64));
            assert_eq!(report.slots.len(), 2);
            let free = 0x14_0000 - i64::try_from(image.len()).unwrap();
            assert!(report.slots.iter().all(|slot| slot.free == free));
            assert!(report.elf.is_none() && report.flash.is_none() && report.notes.is_empty());
            let image = report.image.unwrap();
            assert_eq!(image.length, Some(report.size.try_into().unwrap()));
            assert!(image.checksum.unwrap().valid && image.digest.unwrap().valid);
            assert_eq!(image.segments.len(), usize::from(image.header.segment_count));
            let descriptor = image.descriptor.unwrap();
            let texts = (descriptor.project.as_str(), descriptor.version.as_str());
            assert_eq!(texts, ("thermostat", "1.1.0"));
            assert_eq!(
                (descriptor.idf_version.as_str(), descriptor.mmu_page_size),
                ("v5.5", Some(65536))
            );
        })
        .stderr("");
}

#[test]
fn the_chip_is_the_flag_s_then_the_project_s_then_the_image_s() {
    let other = material::for_chip(material::image("1.1.0"), 9);
    let bare = Project::new().file("a.bin", &other);
    let project = Project::made().file("a.bin", &other);
    let is_refused = |text: &str| {
        text.contains(": an app image for esp32s3: not to be published\n")
            && text.contains("\nproblem: it is for esp32s3, not for esp32c3\n  help: ")
    };
    bare.run(["inspect", "a.bin"]).exits(0).stdout_is(|text| !is_refused(text)).stderr("");
    bare.run(["inspect", "a.bin", "--chip", "esp32c3"]).exits(1).stdout_is(is_refused).stderr("");
    project.run(["inspect", "a.bin"]).exits(1).stdout_is(is_refused).stderr("");
    project.run(["inspect", "a.bin", "--chip", "ESP32-S3"]).exits(0).stderr("");
    rejected(material::for_chip(material::image("1.1.0"), 99), 1, "app-image", "unknown-chip");
}

#[test]
fn an_image_that_does_not_fit_a_slot_of_the_project_is_rejected() {
    let small = "nvs, data, nvs, 0x9000, 0x5000\n\
                 otadata, data, ota, 0xe000, 0x2000\n\
                 app0, app, ota_0, 0x10000, 0x10000\n\
                 app1, app, ota_1, 0x20000, 0x10000\n";
    Project::made()
        .file("a.bin", material::image("1.1.0"))
        .file("partitions.csv", small)
        .run(["inspect", "a.bin", "--format", "json"])
        .exits(1)
        .json(|report: Inspect| {
            assert_eq!(report.problems[0].code, "slot-too-small");
            assert!(report.problems[0].message.contains("slot `ota_0` has 65536"));
            assert!(report.slots.len() == 2 && report.slots.iter().all(|slot| slot.free < 0));
        })
        .stderr("");
}

/// The version text is at 16 bytes into the descriptor, which is behind two headers.
fn of_version(version: &str) -> Vec<u8> {
    let mut image = material::image("1.1.0");
    let field = &mut image[0x20 + 16..0x20 + 48];
    field.fill(0);
    field[..version.len()].copy_from_slice(version.as_bytes());
    material::with_checksum(image)
}

#[test]
fn what_publish_says_of_a_version_inspect_says_too() {
    for (version, code, words) in [
        ("1.2", "version-not-semantic", "`1.2` is not a semantic version ("),
        ("", "version-not-semantic", "`` is not a semantic version ("),
        ("1.2.3+42", "version-with-build", "`1.2.3+42` carries build metadata (`+42`), which does"),
        (
            "v1.2.3-4-gabcdef0",
            "version-between-releases",
            "`v1.2.3-4-gabcdef0` is what `git describe` calls a commit between releases",
        ),
        ("1.2.3-dirty", "version-between-releases", "`1.2.3-dirty` is what `git describe` calls"),
    ] {
        let project = Project::made().file("a.bin", of_version(version));
        project
            .run(["inspect", "a.bin", "--format", "json"])
            .exits(0)
            .json(|report: Inspect| {
                assert_eq!((report.notes[0].code.as_str(), report.publishable), (code, true));
                let message = &report.notes[0].message;
                assert!(
                    message.contains(words) && message.contains("--release-version"),
                    "{message}"
                );
            })
            .stderr("");
        project
            .run(["inspect", "a.bin"])
            .exits(0)
            .stdout_is(|text| {
                text.starts_with(
                    "a.bin: an app image for esp32c3: good to publish with `--release-version`\n",
                )
            })
            .stderr("");
        // `publish` refuses it in these words, and takes the remedy.
        project
            .run(["publish", "a.bin", "-q"])
            .exits(1)
            .stdout("")
            .stderr_is(|text| text.contains(words) && text.contains("--release-version"));
        project
            .run(["publish", "a.bin", "--release-version", "1.2.4", "-q"])
            .exits(0)
            .stdout_is(|text| text.starts_with("published thermostat 1.2.4 "))
            .stderr("");
    }
}

#[test]
fn bytes_that_were_changed_are_a_matter_of_trust() {
    let image = material::image("1.1.0");
    rejected(material::tampered(image.clone()), 6, "app-image", "checksum");
    let mut digest = image;
    *digest.last_mut().unwrap() ^= 1;
    rejected(digest, 6, "app-image", "digest");
}

#[test]
fn what_is_missing_or_too_much_is_counted() {
    let image = material::image("1.1.0");
    let size = image.len();
    rejected(&image[..size - 1000], 1, "app-image", "truncated");
    rejected(&image[..20], 1, "broken-image", "truncated");
    rejected(&image[5..], 1, "shifted-image", "beginning-missing");
    rejected([b"junk", &image[..]].concat(), 1, "shifted-image", "bytes-before");
    rejected([&image[..], &[0; 64]].concat(), 1, "app-image", "padded");
    rejected([&image[..], b"more"].concat(), 1, "app-image", "trailing-bytes");
    Project::new()
        .file("a.bin", [&image[..], &[0xff; 500]].concat())
        .run(["inspect", "a.bin"])
        .exits(1)
        .stdout_is(|text| {
            text.ends_with(&format!(
                "\nproblem: 500 bytes of padding follow the image, which ends after {size}\n  \
                 help: make the image again with `cargo esp-ota build`, which pads nothing, or cut \
                 it: `head -c {size} FILE > app.bin`\n"
            ))
        })
        .stderr("");
}

#[test]
fn whole_flash_is_told_with_its_table_its_slots_and_the_way_to_the_app() {
    let dump = material::dump("2-updated");
    let size = material::image("1.0.0").len();
    let project = Project::new().file("flash.bin", &dump);
    project
        .run(["inspect", "flash.bin"])
        .exits(1)
        .stdout(&format!(
            "flash.bin: a file of whole flash: not to be published\n  \
             told by: a sound partition table at 0x8000\n  \
             partition table at 0x8000, 5 rows\n  \
             ota_0    0x010000..0x150000  thermostat 1.0.0, {size} bytes at 0x10000 of the file\n  \
             ota_1    0x150000..0x290000  thermostat 1.1.0, {size} bytes at 0x150000 of the file\n  \
             file: {} bytes, SHA-256 [SHA-256]\n\
             problem: it is a file of whole flash, with a partition table at 0x8000, not an app \
             image\n  \
             help: publish the app alone: `cargo esp-ota build` makes it, or `espflash save-image` \
             without `--merge`; the app in this file: `tail -c +65537 FILE | head -c {size} > \
             app.bin`\n",
            dump.len()
        ))
        .stderr("")
        .wrote_nothing();
    // What the remedy cuts out is the image.
    let cut = dump[65536..65536 + size].to_vec();
    assert_eq!(found(cut, 0).0, "app-image");
    project
        .run(["inspect", "flash.bin", "--format", "json"])
        .exits(1)
        .json(|report: Inspect| {
            let flash = report.flash.unwrap();
            assert_eq!((flash.base, flash.bootloader, flash.table), (0, None, 0x8000));
            assert_eq!(flash.apps[1].version.as_deref(), Some("1.1.0"));
            assert!(flash.apps.iter().all(|app| app.content == "intact"));
        })
        .stderr("");
}

#[test]
fn an_elf_file_is_told_with_the_command_that_makes_an_image_of_it() {
    Project::new()
        .file("fw", material::elf("1.1.0"))
        .run(["inspect", "fw"])
        .exits(1)
        .stdout_is(|text| {
            text.starts_with("fw: an ELF file: not to be published\n")
                && text.contains("\n  RISC-V, 32 bits: firmware\n")
                && text.contains("\n  project thermostat, version 1.1.0\n")
                && text.ends_with(
                    "\nproblem: it is an ELF file for RISC-V, not an app image\n  \
                     help: make an image of it: `cargo esp-ota build --elf FILE`\n",
                )
        })
        .stderr("")
        .wrote_nothing();
    // And that command takes it.
    Project::made()
        .file("fw", material::elf("1.1.0"))
        .run(["build", "--elf", "fw", "-o", "a.bin", "-q"])
        .exits(0)
        .stderr("");
    rejected(&material::elf("1.1.0")[..100], 1, "elf-file", "elf-file");
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_of_this_machine_is_no_firmware() {
    // Ours would do, but with all debug information it is larger than anything that is inspected.
    let shell = std::fs::read("/bin/sh").unwrap();
    Project::new()
        .file("program", shell)
        .run(["inspect", "program"])
        .exits(1)
        .stdout_is(|text| {
            text.ends_with(
                "\n  help: it is no firmware of an ESP32: build that with `cargo esp-ota build`\n",
            )
        })
        .stderr("");
}

#[test]
fn every_file_of_a_project_is_called_what_it_is() {
    let project = Project::made();
    let read = |path: &str| std::fs::read(project.path(path)).unwrap();
    rejected(read("partitions.csv"), 1, "partition-csv", "partition-csv");
    rejected(read("trust/root.json"), 1, "tuf-metadata", "tuf-metadata");
    rejected(read("certs/root.pem"), 1, "pem", "pem");
    rejected(read("Cargo.toml"), 1, "text", "text");
    let key = project.around("configuration/esp-ota/keys/thermostat/targets.pem");
    rejected(std::fs::read(key).unwrap(), 1, "private-key", "private-key");
    let dump = material::dump("2-updated");
    rejected(&dump[0x8000..0x8c00], 1, "partition-table", "partition-table");
    rejected(&dump[0xe000..0x1_0000], 1, "otadata", "otadata");
    rejected(&dump[0x9000..0xe000], 1, "nvs", "nvs");
    rejected(&dump[0x29_0000..0x2a_0000], 1, "erased-flash", "erased-flash");
}

#[test]
fn files_from_elsewhere_are_called_what_they_are() {
    let random: Vec<u8> = (0..64u8)
        .flat_map(|block| {
            use sha2::{Digest, Sha256};
            Sha256::digest([block]).to_vec()
        })
        .collect();
    for (bytes, kind) in [
        (&b""[..], "empty"),
        (b"<!DOCTYPE html><title>404</title>", "html"),
        (b"<?xml version=\"1.0\"?><Error/>", "xml"),
        (b"{\"message\": \"Not Found\"}", "json"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xe9", "http-answer"),
        (b"version https://git-lfs.github.com/spec/v1\noid\n", "git-lfs-pointer"),
        (b":020000040800F2\n", "intel-hex"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip"),
        (b"PK\x03\x04\x14\0", "zip"),
        (b"UF2\n\x57\x51\x5d\x9e", "uf2"),
        (b"404 page not found\n", "text"),
        (&[0; 64], "zeros"),
        (&random, "looks-encrypted"),
        (b"\x00\x01\x02\x03", "unknown"),
    ] {
        rejected(bytes, 1, kind, kind);
    }
}

#[test]
fn what_the_file_says_cannot_command_a_terminal() {
    let html = b"<html>\x1b[2J\x1b]0;owned\x07\r\n";
    Project::new()
        .file("a.bin", html)
        .run(["inspect", "a.bin"])
        .exits(1)
        .stdout_is(|text| !text.contains('\u{1b}') && !text.contains('\u{7}'))
        .stderr("");
}

#[test]
fn standard_input_is_a_file_too() {
    let project = Project::new().input(material::image("1.0.0"));
    project
        .run(["inspect", "-"])
        .exits(0)
        .stdout_is(|text| text.starts_with("-: an app image"))
        .stderr("");
    Project::new().input("").run(["inspect", "-"]).exits(1).stderr("");
}

#[test]
fn a_refusal_is_annotated_on_the_file() {
    Project::new()
        .file("a.bin", "404")
        .run(["inspect", "a.bin", "--format", "github"])
        .exits(1)
        .stdout_is(|text| {
            text.ends_with(
                "::error file=a.bin,title=text::it is text, not an app image%0Ahelp: publish the app \
                 image that `cargo esp-ota build` writes\n",
            )
        })
        .stderr("");
}

#[test]
fn a_file_that_is_far_too_large_is_not_read() {
    let project = Project::new();
    let file = std::fs::File::create(project.path("a.bin")).unwrap();
    // A hole: it takes no space on the disk.
    file.set_len(256 * 1024 * 1024 + 1).unwrap();
    let mut command = project.command(["inspect", "a.bin"]);
    let done = command.output().unwrap();
    assert_eq!(done.status.code(), Some(3));
    assert_eq!(
        String::from_utf8(done.stderr).unwrap(),
        "error: `a.bin` could not be read\n  caused by: larger than 268435456 bytes\n  \
         help: name another file\n"
    );
}

#[test]
fn a_broken_project_is_no_reason_to_compare_with_nothing() {
    Project::new()
        .file("esp-ota.toml", "product = \n")
        .file("a.bin", material::image("1.0.0"))
        .run(["inspect", "a.bin", "--format", "json"])
        .exits(3)
        .json(|failed: Failed| assert_eq!(failed.command, "inspect"))
        .wrote_nothing();
    Project::made()
        .file("partitions.csv", "noise\n")
        .file("a.bin", material::image("1.0.0"))
        .run(["inspect", "a.bin"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: cannot use the partition table: "))
        .wrote_nothing();
}
