//! The agent's memory in NVS, with the power cut at every flash operation.

use super::bench::NVS;
use crate::agent::clock::Source;
use crate::agent::history::{self, Network, Notes, Pending};
use crate::agent::layout::Region;
use crate::agent::nvs_store::NvsStore;
use crate::agent::ports::Store;
use crate::agent::rejections::{End, Rejections};
use crate::agent::reports::{Report, Reports, What};
use crate::agent::resume::{self, Resume, STEP};
use crate::virtual_device::flash::{Cut, FlashHandle, Moment, SECTOR, VirtualFlash};
use crate::virtual_device::tear::Tear;

/// The largest root that the agent takes: see `tuf::Caps`.
const LARGEST_ROOT: usize = 7 * 1024;

pub(super) fn open(flash: &FlashHandle) -> NvsStore<FlashHandle> {
    NvsStore::open(flash.clone(), NVS).expect("NVS opens after any cut")
}

pub(super) fn get(store: &mut impl Store, key: &str) -> Option<Vec<u8>> {
    let mut buf = vec![0; 8192];
    let len = store.get(key, &mut buf).expect("a value can be read");
    len.map(|len| buf[..len].to_vec())
}

#[test]
fn the_largest_root_can_be_replaced_for_ever_in_the_smallest_partition() {
    let flash = FlashHandle::new(VirtualFlash::new(0x10000));
    let mut store = open(&flash);
    store.set("tuf_state", &[1; 65]).unwrap();
    store.set("rejected", &[2; 33 * 16]).unwrap();
    for round in 0..20u8 {
        store.set("tuf_root", &vec![round; LARGEST_ROOT]).unwrap();
        assert_eq!(get(&mut store, "tuf_root"), Some(vec![round; LARGEST_ROOT]), "round {round}");
    }
    assert_eq!(get(&mut store, "tuf_state"), Some(vec![1; 65]));
    assert_eq!(get(&mut open(&flash), "rejected"), Some(vec![2; 33 * 16]));
}

/// All that the agent may ever have to remember at once, beside the settings that the cable wrote.
#[test]
fn the_largest_root_can_be_replaced_beside_all_else_at_its_largest() {
    let flash = FlashHandle::new(VirtualFlash::new(0x10000));
    let mut store = open(&flash);
    // SSID, passphrase, URL, channel and poll interval: a stand-in of their size.
    for (key, len) in [("s1", 32), ("s2", 64), ("s3", 100), ("s4", 16), ("s5", 4)] {
        store.set(key, &vec![5; len]).unwrap();
    }
    let long = "9".repeat(64);
    let pending = Pending {
        sha256: [7; 32],
        sequence: 1,
        slot: 1,
        version: long.clone(),
        from: long.clone(),
        notes: Notes::default(),
    };
    let etag = Some("e".repeat(64));
    let resume = Resume { sha256: [7; 32], slot: 1, bytes: STEP, etag };
    for round in 0..20u8 {
        store.set("tuf_state", &[round; 65]).unwrap();
        history::set_pending(&mut store, &Pending { slot: round.into(), ..pending.clone() })
            .unwrap();
        let bytes = STEP * (1 + u32::from(round));
        resume::save(&mut store, &Resume { bytes, ..resume.clone() }).unwrap();
        let mut rejections = Rejections::load(&mut store).unwrap();
        let mut reports = Reports::load(&mut store).unwrap();
        for other in 0..20u8 {
            rejections.reject(&mut store, &[round ^ other; 32]).unwrap();
            let report = Report {
                what: What::Confirmed,
                version: Some(long.clone()),
                from: long.clone(),
                slot: Some(u32::from(other)),
                reason: Some(long.clone()),
                reset: None,
                bootloader_rollback: None,
                clock: Source::Floor,
            };
            reports.add(&mut store, report).unwrap();
        }
        let root = vec![round; LARGEST_ROOT];
        if store.set("tuf_root", &root).is_err() {
            // As `save_root` does: what can be missed makes room.
            store.set("resume", &[]).unwrap();
            store.set("reports", &[]).unwrap();
            store.set("tuf_root", &root).unwrap();
        }
        assert_eq!(get(&mut store, "tuf_root"), Some(root), "round {round}");
        let remembered = Rejections::load(&mut open(&flash)).unwrap();
        assert!(remembered.has_rejected_itself(&[round ^ 19; 32]), "round {round}");
    }
}

/// Why `partitions check` finds an NVS of less than 0x5000 too small.
#[test]
fn a_partition_of_one_page_less_does_not_hold_the_largest_root_twice() {
    let flash = FlashHandle::new(VirtualFlash::new(0x10000));
    let smaller = Region { len: NVS.len - 0x1000, ..NVS };
    let mut store = NvsStore::open(flash, smaller).unwrap();
    store.set("tuf_root", &[1; LARGEST_ROOT]).unwrap();
    assert!(store.set("tuf_root", &[2; LARGEST_ROOT]).is_err());
}

