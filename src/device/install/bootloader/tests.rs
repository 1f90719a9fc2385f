//! Bootloaders of espflash, changed, cut, signed and mistaken for other files.

use proptest::prelude::*;

use super::super::signature::tests::{PLAIN, signed};
use super::*;
use crate::partition::{self, standard};

const CHIP: Chip = Chip::Esp32c3;
const TARGET: Destination =
    Destination { chip: CHIP, flash: FlashSize::DEFAULT, table_offset: 0x8000 };

fn eight() -> FlashSize {
    "8MB".parse().unwrap()
}

/// The bootloader of espflash for flash of this size, nothing behind it.
fn image(flash: FlashSize) -> Vec<u8> {
    let mut bytes = image::bootloader(CHIP, flash).unwrap();
    bytes.truncate(image::read(&bytes, None).unwrap().len.try_into().unwrap());
    bytes
}

fn refusal(bytes: &[u8]) -> (u8, String) {
    refused(bytes, &TARGET)
}

fn refused(bytes: &[u8], target: &Destination) -> (u8, String) {
    let error = from_file("bl.bin", bytes, target).unwrap_err();
    assert!(error.help().is_some());
    (error.exit().code(), error.to_string())
}

#[test]
fn espflashs_bootloader_says_where_it_is_from_and_that_it_has_no_rollback() {
    let bundled = bundled(&TARGET, Board::default()).unwrap();
    assert_eq!(bundled.bytes, image::bootloader(CHIP, FlashSize::DEFAULT).unwrap());
    assert!(bundled.description.starts_with("espflash 4.7 (ESP-IDF v"), "{bundled:?}");
    assert_eq!((bundled.rollback.answer, bundled.restated), ("no", None));
}

#[test]
fn espflash_has_none_for_every_crystal_and_place() {
    let slow = Board { crystal: Some(26), revision: None };
    let error = super::bundled(&TARGET, slow).unwrap_err();
    assert_eq!((error.exit().code(), error.help().is_some()), (3, true));
    let early = Destination { table_offset: 0x3000, ..TARGET };
    let error = super::bundled(&early, Board::default()).unwrap_err();
    assert_eq!(error.exit().code(), 1);
    assert!(error.to_string().contains("table at 0x3000"), "{error}");
}

#[test]
fn a_file_gets_the_flash_size_of_the_chip_and_is_the_same_otherwise() {
    let found = from_file("bl.bin", &image(eight()), &TARGET).unwrap();
    assert_eq!(found.bytes, image(FlashSize::DEFAULT));
    assert_eq!((found.restated, found.rollback), (Some("8MB"), OF_ESPFLASH));
    assert!(found.description.starts_with("`bl.bin` (ESP-IDF v"), "{}", found.description);
    let padded = [image(FlashSize::DEFAULT), vec![0xff; 100]].concat();
    let found = from_file("bl.bin", &padded, &TARGET).unwrap();
    assert_eq!((found.bytes, found.restated), (image(FlashSize::DEFAULT), None));
}

#[test]
fn every_other_file_is_called_by_its_name() {
    let table = partition::encode(&standard(0x40_0000).unwrap()).unwrap();
    let mut merged = image(FlashSize::DEFAULT);
    merged.resize(0x8000, 0xff);
    merged.extend(&table);
    for (bytes, name) in [
        (PLAIN, "an app image"),
        (&merged, "a file of whole flash"),
        (b"\x7fELF\x01\x01\x01", "an ELF file"),
        (&table, "a partition table"),
        (b"", "an empty file"),
    ] {
        assert_eq!(refusal(bytes), (1, format!("`bl.bin` is {name}, not a bootloader")));
    }
}

#[test]
fn a_bootloader_that_would_not_start_is_refused_with_the_reason() {
    let whole = image(FlashSize::DEFAULT);
    let (exit, message) = refusal(&whole[..whole.len() - 1]);
    assert_eq!(exit, 1);
    assert!(message.contains("1 are missing"), "{message}");
    let mut changed = whole.clone();
    changed[200] ^= 1;
    assert_eq!(refusal(&changed).0, 6, "the checksum is about these bytes");
    let mut changed = whole.clone();
    changed[3] ^= 0x10;
    let (exit, message) = refusal(&changed);
    assert_eq!(exit, 6, "only the digest is about the header");
    assert!(message.contains("SHA-256 does not match"), "{message}");
    let other = Destination { chip: Chip::Esp32c6, ..TARGET };
    let (exit, message) = refused(&whole, &other);
    assert_eq!(exit, 1);
    assert!(message.contains("for esp32c3, not for esp32c6"), "{message}");
    let (exit, message) = refusal(&[&whole[..], b"more"].concat());
    assert_eq!(exit, 1);
    assert!(message.contains("4 bytes of something else follow"), "{message}");
}

