//! The passphrase of a network, typed on a terminal that shows what is typed.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cargo_esp_ota::device::nvs;
use rexpect::process::WaitStatus;
use rexpect::session::{PtySession, spawn_command};
use rustix::termios::{LocalModes, tcgetattr};

use crate::harness::Project;
use crate::material;

const PASSPHRASE: &str = "correct horse battery";

#[test]
fn a_passphrase_is_asked_for_and_not_shown_while_it_is_typed() {
    let project = Project::made().file("app.bin", material::image("1.2.0"));
    let (rest, status) = answered(&project, PASSPHRASE);
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}: {rest}");
    assert!(!rest.contains(PASSPHRASE), "{rest}");
    assert!(rest.contains("wifi_ssid, wifi_psk"), "{rest}");
    let flash = std::fs::read(project.path("board.bin")).unwrap();
    let settings = nvs::settings(&flash[0x9000..0xe000]).unwrap();
    assert_eq!(settings.wifi.unwrap().psk().unwrap().reveal(), PASSPHRASE);
}

#[test]
fn nothing_typed_is_said_so_and_nothing_is_flashed() {
    let project = Project::made().file("app.bin", material::image("1.2.0"));
    let (rest, status) = answered(&project, "");
    assert!(matches!(status, WaitStatus::Exited(_, 2)), "{status:?}: {rest}");
    assert!(rest.contains("error: no passphrase was typed for the network `Workshop`"), "{rest}");
    assert!(rest.contains("run it again") && rest.contains("`--wifi-open`"), "{rest}");
    assert!(!rest.contains("terminal"), "{rest}");
    assert!(!project.path("board.bin").exists());
}

#[test]
fn what_is_to_be_erased_is_asked_for_and_a_no_leaves_everything() {
    let project = Project::made().file("app.bin", material::image("1.2.0"));
    let before = material::dump("2-updated");
    std::fs::write(project.path("board.bin"), &before).unwrap();
    for (answer, code) in [("n", 1), ("", 1), ("y", 0)] {
        let mut terminal = started(&project, &["--erase", "all"]);
        terminal.exp_string("Erase the whole flash chip of `board.bin`? [y/N] ").unwrap();
        terminal.send_line(answer).unwrap();
        let rest = terminal.exp_eof().unwrap();
        let status = terminal.process().wait().unwrap();
        assert!(
            matches!(status, WaitStatus::Exited(_, found) if found == code),
            "{status:?}: {rest}"
        );
        let after = std::fs::read(project.path("board.bin")).unwrap();
        if code == 0 {
            assert!(after[0x150000..].iter().all(|byte| *byte == 0xff));
        } else {
            assert!(rest.contains("error: nothing was erased, and nothing flashed"), "{rest}");
            assert!(after == before);
        }
    }
}

/// `flash` on a terminal.
fn started(project: &Project, arguments: &[&str]) -> PtySession {
    let all = ["flash", "--app", "app.bin", "--image", "board.bin"];
    let flash = project.command(all.into_iter().chain(arguments.iter().copied()));
    let mut shell = Command::new("/bin/sh");
    // The terminal of these tests shows nothing unless it is told to.
    shell.args(["-c", "stty echo && exec \"$0\" \"$@\""]).arg(flash.get_program());
    shell.args(flash.get_args()).current_dir(flash.get_current_dir().unwrap()).env_clear();
    shell.envs(flash.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("NO_COLOR", "1");
    spawn_command(shell, Some(60_000)).unwrap()
}

/// What `flash` says after its question was answered with `line`.
fn answered(project: &Project, line: &str) -> (String, WaitStatus) {
    let mut session = started(project, &["--wifi-ssid", "Workshop"]);
    let question = "Passphrase of `Workshop`: ";
    session.exp_string(question).unwrap();
    let terminal = session.process().get_file_handle().unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    // Whoever types faster than the question is read loses it, as everywhere else.
    while tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO) {
        if Instant::now() > end {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    session.send_line(line).unwrap();
    let rest = session.exp_eof().unwrap();
    (rest, session.process().wait().unwrap())
}
