//! One power-on while it goes on: the emulator's process, and what it says.
//!
//! Whatever happens, the process ends: at what is waited for, at the deadline, by itself, and when
//! the future is dropped, as it is at Ctrl-C.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::{interval, timeout};

use super::EmulatorError;
use super::error::Words;
use super::machine::{Cut, End, Machine, SERIAL_LOG, Session, Until};
use super::serial::{Lines, Word, target_at};

/// How often flash is looked at while the chip is on.
const LOOK: Duration = Duration::from_millis(200);
/// How long what was said has to reach the file with the flash.
const LINGER: Duration = Duration::from_millis(500);
/// How long an emulator has to end by itself, once it has said so or has closed its output.
const END_TIME: Duration = Duration::from_secs(10);
/// What the emulator itself says, of the last power-on.
const EMULATOR_LOG: &str = "emulator.log";
/// Bytes of that which are worth a look.
const LONGEST_WORDS: usize = 1000;
/// Bytes of the serial log of one power-on: an image that prints for ever fills no disk.
const LONGEST_LOG: usize = 1024 * 1024;
/// Lines that mean something, of one power-on; likewise.
const MOST_WORDS: usize = 1000;
/// Last lines of the serial port for a report.
const LAST_LINES: usize = 12;

/// A power-on.
pub(super) struct Run<'a> {
    machine: &'a Machine,
    until: Until,
    log: File,
    logged: usize,
    lines: Lines,
    words: Vec<Word>,
    last: Vec<String>,
}

/// Why reading ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// What is waited for has come.
    Reached,
    /// The emulator closed its output.
    Closed,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        machine: &'a Machine,
        until: Until,
        title: &str,
    ) -> Result<Self, EmulatorError> {
        let file = machine.folder.join(SERIAL_LOG);
        let log = File::options().create(true).append(true).open(&file);
        let log = log.map_err(|source| EmulatorError::File { file, source })?;
        let (words, last) = (Vec::new(), Vec::new());
        let mut run = Self { machine, until, log, logged: 0, lines: Lines::default(), words, last };
        run.write(&format!("--- {title}"));
        Ok(run)
    }

    /// Starts the emulator and stays until it has ended.
    pub(super) async fn follow(
        mut self,
        arguments: &[OsString],
        deadline: Duration,
        cut: Cut,
    ) -> Result<Session, EmulatorError> {
        let program = self.machine.program.path.clone();
        let failed = |source| EmulatorError::Start { program: program.clone(), source };
        let complaints = self.machine.folder.join(EMULATOR_LOG);
        let stderr = File::create(&complaints)
            .map_err(|source| EmulatorError::File { file: complaints.clone(), source })?;
        let mut child = Command::new(&program)
            .args(arguments)
            .current_dir(&self.machine.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut serial = child.stdout.take();

        // One that ends by itself is given the time to do so.
        let writes_through = self.machine.writes_through();
        let spare = if writes_through { Duration::ZERO } else { END_TIME };
        let mut stop = timeout(deadline.saturating_add(spare), self.read(&mut serial, true)).await;
        let is_reached = stop == Ok(Stop::Reached);
        if is_reached {
            let rest = match (writes_through, cut) {
                (true, Cut::Now) => Duration::ZERO,
                (true, Cut::Later) => LINGER,
                (false, _) => END_TIME,
            };
            stop = timeout(rest, self.read(&mut serial, false)).await;
        }
        let status = match stop {
            Ok(_) => timeout(END_TIME, child.wait()).await.ok().transpose().map_err(failed)?,
            Err(_) => None,
        };
        // Fails only where it is gone already.
        let _ = child.kill().await;
        if let Some(line) = self.lines.rest() {
            self.line(line);
        }
        match status {
            Some(status) if !status.success() => Err(self.died(status)),
            status => Ok(self.session(is_reached, status)),
        }
    }

    /// Reads the serial port to its end, or until what is waited for has come.
    async fn read(
        &mut self,
        serial: &mut Option<impl AsyncRead + Unpin>,
        is_waiting: bool,
    ) -> Stop {
        let Some(serial) = serial else { return Stop::Closed };
        let is_watching = is_waiting && self.until == Until::Armed && self.machine.writes_through();
        let mut look = interval(LOOK);
        let mut bytes = [0; 4096];
        loop {
            let is_reached = tokio::select! {
                read = serial.read(&mut bytes) => match read {
                    // A pipe fails no other way than by its end.
                    Ok(0) | Err(_) => return Stop::Closed,
                    Ok(count) => self.take(bytes.get(..count).unwrap_or_default()),
                },
                _ = look.tick(), if is_watching => self.machine.is_armed(),
            };
            if is_waiting && is_reached {
                return Stop::Reached;
            }
        }
    }

    /// Takes bytes of the serial port; whether what is waited for is among them.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let mut is_reached = false;
        for line in self.lines.take(bytes) {
            is_reached |= self.line(line);
        }
        is_reached
    }

    fn line(&mut self, line: String) -> bool {
        self.write(&line);
        let word = Word::of(&line);
        if !line.is_empty() {
            let surplus = self.last.len().saturating_add(1).saturating_sub(LAST_LINES);
            self.last.drain(..surplus);
            self.last.push(line);
        }
        let Some(word) = word else { return false };
        let is_reached = self.until.is_reached_by(&word, self.machine.program.emulator);
        if self.words.len() < MOST_WORDS {
            self.words.push(word);
        }
        is_reached
    }

    /// Writes a line to the log. One that cannot be written is lost: the flash decides.
    fn write(&mut self, line: &str) {
        let before = self.logged;
        self.logged = self.logged.saturating_add(line.len()).saturating_add(1);
        if self.logged <= LONGEST_LOG {
            let _ = writeln!(self.log, "{line}");
        } else if before <= LONGEST_LOG {
            let _ = writeln!(self.log, "[…]");
        }
    }

    fn session(self, is_reached: bool, status: Option<ExitStatus>) -> Session {
        let has_ended = status.is_some();
        let is_installed = self.words.iter().any(|word| matches!(word, Word::Installed(_)));
        let end = match (is_reached, self.until) {
            (true, _) => End::Reached,
            (false, Until::Installed) if has_ended && is_installed => End::Reached,
            (false, _) if has_ended && self.machine.writes_through() => End::Reset,
            (false, _) => End::Deadline,
        };
        let started = self.words.iter().rev().find_map(|word| match word {
            Word::Loaded(offset) => Some(target_at(*offset, &self.machine.apps)),
            _ => None,
        });
        Session { end, started, words: self.words, last: self.last }
    }

    fn died(&self, status: ExitStatus) -> EmulatorError {
        let words = fs::read(self.machine.folder.join(EMULATOR_LOG)).unwrap_or_default();
        let text = String::from_utf8_lossy(&words);
        let begin = text.floor_char_boundary(text.len().saturating_sub(LONGEST_WORDS));
        let text = text.get(begin..).unwrap_or_default();
        let text = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let text = text.collect::<Vec<_>>().join("; ");
        EmulatorError::Died {
            program: self.machine.program.path.clone(),
            status: status.to_string(),
            words: (!text.is_empty()).then_some(Words(text)),
        }
    }
}
