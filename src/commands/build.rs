//! `build`: firmware → app image, checked against every slot.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::{Context, ca, context, partitions, project_agent};
use crate::agent::image::ImageError;
use crate::config::{Overrides, Project, source};
use crate::error::{Exit, Explained, Failure};
use crate::image;
use crate::output::{Paint, Report, Tone};
use crate::partition::Table;

/// An ELF file with all debug information of a large firmware.
const LARGEST_ELF: u64 = 512 * 1024 * 1024;
/// The generated settings have half a kilobyte.
const LARGEST_SETTINGS: u64 = 1024 * 1024;
/// The TUF root that the firmware embeds.
pub(super) const ROOT_FILE: &str = "trust/root.json";
/// Tells the firmware the digest of its own agent, for its reports.
const AGENT_VARIABLE: &str = "ESP_OTA_AGENT";
/// Metadata of TUF roots has a few kilobytes.
const LARGEST_ROOT: u64 = 64 * 1024;

/// Build the firmware into an app image that fits every slot
#[derive(Debug, clap::Args)]
pub struct Build {
    /// Take this ELF file instead of running cargo
    #[arg(long, value_name = "FILE", conflicts_with = "cargo_arguments")]
    elf: Option<PathBuf>,
    /// Where to write the image [default: target/esp-ota/PRODUCT-CHIP-VERSION.bin]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Arguments for `cargo build`, such as `-- --features mine`
    #[arg(last = true, value_name = "ARGUMENTS")]
    cargo_arguments: Vec<OsString>,
    #[command(flatten)]
    project: Overrides,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no TUF root to embed.
    #[error("there is no `{}`: the firmware could not verify any release", .0.display())]
    NoRoot(PathBuf),
    /// Cargo could not be started.
    #[error("`{}` could not be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Cargo failed; its own words are on standard error.
    #[error("`cargo build` failed")]
    Cargo,
    /// More or fewer than one program was built.
    #[error("`cargo build` made {0} programs, not one")]
    Programs(usize),
    /// The image does not fit a slot.
    #[error("the image has {image} bytes, but slot `{slot}` has {room}: {} too many", image.saturating_sub(*room))]
    TooLarge {
        /// Bytes of the image.
        image: u32,
        /// Name of the slot.
        slot: String,
        /// Bytes of the slot.
        room: u32,
    },
    /// The image is not what the bootloader wants.
    #[error("the image made from `{}` would not boot", file.display())]
    Image {
        /// The ELF file.
        file: PathBuf,
        /// Why.
        source: ImageError,
    },
}

impl Explained for BuildError {
    fn exit(&self) -> Exit {
        match self {
            Self::TooLarge { .. } => Exit::Rejected,
            Self::NoRoot(_)
            | Self::Start { .. }
            | Self::Cargo
            | Self::Programs(_)
            | Self::Image { .. } => Exit::Project,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoRoot(_) => Some("make signing keys with `cargo esp-ota keys new`".into()),
            Self::TooLarge { .. } => {
                Some("make the program smaller, or the slots larger in the partition table".into())
            }
            Self::Programs(_) => Some("choose one: `cargo esp-ota build -- --bin NAME`".into()),
            Self::Start { .. } => {
                Some("install Rust from https://rustup.rs, or set `CARGO` to your cargo".into())
            }
            Self::Cargo | Self::Image { .. } => None,
        }
    }
}

/// An image that fits, and what is known of it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) image: Vec<u8>,
    pub(super) file: PathBuf,
    pub(super) version: String,
    pub(super) smallest_slot: (String, u32),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct BuildReport {
    file: PathBuf,
    version: String,
    size: usize,
    smallest_slot: String,
    slot_size: u32,
    free: u32,
}

impl Build {
    /// Builds, converts, checks, writes.
    pub fn run(self, context: &Context) -> Result<Exit, Failure> {
        let project = context.project(&self.project)?;
        let built =
            build(context, &project, self.elf.as_deref(), self.output, &self.cargo_arguments)?;
        let (slot, slot_size) = built.smallest_slot;
        let size = built.image.len();
        let report = BuildReport {
            file: built.file,
            version: built.version,
            size,
            smallest_slot: slot,
            slot_size,
            free: slot_size.saturating_sub(u32::try_from(size).unwrap_or(u32::MAX)),
        };
        context.output.answer(&report, Exit::Success)
    }
}

/// The TUF root of a project, which its firmware embeds and its releases are verified with.
pub(super) fn tuf_root(project: &Project) -> Result<Vec<u8>, Failure> {
    let file = project.path(Path::new(ROOT_FILE));
    if file.is_file() {
        Ok(context::read(&file, LARGEST_ROOT)?)
    } else {
        Err(BuildError::NoRoot(file).into())
    }
}

