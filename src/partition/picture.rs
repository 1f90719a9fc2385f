//! A picture of the flash: one line for each region, its bar at the place and in the length that it
//! has there. What lies on something else is drawn differently, so that it shows without colour.

use super::entry::Entry;
use super::kind::Kind;
use super::options::Options;
use super::size::Size;
use super::table::Table;

/// Most rows that are drawn: no legal table has more, and a picture is to be looked at.
pub const MOST_DRAWN: usize = 96;

/// Cells of a bar at least, on however narrow a terminal, and at most, on however wide a one.
const BARS: (usize, usize) = (8, 64);

/// Below this many columns names are cut to make room for the bars.
const NARROW: usize = 60;

/// What a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The bootloader, which has no row in most tables.
    Bootloader,
    /// The partition table itself.
    Table,
    /// A row of type `app`.
    App,
    /// Any other row.
    Data,
    /// Nothing.
    Unused,
    /// Where the flash ends.
    End,
}

/// Some bytes of flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// What it is.
    pub part: Part,
    /// What to call it.
    pub name: String,
    /// First byte.
    pub offset: u64,
    /// First byte behind it.
    pub end: u64,
    /// Whether it claims bytes of a region before it, or bytes that the flash does not have.
    pub is_misplaced: bool,
}

/// What a picture is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether block characters can be shown.
    pub is_unicode: bool,
}

/// One line of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it shows.
    pub part: Part,
    /// The line, without an end.
    pub text: String,
}

/// Everything that lies in the flash, in the order of the offsets, gaps included. The flash ends
/// where `options` says, or else with the last partition.
pub fn regions(table: &Table, options: &Options) -> Vec<Region> {
    let mut rows: Vec<Region> = table.entries.iter().take(MOST_DRAWN).map(of_entry).collect();
    let table_begin = u64::from(options.table_offset);
    if table.find(Kind::PRIMARY_TABLE).is_none() {
        rows.push(fixed(Part::Table, "(table)", table_begin, options.table_end()));
    }
    let bootloader = options.chip.map_or(0, |chip| chip.bootloader_offset().into());
    if table.find(Kind::PRIMARY_BOOTLOADER).is_none() && bootloader < table_begin {
        rows.push(fixed(Part::Bootloader, "(bootloader)", bootloader, table_begin));
    }
    rows.sort_by_key(|region| region.offset);

    let flash = options.flash_size.map(u64::from);
    let mut regions = Vec::new();
    let mut free = rows.first().map_or(0, |first| first.offset);
    for mut region in rows {
        if region.offset > free {
            // The flash ends before the gap does: what is behind is not there.
            let end = flash.map_or(region.offset, |flash| region.offset.min(flash));
            if end > free {
                regions.push(fixed(Part::Unused, "(unused)", free, end));
            }
        }
        region.is_misplaced = region.offset < free || flash.is_some_and(|flash| region.end > flash);
        free = free.max(region.end);
        regions.push(region);
    }
    let end = flash.unwrap_or(free);
    if end > free {
        regions.push(fixed(Part::Unused, "(unused)", free, end));
    }
    let at = regions.iter().position(|region| region.offset >= end).unwrap_or(regions.len());
    regions.insert(at, fixed(Part::End, "(end)", end, end));
    regions
}

fn of_entry(entry: &Entry) -> Region {
    let part = if entry.kind.is_app() { Part::App } else { Part::Data };
    Region {
        part,
        name: entry.label.to_string(),
        offset: entry.offset.into(),
        end: entry.end(),
        is_misplaced: false,
    }
}

fn fixed(part: Part, name: &str, offset: u64, end: u64) -> Region {
    Region { part, name: name.to_owned(), offset, end, is_misplaced: false }
}

/// Draws regions. Lines are no wider than the canvas, unless that has less than 40 columns.
pub fn draw(regions: &[Region], canvas: Canvas) -> Vec<Line> {
    let scale = regions.iter().map(|region| region.end).max().unwrap_or(0).max(1);
    let offset = |region: &Region| format!("{:#08x}", region.offset);
    let size = |region: &Region| match region.part {
        Part::End => String::new(),
        _ => Size(region.end.saturating_sub(region.offset)).to_string(),
    };
    let widest = |text: &dyn Fn(&Region) -> String| {
        regions.iter().map(|region| text(region).chars().count()).max().unwrap_or(0)
    };
    let longest = if canvas.width < NARROW { 10 } else { 40 };
    let names = widest(&|region| region.name.clone()).min(longest);
    let (offsets, sizes) = (widest(&offset), widest(&size));
    // Two spaces, and a mark on each side of the bar with a space before.
    let used = offsets.saturating_add(names).saturating_add(sizes).saturating_add(5);
    let bar = canvas.width.saturating_sub(used).clamp(BARS.0, BARS.1);
    let line = |region: &Region| {
        let name = cut(&region.name, names, canvas.is_unicode);
        let drawn = match region.part {
            Part::End => " ".repeat(bar),
            _ => bar_of(region, scale, bar, canvas.is_unicode),
        };
        let edge = if canvas.is_unicode { '│' } else { '|' };
        let text = format!(
            "{:<offsets$} {name:<names$} {:>sizes$} {edge}{drawn}{edge}",
            offset(region),
            size(region)
        );
        Line { part: region.part, text }
    };
    regions.iter().map(line).collect()
}

fn cut(name: &str, most: usize, is_unicode: bool) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let kept = name.chars().take(most.saturating_sub(1));
    kept.chain([if is_unicode { '…' } else { '~' }]).collect()
}

