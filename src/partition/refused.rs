//! Why no table was generated, and the number that would do.

use std::fmt;

use super::csv_writer::CsvError;
use super::finding::Finding;
use super::generate::LARGEST_SLOT;
use super::size::Size;
use crate::error::{Exit, Explained};

const MEGABYTE: u64 = 0x10_0000;

/// Largest flash that can be named in a project or in an image's header.
const LARGEST_FLASH: u64 = 128 * MEGABYTE;

/// What a slot has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nobody said.
    Nothing,
    /// So many bytes.
    MinSlot(u32),
    /// An image.
    Image {
        /// Its file.
        file: String,
        /// Its bytes.
        size: u32,
    },
}

impl Demand {
    /// Bytes a slot needs.
    pub fn bytes(&self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::MinSlot(bytes) | Self::Image { size: bytes, .. } => *bytes,
        }
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("a slot needs at least 64K (0x10000)"),
            Self::MinSlot(bytes) => {
                write!(f, "`--min-slot` asks for {} ({bytes:#x})", Size((*bytes).into()))
            }
            Self::Image { file, size } => {
                write!(f, "`{file}` has {} ({size:#x})", Size((*size).into()))
            }
        }
    }
}

/// No table, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Two partitions want whatever is left.
    #[error("`{first}` and `{second}` cannot both have the rest")]
    TwoRests {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A table lies at the beginning of a sector.
    #[error("`--table-offset` is {0:#x}, which is no multiple of 0x1000")]
    TableOffset(u32),
    /// More than the bootloader takes.
    #[error("{0}, but slots have at most {most} ({LARGEST_SLOT:#x}): the bootloader takes no larger image", most = Size(LARGEST_SLOT))]
    SlotTooLarge(Demand),
    /// The flash is too small for the apps.
    #[error("{}, but {demand}", room(*slots, *factory, *most, *around, *flash))]
    NoRoom {
        /// Number of slots.
        slots: u8,
        /// Whether there is a factory app as well.
        factory: bool,
        /// What they have to hold.
        demand: Demand,
        /// The most that each could have.
        most: u64,
        /// Bytes that everything else takes.
        around: u64,
        /// Bytes of flash.
        flash: u32,
        /// Bytes of flash that would do.
        needs: u64,
    },
    /// The flash is too small for a preset.
    #[error("preset `{preset}` ends at {needs:#x}, but the flash ends at {flash:#x}")]
    PresetTooLarge {
        /// The preset.
        preset: &'static str,
        /// Bytes of flash that would do.
        needs: u64,
        /// Bytes of flash.
        flash: u32,
    },
    /// A preset's slots are too small.
    #[error("slots of preset `{preset}` have {} ({slot:#x}), but {demand}", Size((*slot).into()))]
    PresetSlot {
        /// The preset.
        preset: &'static str,
        /// Bytes of a slot.
        slot: u32,
        /// What it has to hold.
        demand: Demand,
    },
    /// The check finds something.
    #[error("the table would not pass `partitions check`: {}", .0.message)]
    Unfit(Finding),
    /// The rows cannot be written as CSV.
    #[error("the table cannot be written as CSV")]
    Csv(#[source] CsvError),
}

/// What there is room for.
fn room(slots: u8, factory: bool, most: u64, around: u64, flash: u32) -> String {
    let flash_text = Size(flash.into());
    let apps = apps(slots, factory);
    if most == 0 {
        let left = u64::from(flash).saturating_sub(around);
        format!(
            "{apps} do not fit: everything else takes {around:#x} of {flash_text} of flash and \
             leaves {left:#x}"
        )
    } else {
        let most_text = Size(most);
        format!("{flash_text} of flash have room for {apps} of {most_text} ({most:#x})")
    }
}

fn apps(slots: u8, factory: bool) -> String {
    let factory = if factory { "a factory app and " } else { "" };
    format!("{factory}{slots} slots")
}

/// A flash size that would do, as `--flash-size` takes it.
fn flash_for(needs: u64) -> Option<String> {
    let megabytes = needs.div_ceil(MEGABYTE).checked_next_power_of_two()?;
    (megabytes.saturating_mul(MEGABYTE) <= LARGEST_FLASH).then(|| format!("{megabytes}MB"))
}

impl Explained for Refused {
    fn exit(&self) -> Exit {
        match self {
            Self::TwoRests { .. } | Self::TableOffset(_) => Exit::Usage,
            Self::SlotTooLarge(_)
            | Self::NoRoom { .. }
            | Self::PresetTooLarge { .. }
            | Self::PresetSlot { .. }
            | Self::Unfit(_)
            | Self::Csv(_) => Exit::Rejected,
        }
    }

    fn help(&self) -> Option<String> {
        let larger = |needs: u64, or: &str| match flash_for(needs) {
            Some(flash) => format!("{or}take a flash of {flash}: `--flash-size {flash}`"),
            None => format!("{or}ask for less: it would need {needs:#x} bytes of flash"),
        };
        match self {
            Self::TwoRests { second, .. } => {
                Some(format!("give one of them a size, such as `{second}=64K`"))
            }
            Self::TableOffset(offset) => {
                let up = u64::from(*offset).next_multiple_of(0x1000);
                Some(format!("pass `--table-offset {up:#x}`"))
            }
            Self::SlotTooLarge(Demand::Image { .. }) => Some("trim the image".to_owned()),
            Self::SlotTooLarge(Demand::MinSlot(_) | Demand::Nothing) => {
                Some(format!("pass `--min-slot {}` or less", Size(LARGEST_SLOT)))
            }
            Self::NoRoom { demand, most, needs, slots, factory, .. } => {
                let fewer = match (slots, factory) {
                    (_, true) => "leave out `--factory`, ",
                    (3.., false) => "ask for fewer `--slots`, ",
                    (_, false) => "ask for less `--data`, ",
                };
                let or = match demand {
                    Demand::MinSlot(_) if *most > 0 => {
                        format!("pass `--min-slot {}` or less, or ", Size(*most))
                    }
                    Demand::MinSlot(_) | Demand::Nothing => format!("{fewer}or "),
                    Demand::Image { .. } => format!("trim the image, {fewer}or "),
                };
                Some(larger(*needs, &or))
            }
            Self::PresetTooLarge { needs, .. } => {
                Some(larger(*needs, "choose a smaller preset, or "))
            }
            Self::PresetSlot { .. } => Some(
                "choose another `--preset`, or leave it out: slots are then as large as the flash \
                 allows"
                    .to_owned(),
            ),
            Self::Unfit(finding) => finding.help.clone(),
            Self::Csv(error) => error.help(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_room(most: u64, demand: Demand) -> Refused {
        let (around, needs) = (0x1_0000, 0x41_0000);
        Refused::NoRoom { slots: 2, factory: false, demand, most, around, flash: 0x40_0000, needs }
    }

    #[test]
    fn a_refusal_has_both_numbers_and_the_one_to_type() {
        let refused = no_room(0x1f_0000, Demand::MinSlot(0x20_0000));
        assert_eq!(
            refused.to_string(),
            "4M of flash have room for 2 slots of 1984K (0x1f0000), but `--min-slot` asks for 2M \
             (0x200000)"
        );
        assert_eq!(
            refused.help().unwrap(),
            "pass `--min-slot 1984K` or less, or take a flash of 8MB: `--flash-size 8MB`"
        );
        assert_eq!(refused.exit(), Exit::Rejected);
        let image = Demand::Image { file: "app.bin".into(), size: 0x20_0000 };
        assert!(no_room(0x1f_0000, image).help().unwrap().starts_with("trim the image, ask for"));
    }

    #[test]
    fn no_room_at_all_says_what_takes_it() {
        let refused = no_room(0, Demand::Nothing);
        assert_eq!(
            refused.to_string(),
            "2 slots do not fit: everything else takes 0x10000 of 4M of flash and leaves 0x3f0000, \
             but a slot needs at least 64K (0x10000)"
        );
    }

    #[test]
    fn the_flash_to_take_is_one_that_exists() {
        assert_eq!(flash_for(0x40_0000).as_deref(), Some("4MB"));
        assert_eq!(flash_for(0x40_0001).as_deref(), Some("8MB"));
        assert_eq!(flash_for(LARGEST_FLASH).as_deref(), Some("128MB"));
        assert_eq!(flash_for(LARGEST_FLASH + 1), None);
    }
}
