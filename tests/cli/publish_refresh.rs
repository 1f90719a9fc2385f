//! `publish --refresh`: what is published is signed again, with two keys, and reaches devices the
//! same way as a release.

use std::fs;

use crate::crooked::{Crooked, Manner};
use crate::harness::Project;
use crate::material;
use crate::rehearse_public::{URL, online, pin};
use crate::releases::Release;
use crate::shape::{Failed, PublishPreview, PublishRefresh};

const KEYS: &str = "configuration/esp-ota/keys/thermostat";

/// A project with a release that was signed so many days ago.
fn signed(days: i64) -> Project {
    let project = Project::made();
    Release::new("1.0.0", material::image("1.0.0")).signed_days_ago(days).publish(&project);
    project
}

/// The same, where no other keys are than those that a refresh needs.
fn with_two_keys(days: i64) -> Project {
    let project = signed(days);
    for role in ["root", "targets"] {
        fs::remove_file(project.around(&format!("{KEYS}/{role}.pem"))).unwrap();
    }
    project
}

fn live(project: &Project) -> String {
    project.read("dist/metadata/timestamp.json")
}

#[test]
fn snapshot_and_timestamp_are_signed_again_with_their_keys_alone() {
    let project = with_two_keys(80);
    project
        .run(["publish", "--refresh", "--format", "json"])
        .exits(0)
        .json(|report: PublishRefresh| {
            let versions: Vec<Option<u64>> = report.roles.iter().map(|it| it.version).collect();
            assert_eq!(versions, [None, Some(2), Some(2)]);
            assert!(report.roles.iter().all(|it| it.expires.is_some()));
            assert_eq!((report.verified_from, report.live_at_url), (None, None));
        })
        .stderr("")
        .changed(&["dist/metadata/2.snapshot.json", "dist/metadata/timestamp.json"]);
    project
        .run(["check"])
        .exits(0)
        .stdout_is(|text| text.contains("signed and current"))
        .stderr("");
    project
        .run(["publish", "--refresh"])
        .exits(0)
        .stdout(
            "signed again what is published of thermostat in dir:dist\n  \
             targets: not signed again, good until [TIME]\n  \
             snapshot 3: good until [TIME]\n  \
             timestamp 3: good until [TIME]\n  \
             not verified from outside\n",
        )
        .stderr("");
}

#[test]
fn what_devices_have_refused_for_days_is_healed() {
    let project = with_two_keys(91);
    project.run(["check"]).exits(6).stdout_is(|text| text.contains("has expired")).stderr("");
    project
        .run(["publish", "--refresh"])
        .exits(0)
        .stdout_is(|text| text.contains("snapshot 2: good until"))
        .stderr(
            "warning: the published timestamp metadata has expired: devices have refused it since\n",
        );
    project
        .run(["check"])
        .exits(0)
        .stdout_is(|text| text.contains("signed and current"))
        .stderr("");
}

#[test]
fn a_list_of_images_that_ends_earlier_is_signed_where_its_key_is_and_named_where_it_is_not() {
    let days = 300;
    signed(days)
        .run(["publish", "--refresh", "--format", "json"])
        .exits(0)
        .json(|report: PublishRefresh| {
            let versions: Vec<Option<u64>> = report.roles.iter().map(|it| it.version).collect();
            assert_eq!(versions, [Some(2), Some(2), Some(2)]);
        })
        .stderr_is(|text| !text.contains("targets key"));
    let project = with_two_keys(days);
    project
        .run(["publish", "--refresh"])
        .exits(0)
        .stdout_is(|text| text.contains("targets: not"))
        .stderr_is(|text| {
            text.ends_with(
                "warning: the list of images ends on [TIME], before what is signed now, and the \
                 targets key is not here: publish a release before then, or refresh where that key \
                 is\n",
            )
        });
}

#[test]
fn a_list_of_images_that_has_ended_is_healed_by_its_key_alone() {
    let project = with_two_keys(366);
    let before = live(&project);
    project
        .run(["publish", "--refresh", "--format", "json"])
        .exits(6)
        .json(|failed: Failed| {
            assert_eq!(
                failed.error.message,
                "the targets metadata of the release repository has expired"
            );
        })
        .stderr_is(|text| text.contains("the targets key is not here"));
    assert_eq!(live(&project), before);
    let project = signed(366);
    project
        .run(["publish", "--refresh", "-q"])
        .exits(0)
        .stdout_is(|text| text.contains("targets 2: good until"))
        .stderr_is(|text| text.contains("has expired"));
    project
        .run(["check"])
        .exits(0)
        .stdout_is(|text| text.contains("signed and current"))
        .stderr("");
}