/// The bar of a region: at least one cell, and the same number for regions of the same size.
fn bar_of(region: &Region, scale: u64, bar: usize, is_unicode: bool) -> String {
    let cells = u64::try_from(bar).unwrap_or(1);
    let of = |bytes: u64| bytes.saturating_mul(cells).checked_div(scale).unwrap_or(0);
    let size = region.end.saturating_sub(region.offset);
    let length = of(size.saturating_add(scale.div_ceil(cells).div_euclid(2))).clamp(1, cells);
    let begin = of(region.offset).min(cells.saturating_sub(length));
    let end = begin.saturating_add(length);
    let fill = match (region.part, region.is_misplaced, is_unicode) {
        (_, true, _) => '!',
        (Part::Unused, false, false) => '.',
        (Part::Unused, false, true) => '·',
        (_, false, false) => '#',
        (_, false, true) => '█',
    };
    (0..cells).map(|cell| if cell >= begin && cell < end { fill } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chip::Chip;
    use crate::partition::standard;

    const PLAIN: Canvas = Canvas { width: 60, is_unicode: false };

    fn options(flash_size: u32) -> Options {
        let chip = Some(Chip::Esp32);
        Options { chip, flash_size: Some(flash_size), ..Options::default() }
    }

    fn text(table: &Table, options: &Options, canvas: Canvas) -> String {
        let lines = draw(&regions(table, options), canvas);
        lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    #[test]
    fn the_picture_is_to_scale_and_shows_what_has_no_row() {
        assert_eq!(
            text(&standard(0x40_0000).unwrap(), &options(0x40_0000), PLAIN),
            "\
0x001000 (bootloader)   28K |#                             |
0x008000 (table)         4K |#                             |
0x009000 nvs            20K |#                             |
0x00e000 otadata         8K |#                             |
0x010000 app0         1280K |#########                     |
0x150000 app1         1280K |         #########            |
0x290000 spiffs       1472K |                   ###########|
0x400000 (end)              |                              |
"
        );
    }

    #[test]
    fn gaps_are_regions_too() {
        let mut table = standard(0x40_0000).unwrap();
        table.entries.remove(2);
        table.entries.pop();
        let found = regions(&table, &options(0x80_0000));
        let gaps: Vec<_> = found.iter().filter(|region| region.part == Part::Unused).collect();
        let places: Vec<_> = gaps.iter().map(|gap| (gap.offset, gap.end)).collect();
        assert_eq!(places, [(0x1_0000, 0x15_0000), (0x29_0000, 0x80_0000)]);
        let drawn = text(&table, &options(0x80_0000), PLAIN);
        assert!(drawn.contains("(unused)     1280K |....."), "{drawn}");
    }

    #[test]
    fn what_lies_on_something_or_beyond_the_flash_is_marked() {
        let mut table = standard(0x40_0000).unwrap();
        table.entries[3].offset = 0x14_0000;
        let misplaced = |flash_size| {
            let found = regions(&table, &options(flash_size)).into_iter();
            found.filter(|it| it.is_misplaced).map(|it| it.name).collect::<Vec<_>>()
        };
        assert_eq!(misplaced(0x40_0000), ["app1"], "it begins inside app0");
        assert_eq!(misplaced(0x20_0000), ["app1", "spiffs"]);
        let drawn = text(&table, &options(0x20_0000), PLAIN);
        assert!(drawn.contains("!!!!"), "{drawn}");
        assert!(drawn.find("(end)") < drawn.find("spiffs"), "{drawn}");
    }

    #[test]
    fn forty_columns_are_enough() {
        let mut table = standard(0x40_0000).unwrap();
        table.entries[4].label = crate::partition::Label::new("sixteen_letters_");
        let drawn = text(&table, &options(0x40_0000), Canvas { width: 40, is_unicode: false });
        assert!(drawn.lines().all(|line| line.chars().count() <= 40), "{drawn}");
        assert!(drawn.contains("sixteen_l~ 1472K |"), "{drawn}");
    }

    #[test]
    fn without_chip_or_flash_size_the_rows_are_the_flash() {
        let drawn = text(&standard(0x40_0000).unwrap(), &Options::default(), PLAIN);
        assert!(drawn.starts_with("0x000000 (bootloader)   32K "), "{drawn}");
        assert!(drawn.ends_with("|\n") && drawn.contains("0x400000 (end)"), "{drawn}");
        let empty = text(&Table::default(), &Options::default(), PLAIN);
        assert_eq!(empty.lines().count(), 3);
    }

    proptest! {
        #[test]
        fn any_rows_on_any_canvas_can_be_drawn(
            rows in prop::collection::vec((any::<[u8; 16]>(), any::<u8>(), any::<u32>(), any::<u32>()), 0..8),
            flash_size: Option<u32>,
            table_offset: u32,
            width in 0_usize..300,
            is_unicode: bool,
        ) {
            let table: Table = rows
                .into_iter()
                .map(|(label, ty, offset, size)| {
                    let kind = Kind { ty, subtype: 0 };
                    Entry { label: crate::partition::Label(label), ..Entry::new("", kind, offset, size) }
                })
                .collect();
            let options = Options { flash_size, table_offset, ..Options::default() };
            for line in draw(&regions(&table, &options), Canvas { width, is_unicode }) {
                prop_assert!(!line.text.contains(char::is_control));
                prop_assert!(line.text.chars().count() <= width.max(48), "{}", line.text);
            }
        }
    }
}
