//! Whether an app image fits the slots of a table, and how much of each it leaves free.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;

use super::code::Code;
use super::csv::Field;
use super::finding::Finding;
use super::reading::{Reading, Row};
use super::size::Size;

/// Sizes of slots are suggested in multiples of this: what slots begin at.
const BLOCK: u64 = 0x1_0000;

/// What has to stay free for an image not to count as nearly filling a slot, in percent
/// (`check_sizes.py` of ESP-IDF).
const NEARLY_FULL: MinFree = MinFree::Percent(5);

/// How much of each slot has to stay free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinFree {
    /// A part of the slot: 0 to 99.
    Percent(u8),
    /// Bytes.
    Bytes(u32),
}

/// Not an amount of free space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a percentage from 0% to 99%, or a size such as 64K or 0x10000")]
pub struct NotAnAmount;

impl FromStr for MinFree {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.trim().parse().map_err(|_| NotAnAmount)?;
            return if percent < 100 { Ok(Self::Percent(percent)) } else { Err(NotAnAmount) };
        }
        let Size(bytes) = text.parse().map_err(|_| NotAnAmount)?;
        u32::try_from(bytes).map(Self::Bytes).map_err(|_| NotAnAmount)
    }
}

impl std::fmt::Display for MinFree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
        }
    }
}

impl MinFree {
    /// Whether an image of so many bytes leaves as much of a slot free.
    fn holds(self, slot: u32, image: u64) -> bool {
        let slot = u64::from(slot);
        slot.checked_sub(image).is_some_and(|free| match self {
            Self::Percent(percent) => {
                free.saturating_mul(100) >= slot.saturating_mul(percent.into())
            }
            Self::Bytes(bytes) => free >= bytes.into(),
        })
    }

    /// The least slot in which it holds, in whole blocks.
    fn slot_for(self, image: u64) -> u64 {
        let exact = match self {
            Self::Percent(percent) => {
                let used = 100_u64.saturating_sub(percent.into()).max(1);
                image.saturating_mul(100).div_ceil(used)
            }
            Self::Bytes(bytes) => image.saturating_add(bytes.into()),
        };
        exact.checked_next_multiple_of(BLOCK).unwrap_or(exact)
    }
}

/// What an image leaves of a slot.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlotRoom {
    /// Name of the slot.
    pub name: String,
    /// Its bytes.
    pub size: u32,
    /// Bytes that stay free; negative where the image does not fit.
    pub free: i64,
    /// The same in percent of the slot, cut to one decimal.
    pub free_percent: f64,
}

/// What an image of so many bytes leaves of each app partition, in the order of the file.
pub fn headroom(reading: &Reading, image: u64) -> Vec<SlotRoom> {
    let image = i64::try_from(image).unwrap_or(i64::MAX);
    let apps = reading.rows.iter().filter(|row| row.entry.kind.is_app());
    apps.map(|row| {
        let size = row.entry.size;
        let free = i64::from(size).saturating_sub(image);
        let tenths = free.saturating_mul(1000).checked_div(size.into()).unwrap_or(0);
        let tenths = i32::try_from(tenths).unwrap_or(i32::MIN);
        SlotRoom {
            name: row.title().into_owned(),
            size,
            free,
            free_percent: f64::from(tenths) / 10.0,
        }
    })
    .collect()
}

/// Judges an image of so many bytes, called `image` in messages, against every OTA slot; in a table
/// without any, against every app partition. Slots of the same size are named together.
pub fn judge(reading: &Reading, image: &str, size: u64, least: Option<MinFree>) -> Vec<Finding> {
    let mut groups: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
    let has_slots = reading.rows.iter().any(|row| row.entry.kind.slot_index().is_some());
    for row in &reading.rows {
        let kind = row.entry.kind;
        if if has_slots { kind.slot_index().is_some() } else { kind.is_app() } {
            groups.entry(row.entry.size).or_default().push(row);
        }
    }
    let findings = groups.into_iter().filter_map(|(slot, rows)| {
        let finding = one(&rows, slot, image, size, least)?;
        Some(finding.at(rows.first().and_then(|row| row.place(Field::Size))))
    });
    findings.collect()
}

