//! Layouts that people know by name, as ESP-IDF and the Arduino core ship them.
//!
//! Names are those of the files: `components/partition_table/partitions_<name>.csv` of ESP-IDF and
//! `tools/partitions/<name>.csv` of arduino-esp32. Offsets are not kept: each row begins at the
//! first place behind the row above it, which for a table at 0x8000 is where those files have it,
//! and for another table offset where ESP-IDF would put it.

use super::kind::Kind;

const PHY: Kind = Kind { ty: 0x01, subtype: 0x01 };
const FAT: Kind = Kind { ty: 0x01, subtype: 0x81 };
const OTA_0: Kind = Kind { ty: 0x00, subtype: 0x10 };
const OTA_1: Kind = Kind { ty: 0x00, subtype: 0x11 };

/// Name, kind and bytes of a row.
pub(crate) type PresetRow = (&'static str, Kind, u32);

/// A layout with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The name: that of its file.
    pub name: &'static str,
    /// Other names that it goes by.
    pub aliases: &'static [&'static str],
    /// What it is, in the words of its menu.
    pub about: &'static str,
    /// Bytes of flash that it is made for.
    pub flash_size: u32,
    pub(crate) rows: &'static [PresetRow],
}

impl Preset {
    /// The preset of a name, spelt with `-` or `_`, in any case.
    pub fn from_name(name: &str) -> Option<&'static Self> {
        let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
        let typed = plain(name);
        let is_named = |preset: &&Self| {
            plain(preset.name) == typed || preset.aliases.iter().any(|name| plain(name) == typed)
        };
        PRESETS.iter().find(is_named)
    }
}

const MEGABYTE: u32 = 0x10_0000;
const ARDUINO_NVS: PresetRow = ("nvs", Kind::NVS, 0x5000);
const OTADATA: PresetRow = ("otadata", Kind::OTADATA, 0x2000);
const PHY_INIT: PresetRow = ("phy_init", PHY, 0x1000);
const COREDUMP: PresetRow = ("coredump", Kind::COREDUMP, 0x1_0000);

const fn app0(size: u32) -> PresetRow {
    ("app0", OTA_0, size)
}

const fn app1(size: u32) -> PresetRow {
    ("app1", OTA_1, size)
}

const fn spiffs(size: u32) -> PresetRow {
    ("spiffs", Kind::SPIFFS, size)
}

const fn ffat(size: u32) -> PresetRow {
    ("ffat", FAT, size)
}

