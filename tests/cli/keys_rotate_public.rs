//! `keys rotate` and what devices see: over real HTTPS, with stores that are not what the host
//! shows.

use std::fs;
use std::net::TcpListener;

use crate::harness::{Project, copy};
use crate::keys_rotate::{KEYS, hosted, id, published, refused, rotate};
use crate::rehearse_public::pin;
use crate::serve::Server;
use crate::shape::KeysRotate;

const OFFLINE: &str = "warning: not compared with what devices see (as you say): a store that is \
                       older than that leads them astray\n";

/// What a second checkout has that nobody brought up to date: an old copy of the store.
fn with_an_old_copy() -> (Project, Server, String) {
    let (project, server) = published();
    copy(&project.path("dist"), &project.path("old"));
    let root = project.read("trust/root.json");
    (project, server, root)
}

/// Goes on as the second checkout.
fn in_the_other(project: Project, root: &str) -> Project {
    project.file("trust/root.json", root).edit("esp-ota.toml", "dir:dist", "dir:old")
}

/// A project whose host has a folder of its own, to which files are copied by hand.
fn copied() -> (Project, Server) {
    let project = Project::made().folder("host");
    let server = Server::start(&project, &["-q", "--dir", "host", "--bind", "127.0.0.1"]);
    pin(&project, "bench.pem", &fs::read_to_string(&server.report.root_ca).unwrap());
    let url = server.report.url.trim_end_matches('/').to_owned();
    let project = project
        .edit("esp-ota.toml", "https://updates.test/t", &url)
        .file("a.bin", crate::material::image("1.1.0"));
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    copy(&project.path("dist"), &project.path("host"));
    (project.file("b.bin", crate::material::image("1.2.0")), server)
}

/// A run that comes no further than its first half.
#[track_caller]
fn half(project: &Project, arguments: &[&str], code: i32) -> KeysRotate {
    let mut found = None;
    let all = ["keys", "rotate", "--yes", "--format", "json"];
    project
        .run(all.into_iter().chain(arguments.iter().copied()))
        .exits(code)
        .json(|report: KeysRotate| found = Some(report))
        .stderr("");
    let report = found.unwrap();
    assert!(!report.finished && report.dropped.is_empty());
    report
}

/// A device reads what the host shows, with the newest root and with the first one.
#[track_caller]
fn devices_read(project: &Project) {
    let first = project.read("dist/metadata/1.root.json");
    let newest = project.read("trust/root.json");
    for root in [&first, &newest] {
        fs::write(project.path("trust/root.json"), root).unwrap();
        project.run(["rehearse", "--public", "-q", "--from", "none"]).exits(0).stderr("");
    }
}

#[test]
fn a_store_that_lacks_a_root_that_devices_see_makes_no_other() {
    let (project, server, root) = with_an_old_copy();
    rotate(&project, &[]);
    let url = server.report.url.trim_end_matches('/');
    let project = in_the_other(project, &root);
    let expected = format!(
        "error: dir:old is older than what devices see: {url} has a newer `metadata/2.root.json`\n  \
         help: bring the store up to date from the host, or rotate on the machine that publishes; if a \
         thief of a key wrote that, `--offline` rotates without looking\n"
    );
    let expected = crate::redact::redact(&expected, &project.around(""));
    for arguments in [&[][..], &["--dry-run"], &["--renew"], &["--role", "root"]] {
        refused(&project, arguments, 1, &expected);
    }
}

