//! Whether devices in the field can follow from one table to another.
//!
//! An update replaces the app, never the table: a device keeps the table that it was flashed with,
//! and programs, the bootloader and the update agent read that one at run time. So the question over
//! the air is whether firmware that is built for the new table gets all that it counts on from the
//! old one. Where it does not, the table has to be flashed by cable, and the question becomes which
//! data are then no longer where, or what, they were.

use super::diff::{Change, Pair, is_found_by_kind, pairs};
use super::entry::Entry;
use super::kind::{Class, Kind};
use super::size::Size;
use super::table::Table;

/// What becomes of a change on devices that keep the old table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowVerdict {
    /// The row, before and after.
    pub pair: Pair,
    /// What changed.
    pub changes: Vec<Change>,
    /// Why firmware for the new table cannot count on the old one; `None` where it can.
    pub obstacle: Option<String>,
    /// What flashing the new table by cable makes of the contents; `None` where they stay.
    pub loss: Option<String>,
}

/// The verdict about all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The tables say the same.
    Same,
    /// They differ, and a device that keeps the old one has all that firmware for the new one needs.
    OverTheAir,
    /// The new table has to be flashed by cable. No data are lost.
    Cable,
    /// The new table has to be flashed by cable, and that loses data.
    CableLosesData,
}

impl Verdict {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::OverTheAir => "over-the-air",
            Self::Cable => "cable",
            Self::CableLosesData => "cable-loses-data",
        }
    }

    /// Whether nobody has to touch a device.
    pub const fn is_over_the_air(self) -> bool {
        match self {
            Self::Same | Self::OverTheAir => true,
            Self::Cable | Self::CableLosesData => false,
        }
    }
}

/// The difference of two tables, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Every row of either table.
    pub rows: Vec<RowVerdict>,
    /// What is in the way of every update, whatever the rows are.
    pub obstacles: Vec<String>,
    /// All in all.
    pub verdict: Verdict,
    /// The largest image that fits the slots of both tables, in bytes; `None` where one has none.
    pub largest_image: Option<u32>,
}

impl Delivery {
    /// Names of the partitions whose contents do not survive flashing the new table.
    pub fn lost(&self) -> impl Iterator<Item = &Entry> {
        self.rows.iter().filter(|row| row.loss.is_some()).filter_map(|row| row.pair.old.as_ref())
    }
}

/// Judges the way from `old` at `old_offset` to `new` at `new_offset`.
pub fn deliver(old: &Table, old_offset: u32, new: &Table, new_offset: u32) -> Delivery {
    let rows: Vec<RowVerdict> = pairs(old, new).into_iter().map(judge).collect();
    let mut obstacles = Vec::new();
    if old_offset != new_offset {
        obstacles.push(format!(
            "the table is at {old_offset:#x} on devices, where their bootloader reads it: firmware \
             that looks for it at {new_offset:#x} finds none"
        ));
    }
    let is_same = obstacles.is_empty() && rows.iter().all(|row| row.changes.is_empty());
    let slots = old.slots().len();
    if slots < 2 || old.otadata().is_none() {
        let otadata = if old.otadata().is_some() { "otadata" } else { "no otadata" };
        let slots = match slots {
            1 => "one OTA slot".to_owned(),
            count => format!("{count} OTA slots"),
        };
        obstacles.push(format!(
            "devices with the old table have {slots} and {otadata}: nothing reaches them over the air"
        ));
    }
    let slot = |table: &Table| table.smallest_slot().map(|slot| slot.size);
    let largest_image = slot(old).zip(slot(new)).map(|(old, new)| old.min(new));
    let is_blocked = !obstacles.is_empty() || rows.iter().any(|row| row.obstacle.is_some());
    let is_lossy = rows.iter().any(|row| row.loss.is_some());
    let verdict = match (is_same, is_blocked, is_lossy) {
        (true, _, _) => Verdict::Same,
        (false, false, _) => Verdict::OverTheAir,
        (false, true, false) => Verdict::Cable,
        (false, true, true) => Verdict::CableLosesData,
    };
    Delivery { rows, obstacles, verdict, largest_image }
}

fn judge(pair: Pair) -> RowVerdict {
    let changes = pair.changes();
    let obstacles: Vec<String> =
        changes.iter().filter_map(|change| obstacle(*change, &pair)).collect();
    let obstacle = (!obstacles.is_empty()).then(|| obstacles.join("; "));
    let loss = changes.iter().find_map(|change| loss(*change, &pair));
    RowVerdict { pair, changes, obstacle, loss }
}

