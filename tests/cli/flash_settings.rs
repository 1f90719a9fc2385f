//! Settings that `flash` writes into a device's `nvs`, beside what others keep there.

use std::fs;

use cargo_esp_ota::agent::settings::Settings;
use cargo_esp_ota::device::nvs;
use esp_nvs::mem_flash::MemFlash;
use esp_nvs::{Key, Nvs};

use crate::board::Board;
use crate::harness::{Project, Ran};
use crate::material;
use crate::shape::Flashed;

/// Begin and bytes of `nvs` in the table that `init` writes.
const NVS: std::ops::Range<usize> = 0x9000..0xe000;
const PASSPHRASE: &str = "correct horse battery";

/// A device that runs 1.1.0, and whose `nvs` has this in it.
fn with_nvs(partition: &[u8]) -> Vec<u8> {
    let mut flash = material::dump("2-updated");
    flash[NVS].copy_from_slice(partition);
    flash
}

fn open(partition: &[u8]) -> Nvs<MemFlash> {
    Nvs::new(0, partition.len(), MemFlash::from_bytes(partition.to_vec())).unwrap()
}

/// What a program of somebody else keeps: each kind of value, over more than one page.
fn of_others() -> Vec<u8> {
    let mut nvs = open(&vec![0xff; NVS.len()]);
    let space = Key::from_str("mine");
    nvs.set(&space, &Key::from_str("count"), 7_u32).unwrap();
    nvs.set(&space, &Key::from_str("name"), "kettle").unwrap();
    nvs.set(&space, &Key::from_str("table"), blob().as_slice()).unwrap();
    let theirs = Key::from_str("esp_ota_st");
    nvs.set(&theirs, &Key::from_str("state"), [1_u8, 2, 3].as_slice()).unwrap();
    nvs.into_inner().into_inner()
}

fn blob() -> Vec<u8> {
    (0..6000_u32).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect()
}

#[track_caller]
fn others_are_there(partition: &[u8]) {
    let mut nvs = open(partition);
    let space = Key::from_str("mine");
    assert_eq!(nvs.get::<u32>(&space, &Key::from_str("count")).unwrap(), 7);
    assert_eq!(nvs.get::<String>(&space, &Key::from_str("name")).unwrap(), "kettle");
    assert_eq!(nvs.get::<Vec<u8>>(&space, &Key::from_str("table")).unwrap(), blob());
    let state = nvs.get::<Vec<u8>>(&Key::from_str("esp_ota_st"), &Key::from_str("state"));
    assert_eq!(state.unwrap(), [1, 2, 3]);
}

/// What the device's agent reads.
fn read(flash: &[u8]) -> Settings {
    let settings = nvs::settings(&flash[NVS]).unwrap();
    assert_eq!(settings.problems, []);
    settings
}

fn project() -> Project {
    Project::made()
        .file("app.bin", material::image("1.2.0"))
        .env("ESP_OTA_WIFI_PASSWORD", PASSPHRASE)
}

#[track_caller]
fn flash(project: &Project, board: &Board, arguments: &[&str]) -> Ran {
    let mut all = vec!["flash", "--app", "app.bin", "--port", &board.port, "-q"];
    all.extend(arguments);
    project.run(all)
}

fn board_holds(project: &Project) -> Vec<u8> {
    fs::read(project.path("board.bin")).unwrap()
}

#[test]
fn settings_are_there_afterwards_beside_all_that_was() {
    let project = project();
    let board = Board::start(&project, &with_nvs(&of_others()), &[]);
    let given = ["--wifi-ssid", "Workshop", "--set", "channel=beta", "--set", "poll_s=600"];
    flash(&project, &board, &[&given[..], &["--format", "json"]].concat())
        .exits(0)
        .json(|report: Flashed| {
            let device = &report.devices[0];
            assert_eq!(device.settings, ["wifi_ssid", "wifi_psk", "channel", "poll_s"]);
            let nvs = device.parts.iter().find(|part| part.what == "nvs").unwrap();
            assert!(nvs.written && nvs.size <= 0x2000, "{nvs:?}");
        })
        .stderr("");
    board.stopped();
    let after = board_holds(&project);
    others_are_there(&after[NVS]);
    let settings = read(&after);
    let wifi = settings.wifi.as_ref().unwrap();
    assert_eq!((wifi.ssid(), wifi.psk().unwrap().reveal()), ("Workshop", PASSPHRASE));
    assert_eq!((settings.channel.as_deref(), settings.poll_seconds), (Some("beta"), 600));
    // A second time there is nothing to write, and without settings nobody reads or writes any.
    let board = Board::start(&project, &after, &[]);
    for more in [&given[..], &[]] {
        flash(&project, &board, &[more, &["--format", "json"]].concat())
            .exits(0)
            .json(|report: Flashed| {
                assert!(report.devices[0].parts.iter().all(|part| !part.written));
            })
            .stderr("");
    }
    board.stopped();
    assert!(board_holds(&project) == after);
}