#[test]
fn a_store_that_lacks_a_release_signs_none_away() {
    let (project, _server, root) = with_an_old_copy();
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
    let project = in_the_other(project, &root);
    project
        .run(["keys", "rotate"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.contains(" has a newer `metadata/timestamp.json`\n"))
        .wrote_nothing();
}

#[test]
fn of_two_roots_with_one_number_the_one_that_devices_see_stays() {
    let (project, _server, root) = with_an_old_copy();
    let project = in_the_other(project, &root);
    let keys = project.around(KEYS);
    let before = project.around("home/keys");
    copy(&keys, &before);
    for _ in 0..2 {
        project
            .run(["keys", "rotate", "--offline", "--yes", "--role", "targets"])
            .exits(0)
            .stderr(OFFLINE);
    }
    let theirs = project.read("trust/root.json");
    // The first checkout, with the keys that it has, rotates what devices see.
    fs::remove_dir_all(&keys).unwrap();
    copy(&before, &keys);
    let project =
        project.file("trust/root.json", &root).edit("esp-ota.toml", "dir:old", "dir:dist");
    rotate(&project, &["--role", "targets"]);

    // The second one, with its first root, and with its last.
    for (root, path) in [(&root, "metadata/2.root.json"), (&theirs, "metadata/3.root.json")] {
        fs::write(project.path("trust/root.json"), root).unwrap();
        let settings = project.read("esp-ota.toml").replace("dir:dist", "dir:old");
        fs::write(project.path("esp-ota.toml"), settings).unwrap();
        project
            .run(["keys", "rotate"])
            .exits(1)
            .stdout("")
            .stderr_is(|text| {
                text.starts_with(&format!("error: `{path}` at https://"))
                    && text.contains(" is another file than in dir:old\n")
            })
            .wrote_nothing();
    }
}

#[test]
fn another_timestamp_of_the_same_number_is_a_fork_too() {
    let (project, _server, root) = with_an_old_copy();
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
    let project = in_the_other(project, &root);
    // Within one second the same release would be signed into the same bytes.
    project.run(["publish", "b.bin", "--rollout", "50", "-q"]).exits(0).stderr("");
    project
        .run(["keys", "rotate"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `metadata/timestamp.json` at https://"))
        .wrote_nothing();
}

#[test]
fn what_cannot_be_looked_at_is_not_rotated_unless_somebody_says_so() {
    let (project, server) = published();
    drop(server);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let project = {
        let text = project.read("esp-ota.toml");
        let url = text.lines().find(|line| line.starts_with("url = ")).unwrap().to_owned();
        project.edit("esp-ota.toml", &url, "url = \"https://updates.test\"")
    };
    project
        .run(["keys", "rotate", "--connect", &address])
        .exits(7)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with(
                "error: what devices see at https://updates.test cannot be looked at\n",
            ) && text.ends_with(
                "  help: run it where the URL can be reached; `--offline` rotates without \
                     looking, for stores that are known to be what devices see\n",
            )
        })
        .wrote_nothing();
    project
        .run(["keys", "rotate", "--connect", &address, "--offline"])
        .exits(2)
        .stdout("")
        .stderr_is(|text| text.contains("cannot be used with"))
        .wrote_nothing();

    // Half a rotation, and the other half when somebody says so once more.
    project
        .run(["keys", "rotate", "--offline", "--role", "targets", "--yes"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("root 2 made, good until [TIME];")
                && text.ends_with(
                    "half done: the old keys still count\n  \
                     once devices see it, `cargo esp-ota keys rotate` makes the root that drops \
                     them\n",
                )
        })
        .stderr(OFFLINE);
    assert!(!project.path("dist/metadata/3.root.json").exists());
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
    project
        .run(["keys", "rotate", "--offline"])
        .exits(0)
        .stdout_is(|text| text.starts_with("root 3 made, good until [TIME];"))
        .stderr(OFFLINE);
    project.run(["rehearse", "-q"]).exits(0).stderr("");
}

#[test]
fn a_host_that_cannot_prove_who_it_is_is_a_matter_of_trust() {
    let (project, _server) = published();
    let text = project.read("esp-ota.toml");
    let line = text.lines().find(|line| line.starts_with("roots = ")).unwrap().to_owned();
    project
        .edit("esp-ota.toml", &line, "roots = [\"certs/root.pem\"]")
        .run(["keys", "rotate"])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.contains("`untrusted-tls`"))
        .wrote_nothing();
}

#[test]
fn a_host_without_what_the_store_has_is_no_proof_of_anything() {
    let (project, _server) = copied();
    fs::remove_dir_all(project.path("host/metadata")).unwrap();
    project
        .run(["keys", "rotate"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: dir:dist has releases, and https://")
                && text.contains("help: copy the store to the host, or mend `url`")
        })
        .wrote_nothing();
    // Where neither has anything, nothing can be wrong.
    let (project, _server) = hosted();
    let report = rotate(&project, &[]);
    assert_eq!((report.roots, report.finished), (vec![2], true));
}

#[test]
fn what_nobody_of_ours_signed_at_the_url_is_an_alarm() {
    let other = Project::new();
    other.run(["init", "--product", "thermostat"]).exits(0).stderr("");
    let (project, _server) = copied();
    let timestamp = project.read("host/metadata/timestamp.json");
    let cases = [
        ("host/metadata/2.root.json", other.read("trust/root.json"), "error: a root at https://"),
        ("host/metadata/2.root.json", "<html>".into(), "error: a root at https://"),
        (
            "host/metadata/timestamp.json",
            timestamp.replace("\"version\":1", "\"version\":9"),
            "error: the timestamp at https://",
        ),
    ];
    for (file, text, words) in cases {
        let before = fs::read(project.path(file)).ok();
        fs::write(project.path(file), text).unwrap();
        project
            .run(["keys", "rotate"])
            .exits(6)
            .stdout("")
            .stderr_is(|text| text.starts_with(words) && text.contains("devices refuse it"))
            .wrote_nothing();
        match before {
            Some(before) => fs::write(project.path(file), before).unwrap(),
            None => fs::remove_file(project.path(file)).unwrap(),
        }
    }
}

