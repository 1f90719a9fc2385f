//! Merges settings into a file with an NVS partition, as `flash` does on a device: the half of
//! `nvs.py` that is ours.

use std::path::PathBuf;
use std::process::ExitCode;

use cargo_esp_ota::commands::Context;
use cargo_esp_ota::commands::flash::settings::DeviceSettings;
use cargo_esp_ota::device::nvs;
use cargo_esp_ota::error::{Exit, Failure};
use cargo_esp_ota::output::{Color, Format, Output, Verbosity};
use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// The partition as it was read
    before: PathBuf,
    /// The partition to write
    after: PathBuf,
    #[command(flatten)]
    settings: DeviceSettings,
}

fn main() -> ExitCode {
    let output = Output::new("nvs-merge", Format::Human, Color::Never, Verbosity::Normal);
    let context = Context { output, config: None };
    let merged = merge(&Arguments::parse(), &context);
    let exit = merged.unwrap_or_else(|failure| context.output.failure(&failure));
    ExitCode::from(exit.code())
}

fn merge(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let before = std::fs::read(&arguments.before).expect("a partition");
    let given = arguments.settings.read(context)?;
    let after = nvs::merge(&before, &given)?;
    std::fs::write(&arguments.after, after).expect("a folder to write to");
    Ok(Exit::Success)
}
