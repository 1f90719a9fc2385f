//! Programs made here, with symbols of every kind, and what is said of their images.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use object::build::elf::{Builder, SectionData};
use object::{Endianness, elf};

use super::*;
use crate::agent::image::DESCRIPTOR_MAGIC;
use crate::flash_size::FlashSize;
use crate::image;

/// Where the sections of the test program lie.
const DESCRIPTOR: u32 = 0x3c00_0020;
const CONSTANTS: u32 = DESCRIPTOR + 256;
const RADIO: u32 = CONSTANTS + 64;
const CODE: u32 = 0x4201_0020;
const RAM_CODE: u32 = 0x4038_0000;
const RAM_DATA: u32 = 0x3fc8_0000;

/// A program for ESP32-C3 with these symbols: name, address, bytes.
fn program(symbols: &[(&str, u32, u32)]) -> Vec<u8> {
    let mut descriptor = DESCRIPTOR_MAGIC.to_le_bytes().to_vec();
    descriptor.resize(180, 0);
    descriptor.push(16);
    descriptor.resize(256, 0);
    let mut builder = Builder::new(Endianness::Little, false);
    builder.header.e_type = elf::ET_EXEC;
    builder.header.e_machine = elf::EM_RISCV;
    builder.header.e_entry = u64::from(CODE);
    builder.header.e_phoff = 0x34;
    let mut sections = Vec::new();
    let mut place = 0x1000;
    for (name, address, data) in [
        (".flash.appdesc", DESCRIPTOR, descriptor),
        (".rodata", CONSTANTS, vec![1; 64]),
        (".rodata.wifi", RADIO, vec![2; 32]),
        (".text", CODE, vec![3; 1000]),
        (".rwtext", RAM_CODE, vec![4; 200]),
        (".data", RAM_DATA, vec![5; 102]),
    ] {
        let section = builder.sections.add();
        section.name = name.into();
        section.sh_type = elf::SHT_PROGBITS;
        section.sh_flags = elf::SHF_ALLOC;
        section.sh_addr = u64::from(address);
        section.sh_offset = place;
        section.sh_size = u64::try_from(data.len()).unwrap();
        section.sh_addralign = 4;
        place += section.sh_size.next_multiple_of(4);
        section.data = SectionData::Data(data.into());
        sections.push((address, section.sh_size, section.id()));
    }
    let bss = builder.sections.add();
    bss.name = ".bss".into();
    bss.sh_type = elf::SHT_NOBITS;
    bss.sh_flags = elf::SHF_ALLOC | elf::SHF_WRITE;
    bss.sh_addr = u64::from(RAM_DATA) + 104;
    bss.sh_size = 4000;
    bss.data = SectionData::UninitializedData(4000);
    sections.push((RAM_DATA + 104, 4000, bss.id()));
    for (name, address, size) in symbols {
        let within = |(start, len, _): &&(u32, u64, _)| {
            let at = address.checked_sub(*start);
            at.is_some_and(|at| u64::from(at) < *len)
        };
        let symbol = builder.symbols.add();
        symbol.name = (*name).into();
        symbol.section = sections.iter().find(within).map(|(.., id)| *id);
        symbol.st_value = u64::from(*address);
        symbol.st_size = u64::from(*size);
        symbol.set_st_info(elf::STB_GLOBAL, elf::STT_FUNC);
    }
    for (name, kind, data) in [
        (".symtab", elf::SHT_SYMTAB, SectionData::Symbol),
        (".strtab", elf::SHT_STRTAB, SectionData::String),
        (".shstrtab", elf::SHT_STRTAB, SectionData::SectionString),
    ] {
        if symbols.is_empty() && name != ".shstrtab" {
            continue;
        }
        let section = builder.sections.add();
        section.name = name.into();
        section.sh_type = kind;
        section.sh_addralign = 4;
        section.data = data;
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    bytes
}

/// The shares of the program's image, of which every byte has to be counted.
#[track_caller]
fn measured(symbols: &[(&str, u32, u32)], origins: &Origins) -> Vec<(Part, u64, Vec<String>)> {
    let elf = program(symbols);
    let image = image::from_elf(&elf, Chip::Esp32c3, FlashSize::DEFAULT).unwrap();
    let shares = parts(&elf, &image, Chip::Esp32c3, origins).unwrap().unwrap();
    let sum: u64 = shares.iter().map(|share| share.bytes).sum();
    assert_eq!(sum, u64::try_from(image.len()).unwrap(), "the sum is the image");
    for share in &shares {
        let sum: u64 = share.origins.iter().map(|(_, bytes)| bytes).sum();
        assert_eq!(sum, share.bytes, "{:?}", share.part);
    }
    shares
        .into_iter()
        .map(|it| (it.part, it.bytes, it.origins.into_iter().map(|(name, _)| name).collect()))
        .collect()
}

fn own(name: &str) -> Origins {
    Origins { own_crates: vec![name.to_owned()], libraries: Libraries::default() }
}

/// Bytes of a part.
fn of(shares: &[(Part, u64, Vec<String>)], part: Part) -> u64 {
    shares.iter().find(|share| share.0 == part).map_or(0, |share| share.1)
}

#[test]
fn each_symbol_counts_for_its_part() {
    let shares = measured(
        &[
            ("_ZN8firmware3ota3tuf6client5fetch17h0123456789abcdefE", CODE, 100),
            ("_ZN8firmware3ota4json4scan5value17h0123456789abcdefE", CODE + 100, 50),
            ("_ZN8firmware7sensors4read17h0123456789abcdefE", CODE + 150, 30),
            ("_RNvNtCs1234_7smoltcp4wire5parse", CODE + 180, 20),
            ("_ZN16curve25519_dalek6scalar3mul17h0123456789abcdefE", CODE + 200, 40),
            ("_ZN7strange4work17h0123456789abcdefE", CODE + 240, 10),
            ("mbedtls_ssl_read", CODE + 300, 200),
            ("ieee80211_input", CODE + 500, 60),
            ("memcpy", RAM_CODE, 24),
            ("nobody_s", RAM_CODE + 24, 16),
            ("_ZN7esp_hal4gpio3set17h0123456789abcdefE", RAM_CODE + 40, 8),
            ("TABLE", RAM_DATA, 4),
        ],
        &own("firmware"),
    );
    for (part, bytes) in [
        (Part::UpdateAgent, 100),
        (Part::Json, 50),
        (Part::Own, 30),
        (Part::Network, 20),
        (Part::Signatures, 40),
        (Part::OtherCrates, 10),
        (Part::Tls, 200),
        // With the section that is the radio's.
        (Part::WiFi, 60 + 32),
        (Part::Compiler, 24),
        (Part::OtherC, 16 + 4),
        (Part::Hal, 8),
        // All else of the sections; `.data` is padded by two bytes.
        (Part::Rest, (256 + 64) + (1000 - 510) + (200 - 48) + (102 - 4) + 2),
    ] {
        assert_eq!(of(&shares, part), bytes, "{part:?}: {shares:#?}");
    }
    let agent = shares.iter().find(|share| share.0 == Part::UpdateAgent).unwrap();
    assert_eq!(agent.2, ["ota::tuf"]);
}

#[test]
fn a_byte_under_two_symbols_counts_once_and_for_the_one_that_names_its_crate() {
    let rust = "_ZN17compiler_builtins3mem6memcpy17h0123456789abcdefE";
    let shares = measured(
        &[
            ("alias_of_it", CODE, 100),
            (rust, CODE, 100),
            // Longer, but it begins inside; and one beyond the end of everything.
            ("_ZN7esp_hal4gpio3set17h0123456789abcdefE", CODE + 50, 100),
            ("_ZN7esp_hal4gpio3get17h0123456789abcdefE", CODE + 900, 100_000),
        ],
        &Origins::default(),
    );
    assert_eq!(of(&shares, Part::Compiler), 100);
    assert_eq!(of(&shares, Part::OtherC), 0);
    assert_eq!(of(&shares, Part::Hal), 50 + 100);
}

#[test]
fn what_has_no_bytes_in_the_image_counts_nowhere() {
    let shares = measured(
        &[
            ("_ZN7esp_hal4gpio5STATE17h0123456789abcdefE", RAM_DATA + 104, 4000),
            ("_ZN7esp_hal4gpio3set17h0123456789abcdefE", CODE, 0),
            (".L.str.5", CONSTANTS, 20),
            ("x", CODE, 1),
        ],
        &Origins::default(),
    );
    assert_eq!(of(&shares, Part::Hal), 0);
    assert_eq!(of(&shares, Part::OtherC), 1);
}

#[test]
fn a_program_without_symbols_has_no_parts() {
    let elf = program(&[]);
    let image = image::from_elf(&elf, Chip::Esp32c3, FlashSize::DEFAULT).unwrap();
    assert_eq!(parts(&elf, &image, Chip::Esp32c3, &Origins::default()).unwrap(), None);
    assert!(parts(&image, &image, Chip::Esp32c3, &Origins::default()).is_err());
}

/// An archive of one member as `ar` writes it.
fn archive(object: &[u8]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    let header =
        format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "a.o/", 0, 0, 0, 644, object.len());
    bytes.extend(header.as_bytes());
    bytes.extend(object);
    bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    bytes
}

