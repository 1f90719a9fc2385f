//! `publish` to a web server, and the other commands that read such a store.

use std::fs;

use crate::authority::Authority;
use crate::dav_server::{DavServer, Fault, Files, Manner};
use crate::harness::Project;
use crate::material;

const BASIC: &str = "Basic Y2k6cmlnaHQ=";
const LIVE: &str = "metadata/timestamp.json";

/// A project whose store is `server`, with an image to publish, that pins `root`.
fn pinning(server: &DavServer, root: &Authority) -> Project {
    let project = Project::made().file("a.bin", material::image("1.1.0")).file("b.pem", root.pem());
    project.run(["ca", "add", "b.pem", "--yes"]).exits(0).stderr("");
    project
        .edit("esp-ota.toml", "dir:dist", &server.store())
        .env("ESP_OTA_STORE_USER", "ci")
        .env("ESP_OTA_STORE_PASSWORD", "right")
}

fn project(server: &DavServer) -> Project {
    pinning(server, &server.root)
}

fn guarded() -> DavServer {
    DavServer::with(Manner { authorization: Some(BASIC), ..Manner::default() })
}

/// Publishes and expects a refusal after which the server holds what it held.
#[track_caller]
fn refused(project: &Project, server: &DavServer, code: i32, stderr: &str) {
    let before = server.files();
    project
        .run(["publish", "a.bin", "-q", "--connect", &server.address])
        .exits(code)
        .stdout("")
        .stderr(stderr)
        .wrote_nothing();
    assert!(server.files() == before);
}

#[test]
fn a_release_goes_to_a_web_server_and_again_is_nothing_new() {
    let server = guarded();
    let project = project(&server);
    let publish = ["publish", "a.bin", "-q", "--connect", &server.address];
    project
        .run(publish)
        .exits(0)
        .stdout_is(|text| {
            text.starts_with(
                "published thermostat 1.1.0 for esp32c3 to `stable` in https://127.0.0.1:",
            )
        })
        .stderr("")
        .wrote_nothing();
    let files = server.files();
    let mut names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert!(names.pop().unwrap().ends_with(".thermostat-esp32c3-1.1.0.bin"));
    assert_eq!(
        names,
        [
            "esp32c3/firmware.bin",
            "metadata/1.root.json",
            "metadata/1.snapshot.json",
            "metadata/1.targets.json",
            LIVE
        ]
    );
    assert_eq!(files["esp32c3/firmware.bin"], material::image("1.1.0"));

    project
        .run(publish)
        .exits(0)
        .stdout_is(|text| text.contains("is published already in https://127.0.0.1:"))
        .stderr("");
    assert!(server.files() == files);
}

#[test]
fn every_command_that_reads_the_store_reads_this_one() {
    let server = guarded();
    let project = project(&server);
    let publish = ["publish", "a.bin", "-q", "--connect", &server.address];
    let _ = project.run(publish).exits(0).stderr("");
    let told = "repository: ok: 1 release in https://127.0.0.1:";
    project.run(["check"]).exits(0).stdout_is(|text| text.contains(told)).stderr("");
    project.run(["rehearse", "-q"]).exits(0).stdout_is(|text| text.contains("1.1.0")).stderr("");
    project.run(["keys", "list"]).exits(0).stdout_is(|text| text.contains("timestamp")).stderr("");
    project
        .run(["keys", "rotate", "-q", "--yes", "--connect", &server.address])
        .exits(0)
        .stdout_is(|text| text.contains("a device with root 1"))
        .stderr_is(|_| true);
    assert!(server.files().contains_key("metadata/3.root.json"));
    project.run(["check"]).exits(0).stdout_is(|text| text.contains(told)).stderr("");
    project
        .run(["serve", "-q"])
        .exits(3)
        .stdout("")
        .stderr_is(|text| text.contains("is not a folder of this machine"));
}

