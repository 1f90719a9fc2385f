//! The firmware of the demo: a tiny RISC-V program, assembled here into a real ELF file.
//!
//! It needs no cross toolchain, and what espflash makes of it is a valid app image for ESP32-C3:
//! esptool accepts it. The program prints its name on UART0 and waits. What it does *not* contain
//! is the update agent; on the virtual device the agent runs from the tool's own copy of the
//! source, beside the image, and reads from the image how the self-test ends.

use object::build::elf::{Builder, SectionData};
use object::{Endianness, elf};

use crate::agent::image::DESCRIPTOR_MAGIC;

/// Start of mapped flash data on ESP32-C3, behind the image and segment header as ESP-IDF's linker
/// scripts place it.
const RODATA: u32 = 0x3c00_0020;
/// Start of instruction memory that the bootloader leaves alone.
const TEXT: u32 = 0x4038_0000;
/// Bytes of `esp_app_desc_t`.
const DESCRIPTOR: u32 = 256;
/// Marks the record behind the descriptor: how the self-test of this program ends.
const VERDICT: [u8; 8] = *b"selftest";
/// Offset of the record in the image: headers, descriptor.
pub(super) const VERDICT_OFFSET: u32 = 0x20 + DESCRIPTOR;
/// Bytes of the record.
pub(super) const VERDICT_LEN: usize = 12;
/// Ballast in place of what a real firmware carries, so that an install erases and writes more
/// than a sector or two.
const BALLAST: usize = 96 * 1024;

/// What goes into the program.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program<'a> {
    /// Version for the app descriptor; 31 bytes at most.
    pub(super) version: &'a str,
    /// Project name for the app descriptor; 31 bytes at most.
    pub(super) project: &'a str,
    /// Whether the self-test of this program passes.
    pub(super) is_good: bool,
}

/// Reads the record behind the descriptor. `None` where the image is not one of ours.
pub(super) fn verdict(record: &[u8; VERDICT_LEN]) -> Option<bool> {
    let (mark, verdict) = record.split_first_chunk::<8>()?;
    (*mark == VERDICT).then(|| verdict.starts_with(b"pass"))
}