#[test]
fn an_unchanged_value_costs_no_wear_and_an_empty_one_is_forgotten() {
    let flash = FlashHandle::new(VirtualFlash::new(0x10000));
    let mut store = open(&flash);
    store.set("pending", b"x").unwrap();
    let before = flash.with(|flash| flash.operations());
    store.set("pending", b"x").unwrap();
    assert_eq!(flash.with(|flash| flash.operations()), before);
    store.set("pending", b"").unwrap();
    assert_eq!(get(&mut store, "pending"), None);
    assert!(store.set("a key that is too long", b"x").is_err());
}

#[test]
fn after_any_cut_a_value_is_the_old_one_or_the_new_one() {
    let prepared = || {
        let flash = FlashHandle::new(VirtualFlash::new(0x10000));
        let mut store = open(&flash);
        store.set("tuf_root", &[1; 1600]).unwrap();
        store.set("tuf_state", &[1; 65]).unwrap();
        for round in 0..40u8 {
            // Fills pages, so that the writes below have to move them.
            store.set("rejected", &vec![round; 33 * 8]).unwrap();
        }
        flash
    };
    let change = |flash: &FlashHandle| {
        let mut store = open(flash);
        store.set("tuf_root", &[2; 1600]).and_then(|()| store.set("tuf_state", &[2; 65]))
    };
    let whole = prepared();
    let first = whole.with(|flash| flash.operations());
    change(&whole).unwrap();
    let last = whole.with(|flash| flash.operations());
    assert!(last - first > 20, "{} operations", last - first);
    for operation in first..last {
        for moment in [Moment::Before, Moment::Inside, Moment::After] {
            let flash = prepared();
            flash.with(|flash| flash.cut_at(Cut { operation, moment, seed: operation }));
            assert!(change(&flash).is_err(), "{operation} {moment:?}");
            flash.with(VirtualFlash::power_on);
            let mut store = open(&flash);
            for (key, len) in [("tuf_root", 1600), ("tuf_state", 65)] {
                let found = get(&mut store, key);
                assert!(
                    found == Some(vec![1; len]) || found == Some(vec![2; len]),
                    "operation {operation} {moment:?}: `{key}` is {} bytes",
                    found.map_or(0, |found| found.len())
                );
            }
            change(&flash).expect("the change can be made after the cut");
        }
    }
}

/// Fill levels of a partition that is nearly full at which esp-nvs 0.6.3 alone loses values: a cut
/// before a copy is begun, two halves of a torn erase, an erase torn by chance.
const FILLS: [u8; 3] = [42, 45, 48];

#[test]
fn a_nearly_full_partition_keeps_its_values_through_any_cut() {
    // Beside it 7 KiB fit as well; this length fills the pages so that few states are enough.
    let values = |byte: u8| {
        let rejected = 33 * (8 + usize::from(byte));
        [("tuf_root", 4000), ("tuf_state", 65), ("rejected", rejected)]
            .map(|(key, len)| (key, vec![byte; len]))
    };
    let change = |flash: &FlashHandle| {
        let mut store = NvsStore::open(flash.clone(), NVS)?;
        values(2).iter().try_for_each(|(key, value)| store.set(key, value))
    };
    let half = u16::try_from(SECTOR / 2).unwrap();
    let torn = [Tear::First(half), Tear::Last(half), Tear::Bits(1), Tear::Bits(2), Tear::Bits(3)];
    let moments = torn.map(Moment::Torn).into_iter().chain([Moment::Before, Moment::After]);
    for fill in FILLS {
        let flash = FlashHandle::new(VirtualFlash::new(0x10000));
        let mut store = open(&flash);
        values(1).iter().for_each(|(key, value)| store.set(key, value).unwrap());
        (3..fill + 3).for_each(|round| store.set("tuf_state", &[round; 65]).unwrap());
        store.set("tuf_state", &[1; 65]).unwrap();
        let before = flash.with(|flash| flash.contents().to_vec());
        let again = || FlashHandle::new(VirtualFlash::with_contents(before.clone()));
        let whole = again();
        change(&whole).unwrap();
        let operations = whole.with(|flash| flash.operations());
        for (operation, moment) in
            (0..operations).flat_map(|at| moments.clone().map(move |moment| (at, moment)))
        {
            let case = format!("fill {fill}, operation {operation}, {moment:?}");
            let flash = again();
            flash.with(|flash| flash.cut_at(Cut { operation, moment, seed: 0 }));
            assert!(change(&flash).is_err(), "{case}");
            flash.with(VirtualFlash::power_on);
            let mut store = open(&flash);
            for ((key, old), (_, new)) in values(1).into_iter().zip(values(2)) {
                let found = get(&mut store, key).expect(&case);
                assert!(found == old || found == new, "{case}: {key}");
            }
            assert_eq!(change(&flash), Ok(()), "{case}");
            let mut store = open(&flash);
            for (key, new) in values(2) {
                assert_eq!(get(&mut store, key), Some(new), "{case}: {key}");
            }
        }
    }
}