/// Why firmware for the new table misses something on a device that keeps the old one.
fn obstacle(change: Change, pair: &Pair) -> Option<String> {
    let entry = pair.entry()?;
    let name = entry.label;
    let old = pair.old.as_ref().unwrap_or(entry);
    let (size, new_size) = (Size(old.size.into()), Size(entry.size.into()));
    match change {
        Change::Appeared => Some(match entry.kind.slot_index() {
            Some(_) => {
                format!("devices have no slot {}: no update is ever written to it", entry.kind)
            }
            None => format!("devices have no `{name}`"),
        }),
        // What firmware does not ask for may be there.
        Change::Went | Change::Shrank => None,
        Change::Moved => Some(format!(
            "`{name}` stays at {:#x} on devices: an update cannot move it to {:#x}",
            old.offset, entry.offset
        )),
        Change::Grew if entry.kind.is_app() => Some(format!(
            "`{name}` keeps {size} ({:#x}) on devices: a larger image does not fit",
            old.size
        )),
        Change::Grew => Some(format!("`{name}` keeps {size} on devices, not {new_size}")),
        Change::Renamed if is_found_by_kind(entry.kind) => None,
        Change::Renamed => Some(format!(
            "devices know it as `{}`: a program that looks for `{name}` finds nothing",
            old.label
        )),
        Change::Retyped => Some(format!(
            "`{name}` is {} on devices: a program that looks for {} does not find it",
            old.kind, entry.kind
        )),
        Change::Reflagged => {
            Some(format!("`{name}` is {} on devices, not {}", flags(old), flags(entry)))
        }
    }
}

fn flags(entry: &Entry) -> &'static str {
    match entry.flags.text() {
        "" => "without flags",
        text => text,
    }
}

/// What becomes of the contents when the new table is flashed and the rest of the flash left alone.
fn loss(change: Change, pair: &Pair) -> Option<String> {
    let old = pair.old.as_ref()?;
    if old.kind.is_app() {
        // Flashing by cable writes an app anyway.
        return None;
    }
    let (name, contents) = (old.label, contents(old.kind));
    match change {
        Change::Appeared | Change::Renamed => None,
        Change::Went => Some(format!("{contents} in `{name}` can no longer be reached")),
        Change::Moved => Some(format!(
            "{contents} in `{name}` stay at {:#x}, where nothing looks for them",
            old.offset
        )),
        Change::Shrank => Some(format!("{contents} in `{name}` lose their end")),
        Change::Grew if is_file_system(old.kind) => {
            Some(format!("{contents} in `{name}` are of a file system of another size"))
        }
        // Pages are added behind those in use.
        Change::Grew => None,
        Change::Retyped => Some(format!("{contents} in `{name}` are taken for something else")),
        Change::Reflagged if encryption_differs(pair) => {
            Some(format!("{contents} in `{name}` are read with the wrong encryption"))
        }
        Change::Reflagged => None,
    }
}

fn encryption_differs(pair: &Pair) -> bool {
    let encrypted = |entry: Option<Entry>| entry.is_some_and(|entry| entry.flags.encrypted());
    encrypted(pair.old) != encrypted(pair.new)
}

/// File systems keep their size in themselves, or at their end (FAT, behind its wear levelling).
fn is_file_system(kind: Kind) -> bool {
    kind.class() == Class::Data && (0x81..=0x83).contains(&kind.subtype)
}

