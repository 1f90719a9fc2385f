//! What goes over the cable, command by command, and ports that are none.

use crate::board::Board;
use crate::crooked_board::CrookedBoard;
use crate::flash::running;
use crate::harness::Project;
use crate::material;

const FLASH_BEGIN: u8 = 0x02;
const READ_REGISTER: u8 = 0x0a;
const SPI_ATTACH: u8 = 0x0d;
const DEFLATE_BEGIN: u8 = 0x10;
const DEFLATE_DATA: u8 = 0x11;
const ERASE_REGION: u8 = 0xd1;

fn project() -> Project {
    Project::made().file("app.bin", material::image("1.2.0"))
}

/// Whether it changes the flash.
fn changes(operation: &u8) -> bool {
    [FLASH_BEGIN, DEFLATE_BEGIN, ERASE_REGION].contains(operation)
}

#[test]
fn a_board_whose_revision_cannot_be_read_is_not_written_to() {
    /// The word of a C3's eFuses that has the major revision.
    const WORD: u32 = 0x6000_8858;
    const REFUSAL: &[u8] = &[0xc0, 1, READ_REGISTER, 4, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0xc0];
    let board = CrookedBoard::start(running("2-updated"), |asked| {
        let last = asked.last().unwrap();
        ((last.operation, last.word) == (READ_REGISTER, WORD)).then_some(REFUSAL)
    });
    let arguments = ["flash", "--app", "app.bin", "-q", "--port", &board.port];
    project()
        .run(arguments)
        .exits(4)
        .stdout("")
        .stderr_is(|text| text.contains("refused the question for its crystal and revision"));
    assert!(!board.operations().iter().any(changes));
}

/// The watchdog is quieted (which begins with SPI_ATTACH) once, before the first erase; and after
/// the last packed block the stub is asked something, whose answer comes once it has written.
#[test]
fn the_watchdog_is_quiet_before_the_first_change_and_packed_blocks_are_waited_for() {
    let project = project();
    let looked = CrookedBoard::start(running("2-updated"), |_| None);
    let arguments = ["slots", "--stub", "-q", "--port", &looked.port];
    drop(project.run(arguments).exits(0).stdout_is(|_| true).stderr(""));
    let flashed = CrookedBoard::start(running("2-updated"), |_| None);
    let arguments =
        ["flash", "--app", "app.bin", "--stub", "--erase", "otadata", "--yes", "-q", "--port"];
    let arguments = arguments.into_iter().chain([flashed.port.as_str()]);
    drop(project.run(arguments).exits(0).stdout_is(|_| true).stderr(""));
    let attached = |operations: &[u8]| operations.iter().filter(|it| **it == SPI_ATTACH).count();
    let (looked, flashed) = (looked.operations(), flashed.operations());
    assert_eq!(attached(&flashed), attached(&looked) + 1);
    let first = flashed.iter().position(changes).unwrap();
    assert_eq!(flashed[first], ERASE_REGION);
    assert_eq!(attached(&flashed[first..]), 0, "before the first change");
    assert!(flashed.contains(&DEFLATE_DATA));
    for pair in flashed.windows(2).filter(|pair| pair[0] == DEFLATE_DATA) {
        assert!([DEFLATE_DATA, READ_REGISTER].contains(&pair[1]), "{pair:02x?}");
    }
}

#[test]
fn what_is_no_serial_port_or_taken_is_said_so() {
    let project = Project::new();
    for command in ["slots", "monitor"] {
        for port in ["/dev/null", "/dev"] {
            project.run([command, "--port", port, "-q"]).exits(4).stdout("").stderr(&format!(
                "error: `{port}` is no serial port\n  \
                 help: name the port as the system does, such as `/dev/ttyUSB0` or `COM3`\n"
            ));
        }
        let board = Board::start(&project, &material::dump("2-updated"), &[]);
        let port = board.port.as_str();
        let taken = std::fs::File::options().read(true).write(true).open(port).unwrap();
        rustix::fs::flock(&taken, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        project.run([command, "--port", port, "-q"]).exits(4).stdout("").stderr(&format!(
            "error: `{port}` is in use by another program\n  \
             help: close the monitor or tool that has it open\n"
        ));
    }
}
