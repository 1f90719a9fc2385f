//! Pages of an NVS partition and the entries on them, read without trust in any byte.
//!
//! A page is a flash sector: a header, a map of two bits for each of its 126 entries, the entries.
//! A text or a piece of a blob takes an entry and as many behind it as its bytes need.

use esp_nvs::ITEM_SIZE as ENTRY;
use esp_nvs::platform::software_crc32;

/// Bytes of a page.
pub(super) const PAGE: usize = esp_nvs::FLASH_SECTOR_SIZE;
/// Bytes of the header, and of the map behind it.
const HEADER: usize = esp_nvs::PAGE_HEADER_SIZE;
const MAP: usize = esp_nvs::ENTRY_STATE_BITMAP_SIZE;
/// Bytes of a name, which is filled up with zero bytes.
pub(super) const NAME: usize = 16;
/// States of a page in use: active, full, about to be freed. In any other it holds no values.
const FREEING: u32 = 0xffff_fff8;
const IN_USE: [u32; 3] = [0xffff_fffe, 0xffff_fffc, FREEING];

/// Types of entries: numbers by sign and length, the others as ESP-IDF has them.
pub(super) const U8: u8 = 0x01;
pub(super) const U32: u8 = 0x04;
pub(super) const TEXT: u8 = 0x21;
/// A whole blob, as ESP-IDF wrote it before version 4.0.
pub(super) const OLD_BLOB: u8 = 0x41;
pub(super) const BLOB_PIECE: u8 = 0x42;
pub(super) const BLOB_INDEX: u8 = 0x48;

/// A sector, taken for a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    /// First byte, counted from the start of the partition.
    pub(super) offset: usize,
    /// Its place in time; `None` for a page that is not in use.
    pub(super) sequence: Option<u32>,
    /// Whether it is about to be erased, its values being on another page or on their way there.
    pub(super) is_freeing: bool,
    map: &'a [u8; MAP],
    entries: &'a [[u8; ENTRY]],
}

/// What the map says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Blank, or written by somebody who lost power before the mark.
    Empty,
    Written,
    /// Erased, or neither one nor the other.
    Erased,
}

/// A value, or a piece of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    /// Index of its namespace; 0 for the entry that names one.
    pub(super) namespace: u8,
    pub(super) kind: u8,
    /// Which piece of a blob it is.
    pub(super) chunk: u8,
    pub(super) name: [u8; NAME],
    /// The number, or what there is to know of the data.
    pub(super) head: [u8; 8],
    /// The bytes of a text or blob; none for a number.
    pub(super) data: &'a [u8],
}

/// What is on a page.
#[derive(Debug, Default)]
pub(super) struct Contents<'a> {
    /// In use, oldest first.
    pub(super) items: Vec<Item<'a>>,
    /// Whole, but not marked as in use: power was lost before the mark. It may be taken for one that
    /// never was, or be marked later.
    pub(super) unmarked: Vec<Item<'a>>,
    /// Entries that are marked as in use and are none, of which no power cut is the reason.
    pub(super) unreadable: Vec<usize>,
}

/// The pages of a partition, in the order of their addresses.
pub(super) fn pages(partition: &[u8]) -> impl Iterator<Item = Page<'_>> {
    let offsets = (0..).step_by(PAGE);
    offsets.zip(partition.chunks_exact(PAGE)).filter_map(|(offset, bytes)| {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let (map, rest) = rest.split_first_chunk::<MAP>()?;
        let (entries, _) = rest.as_chunks::<ENTRY>();
        let (state, sequence) = state(header).unzip();
        Some(Page { offset, sequence, is_freeing: state == Some(FREEING), map, entries })
    })
}

/// State and sequence number of a page in use.
fn state(header: &[u8; HEADER]) -> Option<(u32, u32)> {
    let [s0, s1, s2, s3, covered @ .., c0, c1, c2, c3] = *header;
    let [q0, q1, q2, q3, ..] = covered;
    let state = u32::from_le_bytes([s0, s1, s2, s3]);
    let is_sound = IN_USE.contains(&state)
        && software_crc32(u32::MAX, &covered) == u32::from_le_bytes([c0, c1, c2, c3]);
    is_sound.then_some((state, u32::from_le_bytes([q0, q1, q2, q3])))
}

