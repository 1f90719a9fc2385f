//! `slots` on dumps. The answers are those of ESP-IDF's bootloader (`bootloader_utility.c`).

use crate::harness::Project;
use crate::material::{self, OTADATA, SLOTS};
use crate::shape::{Failed, Slots};

/// Bytes from one entry to the next.
const SECTOR: usize = 0x1000;
/// `ESP_OTA_IMG_VALID` and its neighbours.
const PENDING_VERIFY: u32 = 1;
const VALID: u32 = 2;
const INVALID: u32 = 3;
const ABORTED: u32 = 4;
const UNDEFINED: u32 = u32::MAX;

/// CRC-32 over the sequence as the ROM computes it: register 0 at the start, inverted at the end.
fn crc(sequence: u32) -> u32 {
    let mut register = 0_u32;
    for byte in sequence.to_le_bytes() {
        register ^= u32::from(byte);
        for _ in 0..8 {
            let low = register & 1;
            register >>= 1;
            if low == 1 {
                register ^= 0xedb8_8320;
            }
        }
    }
    !register
}

#[test]
fn the_crc_is_the_rom_s() {
    for (sequence, expected) in [(1, 0x4743_989a), (2, 0x55f6_3774), (255, 0x21fa_f90e)] {
        assert_eq!(crc(sequence), expected, "{sequence}");
    }
}

/// Writes an entry with a blank label.
fn entry(dump: &mut [u8], index: usize, sequence: u32, state: u32, crc: u32) {
    let at = OTADATA + index * SECTOR;
    dump[at..at + SECTOR].fill(0xff);
    dump[at..at + 4].copy_from_slice(&sequence.to_le_bytes());
    dump[at + 24..at + 28].copy_from_slice(&state.to_le_bytes());
    dump[at + 28..at + 32].copy_from_slice(&crc.to_le_bytes());
}

/// A dump with sound images in both slots and these entries; `None` is a blank sector.
fn dump(entries: [Option<(u32, u32)>; 2]) -> Vec<u8> {
    let mut dump = material::dump("2-updated");
    dump[OTADATA..OTADATA + 2 * SECTOR].fill(0xff);
    for (index, found) in entries.into_iter().enumerate() {
        if let Some((sequence, state)) = found {
            entry(&mut dump, index, sequence, state, crc(sequence));
        }
    }
    dump
}

/// Asks about a dump; gives what boots without and with rollback, and whether that is proven.
#[track_caller]
fn next(dump: Vec<u8>, code: i32) -> (String, String, bool) {
    let mut answer = None;
    Project::new()
        .file("flash.bin", dump)
        .run(["slots", "--image", "flash.bin", "--format", "json"])
        .exits(code)
        .json(|report: Slots| {
            assert!(!report.next_boot.because.is_empty());
            let next = report.next_boot;
            answer = Some((next.without_rollback, next.with_rollback, next.proven));
        })
        .stderr("")
        .wrote_nothing();
    answer.unwrap()
}

fn both(target: &str, proven: bool) -> (String, String, bool) {
    (target.into(), target.into(), proven)
}

#[test]
fn a_device_after_an_update_is_told_whole() {
    let size = material::image("1.0.0").len();
    Project::new()
        .file("flash.bin", material::dump("2-updated"))
        .run(["slots", "--image", "flash.bin"])
        .exits(0)
        .stdout(&format!(
            "partition table at 0x8000, 5 rows\n\
             otadata entry 0: seq 1, VALID, label `ok`, CRC good, selects ota_0\n\
             otadata entry 1: seq 2, VALID, label `ok`, CRC good, selects ota_1\n\
             ota_0    0x010000..0x150000  thermostat 1.0.0, {size} bytes, intact\n\
             ota_1    0x150000..0x290000  thermostat 1.1.0, {size} bytes, intact\n\
             next boot: ota_1 (proven), with or without bootloader rollback\n  because:\n    \
             entry 1 has the highest sound sequence 2 (VALID): (2 - 1) mod 2 = ota_1\n    \
             ota_1 holds a bootable image: starts it\n\
             settled: nothing is on trial\n\
             the next update goes to ota_0 and writes seq 3 into entry 0\n"
        ))
        .stderr("")
        .wrote_nothing();
}

