//! Runs `cargo build` in the project, and keeps what cargo says about what it built.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::dates::{CertificateDates, PROJECT_FEATURE};
use super::error::BuildError;
use super::messages::{Artifact, BuildScript, Message};
use super::remap;
use super::trouble::{Listener, Trouble};
use crate::commands::{Context, context, stamp};
use crate::config::Project;
use crate::image::parts::{Libraries, Library, Origins};

/// Tells the firmware the digest of its own agent, for its reports.
const AGENT_VARIABLE: &str = "ESP_OTA_AGENT";
/// Written by people.
const LARGEST_MANIFEST: u64 = 1024 * 1024;
/// The largest of Espressif's libraries has 9 MB.
const LARGEST_LIBRARY: u64 = 256 * 1024 * 1024;

/// What cargo built.
#[derive(Debug)]
pub(super) struct Compiled {
    /// The ELF file.
    pub(super) program: PathBuf,
    /// Whether the program checks the dates of certificates.
    pub(super) dates: CertificateDates,
    /// The `Cargo.toml` of its package.
    manifest: PathBuf,
    artifacts: Vec<Artifact>,
    build_scripts: Vec<BuildScript>,
}

impl Compiled {
    /// Whether the package has the feature that switches the clock of TLS on, as `init` writes it.
    pub(super) fn has_clock_feature(&self) -> bool {
        let manifest = context::read(&self.manifest, LARGEST_MANIFEST).ok();
        let manifest = manifest.and_then(|bytes| toml::from_slice::<toml::Table>(&bytes).ok());
        let features = manifest.as_ref().and_then(|table| table.get("features"));
        features.is_some_and(|features| features.get(PROJECT_FEATURE).is_some())
    }

    /// Reads what the program was linked from.
    pub(super) fn origins(&self, context: &Context) -> Origins {
        let own = self.artifacts.iter().filter(|artifact| artifact.is_of_the_project());
        let own_crates = own.map(Artifact::crate_name).collect();
        let mut origins = Origins { own_crates, libraries: Libraries::default() };
        for script in &self.build_scripts {
            for file in script.archives() {
                let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
                let library = Library { crate_name: script.crate_name(), file: name.to_owned() };
                match context::read(&file, LARGEST_LIBRARY) {
                    Ok(bytes) => origins.libraries.add(&library, &bytes),
                    // Not every library that is named is an archive in that folder.
                    Err(_) => context.output.detail(format_args!(
                        "`{name}` of `{}` is no file here",
                        library.crate_name
                    )),
                }
            }
        }
        origins
    }
}

/// Runs cargo in the project. Its words go to standard error as they come.
pub(super) fn cargo_build(
    context: &Context,
    project: &Project,
    arguments: &[OsString],
    agent: Option<&str>,
) -> Result<Compiled, BuildError> {
    let has_toolchain = ["rust-toolchain.toml", "rust-toolchain"]
        .iter()
        .any(|file| project.folder.join(file).is_file());
    let program = program(has_toolchain);
    let folder = project.path(Path::new("."));
    let remapped = context::os_variable(stamp::VARIABLE)
        .map(|_| remapped(&program, &folder, has_toolchain, arguments))
        .transpose()
        .unwrap_or_else(|why| {
            context.output.remark(format_args!(
                "paths of this computer stay in the image, so another makes another one: {why}"
            ));
            None
        })
        .unwrap_or_default();
    context.output.status(format_args!("running `cargo build --release` for the firmware"));
    let mut command = Command::new(&program);
    command
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(remapped.arguments)
        .args(arguments)
        .current_dir(&folder)
        .envs(context.output.cargo_environment())
        .envs(remapped.variable)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(agent) = agent {
        command.env(AGENT_VARIABLE, agent);
    }
    // The toolchain that runs this tool must not override the one the firmware names.
    if has_toolchain {
        command.env_remove("RUSTUP_TOOLCHAIN");
    }
    let start = |source| BuildError::Start { program: program.clone(), source };
    let mut child = command.spawn().map_err(start)?;
    let (messages, trouble) = listen(context, &mut child);
    if !child.wait().map_err(start)?.success() {
        return Err(trouble.map_or(BuildError::Cargo, BuildError::Toolchain));
    }
    compiled(messages)
}

/// What keeps the paths of this computer out of the image.
fn remapped(
    cargo: &Path,
    folder: &Path,
    has_toolchain: bool,
    arguments: &[OsString],
) -> Result<remap::Addition, String> {
    let command = |program: &OsStr| {
        let mut command = Command::new(program);
        command.current_dir(folder);
        if has_toolchain {
            command.env_remove("RUSTUP_TOOLCHAIN");
        }
        command
    };
    let home = remap::cargo_home(context::os_variable("CARGO_HOME").as_deref());
    let settings = remap::settings(folder, home.as_deref());
    let places = remap::Places::find(cargo, command, home)?;
    remap::addition(&places, &settings, arguments, std::env::vars_os())
}

