//! How long `partitions check` takes as a process, so that an editor can run it on every save.
//!
//! `cargo bench` prints it in milliseconds and as a share of what Python needs to start and stop.
//! It judges nothing: whose machine is busy would fail.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs that are thrown away, until the files are in memory.
const WARM_UP: usize = 20;
const RUNS: usize = 200;
/// Places among the sorted runs.
const MEDIAN: usize = RUNS / 2;
const NINETIETH: usize = RUNS / 10 * 9;
/// What `check` may take, in milliseconds.
const LIMIT: f64 = 5.0;

/// NVS, otadata, two slots and sixteen rows of data.
fn table() -> String {
    let mut table = String::from(
        "# Name,   Type, SubType, Offset,   Size,   Flags\n\
         nvs,      data, nvs,     0x9000,   0x5000,\n\
         otadata,  data, ota,     0xe000,   0x2000,\n\
         app0,     app,  ota_0,   0x10000,  1M,\n\
         app1,     app,  ota_1,   0x110000, 1M,\n",
    );
    for row in 0..16 {
        table.push_str(&format!("data_{row}, data, fat, , 4K,\n"));
    }
    table
}

/// Median and 90th percentile in milliseconds, from `Command::spawn` to the end of the process.
fn measure(program: &str, arguments: &[&str]) -> Option<(f64, f64)> {
    let run = || -> Option<Duration> {
        let begin = Instant::now();
        let status = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok()?;
        let took = begin.elapsed();
        status.success().then_some(took)
    };
    for _ in 0..WARM_UP {
        run()?;
    }
    let mut times = (0..RUNS).map(|_| run()).collect::<Option<Vec<_>>>()?;
    times.sort();
    let milliseconds = |at: usize| Some(times.get(at)?.as_secs_f64() * 1000.0);
    Some((milliseconds(MEDIAN)?, milliseconds(NINETIETH)?))
}

fn main() {
    // `cargo test --all-targets` runs benchmarks too; there is nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("partitions.csv");
    std::fs::write(&file, table()).expect("a file in it");
    let file = file.to_str().expect("a path of UTF-8");

    let program = env!("CARGO_BIN_EXE_cargo-esp-ota");
    let check = measure(program, &["partitions", "check", file]).expect("the table is sound");
    let version = measure(program, &["--version"]).expect("a program has a version");
    let python = measure("python3", &["-c", "pass"]);
    // The smallest process there is: what the system itself takes.
    let nothing = Path::new("/bin/true").exists().then(|| measure("/bin/true", &[])).flatten();

    let mut out = std::io::stdout().lock();
    let mut line = |name: &str, times: Option<(f64, f64)>| {
        let text = match times {
            Some((median, p90)) => format!("{name:<30} {median:>8.2} {p90:>8.2}"),
            None => format!("{name:<30} cannot be run here"),
        };
        writeln!(out, "{text}").expect("stdout takes a line");
    };
    line("partitions check, 20 rows", Some(check));
    line("cargo-esp-ota --version", Some(version));
    line("/bin/true", nothing);
    line("python3 -c pass", python);
    if let Some((median, _)) = python {
        writeln!(out, "ratio to python3: {:.3}", check.0 / median).expect("stdout takes a line");
    }
    let verdict = if check.0 <= LIMIT { "within" } else { "above" };
    writeln!(out, "median {verdict} {LIMIT} ms, {RUNS} runs").expect("stdout takes a line");
}
