//! `keys list`, `keys rotate` and `keys export`.

use std::fs;

use crate::harness::Project;
use crate::material;
use crate::rehearse_public::pin;
use crate::serve::Server;
use crate::shape::{KeysExport, KeysList, KeysRotate, Publish};

pub(crate) const KEYS: &str = "configuration/esp-ota/keys/thermostat";

/// A project whose store is what its public URL shows.
pub(crate) fn hosted() -> (Project, Server) {
    let project = Project::made().folder("dist");
    let server = Server::start(&project, &["-q", "--dir", "dist", "--bind", "127.0.0.1"]);
    pin(&project, "bench.pem", &fs::read_to_string(&server.report.root_ca).unwrap());
    let url = server.report.url.trim_end_matches('/').to_owned();
    (project.edit("esp-ota.toml", "https://updates.test/t", &url), server)
}

/// The same with a release, and another one to publish.
pub(crate) fn published() -> (Project, Server) {
    let (project, server) = hosted();
    let project = project.file("a.bin", material::image("1.1.0"));
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    (project.file("b.bin", material::image("1.2.0")), server)
}

/// The keys that count: role, ids, and where they are.
pub(crate) fn listed(project: &Project) -> KeysList {
    let mut found = None;
    project
        .run(["keys", "list", "--format", "json"])
        .exits(0)
        .json(|report: KeysList| found = Some(report))
        .stderr("")
        .wrote_nothing();
    found.unwrap()
}

pub(crate) fn id(project: &Project, role: &str) -> String {
    let report = listed(project);
    let keys = report.roles.into_iter().find(|it| it.role == role).unwrap().keys;
    let [key] = &keys[..] else { panic!("one key") };
    key.id.clone()
}

/// Rotates; gives what was reported.
#[track_caller]
pub(crate) fn rotate(project: &Project, arguments: &[&str]) -> KeysRotate {
    let mut found = None;
    let arguments = ["keys", "rotate", "--yes", "--format", "json"].iter().chain(arguments);
    project
        .run(arguments.copied())
        .exits(0)
        .json(|report: KeysRotate| found = Some(report))
        .stderr("");
    found.unwrap()
}

/// Refused in both formats, with nothing written.
#[track_caller]
pub(crate) fn refused(project: &Project, arguments: &[&str], code: i32, stderr: &str) {
    let all = ["keys", "rotate"].into_iter().chain(arguments.iter().copied());
    project.refuses("keys rotate", all, (code, stderr));
}

#[test]
fn the_online_roles_get_new_keys_and_devices_follow() {
    let (project, _server) = published();
    let old = ["targets", "snapshot", "timestamp"].map(|role| id(&project, role)[..16].to_owned());
    let embedded = project.read("trust/root.json");
    let run = project.run(["keys", "rotate", "--yes"]).exits(0).stderr("");
    let new = ["targets", "snapshot", "timestamp"].map(|role| id(&project, role)[..16].to_owned());
    let folder = format!("[ROOT]/{KEYS}");
    let roles: String = ["targets", "snapshot", "timestamp"]
        .iter()
        .zip(old.iter().zip(&new))
        .map(|(role, (old, new))| {
            assert_ne!(old, new);
            format!(
                "{role}: {old} replaced by {new}, in {folder}/{role}.pem\n  \
                 the old key is kept in {folder}/{role}.{old}.pem\n"
            )
        })
        .collect();
    run.stdout(&format!(
        "{roles}\
         roots 2 and 3 made, good until [TIME]; the newest in `trust/root.json` and dir:dist\n\
         what is published signed again:\n  \
         1.1.0 for esp32c3, SHA-256 [SHA-256]\n\
         a device with root 1: trusts 1 → 2 → 3, and reads the releases\n"
    ));
    assert_eq!(project.read("trust/root.json"), project.read("dist/metadata/3.root.json"));
    assert_eq!(project.read("dist/metadata/1.root.json"), embedded, "no root is ever pruned");
    #[cfg(unix)]
    for file in fs::read_dir(project.around(KEYS)).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // Life goes on, also for a checkout that has the old root.
    project.run(["check"]).exits(0).stderr("");
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
    let project = project.file("trust/root.json", embedded);
    project.run(["check"]).exits(0).stderr("");
    project.run(["rehearse", "-q"]).exits(0).stderr("");
    let report = listed(&project);
    assert_eq!((report.root, report.newest, report.others.len()), (1, 3, 3));
    project
        .run(["keys", "list"])
        .exits(0)
        .stdout_is(|text| {
            text.contains(
                "  the store has root 3: `cargo esp-ota keys export -o trust/root.json` brings it \
                 here\n",
            )
        })
        .stderr("");
    project
        .run(["keys", "export", "-o", "trust/root.json"])
        .exits(0)
        .stdout("root 3, good until [TIME], in `trust/root.json`\n")
        .stderr("")
        .changed(&["trust/root.json"]);
}