#[test]
fn a_library_knows_its_symbols_better_than_their_names_do() {
    let library = |crate_name: &str, file: &str| Library {
        crate_name: crate_name.to_owned(),
        file: file.to_owned(),
    };
    let (radio, crypto) =
        (library("esp_wifi_sys", "libwpa.a"), library("mbedtls_rs_sys", "libmbed.a"));
    let (wpa, mbed) = (
        archive(&program(&[("x509_parse", CODE, 8), ("aes_block", CODE, 8)])),
        archive(&program(&[("aes_block", CODE, 8), ("ecp_mul", CODE, 8)])),
    );
    let mut libraries = Libraries::default();
    libraries.add(&radio, &wpa);
    libraries.add(&crypto, &mbed);
    libraries
        .add(&library("mbedtls_rs_sys", "libx509.a"), &archive(&program(&[("ecp_mul", CODE, 8)])));
    let shares = measured(
        &[
            // By name this would be Mbed TLS; both libraries have the second, and no library the
            // third; two libraries of one crate have the last.
            ("x509_parse", CODE, 10),
            ("aes_block", CODE + 10, 20),
            ("x509_of_my_own", CODE + 30, 40),
            ("ecp_mul", CODE + 70, 80),
        ],
        &Origins { own_crates: Vec::new(), libraries },
    );
    assert_eq!(of(&shares, Part::WiFi), 10 + 32);
    assert_eq!(of(&shares, Part::OtherC), 20 + 40);
    assert_eq!(of(&shares, Part::Tls), 80);
    let tls = shares.iter().find(|share| share.0 == Part::Tls).unwrap();
    assert_eq!(tls.2, ["mbedtls_rs_sys"]);
}

#[test]
fn no_library_is_too_broken_to_be_passed_over() {
    let whole = archive(&program(&[("a", CODE, 8)]));
    for end in 0..whole.len() {
        let library = Library { crate_name: "a".into(), file: "a".into() };
        Libraries::default().add(&library, &whole[..end]);
    }
}
