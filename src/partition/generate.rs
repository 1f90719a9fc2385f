//! From what is wanted to a table that can carry updates, or to the number that would make it one.
//!
//! In front of the apps lie NVS and otadata, and whatever else fits into the hole that the alignment
//! of apps leaves there; behind them everything else, in the order asked for. Every app partition
//! has the same size. Without a `rest` the apps get all that is left; with one they get 5/8 of the
//! flash, as in the Arduino core's layouts, or what was asked for if that is more.

use super::csv_writer::to_csv;
use super::data_request::{DataRequest, Room};
use super::entry::Entry;
use super::finding::{Finding, Report};
use super::kind::Kind;
use super::options::{Options, TABLE_SIZE};
use super::preset::Preset;
use super::refused::{Demand, Refused};
use super::table::Table;
use super::{code::Severity, reading, rules};
use crate::chip::Chip;

/// What app partitions begin at, and what sizes of slots are multiples of.
const BLOCK: u64 = 0x1_0000;

/// Largest image the bootloader takes (ESP-IDF, `esp_image_format.c`: 16 MiB).
pub(super) const LARGEST_SLOT: u64 = 0x100_0000;

/// Size of an NVS that nobody asked for: that of the Arduino core's layouts.
const NVS: u32 = 0x5000;

/// Two sectors, one of which is whole while the other is erased.
const OTADATA: u32 = 0x2000;

/// Least `rest`: a file system in less has no room for files.
const LEAST_REST: u64 = 0x1_0000;

/// What kind of layout is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// One that people know by name.
    Preset(&'static Preset),
    /// Slots, and data around them.
    Slots {
        /// Number of OTA slots, 2 to 16.
        slots: u8,
        /// Whether a factory app of the size of a slot is wanted too.
        factory: bool,
        /// Data partitions beside otadata.
        data: Vec<DataRequest>,
    },
}

/// What is wanted, and of which flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The chip, where it is known.
    pub chip: Option<Chip>,
    /// Bytes of flash.
    pub flash_size: u32,
    /// Where the table lies.
    pub table_offset: u32,
    /// Bytes that a slot has at least.
    pub least_slot: Option<u32>,
    /// An image that has to fit a slot: its name and its bytes.
    pub image: Option<(String, u32)>,
    /// The layout.
    pub intent: Intent,
}

/// A table that passes the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The rows.
    pub table: Table,
    /// The rows as CSV.
    pub csv: String,
    /// What the check says of it. There are warnings about presets that are short of something.
    pub report: Report,
}

impl Request {
    /// A layout for a flash about which nothing else is known.
    pub fn new(flash_size: u32, intent: Intent) -> Self {
        let table_offset = Options::default().table_offset;
        Self { chip: None, flash_size, table_offset, least_slot: None, image: None, intent }
    }

    /// What the table is judged against.
    pub fn options(&self) -> Options {
        Options {
            chip: self.chip,
            flash_size: Some(self.flash_size),
            table_offset: self.table_offset,
            ..Options::default()
        }
    }

    /// The larger of what a slot has to hold.
    fn demand(&self) -> Demand {
        let least = self.least_slot.map(Demand::MinSlot);
        let image = self.image.clone().map(|(file, size)| Demand::Image { file, size });
        let demands = [least, image].into_iter().flatten();
        demands.max_by_key(Demand::bytes).unwrap_or(Demand::Nothing)
    }

    fn first_free(&self) -> u64 {
        u64::from(self.table_offset).saturating_add(TABLE_SIZE.into())
    }
}

/// Lays out a table and checks it.
///
/// # Errors
///
/// [`Refused`], with the number that would do, when the flash has no room for what is wanted, or
/// the table would not pass the check.
pub fn generate(request: &Request) -> Result<Generated, Refused> {
    let offset = request.table_offset;
    if !u64::from(offset).is_multiple_of(TABLE_SIZE.into()) {
        return Err(Refused::TableOffset(offset));
    }
    let (table, limit) = match &request.intent {
        Intent::Preset(preset) => (of_preset(request, preset)?, Severity::Error),
        Intent::Slots { slots, factory, data } => {
            let plan = Plan::new(request, *slots, *factory, data)?;
            (plan.table(request)?, Severity::Warning)
        }
    };
    let csv = to_csv(&table).map_err(Refused::Csv)?;
    // The text is judged, not the rows: that is what other tools will read.
    let options = request.options();
    let report = rules::check(&reading::read(csv.as_bytes(), None, &options), &options);
    match report.findings.iter().find(|finding: &&Finding| finding.severity >= limit) {
        Some(finding) => Err(Refused::Unfit(finding.clone())),
        None => Ok(Generated { table, csv, report }),
    }
}

