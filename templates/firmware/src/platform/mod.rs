//! The board: all that knows the chip, and all that is `unsafe`. The update agent sees flash, a
//! layout and plain values.

mod c_library;
mod cores;
mod unused;
#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(feature = "tls-clock")]
pub mod wall_clock;

use alloc::format;
use alloc::string::String;
use core::cell::RefCell;
use core::convert::Infallible;
use core::fmt;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use esp_bootloader_esp_idf::partitions::{self, PARTITION_TABLE_MAX_LEN, PartitionEntry};
use esp_hal::delay::Delay;
use esp_hal::efuse;
use esp_hal::peripherals::{FLASH, RTC_TIMER};
use esp_hal::rng::Rng;
use esp_hal::rtc_cntl::{Rtc, RwdtStage};
use esp_hal::system::{self, software_reset};
use esp_hal::time::Duration;
use esp_println::println;
use esp_storage::{FlashStorage, FlashStorageError};
use rand_core::{TryCryptoRng, TryRng};

use crate::ota::layout::{Layout, Region, Running};
use crate::ota::ports::StoreError;
use crate::ota::reset::ResetReason;
use crate::ota::trial::{DEADLINE, FlashError};

/// Time to read a message, and for the serial port to get it out.
pub const READING_TIME_MS: u32 = 5_000;

/// When this image was built, in Unix seconds; `build.rs` says so.
pub const BUILD_TIME: u64 = match u64::from_str_radix(env!("BUILD_TIME"), 10) {
    Ok(time) => time,
    Err(_) => panic!("BUILD_TIME is not a number"),
};

