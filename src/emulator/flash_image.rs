//! A whole flash chip before its first power-on, laid out in memory.

use super::EmulatorError;
use super::settings::{self, Settings};
use crate::agent::layout::Region;
use crate::agent::otadata::{Entry, Label, SECTOR, State};
use crate::chip::Chip;
use crate::device;
use crate::flash_size::FlashSize;
use crate::image::bootloader;
use crate::partition::{self, Kind, Table};
use crate::virtual_device::bootloader::{BootTable, Target};

/// Where ESP-IDF's bootloader, as espflash has it, looks for the table.
const TABLE_OFFSET: u32 = 0x8000;

/// The flash of an emulated device.
#[derive(Clone)]
pub struct FlashImage {
    bytes: Vec<u8>,
    table: BootTable,
    nvs: Region,
}

impl FlashImage {
    /// Flash with bootloader and table, and nothing else in it.
    pub fn new(chip: Chip, size: FlashSize, table: &Table) -> Result<Self, EmulatorError> {
        let boot = device::boot_table(table);
        // The firmware goes by the name, too: it looks for `nvs` and for no other store.
        let named = table.named("nvs").filter(|row| row.kind == Kind::NVS);
        let nvs = named.or_else(|| table.nvs()).ok_or(EmulatorError::NoPartition("nvs"))?;
        if !boot.has_otadata {
            return Err(EmulatorError::NoPartition("otadata"));
        }
        let len = usize::try_from(size.bytes()).unwrap_or(usize::MAX);
        let mut flash = Self {
            bytes: vec![0xff; len],
            table: boot,
            nvs: Region { start: nvs.offset, len: nvs.size },
        };
        let first = chip.bootloader_offset();
        let room = Region { start: first, len: TABLE_OFFSET.saturating_sub(first) };
        let loader = bootloader(chip, size).map_err(|_| EmulatorError::Bootloader(chip))?;
        flash.put(room, ("the bootloader", "bootloader"), &loader)?;
        let table = partition::encode(table).map_err(|_| EmulatorError::Table)?;
        let room = Region { start: TABLE_OFFSET, len: SECTOR };
        flash.put(room, ("the partition table", "partition table"), &table)?;
        Ok(flash)
    }

    /// What the bootloader knows of the table.
    pub fn table(&self) -> &BootTable {
        &self.table
    }

    /// Every app partition and where it begins.
    pub fn apps(&self) -> Vec<(Target, u32)> {
        let factory = self.table.layout.factory.map(|region| (Target::Factory, region.start));
        let slots = (0u32..).zip(self.table.layout.slots);
        let slots = slots.filter_map(|(index, slot)| Some((Target::Slot(index), slot?.start)));
        let test = self.table.test.map(|region| (Target::Test, region.start));
        factory.into_iter().chain(slots).chain(test).collect()
    }

    /// Puts an app image into the slot `ota_0` or `ota_1`.
    pub fn install(&mut self, slot: u32, image: &[u8]) -> Result<(), EmulatorError> {
        let (place, name) = match slot {
            0 => (self.table.layout.slot(0), "ota_0"),
            _ => (self.table.layout.slot(1), "ota_1"),
        };
        self.put(place.ok_or(EmulatorError::NoPartition(name))?, ("the image", name), image)
    }

    /// `otadata` as a cable leaves it: `ota_0` runs and is settled.
    pub fn settle(&mut self) -> Result<(), EmulatorError> {
        self.entry(0, &Entry::new(1, State::Valid, Label::Ok))
    }

    /// `otadata` as an install leaves it: `ota_1` is next, and has not run yet.
    pub fn offer(&mut self) -> Result<(), EmulatorError> {
        self.settle()?;
        self.entry(1, &Entry::new(2, State::New, Label::Install))
    }

