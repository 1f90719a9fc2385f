//! `publish`.

use std::fs;

use crate::harness::Project;
use crate::material;
use crate::shape::Publish;

/// A project with an image to publish.
fn project() -> Project {
    Project::made().file("a.bin", material::image("1.1.0"))
}

/// The same, with that image published.
fn published() -> Project {
    let project = project();
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    project
}

const FIRST: [&str; 7] = [
    "dist/esp32c3/firmware.bin",
    "dist/metadata/1.root.json",
    "dist/metadata/1.snapshot.json",
    "dist/metadata/1.targets.json",
    "dist/metadata/staged",
    "dist/metadata/timestamp.json",
    "dist/targets/[SHA-256].thermostat-esp32c3-1.1.0.bin",
];

#[test]
fn a_release_is_signed_rehearsed_and_live() {
    let project = project();
    let size = fs::metadata(project.path("a.bin")).unwrap().len();
    project
        .run(["publish", "a.bin"])
        .exits(0)
        .stdout_is(|text| {
            let expected = format!(
                "published thermostat 1.1.0 for esp32c3 to `stable` in dir:dist\n  \
                 esp32c3: {size} bytes, SHA-256 [SHA-256]\n  \
                 esp32c3: plain copy at `esp32c3/firmware.bin`\n  \
                 esp32c3: rehearsed from no release: the agent installed 1.1.0 into ota_1 with "
            );
            text.starts_with(&expected)
                && text.ends_with(
                    " flash operations in all, and both bootloader models start it\n  \
                     not verified from outside: once the files are where devices read them, run \
                     `cargo esp-ota rehearse --public`\n",
                )
        })
        .stderr("rehearsing esp32c3 with the device's own agent\n")
        .changed(&FIRST);
    assert_eq!(
        fs::read(project.path("dist/esp32c3/firmware.bin")).unwrap(),
        fs::read(project.path("a.bin")).unwrap()
    );
}

#[test]
fn in_json_the_rehearsal_is_told() {
    project()
        .run(["publish", "a.bin", "--store", "dir:out", "--channel", "beta", "--format", "json"])
        .exits(0)
        .json(|report: Publish| {
            assert_eq!(report.command, "publish");
            assert_eq!((report.channel.as_str(), report.store.as_str()), ("beta", "dir:out"));
            assert_eq!((report.product.as_str(), report.version.as_str()), ("thermostat", "1.1.0"));
            assert!(report.published && report.rehearsed_with_own_agent);
            let [image] = &report.images[..] else { panic!("{report:?}") };
            assert!(image.published && image.chip == "esp32c3" && image.sha256.len() == 64);
            // The plain copy follows the channel of the file, which is another one.
            assert_eq!(image.plain, None);
            let [rehearsed] = &report.rehearsed[..] else { panic!("{report:?}") };
            assert_eq!((&rehearsed.from, rehearsed.slot), (&None, Some(1)));
            assert_eq!((rehearsed.chip.as_str(), rehearsed.channel.as_str()), ("esp32c3", "beta"));
            assert!(rehearsed.version == "1.1.0" && rehearsed.flash_operations > 0);
            assert_eq!((report.verified_from, report.live_at_url), (None, None));
        })
        .stderr("rehearsing esp32c3 with the device's own agent\n");
}

#[test]
fn the_same_bytes_again_change_nothing() {
    let project = published();
    project
        .run(["publish", "a.bin"])
        .exits(0)
        .stdout("thermostat 1.1.0 for esp32c3 is published already in dir:dist\n")
        .stderr("")
        .wrote_nothing();
    project
        .run(["publish", "a.bin", "--format", "json"])
        .exits(0)
        .json(|report: Publish| assert!(!report.published && report.rehearsed.is_empty()))
        .stderr("")
        .wrote_nothing();
}

/// Sketches fetch it by its URL: they get what the project's own channel has.
#[test]
fn a_release_to_another_channel_leaves_the_plain_copy_alone() {
    let project = published().file("b.bin", material::image("1.2.0"));
    let before = fs::read(project.path("dist/esp32c3/firmware.bin")).unwrap();
    project
        .run(["publish", "b.bin", "--channel", "beta", "-q"])
        .exits(0)
        .stdout_is(|text| text.contains("1.2.0 for esp32c3 to `beta`") && !text.contains("plain"))
        .stderr("");
    assert_eq!(fs::read(project.path("dist/esp32c3/firmware.bin")).unwrap(), before);
}

/// Publishes in both formats and expects the same refusal, and an untouched project.
#[track_caller]
fn refused(project: &Project, arguments: &[&str], code: i32, stderr: &str) {
    let all = ["publish"].into_iter().chain(arguments.iter().copied());
    project.refuses("publish", all, (code, stderr));
}

