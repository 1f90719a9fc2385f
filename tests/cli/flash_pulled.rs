//! The cable is pulled somewhere in a `flash`: whatever was sent by then, the board boots what it
//! booted before or the new image.

use std::fs;

use cargo_esp_ota::chip::Chip;
use cargo_esp_ota::device::{Proof, report};
use cargo_esp_ota::flash_size::FlashSize;
use cargo_esp_ota::image;
use cargo_esp_ota::virtual_device::bootloader::Target;

use crate::board::Board;
use crate::harness::Project;
use crate::material;

/// What is sent in the whole of one run.
fn bytes_of(project: &Project, before: &[u8], way: &str) -> u64 {
    let board = Board::start(project, before, &["--once"]);
    project
        .run(["flash", "--app", "app.bin", "--port", &board.port, "-q", way])
        .exits(0)
        .stdout_is(|_| true)
        .stderr("");
    board.ended().split_whitespace().next().unwrap().parse().unwrap()
}

/// Pulls the cable at so many places and looks what boots then: the version of an intact image.
fn pulled(before: &[u8], way: &str, times: u64, judge: impl Fn(u64, Option<String>)) {
    let project = Project::made().file("app.bin", material::image("1.2.0"));
    let whole = bytes_of(&project, before, way);
    // A walk through the whole of it in steps that do not repeat: the golden section.
    let mut place = 0.5;
    for _ in 0..times {
        place = (place + 0.618_033_988_749_895_f64).fract();
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a share of some hundred thousand bytes"
        )]
        let limit = 1 + (place * whole as f64) as u64;
        let board = Board::start(&project, before, &["--unplug-after", &limit.to_string()]);
        let ran = project.run(["flash", "--app", "app.bin", "--port", &board.port, "-q", way]);
        drop(ran.stdout_is(|_| true).stderr_is(|_| true));
        board.ended();
        judge(limit, boots(&fs::read(project.path("board.bin")).unwrap()));
    }
}

/// The version of what boots, with either bootloader, if every byte of it is right.
fn boots(flash: &[u8]) -> Option<String> {
    let report = report(flash).ok()?;
    let next = &report.next_boot;
    assert_eq!(next.without_rollback, next.with_rollback);
    if next.without_rollback == Target::None {
        return None;
    }
    let slot = report.slots.iter().find(|slot| slot.name == next.without_rollback).unwrap();
    assert_eq!(slot.proof, Proof::Intact);
    Some(slot.image.as_ref().unwrap().version.clone())
}

/// 1.1.0 runs from ota_1, and 1.0.0 is in ota_0.
fn running() -> Vec<u8> {
    let mut dump = material::dump("2-updated");
    let bootloader = image::bootloader(Chip::Esp32c3, FlashSize::DEFAULT).unwrap();
    dump[..bootloader.len()].copy_from_slice(&bootloader);
    dump
}

#[track_caller]
fn old_or_new(way: &str, times: u64) {
    pulled(&running(), way, times, |limit, version| {
        let version = version.unwrap_or_default();
        assert!(["1.1.0", "1.2.0"].contains(&version.as_str()), "{limit} bytes {way}: {version:?}");
    });
}

#[test]
fn a_cable_pulled_while_the_rom_writes_leaves_the_old_image_or_the_new() {
    old_or_new("--no-stub", 100);
}

#[test]
fn a_cable_pulled_while_the_stub_writes_leaves_the_old_image_or_the_new() {
    old_or_new("--stub", 100);
}

/// A blank board has nothing to lose, and the next run makes it whole.
#[test]
fn a_first_install_that_was_broken_off_is_taken_up_again() {
    let blank = vec![0xff; 4 << 20];
    let project = Project::made().file("app.bin", material::image("1.2.0"));
    pulled(&blank, "--no-stub", 12, |limit, version| {
        assert!(version.is_none() || version.as_deref() == Some("1.2.0"), "{limit}: {version:?}");
    });
    for limit in ["3000", "60000", "110000", "127000"] {
        let board = Board::start(&project, &blank, &["--unplug-after", limit]);
        let ran = project.run(["flash", "--app", "app.bin", "--port", &board.port, "-q"]);
        drop(ran.exits(4).stdout("").stderr_is(|text| text.contains("is gone")));
        board.ended();
        let left = fs::read(project.path("board.bin")).unwrap();
        let board = Board::start(&project, &left, &["--once"]);
        project
            .run(["flash", "--app", "app.bin", "--port", &board.port, "-q"])
            .exits(0)
            .stdout_is(|text| text.contains("next boot: ota_0 (proven)"))
            .stderr("");
        board.ended();
        assert_eq!(boots(&fs::read(project.path("board.bin")).unwrap()).as_deref(), Some("1.2.0"));
    }
}

/// Where bootloader and table are replaced there are moments without either. The next run heals them.
#[test]
fn a_cable_pulled_while_table_and_bootloader_are_replaced_is_healed_by_the_next_run() {
    let mut before = running();
    // Another table, with the same slots, and no bootloader that works.
    let mut table = before[0x8000..0x8c00].to_vec();
    let last = table.chunks(32).position(|row| row.starts_with(&[0xeb, 0xeb])).unwrap();
    table[(last - 1) * 32..].fill(0xff);
    before[0x8000..0x8c00].copy_from_slice(&table);
    before[0..64].fill(0);
    let project = Project::made().file("app.bin", material::image("1.2.0"));
    for way in ["--no-stub", "--stub"] {
        let whole = bytes_of(&project, &before, way);
        for step in 0..14_u64 {
            // The app is most of it, and it comes first.
            let limit = (whole - step * (whole / 60)).saturating_sub(9).to_string();
            let board = Board::start(&project, &before, &["--unplug-after", &limit]);
            let arguments = ["flash", "--app", "app.bin", "-q", way, "--port", &board.port];
            drop(project.run(arguments).stdout_is(|_| true).stderr_is(|_| true));
            board.ended();
            let left = fs::read(project.path("board.bin")).unwrap();
            let old = ["1.1.0", "1.2.0"];
            assert!(boots(&left).is_none_or(|version| old.contains(&version.as_str())), "{limit}");
            let board = Board::start(&project, &left, &["--once"]);
            project
                .run(["flash", "--app", "app.bin", "-q", way, "--port", &board.port])
                .exits(0)
                .stdout_is(|text| text.contains("next boot: ota_0 (proven)"))
                .stderr("");
            board.ended();
            let healed = fs::read(project.path("board.bin")).unwrap();
            assert_eq!(boots(&healed).as_deref(), Some("1.2.0"), "{limit}");
        }
    }
}