fn contents(kind: Kind) -> &'static str {
    match kind {
        Kind::NVS => "the settings",
        Kind::NVS_KEYS => "the keys of the encrypted settings",
        Kind::OTADATA => "the records of which slot boots",
        Kind::COREDUMP => "the core dumps",
        kind if is_file_system(kind) => "the files",
        _ => "the data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{Flags, Label, standard};

    const AT: u32 = 0x8000;

    fn four() -> Table {
        standard(0x40_0000).unwrap()
    }

    fn verdict(change: impl FnOnce(&mut Vec<Entry>)) -> Delivery {
        let mut new = four();
        change(&mut new.entries);
        deliver(&four(), AT, &new, AT)
    }

    #[test]
    fn the_same_table_has_nothing_to_deliver() {
        let delivery = verdict(|rows| rows.reverse());
        assert_eq!(delivery.verdict, Verdict::Same);
        assert_eq!(delivery.largest_image, Some(0x14_0000));
    }

    #[test]
    fn more_than_the_firmware_needs_is_no_obstacle() {
        assert_eq!(verdict(|rows| rows[4].size -= 0x1000).verdict, Verdict::OverTheAir);
        assert_eq!(verdict(|rows| rows.truncate(4)).verdict, Verdict::OverTheAir);
        let renamed = verdict(|rows| rows[2].label = Label::new("ota_0"));
        assert_eq!(renamed.verdict, Verdict::OverTheAir);
        let smaller = verdict(|rows| {
            rows[2].size = 0x10_0000;
            rows[3].size = 0x10_0000;
        });
        assert_eq!(smaller.verdict, Verdict::OverTheAir);
        assert_eq!(smaller.largest_image, Some(0x10_0000), "new devices take no more");
    }

    #[test]
    fn what_the_firmware_would_miss_needs_a_cable() {
        let grown = verdict(|rows| {
            rows.pop();
            rows[2].size = 0x18_0000;
            rows[3].size = 0x18_0000;
            rows[3].offset = 0x19_0000;
        });
        assert_eq!(grown.verdict, Verdict::CableLosesData, "spiffs went");
        assert_eq!(grown.largest_image, Some(0x14_0000));
        assert_eq!(
            grown.rows[2].obstacle.as_deref(),
            Some("`app0` keeps 1280K (0x140000) on devices: a larger image does not fit")
        );
        assert_eq!(grown.rows[2].loss, None, "an app is written anew");

        let appeared = verdict(|rows| rows.push(Entry::new("x", Kind::NVS, 0x40_0000, 0x3000)));
        assert_eq!(appeared.verdict, Verdict::Cable);
        let renamed = verdict(|rows| rows[4].label = Label::new("files"));
        assert_eq!(renamed.verdict, Verdict::Cable);
        let nvs = verdict(|rows| rows[0].size += 0x1000);
        assert_eq!(nvs.verdict, Verdict::Cable, "pages are added behind");
        let slot = verdict(|rows| rows[3].offset += 0x1_0000);
        assert_eq!(slot.verdict, Verdict::Cable);
    }

    #[test]
    fn data_that_are_not_where_they_were_are_lost() {
        let moved = verdict(|rows| rows[4].offset += 0x1000);
        assert_eq!(moved.verdict, Verdict::CableLosesData);
        let lost: Vec<_> = moved.lost().map(|row| row.label.to_string()).collect();
        assert_eq!(lost, ["spiffs"]);
        assert_eq!(
            moved.rows[4].loss.as_deref(),
            Some("the files in `spiffs` stay at 0x290000, where nothing looks for them")
        );
        assert_eq!(verdict(|rows| rows[4].size += 0x1000).verdict, Verdict::CableLosesData);
        let retyped = verdict(|rows| rows[4].kind = Kind { ty: 1, subtype: 0x83 });
        assert_eq!(retyped.verdict, Verdict::CableLosesData);
        let encrypted = verdict(|rows| rows[4].flags = Flags::ENCRYPTED);
        assert_eq!(encrypted.verdict, Verdict::CableLosesData);
        let readonly = verdict(|rows| rows[4].flags = Flags::READONLY);
        assert_eq!(readonly.verdict, Verdict::Cable);
        let otadata = verdict(|rows| rows[1].offset += 0x1000);
        assert!(otadata.rows[1].loss.as_deref().unwrap().contains("which slot boots"));
    }

    #[test]
    fn a_table_elsewhere_is_not_found() {
        let delivery = deliver(&four(), AT, &four(), 0x1_0000);
        assert_eq!(delivery.verdict, Verdict::Cable);
        assert!(delivery.obstacles[0].contains("0x8000"));
    }

    #[test]
    fn a_device_without_a_second_slot_gets_nothing_over_the_air() {
        for gone in [1, 2] {
            let mut old = four();
            old.entries.remove(gone);
            let mut new = old.clone();
            assert_eq!(deliver(&old, AT, &new, AT).verdict, Verdict::Same);
            new.entries.pop();
            let delivery = deliver(&old, AT, &new, AT);
            assert_eq!(delivery.verdict, Verdict::CableLosesData, "{gone}");
            assert_eq!(delivery.obstacles.len(), 1);
        }
    }
}
