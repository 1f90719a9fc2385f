//! Bytes that are no sound partition: refused with a reason, and never a panic.

use esp_nvs::platform::software_crc32;
use proptest::prelude::*;

use super::bench::{
    blank, entry, given, live_bytes, of_others, others_are_there, page, refusal, wifi,
};
use crate::device::nvs::page::{PAGE, U8, U32};
use crate::device::nvs::{NvsError, merge, settings};
use crate::error::{Exit, Explained};

const ONE: [u8; 8] = [1, 255, 255, 255, 255, 255, 255, 255];

#[track_caller]
fn damage(partition: &[u8]) -> (usize, &'static str) {
    let error = refusal(partition, &given());
    assert_eq!(error.exit(), Exit::Rejected);
    let help = error.help().unwrap();
    assert!(help.contains("--erase nvs") && help.contains("flash without settings"), "{help}");
    assert_eq!(settings(partition).expect_err("it is not read either"), error);
    match error {
        NvsError::Damaged { offset, what } => (offset, what),
        other => panic!("{other:?}"),
    }
}

/// Headers and maps of an encrypted partition are plain, its entries are noise.
#[test]
fn an_encrypted_partition_is_refused_and_no_byte_of_it_is_taken_for_torn() {
    let mut before = of_others(6);
    let mut noise = 1_u32;
    for page in before.chunks_mut(PAGE) {
        for byte in &mut page[64..] {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte ^= noise.to_le_bytes()[3];
        }
    }
    let error = refusal(&before, &given());
    assert_eq!(error, NvsError::Encrypted);
    assert_eq!(error.exit(), Exit::Rejected);
    assert_eq!(settings(&before), Err(NvsError::Encrypted));
}

#[test]
fn a_page_whose_header_is_damaged_is_not_erased_with_its_values() {
    for at in [0, 4, 9, 28] {
        let mut before = of_others(6);
        before[at] ^= 0x40;
        assert_eq!(damage(&before), (0, "the header of a page with values is not sound"));
    }
}

/// As a power cut leaves it while a page that was moved is erased.
#[test]
fn a_page_that_was_moved_and_not_wholly_erased_is_no_damage() {
    let mut before = of_others(6);
    let moved = before[..PAGE].to_vec();
    before[5 * PAGE..].copy_from_slice(&moved);
    before[5 * PAGE] = 0xff;
    let after = merge(&before, &given()).unwrap();
    others_are_there(&after);
}

#[test]
fn a_value_without_a_namespace_is_not_given_to_ours() {
    let before = [page(0, &[entry(1, U8, 1, "poll_s", ONE)]), blank(2)].concat();
    assert_eq!(damage(&before), (0, "a value belongs to a namespace that is not there"));
}

#[test]
fn a_page_with_the_last_number_of_all_is_refused() {
    let app = entry(0, U8, 1, "app", ONE);
    let before = [blank(1), page(u32::MAX, &[app]), blank(2)].concat();
    assert_eq!(damage(&before), (PAGE, "the page's number is out of range"));
    let before = [blank(1), page(1_000_000, &[app]), blank(2)].concat();
    assert!(merge(&before, &given()).is_ok());
}

#[test]
fn every_flipped_bit_of_a_value_in_use_is_found_or_harmless() {
    let before = of_others(6);
    let all = live_bytes(&before);
    // The first page, with all numbers: header, map and 14 entries; its data is the affair of others.
    for at in 0..64 + 14 * 32 {
        for bit in 0..8 {
            let mut damaged = before.clone();
            damaged[at] ^= 1 << bit;
            let Ok(after) = merge(&damaged, &given()) else { continue };
            let sound = live_bytes(&damaged);
            let kept = live_bytes(&after);
            for value in &sound {
                assert!(kept.contains(value), "byte {at} bit {bit}");
            }
            // What the map no longer has is erased for every reader; an entry is never passed over.
            assert!(sound.len() == all.len() || at < 64, "byte {at} bit {bit}");
        }
    }
}