#[test]
fn nobody_and_the_wrong_one_are_refused_and_told_what_to_set() {
    let server = guarded();
    let project = project(&server);
    refused(
        &project.env("ESP_OTA_STORE_PASSWORD", "wrong"),
        &server,
        3,
        "error: `127.0.0.1:[PORT]` refuses the credentials (401 to MKCOL `targets/`)\n  \
         help: check `ESP_OTA_STORE_USER` and `ESP_OTA_STORE_PASSWORD`, or `ESP_OTA_STORE_TOKEN`\n",
    );
    let project =
        self::project(&server).env("ESP_OTA_STORE_USER", "").env("ESP_OTA_STORE_PASSWORD", "");
    refused(
        &project,
        &server,
        3,
        "error: `127.0.0.1:[PORT]` asks who publishes (401 to MKCOL `targets/`)\n  \
         help: set `ESP_OTA_STORE_USER` and `ESP_OTA_STORE_PASSWORD`, or `ESP_OTA_STORE_TOKEN` in \
         the environment\n",
    );
    refused(
        &project.env("ESP_OTA_STORE_USER", "ci"),
        &server,
        3,
        "error: the credentials for the store cannot be used: there is a user, no password\n  \
         help: set `ESP_OTA_STORE_USER` and `ESP_OTA_STORE_PASSWORD`, or `ESP_OTA_STORE_TOKEN` \
         alone\n",
    );
}

#[test]
fn a_store_under_another_root_gets_no_credentials() {
    let server = guarded();
    let project = pinning(&server, &Authority::root("Another Root"));
    refused(
        &project,
        &server,
        6,
        "error: the certificate of `127.0.0.1:[PORT]` is not trusted\n  \
         caused by: invalid peer certificate: UnknownIssuer\n  \
         help: the certificate has to end in a root that `[trust] roots` names, or in one of \
         Mozilla's; check the address, and the certificate that the host shows\n",
    );
    assert_eq!(server.count("GET", ""), 0);
}

#[test]
fn secrets_do_not_belong_into_the_project() {
    let project = Project::made().file("a.bin", material::image("1.1.0"));
    for (store, message) in [
        (
            "http://a/x",
            "`http://a/x` is no address of a store: without TLS anybody on the way could \
                        read the credentials",
        ),
        (
            "https://ci:geheim@a/x",
            "`https://…@a` is no address of a store: a user or a password \
                                   stands in it",
        ),
    ] {
        project.run(["publish", "a.bin", "--store", store]).exits(3).stdout("").stderr(&format!(
            "error: {message}\n  help: name an https address without user, query and fragment in \
             `esp-ota.toml`: `store = \"https://updates.example.com/thermostat\"`\n"
        ));
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    for format in ["human", "json", "github"] {
        let store = "https://ci:geheim@updates.test/x";
        Project::made()
            .edit("esp-ota.toml", "dir:dist", store)
            .run(["keys", "list", "-v", "--format", format])
            .exits(3)
            .stdout_is(|text| !text.contains("geheim"))
            .stderr_is(|text| text.contains("https://…@updates.test") && !text.contains("geheim"));
    }
}

#[test]
fn a_store_that_is_not_there_is_the_network_s_fault() {
    let server = guarded();
    let project = project(&server);
    let address = server.address.clone();
    drop(server);
    project
        .run(["publish", "a.bin", "-q", "--connect", &address])
        .exits(7)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: `127.0.0.1:[PORT]` could not be asked: ")
                && text.contains("\n  help: check the network and the address of the store")
        })
        .wrote_nothing();
}

#[test]
fn whoever_loses_the_race_exits_1_and_the_winner_stays() {
    let server = guarded();
    let project = project(&server);
    let faster = |files: &mut Files| {
        files.insert("metadata/1.snapshot.json".into(), b"{}".to_vec());
    };
    server.fail("MOVE", "snapshot", Fault::Meanwhile(faster), 1);
    project
        .run(["publish", "a.bin", "-q", "--connect", &server.address])
        .exits(1)
        .stdout("")
        .stderr(
            "error: `metadata/1.snapshot.json` exists already: another publish was faster\n  \
             help: nothing was made visible; run `cargo esp-ota publish` again\n",
        );
    let files = server.files();
    assert!(!files.contains_key(LIVE) && !files.contains_key("esp32c3/firmware.bin"));
    assert_eq!(files["metadata/1.snapshot.json"], b"{}");
    // The next one takes other numbers.
    let _ =
        project.run(["publish", "a.bin", "-q", "--connect", &server.address]).exits(0).stderr("");
    assert!(server.files().contains_key("metadata/2.snapshot.json"));
}

#[test]
fn a_server_that_stumbles_on_every_write_once_is_published_to() {
    let server = guarded();
    let project = project(&server);
    for fault in [Fault::Status(502, None), Fault::Cut, Fault::AnswerLost] {
        for method in ["PUT", "MOVE", "MKCOL"] {
            server.fail(method, "", fault, 1);
        }
    }
    let _ =
        project.run(["publish", "a.bin", "-q", "--connect", &server.address]).exits(0).stderr("");
    assert_eq!(fs::read(project.path("a.bin")).unwrap(), server.files()["esp32c3/firmware.bin"]);
}