#[test]
fn a_version_keeps_its_bytes() {
    // Sound in itself, and not what was published as 1.1.0.
    let mut other = material::image("1.1.0");
    other[24 + 8 + 112] ^= 1; // A byte of the descriptor's build time, in the first segment.
    let other = material::for_chip(other, 5);
    let project = published().file("b.bin", material::with_checksum(other));
    refused(
        &project,
        &["b.bin"],
        1,
        "error: `thermostat-esp32c3-1.1.0.bin` is published with other bytes (SHA-256 \
         `[SHA-256]`, this image `[SHA-256]`)\n  \
         help: raise the version and run `cargo esp-ota publish` again\n",
    );
}

#[test]
fn an_older_version_is_refused() {
    refused(
        &published().file("b.bin", material::image("1.0.0")),
        &["b.bin"],
        1,
        "error: `1.0.0` is not newer than `1.1.0`, the newest release for esp32c3 in `stable`\n  \
         help: raise the version and run `cargo esp-ota publish` again\n",
    );
}

#[test]
fn a_version_is_not_claimed_for_an_image_that_states_another() {
    refused(
        &project(),
        &["a.bin", "--release-version", "2.0.0"],
        1,
        "error: the image states version `1.1.0`, not `2.0.0`\n  \
         help: leave `--release-version` out\n",
    );
}

/// The file is refused for this reason, with this remedy.
#[track_caller]
fn unfit(bytes: impl AsRef<[u8]>, code: i32, cause: &str, help: &str) {
    let stderr =
        format!("error: `a.bin` must not be published\n  caused by: {cause}\n  help: {help}\n");
    refused(&Project::made().file("a.bin", bytes), &["a.bin"], code, &stderr);
}

#[test]
fn bytes_that_were_changed_are_a_matter_of_trust() {
    let image = material::image("1.1.0");
    let help = "do not trust this file: make the image again with `cargo esp-ota build`";
    let checksum = image[image.len() - 33];
    let cause = format!(
        "the checksum does not match: {checksum:#04x} is stored, {:#04x} computed",
        checksum ^ 1
    );
    unfit(material::tampered(image.clone()), 6, &cause, help);
    let mut digest = image;
    *digest.last_mut().unwrap() ^= 1;
    let cause = "the SHA-256 does not match: [SHA-256] is appended, [SHA-256] computed";
    unfit(digest, 6, cause, help);
}

#[test]
fn what_is_no_image_is_called_what_it_is() {
    unfit(
        b"no image".repeat(9),
        1,
        "it is text, not an app image",
        "publish the app image that `cargo esp-ota build` writes",
    );
    unfit(
        material::elf("1.1.0"),
        1,
        "it is an ELF file for RISC-V, not an app image",
        "make an image of it: `cargo esp-ota build --elf FILE`",
    );
    let size = material::image("1.0.0").len();
    unfit(
        material::dump("1-installed"),
        1,
        "it is a file of whole flash, with a partition table at 0x8000, not an app image",
        &format!(
            "publish the app alone: `cargo esp-ota build` makes it, or `espflash save-image` without \
             `--merge`; the app in this file: `tail -c +65537 FILE | head -c {size} > app.bin`"
        ),
    );
}

#[test]
fn a_file_that_ends_early_is_no_image() {
    let image = material::image("1.1.0");
    let whole = image.len();
    let help = "copy the file again, or make the image again with `cargo esp-ota build`";
    for lost in [1, 32, 33] {
        let cause =
            format!("the file ends after {} of {whole} bytes: {lost} are missing", whole - lost);
        unfit(&image[..whole - lost], 1, &cause, help);
    }
    for size in [1, 23, whole / 4 * 3] {
        Project::made()
            .file("a.bin", &image[..size])
            .run(["publish", "a.bin"])
            .exits(1)
            .stdout("")
            .stderr_is(|text| {
                text.contains(&format!("  caused by: the file ends after {size} of at least "))
                    && text.ends_with(&format!(" are missing\n  help: {help}\n"))
            })
            .wrote_nothing();
    }
    let help = "make it again: whatever wrote it did not finish";
    unfit(b"", 1, "it is an empty file, not an app image", help);
}

#[test]
fn an_image_for_another_chip_is_rejected() {
    unfit(
        material::for_chip(material::image("1.1.0"), 9),
        1,
        "it is for esp32s3, not for esp32c3",
        "build for esp32c3; where that is wrong, correct `--chip`, or `chip` in `esp-ota.toml`",
    );
}

