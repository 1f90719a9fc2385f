//! How long `publish` takes for a product with eight chips, into a folder.
//!
//! `cargo bench --bench publish` prints it in milliseconds and beside `cp` and `sha256sum` of the
//! same files, for a first release and for one that devices of the release before go to, too. It
//! judges nothing: whose machine is busy would fail.

mod app_image;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};

/// Each chip's `chip_id` and the begin of its flash that is mapped as data, behind the headers.
const CHIPS: [(u16, u32); 8] = [
    (0, 0x3f40_0020),  // ESP32
    (2, 0x3f00_0020),  // ESP32-S2
    (9, 0x3c00_0020),  // ESP32-S3
    (12, 0x3c00_0020), // ESP32-C2
    (5, 0x3c00_0020),  // ESP32-C3
    (13, 0x4200_0020), // ESP32-C6
    (16, 0x4200_0020), // ESP32-H2
    (23, 0x4200_0020), // ESP32-C5
];
/// Bytes of an image: nearly all of the slots that `init` makes.
const SIZE: usize = 1_300_000;
const RUNS: usize = 7;
/// What a publish may take, in milliseconds.
const LIMIT: f64 = 1000.0;

type Failed = Box<dyn std::error::Error>;

fn image(version: &str, chip: (u16, u32)) -> Vec<u8> {
    let seed = u32::from(chip.0).saturating_add(1);
    app_image::image(version, chip, SIZE, app_image::noise(seed))
}

fn root() -> Result<String, Failed> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(parameters.self_signed(&KeyPair::generate()?)?.pem())
}

/// A project, with images of two releases for all chips beside it.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Result<Self, Failed> {
        let bench = Self { folder: tempfile::tempdir()? };
        fs::write(bench.path("root.pem"), root()?)?;
        for version in ["1.0.0", "1.1.0"] {
            fs::create_dir(bench.path(version))?;
            for chip in CHIPS {
                let file = bench.path(version).join(format!("{}.bin", chip.0));
                fs::write(file, image(version, chip))?;
            }
        }
        bench.run(&["init", "work", "--product", "thermostat", "--root-ca", "root.pem"], ".")?;
        Ok(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the program and says how long that took, from start to end of the process.
    fn run(&self, arguments: &[&str], folder: &str) -> Result<Duration, Failed> {
        timed(
            Command::new(env!("CARGO_BIN_EXE_cargo-esp-ota"))
                .args(arguments)
                .current_dir(self.path(folder))
                .env("HOME", self.folder.path())
                .env("XDG_CONFIG_HOME", self.path("configuration")),
        )
    }

    fn publish(&self, version: &str) -> Result<Duration, Failed> {
        let files = CHIPS.map(|(chip, _)| format!("../{version}/{chip}.bin"));
        let files = files.iter().map(String::as_str);
        let arguments: Vec<&str> = ["publish", "-q"].into_iter().chain(files).collect();
        self.run(&arguments, "work")
    }

    /// The least that can be done with these files.
    fn copy(&self) -> Result<Duration, Failed> {
        fs::create_dir_all(self.path("copy"))?;
        timed(
            Command::new("sh")
                .args(["-c", "cp ../1.0.0/*.bin . && sha256sum *.bin"])
                .current_dir(self.path("copy")),
        )
    }
}

fn timed(command: &mut Command) -> Result<Duration, Failed> {
    let begin = Instant::now();
    let output = command.stdin(Stdio::null()).output()?;
    let took = begin.elapsed();
    if output.status.success() {
        Ok(took)
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

fn remove(folder: &Path) -> Result<(), Failed> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    // `cargo test --all-targets` runs benchmarks too; there is nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let bench = Bench::new()?;
    let (mut first, mut next, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        remove(&bench.path("work/dist"))?;
        first.push(bench.publish("1.0.0")?);
        next.push(bench.publish("1.1.0")?);
        remove(&bench.path("copy"))?;
        copies.push(bench.copy()?);
    }
    let (first, next, copy) = (median(first), median(next), median(copies));
    let (times, copies) = (first / copy, next / copy);
    let verdict = if first < LIMIT { "within" } else { "beyond" };
    let chips = CHIPS.len();
    writeln!(
        std::io::stdout().lock(),
        "publish, {chips} chips with images of {SIZE} bytes, into a folder:\n  \
         first release  {first:7.0} ms, {times:.1} times `cp` and `sha256sum`: {verdict} {LIMIT:.0} ms\n  \
         next release   {next:7.0} ms, {copies:.1} times\n  \
         cp, sha256sum  {copy:7.0} ms"
    )?;
    Ok(())
}
