//! The agent's memory in the `nvs` partition, in ESP-IDF's own format, so that other tools can
//! read it.

use alloc::string::String;
use alloc::vec::Vec;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use esp_nvs::error::Error;
use esp_nvs::platform::{Crc, software_crc32};
use esp_nvs::{Key, MAX_KEY_LENGTH, Nvs};

use super::layout::Region;
use super::nvs_repair;
use super::ports::{Store, StoreError};

/// Namespace of the agent's state.
const NAMESPACE: Key = Key::from_str("esp_ota_st");
/// Namespace of the settings. The agent only reads them.
const SETTINGS: Key = Key::from_str("esp_ota");
/// The setting that must not be taken for absent when it is damaged.
pub(super) const WIFI_PSK: &str = "wifi_psk";

/// [`Store`] over the `nvs` partition.
pub struct NvsStore<F: NorFlash> {
    nvs: Nvs<Checked<F>>,
    has_trace_of_psk: bool,
}

impl<F: NorFlash> core::fmt::Debug for NvsStore<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("NvsStore").finish_non_exhaustive()
    }
}

impl<F: NorFlash> NvsStore<F> {
    /// Opens the partition, and repairs what a power cut left there.
    ///
    /// # Errors
    ///
    /// Where flash fails, and for an encrypted NVS, of which nothing is written or erased.
    pub fn open(mut flash: F, partition: Region) -> Result<Self, StoreError> {
        if !nvs_repair::is_readable(&mut flash, partition).map_err(|_| StoreError)? {
            return Err(StoreError);
        }
        // Before anything that is damaged is taken for torn.
        let has_trace_of_psk = nvs_repair::has_trace(&mut flash, partition, WIFI_PSK);
        let has_trace_of_psk = has_trace_of_psk.map_err(|_| StoreError)?;
        nvs_repair::repair(&mut flash, partition).map_err(|_| StoreError)?;
        let start = usize::try_from(partition.start).map_err(|_| StoreError)?;
        let len = usize::try_from(partition.len).map_err(|_| StoreError)?;
        let nvs = Nvs::new(start, len, Checked(flash)).map_err(|_| StoreError)?;
        Ok(Self { nvs, has_trace_of_psk })
    }
}

/// Why there is no telling what a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Flash could not be read, or what stands there is damaged.
    Flash,
    /// It is of another type.
    Kind,
}

impl<F: NorFlash> NvsStore<F> {
    /// Reads a text of the settings. `None` where there is none of this name.
    pub(super) fn text_setting(&mut self, key: &str) -> Result<Option<String>, Unread> {
        let key = name(key).map_err(|_| Unread::Flash)?;
        found(self.nvs.get(&SETTINGS, &key))
    }

    /// Whether there was a passphrase for Wi-Fi when the partition was opened, readable or not.
    pub(super) fn has_trace_of_psk(&self) -> bool {
        self.has_trace_of_psk
    }

    /// Reads a number of the settings. `None` where there is none of this name.
    pub(super) fn number_setting(&mut self, key: &str) -> Result<Option<u32>, Unread> {
        let key = name(key).map_err(|_| Unread::Flash)?;
        found(self.nvs.get(&SETTINGS, &key))
    }
}

fn found<T>(read: Result<T, Error>) -> Result<Option<T>, Unread> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Error::KeyNotFound | Error::NamespaceNotFound) => Ok(None),
        // A text that is none, too: esp-nvs has one word for it.
        Err(Error::ItemTypeMismatch(_) | Error::CorruptedData) => Err(Unread::Kind),
        Err(_) => Err(Unread::Flash),
    }
}

impl<F: NorFlash> Store for NvsStore<F> {
    fn get(&mut self, key: &str, buf: &mut [u8]) -> Result<Option<usize>, StoreError> {
        let value: Vec<u8> = match self.nvs.get(&NAMESPACE, &name(key)?) {
            Ok(value) => value,
            Err(Error::KeyNotFound | Error::NamespaceNotFound) => return Ok(None),
            Err(_) => return Err(StoreError),
        };
        buf.get_mut(..value.len()).ok_or(StoreError)?.copy_from_slice(&value);
        Ok(if value.is_empty() { None } else { Some(value.len()) })
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let key = name(key)?;
        if value.is_empty() {
            return self.nvs.delete(&NAMESPACE, &key).map_err(|_| StoreError);
        }
        if self.nvs.get(&NAMESPACE, &key).is_ok_and(|old: Vec<u8>| old == value) {
            return Ok(());
        }
        self.nvs.set(&NAMESPACE, &key, value).map_err(|_| StoreError)
    }
}

/// esp-nvs panics on keys that are too long or not ASCII.
fn name(key: &str) -> Result<Key, StoreError> {
    let fits = key.len() <= MAX_KEY_LENGTH && key.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(Key::from_str(key)) } else { Err(StoreError) }
}

/// Flash with the CRC that NVS needs, computed in software: it runs once per start and per write.
struct Checked<F>(F);

impl<F> Crc for Checked<F> {
    fn crc32(init: u32, data: &[u8]) -> u32 {
        software_crc32(init, data)
    }
}

impl<F: ErrorType> ErrorType for Checked<F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> ReadNorFlash for Checked<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> NorFlash for Checked<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        self.0.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        self.0.write(offset, bytes)
    }
}
