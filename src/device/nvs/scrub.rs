//! Takes the remains of passphrases out of a partition.
//!
//! NVS marks an old value as erased and leaves its bytes until the page is freed, for everybody with
//! a cable to read; and a device that finds a passphrase there which is not in use takes its own for
//! lost, and joins no open network.

use super::given::WIFI_PSK;
use super::page::{NAME, PAGE, Page, pages};

/// Bits in which a damaged name may differ: as many as the agent allows.
const MOST_BITS: u32 = 3;
/// Bytes of header and map, and of an entry.
const FIRST_ENTRY: usize = esp_nvs::PAGE_HEADER_SIZE + esp_nvs::ENTRY_STATE_BITMAP_SIZE;
const ENTRY: usize = esp_nvs::ITEM_SIZE;

/// Sets every entry to zero bits that is out of use on a page with an old passphrase: which entries
/// behind its name belong to it may not be known any more. ESP-IDF does the same where it purges.
pub(super) fn passphrases(partition: &mut [u8]) {
    let remains: Vec<_> = pages(partition)
        .filter(|page| page.sequence.is_some())
        .filter_map(|page| Some((page.offset, remains(&page)?)))
        .collect();
    for (offset, entries) in remains {
        let page = partition.get_mut(offset..).and_then(|rest| rest.first_chunk_mut::<PAGE>());
        let slots = page.and_then(|page| page.get_mut(FIRST_ENTRY..)).unwrap_or_default();
        for (slot, is_out_of_use) in slots.chunks_exact_mut(ENTRY).zip(entries) {
            if is_out_of_use {
                slot.fill(0);
            }
        }
    }
}

/// Which entries of a page are out of use, where an old passphrase is among them.
fn remains(page: &Page<'_>) -> Option<Vec<bool>> {
    let erased = page.is_erased();
    let is_old = |(name, is_erased): (_, &bool)| *is_erased && is_passphrase(name);
    page.names().zip(&erased).any(is_old).then_some(erased)
}

fn is_passphrase(name: [u8; NAME]) -> bool {
    let letters = WIFI_PSK.bytes().chain(std::iter::repeat(0));
    let bits = name.into_iter().zip(letters).map(|(one, other)| (one ^ other).count_ones());
    bits.fold(0, u32::saturating_add) <= MOST_BITS
}
