//! `monitor`, over real pseudo-terminals, with what an emulated chip has printed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::Project;
use crate::redact::redact;

/// Far more than any step takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A board that says what it is told to, at a port that keeps its name.
struct Device {
    folder: TempDir,
    plugged: Option<Plugged>,
}

struct Plugged {
    board: fs::File,
    /// Keeps the line up while nobody listens.
    _host: OwnedFd,
}

impl Device {
    fn plugged() -> Self {
        let mut device = Self { folder: tempfile::tempdir().unwrap(), plugged: None };
        device.plug();
        device
    }

    fn port(&self) -> String {
        self.folder.path().join("port").display().to_string()
    }

    fn plug(&mut self) {
        let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        // The program that listens would hold the board's side too.
        rustix::io::ioctl_fioclex(&board).unwrap();
        grantpt(&board).unwrap();
        unlockpt(&board).unwrap();
        let name = ptsname(&board, Vec::new()).unwrap();
        let name = PathBuf::from(name.to_str().unwrap());
        let host =
            rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
                .unwrap();
        let mut settings = tcgetattr(&host).unwrap();
        settings.make_raw();
        tcsetattr(&host, OptionalActions::Now, &settings).unwrap();
        rustix::io::ioctl_fionbio(&board, true).unwrap();
        symlink(&name, self.port()).unwrap();
        self.plugged = Some(Plugged { board: board.into(), _host: host });
    }

    fn unplug(&mut self) {
        fs::remove_file(self.port()).unwrap();
        self.plugged = None;
    }

    /// Sends it, or as much as the program takes before it ends.
    #[track_caller]
    fn says(&mut self, bytes: impl AsRef<[u8]>) {
        let board = &mut self.plugged.as_mut().unwrap().board;
        let (mut rest, begin) = (bytes.as_ref(), Instant::now());
        while !rest.is_empty() {
            match board.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    assert!(begin.elapsed() < PATIENCE, "nobody listens");
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A running `monitor`, with its streams read as they come.
struct Watch<'a> {
    project: &'a Project,
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

impl<'a> Watch<'a> {
    /// Starts it, and waits until it listens.
    #[track_caller]
    fn start(project: &'a Project, device: &Device, arguments: &[&str]) -> Self {
        let port = device.port();
        let all = ["monitor", "--port", &port].into_iter().chain(arguments.iter().copied());
        let mut command = project.command(all);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("watching ") {
            assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it ended: {said}");
        }
        let mut stdout = child.stdout.take().unwrap();
        let stdout = thread::spawn(move || {
            let mut text = Vec::new();
            stdout.read_to_end(&mut text).unwrap();
            String::from_utf8(text).unwrap()
        });
        let stderr = thread::spawn(move || {
            stderr.read_to_string(&mut said).unwrap();
            said
        });
        Self { project, child, stdout, stderr }
    }

    /// Presses Ctrl-C.
    fn stop(&self) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &process]).status().unwrap().success());
    }

    /// Waits for its end. Gives exit code, standard output and standard error, redacted.
    #[track_caller]
    fn ended(mut self) -> (i32, String, String) {
        let begin = Instant::now();
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code().expect("an exit code");
            }
            if begin.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it does not end: {}", self.stdout.join().unwrap());
            }
            thread::sleep(Duration::from_millis(10));
        };
        let root = self.project.around("");
        let said = redact(&self.stderr.join().unwrap(), &root);
        let said = said.lines().filter(|line| !line.starts_with("watching "));
        let said: Vec<&str> = said.collect();
        (code, without_seconds(&self.stdout.join().unwrap()), said.join("\n"))
    }
}

/// How long it took to see something is no matter.
fn without_seconds(stdout: &str) -> String {
    let end = |line: &str| match line.split_once("` was seen within ") {
        Some((start, _)) => format!("{start}` was seen\n"),
        None => format!("{line}\n"),
    };
    stdout.lines().map(end).collect()
}

/// What was recorded: `tests/vectors/serial/README.md`.
fn recorded(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/serial");
    fs::read(folder.join(name)).unwrap()
}

