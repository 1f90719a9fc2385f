//! Whole flash in one file: bootloader, partition table and apps, as tools merge them and as a
//! dump of a chip has them.

use serde::Serialize;

use super::header;
use crate::agent::image::{self, MAGIC};
use crate::agent::layout::Region;
use crate::chip::Chip;
use crate::image::Bytes;
use crate::partition::{self, FORMAT_SIZE, Kind, Options, Severity, Table};

/// Where bootloaders are, of all chips (`CONFIG_BOOTLOADER_OFFSET_IN_FLASH`).
const BOOTLOADERS: [u32; 3] = [0x0, 0x1000, 0x2000];
/// Where a table is looked for: every sector up to the first place that an app can have, and a few
/// more for tables that were moved.
const FIRST_TABLE: u32 = 0x3000;
const LAST_TABLE: u32 = 0x2_0000;
const SECTOR: u32 = 0x1000;
/// Most apps of which the image is verified. A table has 16 slots, `factory` and `test`.
const MOST_APPS: usize = 18;

/// What a file of whole flash holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flash {
    /// Address in flash of the first byte of the file.
    pub base: u32,
    /// Address of the bootloader, where there is one.
    pub bootloader: Option<u32>,
    /// Address of the partition table.
    pub table: u32,
    /// Rows of the table.
    pub rows: usize,
    /// Every app partition.
    pub apps: Vec<AppPartition>,
}

/// An app partition, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AppPartition {
    /// `factory`, `ota_0`.
    pub name: String,
    /// Address in flash.
    pub address: u32,
    /// Bytes of the partition.
    pub size: u32,
    /// Offset in the file; `null` where the file ends before.
    pub offset: Option<u64>,
    /// What is there.
    pub content: Content,
    /// Project of a sound image.
    pub project: Option<String>,
    /// Version of a sound image.
    pub version: Option<String>,
    /// Bytes of a sound image.
    pub image_size: Option<u32>,
}

/// What an app partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A sound image.
    Intact,
    /// Something that would not boot.
    Broken,
    /// Erased flash.
    Blank,
    /// Nothing: the file ends before.
    Missing,
    /// Not looked at: it overlaps another, or there are too many.
    Skipped,
}

impl Flash {
    /// The first sound app: its offset in the file and its bytes.
    pub fn first_app(&self) -> Option<(u64, u32)> {
        self.apps.iter().find_map(|app| Some((app.offset?, app.image_size?)))
    }
}

/// Finds a table with apps behind a bootloader or behind erased flash. `from` is the first byte
/// that may be the table's.
pub(super) fn find(bytes: &[u8], from: u64) -> Option<Flash> {
    let step = usize::try_from(SECTOR).ok()?;
    let offsets = (0..=LAST_TABLE).step_by(step);
    let (offset, table) = offsets
        .filter(|offset| u64::from(*offset) >= from)
        .find_map(|offset| Some((offset, table_at(bytes, offset)?)))?;
    let (bootloader, base) = match front(bytes, offset)? {
        Front::Erased => (None, 0),
        // esptool leaves out what is before a bootloader that is not at 0.
        Front::Bootloader(0, Some(chip)) => {
            (Some(chip.bootloader_offset()), chip.bootloader_offset())
        }
        Front::Bootloader(at, _) => (Some(at), 0),
    };
    let address = offset.checked_add(base).filter(|address| *address >= FIRST_TABLE)?;
    Some(Flash {
        base,
        bootloader,
        table: address,
        rows: table.entries.len(),
        apps: apps(bytes, &table, base),
    })
}

/// A sound table at this offset that has an app.
fn table_at(bytes: &[u8], offset: u32) -> Option<Table> {
    let rest = bytes.get(usize::try_from(offset).ok()?..)?;
    if !rest.starts_with(&[0xaa, 0x50]) {
        return None;
    }
    let format = rest.get(..FORMAT_SIZE).unwrap_or(rest);
    let reading = partition::read(format, None, &Options::default());
    let is_sound = reading.findings.iter().all(|finding| finding.severity < Severity::Error);
    let table = reading.table();
    (is_sound && table.entries.iter().any(|entry| entry.kind.is_app())).then_some(table)
}

/// What stands in front of a table.
enum Front {
    /// A bootloader at this offset, for this chip.
    Bootloader(u32, Option<Chip>),
    /// Erased flash.
    Erased,
}

/// `None` where there is something else: the table is just a part of it.
fn front(bytes: &[u8], table: u32) -> Option<Front> {
    let front = bytes.get(..usize::try_from(table).ok()?)?;
    for at in BOOTLOADERS {
        let image = usize::try_from(at).ok().and_then(|start| front.get(start..));
        if let Some(image) = image.filter(|image| image.first() == Some(&MAGIC)) {
            return Some(Front::Bootloader(at, header::decode(image).and_then(|it| it.chip())));
        }
    }
    front.iter().all(|byte| *byte == 0xff).then_some(Front::Erased)
}