fn of_preset(request: &Request, preset: &'static Preset) -> Result<Table, Refused> {
    let mut rows = Rows { entries: Vec::new(), free: request.first_free() };
    for (name, kind, size) in preset.rows {
        rows.put(name, *kind, (*size).into());
    }
    if rows.free > request.flash_size.into() {
        let (needs, flash) = (rows.free, request.flash_size);
        return Err(Refused::PresetTooLarge { preset: preset.name, needs, flash });
    }
    let table = Table { entries: rows.entries };
    let demand = request.demand();
    match table.smallest_slot() {
        Some(slot) if slot.size < demand.bytes() => {
            Err(Refused::PresetSlot { preset: preset.name, slot: slot.size, demand })
        }
        _ => Ok(table),
    }
}

/// Rows so far, and the first free byte behind them.
struct Rows {
    entries: Vec<Entry>,
    free: u64,
}

impl Rows {
    fn put(&mut self, name: &str, kind: Kind, size: u64) {
        let offset = self.free.next_multiple_of(kind.offset_alignment().into());
        self.free = offset.saturating_add(size);
        // What does not fit 32 bits does not fit the flash either: see `free` for that.
        let bits = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        self.entries.push(Entry::new(name, kind, bits(offset), bits(size)));
    }
}

/// Which rows lie where, with all but the size of the apps known.
struct Plan {
    front: Vec<DataRequest>,
    slots: u8,
    factory: bool,
    behind: Vec<DataRequest>,
    first_app: u64,
    fixed_behind: u64,
}

impl Plan {
    fn new(
        request: &Request,
        slots: u8,
        factory: bool,
        data: &[DataRequest],
    ) -> Result<Self, Refused> {
        let mut rest = data.iter().filter(|row| row.room == Room::Rest);
        if let (Some(first), Some(second)) = (rest.next(), rest.next()) {
            let (first, second) = (first.name.clone(), second.name.clone());
            return Err(Refused::TwoRests { first, second });
        }
        let mut left = data.to_vec();
        let mut front = Vec::new();
        for (name, kind, size) in [("nvs", Kind::NVS, NVS), ("otadata", Kind::OTADATA, OTADATA)] {
            match left.iter().position(|row| row.kind == kind) {
                // An NVS of whatever is left lies behind the apps.
                Some(at) if left.get(at).is_some_and(|row| row.room == Room::Rest) => {}
                Some(at) => front.push(left.remove(at)),
                None => {
                    let (name, room) = (name.to_owned(), Room::Bytes(size));
                    front.push(DataRequest { name, kind, room });
                }
            }
        }
        let begin = request.first_free();
        let mut free = begin.saturating_add(front.iter().map(bytes).sum());
        let first_app = free.next_multiple_of(BLOCK);
        let mut behind = Vec::new();
        for row in left {
            let end = free.saturating_add(bytes(&row));
            if row.room != Room::Rest && end <= first_app {
                free = end;
                front.push(row);
            } else {
                behind.push(row);
            }
        }
        let fixed_behind = behind.iter().map(bytes).fold(0, u64::saturating_add);
        Ok(Self { front, slots, factory, behind, first_app, fixed_behind })
    }

    fn apps(&self) -> u64 {
        u64::from(self.slots).saturating_add(self.factory.into())
    }

    /// Bytes that all but the apps take at least, up to the first app included.
    fn around(&self) -> u64 {
        let rest = if self.has_rest() { LEAST_REST } else { 0 };
        self.first_app.saturating_add(self.fixed_behind).saturating_add(rest)
    }