impl<'a> Page<'a> {
    /// What the map says of the entry of this index.
    pub(super) fn mark(&self, index: usize) -> Mark {
        let byte = self.map.get(index / 4).copied().unwrap_or(u8::MAX);
        let [first, second, third, fourth] = [byte, byte >> 2, byte >> 4, byte >> 6];
        let bits = match index % 4 {
            0 => first,
            1 => second,
            2 => third,
            _ => fourth,
        };
        match bits & 0b11 {
            0b11 => Mark::Empty,
            0b10 => Mark::Written,
            _ => Mark::Erased,
        }
    }

    /// Walks over the entries.
    pub(super) fn contents(&self) -> Contents<'a> {
        let mut contents = Contents::default();
        // Up to where entries belong to one before them.
        let mut covered = 0;
        let mut index = 0;
        while index < self.entries.len() {
            let mark = self.mark(index);
            let end = self.end_of(index);
            let next = index.saturating_add(1);
            match (mark, end) {
                (Mark::Written, Some(end)) => {
                    if (next..end).all(|at| self.mark(at) == Mark::Written) {
                        contents.items.extend(self.item(index, end));
                    }
                    index = end;
                    continue;
                }
                (Mark::Written, None) if index >= covered => contents.unreadable.push(index),
                (Mark::Empty, Some(end)) => {
                    let item = self.item(index, end).filter(Item::is_whole);
                    contents.unmarked.extend(item);
                }
                (Mark::Written | Mark::Empty | Mark::Erased, _) => {}
            }
            covered = covered.max(end.unwrap_or(0));
            index = next;
        }
        contents
    }

    /// Whether each entry belongs to a value in use.
    pub(super) fn is_live(&self) -> Vec<bool> {
        let mut live = vec![false; self.entries.len()];
        let mut index = 0;
        while index < self.entries.len() {
            let end = self.end_of(index).filter(|_| self.mark(index) == Mark::Written);
            let next = end.unwrap_or(index.saturating_add(1));
            if end.is_some()
                && (index..next).all(|at| self.mark(at) == Mark::Written)
                && let Some(live) = live.get_mut(index..next)
            {
                live.fill(true);
            }
            index = next;
        }
        live
    }

    /// Whether each entry is out of use and may hold what it once was.
    pub(super) fn is_erased(&self) -> Vec<bool> {
        let live = self.is_live().into_iter().enumerate();
        live.map(|(index, is_live)| !is_live && self.mark(index) == Mark::Erased).collect()
    }

    /// The name that stands in each entry, if it were one.
    pub(super) fn names(&self) -> impl Iterator<Item = [u8; NAME]> {
        self.entries.iter().map(name)
    }

    /// Whether a sector has no programmed bit, header included.
    pub(super) fn is_blank(&self, partition: &[u8]) -> bool {
        let bytes = partition.get(self.offset..).and_then(|rest| rest.first_chunk::<PAGE>());
        bytes.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0xff))
    }

    /// Where the value ends that begins at this entry, if one does.
    fn end_of(&self, index: usize) -> Option<usize> {
        let entry = self.entries.get(index)?;
        let [_, _, span, _, c0, c1, c2, c3] = *entry.first_chunk()?;
        let crc = software_crc32(software_crc32(u32::MAX, entry.get(..4)?), entry.get(8..)?);
        let end = index.checked_add(usize::from(span))?;
        let is_one =
            crc == u32::from_le_bytes([c0, c1, c2, c3]) && span > 0 && end <= self.entries.len();
        is_one.then_some(end)
    }

    fn item(&self, index: usize, end: usize) -> Option<Item<'a>> {
        let entry = self.entries.get(index)?;
        let [namespace, kind, _, chunk, ..] = *entry;
        let head = *entry.last_chunk::<8>()?;
        let behind = self.entries.get(index.checked_add(1)?..end)?.as_flattened();
        let [size0, size1, ..] = head;
        let data = match kind {
            TEXT | OLD_BLOB | BLOB_PIECE => {
                behind.get(..usize::from(u16::from_le_bytes([size0, size1]))).unwrap_or(behind)
            }
            _ => &[],
        };
        Some(Item { namespace, kind, chunk, name: name(entry), head, data })
    }
}

impl Item<'_> {
    /// Whether its data is what was written.
    fn is_whole(&self) -> bool {
        let [_, _, _, _, c0, c1, c2, c3] = self.head;
        match self.kind {
            TEXT | OLD_BLOB | BLOB_PIECE => {
                software_crc32(u32::MAX, self.data) == u32::from_le_bytes([c0, c1, c2, c3])
            }
            _ => true,
        }
    }
}

fn name(entry: &[u8; ENTRY]) -> [u8; NAME] {
    let [_, _, _, _, _, _, _, _, name @ .., _, _, _, _, _, _, _, _] = *entry;
    name
}