impl Program<'_> {
    /// The ELF file. `Err` only if the object writer refuses what is fixed here.
    pub(super) fn elf(&self) -> Result<Vec<u8>, object::build::Error> {
        let greeting = format!("{} {}\n\0", self.project, self.version);
        let mut rodata = self.descriptor();
        rodata.extend_from_slice(&VERDICT);
        rodata.extend_from_slice(if self.is_good { b"pass" } else { b"fail" });
        let message = RODATA.saturating_add(u32::try_from(rodata.len()).unwrap_or(u32::MAX));
        rodata.extend_from_slice(greeting.as_bytes());
        rodata.extend(ballast(self.version));
        rodata.resize(rodata.len().next_multiple_of(4), 0);
        let text: Vec<u8> = code(message).iter().flat_map(|word| word.to_le_bytes()).collect();

        let mut builder = Builder::new(Endianness::Little, false);
        builder.header.e_type = elf::ET_EXEC;
        builder.header.e_machine = elf::EM_RISCV;
        builder.header.e_entry = u64::from(TEXT);
        builder.header.e_phoff = 0x34;
        let mut place = 0x1000;
        for (name, address, data, flags, access) in [
            (".flash.appdesc", RODATA, rodata, elf::SHF_ALLOC, elf::PF_R),
            (".rwtext", TEXT, text, elf::SHF_ALLOC | elf::SHF_EXECINSTR, elf::PF_R | elf::PF_X),
        ] {
            let section = builder.sections.add();
            section.name = name.into();
            section.sh_type = elf::SHT_PROGBITS;
            section.sh_flags = flags;
            section.sh_addr = u64::from(address);
            section.sh_offset = place;
            section.sh_size = u64::try_from(data.len()).unwrap_or(u64::MAX);
            section.sh_addralign = 4;
            let size = section.sh_size;
            section.data = SectionData::Data(data.into());
            let id = section.id();
            let segment = builder.segments.add();
            segment.p_type = elf::PT_LOAD;
            segment.p_flags = access;
            segment.p_offset = place;
            segment.p_vaddr = u64::from(address);
            segment.p_paddr = u64::from(address);
            segment.p_filesz = size;
            segment.p_memsz = size;
            segment.p_align = 4;
            segment.sections.push(id);
            place = place.saturating_add(size).next_multiple_of(0x1000);
        }
        let names = builder.sections.add();
        names.name = ".shstrtab".into();
        names.sh_type = elf::SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
        let mut bytes = Vec::new();
        builder.write(&mut bytes)?;
        Ok(bytes)
    }

    /// `esp_app_desc_t`: magic, secure version, version, project, time, date, IDF version, space
    /// for the hash of the ELF file that espflash fills in, and the MMU page size.
    fn descriptor(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&DESCRIPTOR_MAGIC.to_le_bytes());
        bytes.extend_from_slice(&[0; 12]);
        for (text, len) in [
            (self.version, 32),
            (self.project, 32),
            ("00:00:00", 16),
            ("Jan  1 2026", 16),
            ("v5.5", 32),
        ] {
            let end = bytes.len().saturating_add(len);
            // One byte stays for the NUL.
            bytes.extend(text.bytes().take(len.saturating_sub(1)));
            bytes.resize(end, 0);
        }
        bytes.resize(176, 0); // app_elf_sha256
        bytes.extend_from_slice(&[0, 0, 0xff, 0xff]); // eFuse block revisions 0 to 65535
        bytes.push(16); // MMU pages of 2^16 bytes
        bytes.resize(256, 0);
        bytes
    }
}

/// Bytes that differ from version to version, as code does.
fn ballast(version: &str) -> impl Iterator<Item = u8> {
    let seed = version.bytes().fold(1u32, |seed, byte| seed.wrapping_mul(31) ^ u32::from(byte));
    let mut state = seed | 1;
    std::iter::repeat_with(move || {
        // xorshift32
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [byte, ..] = state.to_le_bytes();
        byte
    })
    .take(BALLAST)
}

/// Prints the NUL-terminated text at `message` on UART0, then waits for ever.
///
/// UART0 of ESP32-C3 is at 0x6000_0000: FIFO at +0, status at +0x1c with the number of bytes in
/// the transmit FIFO (128 deep) in bits 16 to 25.
fn code(message: u32) -> [u32; 14] {
    let (a0, a1, a2, a3, a4) = (10, 11, 12, 13, 14);
    let upper = message.wrapping_add(0x800) >> 12;
    [
        lui(a0, upper),
        addi(a0, a0, message & 0xfff),
        lui(a1, 0x6_0000),
        lbu(a2, a0, 0),   // next:
        beq(a2, 0, 36),   //   end of text: to `end`
        lw(a3, a1, 0x1c), // wait:
        srli(a3, a3, 16),
        andi(a3, a3, 0x3ff),
        addi(a4, 0, 120),
        bgeu(a3, a4, -16), //   FIFO nearly full: to `wait`
        sw(a2, a1, 0),
        addi(a0, a0, 1),
        jal(0, -36), //   to `next`
        jal(0, 0),   // end: for ever
    ]
}

// RV32I encodings: The RISC-V Instruction Set Manual, Volume I, chapter "RV32I Base Integer
// Instruction Set". Immediates are taken modulo their field.

fn immediate_form(opcode: u32, function: u32, rd: u32, rs1: u32, immediate: u32) -> u32 {
    (immediate & 0xfff) << 20 | rs1 << 15 | function << 12 | rd << 7 | opcode
}

fn lui(rd: u32, upper: u32) -> u32 {
    (upper & 0xf_ffff) << 12 | rd << 7 | 0x37
}

