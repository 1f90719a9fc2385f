//! Settings for one device, merged into the NVS partition that was read from it.
//!
//! Nothing that is there is lost: esp-nvs writes into a copy, as it would on the device, and a reader
//! of our own compares all values before and after. What is encrypted or damaged is refused.

mod error;
mod given;
mod inventory;
mod page;
mod scrub;

#[cfg(test)]
mod tests;

use esp_nvs::error::Error;
use esp_nvs::mem_flash::MemFlash;
use esp_nvs::{Key, Nvs};

use crate::agent::layout::Region;
use crate::agent::nvs_store::NvsStore;
use crate::agent::settings::{Problem, Settings};
pub use error::NvsError;
pub use given::Given;
use given::{NAMESPACE, Setting};
use inventory::Inventory;
use page::PAGE;

/// The partition with the settings in it, of the same length; unchanged where all of them are there.
pub fn merge(partition: &[u8], given: &Given) -> Result<Vec<u8>, NvsError> {
    let before = Inventory::read(partition)?;
    if is_there(partition, &before, given)? {
        return Ok(partition.to_vec());
    }
    let mut merged = written(partition, &before, given)?;
    if given.has_wifi() {
        scrub::passphrases(&mut merged);
    }
    let after = Inventory::read(&merged)?;
    let names: Vec<_> = given.names().into_iter().chain(given.to_remove()).collect();
    before.survives_in(&after, NAMESPACE, &names)?;
    let settings = settings(&merged)?;
    if given.is_used_in(&settings) {
        return Ok(merged);
    }
    Err(match settings.problems.first() {
        Some(Problem::PskLost) => NvsError::Trace,
        Some(problem) => NvsError::Unused(*problem),
        None => damaged(),
    })
}

/// Whether any page is one of NVS.
pub fn has_pages(partition: &[u8]) -> bool {
    page::pages(partition).any(|page| page.sequence.is_some())
}

/// The settings that the agent reads from a partition.
pub fn settings(partition: &[u8]) -> Result<Settings, NvsError> {
    Inventory::read(partition)?;
    let mut flash = MemFlash::from_bytes(partition.to_vec());
    Ok(Settings::read(&mut open(&mut flash, partition.len())?))
}

/// The sectors that differ, by their index, in the order in which a cut between two of them does least
/// harm: first what nobody uses yet, so that what moves there is never nowhere.
pub fn changed_sectors(before: &[u8], after: &[u8]) -> Vec<usize> {
    let is_free: Vec<_> = page::pages(before).map(|page| page.sequence.is_none()).collect();
    let sectors = before.chunks(PAGE).zip(after.chunks(PAGE)).zip(is_free).enumerate();
    let changed = sectors.filter(|(_, ((before, after), _))| before != after);
    let (mut first, last): (Vec<_>, Vec<_>) = changed.partition(|(_, (_, is_free))| *is_free);
    first.extend(last);
    first.into_iter().map(|(index, _)| index).collect()
}

/// Whether there is nothing to do.
fn is_there(partition: &[u8], before: &Inventory, given: &Given) -> Result<bool, NvsError> {
    let is_written = |(name, setting): &(&str, Setting)| {
        before.only(NAMESPACE, name).is_some_and(|found| *found == setting.value())
    };
    Ok(given.to_write().iter().all(is_written) && given.is_used_in(&settings(partition)?))
}

/// The partition as the device would have written it.
fn written(partition: &[u8], before: &Inventory, given: &Given) -> Result<Vec<u8>, NvsError> {
    if partition.len() == PAGE {
        return Err(NvsError::OnePage);
    }
    let mut flash = MemFlash::from_bytes(partition.to_vec());
    // Mends what a power cut left, as the agent does.
    drop(open(&mut flash, partition.len())?);
    let mut nvs = Nvs::new(0, partition.len(), flash).map_err(refused)?;
    let namespace = Key::from_str(NAMESPACE);
    let mut settings = given.to_write();
    settings.retain(|(name, setting)| before.only(NAMESPACE, name) != Some(&setting.value()));
    // Old values first: both may not have room, and nobody reads this copy between.
    for name in settings.iter().map(|(name, _)| *name).chain(given.to_remove()) {
        nvs.delete(&namespace, &Key::from_str(name)).map_err(refused)?;
    }
    for (name, setting) in &settings {
        let name = Key::from_str(name);
        match setting {
            Setting::Text(text) => nvs.set(&namespace, &name, text.as_str()),
            Setting::Number(number) => nvs.set(&namespace, &name, *number),
        }
        .map_err(refused)?;
    }
    Ok(nvs.into_inner().into_inner())
}

fn open(flash: &mut MemFlash, len: usize) -> Result<NvsStore<&mut MemFlash>, NvsError> {
    let len = u32::try_from(len).map_err(|_| NvsError::Size(len))?;
    NvsStore::open(flash, Region { start: 0, len }).map_err(|_| damaged())
}

fn refused(error: Error) -> NvsError {
    match error {
        Error::FlashFull | Error::PageFull | Error::TooManyNamespaces => NvsError::Full,
        _ => damaged(),
    }
}

/// Where esp-nvs does not say what is wrong.
fn damaged() -> NvsError {
    NvsError::Damaged { offset: 0, what: "the device could not use it" }
}