#[test]
fn a_padded_file_is_no_image() {
    let image = material::image("1.1.0");
    let size = image.len();
    let mut padded = image;
    padded.extend([0xff; 16]);
    unfit(
        padded,
        1,
        &format!("16 bytes of padding follow the image, which ends after {size}"),
        &format!(
            "make the image again with `cargo esp-ota build`, which pads nothing, or cut it: \
             `head -c {size} FILE > app.bin`"
        ),
    );
}

#[test]
fn an_image_larger_than_a_slot_is_rejected() {
    let size = material::image("1.1.0").len();
    let small = "nvs, data, nvs, 0x9000, 0x5000\n\
                 otadata, data, ota, 0xe000, 0x2000\n\
                 app0, app, ota_0, 0x10000, 0x10000\n\
                 app1, app, ota_1, 0x20000, 0x10000\n";
    refused(
        &project().file("partitions.csv", small),
        &["a.bin"],
        1,
        &format!(
            "error: `a.bin` must not be published\n  \
             caused by: the image has {size} bytes, but slot `ota_0` has 65536: {} too many\n  \
             help: make the program smaller, or the slots larger in the partition table\n",
            size - 65536
        ),
    );
}

#[test]
fn without_a_key_nothing_is_signed() {
    let project = project();
    fs::remove_file(project.around("configuration/esp-ota/keys/thermostat/targets.pem")).unwrap();
    refused(
        &project,
        &["a.bin"],
        3,
        "error: no signing key for the targets role: \
         `[ROOT]/configuration/esp-ota/keys/thermostat/targets.pem` does not exist\n  \
         help: bring it back from your copy, or pass it in `ESP_OTA_KEY_TARGETS`: \
         devices in the field trust no other\n",
    );
}

#[test]
fn keys_come_from_the_environment_too() {
    let project = project();
    let key = |role| {
        let file = project.around(&format!("configuration/esp-ota/keys/thermostat/{role}.pem"));
        fs::read_to_string(file).unwrap()
    };
    let keys = ["targets", "snapshot", "timestamp"].map(key);
    fs::remove_dir_all(project.around("configuration/esp-ota")).unwrap();
    let [targets, snapshot, timestamp] = keys;
    project
        .env("ESP_OTA_KEY_TARGETS", targets)
        .env("ESP_OTA_KEY_SNAPSHOT", snapshot)
        .env("ESP_OTA_KEY_TIMESTAMP", timestamp)
        .run(["publish", "a.bin", "-q"])
        .exits(0)
        .stderr("")
        .changed(&FIRST);
}

#[test]
fn keys_come_from_files_and_from_standard_input_too() {
    let project = project();
    let folder = project.around("configuration/esp-ota/keys/thermostat");
    let key = fs::read(folder.join("targets.pem")).unwrap();
    fs::remove_file(folder.join("targets.pem")).unwrap();
    let elsewhere = project.around("scratch/snapshot.pem");
    fs::rename(folder.join("snapshot.pem"), &elsewhere).unwrap();
    let snapshot = format!("snapshot={}", elsewhere.display());
    let named = ["publish", "a.bin", "-q", "--key", "targets=-", "--key", &snapshot];
    let project = project.input(&b"no key"[..]);
    project.run(named).exits(3).stdout("").stderr_is(|text| {
        text.starts_with("error: cannot use the signing key in `standard input`\n")
    });
    project.input(key).run(named).exits(0).stdout_is(|_| true).stderr("").changed(&FIRST);
}

