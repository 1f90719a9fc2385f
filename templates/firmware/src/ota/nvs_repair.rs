//! Puts the pages of an NVS partition in order before esp-nvs looks at them.
//!
//! A full page is freed by copying what lives on it and erasing it. A power cut on the way can
//! leave three things that esp-nvs 0.6.3 makes worse. A page whose header was torn becomes the next
//! target together with its old map of entries, so that what is written there cannot be found: it
//! is erased here. Before the copy is begun, a namespace entry on the page is forgotten, and with
//! it all that the namespace holds: the copy is begun here. And a page whose erase was torn is
//! copied once more into the last free page, after which nothing can be written: where all that is
//! left on it has been copied, it is erased here.

use embedded_storage::nor_flash::NorFlash;
use esp_nvs::platform::software_crc32;

use super::layout::Region;

/// A page of NVS is one flash sector.
const PAGE: u32 = 4096;
/// Bytes of a page's header (ESP-IDF, "NVS: structure of a page").
const HEADER: usize = 32;
/// The map of entries follows the header: two bits each, `10` for one that is in use.
const MAP: usize = 32;
const MAP_OFFSET: u32 = 32;
const WRITTEN: u8 = 0b10;
/// Entries of a page, and bytes of each.
const ENTRIES: u32 = 126;
const ENTRY: usize = 32;
const ENTRY_SIZE: u32 = 32;
/// Bytes of the name in an entry, which are between its CRC and its value.
const KEY: usize = 16;
/// Bits of a name that may have changed. The names of two settings differ in more.
const MOST_BITS: u32 = 3;
/// Bytes before the first entry: header and map.
const FIRST_ENTRY: u32 = 64;
/// Bytes read at once to find out whether a page is blank.
const CHUNK: usize = 256;
/// States of a page in use. Any other is no page that holds values.
const ACTIVE: u32 = 0xffff_fffe;
const FULL: u32 = 0xffff_fffc;
const FREEING: u32 = 0xffff_fff8;
/// Version 2 of the format, counted downwards.
const VERSION: u8 = 0xfe;

/// What stands at the start of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    state: u32,
    sequence: u32,
}

impl Header {
    /// `None` for a header that is blank, torn, or of a page that is out of use.
    fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let [s0, s1, s2, s3, covered @ .., c0, c1, c2, c3] = *bytes;
        let [q0, q1, q2, q3, ..] = covered;
        let state = u32::from_le_bytes([s0, s1, s2, s3]);
        let crc = u32::from_le_bytes([c0, c1, c2, c3]);
        let is_sound =
            [ACTIVE, FULL, FREEING].contains(&state) && crc == software_crc32(u32::MAX, &covered);
        is_sound.then_some(Self { state, sequence: u32::from_le_bytes([q0, q1, q2, q3]) })
    }

    fn encode(self) -> [u8; HEADER] {
        let mut covered = [0xff; HEADER - 8];
        let sequence = self.sequence.to_le_bytes().into_iter().chain([VERSION]);
        for (byte, field) in covered.iter_mut().zip(sequence) {
            *byte = field;
        }
        let crc = software_crc32(u32::MAX, &covered).to_le_bytes();
        let fields = self.state.to_le_bytes().into_iter().chain(covered).chain(crc);
        let mut bytes = [0xff; HEADER];
        for (byte, field) in bytes.iter_mut().zip(fields) {
            *byte = field;
        }
        bytes
    }
}

/// Whether any entry in use can be read, where there are some. In an encrypted NVS none can: headers
/// and maps are plain there, entries are not. Repair and esp-nvs would take them all for torn, and
/// erase what is somebody else's.
pub(super) fn is_readable<F: NorFlash>(flash: &mut F, partition: Region) -> Result<bool, F::Error> {
    let mut unreadable = 0u32;
    let pages = partition.len.checked_div(PAGE).unwrap_or(0);
    for page in 0..pages {
        let start = partition.start.saturating_add(page.saturating_mul(PAGE));
        if Header::decode(&read(flash, start)?).is_none() {
            continue;
        }
        let mut entries = Entries::of(flash, start)?;
        if entries.next(flash)?.is_some() {
            return Ok(true);
        }
        let unread = (0..ENTRIES).filter(|index| entries.is_written(*index)).count();
        unreadable = unreadable.saturating_add(u32::try_from(unread).unwrap_or(u32::MAX));
    }
    // A single one may be the first that was ever written, torn by a power cut.
    Ok(unreadable < 2)
}

