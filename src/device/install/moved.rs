//! Which data a new partition table would take from a device.
//!
//! Programs find data by type, subtype and name. Whatever is at another place in the new table, of
//! another size, gone or written over is lost to them; that the bytes may still be in flash helps
//! nobody. Apps and `otadata` are no data: an install writes them.

use std::fmt;

use crate::error::{Exit, Explained};
use crate::partition::{Class, Entry, Kind, TABLE_SIZE, Table};

/// Bytes from one address to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First byte.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

impl Place {
    fn of(entry: &Entry) -> Self {
        Self { offset: entry.offset, size: entry.size }
    }

    /// First byte behind it. Wider than an offset, because a row can claim bytes past 4 GiB.
    fn end(self) -> u64 {
        u64::from(self.offset).saturating_add(self.size.into())
    }

    fn overlaps(self, other: Self) -> bool {
        u64::from(self.offset) < other.end() && u64::from(other.offset) < self.end()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.offset, self.end())
    }
}

/// What becomes of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It begins elsewhere.
    Moved(Place),
    /// It has another size at the same place: what is in it need not make sense any more.
    Resized(Place),
    /// The new table has none of this type, subtype and name.
    Removed,
    /// It stays, and something else of the new table lies over it.
    Covered,
}

impl Fate {
    /// The word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Moved(_) => "moved",
            Self::Resized(_) => "resized",
            Self::Removed => "removed",
            Self::Covered => "covered",
        }
    }
}

/// A partition of data that would be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Its name.
    pub label: String,
    /// Its type and subtype.
    pub kind: Kind,
    /// Where it is.
    pub old: Place,
    /// What becomes of it.
    pub fate: Fate,
    /// What would be written over it: names of the new table, and the table itself.
    pub covered_by: Vec<String>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, kind, old, fate, covered_by } = self;
        write!(f, "`{label}` ({kind}) at {old}")?;
        match fate {
            Fate::Moved(new) => write!(f, " to {new}")?,
            Fate::Resized(new) => write!(f, " resized to {new}")?,
            Fate::Removed => write!(f, " removed")?,
            Fate::Covered => {}
        }
        if !covered_by.is_empty() {
            write!(f, ", under {}", covered_by.join(" and "))?;
        }
        Ok(())
    }
}

/// The data that `new`, at `table_offset`, would take from a device with the table `old`; in the
/// order of their places.
pub fn losses(old: &Table, new: &Table, table_offset: u32) -> Vec<Loss> {
    let data = |table: &Table| -> Vec<Entry> {
        table.entries.iter().filter(|entry| is_data(entry.kind)).copied().collect()
    };
    let mut left = data(new);
    let mut take = |belongs: &dyn Fn(&Entry) -> bool| {
        let at = left.iter().position(belongs)?;
        Some(left.swap_remove(at))
    };
    let mut rows = data(old);
    rows.sort_by_key(|entry| (entry.offset, entry.size));
    // First what stays: of two rows with one name each has its own partner then.
    let stays: Vec<bool> = rows
        .iter()
        .map(|row| {
            let is_there = |new: &Entry| new.kind == row.kind && Place::of(new) == Place::of(row);
            let same = take(&|new: &Entry| is_there(new) && is_same_name(new, row));
            // Under another name at the same place its bytes are what they were.
            same.or_else(|| take(&is_there)).is_some()
        })
        .collect();
    let mut found = Vec::new();
    for (row, stays) in rows.iter().zip(stays) {
        let old = Place::of(row);
        let partner = if stays {
            None
        } else {
            take(&|new: &Entry| new.kind == row.kind && is_same_name(new, row))
        };
        let covered_by = covers(old, partner.as_ref().or(stays.then_some(row)), new, table_offset);
        let fate = match partner.as_ref().map(Place::of) {
            _ if stays && covered_by.is_empty() => continue,
            _ if stays => Fate::Covered,
            Some(new) if new.offset == old.offset => Fate::Resized(new),
            Some(new) => Fate::Moved(new),
            None => Fate::Removed,
        };
        let (label, kind) = (row.label.to_string(), row.kind);
        found.push(Loss { label, kind, old, fate, covered_by });
    }
    found
}

