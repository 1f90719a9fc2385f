//! The emulators that this tool can drive, and in what they differ.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use crate::chip::Chip;
use crate::flash_size::FlashSize;

/// A program that executes what an ESP32 would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Emulator {
    /// `qemu-system-riscv32` of Espressif's fork of QEMU
    Qemu,
    /// `esp-emu`, Espressif's own emulator
    EspEmu,
}

/// What a chip is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Nothing.
    None,
    /// This computer: an OpenCores Ethernet controller, behind network address translation.
    User,
}

/// One power-on, as far as its command line goes.
#[derive(Clone, Copy, Debug)]
pub struct PowerOn<'a> {
    /// The chip.
    pub chip: Chip,
    /// Name of the file with the flash, in the folder that the emulator runs in.
    pub flash: &'a str,
    /// What the chip is connected to.
    pub network: Network,
    /// Text on the serial port that ends it, for an emulator that keeps flash in memory.
    pub exit_on: Option<&'a str>,
    /// The longest it may take.
    pub deadline: Duration,
}

impl Emulator {
    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::EspEmu => "esp-emu",
        }
    }

    /// The program, as it is found on `PATH`.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-system-riscv32",
            Self::EspEmu => "esp-emu",
        }
    }

    /// The chips it has that the firmware can be built for.
    pub const fn chips(self) -> &'static [Chip] {
        match self {
            Self::Qemu => &[Chip::Esp32c3],
            Self::EspEmu => &[Chip::Esp32c3, Chip::Esp32c6],
        }
    }

    /// Whether it has a flash chip of this size.
    pub const fn has_flash(self, size: FlashSize) -> bool {
        const MEGABYTE: u32 = 1024 * 1024;
        match self {
            // `esp32c3_init_spi_flash` in its source: 2, 4, 8 and 16 MB.
            Self::Qemu => size.bytes() >= 2 * MEGABYTE && size.bytes() <= 16 * MEGABYTE,
            Self::EspEmu => true,
        }
    }

    /// How programs on the emulated chip reach the loopback interface of this computer.
    pub const fn host(self) -> Ipv4Addr {
        match self {
            Self::Qemu => Ipv4Addr::new(10, 0, 2, 2),
            Self::EspEmu => Ipv4Addr::new(192, 168, 4, 1),
        }
    }

    /// Whether it writes to the file with the flash at once, so that it can be watched, and the
    /// power be cut by ending the emulator. One that does not is asked to end by itself, at a text
    /// on the serial port, and writes the file then.
    pub const fn writes_through(self) -> bool {
        match self {
            Self::Qemu => true,
            Self::EspEmu => false,
        }
    }

    /// The arguments of one power-on.
    pub fn arguments(self, on: &PowerOn<'_>) -> Vec<OsString> {
        let chip = on.chip.name();
        let words: Vec<String> = match self {
            Self::Qemu => {
                let drive = format!("file={},if=mtd,format=raw", on.flash);
                let nic = match on.network {
                    Network::None => "none",
                    Network::User => "user,model=open_eth",
                };
                // A reset inside of it can run stale code, so a reset ends it, as a power cut does.
                let words = ["-M", chip, "-nographic", "-no-reboot", "-drive", &drive, "-nic", nic];
                words.map(str::to_owned).into()
            }
            Self::EspEmu => {
                let net = match on.network {
                    Network::None => "user,restrict=yes",
                    Network::User => "user",
                };
                let timeout = format!("{}ms", on.deadline.as_millis());
                let fixed = ["--chip", chip, "--firmware", on.flash, "--save-state", "--net", net];
                let mut words: Vec<String> = fixed.map(str::to_owned).into();
                words.extend(["--timeout".to_owned(), timeout]);
                if let Some(text) = on.exit_on {
                    words.extend(["--exit-on".to_owned(), text.to_owned()]);
                }
                words
            }
        };
        words.into_iter().map(OsString::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(emulator: Emulator, on: &PowerOn<'_>) -> String {
        let words = emulator.arguments(on);
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    const ON: PowerOn<'_> = PowerOn {
        chip: Chip::Esp32c3,
        flash: "flash.bin",
        network: Network::User,
        exit_on: Some("updates: confirmed"),
        deadline: Duration::from_secs(90),
    };

    #[test]
    fn qemu_is_told_chip_flash_and_ethernet_and_ends_at_a_reset() {
        let expected = "-M esp32c3 -nographic -no-reboot -drive file=flash.bin,if=mtd,format=raw \
                        -nic user,model=open_eth";
        assert_eq!(line(Emulator::Qemu, &ON), expected);
        let alone = line(Emulator::Qemu, &PowerOn { network: Network::None, ..ON });
        assert!(alone.ends_with(" -nic none"), "{alone}");
    }

    #[test]
    fn esp_emu_is_asked_to_end_by_itself_and_to_keep_the_flash() {
        let on = PowerOn { chip: Chip::Esp32c6, ..ON };
        let expected = "--chip esp32c6 --firmware flash.bin --save-state --net user \
                        --timeout 90000ms --exit-on updates: confirmed";
        assert_eq!(line(Emulator::EspEmu, &on), expected);
        let on = PowerOn { network: Network::None, exit_on: None, ..ON };
        let expected = "--chip esp32c3 --firmware flash.bin --save-state \
                        --net user,restrict=yes --timeout 90000ms";
        assert_eq!(line(Emulator::EspEmu, &on), expected);
        // One text is one argument, whatever is in it.
        assert_eq!(Emulator::EspEmu.arguments(&ON).last().unwrap(), "updates: confirmed");
    }

    #[test]
    fn qemu_has_four_sizes_of_flash() {
        let sizes = ["1MB", "2MB", "4MB", "8MB", "16MB", "32MB"];
        let has = sizes.map(|size| Emulator::Qemu.has_flash(size.parse().unwrap()));
        assert_eq!(has, [false, true, true, true, true, false]);
    }
}