    fn has_rest(&self) -> bool {
        self.behind.iter().any(|row| row.room == Room::Rest)
    }

    /// The size of every app partition.
    fn slot_size(&self, request: &Request) -> Result<u64, Refused> {
        let demand = request.demand();
        let needed = u64::from(demand.bytes()).next_multiple_of(BLOCK).max(BLOCK);
        if needed > LARGEST_SLOT {
            return Err(Refused::SlotTooLarge(demand));
        }
        let flash = u64::from(request.flash_size);
        let most = blocks(flash.saturating_sub(self.around()), self.apps());
        if needed > most {
            let needs = self.around().saturating_add(needed.saturating_mul(self.apps()));
            return Err(Refused::NoRoom {
                slots: self.slots,
                factory: self.factory,
                demand,
                most,
                around: self.around(),
                flash: request.flash_size,
                needs,
            });
        }
        let wanted = match &demand {
            _ if !self.has_rest() => most,
            // Room to grow by a quarter.
            Demand::Image { size, .. } => u64::from(*size).saturating_mul(5).div_ceil(4),
            Demand::MinSlot(_) | Demand::Nothing => {
                blocks(flash.saturating_mul(5).div_euclid(8), self.apps())
            }
        };
        Ok(wanted.next_multiple_of(BLOCK).max(needed).min(most))
    }

    fn table(&self, request: &Request) -> Result<Table, Refused> {
        let slot_size = self.slot_size(request)?;
        let mut rows = Rows { entries: Vec::new(), free: request.first_free() };
        for row in &self.front {
            rows.put(&row.name, row.kind, bytes(row));
        }
        if self.factory {
            rows.put("factory", Kind::FACTORY, slot_size);
        }
        for kind in (0..self.slots).filter_map(Kind::slot) {
            rows.put(&kind.subtype_text(), kind, slot_size);
        }
        let spare = u64::from(request.flash_size)
            .saturating_sub(rows.free)
            .saturating_sub(self.fixed_behind);
        for row in &self.behind {
            let size = if row.room == Room::Rest { spare } else { bytes(row) };
            rows.put(&row.name, row.kind, size);
        }
        Ok(Table { entries: rows.entries })
    }
}

/// The largest multiple of [`BLOCK`] that fits `count` times, up to what a slot can have.
fn blocks(room: u64, count: u64) -> u64 {
    let each = room.checked_div(count).unwrap_or(0).min(LARGEST_SLOT);
    each.div_euclid(BLOCK).saturating_mul(BLOCK)
}

