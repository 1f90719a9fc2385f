//! The command line: what was typed, and which command runs.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory, Parser};

use crate::commands::{self, Context};
use crate::error::{Exit, Explained, Failure};
use crate::output::{Color, Format, Output, Verbosity};

/// Firmware updates for ESP32 that cannot lose a device
#[derive(Debug, Parser)]
#[command(
    name = "cargo-esp-ota",
    bin_name = "cargo esp-ota",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 success, 1 rejected, 2 usage, 3 project, 4 device, 5 output, \
                  6 trust, 7 network."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// How to print the answer
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t)]
    color: Color,
    /// Say less: no status; twice: no help lines either
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    quiet: u8,
    /// Say more: what was decided, and from where
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Project file [default: `esp-ota.toml` here or in a folder above]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Init(commands::init::Init),
    Partitions(commands::partitions::Partitions),
    Ca(commands::ca::Ca),
    Keys(commands::keys::Keys),
    Build(commands::build::Build),
    Inspect(commands::inspect::Inspect),
    Rehearse(commands::rehearse::Rehearse),
    Publish(commands::publish::Publish),
    Rollout(commands::rollout::Rollout),
    Serve(commands::serve::Serve),
    Flash(commands::flash::Flash),
    Slots(commands::slots::Slots),
    Monitor(commands::monitor::Monitor),
    VirtualDevice(commands::virtual_device::VirtualDevice),
    Check(commands::check::Check),
    Demo(commands::demo::Demo),
    Completions(commands::completions::Completions),
}

impl Command {
    /// The word that JSON reports carry as `command`.
    fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Partitions(command) => command.name(),
            Self::Ca(command) => command.name(),
            Self::Keys(command) => command.name(),
            Self::Build(_) => "build",
            Self::Inspect(_) => "inspect",
            Self::Rehearse(_) => "rehearse",
            Self::Publish(_) => "publish",
            Self::Rollout(command) => command.name(),
            Self::Serve(_) => "serve",
            Self::Flash(_) => "flash",
            Self::Slots(command) => command.name(),
            Self::Monitor(_) => "monitor",
            Self::VirtualDevice(_) => "virtual-device",
            Self::Check(_) => "check",
            Self::Demo(_) => "demo",
            Self::Completions(_) => "completions",
        }
    }

    fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Init(command) => command.run(context),
            Self::Partitions(command) => command.run(context),
            Self::Ca(command) => command.run(context),
            Self::Keys(command) => command.run(context),
            Self::Build(command) => command.run(context),
            Self::Inspect(command) => command.run(context),
            Self::Rehearse(command) => command.run(context),
            Self::Publish(command) => command.run(context),
            Self::Rollout(command) => command.run(context),
            Self::Serve(command) => command.run(context),
            Self::Flash(command) => command.run(context),
            Self::Slots(command) => command.run(context),
            Self::Monitor(command) => command.run(context),
            Self::VirtualDevice(command) => command.run(context),
            Self::Check(command) => command.run(context),
            Self::Demo(command) => command.run(context),
            Self::Completions(command) => command.run(context),
        }
    }
}

/// The command line as clap knows it, for completions and for the documentation's tests.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs one command line, from arguments to exit code. Nothing in here ends the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments = without_subcommand_name(arguments.into_iter().collect());
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&arguments, &error),
    };
    let Global { format, color, quiet, verbose, config } = cli.global;
    let verbosity = Verbosity::from_flags(quiet, verbose);
    let output = Output::new(cli.command.name(), format, color, verbosity);
    let context = Context { output, config };
    match cli.command.run(&context) {
        Ok(exit) => exit,
        Err(failure) => context.output.failure(&failure),
    }
}

/// Cargo runs `cargo-esp-ota esp-ota …` for `cargo esp-ota …`; the extra word goes.
fn without_subcommand_name(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|word| word == "esp-ota") {
        arguments.remove(1);
    }
    arguments
}

/// The command line makes no sense, or asked for help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

impl Explained for Usage {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn help(&self) -> Option<String> {
        Some("see `cargo esp-ota --help`".into())
    }
}

/// clap words usage errors better than our layout could; other formats get theirs.
fn usage(arguments: &[OsString], error: &clap::Error) -> Exit {
    let asked_for = |format: &str| {
        let joined = OsString::from(format!("--format={format}"));
        arguments.contains(&joined)
            || arguments.windows(2).any(|pair| {
                matches!(pair, [flag, value] if flag == "--format" && value == OsStr::new(format))
            })
    };
    if !error.use_stderr() {
        // `--help` and `--version` are answers.
        return match error.print() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Output,
            _ => Exit::Success,
        };
    }
    let format = match (asked_for("json"), asked_for("github")) {
        (true, _) => Format::Json,
        (_, true) => Format::Github,
        _ => {
            let _ = error.print();
            return Exit::Usage;
        }
    };
    let text = error.render().to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let output = Output::new("", format, Color::Never, Verbosity::Normal);
    output.failure(&Failure::from(Usage(message.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn cargo_s_extra_word_is_dropped_once() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            without_subcommand_name(words(&["cargo-esp-ota", "esp-ota", "demo"])),
            words(&["cargo-esp-ota", "demo"])
        );
        assert_eq!(
            without_subcommand_name(words(&["cargo-esp-ota", "demo"])),
            words(&["cargo-esp-ota", "demo"])
        );
    }
}