/// Reads both streams to their ends: neither may fill up while the other is waited for.
fn listen(context: &Context, child: &mut Child) -> (Vec<Message>, Option<Trouble>) {
    let pass_on = context.output.pass_on();
    let stderr = child.stderr.take();
    let listener = std::thread::spawn(move || match stderr {
        Some(stderr) => overhear(stderr, pass_on),
        None => None,
    });
    let lines = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
    let messages = lines
        .into_iter()
        .flatten()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str(&line).ok())
        .collect();
    (messages, listener.join().ok().flatten())
}

/// Passes bytes on at once, progress bars and all, and listens to their lines.
fn overhear(mut stderr: impl Read, pass_on: impl Fn(&[u8])) -> Option<Trouble> {
    /// What is read at once, and the longest line that is listened to whole.
    const CHUNK: usize = 4096;
    let mut listener = Listener::default();
    let mut chunk = [0; CHUNK];
    let mut line: Vec<u8> = Vec::new();
    loop {
        let read = match stderr.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => chunk.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        pass_on(read);
        for byte in read {
            // A progress bar ends with a carriage return.
            if matches!(byte, b'\n' | b'\r') {
                listener.line(&String::from_utf8_lossy(&line));
                line.clear();
            } else if line.len() < CHUNK {
                line.push(*byte);
            }
        }
    }
    listener.line(&String::from_utf8_lossy(&line));
    listener.finish()
}

/// The cargo to run: `$CARGO`, which cargo sets for its subcommands. Where that is the cargo of the
/// toolchain that runs this tool, and the project names another, rustup has to choose again.
fn program(has_toolchain: bool) -> PathBuf {
    let given = context::os_variable("CARGO").map(PathBuf::from);
    let running = context::os_variable("RUSTUP_TOOLCHAIN");
    match given {
        Some(cargo) if !(has_toolchain && is_in_toolchain(&cargo, running.as_deref())) => cargo,
        _ => "cargo".into(),
    }
}

fn is_in_toolchain(cargo: &Path, toolchain: Option<&OsStr>) -> bool {
    toolchain.is_some_and(|name| cargo.components().any(|part| part.as_os_str() == name))
}

/// The one program among what was built.
fn compiled(messages: Vec<Message>) -> Result<Compiled, BuildError> {
    let mut artifacts = Vec::new();
    let mut build_scripts = Vec::new();
    for message in messages {
        match message {
            Message::CompilerArtifact(artifact) => artifacts.push(artifact),
            Message::BuildScriptExecuted(script) => build_scripts.push(script),
            Message::Other => {}
        }
    }
    let programs: Vec<(&Artifact, &PathBuf)> =
        artifacts.iter().filter_map(|it| Some((it, it.executable.as_ref()?))).collect();
    match programs.as_slice() {
        [(artifact, program)] => Ok(Compiled {
            program: (*program).clone(),
            manifest: artifact.manifest_path.clone(),
            dates: CertificateDates::of(&artifacts),
            artifacts,
            build_scripts,
        }),
        other => Err(BuildError::Programs(other.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cargo_of_a_toolchain_is_told_from_any_other() {
        let cargo = Path::new("/home/me/.rustup/toolchains/stable-x86_64/bin/cargo");
        let is_in = |name: &str| is_in_toolchain(cargo, Some(OsStr::new(name)));
        assert!(is_in("stable-x86_64") && !is_in("stable") && !is_in("esp"));
        assert!(!is_in_toolchain(cargo, None));
        assert!(!is_in_toolchain(Path::new("/usr/bin/cargo"), Some(OsStr::new("stable-x86_64"))));
    }

    #[test]
    fn standard_error_passes_through_byte_for_byte() {
        use std::cell::RefCell;
        let text = b"\x1b[32m Compiling\x1b[0m a\r Building [=> ] 1/2\rerror: linker `lld` not found\xff\n";
        let passed = RefCell::new(Vec::new());
        let trouble = overhear(&text[..], |bytes| passed.borrow_mut().extend_from_slice(bytes));
        assert_eq!(passed.into_inner(), text);
        assert_eq!(trouble, Some(Trouble::Linker("lld".into())));
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let endless = vec![b'x'; 1 << 20];
        assert_eq!(overhear(endless.as_slice(), |_| {}), None);
    }
}
