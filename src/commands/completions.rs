//! `completions`: a completion script for a shell.

use std::io::{self, Write};

use clap_complete::Shell;
use serde::Serialize;

use super::Context;
use crate::cli;
use crate::error::{Exit, Failure};
use crate::output::{Paint, Report};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// Shell to complete in
    shell: Shell,
}

#[derive(Debug, Serialize)]
struct Script {
    script: String,
}

impl Report for Script {
    fn human(&self, out: &mut dyn Write, _: Paint) -> io::Result<()> {
        out.write_all(self.script.as_bytes())
    }
}

impl Completions {
    /// Prints the script.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        // Shells complete the program itself; behind `cargo` only cargo's own completion could.
        let mut command = cli::command().bin_name("cargo-esp-ota");
        clap_complete::generate(self.shell, &mut command, "cargo-esp-ota", &mut script);
        let script = String::from_utf8_lossy(&script).into_owned();
        context.output.answer(&Script { script }, Exit::Success)
    }
}
