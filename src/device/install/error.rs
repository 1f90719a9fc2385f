//! Why a device is not, or cannot be, what an install would make of it.

use super::bootloader::BootloaderError;
use super::plan::What;
use super::secure::SecureError;
use crate::device::nvs::NvsError;
use crate::device::slots::ChangeError;
use crate::device::{DeviceError, SlotError};
use crate::error::{Exit, Explained};
use crate::partition::EncodeError;
use crate::virtual_device::bootloader::Target;

/// An install is refused, or was broken off.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The table does not fit the chip.
    #[error("the table needs {end:#x} bytes of flash, and the chip has {flash:#x}")]
    SmallFlash {
        /// Bytes that there are.
        flash: u32,
        /// First byte behind the last partition.
        end: u64,
    },
    /// The bootloader would not start the app.
    #[error("the app needs revision v{}.{} of the chip, and this one is v{}.{}", needed / 100, needed % 100, found / 100, found % 100)]
    OldChip {
        /// That of the chip, major times 100 plus minor.
        found: u16,
        /// The lowest that the app states.
        needed: u16,
    },
    /// The table has nothing to choose a slot by.
    #[error("the table has no `otadata` partition, so nothing could choose the slot")]
    NoOtadata,
    /// The table cannot be written down.
    #[error("the table cannot be written")]
    Table(#[source] EncodeError),
    /// Data would not be found any more.
    #[error("the new table loses data that are on the device: {}", .0.join("; "))]
    DataLoss(Vec<String>),
    /// The table has no such slot.
    #[error("the table has no `{wanted}`: there is {}", list(there))]
    NoSuchSlot {
        /// What was asked for.
        wanted: Target,
        /// What there is.
        there: Vec<Target>,
    },
    /// The app does not fit the slot.
    #[error("the app has {app} bytes, and `{slot}` has room for {room}")]
    TooLarge {
        /// Bytes of the app.
        app: u32,
        /// The slot.
        slot: Target,
        /// Bytes of the slot.
        room: u32,
    },
    /// There is no place for settings.
    #[error("the table has no `nvs` partition, so the settings have no place")]
    NoNvs,
    /// Whatever is there, it is no NVS, and no table says what it is.
    #[error(
        "what is at {0:#x}, where `nvs` belongs, is no NVS, and there is no table that says what it is"
    )]
    ForeignNvs(u32),
    /// The device has more than one table, and its bootloader looks at one of them.
    #[error("there are partition tables at {}: which of them its bootloader looks at is not known", offsets(.0))]
    Tables(Vec<u32>),
    /// The settings cannot be merged with what is there.
    #[error(transparent)]
    Nvs(#[from] NvsError),
    /// The bootloader of espflash would not find the table.
    #[error("espflash's bootloader looks for the table at 0x8000, not at {0:#x}")]
    TableOffset(u32),
    /// The bootloader is none for this device.
    #[error(transparent)]
    Bootloader(#[from] BootloaderError),
    /// The chip would not start it.
    #[error(transparent)]
    Secure(#[from] SecureError),
    /// What was written is not what is there.
    #[error("{what} at {offset:#x} reads back as other bytes than were written")]
    ReadBack {
        /// What was written.
        what: What,
        /// Where.
        offset: u32,
    },
    /// The choice of the slot could not be written.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The slots could not be read.
    #[error(transparent)]
    Slots(#[from] SlotError),
    /// The flash could not be reached.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

fn offsets(offsets: &[u32]) -> String {
    offsets.iter().map(|offset| format!("{offset:#x}")).collect::<Vec<_>>().join(", ")
}

fn list(targets: &[Target]) -> String {
    targets.iter().map(|target| format!("`{target}`")).collect::<Vec<_>>().join(", ")
}

impl Explained for InstallError {
    fn exit(&self) -> Exit {
        match self {
            Self::SmallFlash { .. }
            | Self::OldChip { .. }
            | Self::NoOtadata
            | Self::NoNvs
            | Self::ForeignNvs(_)
            | Self::Tables(_)
            | Self::Table(_)
            | Self::TableOffset(_)
            | Self::DataLoss(_)
            | Self::NoSuchSlot { .. }
            | Self::TooLarge { .. } => Exit::Rejected,
            Self::ReadBack { .. } => Exit::Device,
            Self::Nvs(error) => error.exit(),
            Self::Bootloader(error) => error.exit(),
            Self::Secure(error) => error.exit(),
            Self::Change(error) => error.exit(),
            Self::Slots(error) => error.exit(),
            Self::Device(error) => error.exit(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::SmallFlash { .. } => Some(
                "make a table for this chip with `cargo esp-ota partitions generate --flash-size`"
                    .into(),
            ),
            Self::OldChip { .. } => {
                Some("build it for older revisions of the chip, or use a newer board".into())
            }
            Self::NoOtadata => {
                Some("make a table with one: `cargo esp-ota partitions generate`".into())
            }
            Self::Table(_) => {
                Some("remove rows: `cargo esp-ota partitions check` counts them".into())
            }
            Self::DataLoss(_) => {
                Some("dump the flash first where they matter, then pass `--allow-data-loss`".into())
            }
            Self::NoSuchSlot { .. } => Some("pass another `--slot`, or none".into()),
            Self::TooLarge { .. } => Some(
                "make the app smaller, or the slots larger: `cargo esp-ota partitions generate`"
                    .into(),
            ),
            Self::ReadBack { .. } => Some(
                "run the command again, at a lower `--baud`; the flash may be worn or protected"
                    .into(),
            ),
            Self::TableOffset(_) => Some(
                "pass one that was built for it: `--bootloader FILE`, or leave the table at 0x8000"
                    .into(),
            ),
            Self::NoNvs => {
                Some("make a table with one: `cargo esp-ota partitions generate`".into())
            }
            Self::ForeignNvs(_) => {
                Some("give it up with `--erase nvs`, or dump the flash and look at it first".into())
            }
            Self::Tables(_) => Some(
                "pass the bootloader as well, `--bootloader FILE` or `--bootloader espflash`, or \
                 `--erase all`"
                    .into(),
            ),
            Self::Nvs(error) => error.help(),
            Self::Bootloader(error) => error.help(),
            Self::Secure(error) => error.help(),
            Self::Change(error) => error.help(),
            Self::Slots(error) => error.help(),
            Self::Device(error) => error.help(),
        }
    }
}
