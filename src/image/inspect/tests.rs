//! Every kind of file, and what a good image turns into when it is touched.

use proptest::prelude::*;

use super::*;
use crate::error::{Exit, Explained};
use crate::image;

fn for_chip(chip: Chip) -> Expected {
    Expected { chip: Some(chip), slots: Vec::new() }
}

/// The kind, and the codes of all problems.
fn found(bytes: &[u8]) -> (Kind, Vec<&'static str>) {
    let inspection = inspect(bytes, &Expected::default());
    assert_eq!(inspection.is_publishable(), inspection.problems.is_empty());
    let codes = inspection.problems.iter().map(Unfit::code).collect();
    (inspection.kind, codes)
}

#[test]
fn a_good_image_of_the_right_chip_may_be_published() {
    let bytes = testing::app("1.0.0");
    assert_eq!(found(&bytes), (Kind::App, vec![]));
    let right = for_chip(Chip::Esp32c3);
    let inspection = inspect(&bytes, &right);
    assert!(inspection.is_publishable() && inspection.notes.is_empty());
    assert_eq!(inspection.chip(), Some(Chip::Esp32c3));
    let image = inspection.image.unwrap();
    assert_eq!(image.length, Some(bytes.len().try_into().unwrap()));
    assert_eq!(image.descriptor.unwrap().project, "lamp");
    assert_eq!(app_image(&bytes, &right), Ok(image::read(&bytes, None).unwrap()));
}

#[test]
fn an_image_for_another_chip_is_refused_with_both_names() {
    let bytes = testing::app("1.0.0");
    let problem = app_image(&bytes, &for_chip(Chip::Esp32s3)).unwrap_err();
    assert_eq!(problem.to_string(), "it is for esp32c3, not for esp32s3");
    let mut unknown = bytes.clone();
    unknown[12] = 99;
    let unknown = testing::sealed(unknown);
    let problem = app_image(&unknown, &for_chip(Chip::Esp32c3)).unwrap_err();
    assert_eq!(problem.to_string(), "it is for chip 99, not for esp32c3");
    assert_eq!(app_image(&unknown, &Expected::default()), Err(Unfit::UnknownChip { id: 99 }));
}

#[test]
fn changed_bytes_are_a_matter_of_trust() {
    let mut bytes = testing::app("1.0.0");
    bytes[300] ^= 1;
    let problem = app_image(&bytes, &Expected::default()).unwrap_err();
    assert_eq!((problem.code(), problem.exit()), ("checksum", Exit::Trust));
    let mut bytes = testing::app("1.0.0");
    *bytes.last_mut().unwrap() ^= 1;
    let problem = app_image(&bytes, &Expected::default()).unwrap_err();
    assert_eq!((problem.code(), problem.exit()), ("digest", Exit::Trust));
    // Even where there is another reason.
    assert_eq!(app_image(&bytes, &for_chip(Chip::Esp32)).unwrap_err().exit(), Exit::Trust);
}

#[test]
fn what_follows_an_image_is_counted_and_told_apart() {
    let image = testing::app("1.0.0");
    let with = |rest: &[u8]| found(&[&image[..], rest].concat()).1;
    assert_eq!(with(&[0xff; 1]), ["padded"]);
    assert_eq!(with(&[0; 4096]), ["padded"]);
    assert_eq!(with(b"\xff\xff\xe7\x02\0\0"), ["signed"]);
    assert_eq!(with(b"\xff\x00\x01"), ["trailing-bytes"]);
    assert_eq!(with(&image), ["trailing-bytes"]);
    let padded = [&image[..], &[0xff; 100]].concat();
    let problem = app_image(&padded, &Expected::default()).unwrap_err();
    let length = u64::try_from(image.len()).unwrap();
    assert_eq!(problem, Unfit::Padded { extra: 100, image: length });
    assert!(problem.help().unwrap().contains(&format!("head -c {length} FILE")));
}

#[test]
fn what_is_missing_of_an_image_is_counted() {
    let image = testing::app("1.0.0");
    let whole = u64::try_from(image.len()).unwrap();
    for lost in [1, 31, 32, 33, 48] {
        let size = image.len() - lost;
        let problem = app_image(&image[..size], &Expected::default()).unwrap_err();
        let size = u64::try_from(size).unwrap();
        assert_eq!(problem, Unfit::Truncated { size, image: whole, is_exact: true });
        assert!(problem.to_string().ends_with(&format!(": {lost} are missing")));
    }
    for size in [1, 23, 24, 40, 100] {
        assert!(found(&image[..size]).1.contains(&"truncated"), "{size}");
    }
}

