//! Partitions as a power cut leaves them on a device: none is taken for damaged, nothing is lost.

use super::bench::{blank, given, key, live_bytes, wifi, written};
use crate::agent::layout::Region;
use crate::agent::nvs_store::NvsStore;
use crate::agent::ports::Store;
use crate::device::nvs::page::PAGE;
use crate::device::nvs::{changed_sectors, merge, settings};
use crate::virtual_device::flash::{Cut, FlashHandle, Moment, VirtualFlash};
use crate::virtual_device::tear::Tear;

const NVS: Region = Region { start: 0, len: 0x5000 };

fn open(flash: &FlashHandle) -> NvsStore<FlashHandle> {
    NvsStore::open(flash.clone(), NVS).unwrap()
}

fn values(byte: u8) -> [(&'static str, Vec<u8>); 3] {
    let rejected = 33 * (8 + usize::from(byte));
    [("tuf_root", 4000), ("tuf_state", 65), ("rejected", rejected)]
        .map(|(key, len)| (key, vec![byte; len]))
}

fn change(flash: &FlashHandle) -> bool {
    let Ok(mut store) = NvsStore::open(flash.clone(), NVS) else { return false };
    values(2).iter().all(|(key, value)| store.set(key, value).is_ok())
}

/// A nearly full partition with settings, in which the agent has to move pages to write.
fn prepared(fill: u8) -> Vec<u8> {
    let settings = merge(&blank(5), &given()).unwrap();
    let flash = FlashHandle::new(VirtualFlash::with_contents(settings));
    let mut store = open(&flash);
    values(1).iter().for_each(|(key, value)| store.set(key, value).unwrap());
    (3..fill).for_each(|round| store.set("tuf_state", &[round; 65]).unwrap());
    store.set("tuf_state", &[1; 65]).unwrap();
    flash.with(|flash| flash.contents().to_vec())
}

#[test]
fn after_any_cut_on_the_device_settings_can_be_merged_and_its_memory_survives() {
    let half = u16::try_from(PAGE / 2).unwrap();
    let torn = [Tear::First(half), Tear::Last(half), Tear::Bits(1), Tear::Bits(2)];
    let moments = torn.map(Moment::Torn).into_iter().chain([Moment::Before, Moment::After]);
    let mut torn_pages = 0;
    for fill in [30, 45] {
        let before = prepared(fill);
        let again = || FlashHandle::new(VirtualFlash::with_contents(before.clone()));
        let whole = again();
        assert!(change(&whole));
        let operations = whole.with(|flash| flash.operations());
        for (operation, moment) in
            (0..operations).flat_map(|at| moments.clone().map(move |moment| (at, moment)))
        {
            let case = format!("fill {fill}, operation {operation}, {moment:?}");
            let flash = again();
            flash.with(|flash| flash.cut_at(Cut { operation, moment, seed: 0 }));
            assert!(!change(&flash), "{case}");
            let cut = flash.with(|flash| flash.contents().to_vec());
            torn_pages += usize::from(
                cut.chunks(PAGE).any(|page| page[..32] != [0xff; 32] && page[0] & 1 == 1),
            );
            let other = wifi("Attic", Some("another passphrase"));
            let after = merge(&cut, &other).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(settings(&after).unwrap().wifi.unwrap().ssid(), "Attic", "{case}");
            assert_eq!(settings(&after).unwrap().poll_seconds, 900, "{case}");
            let flash = FlashHandle::new(VirtualFlash::with_contents(after));
            let mut store = open(&flash);
            for ((key, old), (_, new)) in values(1).into_iter().zip(values(2)) {
                let mut found = vec![0; 8192];
                let len = store.get(key, &mut found).expect(&case).expect(&case);
                found.truncate(len);
                assert!(found == old || found == new, "{case}: {key}");
            }
        }
    }
    assert!(torn_pages > 0, "some cut tears a header");
}

/// The same for a blank partition whose first values were being written.
#[test]
fn after_any_cut_of_the_first_write_a_partition_is_as_good_as_new() {
    let whole = FlashHandle::new(VirtualFlash::with_contents(blank(5)));
    open(&whole).set("tuf_state", &[1; 65]).unwrap();
    for operation in 0..whole.with(|flash| flash.operations()) {
        for seed in 0..40 {
            let flash = FlashHandle::new(VirtualFlash::with_contents(blank(5)));
            flash.with(|flash| flash.cut_at(Cut { operation, moment: Moment::Inside, seed }));
            let _ = open(&flash).set("tuf_state", &[1; 65]);
            let cut = flash.with(|flash| flash.contents().to_vec());
            let after =
                merge(&cut, &given()).unwrap_or_else(|error| panic!("{operation}: {error}"));
            assert_eq!(settings(&after).unwrap().poll_seconds, 900);
        }
    }
}

/// A cable that was pulled between two sectors, in the order that is asked for.
#[test]
fn between_two_sectors_what_others_keep_is_somewhere() {
    let mut most = 0;
    for rounds in (300..420).step_by(5) {
        let before = written(blank(3), |nvs| {
            for at in 0..rounds {
                let name = format!("key{}", at % 150_u32);
                nvs.set(&key("app"), &key(&name), at).unwrap();
            }
        });
        let after = merge(&before, &given()).unwrap();
        let sectors = changed_sectors(&before, &after);
        most = most.max(sectors.len());
        let mut flash = before.clone();
        for sector in sectors {
            let bytes = sector * PAGE..(sector + 1) * PAGE;
            flash[bytes.clone()].copy_from_slice(&after[bytes]);
            let kept = live_bytes(&flash);
            let is_kept = live_bytes(&before).iter().all(|value| kept.contains(value));
            assert!(is_kept, "{rounds} rounds, sector {sector}");
        }
        assert_eq!(flash, after);
    }
    assert_eq!(most, 3, "a page is moved");
}
