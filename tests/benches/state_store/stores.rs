//! One interface over NVS, as the agent uses it, and over sequential-storage, as it would.

use cargo_esp_ota::agent::layout::Region;
use cargo_esp_ota::agent::nvs_store::NvsStore;
use cargo_esp_ota::agent::ports::Store;
use futures_util::FutureExt;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use crate::flash::Counted;

/// More than any value.
const LONGEST: usize = 8 * 1024;

/// Remembers values by name.
pub(crate) trait Memory: Sized {
    const NAME: &str;

    fn open(flash: Counted, region: Region) -> Result<Self, String>;
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, String>;
    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), String>;
}

/// ESP-IDF's NVS format.
pub(crate) struct InNvs(NvsStore<Counted>);

impl Memory for InNvs {
    const NAME: &str = "esp-nvs 0.6, in a partition that others use as well";

    fn open(flash: Counted, region: Region) -> Result<Self, String> {
        NvsStore::open(flash, region).map(Self).map_err(|error| format!("{error:?}"))
    }

    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let mut value = vec![0; LONGEST];
        let length = self.0.get(key, &mut value).map_err(|error| format!("{error:?}"))?;
        Ok(length.map(|length| value[..length].to_vec()))
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        self.0.set(key, value).map_err(|error| format!("{error:?}"))
    }
}

/// The map of sequential-storage. An item of it fits in one page, a root does not: it is written
/// in pieces, in turn under two sets of names, and a last item says which set is in force.
pub(crate) struct InSequential {
    map: MapStorage<u8, Counted, Cache<Uncached, Uncached, Uncached, u8>>,
    buffer: Vec<u8>,
}

/// Bytes of a piece: four of them in a page, with what the format adds.
const PIECE: usize = 1000;
/// The name of the item that says which set is in force, and the first names of both.
const HEAD: u8 = 15;
const SETS: [u8; 2] = [16, 32];

impl InSequential {
    fn fetch(&mut self, name: u8) -> Result<Option<Vec<u8>>, String> {
        let found = self.map.fetch_item::<&[u8]>(&mut self.buffer, &name).now_or_never();
        let found = found.ok_or("it waits")?.map_err(|error| format!("{error:?}"))?;
        Ok(found.map(<[u8]>::to_vec))
    }

    fn store(&mut self, name: u8, value: &[u8]) -> Result<(), String> {
        if self.fetch(name)?.as_deref() == Some(value) {
            return Ok(());
        }
        let stored = self.map.store_item(&mut self.buffer, &name, &value).now_or_never();
        stored.ok_or("it waits")?.map_err(|error| format!("{error:?}"))
    }
}

fn name(key: &str) -> u8 {
    if key == "tuf_state" { 0 } else { 1 }
}

impl Memory for InSequential {
    const NAME: &str = "sequential-storage 8.0, in a partition of its own";

    fn open(flash: Counted, region: Region) -> Result<Self, String> {
        let end = region.start + region.len;
        let config = MapConfig::try_new(region.start..end).map_err(|error| format!("{error:?}"))?;
        let map = MapStorage::new(flash, config, Cache::new_uncached());
        // It has no opening of its own; a first look at a name repairs what a cut left.
        let mut store = Self { map, buffer: vec![0; 2 * PIECE] };
        store.fetch(HEAD)?;
        Ok(store)
    }

    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, String> {
        if key != "tuf_root" {
            return self.fetch(name(key));
        }
        let Some(head) = self.fetch(HEAD)? else { return Ok(None) };
        let [set, low, high] = head[..] else { return Err("not a head".into()) };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let mut value = Vec::with_capacity(length);
        for index in (set..).take(length.div_ceil(PIECE)) {
            value.extend(self.fetch(index)?.ok_or("a piece is missing")?);
        }
        Ok(Some(value))
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        if key != "tuf_root" {
            return self.store(name(key), value);
        }
        if self.get(key).is_ok_and(|old| old.as_deref() == Some(value)) {
            return Ok(());
        }
        let [first, second] = SETS;
        let head = self.fetch(HEAD)?;
        let set = if head.is_some_and(|head| head[0] == first) { second } else { first };
        for (index, piece) in (set..).zip(value.chunks(PIECE)) {
            self.store(index, piece)?;
        }
        let length = u16::try_from(value.len()).map_err(|error| error.to_string())?;
        let [low, high] = length.to_le_bytes();
        self.store(HEAD, &[set, low, high])
    }
}