#[test]
fn a_bootloader_is_no_app_with_a_descriptor_or_without() {
    for bytes in [testing::bootloader(), testing::described_bootloader()] {
        assert_eq!(found(&bytes), (Kind::Bootloader, vec!["bootloader-image"]));
    }
    // Changed bytes weigh more than what they were the bytes of.
    let mut damaged = testing::bootloader();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert_eq!(found(&damaged), (Kind::Bootloader, vec!["digest", "bootloader-image"]));
    let described = inspect(&testing::described_bootloader(), &Expected::default());
    assert_eq!(described.image.unwrap().bootloader.unwrap().idf_version, "v5.5");
}

#[test]
fn an_app_without_a_descriptor_is_an_app_that_cannot_say_its_version() {
    let segments = [(testing::DATA, vec![7; 64]), (testing::CODE, vec![8; 32])];
    let inspection = inspect(&testing::image(5, &segments), &Expected::default());
    assert!(inspection.is_publishable());
    assert_eq!(inspection.notes[0].code, "no-descriptor");
    assert!(inspect(&testing::app("v1.0.0"), &Expected::default()).notes.is_empty());
}

#[test]
fn a_segment_that_cannot_be_mapped_is_refused_as_the_bootloader_does() {
    let data = testing::app("1.0.0")[32..32 + 272].to_vec();
    let shifted = testing::image(5, &[(testing::DATA + 4, data.clone())]);
    assert_eq!(found(&shifted), (Kind::App, vec!["segment-misaligned"]));
    let elsewhere = testing::image(5, &[(testing::DATA, data), (0x7000_0000, vec![1; 16])]);
    let inspection = inspect(&elsewhere, &Expected::default());
    assert!(inspection.is_publishable());
    assert_eq!(inspection.notes[0].code, "segment-nowhere");
}

#[test]
fn an_image_has_to_fit_every_slot_to_the_last_byte() {
    let bytes = testing::app("1.0.0");
    let size = u32::try_from(bytes.len()).unwrap();
    let slot = |name: &str, size| Slot { name: name.into(), size };
    let mut expected = for_chip(Chip::Esp32c3);
    expected.slots = vec![slot("ota_0", size), slot("ota_1", size)];
    assert!(inspect(&bytes, &expected).is_publishable());
    expected.slots[1].size -= 1;
    let problem = app_image(&bytes, &expected).unwrap_err();
    assert!(
        problem.to_string().contains("slot `ota_1`")
            && problem.to_string().contains(": 1 too many")
    );
}

#[test]
fn an_image_without_a_digest_proves_nothing() {
    let mut bytes = testing::app("1.0.0");
    bytes[23] = 0;
    bytes.truncate(bytes.len() - 32);
    assert_eq!(found(&bytes), (Kind::App, vec!["no-digest"]));
}

#[test]
fn headers_that_make_no_sense_are_refused() {
    let mut bytes = testing::app("1.0.0");
    bytes[1] = 0;
    assert_eq!(found(&bytes), (Kind::BrokenImage, vec!["broken-header"]));
    assert_eq!(found(&testing::esp8266()), (Kind::Esp8266, vec!["esp8266-image"]));
    assert_eq!(found(&[0xe9]), (Kind::BrokenImage, vec!["truncated"]));
}

#[test]
fn whole_flash_is_told_with_where_its_app_is() {
    let inspection = inspect(&testing::merged(), &Expected::default());
    let app = Some((0x1_0000, testing::app("1.0.0").len().try_into().unwrap()));
    assert_eq!(inspection.problems, [Unfit::MergedFlash { table: 0x8000, app }]);
    let help = inspection.problems[0].help().unwrap();
    assert!(help.contains("`tail -c +65537 FILE | head -c "), "{help}");
    // As esptool merges for chips whose bootloader is not at 0.
    let mut blank_first = testing::merged();
    blank_first.copy_within(0..0x300, 0x1000);
    blank_first[..0x1000].fill(0xff);
    let flash = inspect(&blank_first, &Expected::default()).flash.unwrap();
    assert_eq!((flash.bootloader, flash.table), (Some(0x1000), 0x8000));
}

