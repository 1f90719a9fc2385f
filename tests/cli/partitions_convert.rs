//! `partitions convert`: CSV to binary and back, and the formatter.

use std::fs;

use proptest::prelude::*;

use crate::harness::Project;
use crate::shape::{Convert, Failed};

const SPRAWLING: &str = "\
#   Name,Type, SubType,Offset,Size,Flags
nvs,data,nvs,,20K,
  # the slots

otadata ,data,ota,,0x2000
app0,app,ota_0,,1M
app1,app,ota_1,,0x100000,
";

const FORMATTED: &str = "\
#   Name, Type, SubType, Offset, Size,     Flags
nvs,      data, nvs,     ,       20K,
# the slots

otadata,  data, ota,     ,       0x2000
app0,     app,  ota_0,   ,       1M
app1,     app,  ota_1,   ,       0x100000,
";

/// Legal, and of no use to an update: a single factory app.
const FACTORY: &str = "nvs,data,nvs,0x9000,0x6000,\nfactory,app,factory,0x10000,1M,\n";

const OVERLAP: &str = "a,data,nvs,0x9000,0x6000\nb,data,phy,0xa000,0x1000\n";

#[test]
fn a_csv_becomes_the_bytes_that_gen_esp32part_writes_and_comes_back() {
    let project = Project::new().file("t.csv", SPRAWLING);
    project
        .run(["partitions", "convert", "t.csv", "-o", "t.bin"])
        .exits(0)
        .stdout("wrote `t.bin`: 4 rows, 3072 bytes\n")
        .stderr("")
        .changed(&["t.bin"]);
    let bytes = fs::read(project.path("t.bin")).unwrap();
    // From gen_esp32part.py 1.5 for the same CSV.
    assert_eq!(bytes.len(), 3072);
    assert_eq!(bytes[..12], [0xaa, 0x50, 1, 2, 0, 0x90, 0, 0, 0, 0x50, 0, 0]);
    assert_eq!(bytes[128..144], [[0xeb; 2].as_slice(), &[0xff; 14]].concat());
    assert_eq!(bytes[144..160], DIGEST);
    assert!(bytes[160..].iter().all(|byte| *byte == 0xff));
    // The same again writes nothing.
    project
        .run(["partitions", "convert", "t.csv", "-o", "t.bin"])
        .exits(0)
        .stdout("`t.bin` is up to date: 4 rows, 3072 bytes\n")
        .stderr("")
        .wrote_nothing();
    project
        .run(["partitions", "convert", "t.bin"])
        .exits(0)
        .stdout(
            "# Partition table: cargo esp-ota partitions check\n\
             # Name,  Type, SubType, Offset,   Size,     Flags\n\
             nvs,     data, nvs,     0x9000,   0x5000,\n\
             otadata, data, ota,     0xe000,   0x2000,\n\
             app0,    app,  ota_0,   0x10000,  0x100000,\n\
             app1,    app,  ota_1,   0x110000, 0x100000,\n",
        )
        .stderr("")
        .wrote_nothing();
}

const DIGEST: [u8; 16] = [
    0x6a, 0x7a, 0xb9, 0xd3, 0xbf, 0x14, 0x26, 0xe4, 0x2e, 0xb3, 0xd1, 0x10, 0xc3, 0x7b, 0xfa, 0x25,
];

#[test]
fn a_binary_table_can_go_without_its_digest() {
    let project = Project::new().file("t.csv", FACTORY);
    project
        .run(["partitions", "convert", "t.csv", "-o", "t.bin", "--disable-md5sum"])
        .exits(0)
        .stdout("wrote `t.bin`: 2 rows, 3072 bytes\n")
        .stderr("");
    let bytes = fs::read(project.path("t.bin")).unwrap();
    assert!(bytes.len() == 3072 && bytes[64..].iter().all(|byte| *byte == 0xff));
}

#[test]
fn standard_streams_serve_as_input_and_output() {
    let project = Project::new().input(SPRAWLING);
    for output in [&["-o", "-"][..], &[]] {
        project
            .run(["partitions", "convert", "-"].into_iter().chain(output.iter().copied()))
            .exits(0)
            .stdout(FORMATTED)
            .stderr("")
            .wrote_nothing();
    }
    let project = Project::new().file("t.csv", FACTORY);
    let done =
        project.command(["partitions", "convert", "t.csv", "--to", "binary"]).output().unwrap();
    assert!(done.status.success() && done.stdout.len() == 3072 && done.stderr.is_empty());
}

