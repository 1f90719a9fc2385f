//! Files to inspect, made by hand: small, and sound until a test breaks them.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use sha2::{Digest, Sha256};

use crate::partition::{self, standard};

/// Where the first segment is mapped.
pub(super) const DATA: u32 = 0x3c00_0020;
/// Where the second is loaded to.
pub(super) const CODE: u32 = 0x4038_0000;

/// An app image for the ESP32-C3.
pub(in crate::image) fn app(version: &str) -> Vec<u8> {
    let mut data = vec![0; 256];
    data[..4].copy_from_slice(&0xabcd_5432_u32.to_le_bytes());
    data[16..16 + version.len()].copy_from_slice(version.as_bytes());
    data[48..52].copy_from_slice(b"lamp");
    data[180] = 16;
    data.extend(b"some constants..");
    image(5, &[(DATA, data), (CODE, b"and some code, in RAM...".to_vec())])
}

/// A second-stage bootloader as old ESP-IDF makes it: without a descriptor.
pub(super) fn bootloader() -> Vec<u8> {
    image(5, &[(0x3fcd_5820, vec![1; 64]), (0x403c_c710, vec![2; 128])])
}

/// A bootloader that describes itself.
pub(super) fn described_bootloader() -> Vec<u8> {
    let mut data = vec![0; 80];
    data[0] = 80;
    data[4] = 1;
    data[8..12].copy_from_slice(b"v5.5");
    data[40..51].copy_from_slice(b"Jan  2 2026");
    image(5, &[(0x3fcd_5820, data), (0x403c_c710, vec![2; 128])])
}

/// An image of these segments, with checksum and digest.
pub(super) fn image(chip_id: u16, segments: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0; 24];
    bytes[0] = 0xe9;
    bytes[1] = segments.len().try_into().unwrap();
    bytes[2] = 2;
    bytes[3] = 0x2f;
    bytes[4..8].copy_from_slice(&CODE.to_le_bytes());
    bytes[12..14].copy_from_slice(&chip_id.to_le_bytes());
    bytes[17..19].copy_from_slice(&[0xff, 0xff]);
    bytes[23] = 1;
    for (address, data) in segments {
        bytes.extend(address.to_le_bytes());
        bytes.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        bytes.extend(data);
    }
    let padding = 16 - bytes.len() % 16;
    bytes.extend(vec![0; padding + 32]);
    sealed(bytes)
}

/// The image with a right checksum and digest, whatever was changed in it.
pub(in crate::image) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut checksum = 0xef;
    let mut at = 24;
    for _ in 0..bytes[1] {
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap());
        let end = at + 8 + usize::try_from(length).unwrap();
        checksum = bytes[at + 8..end].iter().fold(checksum, |sum, byte| sum ^ byte);
        at = end;
    }
    let end = bytes.len() - 32;
    bytes[end - 1] = checksum;
    let digest = Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&digest);
    bytes
}

/// Offset of the header of the last segment.
pub(super) fn last_segment_header(bytes: &[u8]) -> usize {
    let mut at = 24;
    for _ in 1..bytes[1] {
        let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap());
        at += 8 + usize::try_from(length).unwrap();
    }
    at
}

/// Bootloader, table and app as one file, as espflash and esptool merge them.
pub(super) fn merged() -> Vec<u8> {
    let mut flash = vec![0xff; 0x1_0000];
    let bootloader = described_bootloader();
    flash[..bootloader.len()].copy_from_slice(&bootloader);
    let table = partition::encode(&standard(0x40_0000).unwrap()).unwrap();
    flash[0x8000..0x8000 + table.len()].copy_from_slice(&table);
    flash.extend(app("1.0.0"));
    flash
}

/// A program: an app descriptor in its first section, mapped at `address`.
pub(super) fn elf(machine: object::elf::Machine, address: u32) -> Vec<u8> {
    use object::build::elf::{Builder, SectionData};
    use object::{Endianness, elf};

    let descriptor = app("1.0.0")[32..32 + 256].to_vec();
    let mut builder = Builder::new(Endianness::Little, false);
    builder.header.e_type = elf::ET_EXEC;
    builder.header.e_machine = machine;
    builder.header.e_entry = u64::from(address);
    builder.header.e_phoff = 0x34;
    let section = builder.sections.add();
    section.name = ".flash.appdesc".into();
    section.sh_type = elf::SHT_PROGBITS;
    section.sh_flags = elf::SHF_ALLOC;
    section.sh_addr = u64::from(address);
    section.sh_offset = 0x100;
    section.sh_size = 256;
    section.sh_addralign = 4;
    section.data = SectionData::Data(descriptor.into());
    let id = section.id();
    let segment = builder.segments.add();
    segment.p_type = elf::PT_LOAD;
    segment.p_flags = elf::PF_R;
    segment.p_offset = 0x100;
    segment.p_vaddr = u64::from(address);
    segment.p_paddr = u64::from(address);
    segment.p_filesz = 256;
    segment.p_memsz = 256;
    segment.p_align = 4;
    segment.sections.push(id);
    let names = builder.sections.add();
    names.name = ".shstrtab".into();
    names.sh_type = elf::SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    bytes
}

/// A page of NVS without values.
pub(super) fn nvs_page() -> Vec<u8> {
    let mut page = vec![0xff; 0x1000];
    page[..4].copy_from_slice(&0xffff_fffe_u32.to_le_bytes());
    page[4..8].fill(0);
    page[8] = 0xfe;
    let crc = esp_nvs::platform::software_crc32(u32::MAX, &page[4..28]);
    page[28..32].copy_from_slice(&crc.to_le_bytes());
    page
}

/// An image for the ESP8266: a short header, and one segment in its RAM.
pub(super) fn esp8266() -> Vec<u8> {
    let mut bytes = vec![0xe9, 1, 2, 0x40, 0, 0, 0x10, 0x40];
    bytes.extend(0x4010_0000_u32.to_le_bytes());
    bytes.extend(64u32.to_le_bytes());
    bytes.extend([3; 64]);
    bytes.extend([0; 16]);
    bytes
}

/// Bytes without any order, the same every time.
pub(super) fn random(length: usize) -> Vec<u8> {
    let blocks = (0..).map(|index: u32| Sha256::digest(index.to_le_bytes()));
    blocks.flat_map(|block| block.to_vec()).take(length).collect()
}