fn one(
    rows: &[&Row],
    slot: u32,
    image: &str,
    size: u64,
    least: Option<MinFree>,
) -> Option<Finding> {
    let names: Vec<String> = rows.iter().map(|row| format!("`{}`", row.title())).collect();
    let has = if names.len() == 1 { "has" } else { "have" };
    let names = names.join(", ");
    let larger = |least: MinFree| {
        let room = least.slot_for(size);
        format!("make the program smaller, or give the slots {room:#x} bytes")
    };
    let Some(free) = u64::from(slot).checked_sub(size) else {
        let over = size.saturating_sub(slot.into());
        let message =
            format!("`{image}` has {size} bytes, but {names} {has} {slot}: {over} too many");
        let help = larger(least.unwrap_or(MinFree::Bytes(0)));
        return Some(Finding::new(Code::ImageTooLarge, message).help(help));
    };
    let percent = free.saturating_mul(100).checked_div(slot.into()).unwrap_or(0);
    let leaves = format!("`{image}` leaves {free} of {slot} bytes ({percent}%) free in {names}");
    match least {
        Some(least) if !least.holds(slot, size) => Some(
            Finding::new(
                Code::ImageLowHeadroom,
                format!("{leaves}, and `--min-free` asks for {least}"),
            )
            .help(larger(least)),
        ),
        // Who names a limit has thought about it.
        Some(_) => None,
        None if !NEARLY_FULL.holds(slot, size) => Some(
            Finding::new(Code::ImageNearlyFull, format!("{leaves}, less than {NEARLY_FULL}"))
                .help(larger(NEARLY_FULL)),
        ),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{Options, read};

    const MEGABYTE: u64 = 0x10_0000;

    fn table(rows: &str) -> Reading {
        read(rows.as_bytes(), None, &Options::default())
    }

    fn found(rows: &str, size: u64, least: Option<&str>) -> Vec<Finding> {
        judge(&table(rows), "a.bin", size, least.map(|text| text.parse().unwrap()))
    }

    fn codes(size: u64, least: Option<&str>) -> Vec<Code> {
        let found = found("a,app,ota_0,,1M\nb,app,ota_1,,1M", size, least);
        found.into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn the_last_byte_of_a_slot_may_be_used_and_no_more() {
        assert_eq!(codes(MEGABYTE + 1, None), [Code::ImageTooLarge]);
        assert_eq!(codes(MEGABYTE, None), [Code::ImageNearlyFull]);
        assert_eq!(codes(MEGABYTE, Some("0")), []);
    }

    #[test]
    fn nearly_full_is_less_than_five_percent_unless_somebody_says_otherwise() {
        let five = MEGABYTE / 20;
        assert_eq!(codes(MEGABYTE - five, None), [Code::ImageNearlyFull], "52428 are 4.9999%");
        assert_eq!(codes(MEGABYTE - five - 1, None), []);
        assert_eq!(codes(MEGABYTE - five, Some("4%")), []);
    }

    #[test]
    fn what_has_to_stay_free_is_a_part_or_a_size() {
        let tenth = MEGABYTE - MEGABYTE / 10;
        assert_eq!(codes(tenth, Some("10%")), [Code::ImageLowHeadroom]);
        assert_eq!(codes(tenth - 1, Some("10%")), []);
        assert_eq!(codes(MEGABYTE - 65536, Some("64K")), []);
        assert_eq!(codes(MEGABYTE - 65535, Some("64KB")), [Code::ImageLowHeadroom]);
        assert_eq!(codes(MEGABYTE + 1, Some("10%")), [Code::ImageTooLarge], "said once");
        for text in ["", "%", "100%", "-1", "-1%", "10.5%", "ten", "4G", "KB"] {
            assert_eq!(text.parse::<MinFree>(), Err(NotAnAmount), "{text}");
        }
    }

    #[test]
    fn the_message_has_both_numbers_and_the_help_a_size_that_does() {
        let two = "a,app,ota_0,,1M\nb,app,ota_1,,1M";
        let large = &found(two, MEGABYTE + 24, None)[0];
        assert_eq!(
            large.message,
            "`a.bin` has 1048600 bytes, but `a`, `b` have 1048576: 24 too many"
        );
        assert_eq!((large.line, large.column), (Some(1), Some(14)));
        let low = &found(two, 1_000_000, Some("20%"))[0];
        assert_eq!(
            low.message,
            "`a.bin` leaves 48576 of 1048576 bytes (4%) free in `a`, `b`, and `--min-free` asks for \
             20%"
        );
        assert_eq!(
            low.help.as_deref(),
            Some("make the program smaller, or give the slots 0x140000 bytes")
        );
        assert!(MinFree::Percent(20).holds(0x14_0000, 1_000_000));
    }

    #[test]
    fn every_slot_counts_and_a_factory_app_only_where_there_is_no_slot() {
        let unequal = "f,app,factory,,64K\na,app,ota_0,,1M\nb,app,ota_1,,2M";
        let large = found(unequal, MEGABYTE + 1, None);
        assert_eq!(large.len(), 1);
        assert!(large[0].message.contains("but `a` has"), "{}", large[0].message);
        assert_eq!(found("f,app,factory,,64K", MEGABYTE, None)[0].code, Code::ImageTooLarge);
        assert_eq!(found("x,data,nvs,,64K", MEGABYTE, None), []);
    }

    #[test]
    fn room_is_counted_in_bytes_and_percent_below_zero_too() {
        let rooms = headroom(&table("f,app,factory,,64K\na,app,ota_0,,1M\nx,data,fat,,4K"), 98304);
        let rooms: Vec<_> = rooms.iter().map(|it| (&*it.name, it.free, it.free_percent)).collect();
        assert_eq!(rooms, [("f", -32768, -50.0), ("a", 950_272, 90.6)]);
        assert_eq!(headroom(&table("a,app,ota_0,,0"), u64::MAX)[0].free_percent, 0.0);
    }
}
