//! Why nothing could be tried on an emulated chip. That an image failed is no error: see `fault`.

use std::io;
use std::path::PathBuf;

use super::kind::Emulator;
use crate::chip::Chip;
use crate::device::SlotError;
use crate::error::{Exit, Explained};
use crate::flash_size::FlashSize;
use crate::release::keys::KeyError;
use crate::release::repository::RepositoryError;
use crate::release::store::StoreError;
use crate::server::ServerError;
use crate::trust::BenchError;

/// Where Espressif says how to get its fork of QEMU.
const QEMU_PAGE: &str =
    "https://docs.espressif.com/projects/esp-idf/en/stable/esp32c3/api-guides/tools/qemu.html";
/// Where its emulator is.
const ESP_EMU_PAGE: &str = "https://github.com/espressif/esp-emulator";

/// A rehearsal on an emulated chip that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// The emulator is not there.
    #[error("there is no `{}` on `PATH`", .0.program())]
    Missing(Emulator),
    /// The program that was named is not there.
    #[error("there is no program `{}`", .0.display())]
    NoProgram(PathBuf),
    /// It is another QEMU.
    #[error("`{}` has no machine `{chip}`: it is not Espressif's fork of QEMU", program.display())]
    OtherQemu {
        /// The program.
        program: PathBuf,
        /// The chip.
        chip: Chip,
    },
    /// The program does not answer like the emulator.
    #[error("`{}` does not answer like {}: {answer}", program.display(), emulator.name())]
    NotIt {
        /// The program.
        program: PathBuf,
        /// What it should be.
        emulator: Emulator,
        /// What it did.
        answer: String,
    },
    /// The emulator does not have this chip.
    #[error("{} does not emulate `{chip}`, only {}", emulator.name(), chips(*emulator))]
    Chip {
        /// The emulator.
        emulator: Emulator,
        /// The project's chip.
        chip: Chip,
    },
    /// The emulator has no flash of this size.
    #[error("{} emulates flash of 2MB, 4MB, 8MB and 16MB, but the project has {size}", emulator.name())]
    FlashSize {
        /// The emulator.
        emulator: Emulator,
        /// The project's flash.
        size: FlashSize,
    },
    /// The table has no two slots.
    #[error("the partition table has no `{0}`")]
    NoPartition(&'static str),
    /// Something does not fit where it belongs.
    #[error("{what} has {bytes} bytes, but `{place}` has {room}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
        /// Where it belongs.
        place: String,
        /// Bytes there.
        room: u32,
    },
    /// The table cannot be written as the bootloader reads it.
    #[error("the partition table cannot be encoded")]
    Table,
    /// espflash has no bootloader.
    #[error("espflash has no bootloader for `{0}`")]
    Bootloader(Chip),
    /// The settings do not fit `nvs`.
    #[error("the settings of the emulated device cannot be written to `nvs`")]
    Settings,
    /// The emulator could not be started.
    #[error("`{}` could not be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The emulator gave up: not the image, as far as anybody can tell.
    #[error("`{}` ended with {status}", program.display())]
    Died {
        /// The program.
        program: PathBuf,
        /// How.
        status: String,
        /// The last of its own words.
        #[source]
        words: Option<Words>,
    },
    /// A file of the rehearsal could not be read or written.
    #[error("`{}` cannot be used", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The emulated flash is no flash any more.
    #[error("what the emulator left in flash cannot be read")]
    Flash(#[from] SlotError),
    /// The root of the bench could not be made.
    #[error("the certificates of the rehearsal could not be made")]
    Bench(#[from] BenchError),
    /// No signing keys.
    #[error("the keys of the rehearsal could not be made")]
    Keys(#[from] KeyError),
    /// The repository of the rehearsal could not be made.
    #[error("the release cannot be published to the emulated device")]
    Repository(#[from] RepositoryError),
    /// Its files could not be written.
    #[error("the repository of the rehearsal could not be written")]
    Store(#[from] StoreError),
    /// Its server did not start.
    #[error("the server of the rehearsal did not start")]
    Server(#[from] ServerError),
}

/// What another program said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Words(pub String);

fn chips(emulator: Emulator) -> String {
    let names: Vec<_> = emulator.chips().iter().map(|chip| format!("`{chip}`")).collect();
    names.join(" and ")
}

fn install(emulator: Emulator) -> String {
    match emulator {
        Emulator::Qemu => format!(
            "install Espressif's fork of QEMU: {QEMU_PAGE}; or name it with `--emulator-binary`"
        ),
        Emulator::EspEmu => {
            format!("install esp-emu: {ESP_EMU_PAGE}; or name it with `--emulator-binary`")
        }
    }
}

impl Explained for EmulatorError {
    fn exit(&self) -> Exit {
        match self {
            Self::Missing(_)
            | Self::NoProgram(_)
            | Self::OtherQemu { .. }
            | Self::NotIt { .. }
            | Self::Chip { .. }
            | Self::FlashSize { .. }
            | Self::NoPartition(_)
            | Self::Table
            | Self::Settings
            | Self::Bootloader(_)
            | Self::Start { .. } => Exit::Project,
            Self::TooLarge { .. } => Exit::Rejected,
            Self::Died { .. } | Self::Flash(_) => Exit::Device,
            Self::File { .. } => Exit::Output,
            Self::Bench(error) => error.exit(),
            Self::Keys(error) => error.exit(),
            Self::Repository(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::Server(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing(emulator) | Self::NotIt { emulator, .. } => Some(install(*emulator)),
            Self::OtherQemu { .. } => Some(install(Emulator::Qemu)),
            Self::NoProgram(_) => Some("check the path after `--emulator-binary`".into()),
            Self::Chip { .. } => Some(
                "rehearse without `--emulator`: the virtual device knows every chip; the image \
                 itself has to be tried on a board"
                    .into(),
            ),
            Self::FlashSize { .. } => {
                Some("pass a size that the emulator has with `--flash-size`".into())
            }
            Self::NoPartition(_) => {
                Some("look at the table with `cargo esp-ota partitions check`".into())
            }
            Self::TooLarge { .. } => Some("make the program smaller or the slots larger".into()),
            Self::Start { .. } => {
                Some("check that it is a program, and that you may run it".into())
            }
            Self::File { .. } => {
                Some("check that you may write there; the disk may be full".into())
            }
            Self::Died { .. } | Self::Flash(_) => {
                Some("look into the serial log; another version of the emulator may help".into())
            }
            Self::Table | Self::Bootloader(_) | Self::Settings => None,
            Self::Bench(error) => error.help(),
            Self::Keys(error) => error.help(),
            Self::Repository(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::Server(error) => error.help(),
        }
    }
}