#[test]
fn a_missing_key_and_a_wrong_one_sign_nothing() {
    for role in ["snapshot", "timestamp"] {
        let project = signed(1);
        fs::remove_file(project.around(&format!("{KEYS}/{role}.pem"))).unwrap();
        project
            .run(["publish", "--refresh"])
            .exits(3)
            .stdout("")
            .stderr_is(|text| {
                text.starts_with(&format!("error: no signing key for the {role} role: "))
            })
            .wrote_nothing();
        // The key of targets is a sound one, but it is not the key of this role.
        let key = |role: &str| project.around(&format!("{KEYS}/{role}.pem"));
        fs::copy(key("targets"), key(role)).unwrap();
        project
            .run(["publish", "--refresh"])
            .exits(6)
            .stdout("")
            .stderr_is(|text| text.contains(&format!("may not sign for the {role} role")))
            .wrote_nothing();
    }
}

#[test]
fn nothing_published_is_nothing_to_sign() {
    Project::made()
        .run(["publish", "--refresh"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: nothing is published in `dir:dist`, so there is nothing to sign again\n  \
             help: publish a release: `cargo esp-ota publish`\n",
        )
        .wrote_nothing();
}

#[test]
fn a_repository_that_somebody_changed_is_not_signed() {
    let project = signed(1);
    let metadata = "dist/metadata/1.targets.json";
    let text = project.read(metadata).replace("1.0.0", "9.9.9");
    project
        .file(metadata, text)
        .run(["publish", "--refresh"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: the release repository does not verify against the TUF root\n")
        })
        .wrote_nothing();
}

#[test]
fn it_takes_no_image_and_nothing_that_is_said_of_one() {
    for more in [&["a.bin"][..], &["--rollout", "5"], &["--release-version", "1.0.0"]] {
        signed(1)
            .run(["publish", "--refresh"].into_iter().chain(more.iter().copied()))
            .exits(2)
            .stdout("")
            .stderr_is(|text| text.contains("cannot be used with"))
            .wrote_nothing();
    }
}

#[test]
fn it_is_seen_from_outside_before_devices_see_it() {
    let (project, _server, address) = online(&["1.0.0"]);
    let public = ["publish", "--refresh", "-q", "--url", URL, "--connect", &address];
    project
        .run(public.into_iter().chain(["--format", "json"]))
        .exits(0)
        .json(|report: PublishRefresh| {
            assert_eq!(report.verified_from.as_deref(), Some(URL));
            assert_eq!(report.live_at_url, Some(true));
        })
        .stderr("");
    // A project that pins another root than that of the server.
    let before = live(&project);
    project.run(["ca", "remove", "certs/bench.pem", "-q"]).exits(0).stdout_is(|_| true).stderr("");
    project.run(public).exits(6).stdout("").stderr_is(|text| text.contains("`untrusted-tls`"));
    assert_eq!(live(&project), before);
}

#[test]
fn what_the_device_s_client_cannot_read_at_the_url_is_not_promoted() {
    let project = signed(1);
    let server = Crooked::start(&project.path("dist"), Manner::Hides("metadata/2.snapshot.json"));
    pin(&project, "crooked.pem", &server.root);
    let address = server.address.to_string();
    let before = live(&project);
    project
        .run(["publish", "--refresh", "-q", "--url", URL, "--connect", &address])
        .exits(1)
        .stdout("")
        .stderr(
            "error: devices would not read the new metadata\n  \
             caused by: the device's agent does not take the release (`status-404`)\n  \
             caused by: the server answered with status 404\n  \
             help: nothing was promoted: devices see what they saw before\n",
        );
    assert_eq!(live(&project), before);
    // The next numbers are not hidden.
    project
        .run(["publish", "--refresh", "-q", "--url", URL, "--connect", &address])
        .exits(0)
        .stdout_is(|text| text.contains("snapshot 3: good until"))
        .stderr("");
}

#[test]
fn a_dry_run_signs_and_writes_nothing() {
    signed(1)
        .run(["publish", "--refresh", "--dry-run", "--format", "json"])
        .exits(0)
        .json(|report: PublishPreview| {
            assert!(report.dry_run && report.publishes && report.images.is_empty());
            assert_eq!((report.metadata.targets, report.metadata.snapshot), (None, Some(2)));
            assert!(report.updates.is_empty());
        })
        .stderr("")
        .wrote_nothing();
}
