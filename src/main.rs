//! `cargo esp-ota`, also as `cargo-esp-ota`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cargo_esp_ota::cli::run(std::env::args_os()).code())
}
