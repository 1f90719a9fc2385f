//! Boards that say nothing of their security, and the ESP32, whose ROM cannot be asked for it.

use std::fs;

use cargo_esp_ota::chip::Chip;

use crate::board::Board;
use crate::crooked_board::{Asked, CrookedBoard};
use crate::flash::for_any;
use crate::harness::Project;
use crate::material;
use crate::shape::Slots;

/// The question for the security, as it is answered: with a refusal, and with too few bytes.
const QUESTION: u8 = 0x14;
const REFUSAL: &[u8] = &[0xc0, 1, QUESTION, 4, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0xc0];
const TOO_SHORT: &[u8] = &[0xc0, 1, QUESTION, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc0];

#[test]
fn a_board_that_does_not_tell_its_security_is_not_taken_for_one_without_any() {
    let project = Project::made().file("app.bin", material::image("1.2.0"));
    for (lie, words) in [
        (REFUSAL, "refused the question for its security"),
        (TOO_SHORT, "makes no sense: the question for its security"),
    ] {
        for command in [&["slots"][..], &["flash", "--app", "app.bin"]] {
            // By the first two answers espflash finds out which chip it is.
            let board = CrookedBoard::start(material::dump("2-updated"), move |asked| {
                let is_question = |it: &&Asked| it.operation == QUESTION;
                let is_last = asked.last().as_ref().is_some_and(is_question);
                (is_last && asked.iter().filter(is_question).count() > 2).then_some(lie)
            });
            let arguments = command.iter().copied().chain(["-q", "--port", &board.port]);
            let ran = project.run(arguments).exits(4).stdout_is(|_| true);
            ran.stderr_is(|text| text.contains(words));
        }
    }
}

#[test]
fn an_esp32_is_asked_by_its_efuses() {
    let app = for_any(Chip::Esp32);
    let project = Project::made().file("app.bin", app).edit(
        "esp-ota.toml",
        "chip = \"esp32c3\"",
        "chip = \"esp32\"",
    );
    let blank = vec![0xff; 4 << 20];
    for (flag, code, words) in [
        ("--flash-encryption", 4, "error: the chip's flash is encrypted"),
        (
            "--secure-boot",
            1,
            "error: the chip has Secure Boot on, and the app `app.bin` is not signed",
        ),
    ] {
        let board = Board::start(&project, &blank, &["--chip", "esp32", flag]);
        let arguments = ["flash", "--app", "app.bin", "-q", "--port", &board.port];
        project.run(arguments).exits(code).stdout("").stderr_is(|text| text.starts_with(words));
        board.stopped();
        assert!(fs::read(project.path("board.bin")).unwrap() == blank, "{flag}");
    }
    let project = Project::new();
    let dump = material::dump("2-updated");
    let board = Board::start(&project, &dump, &["--chip", "esp32", "--flash-encryption"]);
    project.run(["slots", "-q", "--port", &board.port]).exits(4).stdout("").stderr_is(|text| {
        text.starts_with("error: the flash is encrypted: what a cable reads of it is cipher text")
    });
    for (flags, is_on) in
        [(&["--chip", "esp32", "--secure-boot"][..], true), (&["--chip", "esp32"], false)]
    {
        let board = Board::start(&project, &dump, flags);
        let json = ["slots", "-q", "--format", "json", "--port", &board.port];
        project.run(json).exits(0).stderr("").json(|report: Slots| {
            let security = report.security.unwrap();
            assert_eq!((security.secure_boot, security.flash_encryption), (is_on, false));
        });
    }
}
