//! `publish` with images for several chips, which are one release; and `--dry-run`.

use std::fs;

use crate::harness::Project;
use crate::material;
use crate::shape::{Publish, PublishPreview};

/// `chip_id` of the ESP32-S3 and of the ESP32-C6 in an image's header.
const S3: u16 = 9;
const C6: u16 = 13;

fn image(version: &str, chip: u16) -> Vec<u8> {
    material::for_chip(material::image(version), chip)
}

/// A project with images of this version for three chips.
fn project(version: &str) -> Project {
    Project::made()
        .file("c3.bin", material::image(version))
        .file("s3.bin", image(version, S3))
        .file("c6.bin", image(version, C6))
}

#[test]
fn images_for_several_chips_are_one_release() {
    let project = project("1.0.0");
    project
        .run(["publish", "s3.bin", "c3.bin", "c6.bin", "-q", "--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            let chips = |list: Vec<&str>| list.join(" ");
            let images = report.images.iter().map(|it| it.chip.as_str()).collect();
            assert_eq!(chips(images), "esp32s3 esp32c3 esp32c6");
            assert!(report.images.iter().all(|it| it.published && it.plain.is_some()));
            let mut rehearsed: Vec<&str> =
                report.rehearsed.iter().map(|it| it.chip.as_str()).collect();
            rehearsed.sort_unstable();
            assert_eq!(chips(rehearsed), "esp32c3 esp32c6 esp32s3");
        })
        .stderr("");
    let listed = |folder: &str| {
        let mut names: Vec<String> = fs::read_dir(project.path(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.split_once(".thermostat").map_or(name.clone(), |it| it.1.to_owned()))
            .collect();
        names.sort();
        names
    };
    let metadata = ["1.root.json", "1.snapshot.json", "1.targets.json", "staged", "timestamp.json"];
    assert_eq!(listed("dist/metadata"), metadata);
    let targets = ["-esp32c3-1.0.0.bin", "-esp32c6-1.0.0.bin", "-esp32s3-1.0.0.bin"];
    assert_eq!(listed("dist/targets"), targets);
    for chip in ["c3", "s3", "c6"] {
        let plain = fs::read(project.path(&format!("dist/esp32{chip}/firmware.bin"))).unwrap();
        assert_eq!(plain, fs::read(project.path(&format!("{chip}.bin"))).unwrap(), "{chip}");
    }
    project
        .run(["publish", "c6.bin", "s3.bin"])
        .exits(0)
        .stdout("thermostat 1.0.0 for esp32c6, esp32s3 is published already in dir:dist\n")
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_chip_may_follow_later_under_the_same_version() {
    let project = project("1.0.0");
    project.run(["publish", "c3.bin", "-q"]).exits(0).stdout_is(|_| true).stderr("");
    project
        .run(["publish", "c3.bin", "s3.bin", "-q", "--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            let published: Vec<bool> = report.images.iter().map(|it| it.published).collect();
            assert_eq!(published, [false, true]);
            assert_eq!(report.rehearsed.len(), 1);
            assert_eq!(report.rehearsed[0].chip, "esp32s3");
        })
        .stderr("");
}

/// These images are no release.
#[track_caller]
fn refused(project: &Project, images: &[&str], code: i32, stderr: &str) {
    let all = ["publish", "-q"].into_iter().chain(images.iter().copied());
    project.refuses("publish", all, (code, stderr));
}

#[test]
fn one_release_has_one_version() {
    refused(
        &project("1.0.0").file("s3.bin", image("1.1.0", S3)),
        &["c3.bin", "s3.bin"],
        1,
        "error: `s3.bin` has version `1.1.0`, and `c3.bin` has `1.0.0`\n  \
         help: publish them one after the other\n",
    );
}

#[test]
fn one_chip_has_one_image() {
    refused(
        &project("1.0.0").file("other.bin", image("1.0.0", S3)),
        &["c3.bin", "s3.bin", "other.bin"],
        1,
        "error: `other.bin` and `s3.bin` are both for esp32s3\n  \
         help: name one image for each chip\n",
    );
}

#[test]
fn each_image_has_to_fit_every_slot_and_one_that_does_not_stops_all() {
    let size = material::image("1.0.0").len();
    let small = "nvs, data, nvs, 0x9000, 0x5000\n\
                 otadata, data, ota, 0xe000, 0x2000\n\
                 app0, app, ota_0, 0x10000, 0x10000\n\
                 app1, app, ota_1, 0x20000, 0x10000\n";
    refused(
        &project("1.0.0").file("partitions.csv", small),
        &["c3.bin", "s3.bin"],
        1,
        &format!(
            "error: `c3.bin` must not be published\n  \
             caused by: the image has {size} bytes, but slot `ota_0` has 65536: {} too many\n  \
             help: make the program smaller, or the slots larger in the partition table\n",
            size - 65536
        ),
    );
    refused(
        &project("1.0.0").file("s3.bin", material::tampered(image("1.0.0", S3))),
        &["c3.bin", "s3.bin"],
        6,
        &{
            let image = image("1.0.0", S3);
            let checksum = image[image.len() - 33];
            format!(
                "error: `s3.bin` must not be published\n  \
                 caused by: the checksum does not match: {checksum:#04x} is stored, {:#04x} \
                 computed\n  \
                 help: do not trust this file: make the image again with `cargo esp-ota build`\n",
                checksum ^ 1
            )
        },
    );
}

#[test]
fn a_dry_run_says_what_would_be_written_and_writes_nothing() {
    let project = project("1.0.0");
    project.run(["publish", "c3.bin", "-q"]).exits(0).stdout_is(|_| true).stderr("");
    let project =
        project.file("c3.bin", material::image("1.1.0")).file("s3.bin", image("1.1.0", S3));
    project
        .run(["publish", "c3.bin", "s3.bin", "--dry-run", "--format", "json"])
        .exits(0)
        .json(|report: PublishPreview| {
            assert!(report.dry_run && report.publishes);
            assert_eq!(report.version.as_deref(), Some("1.1.0"));
            let numbers = &report.metadata;
            assert_eq!(
                (numbers.targets, numbers.snapshot, numbers.timestamp),
                (Some(2), Some(2), Some(2))
            );
            let updates: Vec<(&str, Option<&str>, Option<&str>)> = report
                .updates
                .iter()
                .map(|it| (it.chip.as_str(), it.from.as_deref(), it.to.as_deref()))
                .collect();
            assert_eq!(
                updates,
                [
                    ("esp32s3", None, Some("1.1.0")),
                    ("esp32c3", None, Some("1.1.0")),
                    ("esp32c3", Some("1.0.0"), Some("1.1.0")),
                ]
            );
            let size = u64::try_from(material::image("1.1.0").len()).unwrap();
            assert_eq!(report.files[0].size, size);
        })
        .stderr("")
        .wrote_nothing();
    let size = material::image("1.1.0").len();
    project
        .run(["publish", "c3.bin", "s3.bin", "--dry-run"])
        .exits(0)
        .stdout_is(|text| {
            let lines: Vec<&str> =
                text.lines().map(|line| line.split(',').next().unwrap()).collect();
            lines
                == [
                    "nothing written: thermostat 1.1.0 would go to `stable` in dir:dist",
                    "  write    targets/[SHA-256].thermostat-esp32c3-1.1.0.bin",
                    "  write    targets/[SHA-256].thermostat-esp32s3-1.1.0.bin",
                    "  keep     metadata/1.root.json",
                    "  write    metadata/2.targets.json",
                    "  write    metadata/2.snapshot.json",
                    "  write    metadata/staged/timestamp.json",
                    "  replace  metadata/timestamp.json",
                    "  write    esp32s3/firmware.bin",
                    "  replace  esp32c3/firmware.bin",
                    "  esp32s3 in `stable`: from no release to 1.1.0",
                    "  esp32c3 in `stable`: from no release to 1.1.0",
                    "  esp32c3 in `stable`: from 1.0.0 to 1.1.0",
                ]
                && text.contains(&format!(", {size} bytes\n"))
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_dry_run_refuses_what_a_publish_would_refuse() {
    let project = project("1.1.0");
    project.run(["publish", "c3.bin", "-q"]).exits(0).stdout_is(|_| true).stderr("");
    let project = project.file("c3.bin", material::image("1.0.0"));
    refused(
        &project,
        &["c3.bin", "--dry-run"],
        1,
        "error: `1.0.0` is not newer than `1.1.0`, the newest release for esp32c3 in `stable`\n  \
         help: raise the version and run `cargo esp-ota publish` again\n",
    );
    fs::remove_file(project.around("configuration/esp-ota/keys/thermostat/targets.pem")).unwrap();
    let project = project.file("c3.bin", material::image("1.2.0"));
    project
        .run(["publish", "c3.bin", "--dry-run"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: no signing key for the targets role: "))
        .wrote_nothing();
}

#[test]
fn a_dry_run_of_what_is_published_has_nothing_to_write() {
    let project = project("1.0.0");
    project.run(["publish", "c3.bin", "-q"]).exits(0).stdout_is(|_| true).stderr("");
    project
        .run(["publish", "c3.bin", "--dry-run"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with("nothing written: thermostat 1.0.0 is published already in dir:dist\n")
                && text.lines().skip(1).all(|line| line.starts_with("  keep  "))
        })
        .stderr("")
        .wrote_nothing();
}
