//! ELF files: which processor a program is for, and whether it is firmware.

use object::{Architecture, Object, ObjectKind, ObjectSection, ObjectSegment, ObjectSymbol};
use serde::Serialize;

use super::descriptor::{self, App};
use super::memory::Memory;
use crate::chip::Chip;

/// First bytes of an ELF file.
pub(super) const MAGIC: &[u8] = b"\x7fELF";
/// Section of the app descriptor.
const DESCRIPTOR: &str = ".flash.appdesc";
/// Section in which esp-hal leaves what it was built for, and the symbol of the chip in it.
const METADATA: &str = ".espressif.metadata";
const CHIP_SYMBOL: &str = "build_info.CHIP_NAME";
/// Most symbols looked at: large firmware has some 100,000.
const MOST_SYMBOLS: usize = 2_000_000;
/// Most segments looked at: `e_phnum` has 16 bits.
const MOST_SEGMENTS: usize = 0xffff;

/// What an ELF file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Elf {
    /// `RISC-V`, `Xtensa`, `x86-64`, or a number.
    pub architecture: String,
    /// 32 or 64; `null` where the file is damaged.
    pub bits: Option<u8>,
    /// Whether it is a linked program, and no object file or library.
    pub program: bool,
    /// Whether it is firmware of a chip that boots app images.
    pub firmware: bool,
    /// Chips that it may be for: one, where the program says so itself.
    pub chips: Vec<Chip>,
    /// Its app descriptor.
    pub descriptor: Option<App>,
}

/// Reads a file that begins as an ELF file. Total: of a damaged one little is known.
pub(super) fn read(bytes: &[u8]) -> Elf {
    let machine = bytes.get(18..20).and_then(|it| it.try_into().ok()).map(u16::from_le_bytes);
    let Ok(file) = object::File::parse(bytes) else {
        let architecture = machine.map_or("an unknown processor".to_owned(), by_number);
        let (bits, program, firmware) = (None, false, false);
        return Elf { architecture, bits, program, firmware, chips: Vec::new(), descriptor: None };
    };
    let is_chip = matches!(file.architecture(), Architecture::Riscv32 | Architecture::Xtensa);
    let program = matches!(file.kind(), ObjectKind::Executable | ObjectKind::Dynamic);
    let section = file.section_by_name(DESCRIPTOR).and_then(|section| section.data().ok());
    let descriptor = section.and_then(descriptor::app_in);
    let chips = if is_chip && program { chips(&file) } else { Vec::new() };
    Elf {
        architecture: name(file.architecture(), machine),
        bits: Some(if file.is_64() { 64 } else { 32 }),
        program,
        firmware: is_chip && program && (descriptor.is_some() || !chips.is_empty()),
        chips,
        descriptor,
    }
}

fn name(architecture: Architecture, machine: Option<u16>) -> String {
    match architecture {
        Architecture::Riscv32 | Architecture::Riscv64 => "RISC-V".to_owned(),
        Architecture::Xtensa => "Xtensa".to_owned(),
        Architecture::X86_64 | Architecture::X86_64_X32 => "x86-64".to_owned(),
        Architecture::I386 => "x86".to_owned(),
        Architecture::Aarch64 => "AArch64".to_owned(),
        Architecture::Arm => "ARM".to_owned(),
        _ => machine.map_or("an unknown processor".to_owned(), by_number),
    }
}

/// `e_machine` of the processors that people mix up here.
fn by_number(machine: u16) -> String {
    match object::elf::Machine(machine) {
        object::elf::EM_XTENSA => "Xtensa".to_owned(),
        object::elf::EM_RISCV => "RISC-V".to_owned(),
        object::elf::EM_X86_64 => "x86-64".to_owned(),
        object::elf::EM_386 => "x86".to_owned(),
        object::elf::EM_AARCH64 => "AArch64".to_owned(),
        object::elf::EM_ARM => "ARM".to_owned(),
        _ => format!("processor {machine:#06x}"),
    }
}

fn chips(file: &object::File<'_>) -> Vec<Chip> {
    if let Some(chip) = stated_chip(file) {
        return vec![chip];
    }
    let xtensa = file.architecture() == Architecture::Xtensa;
    let addresses: Vec<u32> = file
        .segments()
        .take(MOST_SEGMENTS)
        .filter(|segment| segment.size() > 0)
        .map(|segment| u32::try_from(segment.address()).unwrap_or(0))
        .collect();
    let fits = |chip: &Chip| {
        chip.target().starts_with("xtensa") == xtensa
            && addresses.iter().all(|at| Memory::of(Some(*chip), *at) != Memory::Unknown)
            && addresses.iter().any(|at| Memory::of(Some(*chip), *at).is_flash())
    };
    Chip::ALL.into_iter().filter(fits).collect()
}

/// What esp-hal's build left in the file.
fn stated_chip(file: &object::File<'_>) -> Option<Chip> {
    let section = file.section_by_name(METADATA)?;
    let mut symbols = file.symbols().take(MOST_SYMBOLS);
    let symbol = symbols.find(|it| it.name() == Ok(CHIP_SYMBOL))?;
    let text = section.data_range(symbol.address(), symbol.size()).ok()??;
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use object::elf;
    use proptest::prelude::*;

    use super::super::testing;
    use super::*;

    #[test]
    fn firmware_is_told_from_a_program_of_the_host() {
        let firmware = read(&testing::elf(elf::EM_RISCV, testing::DATA));
        assert!(firmware.firmware && firmware.program);
        assert_eq!((firmware.architecture.as_str(), firmware.bits), ("RISC-V", Some(32)));
        assert_eq!(firmware.chips, [Chip::Esp32c2, Chip::Esp32c3]);
        assert_eq!(firmware.descriptor.unwrap().version, "1.0.0");
        let other = read(&testing::elf(elf::EM_RISCV, 0x8000_0000));
        assert!(!other.chips.contains(&Chip::Esp32c3));
        let host = read(&std::fs::read(std::env::current_exe().unwrap()).unwrap());
        assert!(!cfg!(target_os = "linux") || (host.program && !host.firmware));
    }

    #[test]
    fn of_a_damaged_file_the_processor_is_known() {
        let whole = testing::elf(elf::EM_XTENSA, testing::DATA);
        let cut = read(&whole[..40]);
        assert_eq!((cut.architecture.as_str(), cut.bits, cut.firmware), ("Xtensa", None, false));
        assert_eq!(read(b"\x7fELF").architecture, "an unknown processor");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(
            changes in prop::collection::vec((0usize..400, any::<u8>()), 0..8),
            length in 4usize..2000,
        ) {
            let mut bytes = testing::elf(elf::EM_RISCV, testing::DATA);
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(length);
            read(&bytes);
        }
    }
}