#[test]
fn the_root_that_drops_keys_waits_until_devices_see_the_new_metadata() {
    let (project, _server) = copied();
    let old = id(&project, "timestamp");
    let report = half(&project, &["--role", "timestamp", "--wait", "1"], 1);
    assert_eq!(report.roots, [2]);
    assert_eq!(report.waiting_for.as_deref(), Some("`metadata/2.root.json` is not there yet"));
    assert!(!project.path("dist/metadata/3.root.json").exists());
    // Nothing was copied: another run has nothing to do but to look again.
    let report = half(&project, &["--wait", "1"], 1);
    assert_eq!((report.roots, report.signed_again), (vec![], false));
    // The root alone is not enough.
    let copy_file = |path: &str| {
        fs::copy(project.path(&format!("dist/{path}")), project.path(&format!("host/{path}")))
            .unwrap();
    };
    copy_file("metadata/2.root.json");
    devices_read(&project);
    let report = half(&project, &["--wait", "0"], 1);
    assert_eq!(report.waiting_for.as_deref(), Some("the metadata there is the old one still"));
    copy(&project.path("dist"), &project.path("host"));
    devices_read(&project);
    let report = rotate(&project, &[]);
    assert_eq!((report.roots, report.finished), (vec![3], true));
    assert_eq!(report.dropped[0].key, old);
    copy(&project.path("dist"), &project.path("host"));
    devices_read(&project);
}

#[test]
fn files_may_reach_the_host_in_any_order() {
    let (project, _server) = copied();
    // Asked for the first half alone, it is no failure that there is no other.
    half(&project, &["--wait", "0"], 0);
    copy(&project.path("dist"), &project.path("host"));
    fs::remove_file(project.path("host/metadata/2.root.json")).unwrap();
    let newest = project.read("trust/root.json");
    let first = project.read("dist/metadata/1.root.json");
    let project = project.file("trust/root.json", &first);
    project.run(["rehearse", "--public", "-q", "--from", "none"]).exits(0).stderr("");
    let project = project.file("trust/root.json", newest);
    copy(&project.path("dist"), &project.path("host"));
    assert_eq!(rotate(&project, &[]).roots, [3]);
    fs::copy(project.path("dist/metadata/3.root.json"), project.path("host/metadata/3.root.json"))
        .unwrap();
    devices_read(&project);
}

#[test]
fn a_lost_key_leaves_one_order_and_the_report_says_so() {
    let (project, _server) = published();
    fs::remove_file(project.around(&format!("{KEYS}/timestamp.pem"))).unwrap();
    let report = rotate(&project, &["--role", "timestamp", "--dry-run"]);
    assert!(!report.devices[0].in_any_order);
    let report = rotate(&project, &["--role", "timestamp"]);
    assert_eq!((report.roots, report.devices[0].reads_releases), (vec![2, 3], Some(true)));
}

#[test]
fn a_release_that_a_leaving_key_signed_between_the_halves_is_signed_again() {
    let (project, _server) = copied();
    let keys = project.around(KEYS);
    let before = project.around("home/keys");
    copy(&keys, &before);
    half(&project, &["--wait", "0"], 0);
    // Another machine has the old keys still, and they still count.
    let after = project.around("home/new");
    copy(&keys, &after);
    for role in ["targets", "snapshot", "timestamp"] {
        fs::copy(before.join(format!("{role}.pem")), keys.join(format!("{role}.pem"))).unwrap();
    }
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
    fs::remove_dir_all(&keys).unwrap();
    copy(&after, &keys);
    copy(&project.path("dist"), &project.path("host"));

    let report = half(&project, &["--wait", "0"], 0);
    assert_eq!((report.roots, report.signed_again), (vec![], true));
    let versions: Vec<&str> = report.releases.iter().map(|it| it.version.as_str()).collect();
    assert_eq!(versions, ["1.1.0", "1.2.0"]);
    copy(&project.path("dist"), &project.path("host"));
    assert_eq!(rotate(&project, &[]).roots, [3]);
    copy(&project.path("dist"), &project.path("host"));
    devices_read(&project);
}

#[test]
fn a_new_key_that_is_lost_between_the_halves_is_replaced_as_well() {
    let (project, _server) = published();
    fs::remove_dir(project.path("dist/metadata/staged")).unwrap();
    let project = project.file("dist/metadata/staged", "in the way\n");
    project
        .run(["keys", "rotate", "--role", "targets", "--yes"])
        .exits(5)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: cannot write"));
    fs::remove_file(project.around(&format!("{KEYS}/targets.next.pem"))).unwrap();
    let project = project.without("dist/metadata/staged");
    let report = rotate(&project, &[]);
    assert_eq!((report.roots, report.finished), (vec![3, 4], true));
    assert_eq!((report.changed[0].old.len(), report.dropped.len()), (2, 2));
    project.run(["publish", "b.bin", "-q"]).exits(0).stderr("");
    project.run(["rehearse", "--public", "-q"]).exits(0).stderr("");
}

#[test]
fn without_a_url_each_run_makes_one_half() {
    let (project, _server) = published();
    let text = project.read("esp-ota.toml");
    let url = text.lines().find(|line| line.starts_with("url = ")).unwrap().to_owned();
    let project = project.edit("esp-ota.toml", &url, "");
    for roots in ["root 2 made", "root 3 made"] {
        project
            .run(["keys", "rotate", "--yes"])
            .exits(0)
            .stdout_is(|text| text.contains(roots))
            .stderr(&OFFLINE.replace("as you say", "there is no `url`"));
    }
}