#[test]
fn every_other_file_is_called_what_it_is() {
    use object::elf;
    let shifted = [b"12345678", &testing::app("1.0.0")[..]].concat();
    for (bytes, kind, code) in [
        (vec![], Kind::Empty, "empty"),
        (testing::elf(elf::EM_RISCV, testing::DATA), Kind::Elf, "elf-file"),
        (testing::merged()[0x8000..0x8c00].to_vec(), Kind::PartitionTable, "partition-table"),
        (b"nvs, data, nvs, 0x9000, 0x5000\n".to_vec(), Kind::PartitionCsv, "partition-csv"),
        ([testing::nvs_page(), vec![0xff; 0x1000]].concat(), Kind::Nvs, "nvs"),
        (vec![0xff; 4096], Kind::ErasedFlash, "erased-flash"),
        (vec![0; 16], Kind::Zeros, "zeros"),
        (b"<!DOCTYPE html><p>404".to_vec(), Kind::Html, "html"),
        (b"{\"error\":1}".to_vec(), Kind::Json, "json"),
        (b"\x1f\x8b\x08\0".to_vec(), Kind::Gzip, "gzip"),
        (b"HTTP/1.1 200 OK\r\n\r\n\xe9".to_vec(), Kind::HttpAnswer, "http-answer"),
        (shifted, Kind::ShiftedImage, "bytes-before"),
        (testing::app("1.0.0")[3..].to_vec(), Kind::ShiftedImage, "beginning-missing"),
        (testing::random(4096), Kind::LooksEncrypted, "looks-encrypted"),
        (b"\x01\x02\x03".to_vec(), Kind::Unknown, "unknown"),
    ] {
        assert_eq!(found(&bytes), (kind, vec![code]));
        let problem = app_image(&bytes, &Expected::default()).unwrap_err();
        assert_eq!(problem.exit(), Exit::Rejected, "{kind}");
        assert!(problem.help().is_some() && !problem.to_string().ends_with('.'), "{kind}");
    }
}

#[test]
fn of_what_looks_random_nobody_is_certain() {
    let mut bytes = testing::random(8192);
    bytes[0] = 1;
    let inspection = inspect(&bytes, &Expected::default());
    assert!(inspection.problems[0].to_string().starts_with("it looks encrypted, or compressed"));
    assert!(inspection.evidence[0].contains("of 8 bits of entropy"));
}

/// Whatever is said of a file, the device's own verifier agrees with it.
fn agrees(bytes: &[u8]) {
    let inspection = inspect(bytes, &Expected::default());
    let verified = image::read(bytes, None);
    if inspection.is_publishable() {
        let info = verified.expect("what is good here is good on the device");
        assert_eq!(usize::try_from(info.len), Ok(bytes.len()));
        let image = inspection.image.unwrap();
        assert_eq!(image.length, Some(info.len.into()));
        assert!(image.checksum.unwrap().valid && image.digest.unwrap().valid);
    } else {
        let first = inspection.problems.first().expect("a reason");
        assert!(app_image(bytes, &Expected::default()).is_err());
        assert!(first.help().is_some());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), magic: u8) {
        agrees(&bytes);
        let begin: &[u8] = match magic % 6 {
            0 => &[0xe9],
            1 => b"\x7fELF\x01\x01\x01",
            2 => &[0xaa, 0x50],
            3 => &[0xe9, 2, 2, 0x2f, 0, 0, 0, 0x40, 0xee, 0, 0, 0, 5, 0],
            4 => b"{\"signed\":",
            _ => b"HTTP/1.1",
        };
        bytes.splice(..0, begin.iter().copied());
        agrees(&bytes);
    }

    #[test]
    fn a_good_image_with_anything_before_or_behind_it_is_good_no_more(
        before in prop::collection::vec(any::<u8>(), 0..40),
        behind in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let image = testing::app("1.0.0");
        let file = [&before[..], &image, &behind].concat();
        prop_assert_eq!(
            inspect(&file, &Expected::default()).is_publishable(),
            before.is_empty() && behind.is_empty()
        );
        agrees(&file);
    }

    #[test]
    fn a_good_image_that_was_cut_is_good_no_more(from in 0usize..40, lost in 0usize..400) {
        let image = testing::app("1.0.0");
        let end = image.len().saturating_sub(lost).max(from);
        let cut = &image[from..end];
        let is_whole = cut.len() == image.len();
        prop_assert_eq!(inspect(cut, &Expected::default()).is_publishable(), is_whole);
    }
}

/// Every bit of the image, as the checksum and the digest cover all of them.
#[test]
fn a_good_image_with_one_bit_flipped_is_good_no_more() {
    let image = testing::app("1.0.0");
    for bit in 0..image.len() * 8 {
        let mut flipped = image.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!inspect(&flipped, &Expected::default()).is_publishable(), "bit {bit}");
    }
}