#[test]
fn rejections_are_remembered_and_the_oldest_is_forgotten_first() {
    let flash = FlashHandle::new(VirtualFlash::new(0x10000));
    let mut store = open(&flash);
    let mut rejections = Rejections::default();
    for trial in 1..=3 {
        assert!(!rejections.contains(&[0; 32]), "trial {trial}");
        rejections.count(&mut store, &[0; 32], End::NoVerdict, trial).unwrap();
    }
    assert!(rejections.contains(&[0; 32]));
    assert!(!rejections.has_rejected_itself(&[0; 32]));
    for other in 1..=16u8 {
        rejections.reject(&mut store, &[other; 32]).unwrap();
    }
    let read = Rejections::load(&mut open(&flash)).unwrap();
    assert_eq!(read, rejections);
    assert!(!read.contains(&[0; 32]));
    assert!(read.contains(&[1; 32]) && read.contains(&[16; 32]));
}

#[test]
fn a_trial_counts_once_although_the_power_goes_before_it_is_forgotten() {
    let flash = FlashHandle::new(VirtualFlash::new(0x10000));
    for sequence in [2, 2, 2, 4, 4] {
        let mut store = open(&flash);
        let mut rejections = Rejections::load(&mut store).unwrap();
        rejections.count(&mut store, &[7; 32], End::NoVerdict, sequence).unwrap();
        assert!(!rejections.contains(&[7; 32]), "sequence {sequence}");
    }
    let mut store = open(&flash);
    let mut rejections = Rejections::load(&mut store).unwrap();
    rejections.count(&mut store, &[7; 32], End::NoVerdict, 6).unwrap();
    assert!(rejections.contains(&[7; 32]));
}

#[test]
fn a_pending_release_survives_a_restart() {
    let flash = FlashHandle::new(VirtualFlash::new(0x10000));
    assert_eq!(history::pending(&mut open(&flash)), Ok(None));
    let pending = Pending {
        sha256: [7; 32],
        sequence: 0x0102_0304,
        slot: 1,
        version: "1.2.3-rc.1".into(),
        from: "1.2.2".into(),
        notes: Notes { started: true, bootloader_rollback: true, network: Network::Away },
    };
    history::set_pending(&mut open(&flash), &pending).unwrap();
    assert_eq!(history::pending(&mut open(&flash)), Ok(Some(pending)));
    history::clear_pending(&mut open(&flash)).unwrap();
    assert_eq!(history::pending(&mut open(&flash)), Ok(None));
}

/// ESP-IDF encrypts the entries of an NVS, and neither headers nor maps.
#[test]
fn an_encrypted_partition_is_refused_and_left_as_it_is() {
    let flash = FlashHandle::new(VirtualFlash::new(0x10000));
    let mut store = open(&flash);
    for round in 0..60u8 {
        store.set("rejected", &vec![round; 33 * 8]).unwrap();
    }
    let mut bytes = flash.with(|flash| flash.contents().to_vec());
    let start = usize::try_from(NVS.start).unwrap();
    for page in bytes[start..start + usize::try_from(NVS.len).unwrap()].chunks_mut(0x1000) {
        for (byte, noise) in page[64..].iter_mut().zip((1u8..=251).cycle()) {
            *byte ^= noise;
        }
    }
    let flash = FlashHandle::new(VirtualFlash::with_contents(bytes.clone()));
    assert!(NvsStore::open(flash.clone(), NVS).is_err());
    assert_eq!(flash.with(|flash| (flash.operations(), flash.contents() == bytes)), (0, true));
}

/// The image on trial writes these values, and after a fall-back an older agent reads them.
#[test]
fn what_a_later_agent_appends_does_not_hide_what_this_one_knows() {
    let flash = FlashHandle::new(VirtualFlash::new(0x10000));
    let mut store = open(&flash);
    let mut rejected = vec![3, 21, 9, 0, 0, 0];
    for release in [7u8, 8] {
        rejected.extend([release; 16]);
        rejected.extend([0xff, 0, 0, 0xaa, 0xbb]);
    }
    store.set("rejected", &rejected).unwrap();
    let read = Rejections::load(&mut store).unwrap();
    assert!(read.contains(&[7; 32]) && read.contains(&[8; 32]) && !read.contains(&[9; 32]));

    let pending = Pending {
        sha256: [7; 32],
        sequence: 3,
        slot: 1,
        version: "2.0.0".into(),
        from: "1.0.0".into(),
        notes: history::Notes::default(),
    };
    history::set_pending(&mut store, &pending).unwrap();
    let mut later = get(&mut store, "pending").unwrap();
    later[0] = 2;
    later.extend([0xcc; 20]);
    store.set("pending", &later).unwrap();
    assert_eq!(history::pending(&mut store), Ok(Some(pending)));
}
