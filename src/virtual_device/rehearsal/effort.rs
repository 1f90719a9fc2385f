//! What an update asks of the flash, and how long a real device would be busy with it.
//!
//! The model is simple on purpose: flash time is a number of operations times the typical time of
//! each, network time a number of bytes over a rate, one after the other as the agent does it.
//! TLS handshakes, hashing and the restarts are left out (`docs/reference/device-time.md`).

use serde::Serialize;

use crate::virtual_device::flash::{BLOCK, SECTOR, VirtualFlash};

/// Typical time of a 4 KiB sector erase in microseconds: Winbond W25Q32JV, "AC Electrical
/// Characteristics", t_SE (at most 400 ms).
pub const SECTOR_ERASE_US: u64 = 45_000;

/// Typical time of a 64 KiB block erase in microseconds: the same table, t_BE2 (at most 2 s).
pub const BLOCK_ERASE_US: u64 = 150_000;

/// Typical time of a page program in microseconds: the same table, t_PP (at most 3 ms).
pub const PAGE_PROGRAM_US: u64 = 400;

/// Bytes per second where all is well: the slowest of the complete updates that Arduino's users
/// measured after they had made erasing fast (arduino-esp32 issue 7002: 107 to 140 KB/s).
pub const FAST_BYTES_PER_SECOND: u64 = 107_000;

/// Bytes per second as users complain of them (esp-idf issue 12145: 7 to 8 KB/s from afar).
pub const SLOW_BYTES_PER_SECOND: u64 = 7_000;

const SECTORS_OF_BLOCK: u64 = 16;
const _: () = assert!(BLOCK == 16 * SECTOR);

/// Flash operations, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Effort {
    /// Erases and programs.
    pub operations: u64,
    /// Erases of 4 KiB sectors.
    pub erases: u64,
    /// Blocks of 64 KiB that were erased at once: sixteen of the sectors each.
    pub blocks: u64,
    /// Programs of pages of up to 256 bytes.
    pub programs: u64,
    /// Erases of the sector that was erased most often.
    pub most_erases: u32,
    /// Every sector that was erased, neighbours with the same count together.
    pub worn: Vec<Worn>,
}

/// Neighbouring sectors that were erased equally often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Worn {
    /// Where the first begins, in bytes from the start of the flash.
    pub offset: u64,
    /// How many sectors.
    pub sectors: u64,
    /// Erases of each.
    pub erases: u32,
}

impl Effort {
    /// What was done to a flash since it was made.
    pub fn of(flash: &VirtualFlash) -> Self {
        let counts = flash.erases();
        let erases = counts.iter().map(|count| u64::from(*count)).sum();
        let mut worn: Vec<Worn> = Vec::new();
        let mut offset = 0_u64;
        for run in counts.chunk_by(|one, next| one == next) {
            let sectors = u64::try_from(run.len()).unwrap_or(u64::MAX);
            let erases = run.first().copied().unwrap_or(0);
            if erases > 0 {
                worn.push(Worn { offset, sectors, erases });
            }
            let sector = u64::try_from(SECTOR).unwrap_or(u64::MAX);
            offset = offset.saturating_add(sectors.saturating_mul(sector));
        }
        Self {
            operations: flash.operations(),
            erases,
            blocks: flash.block_erases(),
            programs: flash.operations().saturating_sub(erases),
            most_erases: counts.iter().copied().max().unwrap_or(0),
            worn,
        }
    }

    /// Sectors by number of erases: how many were erased once, twice and so on.
    pub fn histogram(&self) -> Vec<(u32, u64)> {
        let mut found: Vec<(u32, u64)> = Vec::new();
        for worn in &self.worn {
            match found.iter_mut().find(|(erases, _)| *erases == worn.erases) {
                Some((_, sectors)) => *sectors = sectors.saturating_add(worn.sectors),
                None => found.push((worn.erases, worn.sectors)),
            }
        }
        found.sort_unstable();
        found
    }
}

/// How long a real device would need, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceTime {
    /// Erasing and programming.
    pub flash_ms: u64,
    /// Downloading where all is well.
    pub network_fast_ms: u64,
    /// Downloading as users complain of it.
    pub network_slow_ms: u64,
}

impl DeviceTime {
    /// The model: see the constants of this module.
    pub fn of(effort: &Effort, bytes: u64) -> Self {
        let sectors = effort.blocks.saturating_mul(SECTORS_OF_BLOCK);
        let single = effort.erases.saturating_sub(sectors).saturating_mul(SECTOR_ERASE_US);
        let erasing = effort.blocks.saturating_mul(BLOCK_ERASE_US).saturating_add(single);
        let programming = effort.programs.saturating_mul(PAGE_PROGRAM_US);
        let network = |rate| bytes.saturating_mul(1000).checked_div(rate).unwrap_or(0);
        Self {
            flash_ms: erasing.saturating_add(programming) / 1000,
            network_fast_ms: network(FAST_BYTES_PER_SECOND),
            network_slow_ms: network(SLOW_BYTES_PER_SECOND),
        }
    }

    /// From the best case to the worst, flash and network together.
    pub fn range_ms(&self) -> (u64, u64) {
        let with = |network| self.flash_ms.saturating_add(network);
        (with(self.network_fast_ms), with(self.network_slow_ms))
    }
}

#[cfg(test)]
mod tests {
    use embedded_storage::nor_flash::NorFlash;

    use super::*;

    #[test]
    fn erases_are_told_apart_from_programs_and_counted_by_sector() {
        let mut flash = VirtualFlash::new(8 * SECTOR);
        flash.erase(0x1000, 0x3000).unwrap();
        flash.erase(0x4000, 0x5000).unwrap();
        flash.erase(0x4000, 0x5000).unwrap();
        flash.write(0x1000, &[0; 300]).unwrap();
        let effort = Effort::of(&flash);
        assert_eq!((effort.operations, effort.erases, effort.programs), (6, 4, 2));
        let worn = [
            Worn { offset: 0x1000, sectors: 2, erases: 1 },
            Worn { offset: 0x4000, sectors: 1, erases: 2 },
        ];
        assert_eq!((effort.worn.as_slice(), effort.most_erases), (worn.as_slice(), 2));
        assert_eq!(effort.histogram(), [(1, 2), (2, 1)]);
    }

    #[test]
    fn an_untouched_flash_costs_nothing() {
        let effort = Effort::of(&VirtualFlash::new(SECTOR));
        assert_eq!(effort, Effort::default());
        assert_eq!(DeviceTime::of(&effort, 0).range_ms(), (0, 0));
    }

    /// 1 MiB is 256 sectors (11.52 s) or 16 blocks (2.4 s), and 4096 pages (1.64 s).
    #[test]
    fn a_mebibyte_takes_as_long_as_the_data_sheet_says() {
        let sectors = Effort { erases: 256, programs: 4096, ..Effort::default() };
        let time = DeviceTime::of(&sectors, 1 << 20);
        assert_eq!(time.flash_ms, 13_158);
        assert_eq!((time.network_fast_ms, time.network_slow_ms), (9_799, 149_796));
        assert_eq!(time.range_ms(), (22_957, 162_954));
        let blocks = Effort { blocks: 16, ..sectors.clone() };
        assert_eq!(DeviceTime::of(&blocks, 0).flash_ms, 4_038);
        let mixed = Effort { erases: 257, ..blocks };
        assert_eq!(DeviceTime::of(&mixed, 0).flash_ms, 4_083);
    }
}