    /// Writes the settings of the device.
    pub fn set(&mut self, settings: &Settings) -> Result<(), EmulatorError> {
        let bytes = settings::nvs(settings, self.nvs.len)?;
        self.put(self.nvs, ("the settings", "nvs"), &bytes)
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn entry(&mut self, index: u32, entry: &Entry) -> Result<(), EmulatorError> {
        let start = self.table.layout.otadata.saturating_add(index.saturating_mul(SECTOR));
        self.put(Region { start, len: SECTOR }, ("an entry", "otadata"), &entry.encode())
    }

    fn put(
        &mut self,
        region: Region,
        (what, place): (&'static str, &str),
        bytes: &[u8],
    ) -> Result<(), EmulatorError> {
        let too_large = || EmulatorError::TooLarge {
            what,
            bytes: bytes.len(),
            place: place.to_owned(),
            room: region.len,
        };
        if !u32::try_from(bytes.len()).is_ok_and(|len| len <= region.len) {
            return Err(too_large());
        }
        let start = usize::try_from(region.start).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        self.bytes.get_mut(start..end).ok_or_else(too_large)?.copy_from_slice(bytes);
        Ok(())
    }
}

impl std::fmt::Debug for FlashImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlashImage").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Proof;
    use crate::partition::standard;
    use crate::virtual_device::stand_in;

    fn flash() -> FlashImage {
        let table = standard(FlashSize::DEFAULT.bytes()).unwrap();
        FlashImage::new(Chip::Esp32c3, FlashSize::DEFAULT, &table).unwrap()
    }

    #[test]
    fn an_offered_image_is_what_the_bootloader_would_start() {
        let mut flash = flash();
        flash.install(0, &stand_in::image(Chip::Esp32c3)).unwrap();
        flash.install(1, &stand_in::image(Chip::Esp32c3)).unwrap();
        flash.offer().unwrap();
        let report = device::report(flash.bytes()).unwrap();
        assert_eq!(report.table.offset, TABLE_OFFSET);
        assert_eq!(report.next_boot.without_rollback, Target::Slot(1));
        assert!(report.next_boot.proven);
        let entries: Vec<_> =
            report.entries.iter().map(|it| (it.seq, it.state, it.label.as_str(), it.crc)).collect();
        let expected = [(Some(1), "VALID", "ok", "good"), (Some(2), "NEW", "install", "good")];
        assert_eq!(entries, expected);
        assert!(report.slots.iter().all(|slot| slot.proof == Proof::Intact));
    }

    #[test]
    fn a_settled_image_runs_and_the_other_slot_is_blank() {
        let mut flash = flash();
        flash.install(0, &stand_in::image(Chip::Esp32c3)).unwrap();
        flash.settle().unwrap();
        let report = device::report(flash.bytes()).unwrap();
        assert_eq!(report.next_boot.without_rollback, Target::Slot(0));
        assert_eq!(report.slots[1].proof, Proof::Blank);
        assert_eq!(report.entries[1].crc, "blank");
        assert_eq!(flash.bytes().len(), 4 * 1024 * 1024);
    }

    #[test]
    fn an_image_that_does_not_fit_is_refused() {
        let mut flash = flash();
        let room = flash.table().layout.slot(0).unwrap().len;
        let fits = vec![0xe9; usize::try_from(room).unwrap()];
        flash.install(0, &fits).unwrap();
        let error = flash.install(1, &[fits, vec![0]].concat()).unwrap_err();
        assert!(matches!(error, EmulatorError::TooLarge { .. }), "{error}");
        let other =
            flash.bytes()[usize::try_from(flash.table().layout.slot(1).unwrap().start).unwrap()];
        assert_eq!(other, 0xff, "nothing was written");
    }

    #[test]
    fn a_table_that_ends_beyond_the_flash_is_refused() {
        let table = standard(8 * 1024 * 1024).unwrap();
        let mut flash = FlashImage::new(Chip::Esp32c3, "2MB".parse().unwrap(), &table).unwrap();
        let error = flash.install(1, &[0xe9; 64]).unwrap_err();
        assert!(matches!(error, EmulatorError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn a_table_without_otadata_or_nvs_is_refused() {
        for missing in ["otadata", "nvs"] {
            let mut table = standard(FlashSize::DEFAULT.bytes()).unwrap();
            table.entries.retain(|row| row.label.bytes() != missing.as_bytes());
            let error = FlashImage::new(Chip::Esp32c3, FlashSize::DEFAULT, &table).unwrap_err();
            assert!(matches!(error, EmulatorError::NoPartition(name) if name == missing));
        }
    }

    #[test]
    fn every_app_partition_is_known_by_its_place() {
        let apps = flash().apps();
        assert_eq!(apps, [(Target::Slot(0), 0x1_0000), (Target::Slot(1), 0x15_0000)]);
    }
}
