//! `flash` over a cable: espflash's own code against the virtual board.

use std::fs;

use cargo_esp_ota::chip::Chip;
use cargo_esp_ota::flash_size::FlashSize;
use cargo_esp_ota::{image, partition};

use crate::board::Board;
use crate::harness::{Project, Ran};
use crate::material::{self, OTADATA, SLOTS};
use crate::shape::{Flashed, FlashedDevice, FlashedEntry, Slots};

static BLANK: [u8; 4 << 20] = [0xff; 4 << 20];

/// A project with an image of this version in `app.bin`.
fn project(version: &str) -> Project {
    Project::made().file("app.bin", material::image(version))
}

/// Flashes `app.bin` at a board.
#[track_caller]
fn flash(project: &Project, board: &Board, arguments: &[&str]) -> Ran {
    let mut all = vec!["flash", "--app", "app.bin", "--port", &board.port, "-q"];
    all.extend(arguments);
    project.run(all)
}

/// Flashes one board, which has to succeed.
#[track_caller]
fn flashed(
    project: &Project,
    board: &Board,
    arguments: &[&str],
    judge: impl FnOnce(FlashedDevice),
) {
    let mut all = vec!["--format", "json"];
    all.extend(arguments);
    flash(project, board, &all)
        .exits(0)
        .json(|mut report: Flashed| {
            assert_eq!((report.command.as_str(), report.devices.len()), ("flash", 1));
            judge(report.devices.remove(0));
        })
        .stderr("");
}

fn written(device: &FlashedDevice) -> Vec<&str> {
    device.parts.iter().filter(|part| part.written).map(|part| part.what.as_str()).collect()
}

/// The flash of a board that was stopped, judged by its every byte.
#[track_caller]
fn holds(project: &Project, expected: &str) {
    project
        .run(["slots", "--image", "board.bin", "--expect", expected])
        .exits(0)
        .stdout_is(|text| text.contains("next boot"))
        .stderr("");
}

/// A dump of the demo's device, with the bootloader that a device has.
pub(crate) fn running(name: &str) -> Vec<u8> {
    let mut dump = material::dump(name);
    let bootloader = image::bootloader(Chip::Esp32c3, FlashSize::DEFAULT).unwrap();
    dump[..bootloader.len()].copy_from_slice(&bootloader);
    dump
}

#[test]
fn a_blank_board_gets_everything_and_boots_the_first_slot() {
    let project = project("1.2.0");
    let board = Board::start(&project, &BLANK, &["--once"]);
    flashed(&project, &board, &[], |device| {
        assert_eq!(device.port.as_deref(), Some(board.port.as_str()));
        assert_eq!(device.chip.as_deref(), Some("esp32c3"));
        assert_eq!(device.mac.as_deref(), Some("24:0a:c4:00:00:01"));
        assert_eq!(device.slot.as_deref(), Some("ota_0"));
        // Whatever could boot before the choice is there before the choice is.
        assert_eq!(written(&device), ["app", "bootloader", "table"]);
        assert_eq!(device.otadata, [FlashedEntry { entry: 0, seq: Some(1) }]);
        let slots = device.slots.unwrap();
        assert_eq!(slots.next_boot.without_rollback, "ota_0");
        assert_eq!((slots.next_boot.proven, slots.trial.as_str()), (true, "settled"));
    });
    board.ended();
    let after = fs::read(project.path("board.bin")).unwrap();
    let app = material::image("1.2.0");
    assert!(after[SLOTS[0]..].starts_with(&app));
    let csv = fs::read(project.path("partitions.csv")).unwrap();
    let reading = partition::read(&csv, None, &partition::Options::default());
    assert!(after[0x8000..].starts_with(&partition::encode(&reading.table()).unwrap()));
    let bootloader = image::bootloader(Chip::Esp32c3, FlashSize::DEFAULT).unwrap();
    assert!(after.starts_with(&bootloader));
    // And nothing else: not even the other entry, or the settings.
    let places = [0, 0x8000, OTADATA, SLOTS[0]];
    let sizes = [bootloader.len(), 0xc00, 32, app.len()];
    let is_ours =
        |at| places.iter().zip(sizes).any(|(place, size)| (*place..place + size).contains(&at));
    assert!((0..after.len()).all(|at| after[at] == 0xff || is_ours(at)));
    holds(&project, "slot=ota_0,version=1.2.0,state=valid,label=ok,proof=intact,trial=settled");
}

