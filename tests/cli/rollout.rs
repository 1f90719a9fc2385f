//! `rollout show`, `rollout set` and `rollout halt`.

use std::fs;

use serde::Deserialize;

use crate::harness::Project;
use crate::material;
use crate::releases::{self, Release};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Show {
    #[serde(rename = "schema")]
    _schema: u32,
    command: String,
    #[serde(rename = "outcome")]
    _outcome: String,
    #[serde(rename = "exit-code")]
    _exit_code: u8,
    product: String,
    store: String,
    kinds: Vec<Kind>,
    metadata: Vec<End>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Kind {
    chip: String,
    channel: String,
    releases: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Listed {
    version: String,
    percent: u8,
    seed: String,
    standing: String,
    size: usize,
    sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct End {
    role: String,
    expires: String,
    days_left: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Change {
    #[serde(rename = "schema")]
    _schema: u32,
    command: String,
    #[serde(rename = "outcome")]
    _outcome: String,
    #[serde(rename = "exit-code")]
    _exit_code: u8,
    product: String,
    channel: String,
    dry_run: bool,
    changed: bool,
    releases: Vec<Changed>,
    plain: Vec<Plain>,
    rehearsed: Vec<serde_json::Value>,
    not_rehearsed: Vec<serde_json::Value>,
    withdrawn: Vec<serde_json::Value>,
    archived: Vec<String>,
    live_at_url: Option<bool>,
    store: String,
    verified_from: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Changed {
    version: String,
    chip: String,
    sha256: String,
    old_percent: u8,
    percent: u8,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Plain {
    path: String,
    version: Option<String>,
}

const PLAIN: &str = "dist/esp32c3/firmware.bin";

/// A project with 1.0.0 for every device, and 1.1.0 for this share.
fn published(percent: u8) -> Project {
    let project = Project::made();
    Release::new("1.0.0", material::image("1.0.0")).publish(&project);
    Release::new("1.1.0", material::image("1.1.0"))
        .with(|custom| custom.rollout.percent = percent)
        .publish(&project);
    project
}

/// The plain copy is that of this version.
#[track_caller]
fn plain_is(project: &Project, version: &str) {
    assert!(fs::read(project.path(PLAIN)).unwrap() == material::image(version), "{version}");
}

/// What a device that runs `from` does now: the version it goes to, if any.
fn taken(project: &Project, from: &str) -> Option<String> {
    let mut taken = None;
    project
        .run(["rehearse", "--from", from, "--format", "json", "-q"])
        .exits(0)
        .json(|report: serde_json::Value| {
            taken = report["starts"][0]["to"].as_str().map(str::to_owned);
        })
        .stderr("");
    taken
}

#[test]
fn what_is_listed_is_shown_with_what_devices_make_of_it() {
    let project = published(25);
    Release::new("1.2.0", material::image("1.2.0"))
        .with(|custom| custom.rollout.percent = 0)
        .publish(&project);
    project
        .run(["rollout", "show"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(
                "thermostat for esp32c3 in `stable`\n\
                 \x20 1.2.0    0 %  halted: no device takes it\n\
                 \x20 1.1.0   25 %  newest\n\
                 \x20 1.0.0  100 %  for the devices that no newer rollout includes\n\
                 root: good until ",
            ) && text.ends_with(" days\n")
        })
        .stderr("")
        .wrote_nothing();
    project
        .run(["rollout", "show", "--format", "json"])
        .exits(0)
        .json(|report: Show| {
            assert_eq!(report.command, "rollout show");
            assert_eq!(
                (report.product.as_str(), report.store.as_str()),
                ("thermostat", "dir:dist")
            );
            let [kind] = report.kinds.as_slice() else { panic!("{:?}", report.kinds) };
            assert_eq!((kind.chip.as_str(), kind.channel.as_str()), ("esp32c3", "stable"));
            let told: Vec<_> = kind
                .releases
                .iter()
                .map(|it| (it.version.as_str(), it.percent, it.seed.as_str(), it.standing.as_str()))
                .collect();
            assert_eq!(
                told,
                [
                    ("1.0.0", 100, "1.0.0", "remaining"),
                    ("1.1.0", 25, "1.1.0", "newest"),
                    ("1.2.0", 0, "1.2.0", "halted"),
                ]
            );
            let image = &kind.releases[0];
            assert_eq!(image.size, material::image("1.0.0").len());
            assert_eq!(image.sha256.len(), 64);
            let ends: Vec<_> =
                report.metadata.iter().map(|it| (it.role.as_str(), it.days_left)).collect();
            let [
                ("root", 1824..=1825),
                ("targets", 364..=365),
                ("snapshot", 89..=90),
                ("timestamp", 89..=90),
            ] = ends.as_slice()
            else {
                panic!("{ends:?}")
            };
            assert!(report.metadata.iter().all(|it| it.expires.ends_with('Z')));
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_store_without_releases_is_shown_as_that() {
    let project = Project::made();
    project
        .run(["rollout", "show"])
        .exits(0)
        .stdout("no release of thermostat is listed in dir:dist\n")
        .stderr("")
        .wrote_nothing();
    published(100)
        .run(["rollout", "show", "--channel", "beta"])
        .exits(0)
        .stdout_is(|text| text.starts_with("no release of thermostat is listed in dir:dist\n"))
        .stderr("")
        .wrote_nothing();
}

#[test]
fn metadata_that_ended_is_said_and_shown() {
    let project = Project::made();
    Release::new("1.0.0", material::image("1.0.0")).signed_days_ago(91).publish(&project);
    project
        .run(["rollout", "show"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("\ntargets: good until ") && text.contains("\ntimestamp: ended on ")
        })
        .stderr_is(|text| text.starts_with("warning: the published "))
        .wrote_nothing();
}

#[test]
fn a_share_is_raised_in_metadata_alone() {
    let project = published(10);
    project
        .run(["rollout", "set", "25%"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with("thermostat 1.1.0 for esp32c3 goes from 10 % to 25 % of the devices\n")
                && text.contains("  esp32c3: rehearsed from 1.0.0: the agent installed 1.1.0 into ")
                && text.ends_with("  written to dir:dist, and not verified from outside\n")
        })
        .stderr("rehearsing esp32c3 with the device's own agent\n")
        .changed(&[
            "dist/metadata/3.snapshot.json",
            "dist/metadata/3.targets.json",
            "dist/metadata/timestamp.json",
        ]);
    let targets = project.read("dist/metadata/3.targets.json");
    assert!(targets.contains(r#""rollout":{"percent":25,"seed":"1.1.0"}"#), "{targets}");
    plain_is(&project, "1.0.0");
    project
        .run(["rollout", "set", "100", "--format", "json"])
        .exits(0)
        .json(|report: Change| {
            assert_eq!(report.command, "rollout set");
            let told = (report.product.as_str(), report.channel.as_str(), report.store.as_str());
            assert_eq!(told, ("thermostat", "stable", "dir:dist"));
            assert!(report.changed && !report.dry_run);
            let [release] = report.releases.as_slice() else { panic!("{:?}", report.releases) };
            assert_eq!((release.version.as_str(), release.chip.as_str()), ("1.1.0", "esp32c3"));
            assert_eq!((release.old_percent, release.percent), (25, 100));
            assert_eq!(release.sha256.len(), 64);
            let path = "esp32c3/firmware.bin".into();
            assert_eq!(report.plain, [Plain { path, version: Some("1.1.0".into()) }]);
            let told = |it: &serde_json::Value| (it["from"].clone(), it["version"].clone());
            let told: Vec<_> = report.rehearsed.iter().map(told).collect();
            let expected = [(None, "1.1.0"), (Some("1.1.0"), "1.1.0"), (Some("1.0.0"), "1.1.0")];
            assert_eq!(told, expected.map(|(from, to)| (from.into(), to.into())));
            assert!(report.not_rehearsed.is_empty());
            assert!(report.withdrawn.is_empty() && report.archived.is_empty());
            assert_eq!((report.live_at_url, report.verified_from), (None, None));
        })
        .stderr("rehearsing esp32c3 with the device's own agent\n");
    plain_is(&project, "1.1.0");
}

#[test]
fn the_first_device_of_a_release_is_a_rehearsed_one() {
    let project = published(0);
    assert_eq!(taken(&project, "1.0.0"), None);
    project
        .run(["rollout", "set", "1"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with("thermostat 1.1.0 for esp32c3 goes from 0 % to 1 % of the devices\n")
                && text.contains(
                    "  esp32c3: rehearsed from no release: the agent installed 1.1.0 into ota_1 with ",
                )
        })
        .stderr("rehearsing esp32c3 with the device's own agent\n");
    assert_eq!(taken(&project, "1.0.0").as_deref(), Some("1.1.0"));
}

#[test]
fn a_release_that_devices_cannot_install_gets_none() {
    let project = published(0);
    let target = releases::target(&project, "1.1.0");
    let image = fs::read(&target).unwrap();
    fs::write(&target, material::tampered(image)).unwrap();
    let live = project.read("dist/metadata/timestamp.json");
    project.run(["rollout", "set", "1"]).exits(6).stdout("").stderr_is(|text| {
        text.contains("caused by: the device's agent does not take the release (")
    });
    assert_eq!(project.read("dist/metadata/timestamp.json"), live);
}

#[test]
fn a_halt_takes_the_release_from_everyone_who_has_not_got_it() {
    let project = published(100);
    plain_is(&project, "1.1.0");
    assert_eq!(taken(&project, "1.0.0").as_deref(), Some("1.1.0"));
    project
        .run(["rollout", "halt"])
        .exits(0)
        .stdout(
            "thermostat 1.1.0 for esp32c3 goes from 100 % to 0 % of the devices\n  \
             `esp32c3/firmware.bin` is 1.0.0\n  \
             devices that have it keep it; `cargo esp-ota publish --revert VERSION` gives them the \
             content of another release\n  \
             written to dir:dist, and not verified from outside\n",
        )
        .stderr("")
        .changed(&[
            PLAIN,
            "dist/metadata/3.snapshot.json",
            "dist/metadata/3.targets.json",
            "dist/metadata/timestamp.json",
        ]);
    plain_is(&project, "1.0.0");
    assert_eq!(taken(&project, "1.0.0"), None);
    assert_eq!(taken(&project, "1.1.0"), None);
    project
        .run(["rollout", "halt"])
        .exits(0)
        .stdout(
            "thermostat 1.1.0 for esp32c3 is at 0 % of the devices already\n\
             nothing to change in dir:dist\n",
        )
        .stderr("")
        .wrote_nothing();
}

#[test]
fn an_emergency_stop_waits_for_no_rehearsal_of_what_is_left() {
    let project = published(100);
    let target = releases::target(&project, "1.0.0");
    let image = fs::read(&target).unwrap();
    fs::write(&target, material::tampered(image)).unwrap();
    project
        .run(["rollout", "halt", "--format", "json"])
        .exits(0)
        .json(|report: Change| {
            assert_eq!(report.command, "rollout halt");
            assert!(report.changed && report.rehearsed.is_empty());
            let path = "esp32c3/firmware.bin".into();
            assert_eq!(report.plain, [Plain { path, version: None }]);
        })
        .stderr(
            "warning: `targets/[SHA-256].thermostat-esp32c3-1.0.0.bin` is not the image of 1.0.0 \
             that was signed: no copy is made of it\n",
        );
    // Better none than the one that was halted.
    assert!(!project.path(PLAIN).exists());
}

#[test]
fn what_an_interrupted_halt_left_is_put_right() {
    let project = published(100);
    let halted = fs::read(project.path(PLAIN)).unwrap();
    project.run(["rollout", "halt", "-q"]).exits(0).stderr("");
    let project = project.file(PLAIN, halted);
    project
        .run(["rollout", "halt"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with("thermostat 1.1.0 for esp32c3 is at 0 % of the devices already\n")
                && text.contains("  `esp32c3/firmware.bin` is 1.0.0\n")
        })
        .stderr("")
        .changed(&[PLAIN]);
    plain_is(&project, "1.0.0");
}

#[test]
fn the_plain_copy_stays_with_its_channel() {
    let project = published(100);
    Release::new("1.2.0", material::image("1.2.0"))
        .with(|custom| custom.channels = vec!["beta".into()])
        .publish(&project);
    project.run(["rollout", "halt", "--channel", "beta", "-q"]).exits(0).stderr("");
    plain_is(&project, "1.1.0");
    project.run(["rollout", "set", "100", "--channel", "beta", "-q"]).exits(0).stderr("");
    plain_is(&project, "1.1.0");
}

#[test]
fn an_older_version_and_one_chip_can_be_meant() {
    let project = published(100);
    let halt = ["rollout", "halt", "--release-version", "v1.0.0", "--chip", "esp32c3"];
    project
        .run(halt)
        .exits(0)
        .stdout_is(|text| text.starts_with("thermostat 1.0.0 for esp32c3 goes from 100 % to 0 %"))
        .stderr("");
    plain_is(&project, "1.1.0");
    // Nobody takes it, so nobody could rehearse it.
    refused(
        &project,
        &["rollout", "set", "5", "--release-version", "1.0.0"],
        1,
        "error: `1.0.0` for esp32c3 is at 0 %, and devices take the newer `1.1.0`\n  \
         help: halt `1.1.0` first: only what devices would take next can be rehearsed\n",
    );
}

/// Fails in both formats, in the same words, and writes nothing.
#[track_caller]
fn refused(project: &Project, arguments: &[&str], code: i32, stderr: &str) {
    let all = arguments.iter().copied();
    project.refuses(&arguments[..2].join(" "), all, (code, stderr));
}

#[test]
fn several_chips_change_together_and_where_they_differ_nothing_is_guessed() {
    let project = published(10);
    let for_s3 = material::for_chip(material::image("1.1.0"), 9);
    let s3 = || {
        Release::new("1.1.0", for_s3.clone()).with(|custom| {
            custom.chip = "esp32s3".parse().unwrap();
            custom.rollout.percent = 50;
        })
    };
    s3().publish(&project);
    project
        .run(["rollout", "set", "50"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(
                "thermostat 1.1.0 for esp32c3 goes from 10 % to 50 % of the devices\n\
                 thermostat 1.1.0 for esp32s3 is at 50 % of the devices already\n",
            )
        })
        .stderr("rehearsing esp32c3 with the device's own agent\n");
    Release::new("1.2.0", material::image("1.2.0")).publish(&project);
    refused(
        &project,
        &["rollout", "halt"],
        1,
        "error: the newest release of `stable` depends on the chip: `1.1.0` for esp32s3, `1.2.0` \
         for esp32c3\n  \
         help: name one with `--release-version`, or one chip with `--chip`\n",
    );
    project.run(["rollout", "halt", "--chip", "esp32s3", "-q"]).exits(0).stderr("");
    project
        .run(["rollout", "show", "--chip", "esp32s3"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(
                "thermostat for esp32s3 in `stable`\n  1.1.0    0 %  halted: no device takes it\nroot:",
            )
        })
        .stderr("");
}

#[test]
fn a_dry_run_says_it_all_and_writes_nothing() {
    let project = published(100);
    project
        .run(["rollout", "halt", "--dry-run"])
        .exits(0)
        .stdout(
            "thermostat 1.1.0 for esp32c3 would go from 100 % to 0 % of the devices\n  \
             `esp32c3/firmware.bin` would be 1.0.0\n  \
             devices that have it keep it; `cargo esp-ota publish --revert VERSION` gives them the \
             content of another release\n\
             nothing was written to dir:dist\n",
        )
        .stderr("")
        .wrote_nothing();
    project
        .run(["rollout", "set", "7", "--dry-run", "--format", "json"])
        .exits(0)
        .json(|report: Change| assert!(report.dry_run && report.changed))
        .stderr("")
        .wrote_nothing();
}

#[test]
fn what_is_not_listed_cannot_be_changed() {
    let words = "error: dir:dist has no release of `thermostat` for any chip in `stable`\n  \
                 help: see what is listed: `cargo esp-ota rollout show`\n";
    refused(&Project::made(), &["rollout", "halt"], 1, words);
    let words = "error: `2.0.0` is not listed in `stable`, which has `1.0.0`, `1.1.0`\n  \
                 help: name one of these with `--release-version`\n";
    let set = ["rollout", "set", "5", "--release-version", "2.0.0"];
    refused(&published(100), &set, 1, words);
}

#[test]
fn a_share_is_0_to_100_percent() {
    for share in ["101", "1.5", "-", "x%"] {
        published(100).run(["rollout", "set", share]).exits(2).stdout("").stderr_is(|text| {
            text.contains("write a whole number from 0 to 100, with or without `%`")
        });
    }
}

#[test]
fn each_online_key_is_needed() {
    for role in ["targets", "snapshot", "timestamp"] {
        let project = published(100);
        let key = format!("configuration/esp-ota/keys/thermostat/{role}.pem");
        fs::remove_file(project.around(&key)).unwrap();
        let words = format!(
            "error: no signing key for the {role} role: `[ROOT]/{key}` does not exist\n  \
             help: bring it back from your copy, or pass it in `ESP_OTA_KEY_{}`: devices in the \
             field trust no other\n",
            role.to_uppercase()
        );
        refused(&project, &["rollout", "halt"], 3, &words);
    }
}

#[test]
fn a_key_can_be_named() {
    let project = published(100);
    let folder = project.around("configuration/esp-ota/keys/thermostat");
    let elsewhere = project.around("home/targets.pem");
    fs::rename(folder.join("targets.pem"), &elsewhere).unwrap();
    let named = format!("targets={}", elsewhere.display());
    project
        .run(["rollout", "halt", "-q", "--key", &named])
        .exits(0)
        .stdout_is(|text| text.contains("goes from 100 % to 0 % of the devices"))
        .stderr("");
}

#[test]
fn a_store_that_somebody_changed_is_not_signed_again() {
    let project = published(100);
    let metadata = "dist/metadata/2.targets.json";
    let text = project.read(metadata).replace("1.1.0", "9.9.9");
    project
        .file(metadata, text)
        .run(["rollout", "halt"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: the release repository does not verify against the TUF root\n")
        })
        .wrote_nothing();
}