/// What of the new table lies over a place, beside the row that belongs there.
fn covers(old: Place, own: Option<&Entry>, new: &Table, table_offset: u32) -> Vec<String> {
    // The bootloader is below the table, and both are written.
    let reserved = Place { offset: 0, size: table_offset.saturating_add(TABLE_SIZE) };
    let table = reserved.overlaps(old).then(|| "bootloader and partition table".to_owned());
    let is_own = |entry: &Entry| {
        own.is_some_and(|own| own.kind == entry.kind && Place::of(own) == Place::of(entry))
    };
    let rows =
        new.entries.iter().filter(|row| !row.kind.is_fixed() && Place::of(row).overlaps(old));
    let rows = rows.filter(|row| !is_own(row)).map(|row| format!("`{}`", row.label));
    table.into_iter().chain(rows).collect()
}

fn is_data(kind: Kind) -> bool {
    let is_written_anyway = kind == Kind::OTADATA;
    match kind.class() {
        Class::Data | Class::Custom(_) => !is_written_anyway,
        Class::App | Class::Bootloader | Class::PartitionTable => false,
    }
}

fn is_same_name(one: &Entry, other: &Entry) -> bool {
    one.label.bytes() == other.label.bytes()
}

/// A table that would lose data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the project's table moves data partitions of the device: {}", list(.0))]
pub struct DataLoss(pub Vec<Loss>);

fn list(losses: &[Loss]) -> String {
    losses.iter().map(Loss::to_string).collect::<Vec<_>>().join("; ")
}

impl Explained for DataLoss {
    fn exit(&self) -> Exit {
        Exit::Rejected
    }

    fn help(&self) -> Option<String> {
        Some(
            "keep them where they are in the project's table, or save what is in them and pass \
             `--allow-data-loss`"
                .to_owned(),
        )
    }
}

