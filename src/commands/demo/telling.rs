//! How a step of the story is made, shown and judged.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::Timestamp;

use super::Step;
use super::firmware::{self, FirmwareError};
use super::program::Program;
use super::stage::{Session, Stage};
use super::story::PRODUCT;
use crate::agent::agent::Error;
use crate::commands::{Context, context, stamp};
use crate::device;
use crate::error::{Exit, Explained, Failure};
use crate::output::Tone;
use crate::release::keys::location::Platform;

/// Bytes of a command's output that are kept: ours print a few hundred.
const LONGEST_OUTPUT: usize = 64 * 1024;

/// The demo stumbled over something that is not part of the story.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoryError {
    #[error("this program could not run itself")]
    Itself(#[source] std::io::Error),
    #[error("the demo's program could not be assembled")]
    Program(#[source] object::build::Error),
    #[error("the demo's expired certificate could not be made")]
    Certificate(#[source] rcgen::Error),
    #[error("the demo has no host name")]
    Host,
    #[error("`{0}` failed, and the story cannot go on without it")]
    Command(String),
}

impl Explained for StoryError {
    fn exit(&self) -> Exit {
        match self {
            Self::Itself(_) | Self::Program(_) | Self::Certificate(_) | Self::Host => Exit::Output,
            Self::Command(_) => Exit::Rejected,
        }
    }
}

pub(super) struct Story<'a> {
    pub(super) context: &'a Context,
    pub(super) folder: &'a Path,
    pub(super) project: PathBuf,
    /// Keys and bench root: outside any git tree, and gone in the end.
    pub(super) configuration: PathBuf,
    pub(super) steps: Vec<Step>,
    /// Whether the images are the template's firmware.
    pub(super) is_firmware: bool,
}

impl Story<'_> {
    /// Runs this program with `arguments`, which must end as `expected`.
    pub(super) fn command(
        &mut self,
        title: &str,
        folder: &Path,
        arguments: &[&str],
        expected: Exit,
        result: &str,
    ) -> Result<(), Failure> {
        if self.run(title, folder, arguments, expected, result)? || expected != Exit::Success {
            Ok(())
        } else {
            Err(StoryError::Command(words(arguments)).into())
        }
    }

    /// Runs this program with `arguments`, and says whether it ended as `expected`.
    fn run(
        &mut self,
        title: &str,
        folder: &Path,
        arguments: &[&str],
        expected: Exit,
        result: &str,
    ) -> Result<bool, Failure> {
        let program = std::env::current_exe().map_err(StoryError::Itself)?;
        let variable = match Platform::HERE {
            Platform::Windows => "APPDATA",
            Platform::Xdg | Platform::MacOs => "XDG_CONFIG_HOME",
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(["--color", "never"])
            .current_dir(folder)
            .env(variable, &self.configuration)
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name == stamp::VARIABLE || name.to_string_lossy().starts_with("ESP_OTA_") {
                command.env_remove(name);
            }
        }
        if self.is_firmware {
            // Hundreds of lines on what is compiled are no part of the story.
            command.env_remove("CARGO_TERM_VERBOSE").env("CARGO_TERM_QUIET", "true");
        }
        let done = command.output().map_err(StoryError::Itself)?;
        let code = done.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes.get(..LONGEST_OUTPUT).unwrap_or(bytes)).into_owned()
        };
        let (answer, status) = (text(&done.stdout), text(&done.stderr));
        let lines = status.lines().chain(answer.lines()).map(str::to_owned).collect();
        let passed = code == expected.code();
        self.step(Step {
            title: title.into(),
            command: Some(words(arguments)),
            output: lines,
            exit_code: code,
            expected_exit_code: expected.code(),
            result: result.into(),
            passed,
        })?;
        Ok(passed)
    }

    /// Builds the image of a version; gives the image's file.
    pub(super) fn build(&mut self, version: &str, is_good: bool) -> Result<PathBuf, Failure> {
        if self.is_firmware {
            self.compile(version, is_good)?;
        } else {
            self.assemble(version, is_good)?;
        }
        let image = format!("{PRODUCT}-esp32c3-{version}.bin");
        Ok(self.project.join("target").join("esp-ota").join(image))
    }

    /// The firmware that `init` wrote, under another version.
    fn compile(&mut self, version: &str, is_good: bool) -> Result<(), Failure> {
        let project = self.project.clone();
        firmware::turn_into(&project, version, is_good)?;
        self.context.output.status(format_args!("compiling {version}: the first takes minutes"));
        let title = format!("{version} is built");
        let result = "the firmware that `init` wrote, compiled and made an image";
        if self.run(&title, &project, &["build"], Exit::Success, result)? {
            Ok(())
        } else {
            Err(FirmwareError::Build.into())
        }
    }

    /// A tiny program.
    fn assemble(&mut self, version: &str, is_good: bool) -> Result<(), Failure> {
        let program = Program { version, project: PRODUCT, is_good };
        let elf = program.elf().map_err(StoryError::Program)?;
        let name = format!("{PRODUCT}-{version}.elf");
        context::write(&self.folder.join(&name), &elf)?;
        let project = self.project.clone();
        self.command(
            &format!("{version} is built"),
            &project,
            &["build", "--elf", &format!("../{name}")],
            Exit::Success,
            "a tiny RISC-V program, assembled here, made an image by espflash",
        )
    }

    pub(super) fn publish(
        &mut self,
        title: &str,
        image: &Path,
        expected: Exit,
        result: &str,
    ) -> Result<(), Failure> {
        let project = self.project.clone();
        let image = match image.strip_prefix(&project) {
            Ok(inside) => inside.display().to_string(),
            Err(_) => format!("../{}", image.file_name().unwrap_or_default().display()),
        };
        self.command(title, &project, &["publish", &image], expected, result)
    }

    /// Dumps the flash and lets `slots` say what boots next: it has to be `version`, proven.
    pub(super) fn slots(
        &mut self,
        title: &str,
        device: &Stage,
        dump: &str,
        version: &str,
    ) -> Result<(), Failure> {
        let flash = device.dump();
        context::write(&self.folder.join(dump), &flash)?;
        let report = device::report(&flash)?;
        let next = &report.next_boot;
        let slot = report.slots.iter().find(|slot| slot.name == next.without_rollback);
        let found = slot.and_then(|slot| slot.image.as_ref()).map(|image| image.version.as_str());
        let result = format!("{} boots {}", next.without_rollback, found.unwrap_or("nothing"));
        let is_expected =
            found == Some(version) && next.proven && next.with_rollback == next.without_rollback;
        let folder = self.folder.to_owned();
        self.command(title, &folder, &["slots", "--image", dump], Exit::Success, &result)?;
        if let (false, Some(step)) = (is_expected, self.steps.last_mut()) {
            step.passed = false;
        }
        Ok(())
    }

    /// Switches the device on once; `is_expected` judges what it did.
    pub(super) async fn session(
        &mut self,
        title: &str,
        device: &Stage,
        is_expected: impl Fn(&Session) -> bool,
    ) -> Result<(), Failure> {
        let session = device.session().await?;
        let judged = if is_expected(&session) { Ok(()) } else { Err(Exit::Rejected) };
        let result = format!("{} runs {}", session.target, session.version);
        self.told(title, session.lines, judged, &result)
    }

    /// Lets the device poll and expects that it refuses what it is offered.
    pub(super) async fn refused(
        &mut self,
        title: &str,
        device: &Stage,
        now: Timestamp,
        result: &str,
        is_expected: impl Fn(&Error) -> bool,
    ) -> Result<(), Failure> {
        let (line, exit, passed) = match device.poll_as(now).await? {
            Ok(outcome) => (format!("agent: {outcome:?}"), Exit::Success, false),
            Err(error) => {
                let exit = if error.is_trust() { Exit::Trust } else { Exit::Network };
                let line = format!("agent: refused: {error} (`{}`)", error.code());
                (line, exit, is_expected(&error) && exit == Exit::Trust)
            }
        };
        self.step(Step {
            title: title.into(),
            command: None,
            output: vec![line],
            exit_code: exit.code(),
            expected_exit_code: Exit::Trust.code(),
            result: result.into(),
            passed,
        })
    }

    pub(super) fn told(
        &mut self,
        title: &str,
        output: Vec<String>,
        judged: Result<(), Exit>,
        result: &str,
    ) -> Result<(), Failure> {
        let exit = judged.err().unwrap_or(Exit::Success);
        self.step(Step {
            title: title.into(),
            command: None,
            output,
            exit_code: exit.code(),
            expected_exit_code: Exit::Success.code(),
            result: result.into(),
            passed: judged.is_ok(),
        })
    }

    /// Shows a step as it happens and keeps it for the summary.
    fn step(&mut self, step: Step) -> Result<(), Failure> {
        let number = self.steps.len().saturating_add(1);
        self.context.output.tell(|out, paint| {
            writeln!(out, "\n{}", paint.tone(Tone::Strong, format!("{number}. {}", step.title)))?;
            if let Some(command) = &step.command {
                writeln!(out, "$ {command}")?;
            }
            for line in &step.output {
                writeln!(out, "  {line}")?;
            }
            if step.exit_code != 0 {
                writeln!(
                    out,
                    "  {}",
                    paint.tone(Tone::Warning, format!("exit {}", step.exit_code))
                )?;
            }
            Ok(())
        })?;
        self.steps.push(step);
        Ok(())
    }
}

/// A command as a user would type it.
fn words(arguments: &[&str]) -> String {
    format!("cargo esp-ota {}", arguments.join(" "))
}