#[test]
fn every_dump_of_the_demo_has_the_shape_that_is_promised() {
    for (name, target, version) in [
        ("1-installed", "ota_0", "1.0.0"),
        ("2-updated", "ota_1", "1.1.0"),
        ("3-fell-back", "ota_1", "1.1.0"),
        ("4-healthy", "ota_0", "1.3.0"),
    ] {
        Project::new()
            .file("flash.bin", material::dump(name))
            .run(["slots", "--image", "flash.bin", "--format", "json"])
            .exits(0)
            .json(|report: Slots| {
                assert_eq!((report.table.offset, report.table.rows), (0x8000, 5));
                assert_eq!(report.entries.len(), 2);
                assert!(report.entries.iter().all(|entry| entry.raw.len() == 64));
                let next = &report.next_boot;
                assert_eq!((next.without_rollback.as_str(), next.proven), (target, true), "{name}");
                let slot = report.slots.iter().find(|slot| slot.name == target).unwrap();
                assert_eq!(slot.proof, "intact");
                let image = slot.image.as_ref().unwrap();
                assert_eq!(
                    (image.project.as_str(), image.version.as_str()),
                    ("thermostat", version)
                );
            })
            .stderr("");
    }
}

#[test]
fn the_bytes_of_both_entries_are_shown() {
    let project = Project::new().file("flash.bin", material::dump("1-installed"));
    project
        .run(["slots", "--image", "flash.bin", "--format", "json"])
        .exits(0)
        .json(|report: Slots| {
            let [first, second] = report.entries.try_into().unwrap();
            // Sequence, label, state and CRC; little-endian, as in the data sheet's vectors.
            let expected = format!("010000006f6b{}020000009a984347", "ff".repeat(18));
            assert_eq!(first.raw, expected);
            assert_eq!(
                (first.seq, first.state.as_str(), first.crc.as_str()),
                (Some(1), "VALID", "good")
            );
            assert_eq!((first.label.as_str(), first.selects.as_deref()), ("ok", Some("ota_0")));
            assert_eq!(second.raw, "ff".repeat(32));
            assert_eq!((second.seq, second.crc.as_str(), second.selects), (None, "blank", None));
        })
        .stderr("");
    // 32 bytes are 64 digits, which the redactor takes for a digest.
    project
        .run(["slots", "--image", "flash.bin", "-v"])
        .exits(0)
        .stdout_is(|text| text.starts_with("partition table at 0x8000"))
        .stderr_is(|text| {
            text.starts_with(
                "otadata entry 0: [SHA-256]\notadata entry 1: [SHA-256]\nota_0: built ",
            ) && text.ends_with(
                ", secure version 0, SHA-256 [SHA-256] of the image and [SHA-256] of its ELF file\n",
            )
        });
}

#[test]
fn the_highest_sound_sequence_boots() {
    assert_eq!(next(dump([Some((1, VALID)), Some((2, VALID))]), 0), both("ota_1", true));
    assert_eq!(next(dump([Some((3, VALID)), Some((2, VALID))]), 0), both("ota_0", true));
    assert_eq!(next(dump([Some((7, VALID)), None]), 0), both("ota_0", true));
    assert_eq!(next(dump([None, Some((8, UNDEFINED))]), 0), both("ota_1", true));
}

#[test]
fn without_any_entry_the_first_slot_boots() {
    assert_eq!(next(dump([None, None]), 0), both("ota_0", true));
    let given_up = [Some((1, ABORTED)), Some((2, ABORTED))];
    assert_eq!(next(dump(given_up), 0), both("ota_0", true));
    assert_eq!(next(dump([Some((1, INVALID)), Some((2, ABORTED))]), 0), both("ota_0", true));
}

#[test]
fn an_aborted_entry_loses_to_a_lower_one() {
    assert_eq!(next(dump([Some((3, ABORTED)), Some((2, VALID))]), 0), both("ota_1", true));
}

#[test]
fn only_a_bootloader_with_rollback_gives_up_a_pending_image() {
    let pending = dump([Some((1, VALID)), Some((2, PENDING_VERIFY))]);
    assert_eq!(next(pending, 0), ("ota_1".into(), "ota_0".into(), true));
}

