//! What the cable would write into a device's `nvs`: where its releases are, and how often to look.

use esp_nvs::mem_flash::MemFlash;
use esp_nvs::{Key, Nvs};

use super::EmulatorError;

/// The namespace of a device's settings; the agent's own memory has another.
const NAMESPACE: Key = Key::from_str("esp_ota");
/// Bytes of a page, which is a sector.
const PAGE: usize = 4096;

/// Settings of an emulated device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where its releases are.
    pub url: String,
    /// Seconds between two looks.
    pub poll_s: u32,
}

/// An `nvs` partition of so many bytes with these settings, in ESP-IDF's format.
pub(super) fn nvs(settings: &Settings, size: u32) -> Result<Vec<u8>, EmulatorError> {
    let failed = |_| EmulatorError::Settings;
    let pages = usize::try_from(size).unwrap_or(0) / PAGE;
    let len = pages.saturating_mul(PAGE);
    let mut nvs = Nvs::new(0, len, MemFlash::new(pages)).map_err(failed)?;
    nvs.set(&NAMESPACE, &Key::from_str("url"), settings.url.as_str()).map_err(failed)?;
    nvs.set(&NAMESPACE, &Key::from_str("poll_s"), settings.poll_s).map_err(failed)?;
    Ok(nvs.into_inner().into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent;
    use crate::agent::layout::Region;
    use crate::agent::nvs_store::NvsStore;
    use crate::agent::ports::Store;
    use crate::agent::settings::SHORTEST_POLL;
    use crate::virtual_device::flash::{FlashHandle, VirtualFlash};

    fn settings() -> Settings {
        Settings { url: "https://10.0.2.2:40443/updates".into(), poll_s: SHORTEST_POLL }
    }

    #[test]
    fn the_agent_reads_them_and_finds_nothing_of_its_own() {
        let bytes = nvs(&settings(), 0x5000).unwrap();
        assert_eq!(bytes.len(), 0x5000);
        let flash = FlashHandle::new(VirtualFlash::with_contents(bytes));
        let mut store = NvsStore::open(flash, Region { start: 0, len: 0x5000 }).unwrap();
        let read = agent::settings::Settings::read(&mut store);
        assert_eq!(read.url.unwrap().to_string(), settings().url);
        assert_eq!((read.poll_seconds, read.wifi, read.channel), (SHORTEST_POLL, None, None));
        assert_eq!(read.problems, []);
        assert_eq!(store.get("pending", &mut [0; 64]).unwrap(), None);
        store.set("pending", b"x").unwrap();
    }

    #[test]
    fn a_partition_without_room_is_refused() {
        assert!(matches!(nvs(&settings(), 0), Err(EmulatorError::Settings)));
        let long = Settings { url: "x".repeat(5000), ..settings() };
        assert!(matches!(nvs(&long, 0x5000), Err(EmulatorError::Settings)));
    }
}
