//! What a partition holds, value by value, to compare it before and after.
//!
//! Read by our own total reader and not by esp-nvs, which mends what it meets: it is what merged, and
//! this is what judges it.

use std::collections::BTreeMap;

use super::NvsError;
use super::page::{BLOB_INDEX, BLOB_PIECE, Item, NAME, OLD_BLOB, PAGE, Page, TEXT, U8, U32, pages};

/// The longest way up: a sequence number beyond it is damage, and esp-nvs would repeat the last.
const LAST_SEQUENCE: u32 = u32::MAX - 0x1_0000;

/// A value's place: index of the namespace, name, and what the pieces of blobs are numbered by. All
/// other values have [`WHOLE`] there, or no reader finds them.
type Place = (u8, [u8; NAME], u8);
const WHOLE: u8 = 0xff;

/// A value as it was written. It may be a secret, so it cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    Number {
        kind: u8,
        bytes: [u8; 8],
    },
    /// With the zero byte at its end.
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

/// All values of a partition.
#[derive(Default)]
pub(super) struct Inventory {
    /// Several for a place where power was lost between a new value and the end of the old one;
    /// oldest first.
    values: BTreeMap<Place, Vec<Value>>,
    /// What was written and not marked. It may come to be in use, or not.
    unmarked: BTreeMap<Place, Vec<Value>>,
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.bytes().chain([0]).collect())
    }

    pub(super) fn number(number: u32) -> Self {
        let [b0, b1, b2, b3] = number.to_le_bytes();
        Self::Number { kind: U32, bytes: [b0, b1, b2, b3, 0xff, 0xff, 0xff, 0xff] }
    }
}

impl Inventory {
    /// Reads a partition, and refuses what is encrypted or damaged beyond what a power cut does.
    pub(super) fn read(partition: &[u8]) -> Result<Self, NvsError> {
        if partition.is_empty() || !partition.len().is_multiple_of(PAGE) {
            return Err(NvsError::Size(partition.len()));
        }
        let mut used: Vec<_> =
            pages(partition).filter_map(|page| Some((page.sequence?, page))).collect();
        let is_foreign = |page: &Page<'_>| page.sequence.is_none() && !page.is_blank(partition);
        // One may be the first page of all, of which power was lost.
        if used.is_empty() && pages(partition).filter(is_foreign).count() > 1 {
            return Err(damaged(0, "no page of it is one of NVS"));
        }
        used.sort_by_key(|(sequence, _)| *sequence);
        let contents: Vec<_> =
            used.iter().map(|(sequence, page)| (*sequence, page, page.contents())).collect();
        let is_any = contents.iter().any(|(_, _, found)| !found.items.is_empty());
        let unreadable: usize = contents.iter().map(|(_, _, found)| found.unreadable.len()).sum();
        // As the agent judges it: headers and maps of an encrypted one are plain.
        if !is_any && unreadable > 1 {
            return Err(NvsError::Encrypted);
        }
        let mut items = Vec::new();
        let mut unmarked = Vec::new();
        for (sequence, page, found) in contents {
            if sequence > LAST_SEQUENCE {
                return Err(damaged(page.offset, "the page's number is out of range"));
            }
            // A page that was moved may be half erased.
            if !found.unreadable.is_empty() && !page.is_freeing {
                let what = "an entry of the page has not the checksum that it states";
                return Err(damaged(page.offset, what));
            }
            items.extend(found.items.into_iter().map(|item| (page.offset, item)));
            unmarked.extend(found.unmarked);
        }
        let lost = pages(partition).filter(is_foreign).find(|page| !is_elsewhere(page, &items));
        if let Some(Page { offset, .. }) = lost {
            return Err(damaged(offset, "the header of a page with values is not sound"));
        }
        let inventory = Self {
            values: values(items.iter().map(|(_, item)| *item)),
            // A piece that was written belongs to pieces that were marked before it.
            unmarked: values(items.iter().map(|(_, item)| *item).chain(unmarked)),
        };
        for (offset, item) in &items {
            if item.namespace != 0 && !inventory.has_namespace(item.namespace) {
                return Err(damaged(*offset, "a value belongs to a namespace that is not there"));
            }
            // Its index is written last and erased first.
            let place = (item.namespace, item.name, WHOLE);
            if item.kind == BLOB_INDEX && !inventory.values.contains_key(&place) {
                return Err(damaged(*offset, "a blob is not whole"));
            }
        }
        Ok(inventory)
    }