#[test]
fn a_torn_entry_does_not_count() {
    let mut torn = dump([Some((1, VALID)), None]);
    entry(&mut torn, 1, 2, VALID, crc(2) ^ 1);
    assert_eq!(next(torn, 0), both("ota_0", true));
    // Torn, but not known to be bad: the bootloader takes it for "not empty", finds no sound one,
    // and without a factory app tries all partitions from the first.
    let mut torn = dump([None, None]);
    entry(&mut torn, 1, 2, VALID, crc(2) ^ 1);
    assert_eq!(next(torn, 0), both("ota_0", true));
}

#[test]
fn a_sequence_of_zero_selects_what_the_bootloader_s_arithmetic_gives() {
    // (0 - 1) wraps to 0xffffffff, which is odd.
    assert_eq!(next(dump([Some((0, VALID)), None]), 0), both("ota_1", true));
    assert_eq!(next(dump([Some((0, VALID)), Some((1, VALID))]), 0), both("ota_0", true));
}

#[test]
fn a_broken_image_is_passed_over_and_said() {
    let mut broken = material::dump("2-updated");
    broken[SLOTS[1] + 0x1000] ^= 1;
    Project::new()
        .file("flash.bin", broken)
        .run(["slots", "--image", "flash.bin", "--format", "json"])
        .exits(0)
        .json(|report: Slots| {
            assert_eq!(report.next_boot.without_rollback, "ota_0");
            assert!(report.next_boot.proven);
            assert_eq!(report.slots[1].proof, "broken");
            assert!(report.slots[1].reason.is_some() && report.slots[1].image.is_none());
        })
        .stderr("");
}

#[test]
fn a_device_that_boots_nothing_is_rejected() {
    let mut dead = material::dump("2-updated");
    for slot in SLOTS {
        dead[slot] = 0;
    }
    assert_eq!(next(dead, 1), both("none", false));
}

#[test]
fn a_dump_that_is_none_is_refused_with_a_remedy() {
    let project = Project::new();
    let refuse = |bytes: &[u8], code, stderr: &str| {
        std::fs::write(project.path("flash.bin"), bytes).unwrap();
        project
            .run(["slots", "--image", "flash.bin"])
            .exits(code)
            .stdout("")
            .stderr(stderr)
            .wrote_nothing();
        project
            .run(["slots", "--image", "flash.bin", "--format", "json"])
            .exits(code)
            .json(|failed: Failed| assert_eq!(failed.command, "slots"))
            .stderr(stderr)
            .wrote_nothing();
    };
    let no_table = "error: there is no partition table from 0x8000 to 0x10000\n  \
                    help: dump the whole chip from offset 0; with flash encryption a dump is cipher \
                    text\n";
    let whole = material::dump("2-updated");
    refuse(&[], 1, no_table);
    refuse(&vec![0xff; 0x40_0000], 1, no_table);
    refuse(&whole[..0x8800], 1, no_table);
    let mut erased = whole.clone();
    erased[0x8000..0x9000].fill(0xff);
    refuse(&erased, 1, no_table);
    refuse(
        &whole[..0xe800],
        1,
        "error: `otadata` at 0xf000 is beyond the end of the flash\n  help: dump the whole chip\n",
    );
}

#[test]
fn a_damaged_table_is_not_believed() {
    let mut damaged = material::dump("2-updated");
    damaged[0x8000 + 2 * 32 + 9] ^= 1; // The size of a row, under the MD5 of all rows.
    Project::new()
        .file("flash.bin", damaged)
        .run(["slots", "--image", "flash.bin"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| {
            text.starts_with("error: the partition table at 0x8000 is damaged: ")
                && text.contains("\n  help: ")
        })
        .wrote_nothing();
}

#[test]
fn a_truncated_dump_never_proves_what_it_does_not_hold() {
    // It ends in the middle of the second slot's image.
    let end = SLOTS[1] + 0x4000;
    let cut = material::dump("2-updated")[..end].to_vec();
    assert_eq!(next(cut, 0), both("ota_0", true));
}
