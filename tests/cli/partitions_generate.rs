//! `partitions generate`: what is wanted in, a table that passes the check out.

use crate::harness::Project;
use crate::material;
use crate::shape::{Failed, Generate, Partitions};

const GENERATE: [&str; 2] = ["partitions", "generate"];

const CSV: &str = "\
# Partition table: cargo esp-ota partitions check
# Name,  Type, SubType, Offset,   Size,     Flags
nvs,     data, nvs,     0x9000,   0x5000,
otadata, data, ota,     0xe000,   0x2000,
ota_0,   app,  ota_0,   0x10000,  0x140000,
ota_1,   app,  ota_1,   0x150000, 0x140000,
spiffs,  data, spiffs,  0x290000, 0x170000,
";

const PICTURE: &str = "\
0x001000 (bootloader)   28K |#                             |
0x008000 (table)         4K |#                             |
0x009000 nvs            20K |#                             |
0x00e000 otadata         8K |#                             |
0x010000 ota_0        1280K |#########                     |
0x150000 ota_1        1280K |         #########            |
0x290000 spiffs       1472K |                   ###########|
0x400000 (end)              |                              |
2 slots, each for images up to 1280K (1310720 bytes)
";

fn arguments(more: &'static str) -> impl Iterator<Item = &'static str> {
    GENERATE.into_iter().chain(more.split_whitespace())
}

#[test]
fn the_table_is_the_answer_and_the_picture_explains_it() {
    Project::new()
        .env("COLUMNS", "40")
        .run(arguments("--chip esp32 --flash-size 4MB --data spiffs=rest"))
        .exits(0)
        .stdout(CSV)
        .stderr_is(|text| {
            text.lines().all(|line| line.chars().count() <= 40 || line.starts_with("2 slots"))
                && text.contains(
                    "
0x290000 spiffs ",
                )
                && text.ends_with("2 slots, each for images up to 1280K (1310720 bytes)\n")
        })
        .wrote_nothing();
    Project::new()
        .run(arguments("--chip esp32 --flash-size 4MB --data spiffs=rest -q"))
        .exits(0)
        .stdout(CSV)
        .stderr("");
}

#[test]
fn with_a_file_the_picture_is_the_answer() {
    let project = Project::new().env("COLUMNS", "42");
    let run = || {
        project.run(arguments("--chip esp32 --flash-size 4MB --data spiffs=rest -o t.csv")).exits(0)
    };
    run()
        .stdout_is(|text| text.ends_with("wrote t.csv\n") && text.contains("ota_1"))
        .stderr("")
        .changed(&["t.csv"]);
    assert_eq!(project.read("t.csv"), CSV);
    run()
        .stdout_is(|text| text.ends_with("t.csv holds this table already\n"))
        .stderr("")
        .wrote_nothing();
    Project::new()
        .env("COLUMNS", "60")
        .run(arguments("--chip esp32 --flash-size 4MB --data spiffs=rest -o t.csv"))
        .exits(0)
        .stdout(&format!("{PICTURE}wrote t.csv\n"))
        .stderr("");
}

#[test]
fn another_table_is_not_replaced_unless_forced() {
    let project = Project::new().file("t.csv", "mine\n");
    project
        .run(arguments("--preset default -o t.csv"))
        .exits(5)
        .stdout("")
        .stderr(
            "error: `t.csv` exists already and holds something else\n  help: pass `--force` to \
             replace `t.csv`, or write to another file and see `cargo esp-ota partitions diff`\n",
        )
        .wrote_nothing();
    project
        .run(arguments("--preset default -o t.csv --force"))
        .exits(0)
        .stdout_is(|text| text.ends_with("wrote t.csv\n"))
        .stderr("")
        .changed(&["t.csv"]);
    Project::new()
        .folder("t.csv")
        .run(arguments("--preset default -o t.csv --force"))
        .exits(5)
        .stdout("")
        .stderr_is(|text| text.contains("it is not a file"));
}

#[test]
fn what_is_generated_passes_the_check_as_csv_and_as_binary() {
    for (file, wanted) in [
        ("a.csv", "--flash-size 8MB --slots 4 --factory --data nvs=24K,coredump=64K,littlefs=1M"),
        ("b.bin", "--flash-size 16MB --data files:littlefs=rest --min-slot 3M"),
        ("c.bin", "--preset min-spiffs"),
    ] {
        let project = Project::new();
        let made = arguments(wanted).chain(["-o", file]);
        project.run(made).exits(0).stdout_is(|text| text.contains("wrote ")).stderr("");
        project
            .run(["partitions", "check", file, "--deny", "warnings", "--format", "json"])
            .exits(0)
            .json(|report: Partitions| {
                assert!(report.findings.is_empty());
                let by = report.accepted_by;
                assert!(by.esp_idf && by.espflash && by.esp_bootloader_esp_idf && by.ota);
            })
            .stderr("");
    }
}

#[test]
fn a_project_gives_chip_and_flash_size() {
    let project = Project::made();
    project
        .run(arguments("--format json"))
        .exits(0)
        .json(|report: Generate| {
            assert_eq!(report.command, "partitions generate");
            assert_eq!(report.chip.as_deref(), Some("esp32c3"));
            assert_eq!((report.flash_size, report.table_offset), (0x40_0000, 0x8000));
            assert_eq!((report.preset, report.output, report.changed), (None, None, false));
            assert_eq!(report.rows.len(), 4);
            assert_eq!(
                (report.rows[0].r#type.as_str(), report.rows[0].flags.as_str()),
                ("data", "")
            );
            assert_eq!(report.slots.len(), 2);
            assert_eq!((report.slots[1].offset, report.slots[1].size), (0x20_0000, 0x1f_0000));
            assert_eq!((report.slots[1].free, report.unused), (None, 0x1_0000));
            assert!(report.csv.ends_with("ota_1,   app,  ota_1,   0x200000, 0x1f0000,\n"));
        })
        .stderr("")
        .wrote_nothing();
    project
        .run(arguments("--flash-size 16MB --format json"))
        .exits(0)
        .json(|report: Generate| assert_eq!(report.flash_size, 0x100_0000))
        .stderr("");
}

#[test]
fn an_image_sizes_the_slots_and_its_room_is_told() {
    let image = material::image("1.0.0");
    let size = u32::try_from(image.len()).unwrap();
    let slot = size.next_multiple_of(0x1_0000);
    let project = Project::new().file("a.bin", &image).file("b.bin", [0x42_u8; 1000]);
    project
        .run(arguments("--flash-size 4MB --data spiffs=rest --image a.bin --format json"))
        .exits(0)
        .json(|report: Generate| {
            let found = &report.slots[0];
            assert!(found.size >= slot && found.size <= 2 * slot, "{found:?}");
            assert_eq!(found.free, Some(i64::from(found.size - size)));
            assert!(found.free_percent.is_some());
            assert_eq!(report.image.unwrap().size, size);
        })
        .stderr("");
    project
        .run(arguments("--flash-size 4MB --image b.bin"))
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.starts_with("error: `b.bin` is no app image"))
        .wrote_nothing();
}

#[test]
fn what_cannot_be_is_refused_with_the_number_that_can() {
    for (wanted, exit, told) in [
        ("", 2, "help: pass `--flash-size`"),
        ("--flash-size 4MB --slots 1", 2, "1 is not in 2..=16"),
        ("--flash-size 4MB --slots 17", 2, "17 is not in 2..=16"),
        ("--flash-size 3MB", 2, "`3MB` is not a flash size"),
        ("--flash-size 4MB --min-slot 2M", 1, "help: pass `--min-slot 1984K` or less"),
        ("--flash-size 4MB --min-slot 1.5M", 2, "`1.5M` is not a size"),
        ("--flash-size 4MB --data spiffs=4M", 1, "take a flash of 8MB"),
        ("--flash-size 4MB --data nvs=5000", 2, "write `nvs=8K`"),
        ("--flash-size 4MB --data nvs=12K", 1, "help: write 0x5000 or more"),
        ("--flash-size 4MB --data nvs", 2, "write `nvs=64K`"),
        ("--flash-size 4MB --data fat=rest,spiffs=rest", 2, "cannot both have the rest"),
        ("--flash-size 4MB --preset default_8MB", 1, "`--flash-size 8MB`"),
        ("--preset defalt", 2, "a similar value exists: 'default'"),
        ("--preset default --slots 3", 2, "cannot be used with"),
        ("--preset default --min-slot 2M", 1, "slots of preset `default` have 1280K (0x140000)"),
        ("--preset default --table-offset 0x8001", 2, "pass `--table-offset 0x9000`"),
        ("--flash-size 4MB --chip esp32 --table-offset 0x1000", 1, "bootloader of esp32"),
    ] {
        Project::new()
            .run(arguments(wanted))
            .exits(exit)
            .stdout("")
            .stderr_is(|text| text.contains(told))
            .wrote_nothing();
    }
    Project::new()
        .run(arguments("--flash-size 4MB --min-slot 2M --format json"))
        .exits(1)
        .json(|failed: Failed| assert_eq!(failed.command, "partitions generate"))
        .stderr_is(|text| text.starts_with("error: 4M of flash have room for 2 slots of 1984K"));
}

#[test]
fn a_preset_that_is_short_of_something_says_so() {
    Project::new()
        .run(arguments("--preset two_ota -o t.csv"))
        .exits(0)
        .stdout_is(|text| text.contains("0x310000 (unused)"))
        .stderr_is(|text| text.starts_with("warning: [nvs-too-small] `nvs` has 0x4000 bytes"))
        .changed(&["t.csv"]);
}
