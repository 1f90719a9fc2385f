//! What an install by cable takes, beside espflash's own: time, bytes over the line, questions.
//!
//! `cargo bench --bench flash` puts bootloader, partition table and an app of 1 MiB on the virtual
//! board, with espflash's stub and without, on blank flash and once more when all is there already.
//! The line is a pseudo-terminal, which is faster than any cable: what the bytes take on one of
//! 115200 baud is worked out. espflash is its library, with the two checks that `espflash flash` has
//! on: what is there already is skipped, what was written is compared. Ours is the whole program,
//! which reads the project and writes `otadata`, too. It judges nothing: whose machine is busy would
//! fail.

#[cfg(unix)]
mod app_image;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    // `cargo test --all-targets` runs benchmarks too; there is nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    #[cfg(unix)]
    bench::run()?;
    Ok(())
}

#[cfg(unix)]
mod bench {
    use std::fs;
    use std::io::{BufRead, BufReader, Read as _, Write as _};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use cargo_esp_ota::chip::Chip;
    use cargo_esp_ota::flash_size::FlashSize;
    use cargo_esp_ota::{image, partition};
    use espflash::connection::{Connection, ResetAfterOperation, ResetBeforeOperation};
    use espflash::flasher::Flasher;
    use espflash::image_format::Segment;
    use espflash::target::DefaultProgressCallback;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use serialport::UsbPortInfo;

    use super::{Failed, app_image};

    const PROGRAM: &str = env!("CARGO_BIN_EXE_cargo-esp-ota");
    /// `chip_id` of the ESP32-C3, and the begin of its flash that is mapped as data.
    const CHIP: (u16, u32) = (5, 0x3c00_0020);
    /// Bytes of the app: about what `init`'s firmware has.
    const SIZE: usize = 1024 * 1024;
    /// Of each 256 bytes of the app, those that do not compress. What `init` makes is alike.
    const NOISE: usize = 160;
    const RUNS: usize = 3;
    /// Bits for a byte on the line: start and stop bit with it.
    const BITS: f64 = 10.0;
    const BAUD: f64 = 115_200.0;
    const PROJECT: &str = "product = \"lamp\"\nchip = \"esp32c3\"\nflash-size = \"4MB\"\n\
                           partitions = \"partitions.csv\"\n";

    /// What one install took.
    #[derive(Clone, Copy, Debug, Default)]
    struct Taken {
        time: Duration,
        /// From the host, and to it.
        bytes: (u64, u64),
        requests: u64,
    }

    /// Who installs.
    #[derive(Clone, Copy, Debug)]
    enum Who {
        Ours,
        Espflash,
    }

    /// A project in a folder, with an image and a board.
    struct Bench {
        folder: tempfile::TempDir,
        bootloader: Vec<u8>,
        table: Vec<u8>,
        app: Vec<u8>,
    }

    pub(super) fn run() -> Result<(), Failed> {
        let bench = Bench::new()?;
        let mut lines = Vec::new();
        for (way, stub) in [("stub", true), ("ROM", false)] {
            let mut found = [[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]];
            for _ in 0..RUNS {
                for (who, taken) in [Who::Ours, Who::Espflash].into_iter().zip(&mut found) {
                    fs::write(bench.path("flash.bin"), vec![0xff; 4 * SIZE])?;
                    for taken in taken {
                        taken.push(bench.install(who, stub)?);
                    }
                }
            }
            for (state, index) in [("blank", 0), ("unchanged", 1)] {
                for (who, runs) in ["flash", "espflash"].into_iter().zip(&found) {
                    let runs = runs.get(index).map(Vec::as_slice).unwrap_or_default();
                    lines.push(line(way, state, who, runs));
                }
            }
        }
        let packed = bench.packed()?;
        writeln!(
            std::io::stdout().lock(),
            "flash, bootloader, table and an app of {} bytes, which packs to {packed} %:\n  \
             loader  flash      by            time   from the host  to the host  questions   at 115200 baud\n{}",
            bench.app.len(),
            lines.join("\n")
        )?;
        Ok(())
    }

    fn line(way: &str, state: &str, who: &str, runs: &[Taken]) -> String {
        let mut runs = runs.to_vec();
        runs.sort_by_key(|taken| taken.time);
        let Taken { time, bytes: (from, to), requests } =
            runs.get(runs.len() / 2).copied().unwrap_or_default();
        let time = time.as_secs_f64() * 1000.0;
        let total = u32::try_from(from.saturating_add(to)).unwrap_or(u32::MAX);
        let seconds = f64::from(total) * BITS / BAUD;
        format!(
            "  {way:6}  {state:9}  {who:8}  {time:6.0} ms  {from:14}  {to:11}  {requests:9}  {seconds:13.1} s"
        )
    }