#[test]
fn the_passphrase_is_shown_nowhere_and_kept_nowhere() {
    let project = project();
    let board = Board::start(&project, &with_nvs(&vec![0xff; NVS.len()]), &[]);
    flash(&project, &board, &["--wifi-ssid", "Workshop", "-v"][..2])
        .exits(0)
        .stdout_is(|text| {
            text.contains("  settings       wifi_ssid, wifi_psk\n") && !text.contains(PASSPHRASE)
        })
        .stderr("");
    board.stopped();
    for (path, bytes) in project.everything() {
        let is_flash = path.ends_with("board.bin");
        let bytes = bytes.unwrap_or_default();
        let is_there = bytes.windows(PASSPHRASE.len()).any(|part| part == PASSPHRASE.as_bytes());
        assert!(is_flash || !is_there, "{path}");
    }
    assert_eq!(read(&board_holds(&project)).wifi.unwrap().ssid(), "Workshop");
}

#[test]
fn an_open_network_is_said_so_and_a_passphrase_is_never_guessed() {
    let project = Project::made().file("app.bin", material::image("1.2.0"));
    let board = Board::start(&project, &with_nvs(&of_others()), &[]);
    flash(&project, &board, &["--wifi-ssid", "Workshop"]).exits(2).stdout("").stderr_is(|text| {
        text.starts_with("error: there is no passphrase for the network `Workshop`\n")
            && text.contains("`--wifi-open` is for a network without one")
    });
    flash(&project, &board, &["--wifi-ssid", "Workshop", "--wifi-open"])
        .exits(0)
        .stdout_is(|text| text.contains("  settings       wifi_ssid\n"))
        .stderr("");
    board.stopped();
    let after = board_holds(&project);
    assert!(read(&after).wifi.unwrap().psk().is_none());
    others_are_there(&after[NVS]);
}

#[test]
fn what_is_no_nvs_or_encrypted_is_left_as_it_is() {
    let project = project();
    let mut noise = of_others();
    noise.iter_mut().enumerate().for_each(|(at, byte)| {
        *byte = u8::try_from((at * at + at / 3) % 256).unwrap();
    });
    let before = with_nvs(&noise);
    let board = Board::start(&project, &before, &[]);
    flash(&project, &board, &["--wifi-ssid", "Workshop"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `nvs` is ") && text.contains("`--erase nvs`"));
    board.stopped();
    assert!(board_holds(&project) == before);
    let board = Board::start(&project, &before, &[]);
    flash(&project, &board, &["--wifi-ssid", "Workshop", "--erase", "nvs", "--yes"])
        .exits(0)
        .stdout_is(|text| text.contains("next boot: ota_0"))
        .stderr("");
    board.stopped();
    assert_eq!(read(&board_holds(&project)).wifi.unwrap().ssid(), "Workshop");
}

/// The cable is pulled while settings are written. The next run has everything again: what others
/// kept, and the settings.
#[test]
fn a_cable_pulled_while_settings_are_written_loses_nothing_that_the_next_run_does_not_bring_back() {
    let project = project();
    let before = with_nvs(&of_others());
    let given = ["--wifi-ssid", "Workshop"];
    let board = Board::start(&project, &before, &["--once"]);
    flash(&project, &board, &given).exits(0).stdout_is(|_| true).stderr("");
    let whole: u64 = board.ended().split_whitespace().next().unwrap().parse().unwrap();
    let mut broken_off = 0;
    // Settings and otadata are at the end: the last pages, and what is asked after them.
    for step in 0..24 {
        let limit = (whole - 300 * (step + 1)).to_string();
        let board = Board::start(&project, &before, &["--unplug-after", &limit]);
        let ran = flash(&project, &board, &given).exits(4).stdout("");
        let is_torn = std::cell::Cell::new(false);
        drop(ran.stderr_is(|text| {
            is_torn.set(text.contains("the settings were being written when it failed"));
            true
        }));
        board.ended();
        let left = board_holds(&project);
        if is_torn.get() {
            broken_off += 1;
        }
        let board = Board::start(&project, &left, &[]);
        flash(&project, &board, &given)
            .exits(0)
            .stdout_is(|text| text.contains("next boot: ota_0 (proven)"))
            .stderr("");
        board.stopped();
        let after = board_holds(&project);
        others_are_there(&after[NVS]);
        assert_eq!(read(&after).wifi.unwrap().ssid(), "Workshop");
        let kept = fs::read_dir(project.path("target/esp-ota")).into_iter().flatten();
        assert_eq!(kept.count(), 0, "nothing is kept once all is written");
    }
    assert!(broken_off >= 3, "{broken_off} times while settings were written");
}
