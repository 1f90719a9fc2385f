//! What partitions of data hold: tables, otadata, NVS, nothing.

use esp_nvs::platform::software_crc32;

use super::kind::Kind;
use crate::agent::otadata::{ENTRY, Entry, SECTOR};
use crate::partition::{self, Options};

/// A page of NVS is one flash sector.
const PAGE: usize = 4096;
/// States of a page of NVS in use: active, full, freeing.
const PAGE_STATES: [u32; 3] = [0xffff_fffe, 0xffff_fffc, 0xffff_fff8];
/// Most bytes of a file that is taken for a table: the sector that it has in flash.
const LARGEST_TABLE: usize = 0x1000;

/// The kind of a file of data, and what tells it.
pub(super) fn kind(bytes: &[u8]) -> Option<(Kind, String)> {
    if bytes.iter().all(|byte| *byte == 0xff) {
        return Some((Kind::ErasedFlash, format!("{} times FF", bytes.len())));
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Some((Kind::Zeros, format!("{} times 00", bytes.len())));
    }
    table(bytes).or_else(|| otadata(bytes)).or_else(|| nvs(bytes))
}

fn table(bytes: &[u8]) -> Option<(Kind, String)> {
    if !bytes.starts_with(&[0xaa, 0x50]) {
        return None;
    }
    let head = bytes.get(..LARGEST_TABLE).unwrap_or(bytes);
    let rows = partition::read(head, None, &Options::default()).rows.len();
    let behind = bytes.len().saturating_sub(LARGEST_TABLE);
    let more = if behind > 0 { format!(", and {behind} bytes behind it") } else { String::new() };
    (rows > 0).then(|| (Kind::PartitionTable, format!("{rows} rows, each marked AA 50{more}")))
}

/// Two sectors with an entry each, one of them sound, and nothing else; tools also write one alone.
fn otadata(bytes: &[u8]) -> Option<(Kind, String)> {
    let sector = usize::try_from(SECTOR).ok()?;
    let mut sound = Vec::new();
    if bytes.len() > sector.checked_mul(2)? {
        return None;
    }
    for half in bytes.chunks(sector) {
        let (entry, rest) = half.split_first_chunk::<ENTRY>()?;
        let entry = Entry::decode(entry);
        if !(entry.is_blank() || entry.is_sound()) || rest.iter().any(|byte| *byte != 0xff) {
            return None;
        }
        if entry.is_sound() {
            sound.push(format!("sequence {} ({})", entry.sequence, entry.state.name()));
        }
    }
    let entries = if sound.len() == 1 { "entry" } else { "entries" };
    (!sound.is_empty())
        .then(|| (Kind::Otadata, format!("sound {entries} with {}", sound.join(" and "))))
}

/// Whole pages, one of them with a sound header.
fn nvs(bytes: &[u8]) -> Option<(Kind, String)> {
    let (pages, rest) = bytes.as_chunks::<PAGE>();
    let sound = pages.iter().filter(|page| is_page(page)).count();
    let blank = pages.iter().filter(|page| page.iter().all(|byte| *byte == 0xff)).count();
    let all = rest.is_empty() && sound.saturating_add(blank) == pages.len();
    (sound > 0 && all)
        .then(|| (Kind::Nvs, format!("{sound} of {} pages with a sound header", pages.len())))
}

/// ESP-IDF, "NVS: structure of a page".
fn is_page(page: &[u8; PAGE]) -> bool {
    let Some([s0, s1, s2, s3, covered @ .., c0, c1, c2, c3]) = page.first_chunk::<32>() else {
        return false;
    };
    let state = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
    let crc = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
    PAGE_STATES.contains(&state) && crc == software_crc32(u32::MAX, covered)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::agent::otadata::{Label, State};

    fn found(bytes: &[u8]) -> Option<Kind> {
        kind(bytes).map(|(kind, _)| kind)
    }

    fn entry(sequence: u32) -> Vec<u8> {
        let mut sector = Entry::new(sequence, State::Valid, Label::Ok).encode().to_vec();
        sector.resize(0x1000, 0xff);
        sector
    }

    #[test]
    fn entries_of_otadata_are_told_by_their_crc() {
        let blank = vec![0xff; 0x1000];
        assert_eq!(found(&[entry(1), blank.clone()].concat()), Some(Kind::Otadata));
        assert_eq!(found(&[blank.clone(), entry(8)].concat()), Some(Kind::Otadata));
        assert_eq!(found(&entry(1)[..32]), Some(Kind::Otadata));
        let (_, evidence) = kind(&[entry(1), entry(2)].concat()).unwrap();
        assert_eq!(evidence, "sound entries with sequence 1 (VALID) and sequence 2 (VALID)");
        let mut torn = [entry(1), blank].concat();
        torn[28] ^= 1;
        assert_eq!(found(&torn), None);
        assert_eq!(found(&[entry(1), entry(2), entry(3)].concat()), None);
        let mut more = entry(1);
        more[32] = 0;
        assert_eq!(found(&more), None, "something else stands in the sector");
    }

    #[test]
    fn pages_of_nvs_are_told_by_their_crc() {
        let mut page = testing::nvs_page();
        let blank = vec![0xff; 0x1000];
        assert_eq!(found(&[page.clone(), blank.clone()].concat()), Some(Kind::Nvs));
        assert_eq!(found(&[&page[..], &[0xff]].concat()), None);
        page[4] ^= 1;
        assert_eq!(found(&[page, blank].concat()), None);
    }

    #[test]
    fn tables_and_blank_files_are_told() {
        let table = &testing::merged()[0x8000..0x9000];
        assert_eq!(found(table), Some(Kind::PartitionTable));
        assert_eq!(found(&table[..0xc00]), Some(Kind::PartitionTable));
        let (_, evidence) = kind(&testing::merged()[0x8000..]).unwrap();
        assert!(evidence.starts_with("5 rows, each marked AA 50, and "), "{evidence}");
        assert_eq!(found(b"\xaa\x50"), None);
        assert_eq!(found(&[0xff; 100]), Some(Kind::ErasedFlash));
        assert_eq!(found(&[0; 100]), Some(Kind::Zeros));
    }
}