/// Every preset, in the order in which help texts list them.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "two_ota",
        aliases: &["partitions_two_ota", "factory_two_ota"],
        about: "ESP-IDF, 4 MB: factory app and two slots of 1 MB",
        flash_size: 4 * MEGABYTE,
        rows: &[
            ("nvs", Kind::NVS, 0x4000),
            OTADATA,
            PHY_INIT,
            ("factory", Kind::FACTORY, 0x10_0000),
            ("ota_0", OTA_0, 0x10_0000),
            ("ota_1", OTA_1, 0x10_0000),
        ],
    },
    Preset {
        name: "two_ota_large",
        aliases: &["partitions_two_ota_large"],
        about: "ESP-IDF, 4 MB: two slots of 1700 KB, no factory app",
        flash_size: 4 * MEGABYTE,
        rows: &[
            ("nvs", Kind::NVS, 0x6000),
            OTADATA,
            PHY_INIT,
            ("ota_0", OTA_0, 0x1a_9000),
            ("ota_1", OTA_1, 0x1a_9000),
        ],
    },
    Preset {
        name: "default",
        aliases: &["default_4MB", "arduino"],
        about: "Arduino, 4 MB: two slots of 1.25 MB, SPIFFS",
        flash_size: 4 * MEGABYTE,
        rows: &[
            ARDUINO_NVS,
            OTADATA,
            app0(0x14_0000),
            app1(0x14_0000),
            spiffs(0x16_0000),
            COREDUMP,
        ],
    },
    Preset {
        name: "default_ffat",
        aliases: &[],
        about: "Arduino, 4 MB: two slots of 1.25 MB, FAT",
        flash_size: 4 * MEGABYTE,
        rows: &[ARDUINO_NVS, OTADATA, app0(0x14_0000), app1(0x14_0000), ffat(0x16_0000), COREDUMP],
    },
    Preset {
        name: "min_spiffs",
        aliases: &[],
        about: "Arduino, 4 MB: two slots of 1.9 MB, little SPIFFS",
        flash_size: 4 * MEGABYTE,
        rows: &[ARDUINO_NVS, OTADATA, app0(0x1e_0000), app1(0x1e_0000), spiffs(0x2_0000), COREDUMP],
    },
    Preset {
        name: "no_fs",
        aliases: &[],
        about: "Arduino, 4 MB: two slots of 2 MB, no file system",
        flash_size: 4 * MEGABYTE,
        rows: &[ARDUINO_NVS, OTADATA, app0(0x1f_0000), app1(0x1f_0000), COREDUMP],
    },
    Preset {
        name: "default_8MB",
        aliases: &[],
        about: "Arduino, 8 MB: two slots of 3.2 MB, SPIFFS",
        flash_size: 8 * MEGABYTE,
        rows: &[
            ARDUINO_NVS,
            OTADATA,
            app0(0x33_0000),
            app1(0x33_0000),
            spiffs(0x18_0000),
            COREDUMP,
        ],
    },
    Preset {
        name: "large_spiffs_8MB",
        aliases: &[],
        about: "Arduino, 8 MB: two slots of 1.25 MB, much SPIFFS",
        flash_size: 8 * MEGABYTE,
        rows: &[
            ARDUINO_NVS,
            OTADATA,
            app0(0x14_0000),
            app1(0x14_0000),
            spiffs(0x56_0000),
            COREDUMP,
        ],
    },
    Preset {
        name: "default_16MB",
        aliases: &[],
        about: "Arduino, 16 MB: two slots of 6.25 MB, SPIFFS",
        flash_size: 16 * MEGABYTE,
        rows: &[
            ARDUINO_NVS,
            OTADATA,
            app0(0x64_0000),
            app1(0x64_0000),
            spiffs(0x36_0000),
            COREDUMP,
        ],
    },
    Preset {
        name: "large_spiffs_16MB",
        aliases: &[],
        about: "Arduino, 16 MB: two slots of 4.5 MB, SPIFFS",
        flash_size: 16 * MEGABYTE,
        rows: &[
            ARDUINO_NVS,
            OTADATA,
            app0(0x48_0000),
            app1(0x48_0000),
            spiffs(0x6e_0000),
            COREDUMP,
        ],
    },
    Preset {
        name: "app3M_fat9M_16MB",
        aliases: &[],
        about: "Arduino, 16 MB: two slots of 3 MB, FAT",
        flash_size: 16 * MEGABYTE,
        rows: &[ARDUINO_NVS, OTADATA, app0(0x30_0000), app1(0x30_0000), ffat(0x9e_0000), COREDUMP],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{Intent, Request, Severity, generate};

    fn laid_out(preset: &'static Preset) -> String {
        let request = Request::new(preset.flash_size, Intent::Preset(preset));
        let made = generate(&request).unwrap();
        let rows = made.table.entries.iter();
        let rows =
            rows.map(|row| format!("{} {} {:#x} {:#x}", row.label, row.kind, row.offset, row.size));
        rows.collect::<Vec<_>>().join("\n")
    }

    /// Offsets and sizes as they stand in the files, or where gen_esp32part.py puts them.
    #[test]
    fn every_preset_has_the_numbers_of_its_file() {
        let arduino = |size: u32, app1: u32, rest: &str| {
            let apps = format!(
                "nvs data/nvs 0x9000 0x5000\notadata data/ota 0xe000 0x2000\n\
                 app0 app/ota_0 0x10000 {size:#x}\napp1 app/ota_1 {app1:#x} {size:#x}"
            );
            format!("{apps}\n{rest}")
        };
        let expected = [
            (
                "two_ota",
                "nvs data/nvs 0x9000 0x4000\notadata data/ota 0xd000 0x2000\n\
                 phy_init data/phy 0xf000 0x1000\nfactory app/factory 0x10000 0x100000\n\
                 ota_0 app/ota_0 0x110000 0x100000\nota_1 app/ota_1 0x210000 0x100000"
                    .to_owned(),
            ),
            (
                "two_ota_large",
                "nvs data/nvs 0x9000 0x6000\notadata data/ota 0xf000 0x2000\n\
                 phy_init data/phy 0x11000 0x1000\nota_0 app/ota_0 0x20000 0x1a9000\n\
                 ota_1 app/ota_1 0x1d0000 0x1a9000"
                    .to_owned(),
            ),
            (
                "default",
                arduino(
                    0x14_0000,
                    0x15_0000,
                    "spiffs data/spiffs 0x290000 0x160000\ncoredump data/coredump 0x3f0000 0x10000",
                ),
            ),
            (
                "default_ffat",
                arduino(
                    0x14_0000,
                    0x15_0000,
                    "ffat data/fat 0x290000 0x160000\ncoredump data/coredump 0x3f0000 0x10000",
                ),
            ),
            (
                "min_spiffs",
                arduino(
                    0x1e_0000,
                    0x1f_0000,
                    "spiffs data/spiffs 0x3d0000 0x20000\ncoredump data/coredump 0x3f0000 0x10000",
                ),
            ),
            ("no_fs", arduino(0x1f_0000, 0x20_0000, "coredump data/coredump 0x3f0000 0x10000")),
            (
                "default_8MB",
                arduino(
                    0x33_0000,
                    0x34_0000,
                    "spiffs data/spiffs 0x670000 0x180000\ncoredump data/coredump 0x7f0000 0x10000",
                ),
            ),
            (
                "large_spiffs_8MB",
                arduino(
                    0x14_0000,
                    0x15_0000,
                    "spiffs data/spiffs 0x290000 0x560000\ncoredump data/coredump 0x7f0000 0x10000",
                ),
            ),
            (
                "default_16MB",
                arduino(
                    0x64_0000,
                    0x65_0000,
                    "spiffs data/spiffs 0xc90000 0x360000\ncoredump data/coredump 0xff0000 0x10000",
                ),
            ),
            (
                "large_spiffs_16MB",
                arduino(
                    0x48_0000,
                    0x49_0000,
                    "spiffs data/spiffs 0x910000 0x6e0000\ncoredump data/coredump 0xff0000 0x10000",
                ),
            ),
            (
                "app3M_fat9M_16MB",
                arduino(
                    0x30_0000,
                    0x31_0000,
                    "ffat data/fat 0x610000 0x9e0000\ncoredump data/coredump 0xff0000 0x10000",
                ),
            ),
        ];
        assert_eq!(expected.len(), PRESETS.len());
        for (name, rows) in expected {
            assert_eq!(laid_out(Preset::from_name(name).unwrap()), rows, "{name}");
        }
    }

    #[test]
    fn names_are_unique_and_found_however_they_are_spelt() {
        for preset in PRESETS {
            for name in preset.aliases.iter().chain([&preset.name]) {
                assert_eq!(Preset::from_name(name), Some(preset));
                let shouted = name.to_ascii_uppercase().replace('_', "-");
                assert_eq!(Preset::from_name(&shouted), Some(preset));
            }
        }
        assert_eq!(Preset::from_name("huge_app"), None, "it cannot be updated");
    }

    #[test]
    fn a_preset_is_given_as_it_is_known_and_said_where_it_is_short() {
        for preset in PRESETS {
            let made = generate(&Request::new(preset.flash_size, Intent::Preset(preset))).unwrap();
            assert!(made.report.accepted_by.ota, "{}", preset.name);
            let worst = made.report.worst();
            // ESP-IDF's factory layout has one page of NVS less than the agent needs.
            let expected = if preset.name == "two_ota" { Some(Severity::Warning) } else { None };
            assert_eq!(worst, expected, "{}", preset.name);
        }
    }
}