/// Settings of any kind.
fn any_given() -> impl Strategy<Value = crate::device::nvs::Given> {
    let network = ("[a-z]{1,32}", proptest::option::of("[ -~]{8,63}"));
    let parts =
        (proptest::option::of(network), proptest::option::of("[a-z]{1,32}"), 10..604_800_u32);
    parts.prop_map(|(network, channel, poll)| {
        let mut given = crate::device::nvs::Given::default();
        if let Some((ssid, psk)) = network {
            given.wifi(ssid, psk).unwrap();
        }
        if let Some(channel) = channel {
            given.channel(&channel).unwrap();
        }
        if poll % 3 != 0 {
            given.poll_seconds(poll).unwrap();
        }
        given
    })
}

/// Pages with sound headers, and entries with sound checksums among others.
fn any_page() -> impl Strategy<Value = Vec<u8>> {
    let entry = (
        any::<[u8; 32]>(),
        prop_oneof![Just(0_u8), 1..4_u8, any::<u8>()],
        prop_oneof![
            Just(U8),
            Just(U32),
            Just(0x21_u8),
            Just(0x41_u8),
            Just(0x42_u8),
            Just(0x48_u8),
            any::<u8>()
        ],
        prop_oneof![Just(1_u8), Just(2_u8), any::<u8>()],
        prop_oneof![Just(0_u8), Just(0x80_u8), Just(255_u8), any::<u8>()],
        0..6_usize,
        0..8_u8,
    );
    let names = ["esp_ota", "wifi_psk", "wifi_ssid", "url", "app", "blob"];
    let entries = proptest::collection::vec(entry, 0..126);
    (entries, prop_oneof![0..5_u32, any::<u32>()], 0..4_u8, any::<[u8; 32]>(), 0..8_u8).prop_map(
        move |(entries, sequence, state, map, is_random)| {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(bytes, namespace, kind, span, chunk, name, how)| {
                    let mut head = [0; 8];
                    head.copy_from_slice(&bytes[24..]);
                    if how < 4 {
                        head[0] %= 64;
                        head[1] = 0;
                    }
                    let mut made = super::bench::entry(namespace, kind, span, names[name], head);
                    made[3] = chunk;
                    let crc = software_crc32(software_crc32(u32::MAX, &made[..4]), &made[8..]);
                    made[4..8].copy_from_slice(&crc.to_le_bytes());
                    if how == 7 { bytes } else { made }
                })
                .collect();
            // Most values belong to a namespace, or next to nothing would be merged.
            let names = (1..4_u8).zip(["app", "esp_ota", "esp_ota_st"]).filter(|_| is_random > 1);
            let entries: Vec<_> = names
                .map(|(index, name)| super::bench::entry(0, U8, 1, name, [index; 8]))
                .chain(entries)
                .take(126)
                .collect();
            let mut page = page(sequence, &entries);
            page[0] = [0xfe, 0xfc, 0xf8, 0xf0][usize::from(state)];
            if is_random == 0 {
                page[32..64].copy_from_slice(&map);
            }
            page
        },
    )
}

fn any_partition() -> impl Strategy<Value = Vec<u8>> {
    let page = prop_oneof![
        any_page(),
        Just(blank(1)),
        proptest::collection::vec(any::<u8>(), PAGE),
        (0..6_usize).prop_map(|at| of_others(6)[at * PAGE..(at + 1) * PAGE].to_vec()),
    ];
    proptest::collection::vec(page, 1..6).prop_map(|pages| pages.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        // Each takes some milliseconds; `PROPTEST_CASES` says how many, as elsewhere.
        cases: ProptestConfig::default().cases / 2,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_end_in_a_partition_or_a_reason(partition in any_partition(), given in any_given()) {
        let _ = settings(&partition);
        if let Ok(after) = merge(&partition, &given) {
            prop_assert_eq!(after.len(), partition.len());
            prop_assert_eq!(merge(&after, &given), Ok(after.clone()), "once more");
        }
    }

    #[test]
    fn flipped_bits_end_in_a_partition_or_a_reason(
        flips in proptest::collection::vec((0..6 * PAGE, 0..8_u32), 1..40),
        open in any::<bool>(),
    ) {
        let mut partition = merge(&of_others(6), &given()).unwrap();
        for (at, bit) in flips {
            partition[at] ^= 1 << bit;
        }
        let _ = merge(&partition, &wifi("Attic", (!open).then_some("another passphrase")));
    }
}
