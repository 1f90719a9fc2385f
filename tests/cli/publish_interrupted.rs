//! `publish` that fails, dies, or meets another one: what devices see is a whole repository, the
//! old one or the new one, at every moment.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cargo_esp_ota::release::repository::{State, View, verify_images};
use cargo_esp_ota::release::store::Store;
use cargo_esp_ota::virtual_device::rehearsal::{Onlooker, Place, Source, build_time};
use jiff::Timestamp;

use crate::crooked::{Crooked, Manner};
use crate::harness::Project;
use crate::material;
use crate::rehearse_public::{URL, pin};

/// `chip_id` of the ESP32-S3 in an image's header.
const S3: u16 = 9;

fn store(project: &Project) -> Store {
    Store::parse("dir:dist", &project.path("")).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A device that polls without a pause, and looks at every image that it is told of.
struct Polling {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Polling {
    fn start(project: &Project) -> Self {
        let (store, root) = (store(project), fs::read(project.path("trust/root.json")).unwrap());
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let now = Timestamp::now();
            let mut device = Onlooker::new(root.clone(), build_time(now));
            let source = Source { place: Place::Store(&store), view: View::Live, now };
            let mut polls = 0;
            while !is_over.load(Ordering::Relaxed) {
                runtime().block_on(async {
                    device.poll(&source).await.unwrap().read.unwrap();
                    let state = State::load(&store, &root, View::Live, now).await.unwrap();
                    verify_images(&store, state.releases()).await.unwrap();
                });
                polls += 1;
            }
            polls
        });
        Self { ends, thread }
    }

    /// How often it polled, and never saw an error.
    fn stop(self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().expect("a poll failed")
    }
}

/// The versions that are listed, with their chips.
fn listed(project: &Project) -> BTreeSet<String> {
    let root = fs::read(project.path("trust/root.json")).unwrap();
    let store = store(project);
    let state = State::load(&store, &root, View::Live, Timestamp::now());
    let state = runtime().block_on(state).unwrap();
    state.releases().iter().map(|it| format!("{} {}", it.custom.chip, it.custom.version)).collect()
}

/// A project with 1.0.0 for two chips, and a way to make the images of later versions.
fn project() -> Project {
    let project = Project::made()
        .file("c3.bin", material::image("1.0.0"))
        .file("s3.bin", material::for_chip(material::image("1.0.0"), S3));
    project.run(["publish", "-q", "c3.bin", "s3.bin"]).exits(0).stdout_is(|_| true).stderr("");
    project
}

fn write(project: &Project, name: &str, version: &str, chip: u16) {
    let image = material::for_chip(material::with_version(material::image("1.0.0"), version), chip);
    fs::write(project.path(name), image).unwrap();
}

fn quiet<'a>(project: &Project, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = project.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_rehearsal_that_fails_is_seen_by_no_device() {
    let project = project();
    let server = Crooked::start(&project.path("dist"), Manner::Status(404));
    pin(&project, "crooked.pem", &server.root);
    let address = server.address.to_string();
    write(&project, "c3.bin", "1.1.0", 5);
    let seen = ["metadata/timestamp.json", "esp32c3/firmware.bin", "esp32s3/firmware.bin"];
    let read = || seen.map(|file| fs::read(project.path("dist").join(file)).unwrap());
    let before = read();
    let polling = Polling::start(&project);
    project
        .run(["publish", "-q", "c3.bin", "--url", URL, "--connect", &address])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.contains("`status-404`"));
    assert!(polling.stop() > 0);
    assert_eq!(read(), before);
    assert_eq!(listed(&project), ["esp32c3 1.0.0", "esp32s3 1.0.0"].map(String::from).into());
    // Its numbers are spent, and nothing else is lost.
    project.run(["publish", "-q", "c3.bin"]).exits(0).stdout_is(|_| true).stderr("");
    assert!(project.path("dist/metadata/3.snapshot.json").exists());
}

/// How a publish ends that gets `signal` after `delay`; `None` where it was done before.
fn killed(project: &Project, file: &str, signal: &str, delay: Duration) -> Option<ExitStatus> {
    let mut child = quiet(project, ["publish", file]).spawn().unwrap();
    std::thread::sleep(delay);
    let id = child.id().to_string();
    let sent = Command::new("kill").args([signal, &id]).stderr(Stdio::null()).status().unwrap();
    let ended = child.wait().unwrap();
    (sent.success() && ended.code().is_none()).then_some(ended)
}

#[test]
fn a_publish_that_is_killed_anywhere_leaves_the_old_release_or_the_new_one() {
    let project = project();
    let begin = Instant::now();
    write(&project, "c3.bin", "1.1.0", 5);
    project.run(["publish", "-q", "c3.bin"]).exits(0).stdout_is(|_| true).stderr("");
    let whole = begin.elapsed();
    let polling = Polling::start(&project);
    let mut cut = 0;
    for round in 0_u32..16 {
        let (old, version) = (listed(&project), format!("1.2.{round}"));
        write(&project, "c3.bin", &version, 5);
        let signal = if round % 2 == 0 { "-KILL" } else { "-INT" };
        // Up to a little after the usual end.
        let delay = whole * round / 14;
        cut += u32::from(killed(&project, "c3.bin", signal, delay).is_some());
        let mut new = old.clone();
        new.insert(format!("esp32c3 {version}"));
        let found = listed(&project);
        assert!(found == old || found == new, "{found:?} after {delay:?}");
    }
    assert!(cut > 0, "nothing was cut");
    write(&project, "c3.bin", "1.3.0", 5);
    project.run(["publish", "-q", "c3.bin"]).exits(0).stdout_is(|_| true).stderr("");
    assert!(polling.stop() > 0);
    assert!(listed(&project).contains("esp32c3 1.3.0"));
    project
        .run(["check"])
        .exits(0)
        .stdout_is(|text| text.contains("signed and current"))
        .stderr("");
}

#[test]
fn of_two_that_publish_at_once_at_least_one_does_and_none_is_lost() {
    let project = project();
    let polling = Polling::start(&project);
    for round in 1..=20 {
        let version = format!("1.{round}.0");
        let before = listed(&project);
        write(&project, "c3.bin", &version, 5);
        write(&project, "s3.bin", &version, S3);
        let mut children: Vec<_> = ["c3.bin", "s3.bin"]
            .map(|file| quiet(&project, ["publish", file]).spawn().unwrap())
            .into();
        let codes: Vec<Option<i32>> =
            children.iter_mut().map(|child| child.wait().unwrap().code()).collect();
        let mut expected = before;
        for (code, chip) in codes.iter().zip(["esp32c3", "esp32s3"]) {
            match code {
                Some(0) => assert!(expected.insert(format!("{chip} {version}"))),
                Some(1) => {}
                other => panic!("round {round}: {other:?}"),
            }
        }
        assert!(codes.contains(&Some(0)), "round {round}: both lost");
        assert_eq!(listed(&project), expected, "round {round}: {codes:?}");
    }
    assert!(polling.stop() > 0);
    let leftovers: Vec<PathBuf> = fs::read_dir(project.path("dist/metadata/staged"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(leftovers.len() <= 1, "{leftovers:?}");
}