/// The trap that espflash leaves open: the app is in ota_0, and otadata still selects ota_1.
#[test]
fn where_the_second_slot_was_active_the_new_image_boots() {
    let project = project("1.2.0");
    let board = Board::start(&project, &running("2-updated"), &["--once"]);
    flashed(&project, &board, &[], |device| {
        assert_eq!(device.slot.as_deref(), Some("ota_0"));
        assert_eq!(written(&device), ["app"]);
        assert_eq!(device.otadata, [FlashedEntry { entry: 0, seq: Some(3) }]);
    });
    board.ended();
    holds(&project, "slot=ota_0,version=1.2.0,state=valid,label=ok,proof=intact,trial=settled");
    // What ran before is still there to fall back to.
    project
        .run(["slots", "switch", "ota_1", "--image", "board.bin"])
        .exits(0)
        .stdout_is(|text| text.ends_with("ota_1 boots next\n"))
        .stderr("");
    holds(&project, "slot=ota_1,version=1.1.0,proof=intact");
}

#[test]
fn a_second_time_nothing_is_written() {
    let project = project("1.2.0");
    let board = Board::start(&project, &running("2-updated"), &[]);
    flashed(&project, &board, &[], |device| assert_eq!(written(&device).len(), 1));
    flashed(&project, &board, &[], |device| {
        assert_eq!((device.slot.as_deref(), written(&device).len()), (Some("ota_0"), 0));
        assert_eq!(device.otadata, []);
        assert_eq!(device.slots.unwrap().next_boot.without_rollback, "ota_0");
    });
    // The old image is in the other slot: it is chosen, and its bytes stay as they are.
    fs::write(project.path("app.bin"), material::image("1.1.0")).unwrap();
    flashed(&project, &board, &[], |device| {
        assert_eq!((device.slot.as_deref(), written(&device).len()), (Some("ota_1"), 0));
        assert_eq!(device.otadata, [FlashedEntry { entry: 1, seq: Some(4) }]);
    });
}

#[test]
fn people_read_what_was_written_and_what_boots() {
    let project = project("1.2.0");
    let board = Board::start(&project, &running("2-updated"), &[]);
    flash(&project, &board, &[])
        .exits(0)
        .stdout_is(|text| {
            let port = &board.port;
            text.starts_with(&format!("{port}: esp32c3, 24:0a:c4:00:00:01\n  app in ota_0   0x010000     98736 bytes  written and compared"))
                && text.contains("  bootloader     0x000000     20560 bytes  is there already\n")
                && text.contains("  otadata        entry 0: seq 3, VALID, label `ok`\n")
                && text.contains("next boot: ota_0 (proven), with or without bootloader rollback\n")
        })
        .stderr("");
}

#[test]
fn a_dry_run_tells_the_plan_and_writes_nothing() {
    let project = project("1.2.0");
    let before = running("2-updated");
    let board = Board::start(&project, &before, &["--once"]);
    flashed(&project, &board, &["--dry-run", "--erase", "all"], |device| {
        assert!(device.dry_run);
        // As it will be once all is erased.
        assert_eq!(
            (device.slot.as_deref(), device.erased.as_deref()),
            (Some("ota_0"), Some("all"))
        );
        assert_eq!(written(&device), ["app", "bootloader", "table"]);
        assert!(device.slots.is_none() && device.otadata.is_empty());
    });
    board.ended();
    assert_eq!(fs::read(project.path("board.bin")).unwrap(), before);
}

