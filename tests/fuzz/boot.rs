//! `otadata` of any bytes, in any layout: the bootloader's choice and what the agent makes of it.

use cargo_esp_ota::agent::layout::{Layout, Region, Running};
use cargo_esp_ota::agent::otadata::{self, ENTRY, Entry, LAST_SEQUENCE, SECTOR};
use cargo_esp_ota::agent::trial::{self, Boot};
use cargo_esp_ota::virtual_device::bootloader::{self, BootTable, Rollback, Target};
use cargo_esp_ota::virtual_device::flash::VirtualFlash;

/// What stands before the two entries: which slots exist (two bytes), which of them hold a sound
/// image (two bytes), and factory, its image and the bootloader's rollback as bits.
const LAYOUT: usize = 5;

/// Boots from the entries, and lets the agent look at them.
pub fn judge(bytes: &[u8]) {
    let Some((head, bytes)) = bytes.split_first_chunk::<LAYOUT>() else { return };
    let Some((first, bytes)) = bytes.split_first_chunk::<ENTRY>() else { return };
    let Some((second, _)) = bytes.split_first_chunk::<ENTRY>() else { return };
    let [exist_low, exist_high, sound_low, sound_high, flags] = *head;
    let exist = u16::from_le_bytes([exist_low, exist_high]);
    let sound = u16::from_le_bytes([sound_low, sound_high]);

    let mut layout = Layout { otadata: 0, ..Layout::default() };
    let region = |index: u32| Region { start: 0x1_0000 * (index + 1), len: 0x1_0000 };
    for (index, slot) in (0..).zip(&mut layout.slots) {
        *slot = (exist >> index & 1 == 1).then(|| region(index));
    }
    layout.factory = (flags & 1 == 1).then(|| region(16));
    let is_bootable = |found: Region| match found.start / 0x1_0000 - 1 {
        16 => flags & 2 == 2,
        index => sound >> index & 1 == 1,
    };
    let rollback = if flags & 4 == 4 { Rollback::On } else { Rollback::Off };
    let entries = [first, second].map(Entry::decode);
    assert_eq!(entries.map(|entry| entry.encode()), [*first, *second]);

    let count = layout.slot_count();
    for slot in 0..=count {
        match otadata::next_sequence(&entries, slot, count) {
            Some(sequence) => {
                assert_eq!(Entry { sequence, ..entries[0] }.slot(count), Some(slot));
                let is_below = |entry: &Entry| !entry.is_sound() || entry.sequence < sequence;
                assert!(sequence <= LAST_SEQUENCE && entries.iter().all(is_below));
            }
            None => assert!(slot == count || entries.iter().any(Entry::is_sound)),
        }
    }

    let slot_rows = layout.slot_count();
    let table = BootTable { layout, slot_rows, has_otadata: true, test: None };
    let start = bootloader::start(&table, &entries, rollback, is_bootable);
    let started = match start.target {
        Target::Factory => layout.factory,
        Target::Slot(slot) => layout.slot(slot),
        Target::Test => panic!("there is no test app"),
        Target::None => None,
    };
    assert!(started.is_none_or(is_bootable), "{start:?}");
    let Some(running) = start.target.running() else { return };
    trial_of(&table, &entries, &start.writes, running, rollback, is_bootable);
}

/// After the bootloader's own writes the agent starts. A trial that ends without a word never
/// starts the same image again while another one can.
fn trial_of(
    table: &BootTable,
    entries: &[Entry; 2],
    writes: &[(usize, Entry)],
    running: Running,
    rollback: Rollback,
    is_bootable: impl Fn(Region) -> bool,
) {
    let mut entries = *entries;
    for (index, entry) in writes {
        entries[*index] = *entry;
    }
    let mut flash = VirtualFlash::new(2 * SECTOR as usize);
    for (index, entry) in entries.iter().enumerate() {
        trial::write(&mut flash, &table.layout, index, entry).expect("flash takes an entry");
    }
    let boot = trial::start(&mut flash, &table.layout, running).expect("flash can be read");
    let after = trial::read(&mut flash, &table.layout).expect("flash can be read");
    match boot {
        Boot::Settled | Boot::LastResort => assert_eq!(after, entries, "{boot:?}"),
        Boot::Trial(trial) => {
            assert!(after.iter().zip(&entries).filter(|(new, old)| new != old).count() <= 1);
            let next = bootloader::start(table, &after, rollback, &is_bootable);
            let others = table.layout.slots.iter().flatten().chain(&table.layout.factory);
            let others = others.filter(|region| Some(**region) != table.layout.region(running));
            if others.copied().any(&is_bootable) {
                assert_ne!(next.target, Target::None);
            }
            trial::confirm(&mut flash, &table.layout, trial).expect("flash takes an entry");
            let boot = trial::start(&mut flash, &table.layout, running);
            assert!(matches!(boot, Ok(Boot::Settled)), "{boot:?}");
        }
    }
}
