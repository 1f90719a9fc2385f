//! `slots` over a cable: espflash's own code against the virtual board.

use std::fs;

use crate::board::Board;
use crate::harness::{Project, Ran};
use crate::material::{self, OTADATA, SLOTS};
use crate::shape::{Changed, Failed, Slots};

/// Runs a command of `slots` at a board.
#[track_caller]
fn at(project: &Project, board: &Board, arguments: &[&str]) -> Ran {
    let mut all = vec!["slots"];
    all.extend(arguments);
    all.extend(["--port", &board.port, "-q"]);
    project.run(all)
}

/// What a dump says of itself, and what the same flash says over a cable: the same, but for what
/// only a whole read can prove.
#[test]
fn a_board_says_what_its_dump_says() {
    let project = Project::new();
    let dump = material::dump("2-updated");
    let board = Board::start(&project, &dump, &[]);
    at(&project, &board, &["--format", "json"])
        .exits(0)
        .json(|report: Slots| {
            assert_eq!((report.chip.as_deref(), report.port.is_some()), (Some("esp32c3"), true));
            assert_eq!((report.table.offset, report.table.rows), (0x8000, 5));
            let versions: Vec<&str> =
                report.slots.iter().map(|it| it.image.as_ref().unwrap().version.as_str()).collect();
            assert_eq!(versions, ["1.0.0", "1.1.0"]);
            assert!(report.slots.iter().all(|slot| slot.proof == "unproven"));
            let next = &report.next_boot;
            assert_eq!((next.without_rollback.as_str(), next.proven), ("ota_1", false));
            let update = report.next_update.unwrap();
            assert_eq!((update.slot.as_str(), update.entry, update.seq), ("ota_0", 0, Some(3)));
            assert_eq!(report.trial, "settled");
        })
        .stderr("")
        .wrote_nothing();
    at(&project, &board, &["--verify", "--format", "json"])
        .exits(0)
        .json(|report: Slots| {
            assert!(report.slots.iter().all(|slot| slot.proof == "intact"));
            assert!(report.next_boot.proven);
        })
        .stderr("")
        .wrote_nothing();
}

/// The measure that the design sets: 12 KB over the line for a device with two slots.
#[test]
fn a_look_takes_one_connection_and_little_of_the_line() {
    let project = Project::new();
    let board = Board::start(&project, &material::dump("2-updated"), &["--once"]);
    at(&project, &board, &[])
        .exits(0)
        .stdout_is(|text| text.contains("next boot: ota_1"))
        .stderr("");
    let said = board.ended();
    let numbers: Vec<u64> =
        said.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    let [received, sent, requests] = numbers[..] else { panic!("{said}") };
    assert!(received + sent < 12_000, "{said}");
    assert!(requests < 100, "{said}");
}

#[test]
fn an_image_that_is_known_is_proven_without_reading_it() {
    let project = Project::made().file("a.bin", material::image("1.1.0"));
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    let board = Board::start(&project, &material::dump("2-updated"), &[]);
    at(&project, &board, &["--format", "json"])
        .exits(0)
        .json(|report: Slots| {
            let known = |slot: usize| report.slots[slot].image.as_ref().unwrap().known.clone();
            assert_eq!((known(0), known(1).as_deref()), (None, Some("release 1.1.0 of stable")));
            assert_eq!(report.slots[1].proof, "intact");
            assert!(report.next_boot.proven);
        })
        .stderr("");
}

#[test]
fn one_changed_byte_makes_a_known_image_unproven_and_a_whole_read_finds_it_broken() {
    let project = Project::made().file("a.bin", material::image("1.1.0"));
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    let mut dump = material::dump("2-updated");
    dump[SLOTS[1] + 5000] ^= 0x10;
    let board = Board::start(&project, &dump, &[]);
    at(&project, &board, &["--format", "json"])
        .exits(0)
        .json(|report: Slots| assert_eq!(report.slots[1].proof, "unproven"))
        .stderr("");
    at(&project, &board, &["--verify", "--format", "json"])
        .exits(0)
        .json(|report: Slots| {
            assert_eq!(report.slots[1].proof, "broken");
            assert_eq!(report.next_boot.without_rollback, "ota_0");
        })
        .stderr("");
    at(&project, &board, &["switch", "ota_1"]).exits(1).stdout("").stderr(
        "error: `ota_1` would not boot: checksum does not match\n  \
             help: write an image into it first, or choose another slot\n",
    );
}