#[test]
fn the_slot_is_the_one_that_was_named() {
    let project = project("1.2.0");
    let board = Board::start(&project, &running("2-updated"), &["--once"]);
    flashed(&project, &board, &["--slot", "ota_1"], |device| {
        assert_eq!(device.slot.as_deref(), Some("ota_1"));
        assert!(device.notes.iter().any(|note| {
            note.ends_with("ota_1 is, which boots now: ota_0 boots until the install is over")
        }));
    });
    board.ended();
    holds(&project, "slot=ota_1,version=1.2.0,state=valid,label=ok,proof=intact");
}

#[test]
fn the_stub_writes_the_same() {
    let project = project("1.2.0");
    let mut dumps = Vec::new();
    for way in ["--stub", "--no-stub"] {
        let board = Board::start(&project, &BLANK, &["--once"]);
        flashed(&project, &board, &[way], |device| assert_eq!(written(&device).len(), 3));
        board.ended();
        dumps.push(fs::read(project.path("board.bin")).unwrap());
    }
    assert!(dumps[0] == dumps[1]);
}

/// Exit code and words in both formats, at a board with this flash; and the flash as it was.
#[track_caller]
fn refused(
    project: &Project,
    (flash_before, board): (&[u8], &[&str]),
    arguments: &[&str],
    code: i32,
    stderr: &str,
) {
    let board = Board::start(project, flash_before, board);
    flash(project, &board, arguments).exits(code).stdout("").stderr(stderr);
    let mut json = arguments.to_vec();
    json.extend(["--format", "json"]);
    flash(project, &board, &json)
        .exits(code)
        .json(|failed: crate::shape::Failed| assert_eq!(failed.command, "flash"))
        .stderr(stderr);
    board.stopped();
    assert!(fs::read(project.path("board.bin")).unwrap() == flash_before, "it was written to");
}

#[test]
fn another_chip_is_refused() {
    let project = project("1.2.0");
    let board = Board::start(&project, &BLANK, &["--chip", "esp32c6"]);
    let port = &board.port;
    flash(&project, &board, &[]).exits(4).stdout("").stderr(&format!(
        "error: `{port}` has an esp32c6, not an esp32c3\n  \
         help: pass the right `--chip`, or choose the other board with `--port`\n"
    ));
    board.stopped();
    assert!(fs::read(project.path("board.bin")).unwrap() == BLANK);
    // Before any board is asked: the image itself is for another chip.
    let project = project.file("app.bin", material::for_chip(material::image("1.2.0"), 13));
    project.refuses(
        "flash",
        ["flash", "--app", "app.bin", "--image", "board.bin"],
        (
            1,
            "error: `app.bin` is not flashed\n  caused by: it is for esp32c6, not for esp32c3\n  \
             help: build for esp32c3; where that is wrong, correct `--chip`, or `chip` in `esp-ota.toml`\n",
        ),
    );
}

#[test]
fn less_flash_than_the_table_needs_is_refused() {
    refused(
        &project("1.2.0"),
        (&[0xff; 2 << 20], &[]),
        &["--erase", "all", "--yes"],
        1,
        "error: the table needs 0x400000 bytes of flash, and the chip has 0x200000\n  \
         help: make a table for this chip with `cargo esp-ota partitions generate --flash-size`\n",
    );
}

/// The virtual chip has revision v0.3.
#[test]
fn an_app_for_a_later_revision_of_the_chip_is_refused() {
    let mut app = material::image("1.2.0");
    app[15..17].copy_from_slice(&4_u16.to_le_bytes());
    let project = Project::made().file("app.bin", material::with_checksum(app));
    refused(
        &project,
        (&running("2-updated"), &[]),
        &["--erase", "all", "--yes"],
        1,
        "error: the app needs revision v0.4 of the chip, and this one is v0.3\n  \
         help: build it for older revisions of the chip, or use a newer board\n",
    );
}