    /// Index of a namespace.
    fn namespace(&self, name: &str) -> Option<u8> {
        match self.values.get(&(0, padded(name), WHOLE))?.last()? {
            Value::Number { kind: U8, bytes: [index, ..] } => Some(*index),
            _ => None,
        }
    }

    fn has_namespace(&self, index: u8) -> bool {
        let names = self.values.range((0, [0; NAME], 0)..=(0, [u8::MAX; NAME], u8::MAX));
        names.flat_map(|(_, values)| values).any(
            |value| matches!(value, Value::Number { kind: U8, bytes: [found, ..] } if *found == index),
        )
    }

    /// The value of a name; `None` where there is none, or more than one.
    pub(super) fn only(&self, namespace: &str, name: &str) -> Option<&Value> {
        match self.values.get(&(self.namespace(namespace)?, padded(name), WHOLE))?.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    /// That all which is here is in `after` as well, but for the values of these names.
    pub(super) fn survives_in(
        &self,
        after: &Self,
        namespace: &str,
        names: &[&str],
    ) -> Result<(), NvsError> {
        let ours = self.namespace(namespace);
        let names: Vec<_> = names.iter().map(|name| padded(name)).collect();
        for (place, values) in &self.values {
            if Some(place.0) == ours && names.contains(&place.1) {
                continue;
            }
            let unmarked = self.unmarked.get(place).map(Vec::as_slice).unwrap_or_default();
            let is_old = |value: &Value| values.contains(value) || unmarked.contains(value);
            let kept = after.values.get(place).map(Vec::as_slice).unwrap_or_default();
            if kept.is_empty() || !kept.iter().all(is_old) {
                return Err(NvsError::Loses { key: shown(&place.1) });
            }
        }
        Ok(())
    }
}

/// Whether every value on a page out of use is on a page in use, too: then it was moved there.
fn is_elsewhere(page: &Page<'_>, items: &[(usize, Item<'_>)]) -> bool {
    page.contents().items.iter().all(|lost| {
        items.iter().any(|(_, item)| {
            (item.namespace, item.name, item.chunk) == (lost.namespace, lost.name, lost.chunk)
        })
    })
}

fn values<'a>(items: impl Iterator<Item = Item<'a>>) -> BTreeMap<Place, Vec<Value>> {
    let mut values: BTreeMap<Place, Vec<Value>> = BTreeMap::new();
    let mut pieces = BTreeMap::new();
    let mut indices = Vec::new();
    for item in items {
        let place = (item.namespace, item.name, item.chunk);
        let value = match item.kind {
            TEXT => Value::Text(item.data.to_vec()),
            OLD_BLOB => Value::Blob(item.data.to_vec()),
            BLOB_PIECE => {
                pieces.insert(place, item.data);
                continue;
            }
            BLOB_INDEX => {
                indices.push(item);
                continue;
            }
            kind => Value::Number { kind, bytes: item.head },
        };
        let values = values.entry(place).or_default();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    for index in indices {
        let [s0, s1, s2, s3, count, first, ..] = index.head;
        let mut bytes = Vec::new();
        // Up to what a device would take for the end of the numbers.
        for chunk in (first..=u8::MAX).take(count.into()) {
            bytes.extend_from_slice(
                pieces.get(&(index.namespace, index.name, chunk)).copied().unwrap_or_default(),
            );
        }
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        let values = values.entry((index.namespace, index.name, WHOLE)).or_default();
        // One whose pieces are not all there was never finished.
        if u32::try_from(bytes.len()) == Ok(size) && !values.contains(&Value::Blob(bytes.clone())) {
            values.push(Value::Blob(bytes));
        }
    }
    values.retain(|_, values| !values.is_empty());
    values
}

fn damaged(offset: usize, what: &'static str) -> NvsError {
    NvsError::Damaged { offset, what }
}

fn padded(name: &str) -> [u8; NAME] {
    let mut padded = [0; NAME];
    for (byte, letter) in padded.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    padded
}

/// A name as it can be printed.
fn shown(name: &[u8; NAME]) -> String {
    name.split(|byte| *byte == 0).next().unwrap_or_default().escape_ascii().to_string()
}
