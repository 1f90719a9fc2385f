//! What differs between two tables, row by row.
//!
//! Rows belong together by what finds them: slots, factory and otadata by their kind, which is what
//! the bootloader looks for; everything else by its name, which is what programs look for, and
//! failing that by kind and place.

use super::entry::Entry;
use super::kind::Kind;
use super::table::Table;

/// One way in which a row changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It is in the new table only.
    Appeared,
    /// It is in the old table only.
    Went,
    /// It begins elsewhere.
    Moved,
    /// It has more bytes.
    Grew,
    /// It has fewer bytes.
    Shrank,
    /// It has another name.
    Renamed,
    /// It has another type or subtype.
    Retyped,
    /// It has other flags.
    Reflagged,
}

impl Change {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Went => "went",
            Self::Moved => "moved",
            Self::Grew => "grew",
            Self::Shrank => "shrank",
            Self::Renamed => "renamed",
            Self::Retyped => "retyped",
            Self::Reflagged => "reflagged",
        }
    }
}

/// A row, before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The row in the old table.
    pub old: Option<Entry>,
    /// The row in the new table.
    pub new: Option<Entry>,
}

impl Pair {
    /// What changed; nothing, if nothing did.
    pub fn changes(&self) -> Vec<Change> {
        let (old, new) = match (&self.old, &self.new) {
            (Some(old), Some(new)) => (old, new),
            (Some(_), None) => return vec![Change::Went],
            (None, Some(_)) => return vec![Change::Appeared],
            (None, None) => return Vec::new(),
        };
        let changes = [
            (old.offset != new.offset, Change::Moved),
            (old.size < new.size, Change::Grew),
            (old.size > new.size, Change::Shrank),
            (old.label.bytes() != new.label.bytes(), Change::Renamed),
            (old.kind != new.kind, Change::Retyped),
            (old.flags != new.flags, Change::Reflagged),
        ];
        changes.into_iter().filter(|(is, _)| *is).map(|(_, change)| change).collect()
    }

    /// The row as the new table has it, or the old one where it went.
    pub fn entry(&self) -> Option<&Entry> {
        self.new.as_ref().or(self.old.as_ref())
    }
}

/// Whether the bootloader or the update agent finds the row by its kind, whatever its name.
pub(super) fn is_found_by_kind(kind: Kind) -> bool {
    kind.slot_index().is_some() || kind == Kind::FACTORY || kind == Kind::OTADATA
}

/// Pairs the rows of two tables: those of the new one in their order, then those that went.
pub(super) fn pairs(old: &Table, new: &Table) -> Vec<Pair> {
    let mut left: Vec<Option<Entry>> = old.entries.iter().copied().map(Some).collect();
    let mut pairs: Vec<Pair> =
        new.entries.iter().map(|entry| Pair { old: None, new: Some(*entry) }).collect();
    let rules: [fn(&Entry, &Entry) -> bool; 5] = [
        |old, new| old.kind == new.kind && old.label.bytes() == new.label.bytes(),
        |old, new| old.kind == new.kind && is_found_by_kind(old.kind),
        |old, new| old.label.bytes() == new.label.bytes() && !old.label.bytes().is_empty(),
        |old, new| old.kind == new.kind && old.offset == new.offset,
        |old, new| old.kind == new.kind,
    ];
    for belong in rules {
        for pair in &mut pairs {
            let (None, Some(new)) = (pair.old, pair.new) else { continue };
            let mut candidates = left.iter_mut();
            let found = candidates.find(|row| row.is_some_and(|old| belong(&old, &new)));
            pair.old = found.and_then(Option::take);
        }
    }
    let gone = left.into_iter().flatten().map(|entry| Pair { old: Some(entry), new: None });
    pairs.extend(gone);
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{Flags, standard};

    fn four() -> Table {
        standard(0x40_0000).unwrap()
    }

    fn changes(old: &Table, new: &Table) -> Vec<(String, Vec<Change>)> {
        let changed = pairs(old, new).into_iter().filter(|pair| !pair.changes().is_empty());
        changed.map(|pair| (pair.entry().unwrap().label.to_string(), pair.changes())).collect()
    }

    fn only(name: &str, what: &[Change]) -> Vec<(String, Vec<Change>)> {
        vec![(name.to_owned(), what.to_vec())]
    }

    #[test]
    fn a_table_does_not_differ_from_itself_nor_from_its_rows_in_another_order() {
        assert_eq!(changes(&four(), &four()), []);
        let mut reversed = four();
        reversed.entries.reverse();
        assert_eq!(changes(&four(), &reversed), []);
    }

    #[test]
    fn each_field_has_a_word_of_its_own() {
        let with = |change: &dyn Fn(&mut Entry)| {
            let mut new = four();
            change(&mut new.entries[4]);
            changes(&four(), &new)
        };
        assert_eq!(with(&|row| row.offset += 0x1000), only("spiffs", &[Change::Moved]));
        assert_eq!(with(&|row| row.size += 0x1000), only("spiffs", &[Change::Grew]));
        assert_eq!(with(&|row| row.size -= 0x1000), only("spiffs", &[Change::Shrank]));
        assert_eq!(with(&|row| row.flags = Flags::ENCRYPTED), only("spiffs", &[Change::Reflagged]));
        assert_eq!(
            with(&|row| row.kind = Kind { ty: 1, subtype: 0x83 }),
            only("spiffs", &[Change::Retyped])
        );
        let renamed = with(&|row| row.label = crate::partition::Label::new("files"));
        assert_eq!(renamed, only("files", &[Change::Renamed]));
    }

    #[test]
    fn rows_appear_and_go() {
        let mut less = four();
        less.entries.pop();
        assert_eq!(changes(&four(), &less), only("spiffs", &[Change::Went]));
        assert_eq!(changes(&less, &four()), only("spiffs", &[Change::Appeared]));
        assert_eq!(changes(&Table::default(), &Table::default()), []);
    }

    #[test]
    fn a_slot_is_the_same_slot_under_any_name() {
        let mut new = four();
        new.entries[2].label = crate::partition::Label::new("app1");
        new.entries[3].label = crate::partition::Label::new("app0");
        assert_eq!(
            changes(&four(), &new),
            [
                ("app1".to_owned(), vec![Change::Renamed]),
                ("app0".to_owned(), vec![Change::Renamed])
            ]
        );
    }

    #[test]
    fn a_name_outweighs_the_kind_for_data() {
        let mut old = four();
        old.entries.push(Entry::new("logs", Kind::SPIFFS, 0x50_0000, 0x1_0000));
        let mut new = old.clone();
        new.entries[4].kind = Kind { ty: 1, subtype: 0x81 };
        assert_eq!(changes(&old, &new), only("spiffs", &[Change::Retyped]));
    }
}