#[test]
fn a_key_that_the_root_does_not_list_signs_nothing() {
    let project = project();
    let keys = "configuration/esp-ota/keys/thermostat";
    // The timestamp's key is a sound one, but it is not the key of targets.
    fs::copy(
        project.around(&format!("{keys}/timestamp.pem")),
        project.around(&format!("{keys}/targets.pem")),
    )
    .unwrap();
    project
        .run(["publish", "a.bin"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| {
            text.contains("may not sign for the targets role")
                && text.contains("\n  help: sign with the targets key that was made together with `trust/root.json`\n")
        })
        .wrote_nothing();
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let project = project();
    let key = project.around("configuration/esp-ota/keys/thermostat/targets.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(
        &project,
        &["a.bin"],
        3,
        "error: `[ROOT]/configuration/esp-ota/keys/thermostat/targets.pem` is open to others (mode \
         644, expected 600)\n  \
         help: close it with `chmod 600 [ROOT]/configuration/esp-ota/keys/thermostat/targets.pem`\n",
    );
}

#[test]
fn without_the_tuf_root_nothing_is_published() {
    refused(
        &project().without("trust/root.json"),
        &["a.bin"],
        3,
        "error: there is no `trust/root.json`: the firmware could not verify any release\n  \
         help: make signing keys with `cargo esp-ota keys new`\n",
    );
    let project = project().file("trust/root.json", "{}");
    project
        .run(["publish", "a.bin"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: the TUF root is not root metadata\n")
                && text.contains("\n  help: restore `trust/root.json` from version control\n")
        })
        .wrote_nothing();
    let project = self::project();
    let other = Project::new();
    other.run(["init", "--product", "thermostat"]).exits(0).stderr("");
    let text = project.read("trust/root.json");
    let signed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut forged: serde_json::Value =
        serde_json::from_str(&other.read("trust/root.json")).unwrap();
    forged["signatures"] = signed["signatures"].clone();
    project
        .file("trust/root.json", forged.to_string())
        .run(["publish", "a.bin"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: the TUF root is not signed by its own keys\n"))
        .wrote_nothing();
}

#[test]
fn stale_roots_are_not_published() {
    refused(
        &project().file("src/roots.rs", "// by hand\n"),
        &["a.bin"],
        1,
        "error: `src/roots.rs` does not hold the roots that are pinned now\n  \
         help: run `cargo esp-ota ca embed`\n",
    );
}

#[test]
fn a_store_that_is_none_is_refused() {
    refused(
        &project(),
        &["a.bin", "--store", "ftp://a"],
        3,
        "error: `ftp://a` names no store that this version can write\n  \
         help: name a folder or an https address in `esp-ota.toml`: `store = \"dir:dist\"`\n",
    );
}

#[test]
fn a_store_over_a_network_is_verified_from_its_public_url_or_not_at_all() {
    refused(
        &project().edit("esp-ota.toml", "url = \"https://updates.test/t\"\n", ""),
        &["a.bin", "--store", "https://store.test/t"],
        3,
        "error: `esp-ota.toml` names no URL to verify the release from\n  \
         help: set `url` under `[release]` in `esp-ota.toml`, or pass `--url`\n",
    );
}

#[test]
fn a_store_that_cannot_be_written_shows_devices_nothing_new() {
    let project = published().file("b.bin", material::image("1.2.0"));
    fs::remove_dir(project.path("dist/metadata/staged")).unwrap();
    let project = project.file("dist/metadata/staged", "in the way\n");
    let live = project.read("dist/metadata/timestamp.json");
    project.run(["publish", "b.bin"]).exits(5).stdout("").stderr_is(|text| {
        text.starts_with("error: cannot write `dist/metadata/staged/timestamp.json`\n  caused by: ")
    });
    assert_eq!(project.read("dist/metadata/timestamp.json"), live);
    assert_eq!(
        fs::read(project.path("dist/esp32c3/firmware.bin")).unwrap(),
        material::image("1.1.0")
    );
}

#[test]
fn a_plain_copy_that_cannot_be_written_is_no_secret_and_the_release_is_live() {
    let project = project().folder("dist/esp32c3/firmware.bin");
    project.run(["publish", "a.bin", "-q"]).exits(3).stdout("").stderr_is(|text| {
        text.starts_with(
            "warning: devices see the new release, but not everything beside it is in place\n\
             error: cannot read `dist/esp32c3/firmware.bin`\n",
        )
    });
    project.run(["check"]).exits(0).stdout_is(|text| text.contains("1 release")).stderr("");
    fs::remove_dir(project.path("dist/esp32c3/firmware.bin")).unwrap();
    project
        .run(["publish", "a.bin", "-q"])
        .exits(0)
        .stdout_is(|text| text.contains("is published already"))
        .stderr("")
        .changed(&["dist/esp32c3/firmware.bin"]);
}

#[test]
fn a_repository_that_somebody_changed_is_not_added_to() {
    let project = published().file("b.bin", material::image("1.2.0"));
    let metadata = "dist/metadata/1.targets.json";
    let text = project.read(metadata).replace("1.1.0", "9.9.9");
    project
        .file(metadata, text)
        .run(["publish", "b.bin"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: the release repository does not verify against the TUF root\n")
                && text.contains("\n  help: compare `[release] store`")
        })
        .wrote_nothing();
}

#[test]
fn an_agent_of_one_s_own_is_said_and_never_passed_over() {
    let project = project();
    let agent = project.read("src/ota/agent.rs");
    let project = project.file("src/ota/agent.rs", agent + "// mine\n");
    refused(
        &project,
        &["a.bin"],
        1,
        "error: the project's own agent in `src/ota` cannot be rehearsed: it differs from this \
         tool's\n  \
         help: test it on devices, then pass `--accept-agent-drift`; the release will say so\n",
    );
    project
        .run(["publish", "a.bin", "--accept-agent-drift", "--format", "json"])
        .exits(0)
        .json(|report: Publish| assert!(!report.rehearsed_with_own_agent))
        .stderr(
            "rehearsing esp32c3 with the device's own agent\n\
             warning: not rehearsed with its own agent: `src/ota` was changed\n",
        )
        .changed(&FIRST);
}