#[test]
fn in_json_every_change_and_every_walk_is_told() {
    let (project, server) = published();
    let old = id(&project, "timestamp");
    let report = rotate(&project, &["--role", "timestamp"]);
    assert_eq!((report.command.as_str(), report.dry_run), ("keys rotate", false));
    assert_eq!((report.roots, report.signed_again), (vec![2, 3], true));
    assert_eq!((report.file.as_str(), report.store.as_str()), ("trust/root.json", "dir:dist"));
    let [change] = &report.changed[..] else { panic!("one change") };
    assert_eq!((change.role.as_str(), &change.old[..]), ("timestamp", &[old.clone()][..]));
    assert_eq!(change.new.as_deref(), Some(id(&project, "timestamp").as_str()));
    assert!(change.retired.as_ref().unwrap().ends_with(&format!("timestamp.{}.pem", &old[..16])));
    assert_eq!(change.variable, None);
    let [dropped] = &report.dropped[..] else { panic!("one key less") };
    assert_eq!((dropped.role.as_str(), dropped.key.as_str()), ("timestamp", old.as_str()));
    assert_eq!((report.finished, report.waiting_for), (true, None));
    assert_eq!(report.url.as_deref(), Some(server.report.url.trim_end_matches('/')));
    let [release] = &report.releases[..] else { panic!("one release") };
    assert_eq!((release.version.as_str(), release.chip.as_str()), ("1.1.0", "esp32c3"));
    assert_eq!(release.sha256.len(), 64);
    let [walk] = &report.devices[..] else { panic!("one root in the field") };
    assert_eq!((walk.embedded, walk.reads_releases, walk.in_any_order), (1, Some(true), true));
    assert_eq!(walk.roots, [1, 2, 3]);
    // The list of images keeps its file.
    assert!(!project.path("dist/metadata/2.targets.json").exists());
    assert!(project.path("dist/metadata/2.snapshot.json").exists());
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
}