fn bytes(row: &DataRequest) -> u64 {
    match row.room {
        Room::Bytes(bytes) => bytes.into(),
        Room::Rest => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wanted(flash_size: u32, slots: u8, factory: bool, data: &[&str]) -> Request {
        let data = data.iter().map(|item| item.parse().unwrap()).collect();
        Request::new(flash_size, Intent::Slots { slots, factory, data })
    }

    fn rows(request: &Request) -> Vec<String> {
        let made = generate(request).unwrap();
        assert_eq!(made.report.findings, []);
        let rows = made.table.entries.iter();
        rows.map(|row| format!("{} {:#x} {:#x}", row.label, row.offset, row.size)).collect()
    }

    const FOUR: u32 = 0x40_0000;

    #[test]
    fn without_data_two_slots_take_the_whole_flash() {
        assert_eq!(
            rows(&wanted(FOUR, 2, false, &[])),
            [
                "nvs 0x9000 0x5000",
                "otadata 0xe000 0x2000",
                "ota_0 0x10000 0x1f0000",
                "ota_1 0x200000 0x1f0000"
            ]
        );
    }

    #[test]
    fn a_rest_leaves_the_slots_what_the_standard_layout_gives_them() {
        assert_eq!(
            rows(&wanted(FOUR, 2, false, &["spiffs=rest", "coredump=64K"])),
            [
                "nvs 0x9000 0x5000",
                "otadata 0xe000 0x2000",
                "ota_0 0x10000 0x140000",
                "ota_1 0x150000 0x140000",
                "spiffs 0x290000 0x160000",
                "coredump 0x3f0000 0x10000",
            ]
        );
    }

    #[test]
    fn small_data_fills_the_hole_in_front_of_the_apps() {
        assert_eq!(
            rows(&wanted(FOUR, 2, true, &["littlefs=1M", "nvs=24K", "phy=4K", "coredump=64K"])),
            [
                "nvs 0x9000 0x6000",
                "otadata 0xf000 0x2000",
                "phy_init 0x11000 0x1000",
                "factory 0x20000 0xf0000",
                "ota_0 0x110000 0xf0000",
                "ota_1 0x200000 0xf0000",
                "littlefs 0x2f0000 0x100000",
                "coredump 0x3f0000 0x10000",
            ]
        );
    }

    #[test]
    fn an_nvs_of_the_rest_lies_behind_and_the_table_may_lie_elsewhere() {
        let mut request = wanted(FOUR, 2, false, &["nvs=rest"]);
        request.table_offset = 0x1_0000;
        assert_eq!(
            rows(&request),
            [
                "otadata 0x11000 0x2000",
                "ota_0 0x20000 0x140000",
                "ota_1 0x160000 0x140000",
                "nvs 0x2a0000 0x160000"
            ]
        );
        request.table_offset = 0x8001;
        assert_eq!(generate(&request), Err(Refused::TableOffset(0x8001)));
    }

    #[test]
    fn slots_are_as_large_as_asked_for_and_grow_with_an_image() {
        let slot = |request: &Request| generate(request).unwrap().table.slots()[0].size;
        let mut request = wanted(FOUR, 2, false, &["spiffs=rest"]);
        request.least_slot = Some(0x18_0001);
        assert_eq!(slot(&request), 0x19_0000);
        request.least_slot = Some(0x10_0000);
        assert_eq!(slot(&request), 0x14_0000, "at least, not exactly");
        request.least_slot = None;
        request.image = Some(("app.bin".into(), 0x8_0000));
        assert_eq!(slot(&request), 0xa_0000, "a quarter more than the image");
        request.image = Some(("app.bin".into(), 0x1e_0000));
        assert_eq!(slot(&request), 0x1f_0000, "there is no more");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_number_that_would() {
        let mut request = wanted(FOUR, 2, false, &[]);
        request.least_slot = Some(0x1f_0000);
        assert!(generate(&request).is_ok());
        request.least_slot = Some(0x1f_0001);
        let refused = generate(&request).unwrap_err();
        assert!(matches!(refused, Refused::NoRoom { most: 0x1f_0000, needs: 0x41_0000, .. }));
        request.least_slot = Some(0x100_0001);
        assert!(matches!(generate(&request), Err(Refused::SlotTooLarge(_))));
        let two = wanted(FOUR, 2, false, &["spiffs=rest", "nvs=rest"]);
        assert!(matches!(generate(&two), Err(Refused::TwoRests { .. })));
        let much = wanted(FOUR, 2, false, &["spiffs=4M"]);
        assert!(matches!(generate(&much), Err(Refused::NoRoom { most: 0, .. })));
    }

    #[test]
    fn what_the_check_would_object_to_is_refused_in_its_words() {
        for (item, code) in [
            ("nvs=12K", "nvs-too-small"),
            ("nvs=4K", "nvs-needs-readonly"),
            ("factory:fat=64K", "name-is-keyword"),
            ("web:esphttpd=64K", "esp-bootloader-panics"),
        ] {
            match generate(&wanted(FOUR, 2, false, &[item])) {
                Err(Refused::Unfit(finding)) => assert_eq!(finding.code.name(), code, "{item}"),
                other => panic!("{item}: {other:?}"),
            }
        }
        let twice = wanted(FOUR, 2, false, &["fat=64K", "fat=64K"]);
        assert!(matches!(generate(&twice), Err(Refused::Unfit(_))));
    }

    #[test]
    fn a_preset_keeps_its_numbers_or_is_refused() {
        let preset = Preset::from_name("default_8MB").unwrap();
        let mut request = Request::new(FOUR, Intent::Preset(preset));
        assert!(matches!(
            generate(&request),
            Err(Refused::PresetTooLarge { needs: 0x80_0000, .. })
        ));
        request.flash_size = 0x100_0000;
        assert_eq!(generate(&request).unwrap().table.end(), 0x80_0000);
        request.least_slot = Some(0x33_0001);
        assert!(matches!(generate(&request), Err(Refused::PresetSlot { slot: 0x33_0000, .. })));
        request.least_slot = None;
        request.table_offset = 0x9000;
        request.flash_size = 0x80_0000;
        assert!(matches!(
            generate(&request),
            Err(Refused::PresetTooLarge { needs: 0x81_0000, .. })
        ));
    }

    prop_compose! {
        fn any_data()(
            word in prop::sample::select(vec!["nvs", "spiffs", "coredump", "littlefs", "fat", "phy", "undefined", "efuse"]),
            sectors in 1_u32..600,
            rest in prop::bool::weighted(0.2),
            nvs_keys in prop::bool::weighted(0.1),
        ) -> String {
            match (nvs_keys, rest) {
                (true, _) => "nvs_keys=4K".to_owned(),
                (false, true) => format!("{word}=rest"),
                (false, false) => format!("{word}={:#x}", sectors.saturating_mul(0x1000)),
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_generated_passes_the_check_and_has_what_was_asked_for(
            chip in prop::sample::select(Chip::ALL.to_vec()),
            megabytes in prop::sample::select(vec![1_u32, 2, 4, 8, 16, 32, 64, 128]),
            slots in 2_u8..=16,
            factory: bool,
            mut data in prop::collection::vec(any_data(), 0..6),
            least_slot in prop::option::of(1_u32..0x200_0000),
            image in prop::option::of((Just("app.bin".to_owned()), 1_u32..0x120_0000)),
            table_sector in prop_oneof![Just(8_u32), 3_u32..64],
        ) {
            data.sort();
            data.dedup_by_key(|item| item.split('=').next().unwrap().to_owned());
            let data: Vec<DataRequest> = data.iter().map(|item| item.parse().unwrap()).collect();
            let request = Request {
                chip: Some(chip),
                flash_size: megabytes << 20,
                table_offset: table_sector << 12,
                least_slot,
                image,
                intent: Intent::Slots { slots, factory, data: data.clone() },
            };
            match generate(&request) {
                Ok(made) => {
                    prop_assert_eq!(&made.report.findings, &[]);
                    let table = made.table;
                    prop_assert!(table.end() <= u64::from(request.flash_size));
                    prop_assert_eq!(table.slots().len(), usize::from(slots));
                    prop_assert_eq!(table.factory().is_some(), factory);
                    let least = request.demand().bytes();
                    prop_assert!(table.smallest_slot().unwrap().size >= least);
                    for row in &data {
                        let found = table.named(&row.name).unwrap();
                        prop_assert_eq!(found.kind, row.kind);
                        match row.room {
                            Room::Bytes(bytes) => prop_assert_eq!(found.size, bytes),
                            Room::Rest => prop_assert!(found.size >= 0x1_0000),
                        }
                    }
                }
                // What is said to be enough is enough.
                Err(Refused::NoRoom { demand, most, needs, .. }) => {
                    let mut smaller = request.clone();
                    if most > 0 {
                        smaller.image = None;
                        smaller.least_slot = Some(u32::try_from(most).unwrap());
                        let fits = !matches!(generate(&smaller), Err(Refused::NoRoom { .. }));
                        prop_assert!(fits);
                        prop_assert!(most < u64::from(demand.bytes()));
                    }
                    prop_assert!(needs > u64::from(request.flash_size));
                    if let Ok(flash_size) = u32::try_from(needs) {
                        let larger = Request { flash_size, ..request };
                        let fits = !matches!(generate(&larger), Err(Refused::NoRoom { .. }));
                        prop_assert!(fits);
                    }
                }
                Err(Refused::Unfit(finding)) => {
                    let small_nvs = data.iter().any(|row| row.kind == Kind::NVS);
                    prop_assert!(small_nvs, "{:?}", finding);
                    prop_assert!(finding.help.is_some());
                }
                Err(Refused::TwoRests { .. } | Refused::SlotTooLarge(_)) => {}
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