/// Plays bytes to a `monitor`, and waits for its end.
#[track_caller]
fn play(bytes: &[u8], arguments: &[&str]) -> (i32, String, String) {
    let project = Project::new();
    let mut device = Device::plugged();
    let all: Vec<&str> = ["--timestamps", "none"].iter().chain(arguments).copied().collect();
    let watch = Watch::start(&project, &device, &all);
    device.says(bytes);
    watch.ended()
}

/// The lines that are the program's own.
fn ours(stdout: &str) -> Vec<&str> {
    stdout.lines().filter_map(|line| line.strip_prefix("> ")).collect()
}

/// The lines that are the device's.
fn theirs(stdout: &str) -> Vec<&str> {
    stdout.lines().filter_map(|line| line.strip_prefix("| ")).collect()
}

/// Every event of an update: found, installed, tried, confirmed.
const UPDATE: &[&str] = &[
    "reset: POWERON, starts by SPI_FAST_FLASH_BOOT",
    "boots ota_0 at 0x10000",
    "thermostat 0.1.0 in ota_0",
    "settled: nothing to confirm",
    "looks for a release in 0 s",
    "metadata verified by root 1, time by date",
    "downloads 0.1.1, 659696 bytes",
    "131072 of 659696 bytes",
    "262144 of 659696 bytes",
    "393216 of 659696 bytes",
    "524288 of 659696 bytes",
    "655360 of 659696 bytes",
    "installed 0.1.1 in ota_1: starts at the next reset",
    "restarts: a new release is installed",
    "reset: POWERON, starts by SPI_FAST_FLASH_BOOT",
    "boots ota_1 at 0x150000",
    "thermostat 0.1.1 in ota_1",
    "on trial: any reset before it confirms itself falls back",
    "confirmed: this image stays",
    "`confirmed` was seen",
];

/// A device installs a release, and confirms it after its restart.
fn update() -> Vec<u8> {
    [recorded("install.log"), recorded("confirmed.log")].concat()
}

#[test]
fn an_update_is_told_step_by_step_until_it_is_confirmed() {
    let (code, stdout, stderr) = play(&update(), &["--until", "confirmed"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(ours(&stdout), UPDATE);
    assert_eq!(theirs(&stdout).last(), Some(&"updates: confirmed"));
}

#[test]
fn an_update_that_is_confirmed_will_not_fall_back() {
    let (code, stdout, stderr) = play(&update(), &["--until", "fell-back"]);
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "error: `fell-back` will not be seen any more: confirmed: this image stays\n  \
         help: see above what the device said before"
    );
    assert_eq!(ours(&stdout).last(), Some(&"confirmed: this image stays"));
}

#[test]
fn a_device_that_falls_back_is_told_at_once_to_whoever_waits_for_the_opposite() {
    let (code, stdout, stderr) = play(&recorded("fell-back.log"), &["--until", "fell-back"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (last, before) = ours(&stdout).split_last().map(|(a, b)| (*a, b.to_vec())).unwrap();
    assert_eq!(last, "`fell-back` was seen");
    assert_eq!(before.last(), Some(&"fell back: 0.1.1 did not prove itself"));

    let begin = Instant::now();
    let arguments = ["--until", "confirmed", "--timeout", "5m"];
    let (code, _, stderr) = play(&recorded("fell-back.log"), &arguments);
    assert!(begin.elapsed() < PATIENCE);
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "error: `confirmed` will not be seen any more: fell back: 0.1.1 did not prove itself\n  \
         help: see above what the device said before"
    );
}

#[test]
fn what_is_not_seen_in_time_is_a_rejection() {
    let arguments = ["--until", "confirmed", "--timeout", "1s"];
    let (code, stdout, stderr) = play(b"updates: this image is settled\r\n", &arguments);
    assert_eq!(code, 1);
    assert_eq!(stdout, "| updates: this image is settled\n> settled: nothing to confirm\n");
    assert_eq!(
        stderr,
        "error: `confirmed` was not seen within 1 s\n  \
         help: see above what the device said, or give it a longer `--timeout`"
    );
    let (code, stdout, stderr) = play(b"", &arguments);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert_eq!(
        stderr,
        "error: `confirmed` was not seen within 1 s\n  \
         help: nothing came at all: check the board's power, the port and `--baud`"
    );
}

#[test]
fn without_anything_to_wait_for_the_end_of_the_time_is_no_failure() {
    let (code, stdout, stderr) = play(b"hello\n", &["--timeout", "1s"]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "| hello\n", ""));
}

#[test]
fn control_c_ends_the_watch() {
    for (arguments, expected) in [
        (&[][..], (0, "")),
        (&["--until", "confirmed"][..], (1, "error: stopped before `confirmed` was seen")),
    ] {
        let project = Project::new();
        let mut device = Device::plugged();
        let watch = Watch::start(&project, &device, arguments);
        device.says("no end of this line");
        thread::sleep(Duration::from_millis(400));
        watch.stop();
        let (code, stdout, stderr) = watch.ended();
        assert_eq!((code, stderr.as_str()), expected);
        assert!(stdout.ends_with(" | no end of this line\n"), "{stdout}");
    }
}

/// `monitor | less`, and nobody scrolls.
#[test]
fn a_second_control_c_ends_a_watch_whose_reader_takes_nothing() {
    use std::os::unix::process::ExitStatusExt;
    let project = Project::new();
    let mut device = Device::plugged();
    let port = device.port();
    let mut command = project.command(["monitor", "--port", &port]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.starts_with("watching "), "{said}");
    // More than a pipe holds, and then as much as the port does.
    let (mut sent, mut idle) = (0, Instant::now());
    while idle.elapsed() < Duration::from_secs(1) {
        match device.plugged.as_mut().unwrap().board.write(b"nobody reads this\n") {
            Ok(count) => (sent, idle) = (sent + count, Instant::now()),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
        assert!(sent < 10_000_000, "somebody reads");
    }
    let press = || {
        let process = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &process]).status().unwrap().success());
        thread::sleep(Duration::from_millis(500));
    };
    press();
    press();
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.signal(), Some(2), "a shell says 130");
}