/// Makes the image of a project. Everything that can be refused is refused before cargo runs.
pub(super) fn build(
    context: &Context,
    project: &Project,
    elf: Option<&Path>,
    output: Option<PathBuf>,
    cargo_arguments: &[OsString],
) -> Result<Built, Failure> {
    tuf_root(project)?;
    let (table, _) = partitions::project_table(project)?;
    ca::check_embedded(project, context.now())?;
    if let Some((file, text)) = stale_settings(project)? {
        context.output.status(format_args!("`{}` follows `esp-ota.toml`", file.display()));
        context::write(&file, text.as_bytes())?;
    }
    let elf = match elf {
        Some(elf) => elf.to_owned(),
        None => {
            let agent = project_agent(project)?;
            cargo_build(context, project, cargo_arguments, agent.as_deref())?
        }
    };
    let bytes = context::read(&elf, LARGEST_ELF)?;
    let chip = project.chip.value;
    let image = image::from_elf(&bytes, chip, project.flash_size.value)?;
    let info = image::read(&image, Some(chip))
        .map_err(|source| BuildError::Image { file: elf.clone(), source })?;
    let smallest_slot = fit(&table, info.len)?;
    let version = info.descriptor.map_or(String::new(), |it| it.version().to_owned());
    let file = output.unwrap_or_else(|| {
        let name = format!("{}-{chip}-{}.bin", project.product.value, file_part(&version));
        project.folder.join("target").join("esp-ota").join(name)
    });
    context::write(&file, &image)?;
    Ok(Built { image, file, version, smallest_slot })
}

/// The generated settings of the firmware, where they are there and do not say what `esp-ota.toml`
/// says now: the file and what belongs into it. A file without our header is somebody's own.
pub(super) fn stale_settings(project: &Project) -> Result<Option<(PathBuf, String)>, Failure> {
    let file = project.path(Path::new(source::FILE));
    if !file.is_file() {
        return Ok(None);
    }
    let found = context::read(&file, LARGEST_SETTINGS)?;
    let wanted = source::rust(project);
    let is_ours = found.starts_with(source::HEADER.as_bytes());
    Ok((is_ours && found != wanted.as_bytes()).then_some((file, wanted)))
}

/// A version in a file name: whatever a firmware calls itself, it stays in its folder.
fn file_part(version: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-+_".contains(c);
    let part: String = version.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if part.is_empty() { "unversioned".into() } else { part }
}

/// The image has to fit every slot, since every slot gets its turn. Gives the smallest.
fn fit(table: &Table, image: u32) -> Result<(String, u32), BuildError> {
    let too_small = table.slots().into_iter().find(|slot| slot.size < image);
    if let Some(slot) = too_small {
        let (slot, room) = (slot.label.to_string(), slot.size);
        return Err(BuildError::TooLarge { image, slot, room });
    }
    let smallest = table.smallest_slot();
    Ok(smallest.map_or((String::new(), 0), |slot| (slot.label.to_string(), slot.size)))
}

/// What cargo says of each thing it built, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
}

/// Runs cargo in the project and gives the one program it built.
fn cargo_build(
    context: &Context,
    project: &Project,
    arguments: &[OsString],
    agent: Option<&str>,
) -> Result<PathBuf, BuildError> {
    let program = PathBuf::from(context::os_variable("CARGO").unwrap_or_else(|| "cargo".into()));
    context.output.status(format_args!("running `cargo build --release` for the firmware"));
    let mut command = Command::new(&program);
    command
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .current_dir(project.path(Path::new(".")))
        .stdout(Stdio::piped());
    if let Some(agent) = agent {
        command.env(AGENT_VARIABLE, agent);
    }
    // The toolchain that runs this tool must not override the one the firmware names.
    if ["rust-toolchain.toml", "rust-toolchain"]
        .iter()
        .any(|file| project.folder.join(file).is_file())
    {
        command.env_remove("RUSTUP_TOOLCHAIN");
    }
    let start = |source| BuildError::Start { program: program.clone(), source };
    let mut child = command.spawn().map_err(start)?;
    let mut programs = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            let Ok(message) = serde_json::from_str::<Message>(&line) else { continue };
            if message.reason == "compiler-artifact" {
                programs.extend(message.executable);
            }
        }
    }
    if !child.wait().map_err(start)?.success() {
        return Err(BuildError::Cargo);
    }
    match programs.as_slice() {
        [one] => Ok(one.clone()),
        other => Err(BuildError::Programs(other.len())),
    }
}

impl Report for BuildReport {
    fn human(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let size = u64::try_from(self.size).unwrap_or(u64::MAX);
        let percent = size.saturating_mul(100).checked_div(u64::from(self.slot_size)).unwrap_or(0);
        writeln!(
            out,
            "image {} of {} bytes: {percent}% of slot `{}`, {} bytes free\n  {}",
            paint.tone(Tone::Strong, &self.version),
            self.size,
            self.smallest_slot,
            self.free,
            self.file.display()
        )
    }
}
