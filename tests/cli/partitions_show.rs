//! `partitions show`: tables that are sound, tables that are not, and files that are none.

use crate::harness::Project;
use crate::shape::Show;

const SOUND: &str = "nvs, data, nvs, 0x9000, 0x5000\n\
                     otadata, data, ota, 0xe000, 0x2000\n\
                     app0, app, ota_0, 0x10000, 0x100000\n\
                     app1, app, ota_1, 0x200000, 0x100000\n";

#[test]
fn the_picture_is_to_scale_and_shows_the_gaps() {
    Project::new()
        .env("COLUMNS", "60")
        .file("t.csv", SOUND)
        .run(["partitions", "show", "t.csv", "--chip", "esp32", "--flash-size", "4MB"])
        .exits(0)
        .stdout(
            "\
0x001000 (bootloader)  28K |#                              |
0x008000 (table)        4K |#                              |
0x009000 nvs           20K |#                              |
0x00e000 otadata        8K |#                              |
0x010000 app0           1M |########                       |
0x110000 (unused)     960K |        .......                |
0x200000 app1           1M |               ########        |
0x300000 (unused)       1M |                       ........|
0x400000 (end)             |                               |

name     type  subtype  offset    size           flags
nvs      data  nvs      0x9000    0x5000    20K
otadata  data  ota      0xe000    0x2000    8K
app0     app   ota_0    0x10000   0x100000  1M
app1     app   ota_1    0x200000  0x100000  1M

4 partitions, 1984K of 4M unused
",
        )
        .stderr("")
        .wrote_nothing();
}

#[test]
fn forty_columns_are_enough_for_the_picture() {
    Project::new()
        .env("COLUMNS", "40")
        .file("t.csv", SOUND)
        .run(["partitions", "show", "t.csv"])
        .exits(0)
        .stdout_is(|text| {
            let picture = text.lines().take_while(|line| !line.is_empty());
            picture.clone().count() == 8 && picture.clone().all(|line| line.len() == 40)
        })
        .stderr("");
}

#[test]
fn a_table_is_shown_from_a_file_of_either_form_from_input_and_from_the_project() {
    let project = Project::new().file("t.csv", SOUND);
    project
        .run(["partitions", "convert", "t.csv", "-o", "t.bin"])
        .exits(0)
        .stdout_is(|_| true)
        .stderr("");
    let rows = |project: &Project, file: &[&'static str]| {
        let mut rows = Vec::new();
        let words = ["partitions", "show", "--format", "json"];
        project
            .run(words.into_iter().chain(file.iter().copied()))
            .exits(0)
            .json(|report: Show| {
                assert!(report.complete && report.findings.is_empty());
                rows = report.rows.iter().map(|row| (row.name.clone(), row.offset)).collect();
            })
            .stderr("");
        rows
    };
    let expected = rows(&project, &["t.csv"]);
    assert_eq!(expected[3], ("app1".to_owned(), 0x20_0000));
    assert_eq!(rows(&project, &["t.bin"]), expected);
    assert_eq!(rows(&project.input(SOUND), &["-"]), expected);
    assert_eq!(rows(&Project::made(), &[]).len(), 5);
}

#[test]
fn a_table_with_findings_is_shown_and_what_overlaps_is_marked() {
    let overlap = SOUND.replace("0x200000", "0x100000");
    let project = Project::new().env("COLUMNS", "60").file("t.csv", overlap);
    project
        .run(["partitions", "show", "t.csv"])
        .exits(0)
        .stdout_is(|text| {
            text.contains("!!!!")
                && text.contains("\n!: lies on something else, or beyond the end of the flash\n")
                && text.ends_with("errors: see `cargo esp-ota partitions check t.csv`\n")
        })
        .stderr("");
}

#[test]
fn what_could_be_read_is_shown_and_that_it_is_not_all_is_said() {
    let project = Project::new()
        .file("t.csv", SOUND.replace("0x9000, 0x5000", "0x9000, big"))
        .file("noise", [0xfe_u8; 100]);
    project
        .run(["partitions", "show", "t.csv"])
        .exits(1)
        .stdout_is(|text| {
            text.contains("app1     app   ota_1")
                && text.contains("this is not the whole table")
                && text.contains("error[invalid-number]")
                && text.contains("  at: t.csv:1:")
        })
        .stderr("");
    project
        .run(["partitions", "show", "noise", "--format", "json"])
        .exits(1)
        .json(|report: Show| {
            assert!(report.rows.is_empty() && !report.complete && !report.accepted_by.ota);
            assert_eq!(report.findings[0].code, "not-a-table");
        })
        .stderr("")
        .wrote_nothing();
    project.run(["partitions", "show", "none"]).exits(3).stdout("").stderr_is(|_| true);
}

#[test]
fn a_table_of_thousands_of_rows_is_not_shown_in_thousands_of_lines() {
    let mut bytes = Vec::new();
    for row in 0..20_000_u32 {
        bytes.extend([0xaa, 0x50, 1, 1]);
        bytes.extend((0x9000 + row * 0x1000).to_le_bytes());
        bytes.extend(0x1000_u32.to_le_bytes());
        bytes.extend(format!("p{row:015}").bytes());
        bytes.extend([0; 4]);
    }
    bytes.extend([0xff; 32]);
    Project::new()
        .file("t.bin", bytes)
        .run(["partitions", "show", "t.bin"])
        .exits(0)
        .stdout_is(|text| {
            text.lines().count() < 250 && text.contains("19904 more rows are not shown")
        })
        .stderr("");
}