/// Whether a value of this name is, or was, anywhere in the partition, sound or not. What is damaged
/// is taken for torn by repair and by esp-nvs, marked as erased, and then looks as if it had never been
/// there; its bytes stay until the page is freed. The name itself may be what is damaged.
pub(super) fn has_trace<F: NorFlash>(
    flash: &mut F,
    partition: Region,
    name: &str,
) -> Result<bool, F::Error> {
    let mut key = [0; KEY];
    for (byte, letter) in key.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    let pages = partition.len.checked_div(PAGE).unwrap_or(0);
    for page in 0..pages {
        let start = partition.start.saturating_add(page.saturating_mul(PAGE));
        for index in 0..ENTRIES {
            let offset = FIRST_ENTRY.saturating_add(index.saturating_mul(ENTRY_SIZE));
            let [_, _, _, _, _, _, _, _, found @ .., _, _, _, _, _, _, _, _]: [u8; ENTRY] =
                read(flash, start.saturating_add(offset))?;
            let bits = key.iter().zip(found).map(|(one, other)| (one ^ other).count_ones());
            if bits.fold(0, u32::saturating_add) <= MOST_BITS {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Erases what no longer is a page in use, and begins the copy of a page that is about to be freed
/// where it was not begun. A partition without a trace of a cut is only read.
pub(super) fn repair<F: NorFlash>(flash: &mut F, partition: Region) -> Result<(), F::Error> {
    let mut blank = None;
    let mut newest = None;
    let mut freeing = None;
    let mut is_active = false;
    let pages = partition.len.checked_div(PAGE).unwrap_or(0);
    for page in 0..pages {
        let start = partition.start.saturating_add(page.saturating_mul(PAGE));
        match Header::decode(&read(flash, start)?) {
            Some(Header { state: FREEING, sequence }) => freeing = Some((sequence, start)),
            Some(Header { state, sequence }) => {
                newest = newest.max(Some((sequence, start)));
                is_active |= state == ACTIVE;
            }
            None => {
                if !is_blank(flash, start)? {
                    erase(flash, start)?;
                }
                blank = Some(start);
            }
        }
    }
    let Some((sequence, source)) = freeing else { return Ok(()) };
    if let Some((_, copy)) = newest
        && is_copied(flash, source, copy)?
    {
        return erase(flash, source);
    }
    if let Some(start) = blank.filter(|_| !is_active) {
        let newest = newest.map_or(sequence, |(newest, _)| newest.max(sequence));
        let header = Header { state: ACTIVE, sequence: newest.saturating_add(1) };
        flash.write(start, &Aligned(header.encode()).0)?;
    }
    Ok(())
}

fn read<F: NorFlash, const N: usize>(flash: &mut F, at: u32) -> Result<[u8; N], F::Error> {
    let mut bytes = Aligned([0; N]);
    flash.read(at, &mut bytes.0)?;
    Ok(bytes.0)
}

fn erase<F: NorFlash>(flash: &mut F, start: u32) -> Result<(), F::Error> {
    flash.erase(start, start.saturating_add(PAGE))
}

/// Whether every sound entry in use on `source` is on `copy` as well, byte for byte, and with the
/// marks of all its data: a cut may have torn those, and then it does not count.
fn is_copied<F: NorFlash>(flash: &mut F, source: u32, copy: u32) -> Result<bool, F::Error> {
    let mut entries = Entries::of(flash, source)?;
    while let Some((entry, _)) = entries.next(flash)? {
        let mut copied = Entries::of(flash, copy)?;
        loop {
            match copied.next(flash)? {
                Some((found, is_marked)) if found == entry && is_marked => break,
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }
    Ok(true)
}

/// Walks over the sound entries in use on a page, stepping over the data behind them.
struct Entries {
    start: u32,
    map: [u8; MAP],
    index: u32,
}

impl Entries {
    fn of<F: NorFlash>(flash: &mut F, start: u32) -> Result<Self, F::Error> {
        let map = read(flash, start.saturating_add(MAP_OFFSET))?;
        Ok(Self { start, map, index: 0 })
    }

    fn is_written(&self, index: u32) -> bool {
        let byte = usize::try_from(index / 4).ok().and_then(|at| self.map.get(at));
        let shift = (index % 4).saturating_mul(2);
        let state = byte.and_then(|byte| byte.checked_shr(shift)).unwrap_or_default();
        state & 0b11 == WRITTEN
    }

    /// The next entry, and whether its data is marked as in use as well.
    fn next<F: NorFlash>(
        &mut self,
        flash: &mut F,
    ) -> Result<Option<([u8; ENTRY], bool)>, F::Error> {
        while self.index < ENTRIES {
            let index = self.index;
            self.index = index.saturating_add(1);
            if !self.is_written(index) {
                continue;
            }
            let offset = FIRST_ENTRY.saturating_add(index.saturating_mul(ENTRY_SIZE));
            let entry = read(flash, self.start.saturating_add(offset))?;
            if let Some(span) = span(&entry).filter(|span| *span <= ENTRIES.saturating_sub(index)) {
                self.index = index.saturating_add(span);
                let is_marked = (index..self.index).all(|index| self.is_written(index));
                return Ok(Some((entry, is_marked)));
            }
        }
        Ok(None)
    }
}

/// How many entries a value takes, itself included; `None` where the CRC of its entry is wrong.
fn span(entry: &[u8; ENTRY]) -> Option<u32> {
    let [_, _, span, _, c0, c1, c2, c3] = *entry.first_chunk()?;
    let crc = software_crc32(u32::MAX, entry.get(..4)?);
    let crc = software_crc32(crc, entry.get(8..)?);
    (crc == u32::from_le_bytes([c0, c1, c2, c3]) && span > 0).then_some(u32::from(span))
}

fn is_blank<F: NorFlash>(flash: &mut F, start: u32) -> Result<bool, F::Error> {
    let end = start.saturating_add(PAGE);
    for at in (start..end).step_by(CHUNK) {
        if read(flash, at)? != [0xff; CHUNK] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Word-aligned, so that esp-storage needs no bounce buffer.
#[repr(C, align(4))]
struct Aligned<const N: usize>([u8; N]);