fn apps(bytes: &[u8], table: &Table, base: u32) -> Vec<AppPartition> {
    let mut rows: Vec<_> = table.entries.iter().filter(|entry| entry.kind.is_app()).collect();
    rows.sort_by_key(|entry| entry.offset);
    let mut end = 0u64;
    let mut found = Vec::new();
    for entry in rows {
        // Each byte is verified once at most, whatever a table says.
        let is_apart = u64::from(entry.offset) >= end && found.len() < MOST_APPS;
        end = end.max(entry.end());
        found.push(app(bytes, entry.kind, entry.offset, entry.size, base, is_apart));
    }
    found
}

fn app(
    bytes: &[u8],
    kind: Kind,
    address: u32,
    size: u32,
    base: u32,
    is_apart: bool,
) -> AppPartition {
    let offset = address.checked_sub(base);
    let held = offset.and_then(|start| {
        let rest = bytes.get(usize::try_from(start).ok()?..).filter(|rest| !rest.is_empty())?;
        Some((start, rest.get(..usize::try_from(size).ok()?).unwrap_or(rest)))
    });
    let (content, info) = match held {
        None => (Content::Missing, None),
        Some(_) if !is_apart => (Content::Skipped, None),
        Some((_, held)) if held.iter().all(|byte| *byte == 0xff) => (Content::Blank, None),
        Some((start, held)) => {
            let len = u32::try_from(held.len()).unwrap_or(u32::MAX);
            match image::verify(&mut Bytes(bytes), Region { start, len }, None) {
                Ok(info) => (Content::Intact, Some(info)),
                Err(_) => (Content::Broken, None),
            }
        }
    };
    let descriptor = info.as_ref().and_then(|info| info.descriptor);
    AppPartition {
        name: match kind {
            Kind::FACTORY => "factory".to_owned(),
            other => other.subtype_text(),
        },
        address,
        size,
        offset: held.map(|(start, _)| start.into()),
        content,
        project: descriptor.map(|it| it.project().to_owned()),
        version: descriptor.map(|it| it.version().to_owned()),
        image_size: info.map(|info| info.len),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn table_and_slots_of_a_merged_file_are_found() {
        let flash = find(&testing::merged(), 0).unwrap();
        assert_eq!((flash.base, flash.bootloader, flash.table), (0, Some(0), 0x8000));
        assert_eq!(flash.rows, 5);
        let [first, second] = &flash.apps[..] else { panic!("two slots") };
        assert_eq!((first.name.as_str(), first.content), ("ota_0", Content::Intact));
        assert_eq!(first.version.as_deref(), Some("1.0.0"));
        assert_eq!((second.name.as_str(), second.content), ("ota_1", Content::Missing));
        let app = testing::app("1.0.0");
        assert_eq!(flash.first_app(), Some((0x1_0000, app.len().try_into().unwrap())));
    }

    #[test]
    fn a_file_that_begins_at_the_bootloader_of_an_esp32_is_counted_from_there() {
        let mut bytes = testing::merged();
        bytes[12] = 0;
        // Nothing but the bootloader's chip says where the file belongs.
        bytes.drain(..0x1000);
        let bootloader = testing::image(0, &[(0x3fff_0030, vec![1; 64])]);
        bytes[..bootloader.len()].copy_from_slice(&bootloader);
        let flash = find(&bytes, 0).unwrap();
        assert_eq!((flash.base, flash.bootloader, flash.table), (0x1000, Some(0x1000), 0x8000));
        assert_eq!(flash.apps[0].content, Content::Intact);
        assert_eq!(flash.apps[0].offset, Some(0xf000));
    }

    #[test]
    fn erased_flash_before_the_table_is_a_dump_too() {
        let mut bytes = testing::merged();
        bytes[..0x8000].fill(0xff);
        let flash = find(&bytes, 0).unwrap();
        assert_eq!((flash.bootloader, flash.table), (None, 0x8000));
        bytes[0x100] = 0;
        assert_eq!(find(&bytes, 0), None, "something else has a table in it");
    }

    #[test]
    fn a_table_within_an_image_is_a_part_of_the_image() {
        assert!(find(&testing::merged(), 0x8001).is_none());
        assert!(find(&testing::app("1.0.0"), 0).is_none());
        let mut damaged = testing::merged();
        damaged[0x8000 + 2 * 32 + 9] ^= 1; // A size, under the digest of all rows.
        assert_eq!(find(&damaged, 0), None);
    }

    #[test]
    fn what_a_slot_holds_is_told_apart() {
        let mut bytes = testing::merged();
        let end = bytes.len();
        bytes[end - 1] ^= 1;
        assert_eq!(find(&bytes, 0).unwrap().apps[0].content, Content::Broken);
        bytes.resize(0x15_0001, 0xff);
        let flash = find(&bytes, 0).unwrap();
        assert_eq!(flash.apps[1].content, Content::Blank);
        assert_eq!(flash.first_app(), None);
    }
}