/// Refuses a table that would take data from the device.
///
/// # Errors
///
/// Where it would.
pub fn refuse(old: &Table, new: &Table, table_offset: u32) -> Result<(), DataLoss> {
    let losses = losses(old, new, table_offset);
    if losses.is_empty() { Ok(()) } else { Err(DataLoss(losses)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::partition::{Flags, Label, standard};

    const TABLE: u32 = 0x8000;

    fn four() -> Table {
        standard(0x40_0000).unwrap()
    }

    fn with(change: impl Fn(&mut Vec<Entry>)) -> Vec<String> {
        let mut new = four();
        change(&mut new.entries);
        losses(&four(), &new, TABLE).iter().map(Loss::to_string).collect()
    }

    fn row<'a>(rows: &'a mut [Entry], name: &str) -> &'a mut Entry {
        rows.iter_mut().find(|row| row.label.bytes() == name.as_bytes()).unwrap()
    }

    #[test]
    fn the_same_table_takes_nothing_in_any_order_and_with_other_apps() {
        assert_eq!(with(|_| {}), [""; 0]);
        assert_eq!(with(|rows| rows.reverse()), [""; 0]);
        // Where the apps are is no matter, as long as they are not where data is.
        let apps = |rows: &mut Vec<Entry>| {
            row(rows, "app0").size -= 0x10000;
            row(rows, "app1").label = Label::new("other");
        };
        assert_eq!(with(apps), [""; 0]);
        assert_eq!(losses(&Table::default(), &four(), TABLE), []);
        assert_eq!(with(|rows| row(rows, "nvs").flags = Flags::READONLY), [""; 0]);
    }

    #[test]
    fn each_fate_has_its_words() {
        let nvs = *row(&mut four().entries, "nvs");
        let place = Place::of(&nvs);
        let moved = with(|rows| row(rows, "nvs").offset += 0x1000);
        let end = place.end() + 0x1000;
        assert!(moved[0].starts_with(&format!("`nvs` (data/nvs) at {place} to 0xa000..{end:#x}")));
        let resized = with(|rows| row(rows, "nvs").size -= 0x1000);
        let end = place.end() - 0x1000;
        assert_eq!(resized, [format!("`nvs` (data/nvs) at {place} resized to 0x9000..{end:#x}")]);
        let removed = with(|rows| rows.retain(|row| row.label.bytes() != b"nvs"));
        assert_eq!(removed, [format!("`nvs` (data/nvs) at {place} removed")]);
        let retyped = with(|rows| row(rows, "nvs").kind = Kind::NVS_KEYS);
        assert!(retyped[0].contains("removed, under `nvs`"), "{retyped:?}");
        let renamed = with(|rows| row(rows, "nvs").label = Label::new("settings"));
        assert_eq!(renamed, [""; 0], "its bytes are where they were");
        let elsewhere = with(|rows| {
            let row = row(rows, "nvs");
            (row.label, row.size) = (Label::new("settings"), row.size - 0x1000);
        });
        assert!(elsewhere[0].ends_with("removed, under `settings`"), "{elsewhere:?}");
    }

    #[test]
    fn what_lies_over_data_is_named() {
        let spiffs = Place::of(row(&mut four().entries, "spiffs"));
        let grown = with(|rows| row(rows, "app1").size += 0x10000);
        assert_eq!(grown, [format!("`spiffs` (data/spiffs) at {spiffs}, under `app1`")]);
        let gone = with(|rows| {
            rows.retain(|row| row.label.bytes() != b"spiffs");
            row(rows, "app1").size += 0x10000;
        });
        assert_eq!(gone, [format!("`spiffs` (data/spiffs) at {spiffs} removed, under `app1`")]);
        let table: Vec<_> = losses(&four(), &four(), 0x9000).iter().map(Loss::to_string).collect();
        assert_eq!(table.len(), 1);
        assert!(table[0].ends_with("under bootloader and partition table"), "{table:?}");
    }

    #[test]
    fn a_row_of_a_vendor_is_data_and_those_of_the_bootloader_are_not() {
        let custom = Entry::new("mine", Kind { ty: 0x40, subtype: 1 }, 0x30_0000, 0x1000);
        let loader = Entry::new("bl", Kind::PRIMARY_BOOTLOADER, 0, 0x8000);
        let old: Table = [custom, loader].into_iter().collect();
        let lost = losses(&old, &Table::default(), TABLE);
        let [loss] = &lost[..] else { panic!("{lost:?}") };
        assert_eq!((loss.label.as_str(), loss.fate), ("mine", Fate::Removed));
    }

    #[test]
    fn of_two_rows_with_one_name_the_one_that_stays_is_not_lost() {
        let old: Table = [(0x20_0000, 0x1000), (0x30_0000, 0x2000)]
            .map(|(offset, size)| Entry::new("twin", Kind::NVS, offset, size))
            .into_iter()
            .collect();
        let mut new = old.clone();
        new.entries.remove(0);
        let lost = losses(&old, &new, TABLE);
        assert_eq!(lost.len(), 1);
        assert_eq!((lost[0].old.offset, lost[0].fate), (0x20_0000, Fate::Removed));
    }

    #[test]
    fn a_table_that_moves_data_is_rejected_with_both_places() {
        let mut new = four();
        row(&mut new.entries, "spiffs").size -= 0x1000;
        let error = refuse(&four(), &new, TABLE).unwrap_err();
        assert_eq!(error.exit().code(), 1);
        let text = error.to_string();
        assert!(
            text.contains("moves data partitions") && text.contains(" resized to 0x"),
            "{text}"
        );
        assert!(error.help().unwrap().contains("--allow-data-loss"));
        assert_eq!(refuse(&four(), &four(), TABLE), Ok(()));
    }

    fn tables() -> impl Strategy<Value = Table> {
        let row = (0u8..5, 0u8..6, any::<u32>(), any::<u32>(), 0usize..3, any::<bool>());
        let row = row.prop_map(|(ty, subtype, offset, size, name, is_small)| {
            let (offset, size) =
                if is_small { (offset & 0x7000, size & 0x3000) } else { (offset, size) };
            Entry::new(["a", "b", ""][name], Kind { ty, subtype }, offset, size)
        });
        prop::collection::vec(row, 0..12).prop_map(|rows| rows.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_tables_make_it_panic(old in tables(), new in tables(), offset in any::<u32>()) {
            let lost = losses(&old, &new, offset);
            let data = old.entries.iter().filter(|row| is_data(row.kind)).count();
            prop_assert!(lost.len() <= data);
        }

        #[test]
        fn what_is_not_listed_has_its_bytes_left_alone(old in tables(), new in tables()) {
            let lost = losses(&old, &new, 0);
            for row in old.entries.iter().filter(|row| is_data(row.kind)) {
                if !lost.iter().any(|loss| loss.old == Place::of(row) && loss.kind == row.kind) {
                    let is_there = |new: &&Entry| {
                        new.kind == row.kind && Place::of(new) == Place::of(row)
                    };
                    prop_assert!(new.entries.iter().any(|new| is_there(&new)));
                    let apps = new.entries.iter().filter(|new| new.kind.is_app());
                    for app in apps {
                        prop_assert!(!Place::of(app).overlaps(Place::of(row)));
                    }
                }
            }
        }
    }
}