fn addi(rd: u32, rs1: u32, immediate: u32) -> u32 {
    immediate_form(0x13, 0, rd, rs1, immediate)
}

fn andi(rd: u32, rs1: u32, immediate: u32) -> u32 {
    immediate_form(0x13, 7, rd, rs1, immediate)
}

fn srli(rd: u32, rs1: u32, amount: u32) -> u32 {
    immediate_form(0x13, 5, rd, rs1, amount & 0x1f)
}

fn lbu(rd: u32, base: u32, offset: u32) -> u32 {
    immediate_form(0x03, 4, rd, base, offset)
}

fn lw(rd: u32, base: u32, offset: u32) -> u32 {
    immediate_form(0x03, 2, rd, base, offset)
}

fn sw(rs2: u32, base: u32, offset: u32) -> u32 {
    (offset >> 5 & 0x7f) << 25 | rs2 << 20 | base << 15 | 2 << 12 | (offset & 0x1f) << 7 | 0x23
}

fn branch(function: u32, rs1: u32, rs2: u32, offset: i32) -> u32 {
    let offset = offset.cast_unsigned();
    (offset >> 12 & 1) << 31
        | (offset >> 5 & 0x3f) << 25
        | rs2 << 20
        | rs1 << 15
        | function << 12
        | (offset >> 1 & 0xf) << 8
        | (offset >> 11 & 1) << 7
        | 0x63
}

fn beq(rs1: u32, rs2: u32, offset: i32) -> u32 {
    branch(0, rs1, rs2, offset)
}

fn bgeu(rs1: u32, rs2: u32, offset: i32) -> u32 {
    branch(7, rs1, rs2, offset)
}

fn jal(rd: u32, offset: i32) -> u32 {
    let offset = offset.cast_unsigned();
    (offset >> 20 & 1) << 31
        | (offset >> 1 & 0x3ff) << 21
        | (offset >> 11 & 1) << 20
        | (offset >> 12 & 0xff) << 12
        | rd << 7
        | 0x6f
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::Chip;
    use crate::flash_size::FlashSize;
    use crate::image;

    #[test]
    fn instructions_have_the_bytes_that_an_assembler_gives() {
        // Each word was read back by the Capstone disassembler.
        assert_eq!(lui(11, 0x6_0000), 0x6000_05b7);
        assert_eq!(addi(10, 10, 1), 0x0015_0513);
        assert_eq!(lbu(12, 10, 0), 0x0005_4603);
        assert_eq!(lw(13, 11, 0x1c), 0x01c5_a683);
        assert_eq!(sw(12, 11, 0), 0x00c5_a023);
        assert_eq!(srli(13, 13, 16), 0x0106_d693);
        assert_eq!(andi(13, 13, 0x3ff), 0x3ff6_f693);
        assert_eq!(beq(12, 0, 36), 0x0206_0263);
        assert_eq!(bgeu(13, 14, -16), 0xfee6_f8e3);
        assert_eq!(jal(0, -36), 0xfddf_f06f);
        assert_eq!(jal(0, 0), 0x0000_006f);
    }

    #[test]
    fn espflash_makes_a_valid_image_of_it_that_states_its_version() {
        let program = Program { version: "1.2.3", project: "demo", is_good: true };
        let elf = program.elf().unwrap();
        let image = image::from_elf(&elf, Chip::Esp32c3, FlashSize::DEFAULT).unwrap();
        let info = image::read(&image, Some(Chip::Esp32c3)).unwrap();
        let descriptor = info.descriptor.unwrap();
        assert_eq!(descriptor.version(), "1.2.3");
        assert_eq!(descriptor.project(), "demo");
        let start = usize::try_from(VERDICT_OFFSET).unwrap();
        let record = image[start..start + VERDICT_LEN].try_into().unwrap();
        assert_eq!(verdict(record), Some(true));
    }
}
