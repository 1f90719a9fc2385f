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
        Self { parts: Vec::new(), before: Vec::new(), after: Vec::new() }
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
    let old = plan.found.as_ref().and_then(|(_, table)| {
        table.entries.iter().find(|old| old.kind == Kind::NVS && old.offset == row.offset)
    });
    match (old, given.is_empty()) {
        // Nobody asks for anything, and what is there is the device's.
        (Some(_), true) if kept.is_none() => Ok(Settings::none()),
        (Some(old), _) => merged(flash, row, old.size.min(row.size), given, kept),
        // Whatever is there was something else before.
        (None, _) => fresh(flash, row, given),
    }
}

fn fresh(
    flash: &mut dyn FlashReader,
    row: &Entry,
    given: &Given,
) -> Result<Settings, InstallError> {
    let before = vec![0xff; usize::try_from(row.size).unwrap_or(usize::MAX)];
    let after = if given.is_empty() { before.clone() } else { nvs::merge(&before, given)? };
    let mut parts = Vec::new();
    for index in 0..after.len().div_ceil(sector()) {
        let part = page(row, &after, index);
        if !part.is_in(flash)? {
            parts.push(part);
        }
    }
    Ok(Settings { parts, before, after })
}

fn merged(
    flash: &mut dyn FlashReader,
    row: &Entry,
    old_size: u32,
    given: &Given,
    kept: Option<&[u8]>,
) -> Result<Settings, InstallError> {
    let mut now = flash.read(row.offset, old_size)?;
    // Pages that the partition grew by.
    now.resize(usize::try_from(row.size).unwrap_or(usize::MAX), 0xff);
    let before = kept.and_then(|kept| before_the_cut(&now, kept)).unwrap_or_else(|| now.clone());
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
    Ok(Settings { parts, before, after })
}

fn sector() -> usize {
    usize::try_from(SECTOR).unwrap_or(usize::MAX)
}

fn page(row: &Entry, bytes: &[u8], index: usize) -> Part {
    let bytes = bytes.chunks(sector()).nth(index).unwrap_or_default().to_vec();
    let skipped = u32::try_from(index).unwrap_or(u32::MAX).saturating_mul(SECTOR);
    Part { what: What::Nvs, offset: row.offset.saturating_add(skipped), bytes, is_there: false }
}

/// The partition as it was before a write that was broken off, if that is how it looks: every page is
/// as before or as planned, but for one that may be anything. Whatever else it is, the device has
/// written to it since.
fn before_the_cut(now: &[u8], kept: &[u8]) -> Option<Vec<u8>> {
    let (before, after) = kept.split_at_checked(now.len())?;
    if after.len() != now.len() {
        return None;
    }
    let pages = |bytes: &[u8]| bytes.chunks(sector()).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let all = pages(now).into_iter().zip(pages(before)).zip(pages(after));
    let torn = all.filter(|((now, before), after)| now != before && now != after).count();
    let is_whole = now == before || now == after;
    (torn <= 1 && !is_whole).then(|| before.to_vec())
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
            assert_eq!(before_the_cut(&now, &kept), Some(before.clone()));
        }
        // Nothing was written yet, or all of it: the device may have gone on from there.
        assert_eq!(before_the_cut(&before, &kept), None);
        assert_eq!(before_the_cut(&after, &kept), None);
        assert_eq!(before_the_cut(&partition([9, 8, 4]), &kept), None);
        for cut in [0, 1, kept.len() / 2, kept.len() - 1] {
            assert_eq!(before_the_cut(&partition([1, 2, 4]), &kept[..cut]), None);
        }
    }
}