#[test]
fn a_text_is_found_in_a_line_that_does_not_end() {
    let (code, stdout, stderr) = play(b"\x1b[32mpass\x1b[0mword: ", &["--until", "password:"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(theirs(&stdout), ["password: "]);
    assert_eq!(ours(&stdout), ["`password:` was seen"]);
}

#[test]
fn a_text_that_is_almost_a_keyword_is_warned_of() {
    let (code, _, stderr) = play(b"it fellback\n", &["--until", "fellback"]);
    let words = "warning: `fellback` is looked for as text; the event is `fell-back`";
    assert_eq!((code, stderr.as_str()), (0, words));
}

#[test]
fn what_means_what_it_says_is_not_said_twice() {
    let (_, stdout, _) = play(b"updates: up to date\nend\n", &["--until", "end"]);
    assert_eq!(stdout, "| updates: up to date\n| end\n> `end` was seen\n");
}

#[test]
fn a_text_counts_that_the_end_of_the_time_finds_in_a_line_that_goes_on() {
    let project = Project::new();
    let mut device = Device::plugged();
    let watch = Watch::start(&project, &device, &["--until", "password:", "--timeout", "1s"]);
    device.says("password:");
    // Never silent for so long that it would be shown.
    for _ in 0..60 {
        device.says(".");
        thread::sleep(Duration::from_millis(25));
    }
    let (code, stdout, stderr) = watch.ended();
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
}

/// The system keeps what a device says while nobody reads.
#[test]
fn what_was_said_before_the_watch_is_not_seen() {
    for no_reset in [&["--no-reset"][..], &[]] {
        let project = Project::new();
        let mut device = Device::plugged();
        device.says("updates: confirmed\r\n");
        thread::sleep(Duration::from_millis(100));
        let arguments = [&["--until", "confirmed", "--timeout", "1s"][..], no_reset].concat();
        let (code, stdout, stderr) = Watch::start(&project, &device, &arguments).ended();
        assert_eq!((code, stdout.as_str()), (1, ""), "{no_reset:?}");
        assert!(stderr.contains("nothing came at all"), "{stderr}");
    }
}

#[test]
fn a_line_that_pauses_is_shown_in_parts_and_read_as_a_whole() {
    let project = Project::new();
    let mut device = Device::plugged();
    let arguments = ["--timestamps", "none", "--until", "confirmed"];
    let watch = Watch::start(&project, &device, &arguments);
    device.says("updates: conf");
    thread::sleep(Duration::from_millis(800));
    device.says("irmed\r\n");
    let (code, stdout, _) = watch.ended();
    assert_eq!(code, 0);
    let lines: Vec<&str> = stdout.lines().take(3).collect();
    assert_eq!(lines, ["| updates: conf", "+ irmed", "> confirmed: this image stays"]);
}

#[test]
fn a_device_cannot_speak_for_the_program_or_to_the_terminal() {
    let hostile =
        b"\x1b]0;owned\x07\x1b[2J\r> confirmed: this image stays\n::error::no\n##[error]no\n\
                    \xff\xfe\x00\xc2\x9b31m\n\x1b[31mred\x1b[0m\nend\n";
    let shown = "| \\x1b]0;owned\\x07\\x1b[2J\n| > confirmed: this image stays\n| ::error::no\n\
                 | ##\\x5berror]no\n| \\xff\\xfe\\x00\\x9b31m\n";
    for format in ["human", "github"] {
        let arguments = ["--until", "end", "--format", format];
        let (code, stdout, _) = play(hostile, &arguments);
        assert_eq!(code, 0);
        let expected = format!("{shown}| red\n| end\n> `end` was seen\n");
        assert_eq!(stdout, expected, "{format}");
    }
    let (_, stdout, _) = play(hostile, &["--until", "end", "--color", "always"]);
    let colours: Vec<&str> = stdout.split('\u{1b}').skip(1).collect();
    assert!(colours.iter().all(|it| it.starts_with('[') && it.contains('m')), "{stdout:?}");
    assert!(stdout.contains("\u{1b}[31mred\u{1b}[0m\u{1b}[0m\n"), "{stdout:?}");
    // None of the sequences that move, erase or name anything.
    assert!(stdout.contains("\\x1b]0;owned\\x07\\x1b[2J"), "{stdout:?}");
}

#[test]
fn a_board_that_is_unplugged_is_waited_for() {
    let project = Project::new();
    let mut device = Device::plugged();
    let arguments = ["--timestamps", "none", "--until", "after", "--timeout", "60s"];
    let watch = Watch::start(&project, &device, &arguments);
    device.says("before\nhalf of a line");
    thread::sleep(Duration::from_millis(500));
    device.unplug();
    thread::sleep(Duration::from_millis(500));
    device.plug();
    device.says("after\n");
    let (code, stdout, stderr) = watch.ended();
    assert_eq!((code, stderr.as_str()), (0, ""));
    let port = device.port();
    let lines: Vec<&str> = stdout.lines().collect();
    let (gone, back) =
        (format!("> `{port}` is gone: waiting for it"), format!("> `{port}` is back"));
    assert_eq!(lines[..5], ["| before", "| half of a line", &gone, &back, "| after"]);
}

#[test]
fn the_time_runs_on_while_a_board_is_away() {
    let project = Project::new();
    let mut device = Device::plugged();
    let arguments = ["--until", "confirmed", "--timeout", "2s", "--format", "json"];
    let watch = Watch::start(&project, &device, &arguments);
    device.says("hello\n");
    thread::sleep(Duration::from_millis(300));
    device.unplug();
    let (code, stdout, _) = watch.ended();
    assert_eq!(code, 1);
    let objects: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 3, "{stdout}");
    assert_eq!(objects[1]["event"], json!({"kind": "port-gone", "port": device.port()}));
    assert_eq!(objects[2]["outcome"], "rejected");
    assert_eq!(objects[2]["error"]["message"], "`confirmed` was not seen within 2 s");
}

#[test]
fn json_is_a_stream_with_the_envelope_at_its_end() {
    let bytes = b"rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\n\x1b[31mred\x1b[0m\nend\n";
    let (code, stdout, stderr) = play(bytes, &["--format", "json", "--until", "end"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let mut objects: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 4, "{stdout}");
    for object in &mut objects {
        let elapsed = object.as_object_mut().unwrap().remove("elapsed-ms").unwrap();
        assert!(elapsed.as_u64().unwrap() < 60_000, "{elapsed}");
    }
    for object in &mut objects[..3] {
        let time = object.as_object_mut().unwrap().remove("time").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    }
    let line = "rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)";
    let reset = json!({"kind": "reset", "reason": "POWERON", "mode": "SPI_FAST_FLASH_BOOT"});
    let expected =
        json!({"text": line, "begins": true, "ends": true, "event": reset, "frames": []});
    assert_eq!(objects[0], expected);
    let expected = json!({"text": "red", "bytes": "1b5b33316d7265641b5b306d", "begins": true,
        "ends": true, "event": null, "frames": []});
    assert_eq!(objects[1], expected);
    let port = objects[3]["port"].clone();
    let expected = json!({"schema": 1, "command": "monitor", "outcome": "success", "exit-code": 0,
        "port": port, "lines": 3, "bytes": bytes.len(), "seen": "end"});
    assert_eq!(objects[3], expected);
}

#[test]
fn lines_have_times() {
    for (kind, length) in
        [("elapsed", "    0.000 | x".len()), ("utc", "2026-11-25T17:00:00.123Z | x".len())]
    {
        let project = Project::new();
        let mut device = Device::plugged();
        let watch = Watch::start(&project, &device, &["--timestamps", kind, "--until", "x"]);
        device.says("x\n");
        let (code, stdout, _) = watch.ended();
        assert_eq!(code, 0);
        let line = stdout.lines().next().unwrap();
        assert_eq!((line.len(), line.ends_with(" | x")), (length, true), "{line}");
    }
}

/// A small program with names and lines: `tests/vectors/elf/README.md`.
const PUMP: &[u8] = include_bytes!("../vectors/elf/pump.elf");
/// How esp-backtrace prints a panic of a program with frame pointers.
const BACKTRACE: &[u8] = b"\n====================== PANIC ======================\n\
    panicked at src/pump.rs:30:5:\nno water\n\nBacktrace:\n\n0x4200003a\n0x42000044\n0x420000ff\n\
    load:0x4200003a,len:0x10\nend\n";

#[test]
fn addresses_of_a_panic_are_looked_up_in_the_program() {
    let project = Project::new().file("pump.elf", PUMP);
    let mut device = Device::plugged();
    let arguments = ["--timestamps", "none", "--until", "end", "--elf", "pump.elf"];
    let watch = Watch::start(&project, &device, &arguments);
    device.says(BACKTRACE);
    let (code, stdout, stderr) = watch.ended();
    assert_eq!((code, stderr.as_str()), (0, "addresses are looked up in `pump.elf`"));
    assert_eq!(
        ours(&stdout),
        [
            "crash: panicked at src/pump.rs:30:5:",
            "0x4200003a pump::pump::valve, /pump/pump.rs:25, inlined into",
            "0x4200003a pump::pump::water, /pump/pump.rs:30",
            "0x42000044 pump::pump::water, /pump/pump.rs:31",
            "`end` was seen",
        ]
    );
}

/// What the firmware of `init` prints: it has no frame pointers, so there is no backtrace.
#[test]
fn the_stack_of_a_panic_leads_to_the_calls() {
    let program = recorded("panic.elf");
    let project = Project::new().file("panic.elf", program);
    let mut device = Device::plugged();
    let arguments = ["--timestamps", "none", "--elf", "panic.elf", "--timeout", "3s"];
    let watch = Watch::start(&project, &device, &arguments);
    let mut panic = recorded("panic.log");
    device.says(&panic);
    let (code, stdout, _) = watch.ended();
    assert_eq!(code, 0);
    let found = ours(&stdout);
    let crash = found.iter().position(|line| line.starts_with("crash: ")).unwrap();
    assert_eq!(
        found[crash..],
        [
            "crash: panicked at src/pump.rs:21:5:",
            "0x4205c83c esp_backtrace::arch::dump_stack",
            "0x4205c5b6 __rustc::rust_begin_unwind",
            "0x42055584 core::panicking::panic_fmt",
            "0x4204a164 thermostat::pump::water",
            "0x42042562 <embassy_executor::raw::TaskStorage<thermostat::__main::\
             ____embassy_main_task::____embassy_main_task_inner_function::{closure#0}>>::poll",
            "0x4202282e <esp_rtos::embassy::Executor>::run_inner::<thermostat::__main::\
             __risc_v_rt__main::{closure#0}, <esp_rtos::embassy::Executor>::run::NoHooks>",
            "0x4202272e <esp_rtos::embassy::Executor>::run::<thermostat::__main::\
             __risc_v_rt__main::{closure#0}>",
            "0x42053b30 main",
        ]
    );
    // Every byte of the longest line there is, colours and all: none is lost.
    panic.retain(|byte| !b"\r\n".contains(byte));
    let shown: String = theirs(&stdout).concat();
    let colours = ["\u{1b}[31m", "\u{1b}[0m"];
    let expected = colours
        .iter()
        .fold(String::from_utf8(panic).unwrap(), |text, colour| text.replace(colour, ""));
    assert_eq!(shown, expected);
}

#[test]
fn the_program_is_the_one_that_cargo_built_last() {
    let folder = "target/riscv32imc-unknown-none-elf/release";
    let project = Project::new()
        .file("esp-ota.toml", "product = \"pump\"\nchip = \"esp32c3\"\n")
        .file(&format!("{folder}/pump.d"), "no program")
        .file(&format!("{folder}/pump"), PUMP)
        .file("target/release/host-tool", PUMP);
    let mut device = Device::plugged();
    let watch = Watch::start(&project, &device, &["--format", "json", "--until", "0x42000044"]);
    device.says("MEPC    : 0x42000044\n");
    let (code, stdout, stderr) = watch.ended();
    let expected = format!("addresses are looked up in `{folder}/pump`");
    assert_eq!((code, stderr.as_str()), (0, expected.as_str()));
    let line: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    let frame = json!({"address": 0x4200_0044, "function": "pump::pump::water",
        "file": "/pump/pump.rs", "line": 31, "inlined": false});
    assert_eq!(line["frames"], json!([frame]));
}

#[test]
fn a_program_that_cannot_be_used_is_refused_where_somebody_named_it() {
    let project = Project::new().file("text.elf", "text").file("other.elf", other_processor());
    let device = Device::plugged();
    for (file, why) in [
        (
            "text.elf",
            "it is no ELF file of a 32-bit little-endian processor\n  \
             caused by: Invalid ELF header size or alignment",
        ),
        ("other.elf", "it is a program for another processor than Espressif's"),
    ] {
        let stderr = format!(
            "error: addresses cannot be looked up in `{file}`\n  caused by: {why}\n  \
             help: name the ELF file that cargo has built: `--elf`\n"
        );
        let port = device.port();
        project.refuses("monitor", ["monitor", "--port", &port, "--elf", file], (3, &stderr));
    }
}

fn other_processor() -> Vec<u8> {
    let mut other = PUMP.to_vec();
    other[18] = 40; // 32-bit ARM
    other
}

#[test]
fn a_port_that_was_never_there_is_an_error() {
    let project = Project::new();
    project.refuses(
        "monitor",
        ["monitor", "--port", "/dev/nothing-here", "--until", "confirmed", "--timeout", "60s"],
        (
            4,
            "error: `/dev/nothing-here` does not exist\n  \
             help: name the port as the system does, such as `/dev/ttyUSB0` or `COM3`\n",
        ),
    );
    let project = project.env("ESP_OTA_PORT", "/dev/nor-here");
    project
        .run(["monitor"])
        .exits(4)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `/dev/nor-here` does not exist\n"));
}

#[test]
fn a_wait_for_nothing_or_for_no_time_is_no_command() {
    let project = Project::new();
    for (arguments, words) in [
        (["monitor", "--until", ""], "a value is required for '--until <WHAT>'"),
        (["monitor", "--timeout", "1h"], "name seconds or minutes, such as `120s` or `2m`"),
        (["monitor", "--timeout", "0s"], "name at least one second"),
        (["monitor", "--baud", "fast"], "invalid value 'fast' for '--baud <BAUD>'"),
        (["monitor", "--baud", "0"], "invalid value '0' for '--baud <BAUD>'"),
    ] {
        project.run(arguments).exits(2).stdout("").stderr_is(|text| text.contains(words));
    }
}

/// `monitor | head -1`
#[test]
fn a_reader_that_goes_away_ends_a_watch_that_waits_for_nothing() {
    let project = Project::new();
    let mut device = Device::plugged();
    let port = device.port();
    let (mut child, first) = {
        let mut command = project.command(["monitor", "--port", &port, "--timestamps", "none"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("watching "), "{said}");
        device.says("one\n");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, line)
    };
    assert_eq!(first, "| one\n");
    device.says("two\n");
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() && begin.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
