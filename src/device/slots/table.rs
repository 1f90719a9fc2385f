//! The partition table of a device, wherever it is.

use super::SlotError;
use crate::device::flash::FlashReader;
use crate::partition::{self, Options, Severity, TABLE_SIZE, Table};

/// Where tables are looked for: every sector from ESP-IDF's default offset to the first place an
/// app can have.
const OFFSETS: [u32; 9] = [0x8000, 0x9000, 0xa000, 0xb000, 0xc000, 0xd000, 0xe000, 0xf000, 0x10000];
/// First bytes of every row.
const ROW_MAGIC: [u8; 2] = [0xaa, 0x50];
/// Bytes that are read at a time: two rows, what a ROM gives at once.
const PART: u32 = 64;

/// Finds the table and its offset. Reads a little at each place, and no further than the table goes.
///
/// # Errors
///
/// Where there is none, a damaged one, or no way to the flash.
pub(super) fn find(flash: &mut dyn FlashReader) -> Result<(u32, Table), SlotError> {
    find_from(flash, None)
}

/// The same, and first of all at `preferred`.
///
/// # Errors
///
/// As above.
pub fn find_from(
    flash: &mut dyn FlashReader,
    preferred: Option<u32>,
) -> Result<(u32, Table), SlotError> {
    for offset in preferred.into_iter().chain(OFFSETS) {
        let Some(first) = begin(flash, offset)? else { continue };
        let bytes = rest(flash, offset, first)?;
        let format = bytes.get(..partition::FORMAT_SIZE).unwrap_or(&bytes);
        let reading = partition::read(format, None, &Options::default());
        // Only damage counts here: what a damaged table says cannot be believed, but a legal table
        // that is unfit for OTA is just what people come to look at.
        let damage = reading.findings.iter().find(|it| it.severity == Severity::Error);
        return match damage {
            Some(finding) => {
                Err(SlotError::DamagedTable { offset, message: finding.message.clone() })
            }
            None => Ok((offset, reading.table())),
        };
    }
    Err(SlotError::NoTable)
}

/// Every place that a table begins at.
///
/// # Errors
///
/// Where there is no way to the flash.
pub fn all(flash: &mut dyn FlashReader) -> Result<Vec<u32>, SlotError> {
    let mut found = Vec::new();
    for offset in OFFSETS {
        if begin(flash, offset)?.is_some() {
            found.push(offset);
        }
    }
    Ok(found)
}

/// The first rows of a table, where one begins.
fn begin(flash: &mut dyn FlashReader, offset: u32) -> Result<Option<Vec<u8>>, SlotError> {
    if offset.saturating_add(TABLE_SIZE) > flash.size() {
        return Ok(None);
    }
    let first = flash.read(offset, PART)?;
    Ok(first.starts_with(&ROW_MAGIC).then_some(first))
}

/// Everything up to the first erased row; what is behind it belongs to nobody.
fn rest(flash: &mut dyn FlashReader, offset: u32, first: Vec<u8>) -> Result<Vec<u8>, SlotError> {
    let mut bytes = first;
    let full = usize::try_from(TABLE_SIZE).unwrap_or(usize::MAX);
    while bytes.len() < full {
        let is_over = bytes
            .chunks(usize::try_from(PART / 2).unwrap_or(usize::MAX))
            .any(|row| row.iter().all(|byte| *byte == 0xff));
        if is_over {
            bytes.resize(full, 0xff);
            break;
        }
        let at = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes.extend(flash.read(offset.saturating_add(at), PART)?);
    }
    Ok(bytes)
}
