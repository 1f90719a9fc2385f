//! The emulator on this computer: found, and asked whether it is the right one.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::EmulatorError;
use super::kind::Emulator;
use crate::chip::Chip;

/// A program that prints its version or its machines has done so by then.
const ANSWER_TIME: Duration = Duration::from_secs(20);
/// Bytes of such an answer: QEMU's list of machines has a few thousand.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// An emulator that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Which it is.
    pub emulator: Emulator,
    /// Where it is.
    pub path: PathBuf,
    /// What it calls itself: the first line of `--version`.
    pub version: String,
}

impl Program {
    /// Takes the program that was `named`, or the first of its name in the folders of `path`, and
    /// asks it whether it has `chip`.
    pub async fn find(
        emulator: Emulator,
        named: Option<&Path>,
        path: Option<&OsStr>,
        chip: Chip,
    ) -> Result<Self, EmulatorError> {
        if !emulator.chips().contains(&chip) {
            return Err(EmulatorError::Chip { emulator, chip });
        }
        let program = match named {
            Some(named) if named.is_file() => std::path::absolute(named)
                .map_err(|source| EmulatorError::File { file: named.to_owned(), source })?,
            Some(named) => return Err(EmulatorError::NoProgram(named.to_owned())),
            None => on_path(emulator, path).ok_or(EmulatorError::Missing(emulator))?,
        };
        let version = ask(&program, &["--version"]).await?;
        let first = version.lines().next().unwrap_or_default().trim().to_owned();
        match emulator {
            Emulator::Qemu => {
                let machines = ask(&program, &["-M", "help"]).await?;
                let has = machines.lines().any(|line| line.split(' ').next() == Some(chip.name()));
                if !has {
                    return Err(EmulatorError::OtherQemu { program, chip });
                }
            }
            Emulator::EspEmu if first.is_empty() => {
                let answer = "`--version` says nothing".to_owned();
                return Err(EmulatorError::NotIt { program, emulator, answer });
            }
            Emulator::EspEmu => {}
        }
        Ok(Self { emulator, path: program, version: first })
    }
}

/// The first file of the emulator's name in the folders of `path`.
fn on_path(emulator: Emulator, path: Option<&OsStr>) -> Option<PathBuf> {
    let name = format!("{}{}", emulator.program(), env::consts::EXE_SUFFIX);
    let candidates = env::split_paths(path?).map(|folder| folder.join(&name));
    let found = candidates.into_iter().find(|file| file.is_file())?;
    std::path::absolute(found).ok()
}

/// What a program prints. However it ends, and whatever it is, this does.
async fn ask(program: &Path, arguments: &[&str]) -> Result<String, EmulatorError> {
    let failed = |source| EmulatorError::Start { program: program.to_owned(), source };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // What was said in time counts; the caller judges it.
        let _ = timeout(ANSWER_TIME, stdout.take(LONGEST_ANSWER).read_to_end(&mut answer)).await;
    }
    // Fails only where it is gone already.
    let _ = child.kill().await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