    impl Bench {
        fn new() -> Result<Self, Failed> {
            let folder = tempfile::tempdir()?;
            let mut noise = app_image::noise(1);
            // Machine code repeats itself, constants do, and so does what is between them.
            let fill = (0..=255u8)
                .cycle()
                .map(|at| if usize::from(at) < NOISE { noise.next().unwrap_or(0) } else { at });
            let app = app_image::image("1.0.0", CHIP, SIZE, fill);
            let table = partition::standard(FlashSize::DEFAULT.bytes());
            let table = table.ok_or("no table for this flash")?;
            fs::write(folder.path().join("app.bin"), &app)?;
            fs::write(folder.path().join("esp-ota.toml"), PROJECT)?;
            fs::write(folder.path().join("partitions.csv"), partition::to_csv(&table)?)?;
            let bootloader = image::bootloader(Chip::Esp32c3, FlashSize::DEFAULT)?;
            Ok(Self { folder, bootloader, table: partition::encode(&table)?, app })
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        /// Per cent that are left of the app, as a stub gets it.
        fn packed(&self) -> Result<usize, Failed> {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&self.app)?;
            let packed = encoder.finish()?.len();
            Ok(packed.saturating_mul(100).checked_div(self.app.len()).unwrap_or(0))
        }

        /// One install, on a board that holds what the install before left.
        fn install(&self, who: Who, stub: bool) -> Result<Taken, Failed> {
            let board = Board::start(&self.path("flash.bin"))?;
            let begin = Instant::now();
            match who {
                Who::Ours => self.ours(&board.port, stub)?,
                Who::Espflash => self.espflash(&board.port, stub)?,
            }
            let time = begin.elapsed();
            let (bytes, requests) = board.end()?;
            Ok(Taken { time, bytes, requests })
        }

        fn ours(&self, port: &str, stub: bool) -> Result<(), Failed> {
            let output = Command::new(PROGRAM)
                .args(["flash", "-q", "--app", "app.bin", "--port", port])
                .arg(if stub { "--stub" } else { "--no-stub" })
                .current_dir(self.folder.path())
                .env("HOME", self.folder.path())
                .stdin(Stdio::null())
                .output()?;
            if output.status.success() {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&output.stderr).into())
            }
        }

        fn espflash(&self, port: &str, stub: bool) -> Result<(), Failed> {
            let serial = serialport::new(port, 115_200).open_native()?;
            let usb = UsbPortInfo {
                vid: 0,
                pid: 0,
                serial_number: None,
                manufacturer: None,
                product: None,
            };
            let connection = Connection::new(
                serial,
                usb,
                ResetAfterOperation::NoResetNoStub,
                ResetBeforeOperation::NoReset,
                115_200,
            );
            let (verify, skip) = (true, true);
            let mut flasher = Flasher::connect(connection, stub, verify, skip, None, None)?;
            // Of the program's other questions: how large the flash is.
            flasher.flash_detect()?;
            let app = 0x1_0000;
            let segments = [(0, &self.bootloader), (0x8000, &self.table), (app, &self.app)]
                .map(|(address, bytes)| Segment::new(address, bytes));
            flasher.write_bins_to_flash(&segments, &mut DefaultProgressCallback)?;
            // Both pull the line that resets a chip at the end. Here is none.
            let _ = flasher.connection().reset();
            Ok(())
        }
    }

    /// The virtual board: a process of its own, gone with its host.
    struct Board {
        process: Child,
        port: String,
    }

    impl Board {
        fn start(flash: &Path) -> Result<Self, Failed> {
            let mut process = Command::new(PROGRAM)
                .args(["virtual-device", "--pty", "--once", "--chip", "esp32c3", "--image"])
                .arg(flash)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            let mut port = String::new();
            let output = process.stdout.as_mut().ok_or("the board has no output")?;
            BufReader::new(output).read_line(&mut port)?;
            Ok(Self { process, port: port.trim().to_owned() })
        }

        /// What went over its line, as it says when it ends: from the host, to it, and how often.
        fn end(mut self) -> Result<((u64, u64), u64), Failed> {
            let mut said = String::new();
            let errors = self.process.stderr.as_mut().ok_or("the board has no messages")?;
            errors.read_to_string(&mut said)?;
            self.process.wait()?;
            let numbers: Vec<u64> =
                said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            match numbers[..] {
                [from, to, requests] => Ok(((from, to), requests)),
                _ => Err(format!("the board said: {said}").into()),
            }
        }
    }
}
