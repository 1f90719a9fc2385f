//! A partition table as a list of rows, and the questions an updater asks it.

use super::entry::Entry;
use super::kind::Kind;

/// The rows of a table, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The rows.
    pub entries: Vec<Entry>,
}

impl Table {
    /// The first row of a kind.
    pub fn find(&self, kind: Kind) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.kind == kind)
    }

    /// The first row of a name.
    pub fn named(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.label.bytes() == name.as_bytes())
    }

    /// The row that says which slot boots.
    pub fn otadata(&self) -> Option<&Entry> {
        self.find(Kind::OTADATA)
    }

    /// The row that boots while otadata chooses no slot.
    pub fn factory(&self) -> Option<&Entry> {
        self.find(Kind::FACTORY)
    }

    /// The largest key-value store that may be written.
    pub fn nvs(&self) -> Option<&Entry> {
        let stores = self.entries.iter().filter(|e| e.kind == Kind::NVS && !e.flags.readonly());
        stores.max_by_key(|entry| entry.size)
    }

    /// The OTA slots, `ota_0` first.
    ///
    /// As the bootloader counts them: the index of a slot is its subtype, so a table with gaps or
    /// duplicates has to be refused by [`super::check`] before the positions here mean anything.
    pub fn slots(&self) -> Vec<&Entry> {
        let mut slots: Vec<&Entry> =
            self.entries.iter().filter(|entry| entry.kind.slot_index().is_some()).collect();
        slots.sort_by_key(|entry| entry.kind.slot_index());
        slots
    }

    /// The OTA slot with the fewest bytes: an image that does not fit it cannot be an update.
    pub fn smallest_slot(&self) -> Option<&Entry> {
        self.slots().into_iter().min_by_key(|entry| entry.size)
    }

    /// First byte after the last partition.
    pub fn end(&self) -> u64 {
        self.entries.iter().map(Entry::end).max().unwrap_or(0)
    }
}

impl FromIterator<Entry> for Table {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(index: u8, offset: u32, size: u32) -> Entry {
        Entry::new(&format!("app{index}"), Kind::slot(index).unwrap(), offset, size)
    }

    #[test]
    fn slots_come_in_the_order_of_their_numbers() {
        let table: Table = [
            slot(1, 0x10000, 0x20000),
            Entry::new("factory", Kind::FACTORY, 0x30000, 0x1000),
            slot(0, 0x40000, 0x10000),
        ]
        .into_iter()
        .collect();
        let names: Vec<_> = table.slots().into_iter().map(|e| e.label.to_string()).collect();
        assert_eq!(names, ["app0", "app1"]);
        assert_eq!(table.smallest_slot().unwrap().offset, 0x40000);
        assert_eq!(table.factory().unwrap().size, 0x1000);
        assert_eq!(table.otadata(), None);
        assert_eq!(table.end(), 0x50000);
    }

    #[test]
    fn an_empty_table_answers_every_question() {
        let table = Table::default();
        assert_eq!((table.smallest_slot(), table.nvs(), table.end()), (None, None, 0));
    }

    #[test]
    fn only_a_writable_store_counts() {
        let mut constants = Entry::new("constants", Kind::NVS, 0x9000, 0x8000);
        constants.flags = crate::partition::Flags::READONLY;
        let nvs = Entry::new("nvs", Kind::NVS, 0x11000, 0x3000);
        let table: Table = [constants, nvs].into_iter().collect();
        assert_eq!(table.nvs(), Some(&nvs));
    }
}