#[test]
fn only_what_esp_idf_refuses_is_refused() {
    let project = Project::new().file("factory.csv", FACTORY).file("overlap.csv", OVERLAP);
    project
        .run(["partitions", "convert", "factory.csv", "-o", "t.bin"])
        .exits(0)
        .stdout("wrote `t.bin`: 2 rows, 3072 bytes\n")
        .stderr("")
        .changed(&["t.bin"]);
    let convert = ["partitions", "convert", "overlap.csv", "-o", "u.bin"];
    let words = "error: `overlap.csv` cannot be converted: `b` begins at 0xa000, but `a` above it \
                 ends at 0xf000\n  \
                 help: write 0xf000 or leave the offset empty; rows stand in the order of their \
                 offsets\n";
    project.run(convert).exits(1).stdout("").stderr(words).wrote_nothing();
    project
        .run(convert.into_iter().chain(["--format", "json"]))
        .exits(1)
        .json(|failed: Failed| {
            let location = failed.error.location.unwrap();
            assert_eq!((&*location.file, location.line), ("overlap.csv", Some(2)));
        })
        .stderr(words)
        .wrote_nothing();
    // With a flash size, the end of the flash counts, as for gen_esp32part.py.
    project
        .run(["partitions", "convert", "factory.csv", "-o", "u.bin", "--flash-size", "1MB"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.contains("ends at 0x110000, but the flash ends at 0x100000"))
        .wrote_nothing();
    // The formatter needs rows that can be read, and no more.
    project.run(["partitions", "convert", "overlap.csv"]).exits(0).stderr("").stdout(
        "a, data, nvs, 0x9000, 0x6000\n\
         b, data, phy, 0xa000, 0x1000\n",
    );
}

#[test]
fn a_file_is_formatted_in_place_and_only_when_it_changes() {
    let project = Project::new().file("t.csv", SPRAWLING);
    let check = ["partitions", "convert", "t.csv", "--check"];
    let in_place = ["partitions", "convert", "t.csv", "-o", "t.csv"];
    project
        .run(check)
        .exits(1)
        .stdout(
            "`t.csv` would change from line 1 on\n  \
             help: run `cargo esp-ota partitions convert t.csv --to csv --output t.csv`\n",
        )
        .stderr("")
        .wrote_nothing();
    project
        .run(check.into_iter().chain(["--format", "github"]))
        .exits(1)
        .stdout_is(|text| text.contains("\n::error file=t.csv,line=1,title=partitions convert::"))
        .stderr("");
    project
        .run(in_place)
        .exits(0)
        .stdout("wrote `t.csv`: 4 rows, 219 bytes\n")
        .stderr("")
        .changed(&["t.csv"]);
    assert_eq!(project.read("t.csv"), FORMATTED);
    project
        .run(check.into_iter().chain(["--format", "json"]))
        .exits(0)
        .json(|report: Convert| {
            assert_eq!((report.to.as_str(), report.rows, report.changed), ("csv", 4, false));
            assert_eq!((report.input.as_str(), report.output.as_deref()), ("t.csv", Some("t.csv")));
            assert_eq!((report.size, report.csv), (FORMATTED.len(), None));
        })
        .stderr("")
        .wrote_nothing();
    let written = || fs::metadata(project.path("t.csv")).unwrap().modified().unwrap();
    let before = written();
    project
        .run(in_place)
        .exits(0)
        .stdout("`t.csv` is up to date: 4 rows, 219 bytes\n")
        .stderr("")
        .wrote_nothing();
    assert_eq!(written(), before, "a build that looks at times has nothing to do");
}

#[test]
fn a_binary_beside_its_csv_can_be_checked() {
    let project = Project::new().file("t.csv", FACTORY);
    let check = ["partitions", "convert", "t.csv", "-o", "t.bin", "--check"];
    project
        .run(check)
        .exits(1)
        .stdout_is(|text| text.starts_with("`t.bin` does not exist\n"))
        .stderr("")
        .wrote_nothing();
    project
        .run(check.into_iter().take(5))
        .exits(0)
        .stdout("wrote `t.bin`: 2 rows, 3072 bytes\n")
        .stderr("");
    project.run(check).exits(0).stdout_is(|text| text.contains("is up to date")).stderr("");
    let project = project.edit("t.csv", "1M", "2M");
    project
        .run(check)
        .exits(1)
        .stdout_is(|text| text.starts_with("`t.bin` is not what `t.csv` becomes\n"))
        .stderr("")
        .wrote_nothing();
}

#[test]
fn nothing_is_lost_by_a_slip_of_the_command_line() {
    let project = Project::new().file("t.csv", SPRAWLING).folder("folder");
    for (arguments, code, words) in [
        (&["-o", "t.csv", "--to", "binary"][..], 2, "would be replaced by its other form"),
        (&["-o", "./t.csv", "--to", "binary"], 2, "would be replaced by its other form"),
        (&["-o", "t.txt"], 2, "`t.txt` does not say whether it is to be CSV or binary"),
        (&["-o", "folder", "--to", "csv"], 5, "`folder` could not be written"),
        (&["--to", "binary", "--format", "json"], 2, "cannot be part of a JSON report"),
    ] {
        project
            .run(["partitions", "convert", "t.csv"].into_iter().chain(arguments.iter().copied()))
            .exits(code)
            .stdout_is(|text| text.is_empty() || text.starts_with("{\"schema\":1,"))
            .stderr_is(|text| text.contains(words) && text.contains("\n  help: "))
            .wrote_nothing();
    }
}

#[test]
fn in_json_the_csv_is_part_of_the_report() {
    Project::new()
        .file("t.csv", SPRAWLING)
        .run(["partitions", "convert", "t.csv", "--format", "json"])
        .exits(0)
        .json(|report: Convert| {
            assert_eq!(report.csv.as_deref(), Some(FORMATTED));
            assert_eq!((report.output, report.changed), (None, true));
        })
        .stderr("")
        .wrote_nothing();
}

#[test]
fn without_a_file_the_project_s_table_is_converted() {
    Project::made()
        .run(["partitions", "convert", "-o", "partitions.bin"])
        .exits(0)
        .stdout("wrote `partitions.bin`: 5 rows, 3072 bytes\n")
        .stderr("")
        .changed(&["partitions.bin"]);
}

#[test]
fn a_table_that_only_binary_can_hold_is_said_to_be_one() {
    let project = Project::new().file(
        "t.csv",
        "a,data,nvs,0x9000,0x6000\nb,data,fat,0x10000,0x1000\nc,app,factory,0x20000,1M\n",
    );
    project
        .run(["partitions", "convert", "t.csv", "-o", "t.bin", "--disable-md5sum"])
        .exits(0)
        .stdout_is(|_| true)
        .stderr("");
    let mut bytes = fs::read(project.path("t.bin")).unwrap();
    bytes[..64].rotate_left(32);
    let project = project.file("turned.bin", &bytes);
    project
        .run(["partitions", "convert", "turned.bin"])
        .exits(0)
        .stdout_is(|text| text.lines().count() == 5)
        .stderr_is(|text| {
            text.starts_with("warning: ESP-IDF takes this table as binary, but refuses it as CSV: ")
        });
    // Flags without a word would be lost.
    bytes[28] = 4;
    project
        .file("flags.bin", &bytes)
        .run(["partitions", "convert", "flags.bin", "-o", "u.csv"])
        .exits(1)
        .stdout("")
        .stderr_is(|text| text.contains("a CSV has no word for the flags 0x00000004 of `b`"))
        .wrote_nothing();
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_not_replaced() {
    let project = Project::new().file("real.csv", SPRAWLING);
    std::os::unix::fs::symlink("real.csv", project.path("link.csv")).unwrap();
    project
        .run(["partitions", "convert", "link.csv", "-o", "link.csv"])
        .exits(0)
        .stdout("wrote `link.csv`: 4 rows, 219 bytes\n")
        .stderr("")
        .changed(&["link.csv", "real.csv"]);
    assert!(project.path("link.csv").is_symlink());
    assert_eq!(project.read("real.csv"), FORMATTED);
}

#[test]
fn whatever_is_no_table_is_refused_in_bounded_time_and_nothing_is_written() {
    let rows: String = (0..5000).map(|row| format!("p{row}, data, phy, , 4K\n")).collect();
    let utf16: Vec<u8> = SPRAWLING.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let project = Project::new()
        .folder("folder")
        .file("noise", [0xfe_u8; 4096])
        .file("nul", [0_u8; 4096])
        .file("utf16", &utf16)
        .file("rows", rows)
        .file("empty.bin", [0xff_u8; 3072]);
    let sparse = fs::File::create(project.path("huge")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    for (file, code, words) in [
        ("folder", 3, "`folder` could not be read"),
        ("huge", 3, "larger than 1048576 bytes"),
        ("noise", 1, "byte 0 is no text"),
        ("nul", 1, "the type is empty"),
        ("utf16", 1, "is not a known type"),
        ("rows", 1, "more than 1000 rows"),
        ("empty.bin", 1, "erased flash"),
        ("none", 3, "`none` could not be read"),
    ] {
        // Listing the folder would read the sparse file whole.
        for to in ["csv", "binary"] {
            let arguments = ["partitions", "convert", file, "--to", to, "-o", "../out"];
            let done = project.command(arguments).output().unwrap();
            let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(code), "{file}: {stderr}");
            assert!(stderr.contains(words) && stderr.len() < 1000, "{file}: {stderr}");
            assert!(done.stdout.is_empty() && !project.around("out").exists(), "{file}");
        }
        let done = project.command(["partitions", "check", file]).output().unwrap();
        let all = [done.stdout, done.stderr].concat();
        let all = String::from_utf8_lossy(&all).into_owned();
        assert_eq!(done.status.code(), Some(code), "{file}: {all}");
        assert!(all.contains(words), "{file}: {all}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The rules are tested where they are; this is about bytes on their way in and out.
    #[test]
    fn the_command_formats_as_the_library_does(text in "[a-z0-9,# \n\t]{0,80}") {
        let project = Project::new().file("t.csv", &text);
        let done = project.command(["partitions", "convert", "t.csv"]).output().unwrap();
        let expected = cargo_esp_ota::partition::format(&text, &Default::default());
        if done.status.success() {
            prop_assert_eq!(String::from_utf8(done.stdout).unwrap(), expected);
        } else {
            prop_assert_eq!(done.status.code(), Some(1));
        }
    }
}