#[test]
fn what_is_expected_and_what_is_not() {
    let project = Project::new();
    let board = Board::start(&project, &material::dump("2-updated"), &[]);
    let good = "version=1.1.0,slot=ota_1,state=valid,label=ok,trial=settled";
    at(&project, &board, &["--expect", good]).exits(0).stdout_is(|it| !it.is_empty()).stderr("");
    at(&project, &board, &["expect", "version=v1.1.0"])
        .exits(0)
        .stdout_is(|it| !it.is_empty())
        .stderr("");
    at(&project, &board, &["--expect", "version=1.2.0,slot=ota_0,state=valid"])
        .exits(1)
        .stdout_is(|text| text.contains("next boot: ota_1"))
        .stderr(
            "error: version is `1.1.0`, not `1.2.0`; slot is `ota_1`, not `ota_0`\n  \
             help: see above what the device boots next, and why\n",
        );
    at(&project, &board, &["--expect", "colour=red"])
        .exits(2)
        .stdout("")
        .stderr_is(|text| text.contains("`colour` is none of `version`, `slot`"));
}

#[test]
fn a_switch_writes_one_entry_and_the_board_boots_the_slot() {
    let project = Project::new();
    let dump = material::dump("2-updated");
    let board = Board::start(&project, &dump, &["--once"]);
    at(&project, &board, &["switch", "ota_0", "--format", "json"])
        .exits(0)
        .json(|report: Changed| {
            assert_eq!((report.boots.as_str(), report.dry_run), ("ota_0", false));
            let [change] = &report.changes[..] else { panic!("{} changes", report.changes.len()) };
            assert_eq!((change.entry, change.offset, change.seq), (0, 0xe000, Some(3)));
        })
        .stderr("");
    board.ended();
    let after = fs::read(project.path("board.bin")).unwrap();
    let changed: Vec<usize> = (0..dump.len()).filter(|at| dump[*at] != after[*at]).collect();
    assert!(changed.iter().all(|at| (OTADATA..OTADATA + 32).contains(at)), "{changed:?}");
    project
        .run(["slots", "--image", "board.bin", "--expect", "slot=ota_0,version=1.0.0,proof=intact"])
        .exits(0)
        .stdout_is(|text| text.contains("seq 3, VALID, label `ok`, CRC good, selects ota_0"))
        .stderr("");
}

#[test]
fn a_dry_run_shows_the_bytes_and_writes_none() {
    let project = Project::new().file("flash.bin", material::dump("2-updated"));
    project
        .run(["slots", "switch", "ota_0", "--image", "flash.bin", "--dry-run"])
        .exits(0)
        .stdout(
            "otadata entry 0 at 0xe000 would be written: seq 3, VALID, label `ok`\n  \
             now  [SHA-256]\n  \
             then [SHA-256]\n\
             ota_0 would boot next\n",
        )
        .stderr("")
        .wrote_nothing();
    project
        .run(["slots", "switch", "ota_0", "--image", "flash.bin"])
        .exits(0)
        .stdout("otadata entry 0 at 0xe000 written: seq 3, VALID, label `ok`\nota_0 boots next\n")
        .stderr("")
        .changed(&["flash.bin"]);
    project
        .run(["slots", "switch", "ota_0", "--image", "flash.bin"])
        .exits(0)
        .stdout("nothing to write: ota_0 boots next already\n")
        .stderr("")
        .wrote_nothing();
}

