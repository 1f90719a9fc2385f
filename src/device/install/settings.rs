//! The settings of one device: what of `nvs` has to be written, and what is needed where that is
//! broken off.
//!
//! A sector is erased before it is written, so a cut loses what else is in it. Both states of the
//! partition are kept on the host until all is written, and the next run starts from there.

use super::{InstallError, Part, Plan, Wanted, What};
use crate::device::flash::{FlashReader, SECTOR};
use crate::device::nvs::{self, Given};
use crate::partition::{Entry, Kind};

/// `nvs` before and after.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The pages to write, in order; none where all of it is there.
    pub parts: Vec<Part>,
    /// What became of what was kept.
    pub copy: Copy,
    /// Whether there is something that is no NVS, which nobody has asked to write over.
    pub is_foreign: bool,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl std::fmt::Debug for Settings {
    /// Without what is in it: there are passphrases.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("pages", &self.parts.len()).finish_non_exhaustive()
    }
}

impl Settings {
    fn none() -> Self {
        Self {
            parts: Vec::new(),
            copy: Copy::None,
            is_foreign: false,
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// What to keep until all is written: the partition before, and after.
    pub fn to_keep(&self) -> Vec<u8> {
        [self.before.as_slice(), self.after.as_slice()].concat()
    }
}

/// What has to be written so that the device has the settings, beside all that is in `nvs`. `kept` is
/// what was kept of a run that was broken off.
///
/// # Errors
///
/// Where there is no `nvs`, or what is in it cannot be merged with.
pub fn settings(
    flash: &mut dyn FlashReader,
    wanted: &Wanted,
    plan: &Plan,
    given: &Given,
    kept: Option<&[u8]>,
) -> Result<Settings, InstallError> {
    let Some(row) = wanted.table.nvs() else {
        return if given.is_empty() { Ok(Settings::none()) } else { Err(InstallError::NoNvs) };
    };
    if let Some((_, table)) = &plan.found {
        let mut rows = table.entries.iter();
        let old = rows.find(|old| old.kind == Kind::NVS && old.offset == row.offset);
        if let Some(old) = old {
            return merged(flash, row, old.size.min(row.size), given, kept);
        }
    }
    let is_blank = part(row.offset, &blank(row)).is_in(flash)?;
    let is_known = plan.found.is_some();
    // Nobody knows what lies where, but NVS is known by what it looks like.
    if !is_known && !is_blank && nvs::has_pages(&flash.read(row.offset, row.size)?) {
        return merged(flash, row, row.size, given, kept);
    }
    match given.is_empty() {
        true if is_blank => Ok(Settings::none()),
        // By its table it was something else, which is lost or was nothing.
        _ if is_blank || is_known || wanted.allows_data_loss => fresh(flash, row, given),
        true => Ok(Settings { is_foreign: true, ..Settings::none() }),
        false => Err(InstallError::ForeignNvs(row.offset)),
    }
}

fn blank(row: &Entry) -> Vec<u8> {
    vec![0xff; usize::try_from(row.size).unwrap_or(usize::MAX)]
}

fn fresh(
    flash: &mut dyn FlashReader,
    row: &Entry,
    given: &Given,
) -> Result<Settings, InstallError> {
    let before = blank(row);
    let after = if given.is_empty() { before.clone() } else { nvs::merge(&before, given)? };
    let mut parts = Vec::new();
    for index in 0..after.len().div_ceil(sector()) {
        let part = page(row, &after, index);
        if !part.is_in(flash)? {
            parts.push(part);
        }
    }
    Ok(Settings { parts, before, after, ..Settings::none() })
}

fn merged(
    flash: &mut dyn FlashReader,
    row: &Entry,
    old_size: u32,
    given: &Given,
    kept: Option<&[u8]>,
) -> Result<Settings, InstallError> {
    if given.is_empty() && kept.is_none() {
        // Nobody asks for anything, and what is there is the device's.
        return Ok(Settings::none());
    }
    let mut now = flash.read(row.offset, old_size)?;
    // Pages that the partition grew by.
    now.resize(usize::try_from(row.size).unwrap_or(usize::MAX), 0xff);
    let copy = kept.map_or(Copy::None, |kept| Copy::of(&now, kept));
    let before = match &copy {
        Copy::Restores(before) => before.clone(),
        Copy::None | Copy::Needless | Copy::Another => now.clone(),
    };
    let after = if given.is_empty() { before.clone() } else { nvs::merge(&before, given)? };
    let grown = usize::try_from(old_size).unwrap_or(usize::MAX).div_ceil(sector());
    let mut parts = Vec::new();
    for index in nvs::changed_sectors(&now, &after) {
        parts.push(page(row, &after, index));
    }
    for index in grown..after.len().div_ceil(sector()) {
        let part = page(row, &after, index);
        if parts.iter().all(|other| other.offset != part.offset) && !part.is_in(flash)? {
            parts.push(part);
        }
    }
    Ok(Settings { parts, before, after, copy, is_foreign: false })
}

fn sector() -> usize {
    usize::try_from(SECTOR).unwrap_or(usize::MAX)
}

fn page(row: &Entry, bytes: &[u8], index: usize) -> Part {
    let bytes = bytes.chunks(sector()).nth(index).unwrap_or_default();
    let skipped = u32::try_from(index).unwrap_or(u32::MAX).saturating_mul(SECTOR);
    part(row.offset.saturating_add(skipped), bytes)
}

fn part(offset: u32, bytes: &[u8]) -> Part {
    Part { what: What::Nvs, offset, bytes: bytes.to_vec(), is_there: false }
}

/// What was kept of a run that was broken off, held against what is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Copy {
    /// Nothing was kept.
    #[default]
    None,
    /// Nothing was written yet, or all of it: the device has what it needs.
    Needless,
    /// A write was broken off, and this is what was there before it.
    Restores(Vec<u8>),
    /// The device has written to it since, or it is of another table: it is no use any more.
    Another,
}

impl Copy {
    /// Every page has to be as before or as planned, but for one that is what a broken write leaves: an
    /// erase sets bits of what was there, a program clears bits that are cleared in the end.
    fn of(now: &[u8], kept: &[u8]) -> Self {
        let Some((before, after)) = kept.split_at_checked(now.len()) else { return Self::Another };
        if after.len() != now.len() {
            return Self::Another;
        }
        if now == before || now == after {
            return Self::Needless;
        }
        let [now, before_pages, after] = [now, before, after].map(|it| it.chunks(sector()));
        let mut torn = 0_u32;
        for ((now, before), after) in now.zip(before_pages).zip(after) {
            let keeps = |bits: &[u8]| now.iter().zip(bits).all(|(now, bits)| now & bits == *bits);
            if now == before || now == after {
                continue;
            }
            if !keeps(before) && !keeps(after) {
                return Self::Another;
            }
            torn = torn.saturating_add(1);
        }
        if torn <= 1 { Self::Restores(before.to_vec()) } else { Self::Another }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(bytes: [u8; 3]) -> Vec<u8> {
        bytes.into_iter().flat_map(|byte| vec![byte; sector()]).collect()
    }

    #[test]
    fn a_write_that_was_broken_off_is_told_from_what_a_device_wrote_since() {
        let (before, after) = (partition([1, 2, 0xff]), partition([1, 3, 4]));
        let kept = [before.clone(), after.clone()].concat();
        let mut torn = partition([1, 2, 4]);
        torn[sector() + 9..2 * sector()].fill(0xff);
        for now in [partition([1, 2, 4]), torn, partition([1, 0xff, 4])] {
            assert_eq!(Copy::of(&now, &kept), Copy::Restores(before.clone()));
        }
        // Nothing was written yet, or all of it: the device may have gone on from there.
        assert_eq!(Copy::of(&before, &kept), Copy::Needless);
        assert_eq!(Copy::of(&after, &kept), Copy::Needless);
        assert_eq!(Copy::of(&partition([9, 8, 4]), &kept), Copy::Another);
        // The device has written one more value behind the others.
        let mut gone_on = before.clone();
        gone_on[2 * sector() + 64..][..32].fill(0x20);
        assert_eq!(Copy::of(&gone_on, &kept), Copy::Another);
        for cut in [0, 1, kept.len() / 2, kept.len() - 1] {
            assert_eq!(Copy::of(&partition([1, 2, 4]), &kept[..cut]), Copy::Another);
        }
    }
}