#[test]
fn the_root_s_own_key_is_replaced_too() {
    let (project, _server) = published();
    let report = rotate(&project, &["--role", "root"]);
    assert_eq!((report.roots, report.signed_again), (vec![2], false));
    let report = rotate(&project, &["--role", "root", "--role", "targets"]);
    assert_eq!((report.roots, report.signed_again), (vec![3, 4], true));
    let walks: Vec<_> = report.devices.iter().map(|it| (it.embedded, &it.roots[..])).collect();
    assert_eq!(walks, [(1, &[1, 2, 3, 4][..]), (2, &[2, 3, 4])]);
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let (project, _server) = published();
    project
        .run(["keys", "rotate", "--role", "targets", "--dry-run"])
        .exits(0)
        .stdout_is(|text| {
            text.starts_with("targets: ")
                && text.contains(" would be replaced by a new key, in [ROOT]/")
                && text.ends_with(
                    "roots 2 and 3 would be made, good until [TIME]; the newest would be in \
                     `trust/root.json` and dir:dist\n\
                     what is published would be signed again:\n  \
                     1.1.0 for esp32c3, SHA-256 [SHA-256]\n\
                     a device with root 1: trusts 1 → 2 → 3, and reads the releases\n",
                )
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn a_root_is_renewed_with_the_keys_that_are_there() {
    let (project, _server) = published();
    let keys = id(&project, "targets");
    let report = rotate(&project, &["--renew"]);
    assert_eq!((report.roots, report.signed_again, report.changed.len()), (vec![2], false, 0));
    assert_eq!(id(&project, "targets"), keys);
    project
        .run(["keys", "rotate", "--renew", "--role", "targets"])
        .exits(2)
        .stdout("")
        .stderr_is(|text| text.contains("cannot be used with"))
        .wrote_nothing();
}

#[test]
fn keys_can_change_before_anything_is_published() {
    let (project, _server) = hosted();
    let project = project.file("a.bin", material::image("1.1.0"));
    let report = rotate(&project, &[]);
    assert_eq!((report.roots, report.signed_again), (vec![2], false));
    assert_eq!(report.devices[0].reads_releases, None);
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    assert!(project.path("dist/metadata/1.root.json").exists());
    assert!(project.path("dist/metadata/2.root.json").exists());
}

#[test]
fn without_the_root_key_nothing_is_rotated() {
    let (project, _server) = published();
    fs::remove_file(project.around(&format!("{KEYS}/root.pem"))).unwrap();
    let file = format!("[ROOT]/{KEYS}/root.pem");
    let stderr = format!(
        "error: no signing key for the root role: `{file}` does not exist\n  \
         help: bring it back from your copy, or pass it in `ESP_OTA_KEY_ROOT`: devices in the field \
         trust no other\n"
    );
    refused(&project, &[], 3, &stderr);
    refused(&project, &["--role", "root"], 3, &stderr);
    refused(&project, &["--renew"], 3, &stderr);
}

#[test]
fn a_root_key_that_the_root_does_not_list_rotates_nothing() {
    let (project, _server) = published();
    let keys = project.around(KEYS);
    fs::copy(keys.join("targets.pem"), keys.join("root.pem")).unwrap();
    refused(
        &project,
        &[],
        6,
        "error: the key `[SHA-256]` may not sign for the root role: the TUF root lists \
         `[SHA-256]`\n  \
         help: sign with the root key that was made together with `trust/root.json`\n",
    );
}

#[test]
fn the_root_key_can_come_from_a_stick_or_the_environment() {
    let (project, _server) = published();
    let key = project.around(&format!("{KEYS}/root.pem"));
    let text = fs::read_to_string(&key).unwrap();
    fs::rename(&key, project.around("home/stick.pem")).unwrap();
    let stick = project.around("home/stick.pem");
    let report = rotate(&project, &["--role", "targets", "--root-key", stick.to_str().unwrap()]);
    assert_eq!(report.roots, [2, 3]);
    fs::remove_file(stick).unwrap();
    let project = project.env("ESP_OTA_KEY_ROOT", text.clone());
    let report = rotate(&project, &["--role", "snapshot"]);
    assert_eq!(report.roots, [4, 5]);
    let project = project.env("ESP_OTA_KEY_ROOT", "").input(text);
    let report = rotate(&project, &["--role", "root", "--root-key", "-"]);
    assert_eq!(report.roots, [6]);
    assert!(key.is_file(), "the new one");
    rotate(&project, &["--renew"]);
    let project = project.input("no key\n");
    project
        .run(["keys", "rotate", "--renew", "--root-key", "-"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: cannot use the signing key in `standard input`"))
        .wrote_nothing();
}

#[test]
fn keys_made_under_a_passphrase_are_encrypted_and_useless_without_it() {
    // Without a URL there is nobody to ask.
    let project = Project::new().env("ESP_OTA_KEY_PASSPHRASE", "correct horse");
    project.run(["init", "--product", "thermostat"]).exits(0).stderr("");
    let is_encrypted = |project: &Project| {
        fs::read_dir(project.around(KEYS)).unwrap().all(|file| {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
        })
    };
    assert!(is_encrypted(&project));
    let report = rotate(&project, &["--role", "targets"]);
    assert_eq!(report.roots, [2]);
    assert!(is_encrypted(&project));
    let project = project.env("ESP_OTA_KEY_PASSPHRASE", "");
    project
        .run(["keys", "rotate", "--role", "targets"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.contains("it is encrypted, and no passphrase was given"))
        .wrote_nothing();
    let others = listed(&project).others;
    assert!(others.len() == 5 && others.iter().all(|it| it.id.is_none()));
    project
        .run(["keys", "list"])
        .exits(0)
        .stdout_is(|text| text.contains("\ncannot be read, encrypted or damaged: [ROOT]/"))
        .stderr("");
}

#[test]
fn a_key_that_is_out_of_use_publishes_nothing() {
    let (project, _server) = published();
    let old = id(&project, "targets");
    rotate(&project, &["--role", "targets"]);
    let keys = project.around(KEYS);
    fs::copy(keys.join(format!("targets.{}.pem", &old[..16])), keys.join("targets.pem")).unwrap();
    project
        .run(["publish", "b.bin"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.contains("may not sign for the targets role"))
        .wrote_nothing();
}

#[test]
fn a_rotation_that_was_cut_is_completed_by_the_next_run() {
    let (project, _server) = published();
    fs::remove_dir(project.path("dist/metadata/staged")).unwrap();
    let project = project.file("dist/metadata/staged", "in the way\n");
    let live = project.read("dist/metadata/timestamp.json");
    project.run(["keys", "rotate", "--role", "targets", "--yes"]).exits(5).stdout("").stderr_is(
        |text| text.starts_with("error: cannot write `dist/metadata/staged/timestamp.json`\n"),
    );
    // The new key is safe, the root that lists both keys is there, and devices see no difference.
    assert!(project.around(&format!("{KEYS}/targets.next.pem")).is_file());
    assert!(project.path("dist/metadata/2.root.json").is_file());
    assert_eq!(project.read("dist/metadata/timestamp.json"), live);
    project.run(["check"]).exits(0).stderr("");
    let next = listed(&project).others;
    assert!(next.is_empty(), "root 2 lists the key already");

    let project = project.without("dist/metadata/staged");
    refused(
        &project,
        &["--role", "timestamp"],
        1,
        "error: a rotation is half done: root 2 still lists keys of targets that are leaving\n  \
         help: complete it with `cargo esp-ota keys rotate`, then run this again\n",
    );
    let report = rotate(&project, &["--role", "targets"]);
    let changed: Vec<&str> = report.changed.iter().map(|it| it.role.as_str()).collect();
    assert_eq!((changed, report.roots, report.finished), (vec!["targets"], vec![3], true));
    assert!(!project.around(&format!("{KEYS}/targets.next.pem")).exists());
    let report = listed(&project);
    assert!(report.roles.iter().all(|role| role.keys.len() == 1));
    project
        .run(["publish", "b.bin", "-q", "--format", "json"])
        .exits(0)
        .json(|report: Publish| assert!(report.published))
        .stderr("");
}

#[test]
fn a_root_that_somebody_put_into_the_store_is_an_alarm() {
    let (project, _server) = published();
    let other = Project::new();
    other.run(["init", "--product", "thermostat"]).exits(0).stderr("");
    let project = project.file("dist/metadata/2.root.json", other.read("trust/root.json"));
    for command in ["rotate", "list", "export"] {
        project
            .run(["keys", command])
            .exits(6)
            .stdout("")
            .stderr_is(|text| {
                text.starts_with("error: root 2 does not follow the one before it\n")
                    && text.ends_with(
                        "\n  help: find out who wrote `metadata/2.root.json`; devices refuse it\n",
                    )
            })
            .wrote_nothing();
    }
}

#[test]
fn the_list_says_where_each_key_is_and_until_when_it_counts() {
    let (project, _server) = published();
    let folder = format!("[ROOT]/{KEYS}");
    project
        .run(["keys", "list"])
        .exits(0)
        .stdout(&format!(
            "root 1 of thermostat, in `trust/root.json`\n\
             root: 1 of 1, good until [TIME]\n  [SHA-256]  {folder}/root.pem\n\
             targets: 1 of 1, good until [TIME]\n  [SHA-256]  {folder}/targets.pem\n\
             snapshot: 1 of 1, good until [TIME]\n  [SHA-256]  {folder}/snapshot.pem\n\
             timestamp: 1 of 1, good until [TIME]\n  [SHA-256]  {folder}/timestamp.pem\n"
        ))
        .stderr("")
        .wrote_nothing();
    let text = fs::read_to_string(project.around(&format!("{KEYS}/targets.pem"))).unwrap();
    fs::remove_dir_all(project.around(KEYS)).unwrap();
    let project = project.env("ESP_OTA_KEY_TARGETS", text);
    let places: Vec<_> =
        listed(&project).roles.into_iter().map(|mut it| it.keys.remove(0).place).collect();
    assert_eq!(places, [None, Some("ESP_OTA_KEY_TARGETS".into()), None, None]);
    let unpublished = Project::made();
    let ends: Vec<_> = listed(&unpublished).roles.iter().map(|it| it.expires.is_some()).collect();
    assert_eq!(ends, [true, false, false, false]);
}

#[test]
fn the_public_root_is_given_out_byte_for_byte() {
    let (project, _server) = published();
    let root = project.read("trust/root.json");
    project
        .run(["keys", "export"])
        .exits(0)
        .stdout_is(|text| text.lines().count() == 1 && !text.contains("PRIVATE"))
        .stderr("")
        .wrote_nothing();
    project
        .run(["keys", "export", "--format", "json"])
        .exits(0)
        .json(|report: KeysExport| {
            assert_eq!((report.version, report.file), (1, None));
            assert_eq!(report.root.as_deref(), Some(root.as_str()));
            assert!(report.roles.iter().all(|it| it.threshold == 1 && it.keys.len() == 1));
        })
        .stderr("");
    project
        .run(["keys", "export", "-o", "out/root.json", "--format", "json"])
        .exits(0)
        .json(|report: KeysExport| {
            assert_eq!((report.file.as_deref(), report.root), (Some("out/root.json"), None));
            assert_eq!(report.sha256.len(), 64);
        })
        .stderr("")
        .changed(&["out/root.json"]);
    assert_eq!(project.read("out/root.json"), root);
}