#[test]
fn the_table_comes_behind_the_last_byte_and_no_earlier() {
    let whole = image(FlashSize::DEFAULT);
    let length = u32::try_from(whole.len()).unwrap();
    let exactly = Destination { table_offset: length, ..TARGET };
    assert!(from_file("bl.bin", &whole, &exactly).is_ok());
    let less = Destination { table_offset: length - 1, ..TARGET };
    let (exit, message) = refused(&whole, &less);
    assert_eq!(exit, 1);
    assert!(message.contains(&format!("has {length} bytes, but there are {}", length - 1)));
    // An ESP32's begins at 0x1000.
    let chip = Chip::Esp32;
    let bytes = image::bootloader(chip, FlashSize::DEFAULT).unwrap();
    let target = Destination { chip, table_offset: 0x1000, ..TARGET };
    assert!(refused(&bytes, &target).1.contains("there are 0 before"));
}

#[test]
fn a_signed_bootloader_keeps_its_bytes_or_is_refused() {
    let right = signed(&image(FlashSize::DEFAULT));
    let found = from_file("bl.bin", &right, &TARGET).unwrap();
    assert_eq!((found.bytes, found.restated), (right.clone(), None));
    let (exit, message) = refusal(&signed(&image(eight())));
    assert_eq!(
        (exit, message.as_str()),
        (1, "`bl.bin` is signed for 8MB of flash, but the chip has 4MB")
    );
    let mut first = image(eight());
    first.extend([0; 4]);
    first.extend([7; 64]);
    assert_eq!(refusal(&first).1, message, "of Secure Boot v1, too");
    let mut broken = right;
    let at = broken.len() - 4096 + 600;
    broken[at] ^= 1;
    let (exit, message) = refusal(&broken);
    assert_eq!(exit, 6);
    assert!(message.contains("its CRC does not match"), "{message}");
}

fn sound(region: &[u8]) -> Sound {
    match on_device(region, CHIP) {
        OnDevice::Sound(sound) => sound,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bootloader_on_a_device_is_known_by_its_bytes() {
    let mut region = image(eight());
    let length = region.len();
    region.resize(0x8000, 0xff);
    let found = sound(&region);
    assert_eq!((found.length, found.flash, found.is_signed), (length, Some(eight()), false));
    assert_eq!(found.rollback, OF_ESPFLASH);
    assert!(found.description.starts_with("espflash 4.7 (ESP-IDF v"), "{}", found.description);
    // What an earlier, longer one left behind it is not looked at.
    region[length + 8] = 7;
    assert_eq!(sound(&region), found);
    let mut region = signed(&image(FlashSize::DEFAULT));
    region.resize(0x8000, 0xff);
    assert!(sound(&region).is_signed);
}

#[test]
fn another_build_is_sound_and_what_it_does_not_tell_is_unknown() {
    let mut bytes = image(FlashSize::DEFAULT);
    // Another ESP-IDF: its version is in the descriptor, which checksum and digest cover.
    let (at, end) = (0x20 + 8, bytes.len() - 33);
    let change = bytes[at + 1] ^ b'4';
    bytes[at + 1] ^= change;
    bytes[end] ^= change;
    let bytes = image::with_flash_size(&bytes, FlashSize::DEFAULT).unwrap();
    let found = sound(&bytes);
    assert!(found.description.starts_with("another build (ESP-IDF v4"), "{}", found.description);
    assert_eq!(found.rollback.answer, "unknown");
    assert_eq!(from_file("bl.bin", &bytes, &TARGET).unwrap().rollback.answer, "unknown");
}

#[test]
fn what_no_chip_starts_is_not_kept() {
    assert_eq!(on_device(&[0xff; 0x8000], CHIP), OnDevice::Blank);
    let whole = image(FlashSize::DEFAULT);
    let why = |region: &[u8], chip| match on_device(region, chip) {
        OnDevice::Unusable(why) => why,
        other => panic!("{other:?}"),
    };
    let mut torn = whole.clone();
    torn[1024..].fill(0xff);
    assert!(!why(&torn, CHIP).is_empty());
    let mut changed = whole.clone();
    changed[3] ^= 0x10;
    assert!(why(&changed, CHIP).contains("SHA-256 does not match"));
    assert!(why(&whole, Chip::Esp32c6).contains("for esp32c3"));
    assert!(why(PLAIN, CHIP).contains("an app image"));
    assert!(why(&[0; 0x8000], CHIP).contains("zeros"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_the_readers_panic(
        changes in prop::collection::vec((0usize..20_000, any::<u8>()), 0..6),
        length in 0usize..30_000,
        table_offset in any::<u32>(),
    ) {
        let mut bytes = signed(&image(FlashSize::DEFAULT));
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(length);
        let target = Destination { table_offset, ..TARGET };
        let _ = (from_file("bl.bin", &bytes, &target), on_device(&bytes, CHIP));
    }

    #[test]
    fn any_changed_byte_of_the_image_is_refused(at in 0usize..16_000, bit in 0u8..8) {
        let mut bytes = image(FlashSize::DEFAULT);
        prop_assume!(at < bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(from_file("bl.bin", &bytes, &TARGET).is_err());
        prop_assert!(!matches!(on_device(&bytes, CHIP), OnDevice::Sound(_)));
    }
}