/// The flash chip, shared: the agent and its store each hold a reference, and one call at a time
/// borrows it.
pub struct Flash(RefCell<FlashStorage<'static>>);

impl Flash {
    pub fn new(peripheral: FLASH<'static>) -> Self {
        Self(RefCell::new(cores::flash(peripheral)))
    }
}

impl ErrorType for &Flash {
    type Error = FlashStorageError;
}

impl ReadNorFlash for &Flash {
    const READ_SIZE: usize = FlashStorage::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashStorageError> {
        self.0.borrow_mut().read_nor(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.borrow().capacity()
    }
}

impl NorFlash for &Flash {
    const WRITE_SIZE: usize = FlashStorage::WRITE_SIZE;
    const ERASE_SIZE: usize = FlashStorage::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashStorageError> {
        self.0.borrow_mut().erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashStorageError> {
        self.0.borrow_mut().write_nor(offset, bytes)
    }
}

/// What the partition table on the chip says, and where in it this image runs.
pub struct Partitions {
    pub layout: Layout,
    pub nvs: Option<Region>,
    pub running: Running,
}

/// Reads the partition table. Types and subtypes are taken as numbers: the typed getters of
/// esp-bootloader-esp-idf panic on those it does not know.
pub fn partitions(flash: &Flash) -> Result<Partitions, Fault> {
    let mut bytes = [0; PARTITION_TABLE_MAX_LEN];
    let table = partitions::read_partition_table(&mut flash.0.borrow_mut(), &mut bytes)?;
    let mut layout = Layout::default();
    let (mut otadata, mut nvs) = (None, None);
    for entry in table.iter() {
        let region = Region { start: entry.offset(), len: entry.len() };
        match (entry.raw_type(), entry.raw_subtype()) {
            (0, 0x00) => layout.factory = Some(region),
            (0, subtype) => {
                if let Some(slot) = slot(subtype).and_then(|index| layout.slots.get_mut(index)) {
                    *slot = Some(region);
                }
            }
            (1, 0x00) => otadata = Some(region.start),
            (1, 0x02) if entry.label().starts_with(b"nvs\0") => nvs = Some(region),
            _ => {}
        }
    }
    layout.otadata = otadata.ok_or(Fault::Missing("otadata"))?;
    Ok(Partitions {
        layout,
        nvs,
        running: table.booted_partition()?.and_then(running).ok_or(Fault::Lost)?,
    })
}

/// The index of `ota_0` to `ota_15`; the subtypes beyond are no slots.
fn slot(subtype: u8) -> Option<usize> {
    subtype.checked_sub(0x10).map(usize::from)
}

fn running(entry: PartitionEntry) -> Option<Running> {
    match entry.raw_subtype() {
        0x00 => Some(Running::Factory),
        subtype @ 0x10..=0x1f => Some(Running::Slot(u32::from(subtype & 0x0f))),
        _ => None,
    }
}

/// The partition's usual label.
pub fn slot_name(running: Running) -> impl fmt::Display {
    fmt::from_fn(move |f| match running {
        Running::Factory => f.write_str("factory"),
        Running::Slot(index) => write!(f, "ota_{index}"),
    })
}

/// The factory MAC address as 12 lower-case hexadecimal digits: what rollouts go by.
pub fn device_id() -> String {
    efuse::base_mac_address().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An address of our own for the Ethernet of an emulated board, whose eFuses may hold none.
#[cfg(feature = "emulator")]
pub fn mac_address() -> [u8; 6] {
    let mut mac = [0; 6];
    mac.copy_from_slice(efuse::base_mac_address().as_bytes());
    let [first, ..] = &mut mac;
    *first = 0x02; // locally administered, and no multicast (IEEE 802, section 8.2)
    mac
}

/// Random numbers from the hardware. They are good enough for keys while the radio is on, or, in an
/// emulator, while a `TrngSource` is alive (ESP-IDF, "Random Number Generation").
pub struct HardwareRng(Rng);

impl HardwareRng {
    pub fn new() -> Self {
        Self(Rng::new())
    }
}

impl TryRng for HardwareRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.random())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.0.random()) << 32 | u64::from(self.0.random()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.read(bytes);
        Ok(())
    }
}

impl TryCryptoRng for HardwareRng {}

/// Revision of the chip: major times 100 plus minor, as image headers count it.
pub fn chip_revision() -> u16 {
    efuse::chip_revision().combined()
}

/// Whether the chip encrypts its flash, which the agent cannot write then.
pub fn has_flash_encryption() -> bool {
    efuse::flash_encryption()
}

/// Why the chip started. The chips number their reasons alike (ESP-IDF, `soc_reset_reason_t`),
/// but esp-hal names them differently from chip to chip.
pub fn reset_reason() -> ResetReason {
    match system::reset_reason().map(|reason| reason as usize) {
        Some(0x01) => ResetReason::PowerOn,
        Some(0x03 | 0x0c) => ResetReason::Software,
        Some(0x05) => ResetReason::DeepSleep,
        Some(0x07..=0x09 | 0x0b | 0x0d | 0x10..=0x12) => ResetReason::Watchdog,
        Some(0x0f) => ResetReason::BrownOut,
        _ => ResetReason::Unknown,
    }
}

/// The RTC watchdog, which goes on when the CPU hangs, with interrupts off or not.
pub struct Watchdog(Rtc<'static>);

impl Watchdog {
    /// Starts the deadline of a trial, before anybody knows whether there is one: even the first
    /// look at flash could hang. Nothing feeds it; a verdict ends it, or that there is no trial.
    pub fn armed(peripheral: RTC_TIMER<'static>) -> Self {
        let mut rtc = Rtc::new(peripheral);
        rtc.rwdt.set_timeout(RwdtStage::Stage0, Duration::from_secs(DEADLINE.as_secs()));
        rtc.rwdt.enable();
        rtc.rwdt.feed();
        Self(rtc)
    }

    pub fn disarm(&mut self) {
        self.0.rwdt.disable();
    }
}

/// Says why, then starts again: an image on trial that cannot go on falls back by that.
pub fn stop(fault: &Fault) -> ! {
    println!("{fault}; restarting");
    Delay::new().delay_millis(READING_TIME_MS);
    software_reset()
}

/// Says why, then starts again at once.
pub fn restart(reason: &str) -> ! {
    println!("{reason}; restarting");
    Delay::new().delay_millis(100);
    software_reset()
}

/// Why the device cannot keep itself up to date.
#[derive(Debug)]
pub enum Fault {
    /// The partition table is not there or damaged.
    Table(partitions::Error),
    /// The partition table has no partition of this name.
    Missing(&'static str),
    /// This image runs from a place that is no slot.
    Lost,
    /// Flash encryption is on. What the agent writes in plain the chip would read as noise, and
    /// what an encrypted `nvs` holds the agent would take for damage.
    Encrypted,
    /// `otadata` could not be read or written.
    Otadata,
    /// The `nvs` partition could not be opened.
    Store,
    /// The version in `Cargo.toml` is none.
    Version(semver::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(error) => write!(f, "the partition table cannot be read: {error}"),
            Self::Missing(name) => write!(f, "the partition table has no `{name}`"),
            Self::Lost => write!(f, "this image runs from no slot of the partition table"),
            Self::Encrypted => write!(f, "flash encryption is on, which this agent cannot write"),
            Self::Otadata => write!(f, "`otadata` cannot be read or written"),
            Self::Store => write!(f, "the `nvs` partition cannot be opened"),
            Self::Version(error) => write!(f, "the version is not semver: {error}"),
        }
    }
}

impl From<partitions::Error> for Fault {
    fn from(error: partitions::Error) -> Self {
        Self::Table(error)
    }
}

impl From<FlashError> for Fault {
    fn from(FlashError: FlashError) -> Self {
        Self::Otadata
    }
}

impl From<StoreError> for Fault {
    fn from(StoreError: StoreError) -> Self {
        Self::Store
    }
}

impl From<semver::Error> for Fault {
    fn from(error: semver::Error) -> Self {
        Self::Version(error)
    }
}
