//! `keys new`.

use crate::harness::Project;
use crate::shape::Keys;

const ROLES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

/// A project whose keys were never made.
fn keyless() -> Project {
    let project = Project::new();
    project.run(["init", "--product", "kettle", "--no-keys"]).exits(0).stderr("");
    project
}

#[test]
fn every_role_gets_a_key_outside_the_project_and_the_project_a_root() {
    let project = keyless();
    project
        .run(["keys", "new"])
        .exits(0)
        .stdout(
            "private keys (root, targets, snapshot, timestamp) in \
             [ROOT]/configuration/esp-ota/keys/kettle\n  \
             keep a copy: without them no device that runs now can ever be updated\n\
             TUF root for the firmware in `trust/root.json`\n",
        )
        .stderr("")
        .changed(&[
            "configuration/esp-ota/keys/kettle/root.pem",
            "configuration/esp-ota/keys/kettle/snapshot.pem",
            "configuration/esp-ota/keys/kettle/targets.pem",
            "configuration/esp-ota/keys/kettle/timestamp.pem",
            "trust/root.json",
        ]);
    for role in ROLES {
        let file = project.around(&format!("configuration/esp-ota/keys/kettle/{role}.pem"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{role}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{role}");
        }
    }
    let root: serde_json::Value = serde_json::from_str(&project.read("trust/root.json")).unwrap();
    assert_eq!(root["signed"]["_type"], "root");
    assert_eq!(root["signed"]["version"], 1);
}

#[test]
fn in_json_the_roles_are_listed() {
    keyless()
        .run(["keys", "new", "--format", "json"])
        .exits(0)
        .json(|report: Keys| {
            assert_eq!(report.command, "keys new");
            assert_eq!(report.roles, ROLES);
            assert_eq!(report.root, "trust/root.json");
        })
        .stderr("");
}

#[test]
fn a_root_that_devices_may_have_is_never_replaced() {
    Project::made()
        .run(["keys", "new"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: `trust/root.json` exists: devices that embed it accept no other root\n  \
             help: keep it; if no device was built with it, remove it and run this again\n",
        )
        .wrote_nothing();
}

#[test]
fn keys_that_exist_sign_the_root_that_is_missing() {
    let project = Project::made().without("trust/root.json");
    project.run(["keys", "new"]).exits(0).stderr("").changed(&["trust/root.json"]);
}

#[test]
fn half_a_set_of_keys_is_not_completed() {
    let project = Project::made().without("trust/root.json");
    std::fs::remove_file(project.around("configuration/esp-ota/keys/thermostat/snapshot.pem"))
        .unwrap();
    project
        .run(["keys", "new"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: no signing key for the snapshot role: \
             `[ROOT]/configuration/esp-ota/keys/thermostat/snapshot.pem` does not exist\n  \
             help: bring it back from your copy, or pass it in `ESP_OTA_KEY_SNAPSHOT`: \
             devices in the field trust no other\n",
        )
        .wrote_nothing();
}

#[test]
fn keys_inside_a_git_work_tree_are_refused_unless_git_ignores_them() {
    let project = keyless().env("XDG_CONFIG_HOME", "");
    let project = {
        let inside = project.path("private");
        project.env("XDG_CONFIG_HOME", inside)
    };
    let git = |arguments: &[&str]| {
        let done = std::process::Command::new("git")
            .args(arguments)
            .current_dir(project.path(""))
            .env("GIT_CONFIG_GLOBAL", project.around("home/.gitconfig"))
            .output()
            .expect("git, which the keys are kept away from");
        assert!(done.status.success());
    };
    git(&["init", "-q"]);
    project
        .run(["keys", "new"])
        .exits(1)
        .stdout("")
        .stderr(
            "error: `[WORK]/private/esp-ota/keys/kettle/root.pem` lies in the git work tree \
             `[WORK]`, which does not ignore it\n  \
             help: let git ignore `[WORK]/private/esp-ota/keys/kettle/root.pem`, or set \
             `XDG_CONFIG_HOME` to a folder outside `[WORK]`\n",
        )
        .wrote_nothing();
    std::fs::write(project.path(".git/info/exclude"), "/private/\n").unwrap();
    project.run(["keys", "new"]).exits(0).stderr("");
}

#[test]
fn a_home_that_cannot_be_written_leaves_nothing_behind() {
    let project = keyless();
    std::fs::write(project.around("configuration/esp-ota"), "in the way\n").unwrap();
    project
        .run(["keys", "new"])
        .exits(5)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: cannot write `[ROOT]/configuration/esp-ota/keys/kettle")
        })
        .wrote_nothing();
}

#[test]
fn without_a_home_there_is_no_place_for_keys() {
    keyless()
        .env("XDG_CONFIG_HOME", "relative")
        .env("HOME", "")
        .env("APPDATA", "")
        .run(["keys", "new"])
        .exits(3)
        .stdout("")
        .stderr(
            "error: the environment names no home folder\n  \
             help: set `HOME`, or `XDG_CONFIG_HOME` to an absolute path\n",
        )
        .wrote_nothing();
}