/// The cable is pulled after so many bytes: whatever was written by then, the board boots one of
/// the two.
#[test]
fn a_cable_pulled_anywhere_in_a_switch_leaves_a_board_that_boots() {
    let dump = material::dump("2-updated");
    let whole = {
        let project = Project::new();
        let board = Board::start(&project, &dump, &["--once"]);
        at(&project, &board, &["switch", "ota_0"]).exits(0).stdout_is(|_| true).stderr("");
        let said = board.ended();
        said.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let project = Project::new();
    // The writes are at the end; a step is about the length of a request.
    for back in [1, 20, 60, 120, 400, 1060, 1100, 1150, 1200, 1300, 3000] {
        let limit = (whole - back).to_string();
        let board = Board::start(&project, &dump, &["--unplug-after", &limit]);
        let ran = at(&project, &board, &["switch", "ota_0"]);
        drop(ran.stdout_is(|_| true).stderr_is(|_| true));
        board.ended();
        project
            .run(["slots", "--image", "board.bin", "--format", "json"])
            .exits(0)
            .json(|report: Slots| {
                let next = &report.next_boot;
                assert!(["ota_0", "ota_1"].contains(&next.without_rollback.as_str()), "{back}");
                assert_eq!(next.without_rollback, next.with_rollback, "{back}");
                assert!(next.proven, "{back}");
            })
            .stderr("");
    }
}

/// Exit code and words at a board with this flash and these flags.
#[track_caller]
fn refused(flash: &[u8], board: &[&str], arguments: &[&str], code: i32, stderr: &str) {
    let project = Project::new();
    let board = Board::start(&project, flash, board);
    at(&project, &board, arguments).exits(code).stdout("").stderr(stderr);
    let mut json = arguments.to_vec();
    json.extend(["--format", "json"]);
    at(&project, &board, &json)
        .exits(code)
        .json(|failed: Failed| assert_eq!(failed.command, "slots"))
        .stderr(stderr);
}

#[test]
fn a_board_that_cannot_be_read_is_said_in_one_sentence() {
    let dump = material::dump("2-updated");
    refused(
        &dump,
        &["--flash-encryption"],
        &[],
        4,
        "error: the flash is encrypted: what a cable reads of it is cipher text\n  \
         help: the device's own reports, and its serial output, say what it runs\n",
    );
    refused(
        &dump,
        &["--secure-download"],
        &[],
        4,
        "error: the chip is in secure download mode, in which its flash cannot be read\n  \
         help: nothing reads it any more; the device's own reports say what it runs\n",
    );
    refused(
        &vec![0xff; 4 << 20],
        &["--chip", "esp32c3"],
        &[],
        1,
        "error: there is no partition table from 0x8000 to 0x10000\n  \
         help: dump the whole chip from offset 0; with flash encryption a dump is cipher text\n",
    );
}

#[test]
fn another_chip_than_expected_is_refused() {
    let project = Project::new();
    let board = Board::start(&project, &material::dump("2-updated"), &["--chip", "esp32s3"]);
    at(&project, &board, &["--chip", "esp32c3"]).exits(4).stdout("").stderr_is(|text| {
        text.contains(" has an esp32s3, not an esp32c3\n")
            && text.contains("pass the right `--chip`")
    });
}

#[test]
fn a_port_that_is_none_is_named() {
    let project = Project::new();
    project.run(["slots", "--port", "/dev/ttyNONE", "-q"]).exits(4).stdout("").stderr(
        "error: `/dev/ttyNONE` does not exist\n  \
             help: name the port as the system does, such as `/dev/ttyUSB0` or `COM3`\n",
    );
}

#[test]
fn a_table_far_back_and_sixteen_slots_are_found() {
    for (offset, slots) in [(0x1_0000_usize, 2_u8), (0x8000, 16)] {
        let project = Project::new();
        let flash = material::flash_with(offset, slots);
        let board = Board::start(&project, &flash, &["--chip", "esp32c3"]);
        // Nothing is in the slots, so nothing boots.
        at(&project, &board, &["--format", "json"])
            .exits(1)
            .json(|report: Slots| {
                assert_eq!(usize::try_from(report.table.offset).unwrap(), offset);
                assert_eq!(report.slots.len(), usize::from(slots));
            })
            .stderr("");
    }
}

/// espflash's reader of the ROM is right for 128 bytes only; ours is not it.
#[test]
fn every_chip_is_read_with_its_stub_and_without() {
    let dump = material::dump("2-updated");
    for chip in ["esp32", "esp32s2", "esp32s3", "esp32c2", "esp32c6", "esp32h2", "esp32p4"] {
        for flags in [&["--verify"][..], &["--stub", "--verify"], &[]] {
            let project = Project::new();
            let board = Board::start(&project, &dump, &["--chip", chip]);
            at(&project, &board, flags)
                .exits(0)
                .stdout_is(|text| text.contains(chip) && text.contains("1.1.0, 98736 bytes, "))
                .stderr("");
        }
    }
    // A board that takes no stub is read by its ROM.
    let project = Project::new();
    let board = Board::start(&project, &dump, &["--no-stub"]);
    at(&project, &board, &["--stub", "--verify"])
        .exits(0)
        .stdout_is(|text| text.contains("next boot: ota_1 (proven)"))
        .stderr("");
}

/// espflash's reader of the ROM is right for the first 128 bytes only (4.7.0), and its reader of
/// the stub writes to a file: both are passed by.
#[test]
fn any_length_at_any_offset_is_read_right_by_the_rom_and_by_the_stub() {
    use cargo_esp_ota::device::flash::FlashReader;
    use cargo_esp_ota::device::serial::{Cable, Chosen, Connect};

    let flash: Vec<u8> =
        (0..4_u32 << 20).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for stub in [false, true] {
        let project = Project::new();
        let board = Board::start(&project, &flash, &["--chip", "esp32c3"]);
        let how = Connect { baud: 115_200, stub, ..Connect::default() };
        let mut cable = Cable::connect(&Chosen::named(&board.port).unwrap(), &how).unwrap();
        for length in [0_u32, 1, 63, 64, 65, 129, 3072, 4096, 10_001] {
            for offset in [0_u32, 1, 0x8001, 0x1_fffd, 0x3f_d8ee] {
                let start = usize::try_from(offset).unwrap();
                let expected = &flash[start..start + usize::try_from(length).unwrap()];
                assert_eq!(
                    cable.read(offset, length).unwrap(),
                    expected,
                    "{length} at {offset:#x}"
                );
            }
        }
        let error = cable.read(0x3f_ffff, 2).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 bytes at 0x3fffff are beyond the end, which is at 0x400000"
        );
    }
}