/// The table of the usual examples: settings of another size, and no slots.
fn with_foreign_table() -> Vec<u8> {
    use partition::{Entry, Kind, Table};
    let entries = vec![
        Entry::new("nvs", Kind::NVS, 0x9000, 0x6000),
        Entry::new("phy_init", Kind { ty: 1, subtype: 1 }, 0xf000, 0x1000),
        Entry::new("factory", Kind::FACTORY, 0x1_0000, 0x10_0000),
    ];
    let mut flash = BLANK.to_vec();
    let table = partition::encode(&Table { entries }).unwrap();
    flash[0x8000..0x8000 + table.len()].copy_from_slice(&table);
    let factory = material::image("1.0.0");
    flash[0x1_0000..0x1_0000 + factory.len()].copy_from_slice(&factory);
    flash
}

#[test]
fn a_table_that_loses_data_is_refused_unless_that_is_allowed() {
    let project = project("1.2.0");
    let flash_before = with_foreign_table();
    refused(
        &project,
        (&flash_before, &[]),
        &[],
        1,
        "error: the new table loses data that are on the device: the settings in `nvs` lose their \
         end; the data in `phy_init` can no longer be reached\n  \
         help: dump the flash first where they matter, then pass `--allow-data-loss`\n",
    );
    let board = Board::start(&project, &flash_before, &[]);
    flash(&project, &board, &["--erase", "otadata", "--yes"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.contains("the new table loses data"));
    board.stopped();
    assert!(fs::read(project.path("board.bin")).unwrap() == flash_before, "it was erased");
    let board = Board::start(&project, &flash_before, &["--once"]);
    flashed(&project, &board, &["--allow-data-loss"], |device| {
        // What boots now lies where ota_0 is going to be: it stays until the app is whole.
        assert_eq!(device.slot.as_deref(), Some("ota_1"));
        assert_eq!(written(&device), ["app", "bootloader", "table"]);
        assert_eq!(
            device.notes.iter().filter(|note| note.contains("--allow-data-loss")).count(),
            2
        );
    });
    board.ended();
    holds(&project, "slot=ota_1,version=1.2.0,state=valid,label=ok,proof=intact");
}

#[test]
fn a_device_that_reads_only_cipher_text_or_gives_nothing_away_is_refused() {
    let project = project("1.2.0");
    refused(
        &project,
        (&running("2-updated"), &["--flash-encryption"]),
        &[],
        4,
        "error: the chip's flash is encrypted: it would take plain text that a cable writes for \
         cipher text\n  \
         help: update it over the air, where the chip itself encrypts what it writes\n",
    );
    refused(
        &project,
        (&running("2-updated"), &["--secure-download"]),
        &[],
        4,
        "error: the chip is in secure download mode: nothing that is written to it can be read back\n  \
         help: update it over the air\n",
    );
}

#[test]
fn a_chip_with_secure_boot_gets_what_is_signed_and_nothing_else() {
    let project = project("1.2.0");
    refused(
        &project,
        (&running("2-updated"), &["--secure-boot"]),
        &[],
        1,
        "error: the chip has Secure Boot on, and the app `app.bin` is not signed: the chip would \
         never start it\n  \
         help: sign it with a key that the chip trusts: `espsecure sign-data --version 2`\n",
    );
    let signed =
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/secure_boot/rsa3072.bin"));
    let mut signed = signed.unwrap();
    let project = project.file("app.bin", &signed);
    let board = Board::start(&project, &running("2-updated"), &["--secure-boot"]);
    flashed(&project, &board, &[], |device| {
        assert_eq!(written(&device), ["app"]);
        assert!(device.notes.iter().any(|note| note.contains("eFuses")), "{:?}", device.notes);
    });
    board.stopped();
    assert!(fs::read(project.path("board.bin")).unwrap()[SLOTS[0]..].starts_with(&signed));
    // The bootloader would have to be signed, too; and nothing is erased for it.
    refused(
        &project,
        (&running("2-updated"), &["--secure-boot"]),
        &["--erase", "all", "--yes"],
        1,
        "error: the chip has Secure Boot on, and the bootloader `espflash 4.7 (ESP-IDF \
         v6.1-829-g9a97f6c54ec)` is not signed: the chip would never start it\n  \
         help: sign it with a key that the chip trusts: `espsecure sign-data --version 2`\n",
    );
    signed[4096 + 100] ^= 1;
    let project = project.file("app.bin", &signed);
    let board = Board::start(&project, &running("2-updated"), &["--secure-boot"]);
    flash(&project, &board, &[])
        .exits(6)
        .stdout("")
        .stderr_is(|text| text.contains("the signature of the app `app.bin` is no good"));
}

#[test]
fn a_bootloader_of_somebodys_own_stays_and_espflashs_comes_when_it_is_asked_for() {
    let project = project("1.2.0");
    let mut own = running("2-updated");
    // Another build: the project name in its descriptor, and so its hash.
    let ours = image::bootloader(Chip::Esp32c3, FlashSize::DEFAULT).unwrap();
    let length = usize::try_from(image::read(&ours, None).unwrap().len).unwrap();
    let at = ours.windows(4).position(|word| word == b"v6.1").unwrap();
    own[at + 3] = b'0';
    let changed = material::with_checksum(own[..length].to_vec());
    own[..length].copy_from_slice(&changed);
    let board = Board::start(&project, &own, &[]);
    flashed(&project, &board, &[], |device| {
        assert_eq!(written(&device), ["app"]);
        let note = device.notes.iter().find(|note| note.contains("is kept")).unwrap();
        assert!(note.contains("ESP-IDF v6.0-829"), "{note}");
    });
    flashed(&project, &board, &["--bootloader", "espflash"], |device| {
        assert_eq!(written(&device), ["bootloader"]);
    });
    fs::write(project.path("own.bin"), &changed).unwrap();
    flashed(&project, &board, &["--bootloader", "own.bin"], |device| {
        assert_eq!(written(&device), ["bootloader"]);
    });
    board.stopped();
    assert!(fs::read(project.path("board.bin")).unwrap().starts_with(&changed));
    // One that is for less flash than the table needs is corrected, and stays what it is.
    let mut small = own.clone();
    small[3] = 0x10 | (0x0f & small[3]);
    let restated = material::with_checksum(small[..length].to_vec());
    small[..length].copy_from_slice(&restated);
    let board = Board::start(&project, &small, &["--once"]);
    flashed(&project, &board, &[], |device| {
        assert_eq!(written(&device), ["app", "bootloader"]);
        let said = |words: &str| device.notes.iter().any(|note| note.contains(words));
        assert!(said("2MB of flash, and says 4MB now"), "{:?}", device.notes);
    });
    board.ended();
    assert!(fs::read(project.path("board.bin")).unwrap().starts_with(&changed));
    // An app is no bootloader.
    refused(
        &project,
        (&own, &[]),
        &["--bootloader", "app.bin"],
        1,
        "error: `app.bin` is an app image, not a bootloader\n  \
         help: pass what ESP-IDF writes to `build/bootloader/bootloader.bin`, or leave \
         `--bootloader` away for espflash's\n",
    );
}

#[test]
fn the_flash_size_in_the_bootloader_is_the_chips() {
    let project = project("1.2.0");
    let board = Board::start(&project, &vec![0xff; 8 << 20], &["--once"]);
    flashed(&project, &board, &[], |device| assert_eq!(written(&device).len(), 3));
    board.ended();
    let after = fs::read(project.path("board.bin")).unwrap();
    let expected = image::bootloader(Chip::Esp32c3, "8MB".parse().unwrap()).unwrap();
    assert!(after.starts_with(&expected));
}

#[test]
fn erasing_is_asked_for_twice() {
    let project = project("1.2.0");
    let flash_before = running("2-updated");
    refused(
        &project,
        (&flash_before, &[]),
        &["--erase", "all"],
        2,
        "error: `--erase` asks first, and there is nobody to ask\n  help: pass `--yes` as well\n",
    );
    let board = Board::start(&project, &flash_before, &[]);
    flashed(&project, &board, &["--erase", "otadata", "--yes"], |device| {
        // Without otadata ota_0 boots, so it is the one to keep.
        assert_eq!(device.slot.as_deref(), Some("ota_1"));
        assert_eq!(device.otadata, [FlashedEntry { entry: 0, seq: Some(2) }]);
    });
    flashed(&project, &board, &["--erase", "all", "--yes"], |device| {
        assert_eq!(device.slot.as_deref(), Some("ota_0"));
        assert_eq!(written(&device).len(), 3);
    });
    board.stopped();
    holds(&project, "slot=ota_0,version=1.2.0,proof=intact");
    let after = fs::read(project.path("board.bin")).unwrap();
    assert!(after[SLOTS[1]..].iter().all(|byte| *byte == 0xff));
}

#[test]
fn several_boards_are_flashed_at_once_and_each_has_its_own_end() {
    let (first, second, third) = (project("1.2.0"), project("1.2.0"), project("1.2.0"));
    let boards = [
        Board::start(&first, &BLANK, &[]),
        Board::start(&second, &BLANK, &["--chip", "esp32c6"]),
        Board::start(&third, &running("2-updated"), &[]),
    ];
    let mut arguments = vec!["flash", "--app", "app.bin", "-q"];
    arguments.extend(boards.iter().flat_map(|board| ["--port", board.port.as_str()]));
    first
        .run(arguments.iter().copied().chain(["--format", "json"]))
        .exits(4)
        .json(|report: Flashed| {
            let [first, second, third] = &report.devices[..] else { panic!("{report:?}") };
            assert_eq!((report.outcome.as_str(), report.exit_code), ("device", 4));
            assert_eq!(first.slots.as_ref().unwrap().next_boot.without_rollback, "ota_0");
            let error = second.error.as_ref().unwrap();
            assert!(error.message.ends_with("has an esp32c6, not an esp32c3"), "{error:?}");
            assert_eq!(written(third), ["app"]);
        })
        .stderr("");
    first
        .run(arguments)
        .exits(4)
        .stdout_is(|text| {
            text.matches("next boot: ota_0 (proven)").count() == 2
                && text.contains("  error: `")
                && text.contains("    help: pass the right `--chip`")
        })
        .stderr("");
    let twice = project("1.2.0");
    let board = Board::start(&twice, &BLANK, &[]);
    let port = board.port.as_str();
    twice.refuses(
        "flash",
        ["flash", "--app", "app.bin", "--port", port, "--port", port],
        (2, &format!("error: `{port}` is named twice\n  help: name each board once\n")),
    );
}

#[test]
fn an_image_without_a_digest_boots_and_so_it_stays() {
    let project = project("1.2.0");
    let mut flash_before = running("1-installed");
    // `hash_appended`: a bootloader goes by the checksum then.
    flash_before[SLOTS[0] + 23] = 0;
    let board = Board::start(&project, &flash_before, &[]);
    flashed(&project, &board, &[], |device| {
        assert_eq!(device.slot.as_deref(), Some("ota_1"));
        let slots = device.slots.unwrap();
        assert_eq!(slots.slots[0].proof, "unproven");
        assert!(slots.slots[0].reason.is_some());
    });
}

#[test]
fn without_a_table_settings_and_what_will_boot_stay() {
    let project = project("1.2.0");
    let mut flash_before = running("2-updated");
    flash_before[0x8000..0x9000].fill(0xff);
    let board = Board::start(&project, &flash_before, &["--once"]);
    flashed(&project, &board, &[], |device| {
        assert_eq!(device.slot.as_deref(), Some("ota_0"));
        assert_eq!(written(&device), ["app", "table"]);
    });
    board.ended();
    let after = fs::read(project.path("board.bin")).unwrap();
    assert!(after[0x9000..0xe000] == flash_before[0x9000..0xe000], "nvs is another");
    assert!(after[SLOTS[1]..] == flash_before[SLOTS[1]..], "what will boot is another");
    // What is no NVS is nobody's to write over.
    flash_before[0x9000..0xe000].fill(0x5a);
    let board = Board::start(&project, &flash_before, &[]);
    flashed(&project, &board, &["--dry-run"], |device| {
        assert!(device.notes.iter().any(|note| note.contains("is no NVS, and stays")));
    });
    flash(&project, &board, &["--wifi-ssid", "Workshop", "--wifi-open"]).exits(1).stdout("").stderr(
        "error: what is at 0x9000, where `nvs` belongs, is no NVS, and there is no table that says \
         what it is\n  \
         help: give it up with `--erase nvs`, or dump the flash and look at it first\n",
    );
    board.stopped();
    assert!(fs::read(project.path("board.bin")).unwrap() == flash_before);
}

/// A table elsewhere, for a bootloader of somebody's own; and back.
#[test]
fn a_table_that_moves_leaves_no_other_behind() {
    let project = project("1.2.0");
    refused(
        &project,
        (&BLANK, &[]),
        &["--table-offset", "0x10000", "--partitions", "moved.csv"],
        3,
        "error: `moved.csv` could not be read\n  caused by: [SYSTEM]\n  \
         help: check the path, and that you may read it\n",
    );
    let moved = "nvs,data,nvs,0x11000,0x5000\notadata,data,ota,0x16000,0x2000\n\
                 ota_0,app,ota_0,0x20000,0x140000\nota_1,app,ota_1,0x160000,0x140000\n";
    let project = project.file("moved.csv", moved);
    let there = ["--table-offset", "0x10000", "--partitions", "moved.csv", "--allow-data-loss"];
    refused(
        &project,
        (&BLANK, &[]),
        &there,
        1,
        "error: espflash's bootloader looks for the table at 0x8000, not at 0x10000\n  \
         help: pass one that was built for it: `--bootloader FILE`, or leave the table at 0x8000\n",
    );
    let mut own = image::bootloader(Chip::Esp32c3, FlashSize::DEFAULT).unwrap();
    own.truncate(usize::try_from(image::read(&own, None).unwrap().len).unwrap());
    let at = own.windows(4).position(|word| word == b"v6.1").unwrap();
    own[at + 3] = b'0';
    let project = project.file("own.bin", material::with_checksum(own));
    let board = Board::start(&project, &running("2-updated"), &[]);
    let with_own = [&there[..], &["--bootloader", "own.bin"]].concat();
    flashed(&project, &board, &with_own, |device| {
        // The table is there before the bootloader that looks for it.
        assert_eq!(written(&device), ["app", "table", "bootloader", "nvs"]);
        assert_eq!(device.slots.unwrap().table.offset, 0x10000);
    });
    flash(&project, &board, &with_own)
        .exits(0)
        .stdout_is(|text| text.matches("is there already").count() == 3)
        .stderr("");
    board.stopped();
    let after = fs::read(project.path("board.bin")).unwrap();
    assert!(after[0x8000..0x9000].iter().all(|byte| *byte == 0xff), "the old table is still there");
    // Where somebody else left two, nobody knows which of them counts.
    let mut two = after.clone();
    two[0x8000..0x9000].copy_from_slice(&running("2-updated")[0x8000..0x9000]);
    refused(
        &project,
        (&two, &[]),
        &there,
        1,
        "error: there are partition tables at 0x8000, 0x10000: which of them its bootloader looks at \
         is not known\n  \
         help: pass the bootloader as well, `--bootloader FILE` or `--bootloader espflash`, or \
         `--erase all`\n",
    );
}

#[test]
fn a_file_is_flashed_like_a_chip() {
    let project = project("1.2.0");
    project
        .run(["flash", "--app", "app.bin", "--image", "board.bin", "-q"])
        .exits(0)
        .stdout_is(|text| text.starts_with("board.bin: esp32c3\n"))
        .stderr("")
        .changed(&["board.bin"]);
    holds(&project, "slot=ota_0,version=1.2.0,state=valid,label=ok,proof=intact");
    let made = fs::read(project.path("board.bin")).unwrap();
    let board = Board::start(&project, &BLANK, &["--once"]);
    flashed(&project, &board, &[], |_| {});
    board.ended();
    assert!(fs::read(project.path("board.bin")).unwrap() == made);
    project
        .run(["slots", "--image", "board.bin", "--format", "json"])
        .exits(0)
        .json(|report: Slots| assert_eq!(report.slots[0].proof, "intact"))
        .stderr("");
}

#[test]
fn what_is_no_app_image_is_refused_before_a_board_is_looked_for() {
    let project = project("1.2.0").file("text.bin", "hello");
    project.refuses(
        "flash",
        ["flash", "--app", "nothing.bin", "--image", "board.bin"],
        (
            3,
            "error: `nothing.bin` could not be read\n  caused by: [SYSTEM]\n  \
             help: check the path, and that you may read it\n",
        ),
    );
    project
        .run(["flash", "--app", "text.bin", "--image", "board.bin"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `text.bin` is not flashed\n"))
        .wrote_nothing();
    let project = project.file("app.bin", material::tampered(material::image("1.2.0")));
    project
        .run(["flash", "--app", "app.bin", "--image", "board.bin"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.contains("`app.bin` is not flashed"))
        .wrote_nothing();
}

/// An image that no chip's memory map is against: its segments are loaded nowhere.
pub(crate) fn for_any(chip: Chip) -> Vec<u8> {
    let mut image = material::image("1.2.0");
    let mut at = 24;
    for _ in 0..image[1] {
        let length = u32::from_le_bytes(image[at + 4..at + 8].try_into().unwrap());
        image[at..at + 4].fill(0);
        at += 8 + usize::try_from(length).unwrap();
    }
    material::for_chip(image, chip.image_id())
}

/// Bootloaders lie at three places, and each chip has its own commands, registers and stub.
#[test]
fn every_chip_is_flashed_and_boots() {
    for chip in Chip::ALL {
        let app = for_any(chip);
        let project = Project::made().file("app.bin", &app).edit(
            "esp-ota.toml",
            "chip = \"esp32c3\"",
            &format!("chip = \"{chip}\""),
        );
        let name = chip.to_string();
        let board = Board::start(&project, &BLANK, &["--chip", &name]);
        flashed(&project, &board, &["--stub"], |device| {
            assert_eq!(device.chip.as_deref(), Some(name.as_str()));
            assert_eq!(written(&device).len(), 3, "{chip}");
            let slots = device.slots.unwrap();
            assert!(slots.next_boot.proven && slots.next_boot.with_rollback == "ota_0", "{chip}");
            assert_eq!(slots.bootloader.unwrap().rollback, "no", "{chip}");
        });
        flashed(&project, &board, &["--stub"], |device| assert_eq!(written(&device).len(), 0));
        board.stopped();
        let flash = fs::read(project.path("board.bin")).unwrap();
        let start = usize::try_from(chip.bootloader_offset()).unwrap();
        assert!(image::read(&flash[start..0x8000], Some(chip)).is_ok(), "{chip}");
        assert!(flash[SLOTS[0]..].starts_with(&app), "{chip}");
    }
}

#[test]
fn a_monitor_follows_where_somebody_reads_it() {
    // What cargo built last is not what is flashed.
    let elf: &[u8] = include_bytes!("../vectors/elf/pump.elf");
    let project =
        project("1.2.0").file("target/riscv32imc-unknown-none-elf/release/thermostat", elf);
    let board = Board::start(&project, &running("2-updated"), &[]);
    let port = &board.port;
    let (mut child, first) =
        project.start(["flash", "--app", "app.bin", "--port", port, "--monitor"]);
    assert_eq!(first, format!("{port}: esp32c3, 24:0a:c4:00:00:01\n"));
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(&format!("watching {port}")) {
        assert_ne!(std::io::BufRead::read_line(&mut stderr, &mut said).unwrap(), 0, "{said}");
    }
    assert!(!said.contains("addresses are looked up"), "{said}");
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let words = "error: `--monitor` is for one device, and for people to read\n  \
                 help: run `cargo esp-ota monitor` afterwards, for each device, or with `--format json`\n";
    flash(&project, &board, &["--monitor", "--format", "json"])
        .exits(2)
        .json(|failed: crate::shape::Failed| assert_eq!(failed.outcome, "usage"))
        .stderr(words);
}
