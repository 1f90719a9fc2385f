//! A whole device that runs version 1.0.0, flashed over the cable.

use cargo_esp_ota::agent::clock::unix_seconds;
use cargo_esp_ota::agent::layout::{Layout, Region};
use cargo_esp_ota::chip::Chip;
use cargo_esp_ota::virtual_device::bootloader::{BootTable, Rollback};
use cargo_esp_ota::virtual_device::flash::{FlashHandle, VirtualFlash};
use cargo_esp_ota::virtual_device::{Firmware, Hardware, VirtualDevice};

use crate::device::BUILT;
use crate::image::image;
use crate::repository::Repository;

const SLOT: u32 = 0x10000;
const FLASH: usize = 0x30000;

/// The device, with version 1 of the repository's root in its firmware.
pub(crate) fn device(repository: &Repository) -> VirtualDevice {
    let mut layout = Layout { otadata: 0xe000, ..Layout::default() };
    for (slot, start) in layout.slots.iter_mut().zip([0x1_0000, 0x2_0000]) {
        *slot = Some(Region { start, len: SLOT });
    }
    let table = BootTable { layout, slot_rows: 2, has_otadata: true, test: None };
    let hardware = Hardware {
        chip: Chip::Esp32c3,
        chip_revision: 3,
        table,
        nvs: Region { start: 0x9000, len: 0x5000 },
        rollback: Rollback::Off,
    };
    let firmware = Firmware {
        product: "thermostat".into(),
        channel: "stable".into(),
        root: repository.files["metadata/1.root.json"].clone(),
        build_time: unix_seconds(BUILT).unwrap(),
    };
    let flash = FlashHandle::new(VirtualFlash::new(FLASH));
    let device = VirtualDevice::new(flash, hardware, firmware);
    device.flash_over_cable((0x8000, &[0xff; 32]), &image("1.0.0")).unwrap();
    device
}