#[test]
fn a_board_that_vanishes_is_said_so() {
    let dump = material::dump("2-updated");
    for limit in ["60", "400", "700", "1100"] {
        let project = Project::new();
        let board = Board::start(&project, &dump, &["--unplug-after", limit]);
        at(&project, &board, &[]).exits(4).stdout("").stderr_is(|text| {
            text.starts_with("error: ")
                && (text.contains(" is gone: ") || text.contains("nothing at `"))
        });
        board.ended();
    }
}

/// A line on which something talks that is no loader.
#[test]
fn garbage_on_the_line_is_no_board() {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let master =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY)
            .unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let kept = rustix::fs::open(name.as_str(), flags, rustix::fs::Mode::empty()).unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&is_over);
    let noise = std::thread::spawn(move || {
        rustix::fs::fcntl_setfl(&master, rustix::fs::OFlags::NONBLOCK).unwrap();
        let mut line = std::fs::File::from(master);
        let mut seed = 7_u32;
        while !stop.load(Ordering::Relaxed) {
            let bytes: Vec<u8> = (0..64)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    seed.to_be_bytes()[0]
                })
                .collect();
            // Where nobody reads, the line is full.
            let _ = line.write(&bytes);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    Project::new().run(["slots", "--port", &name, "-q"]).exits(4).stdout("").stderr_is(|text| {
        text.starts_with(&format!(
            "error: nothing at `{name}` answers as a chip in its serial loader"
        ))
    });
    is_over.store(true, Ordering::Relaxed);
    noise.join().unwrap();
    drop(kept);
}

/// The bytes that espflash would flash are known, and that they cannot roll back; one bit more, and
/// nothing is.
#[test]
fn the_bootloader_of_espflash_is_known() {
    use cargo_esp_ota::chip::Chip;

    let bootloader =
        cargo_esp_ota::image::bootloader(Chip::Esp32c3, "4MB".parse().unwrap()).unwrap();
    let mut dump = material::dump("2-updated");
    dump[..bootloader.len()].copy_from_slice(&bootloader);
    for is_changed in [false, true] {
        if is_changed {
            dump[1000] ^= 1;
        }
        let project = Project::new();
        let board = Board::start(&project, &dump, &[]);
        at(&project, &board, &["--format", "json"])
            .exits(0)
            .json(|report: Slots| {
                let found = report.bootloader.unwrap();
                assert_eq!(found.known.is_some(), !is_changed);
                assert_eq!(found.rollback, if is_changed { "unknown" } else { "no" });
                assert!(found.esp_idf.is_some() && found.reason.is_none());
            })
            .stderr("");
    }
}

/// The file changes while it is waited for, as a dump that another program takes.
#[test]
fn it_is_waited_for_what_is_expected() {
    let project = Project::new().file("flash.bin", material::dump("2-updated"));
    let expect = ["slots", "--image", "flash.bin", "--expect", "version=1.3.0", "-q"];
    project
        .run(expect.into_iter().chain(["--wait", "1s"]))
        .exits(1)
        .stdout_is(|text| text.contains("next boot: ota_1"))
        .stderr_is(|text| text.starts_with("error: version is `1.1.0`, not `1.3.0`\n"));
    let (path, healthy) = (project.path("flash.bin"), material::dump("4-healthy"));
    let later = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(700));
        fs::write(path, healthy).unwrap();
    });
    let ran = project.run(expect.into_iter().chain(["--wait", "60s"]));
    later.join().unwrap();
    ran.exits(0).stdout_is(|text| text.contains("thermostat 1.3.0")).stderr("");
    project
        .run(["slots", "--wait", "1s", "--image", "flash.bin"])
        .exits(2)
        .stdout("")
        .stderr_is(|text| text.contains("--expect"));
}
